import contextlib
import dataclasses
import re
import signal
import subprocess
import sys

import pytest

from tests.amd_vendor import name_of
from tests.cli.sim import Sim
from tests.simulate.chips import playing
from tests.vendors import await_so
from thim.simulate.broken import Slow, Status
from thim.simulate.setup import write_setup
from thim.store.chip_queue_view import ChipQueueView
from thim.store.endorsement_view import EndorsementView
from thim.store.replica import Replica


@pytest.fixture
def sim(tmp_path):
    """
    An AMD at a standing clock that does not count requests, and its setup.
    """
    with playing() as vendor:
        write_setup(tmp_path / "sim.toml", vendor)
        yield Sim(vendor=vendor, folder=tmp_path)


@pytest.fixture
def prefetch(thim, sim):
    """
    Run ``thim collateral prefetch``.
    """
    return lambda *rest: thim(
        "collateral", "prefetch", "--config", sim.config, *rest
    )


@pytest.fixture
def chips(sim):
    """
    Three chips of the world.
    """
    world = sim.vendor.intel.world
    return [name_of(world, c) for c in ("milan-1", "genoa-1", "turin-1")]


@pytest.fixture
def a_list(sim, chips):
    """
    A list of them.
    """
    lines = [f"{c.product.value},{c.hw_id.hex()},{c.tcb.tcbm}\n" for c in chips]
    path = sim.folder / "chips.csv"
    path.write_text("".join(lines))
    return path


def states(run):
    """
    Return what became of each, in the order of their names.
    """
    return [
        each["state"] for each in sorted(run.json, key=lambda e: e["document"])
    ]


def held(sim, names):
    """
    Return which of *names* are in the store.
    """
    with contextlib.closing(Replica(sim.store)) as replica:
        view = EndorsementView(replica)
        return [view.find_vcek(name) is not None for name in names]


class TestList:
    def test_all(self, prefetch, sim, a_list, chips):
        """
        From an empty store to all that is on the list, with the chains.
        """
        run = prefetch(a_list, "--json")

        assert 0 == run.code
        assert ["taken"] * 3 == states(run)
        assert [True] * 3 == held(sim, chips)

    def test_listed(self, thim, prefetch, sim, a_list):
        """
        What has come is listed by its name, by which it can be shown.
        """
        prefetch(a_list)
        names = [
            each["document"]
            for each in thim(
                *("collateral", "list", "--kind", "vcek", "--json"),
                *("--config", sim.config),
            ).json
        ]
        shown = thim(
            "collateral", "show", "--json", names[0], "--config", sim.config
        )

        assert 3 == len(names)
        assert 0 == shown.code

    def test_again(self, prefetch, sim, a_list):
        """
        What is there is not asked for again.
        """
        prefetch(a_list)
        before = sim.vendor.requests.total
        run = prefetch(a_list)

        assert (0, "3 held\n") == (run.code, run.text)
        assert before == sim.vendor.requests.total

    def test_next_firmware(self, prefetch, sim, a_list, chips):
        """
        The next TCB of one product line is fetched for its chips too.
        """
        tcb = dataclasses.replace(chips[0].tcb, snp=20)
        run = prefetch(a_list, "--tcb", f"Milan:{tcb.tcbm}", "--json")

        assert ["taken"] * 4 == states(run)
        assert [True] == held(sim, [dataclasses.replace(chips[0], tcb=tcb)])

    def test_known(self, prefetch, a_list):
        """
        So it is for all chips that are known.
        """
        prefetch(a_list)
        run = prefetch("--known", "--tcb", "Turin:bl=1", "--json")

        assert ["taken"] == states(run)
        assert "Turin:" in run.json[0]["document"]

    def test_named(self, prefetch, chips):
        """
        A chip may be named on the command line.
        """
        chip = f"Milan:{chips[0].hw_id.hex()}"
        run = prefetch("--chip", chip, "--tcb", "Milan:bl=1 snp=2", "--json")

        assert (0, ["taken"]) == (run.code, states(run))

    def test_reports(self, prefetch, sim, chips):
        """
        A report names the certificate that verifies it.
        """
        path = sim.folder / "report.bin"
        path.write_bytes(sim.vendor.report("turin-1"))
        run = prefetch(path, "--json")

        assert ["taken"] == states(run)
        assert [True] == held(sim, [chips[2]])

    def test_no_wait(self, prefetch, sim, a_list, chips):
        """
        Without waiting they are put into the queue, for a running service.
        """
        run = prefetch(a_list, "--no-wait")

        assert (0, "3 waiting\n") == (run.code, run.text)
        assert 0 == sim.vendor.requests.total
        # The next run carries on.
        assert 0 == prefetch(a_list).code
        assert [True] * 3 == held(sim, chips)

    def test_cancel(self, prefetch, sim, a_list, chips):
        """
        What was to be fetched is taken out of the queue again.
        """
        prefetch(a_list, "--no-wait")
        run = prefetch("--cancel")

        assert (0, "3 taken out of the queue.\n") == (run.code, run.text)
        with contextlib.closing(Replica(sim.store)) as replica:
            assert 0 == ChipQueueView(replica).count()
        assert {"cancelled": 0} == prefetch("--cancel", "--json").json

    def test_interrupted(self, sim, a_list, chips):
        """
        Whoever interrupts it is told that nothing is lost, and goes on later.
        """
        sim.vendor.faults.add(Slow(seconds=1, route="vcek"))
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "thim", "collateral", "prefetch"),
                *("--config", sim.config, a_list),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        await_so(lambda: sim.vendor.requests.of("vcek"))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

        assert 130 == process.returncode
        assert "remain in the queue" in said


class TestShort:
    def test_unknown_chip(self, prefetch, a_list):
        """
        What AMD does not have is named, and the rest is fetched.
        """
        with a_list.open("a") as file:
            file.write(f"Milan,{'ab' * 64},bl=1\n")
        run = prefetch(a_list)

        assert 1 == run.code
        assert "3 taken, 1 absent" in run.text.splitlines()[-1]
        assert "ABAB" in run.text

    def test_bad_line(self, prefetch, a_list):
        """
        A line that cannot be read is named, and the rest is fetched.
        """
        with a_list.open("a") as file:
            file.write("Milan,ab,bl=1\n")
        run = prefetch(a_list)

        assert (1, "3 taken\n") == (run.code, run.text)
        assert re.search(r"chips\.csv: line 4: chip_id: got 'ab'", run.err)

    def test_failing(self, prefetch, sim, a_list, chips):
        """
        What fails stays in the queue, and comes another time.
        """
        sim.vendor.faults.add(Status(code=500, route="vcek"))
        first = prefetch(a_list, "--json")
        sim.vendor.faults.clear()
        second = prefetch(a_list, "--json")

        assert (1, ["failed"] * 3) == (first.code, states(first))
        assert (0, ["taken"] * 3) == (second.code, states(second))

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "no chip is named"),
            (["--known"], "--known"),
            (["--chip", "Milan:ab"], "hw_id"),
            (["--chip", "Milan:" + "ab" * 64], "--tcb Milan:TCB"),
            (["--tcb", "DB18"], "PRODUCT:TCB"),
            (["--tcb", "Milan:zz"], "tcb: got 'zz'"),
            (["/nowhere"], "/nowhere"),
        ],
    )
    def test_bad(self, prefetch, arguments, words):
        """
        What cannot be done is one line and exit code 2.
        """
        run = prefetch(*arguments)

        assert 2 == run.code
        assert words in run.err

    def test_offline(self, prefetch, sim, a_list):
        """
        Where no vendor is ever asked, there is nothing to wait for.
        """
        sim.configure('fill = "offline"')
        run = prefetch(a_list)

        assert 2 == run.code
        assert "offline" in run.err


class TestNoChain:
    def test_vendor_down(self, prefetch, sim, chips):
        """
        Without AMD's chain no VCEK holds: that it cannot be had ends the wait.
        """
        sim.vendor.faults.add(Status(code=500, route="amd-chain"))
        path = sim.folder / "one.csv"
        path.write_text(f"Milan,{chips[0].hw_id.hex()},{chips[0].tcb.tcbm}\n")
        run = prefetch(path, "--json")
        assert 1 == run.code
        assert ["failed"] == states(run)
        assert "vendor-busy" in run.out.decode() or "status" in run.out.decode()
