import dataclasses
import datetime

import pytest

from tests.amd.report_parts import CHIP_ID, REPORTED_TCB, a_report
from thim.amd.authorities import KeyKind
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.fit import find_fitting_keys, list_misfits
from thim.amd.report import Report
from thim.amd.tcb import ProductLine, TcbVersion
from thim.amd.verdict import Finding


MILAN, GENOA, TURIN = ProductLine
SINCE = datetime.datetime(2023, 1, 1, tzinfo=datetime.UTC)

#: What ``a_report`` needs.
LEAF = EndorsementKey(
    kind=KeyKind.VCEK,
    product=GENOA,
    product_name="Genoa",
    tcb=TcbVersion.from_bytes(REPORTED_TCB, GENOA),
    hw_id=CHIP_ID,
    csp_id=None,
    not_before=SINCE,
    not_after=SINCE,
    spki=b"",
    der=b"",
)
VLEK = dataclasses.replace(
    LEAF, kind=KeyKind.VLEK, hw_id=None, csp_id="example"
)
ZEN5 = "0102030400000005"
TURIN_REPORT = {
    "at_038": ZEN5,
    "at_180": ZEN5,
    "at_188": "1a0200",
    "at_1a0": CHIP_ID[:8].hex() + "00" * 56,
    "at_1e0": ZEN5,
    "at_1f0": ZEN5,
}
TURIN_LEAF = dataclasses.replace(
    LEAF,
    product=TURIN,
    product_name="Turin",
    tcb=TcbVersion.from_bytes(bytes.fromhex(ZEN5), TURIN),
    hw_id=CHIP_ID[:8],
)


def a_read_report(version=5, **changes):
    """
    Make a report, and read it.
    """
    return Report.from_bytes(a_report(version, **changes))


def misfits(report, leaf=LEAF, **changes):
    """
    List what is wrong between *report* and *leaf* with *changes*.
    """
    return list_misfits(report, dataclasses.replace(leaf, **changes))


def reasons(found):
    """
    Shorten findings to their steps and reasons.
    """
    return [(finding.step, finding.reason) for finding in found]


class TestFitting:
    @pytest.mark.parametrize("version", [2, 3, 4, 5])
    def test_vcek(self, version):
        """
        A VCEK fits the report of its chip at its TCB.
        """
        assert () == misfits(a_read_report(version))

    def test_vlek(self):
        """
        A VLEK fits whatever the chip: it names none.
        """
        assert () == misfits(a_read_report(at_048="04"), VLEK)
        assert () == misfits(a_read_report(at_048="04", at_1a0="00" * 64), VLEK)

    def test_turin(self):
        """
        A Turin's HWID is the first 8 bytes of its CHIP_ID.
        """
        assert () == misfits(a_read_report(**TURIN_REPORT), TURIN_LEAF)

    def test_masked(self):
        """
        A chip that the host masks is not compared.
        """
        assert () == misfits(a_read_report(at_1a0="00" * 64))


class TestStep5:
    @pytest.mark.parametrize(
        ("flags", "leaf", "found", "expected"),
        [("04", LEAF, "VCEK", "VLEK"), ("00", VLEK, "VLEK", "VCEK")],
    )
    def test_kind(self, flags, leaf, found, expected):
        """
        The leaf is of the kind that the report names.
        """
        assert (
            Finding(
                step=5,
                reason="signing-key-mismatch",
                detail="the leaf is of another kind than the key that signed",
                found=found,
                expected=expected,
            ),
        ) == misfits(a_read_report(at_048=flags), leaf)


class TestStep6:
    @pytest.mark.parametrize("version", [3, 4, 5])
    def test_product(self, version):
        """
        From version 3 on the silicon tells the product line.
        """
        report = a_read_report(version, at_188="190102")

        assert (
            Finding(
                step=6,
                reason="product-mismatch",
                detail="the leaf is for another product line than the report's",
                found="Genoa",
                expected="Milan",
            ),
        ) == misfits(report)

    def test_before(self):
        """
        In version 2 only the leaf does.
        """
        tcb = TcbVersion.from_bytes(REPORTED_TCB, MILAN)

        assert () == misfits(a_read_report(2), product=MILAN, tcb=tcb)

    def test_unknown(self):
        """
        Unknown silicon has no known product line; the other steps are taken.
        """
        report = a_read_report(at_188="1a9000")

        assert [(6, "product-unknown")] == reasons(misfits(report))
        assert [(6, "product-unknown"), (8, "chip-id-mismatch")] == reasons(
            misfits(report, hw_id=CHIP_ID[::-1])
        )


class TestStep7:
    def test_mismatch(self):
        """
        A leaf for another TCB is told apart, component by component.
        """
        tcb = TcbVersion(product=GENOA, bootloader=3, snp=0x17, microcode=0xD1)

        assert (
            Finding(
                step=7,
                reason="tcb-mismatch",
                detail="the leaf is for another TCB than REPORTED_TCB",
                found="bootloader 3, tee 0, snp 23, microcode 209",
                expected="bootloader 3, tee 0, snp 24, microcode 209",
            ),
        ) == misfits(a_read_report(), tcb=tcb)

    @pytest.mark.parametrize(
        "name", ["bootloader", "tee", "snp", "microcode", "fmc"]
    )
    def test_each_component(self, name):
        """
        All components count.
        """
        level = getattr(TURIN_LEAF.tcb, name)
        tcb = dataclasses.replace(TURIN_LEAF.tcb, **{name: level + 1})
        report = a_read_report(**TURIN_REPORT)

        assert [(7, "tcb-mismatch")] == reasons(
            misfits(report, TURIN_LEAF, tcb=tcb)
        )

    @pytest.mark.parametrize(
        ("at", "name"),
        [
            ("at_1e0", "COMMITTED_TCB"),
            ("at_038", "CURRENT_TCB"),
            ("at_1f0", "LAUNCH_TCB"),
        ],
    )
    def test_reserved(self, at, name):
        """
        Each of the other three is read, and named if that fails.
        """
        (found,) = misfits(a_read_report(**{at: "0300010000000000"}))

        assert (7, "tcb-reserved") == (found.step, found.reason)
        assert found.detail.startswith(f"{name}: Genoa TCB_VERSION 03000100")

    def test_reserved_in_reported(self):
        """
        A reported one that cannot be read is no leaf's.
        """
        reserved, mismatch = misfits(a_read_report(at_180="0300010000000000"))

        assert reserved.detail.startswith("REPORTED_TCB: ")
        assert "tcb-mismatch" == mismatch.reason
        assert "0300010000000000" == mismatch.expected

    def test_other_layout(self):
        """
        With a leaf of another layout none can be read.
        """
        report = a_read_report(2)

        assert [
            *[(7, "tcb-reserved")] * 4,
            (7, "tcb-mismatch"),
            (8, "chip-id-mismatch"),
        ] == reasons(misfits(report, TURIN_LEAF))


class TestStep8:
    @pytest.mark.parametrize("at", ["at_1a0", "at_1df"])
    def test_chip(self, at):
        """
        The leaf is the chip's; of its ID no more than the beginning is shown.
        """
        report = a_read_report(**{at: "ff"})

        assert (
            Finding(
                step=8,
                reason="chip-id-mismatch",
                detail="the leaf is for another chip than the report's",
                found="0a0b0c0d… of 64 bytes",
                expected=f"{report.chip_id[:4].hex()}… of 64 bytes",
            ),
        ) == misfits(report)

    @pytest.mark.parametrize("at", ["at_1a7", "at_1a8", "at_1df"])
    def test_turin(self, at):
        """
        Behind the 8 bytes of a Turin's HWID there are zeros.
        """
        report = a_read_report(**TURIN_REPORT, **{at: "ff"})

        assert [(8, "chip-id-mismatch")] == reasons(misfits(report, TURIN_LEAF))

    def test_size_is_shown(self):
        """
        A Turin's chip with more than 8 bytes shows as one.
        """
        report = a_read_report(**TURIN_REPORT, at_1a8="ff")

        (found,) = misfits(report, TURIN_LEAF)

        assert "0a0b0c0d… of 8 bytes" == found.found
        assert "0a0b0c0d… of 9 bytes" == found.expected


class TestAll:
    def test_together(self):
        """
        All that does not fit is told, in the order of the steps.
        """
        report = a_read_report(at_048="04", at_188="190102")
        other = TcbVersion(product=GENOA)

        assert [
            (5, "signing-key-mismatch"),
            (6, "product-mismatch"),
            (7, "tcb-mismatch"),
            (8, "chip-id-mismatch"),
        ] == reasons(misfits(report, tcb=other, hw_id=CHIP_ID[::-1]))


class TestFindFittingKeys:
    def test_some(self):
        """
        Of many keys those are found that fit, re-issues among them.
        """
        again = dataclasses.replace(LEAF, der=b"again")
        other = dataclasses.replace(LEAF, hw_id=CHIP_ID[::-1])
        known = [VLEK, LEAF, other, again, TURIN_LEAF]

        assert (LEAF, again) == find_fitting_keys(a_read_report(), known)

    def test_none(self):
        """
        There may be none, for a report that is genuine for all we know.
        """
        assert () == find_fitting_keys(a_read_report(), [VLEK, TURIN_LEAF])
