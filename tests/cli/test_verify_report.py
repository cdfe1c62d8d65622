import contextlib
import sqlite3

import pytest

from tests.cli.evidence import DAY, KEYS
from thim.amd.report import Report
from thim.simulate.snp_evidence import (
    SigningKey,
)


class TestReport:
    @pytest.mark.parametrize("chip", ["milan-1", "genoa-1", "turin-1"])
    def test_authentic(self, world, chip):
        """
        A report's VCEK, chain and list are fetched; there is no TCB status.
        """
        run = world.verify(world.report(chip), "--json")

        assert (0, True) == (run.code, run.json["authentic"])
        assert None is run.json["tcb_status"]
        assert run.json.keys() >= KEYS
        assert ["vcek"] == [
            d["document"]
            for d in run.json["collateral"]
            if "amd/" not in d["document"]
        ]

    def test_changed(self, world):
        """
        A changed report is not authentic.
        """
        raw = bytearray(world.report().read_bytes())
        raw[0x90] ^= 1

        run = world.verify(world.write(bytes(raw)), "--json")

        assert (2, False) == (run.code, run.json["authentic"])
        assert [9] == [f["step"] for f in run.json["findings"]]

    def test_missing(self, world):
        """
        3: the VCEK is not there.
        """
        run = world.verify(world.report(), "--offline", "--json")

        assert 3 == run.code
        assert "unknown-vcek" == run.json["findings"][0]["reason"]

    def test_masked(self, world):
        """
        3: a report that names no chip.
        """
        run = world.verify(world.report(chip_id=bytes(64)), "--json")

        assert 3 == run.code
        assert "chip-id-masked" == run.json["findings"][0]["reason"]

    def test_by_vlek(self, world):
        """
        A report that a provider's key signed is verified once that key was
        imported; nobody else has it.
        """
        file = world.report("milan-2", by=SigningKey.VLEK)
        missing = world.verify(file, "--json")
        chip = world.vendor.chip("milan-2")
        for name in ("vlek", "vlek_chain"):
            (world.sim.folder / name).write_bytes(getattr(chip, name))
        world.thim(
            "collateral",
            "import",
            world.sim.folder / "vlek_chain",
            world.sim.folder / "vlek",
            "--config",
            world.sim.config,
        )
        world.thim(
            "collateral",
            "refresh",
            "amd/crl/Milan:vlek/0",
            "--config",
            world.sim.config,
        )

        run = world.verify(file, "--json")

        assert (3, "unknown-vlek") == (
            missing.code,
            missing.json["findings"][0]["reason"],
        )
        assert (0, "vlek") == (run.code, run.json["claims"]["kind"])

    def test_no_revocation_list(self, world):
        """
        AMD's lists name intermediates only: that one has ended is a note; and
        where the vendor may be asked, a newer one is fetched.
        """
        file = world.report()
        world.verify(file)
        world.vendor.clock.advance(400 * DAY)

        run = world.verify(file, "--offline", "--json")
        again = world.verify(file, "--json")

        assert (0, True, "expired") == (
            run.code,
            run.json["authentic"],
            run.json["revocation"],
        )
        assert ["crl-expired"] == [n["reason"] for n in run.json["notes"]]
        assert (0, "checked") == (again.code, again.json["revocation"])

    def test_damaged_store(self, world):
        """
        3: a store that holds what cannot be read says nothing of a report.
        """
        file = world.report()
        world.verify(file)
        with contextlib.closing(sqlite3.connect(world.sim.store)) as db:
            db.execute("UPDATE issuer_chains SET pem = X'00'")
            db.commit()

        run = world.verify(file, "--offline", "--json")

        assert (3, "store-damaged") == (
            run.code,
            run.json["findings"][0]["reason"],
        )

    def test_store_ahead_of_the_clock(self, world):
        """
        3: a list of the future says nothing of a report either.
        """
        file = world.report()
        world.vendor.clock.advance(400 * DAY)
        world.verify(file)
        world.vendor.clock.advance(-400 * DAY)

        run = world.verify(file, "--offline", "--json")

        assert (3, "not-yet-issued") == (
            run.code,
            run.json["findings"][0]["reason"],
        )

    def test_unknown_silicon(self, world):
        """
        3: of silicon that nobody knows there is no key.
        """
        run = world.verify(world.report(cpuid_fam_id=0x70), "--json")

        assert (3, "unknown-vcek") == (
            run.code,
            run.json["findings"][0]["reason"],
        )

    def test_nothing_names_the_chip(self, world):
        """
        What is printed never holds the chip's ID.
        """
        file = world.report()
        chip_id = Report.from_bytes(file.read_bytes()).chip_id.hex()

        run = world.verify(file)

        assert 0 == run.code
        assert chip_id not in run.text.lower()
