"""
The numbers of all workers of a node.
"""

import contextlib
import os
import subprocess

import pytest

from tests.conformance.program import running
from tests.http.scraping import read
from tests.new_store import new_store
from tests.vendors import await_so
from thim.collateral.anchors import VENDOR_ROOTS
from thim.http.tallies import Sheet, write_sheet
from thim.http.workers import Workers, find_parent


ONE = Sheet(counts=((("a",), 1),), gauges={"bytes": 10})


@contextlib.contextmanager
def child():
    """
    Run a process of ours.
    """
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def ended():
    """
    Return the number of a process that has ended.
    """
    with child() as process:
        pass
    return process.pid


@pytest.fixture
def workers(tmp_path):
    """
    The workers of this process, of which it is one itself.
    """
    return Workers(tmp_path, os.getpid(), 1)


def write(folder, pid, sheet=ONE):
    """
    Write what the worker *pid* has counted.
    """
    (folder / f"{pid}.json").write_bytes(write_sheet(sheet))


class TestParent:
    def test_found(self):
        """
        A process has the parent that started it.
        """
        with child() as process:
            assert os.getpid() == find_parent(process.pid)

    def test_ended(self):
        """
        One that has ended has none, before it is waited for as well.
        """
        process = subprocess.Popen(["true"])
        await_so(lambda: find_parent(process.pid) is None)
        process.wait()

        assert find_parent(process.pid) is None


class TestAddOthers:
    def test_living(self, workers, tmp_path):
        """
        What a neighbour has counted and holds is added.
        """
        with child() as process:
            write(tmp_path, process.pid)
            found = workers.add_others(ONE)
            pids = workers.pids()

        assert ((("a",), 2),) == found.counts
        assert {"bytes": 20} == found.gauges
        assert sorted([1, process.pid]) == pids

    def test_gone(self, workers, tmp_path):
        """
        What one has counted that has ended is added; it holds nothing more.
        """
        write(tmp_path, ended())
        found = workers.add_others(ONE)

        assert ((("a",), 2),) == found.counts
        assert {"bytes": 10} == found.gauges
        assert [1] == workers.pids()

    def test_not_twice(self, workers):
        """
        What it has published itself is not added again.
        """
        workers.publish(ONE)

        assert ONE == workers.add_others(ONE)

    def test_damaged(self, workers, tmp_path):
        """
        What cannot be read is left out.
        """
        (tmp_path / f"{ended()}.json").write_bytes(b"{")
        (tmp_path / "notes.json").write_bytes(b"{}")

        assert ONE == workers.add_others(ONE)

    def test_no_folder(self, tmp_path):
        """
        Where somebody has tidied up a worker has its own numbers still.
        """
        workers = Workers(tmp_path / "none", os.getpid(), 1)
        workers.inherit()
        workers.publish(ONE)

        assert ONE == workers.add_others(ONE)
        assert [1] == workers.pids()


class TestInherit:
    def test_taken_over(self, workers, tmp_path):
        """
        A new worker takes over what those have counted that have ended, and
        their files go; nothing is counted twice.
        """
        for _ in range(2):
            write(tmp_path, ended())
        workers.inherit()

        assert ["1.json"] == [path.name for path in tmp_path.iterdir()]
        assert ((("a",), 3),) == workers.add_others(ONE).counts

    def test_by_others(self, workers, tmp_path):
        """
        What it has taken over is among its own numbers for the others.
        """
        write(tmp_path, ended())
        workers.inherit()
        workers.publish(ONE)
        with child() as process:
            other = Workers(tmp_path, os.getpid(), process.pid)
            found = other.add_others(Sheet())

        assert ((("a",), 2),) == found.counts

    def test_same_number(self, workers, tmp_path):
        """
        Where another had its number before, that one's counts stay.
        """
        write(tmp_path, 1)
        workers.inherit()
        workers.publish(ONE)

        assert ((("a",), 2),) == workers.add_others(ONE).counts

    def test_living_keep_theirs(self, workers, tmp_path):
        """
        Of those that live nothing is taken.
        """
        with child() as process:
            write(tmp_path, process.pid)
            workers.inherit()

        assert (tmp_path / f"{process.pid}.json").exists()


def test_served(tmp_path):
    """
    Whichever worker is asked says what all have answered, and lists them.
    """
    store = tmp_path / "thim.db"
    new_store(store, VENDOR_ROOTS)
    count = ("thim_requests_total", "2xx", "pcs", "root")
    with running(store, "--workers", "2") as (served, _):
        for _ in range(8):
            served.get("/sgx/certification/v4/fmspcs")
        await_so(lambda: read(served).get(count) == 8)
        found = read(served)

    memory = "thim_worker_process_resident_memory_bytes"
    assert 2 == sum(labels[0] == memory for labels in found)
    assert 2 == found["thim_workers",] == found["thim_worker_starts_total",]
