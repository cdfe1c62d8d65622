import dataclasses

from typing import Any

from tests.amd.test_verdict import CLAIMS
from thim.amd.report_fields import Cpuid, Tcbs
from thim.amd.tcb import ProductLine, TcbVersion
from thim.attestation.minimum import with_minimum
from thim.baseline.minimum import Floor, Minimum, Silicon
from thim.baseline.model import SHIPPED


TCB = TcbVersion(
    product=ProductLine.MILAN, bootloader=4, tee=0, snp=22, microcode=213
)
MILAN = Cpuid(family=0x19, model=0x01, stepping=0x01)
SNP = Floor(spl=23, source="SB-3019")
MICROCODE = Floor(spl=219, source="SB-3030")
ACCOUNT: dict[str, Any] = {
    "acceptable": True,
    "baseline": None,
    "findings": [],
    "notes": [],
}


def account_for(minimum, *, cpuid=MILAN, tcb=TCB, product=ProductLine.MILAN):
    """
    Give an account of an authentic report under a minimum for one product.
    """
    tcbs = Tcbs(reported=tcb, committed=tcb, current=tcb, launch=tcb)
    claims = dataclasses.replace(CLAIMS, cpuid=cpuid, tcbs=tcbs)
    baseline = dataclasses.replace(
        SHIPPED["standard"], name="mine", minimums={product: minimum}
    )
    return with_minimum(ACCOUNT, claims, baseline)


def details(account):
    """
    The texts of what was noted.
    """
    return [note["detail"] for note in account["notes"]]


class TestWithMinimum:
    def test_short(self):
        """
        A component below its floor makes the report unacceptable, and the
        finding says by how much and who says so.
        """
        account = account_for(Minimum(components={"snp": SNP}))

        (finding,) = account["findings"]
        assert not account["acceptable"]
        assert "mine" == account["baseline"]
        assert ("snp", "22", "23") == (
            finding["component"],
            finding["found"],
            finding["needed"],
        )
        assert "SB-3019" in finding["detail"]
        assert "bios-or-microcode" == finding["remedy"]

    def test_met(self):
        """
        A report at the minimum is acceptable.
        """
        met = dataclasses.replace(TCB, snp=23)

        account = account_for(Minimum(components={"snp": SNP}), tcb=met)

        assert account["acceptable"]
        assert [] == account["findings"]

    def test_no_opinion(self):
        """
        What the baseline does not name is not judged, and that is said.
        """
        account = account_for(Minimum(components={"snp": SNP}))

        assert [
            f"baseline mine has no minimum of {component} for 19/1/1: no "
            "opinion"
            for component in ("bootloader", "tee", "microcode")
        ] == details(account)

    def test_microcode(self):
        """
        Microcode is compared with the floor of the very silicon.
        """
        minimum = Minimum(
            microcode={
                Silicon(0x19, 0x01, 0x01): MICROCODE,
                Silicon(0x19, 0x01, 0x02): Floor(spl=71, source="Milan-X"),
            }
        )

        account = account_for(minimum)

        assert ["microcode"] == [f["component"] for f in account["findings"]]
        assert "219" == account["findings"][0]["needed"]

    def test_unknown_silicon(self):
        """
        A report that does not say which silicon it is of is not judged by its
        microcode.
        """
        minimum = Minimum(microcode={Silicon(0x19, 0x01, 0x01): MICROCODE})

        account = account_for(minimum, cpuid=None)

        assert account["acceptable"]
        assert any("microcode for Milan" in text for text in details(account))

    def test_other_product(self):
        """
        A minimum for another product line is no opinion, and that is said.
        """
        account = account_for(
            Minimum(components={"snp": SNP}), product=ProductLine.GENOA
        )

        assert account["acceptable"]
        assert account["baseline"] is None
        assert [
            "baseline mine has no minimum TCB for Milan: no opinion"
        ] == details(account)
