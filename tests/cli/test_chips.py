import pytest

from tests.amd_vendor import name_of
from tests.cli.sim import Sim
from tests.simulate.chips import playing
from thim.collateral.chips import Chip
from thim.simulate.setup import write_setup
from thim.store.ledger import Ledger


@pytest.fixture
def sim(tmp_path):
    """
    A store with two chips that an agent has registered.
    """
    with playing() as vendor:
        write_setup(tmp_path / "sim.toml", vendor)
        found = Sim(vendor=vendor, folder=tmp_path)
        put(found, "milan-1", name="host-1")
        put(found, "turin-1", is_confirmed=True)
        yield found


def put(sim, chip, **more):
    """
    Register a chip.
    """
    name = name_of(sim.vendor.intel.world, chip)
    told = Chip(product=name.product, hw_id=name.hw_id, tcb=name.tcb, **more)
    with Ledger(sim.store, sim.vendor.anchors) as ledger:
        ledger.chip_table.put(told, actor="agent-1", now=sim.vendor.clock())


@pytest.fixture
def chip(thim, sim):
    """
    Run ``thim chip``.
    """
    return lambda *rest: thim("chip", *rest, "--config", sim.config)


class TestList:
    def test_json(self, chip):
        """
        Every chip, those with a name first, and what is known of each.
        """
        one, other = chip("list", "--json").json

        assert ("host-1", "Milan", "declared", False, "agent-1") == (
            one["name"],
            one["product"],
            one["state"],
            one["has_vcek"],
            one["registered_by"],
        )
        assert (None, "Turin", "confirmed") == (
            other["name"],
            other["product"],
            other["state"],
        )

    def test_table(self, chip):
        """
        In words there is a line for each.
        """
        title, *lines = chip("list").text.splitlines()

        assert title.startswith("name")
        assert ["host-1", "-"] == [line.split()[0] for line in lines]
        assert "missing" in lines[0]

    def test_vcek(self, thim, chip, sim):
        """
        Whether its VCEK is held is said.
        """
        name = name_of(sim.vendor.intel.world, "milan-1")
        thim(
            *("collateral", "prefetch", "--config", sim.config),
            *("--chip", f"Milan:{name.hw_id.hex()}"),
            *("--tcb", f"Milan:{name.tcb.tcbm}"),
        )

        assert chip("list", "--json").json[0]["has_vcek"]

    def test_status(self, thim, sim):
        """
        So it is in the one screen, as something to look at.
        """
        run = thim("status", "--config", sim.config, "--json")

        assert (2, 1, 2) == (
            run.json["chips"],
            run.json["chips_confirmed"],
            run.json["chips_without_vcek"],
        )
        assert "vcek-missing" in {c["reason"] for c in run.json["concerns"]}
        text = thim("status", "--config", sim.config).text
        assert "chips        2, 1 of them confirmed, 2 without VCEK" in text


class TestRetire:
    def test_by_name(self, chip):
        """
        A chip goes by its name, and loses it.
        """
        first, second = chip("retire", "host-1"), chip("list", "--json")

        assert (0, "Retired.\n") == (first.code, first.text)
        assert "retired" in {c["state"] for c in second.json}
        assert 2 == chip("retire", "host-1").code

    def test_by_id(self, chip, sim):
        """
        Or by its ID, in either case; twice changes nothing.
        """
        hw_id = name_of(sim.vendor.intel.world, "turin-1").hw_id.hex()
        first = chip("retire", f"turin:{hw_id.upper()}")
        second = chip("retire", f"Turin:{hw_id}")
        third = chip("retire", f"Turin:{hw_id}", "--json")

        assert ("Retired.\n", "It was retired already.\n") == (
            first.text,
            second.text,
        )
        assert {"hw_id": hw_id.upper(), "is_new": False} == third.json

    @pytest.mark.parametrize(
        "text", ["nobody", "Milan:ab", "Turin:" + "1" * 16]
    )
    def test_unknown(self, chip, text):
        """
        Another one is an error.
        """
        run = chip("retire", text)

        assert 2 == run.code
        assert run.err
