import pytest

from tests.amd.test_hcl import an_hcl_report
from thim.agent.chip import Chip, Source
from thim.agent.identity import Declared, Read, parse_tcbm, settle
from thim.amd.hcl import HardwareReport
from thim.amd.tcb import ProductLine
from thim.errors import MalformedError, OperatorError


MILAN_ID = bytes(range(1, 65))
TURIN_ID = bytes(range(1, 9)) + bytes(56)
TCB = bytes.fromhex("04000000000018db")


def read(**changes):
    """
    Make what a source says.
    """
    said = {
        "product": ProductLine.MILAN,
        "chip_id": MILAN_ID,
        "tcb": TCB,
        "report": None,
        "source": "there",
        **changes,
    }
    return Read(**said)


class TestSettle:
    def test_source_alone(self):
        """
        What a source says counts.
        """
        found = settle(read(), Declared())
        assert (MILAN_ID, TCB) == (found.chip_id, found.tcb)
        assert ProductLine.MILAN is found.product

    def test_same(self):
        """
        A declaration that says the same is no contradiction.
        """
        declared = Declared(
            product=ProductLine.MILAN, chip_id=MILAN_ID, tcb=TCB
        )
        assert MILAN_ID == settle(read(), declared).chip_id

    @pytest.mark.parametrize(
        ("declared", "both"),
        [
            (
                Declared(chip_id=bytes(63) + b"\1"),
                "chip_id 01020304… 00000000…",
            ),
            (Declared(tcb=bytes(8)), "tcb DB18000000000004 0000000000000000"),
            (Declared(product=ProductLine.GENOA), "product Milan Genoa"),
        ],
        ids=["chip", "tcb", "product"],
    )
    def test_contradiction(self, declared, both):
        """
        A contradiction is an error that says both.
        """
        name, first, second = both.split()
        want = f"there says {name} {first}, but {second} is declared"
        with pytest.raises(OperatorError, match=want):
            settle(read(), declared)

    def test_masked(self):
        """
        A chip's ID that is hidden is declared, or it is an error.
        """
        masked = read(chip_id=bytes(64))
        assert MILAN_ID == settle(masked, Declared(chip_id=MILAN_ID)).chip_id
        with pytest.raises(OperatorError, match=r"declare it: chip\.chip_id"):
            settle(masked, Declared())

    def test_product_declared(self):
        """
        A source that does not say the product line leaves it to be declared.
        """
        declared = Declared(product=ProductLine.GENOA)
        found = settle(read(product=None), declared)
        assert ProductLine.GENOA is found.product

    @pytest.mark.parametrize(
        "declared", [Declared(), Declared(chip_id=MILAN_ID), Declared(tcb=TCB)]
    )
    def test_too_little(self, declared):
        """
        Without a source it takes both, ID and TCB.
        """
        with pytest.raises(OperatorError, match="expected a source, or"):
            settle(None, declared)


class TestNames:
    @pytest.mark.parametrize(
        ("product", "chip_id", "expected"),
        [
            (ProductLine.GENOA, MILAN_ID, [ProductLine.GENOA]),
            (None, MILAN_ID, [ProductLine.MILAN, ProductLine.GENOA]),
            (None, TURIN_ID, [ProductLine.TURIN]),
        ],
    )
    def test_product_lines(self, product, chip_id, expected):
        """
        By a chip's ID Turin can be told from the others, which are alike.
        """
        declared = Declared(product=product, chip_id=chip_id, tcb=bytes(8))
        names = settle(None, declared).names()
        assert expected == [name.product for name in names]

    def test_not_turin(self):
        """
        A whole ID of 64 bytes is no Turin's.
        """
        declared = Declared(
            product=ProductLine.TURIN, chip_id=MILAN_ID, tcb=bytes(8)
        )
        with pytest.raises(MalformedError, match="is not Turin's"):
            settle(None, declared).names()

    def test_not_shown(self):
        """
        No repr has a chip's ID.
        """
        found = settle(read(), Declared())
        assert str(MILAN_ID)[2:12] not in repr(found) + repr(read())


class TestTcbm:
    def test_number(self):
        """
        Leading zeros may be left out; the microcode comes first.
        """
        assert TCB == parse_tcbm("db18000000000004")
        assert b"\4" + bytes(7) == parse_tcbm("4")

    @pytest.mark.parametrize("text", ["", "0" * 17, "+1", "0x1", "g"])
    def test_no_number(self, text):
        """
        What is no such number is refused.
        """
        with pytest.raises(ValueError, match="1 to 16 hexadecimal"):
            parse_tcbm(text)


class TestFiles:
    def test_hcl(self, vendor, tmp_path):
        """
        Azure's report is unwrapped.
        """
        path = tmp_path / "hcl"
        path.write_bytes(vendor.hcl_report("turin-1"))
        found = Chip(source=Source.HCL, path=path).read()
        assert vendor.chip("turin-1").chip_id == found.chip_id
        assert ProductLine.TURIN is found.product

    @pytest.mark.parametrize("source", [Source.REPORT, Source.HCL])
    @pytest.mark.parametrize("content", [b"", b"x" * 1184, None])
    def test_unusable(self, tmp_path, source, content):
        """
        A file that is no report, or is not there, is an error that names it.
        """
        path = tmp_path / "it"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(OperatorError, match=f"chip: {path}: "):
            Chip(source=source, path=path).read()

    def test_tdx(self, tmp_path):
        """
        Azure's report of a TDX machine names no chip of AMD's.
        """
        path = tmp_path / "hcl"
        path.write_bytes(an_hcl_report(HardwareReport.TDX))
        with pytest.raises(OperatorError, match="report of TDX, expected SNP"):
            Chip(source=Source.HCL, path=path).read()
