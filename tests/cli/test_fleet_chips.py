"""
``thim fleet what-if`` on AMD's chips: which are below a proposed minimum.
"""

import json

import pytest

from tests.platforms import NOW
from tests.tenants import Decisions
from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.anchors import VENDOR_ROOTS
from thim.collateral.chips import Chip
from thim.store.ledger import Ledger


def put_chip(store, name, snp, hw_id):
    """
    Register a chip of Milan's.
    """
    tcb = TcbVersion(
        product=ProductLine.MILAN,
        bootloader=4,
        tee=0,
        snp=snp,
        microcode=1,
    )
    chip = Chip(
        product=ProductLine.MILAN, hw_id=bytes([hw_id]) * 64, tcb=tcb, name=name
    )
    with Ledger(store, VENDOR_ROOTS) as ledger:
        ledger.chip_table.put(chip, actor="agent-1", now=NOW)


@pytest.fixture
def chips(store):
    """
    A store with three chips, and nothing of Intel's.
    """
    put_chip(store, "host-1", 8, 1)
    put_chip(store, None, 14, 2)
    put_chip(store, "host-3", 22, 3)
    return store


def define(thim, store, name, snp, tmp_path):
    """
    Define a baseline with a minimum, by plan; return the plan's dry run.
    """
    file = tmp_path / f"{name}.json"
    floor = {"spl": snp, "source": "AMD-SB-3019"}
    file.write_text(json.dumps({"Milan": {"snp": floor}}))
    run = thim(
        *("baseline", "plan", name, "--rule", "standard", "--amd", file),
        *("--reason", "test", "--store", store, "--json"),
    )
    assert 0 == run.code, run.err
    plan = f"{run.json['id']}"
    applied = thim("baseline", "apply", plan, "--store", store)
    assert 0 == applied.code, applied.err
    return run.json


class TestAmd:
    def ask(self, thim, store, name, *arguments):
        """
        Ask what a baseline would make of the chips.
        """
        where = ("--store", store, "--baseline", name)
        return thim("fleet", "what-if", *where, *arguments)

    def test_below(self, thim, chips, tmp_path):
        """
        Chips below a proposed minimum are named, with the component and by how
        much; also where nothing is known of Intel.
        """
        define(thim, chips, "strict", 20, tmp_path)

        run = self.ask(thim, chips, "strict", "--json")

        assert (1, "") == (run.code, run.err)
        assert (2, 2) == (
            run.json["breaking"],
            run.json["chips_below_minimum"],
        )
        one, other = run.json["broken"]
        assert {
            "name": "host-1",
            "tee": "Milan",
            "before": "no-opinion",
            "after": "below-minimum",
            "findings": ["snp has 8, 20 is needed (AMD-SB-3019)"],
            "remedies": ["firmware"],
            "advisory_ids": [],
        } == one
        assert "02" * 64 == other["name"]

    def test_nobody(self, thim, chips, tmp_path):
        """
        Where none is below it nobody breaks.
        """
        define(thim, chips, "mild", 8, tmp_path)

        run = self.ask(thim, chips, "mild", "--json")

        assert (0, []) == (run.code, run.json["broken"])

    def test_already(self, thim, chips, tmp_path):
        """
        What is below today's minimum already breaks no more, and is named
        beside.
        """
        define(thim, chips, "now", 10, tmp_path)
        define(thim, chips, "then", 20, tmp_path)
        Decisions().tenant("acme", "now").write(chips, VENDOR_ROOTS)

        run = self.ask(thim, chips, "then", "--json", "--tenant", "acme")

        assert (1, 1, 2) == (
            run.code,
            run.json["breaking"],
            run.json["chips_below_minimum"],
        )
        (below,) = run.json["below_already"]
        assert ("host-1", "below-minimum") == (below["name"], below["before"])
        (broken,) = run.json["broken"]
        assert ("02" * 64, "at-minimum") == (broken["name"], broken["before"])
        as_csv = self.ask(thim, chips, "then", "--csv", "--tenant", "acme")
        assert 3 == len(as_csv.text.splitlines())
        table = self.ask(thim, chips, "then", "--tenant", "acme")
        assert "1 chips are below the minimum already" in table.text

    def test_labels(self, thim, chips, tmp_path):
        """
        Chips have no labels: of a tenant that is told by labels there are
        none.
        """
        define(thim, chips, "strict", 20, tmp_path)
        decisions = Decisions().tenant("acme", "standard", labels={"a": "b"})
        decisions.write(chips, VENDOR_ROOTS)

        run = self.ask(thim, chips, "strict", "--json", "--tenant", "acme")

        assert (0, 0) == (run.code, run.json["chips_below_minimum"])

    def test_retired(self, thim, chips, tmp_path):
        """
        What is retired counts no more.
        """
        with Ledger(chips, VENDOR_ROOTS) as ledger:
            ledger.chip_table.retire("Milan", b"\1" * 64, actor="test", now=NOW)
        define(thim, chips, "strict", 20, tmp_path)

        run = self.ask(thim, chips, "strict", "--json")

        assert ["02" * 64] == [each["name"] for each in run.json["broken"]]

    def test_dry_run(self, thim, chips, tmp_path):
        """
        A plan's dry run says the same of tenants that have the baseline.
        """
        define(thim, chips, "prod", 8, tmp_path)
        Decisions().tenant("acme", "prod").write(chips, VENDOR_ROOTS)
        file = tmp_path / "prod.json"
        file.write_text(file.read_text().replace(": 8", ": 20"))

        run = thim(
            *("baseline", "plan", "prod", "--rule", "standard", "--amd", file),
            *("--reason", "test", "--store", chips, "--json"),
        )

        (impact,) = run.json["impacts"]
        assert ("acme", 3, 2) == (
            impact["tenant"],
            impact["judged"],
            impact["breaking"],
        )
