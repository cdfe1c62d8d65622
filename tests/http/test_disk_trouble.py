"""
A disk that takes nothing more, under a service that goes on.
"""

import contextlib
import logging
import os
import sqlite3

import pytest

from tests.http.conftest import NOW, full_set, make_store, unnumbered
from tests.http.test_store_trouble import PATHS
from tests.needs import needs_root
from tests.serving import serving
from tests.tmpfs import failing, full, mounted, read_only
from tests.vendors import (
    ICE,
    MINUTE,
    SAPPHIRE,
    SGX,
    TDX,
    await_so,
    facing,
    settle,
    standing,
)
from thim.errors import OperatorError
from thim.services.audit import audit
from thim.simulate.server import simulating
from thim.store.ledger import Ledger
from thim.store.replica import Replica


pytestmark = needs_root
HELD, MISSING = f"{SGX}/tcb?fmspc={ICE}", f"{TDX}/tcb?fmspc={SAPPHIRE}"


@pytest.fixture
def simulated():
    """
    A vendor at an instant that stands still.
    """
    with simulating(clock=standing()) as running:
        yield running


def reasons(served):
    """
    Return what readiness says, and whether it is so.
    """
    got = served.get("/health/ready")
    return got.status, [text.split(":")[0] for text in got.json["reasons"]]


def test_full(simulated, tmp_path):
    """
    On a full disk what is there is served, what is not is an empty 503, and
    readiness says why; nothing is left half-written, and when there is room
    again all of it goes by itself.
    """
    with mounted(tmp_path / "disk", mebibytes=24) as folder:
        store = folder / "thim.db"
        with facing(simulated, store) as served:
            held = served.get(HELD)
            settle(store, simulated)
            with full(folder):
                again = served.get(HELD)
                missing = served.get(MISSING)
                told = reasons(served)
            simulated.clock.advance(2 * MINUTE)
            await_so(lambda: served.get(MISSING).status == 200, "filled")
            later = reasons(served)
        with Ledger(store, simulated.anchors) as ledger:
            report = audit(ledger)

    assert (200, held.body) == (again.status, again.body)
    assert (503, b"", "store-write") == (
        missing.status,
        missing.body,
        missing["thim-reason"],
    )
    assert (200, True) == (told[0], "disk-full" in told[1])
    assert "disk-full" not in later[1]
    assert () == report.findings


def test_fails(simulated, tmp_path):
    """
    So it is where the kernel has found errors and takes no writes any more.
    """
    with failing(tmp_path / "disk", tmp_path / "image") as fail:
        store = tmp_path / "disk" / "thim.db"
        with facing(simulated, store) as served:
            held = served.get(HELD)
            settle(store, simulated)
            fail()
            again = served.get(HELD)
            missing = served.get(MISSING)
            told = reasons(served)

    assert (200, held.body) == (again.status, again.body)
    assert (503, "store-write") == (missing.status, missing["thim-reason"])
    assert (200, True) == (told[0], "disk-read-only" in told[1])


def test_read_only_from_the_start(intel, tmp_path):
    """
    A service that starts over a read-only disk serves from it, and says so;
    once the disk takes writes again it is to be started anew.
    """
    with mounted(tmp_path / "disk", mebibytes=24) as folder:
        documents = [*full_set(intel, 19), *unnumbered(intel)]
        store = make_store(folder / "thim.db", intel, documents)
        with contextlib.ExitStack() as stack:
            with read_only(folder):
                served = stack.enter_context(
                    serving(store, lambda: NOW, anchors=intel.anchors)
                )
                got = [served.get(path).status for path in PATHS]
                told = reasons(served)
            later = served.get("/health/ready")

    assert [200, 200, 200] == got
    assert (200, True) == (told[0], "disk-read-only" in told[1])
    assert 503 == later.status
    assert "restart the service" in later.json["reasons"][0]


def check(store):
    """
    Check a store as a service does before it serves from it.
    """
    with contextlib.closing(Replica(store)) as replica:
        replica.check()


class TestDamage:
    @pytest.fixture
    def store(self, intel, tmp_path):
        """
        A store with documents.
        """
        documents = [*full_set(intel, 19), *unnumbered(intel)]
        return make_store(tmp_path / "thim.db", intel, documents)

    def test_bits(self, store, intel, caplog):
        """
        A document that has changed on the disk is never served: its digest is
        not that of its body. The log says what helps.
        """
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute(
                "UPDATE records SET body = CAST(body || ' ' AS BLOB) "
                "WHERE series_id IN (SELECT id FROM series "
                "WHERE kind = 'tcb-info')"
            )
        with (
            caplog.at_level(logging.ERROR),
            serving(store, lambda: NOW, anchors=intel.anchors) as served,
        ):
            got = served.get(PATHS[0])
            got_again = served.get(PATHS[0])

        assert (503, b"") == (got.status, got.body)
        assert "store-damaged" == got["thim-reason"] == got_again["thim-reason"]
        assert 1 == caplog.text.count("thim db restore --replace")

    @pytest.mark.parametrize("size", [100, 4096, 3])
    def test_cut_off(self, store, size):
        """
        A file that is cut off is found out before anything is served.
        """
        os.truncate(store, store.stat().st_size - size)
        with pytest.raises(OperatorError, match="thim db restore FILE"):
            check(store)

    def test_page(self, store):
        """
        So is one with a damaged page, wherever that is.
        """
        with store.open("r+b") as file:
            file.seek(store.stat().st_size // 8192 * 4096)
            file.write(b"\xff" * 4096)
        with pytest.raises(OperatorError, match="thim db restore FILE"):
            check(store)

    def test_sound(self, store):
        """
        One that is sound is none of these, in use or not.
        """
        check(store)
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute("DELETE FROM quarantine")
            check(store)

    @pytest.mark.parametrize("content", [b"\xff" * 100, b"", b"x" * 5000])
    def test_header(self, store, content):
        """
        So is one that does not begin as a store does.
        """
        with store.open("r+b") as file:
            file.truncate(0)
            file.write(content)
        with pytest.raises(
            OperatorError, match="thim db restore FILE"
        ) as found:
            Replica(store)

        assert "store-unreadable" == found.value.reason
