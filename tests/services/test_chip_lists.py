import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.simulate.chips import playing
from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError, ParameterError, ThimError
from thim.services.chip_lists import parse_chip, parse_tcb, read_list


MILAN, GENOA, TURIN = ProductLine
CHIP = "ab" * 64
TCB = TcbVersion(product=MILAN, bootloader=4, snp=24, microcode=219)


def read(text, *tcbs):
    """
    Read a list that has no mistakes.
    """
    found = list(read_list(text.encode(), tcbs))
    assert not [each for each in found if isinstance(each, ThimError)]
    return found


def name(product=MILAN, hw_id=CHIP, tcb=TCB):
    """
    Name a VCEK.
    """
    return ChipTcb(product=product, hw_id=bytes.fromhex(hw_id), tcb=tcb)


class TestTcb:
    @pytest.mark.parametrize(
        "text",
        [
            "DB18000000000004",
            "db18000000000004",
            "bl=4 tee=0 snp=24 ucode=219",
            "ucode=219, snp=24, bl=04",
        ],
    )
    def test_forms(self, text):
        """
        A TCB is a number, or its parts in any order.
        """
        assert TCB == parse_tcb(text, MILAN)

    def test_turin(self):
        """
        Turin has one part more.
        """
        tcb = parse_tcb("fmc=1 bl=1 tee=1 snp=4 ucode=81", TURIN)

        assert "5100000004010101" == tcb.tcbm

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "zz",
            "bl=256",
            "bl=",
            "x=1",
            "bl=1 x=1",
            "fmc=1",
            "1" * 17,
            "DB18",
            "0000000100000000",
            "bl=1bl=2",
        ],
    )
    def test_bad(self, text):
        """
        Anything else is an error that shows it.
        """
        with pytest.raises(ParameterError):
            parse_tcb(text, MILAN)


class TestChip:
    def test_forms(self):
        """
        A chip is a product line and a hardware ID.
        """
        assert (MILAN, bytes.fromhex(CHIP)) == parse_chip(f"milan:{CHIP}")
        assert (TURIN, b"\x01" * 8) == parse_chip("Turin:0101010101010101")

    @pytest.mark.parametrize("text", ["", CHIP, f"Rome:{CHIP}", "Milan:ab"])
    def test_bad(self, text):
        """
        Anything else is an error.
        """
        with pytest.raises(ParameterError):
            parse_chip(text)


class TestList:
    def test_lines(self):
        """
        A line names a chip and a TCB; a comment and a blank line nothing.
        """
        text = f"""
        # ours
        Milan,{CHIP},DB18000000000004  # the first
        genoa, {CHIP.upper()} , bl=1

        """

        assert [
            name(),
            name(GENOA, tcb=TcbVersion(product=GENOA, bootloader=1)),
        ] == read(text)

    def test_columns(self):
        """
        A first line may name the columns, in any order and with others.
        """
        text = f"name,tcb,chip_id,product\nhost,bl=1,{CHIP},Milan\n"

        assert [name(tcb=TcbVersion(product=MILAN, bootloader=1))] == read(text)

    def test_further_tcbs(self):
        """
        Each chip is named at the further TCBs of its product line too.
        """
        next_one = TcbVersion(product=MILAN, bootloader=5)
        other = TcbVersion(product=GENOA, bootloader=5)
        text = f"Milan,{CHIP},DB18000000000004\nMilan,{CHIP}\n"

        assert [name(), name(tcb=next_one), name(tcb=next_one)] == read(
            text, next_one, other
        )

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            (f"Naples,{CHIP},1", "product: got 'Naples'"),
            ("Milan,ab,1", "chip_id: got 'ab'"),
            (f"Milan,{CHIP},zz", "tcb: got 'zz'"),
            (f"Milan,{CHIP}", "no TCB beside it"),
            ("Milan", "chip_id: got ''"),
        ],
    )
    def test_bad_line(self, line, why):
        """
        A line that cannot be read is named, and the others count.
        """
        text = f"{line}\nMilan,{CHIP},DB18000000000004\n"
        error, good = read_list(text.encode(), ())

        assert isinstance(error, MalformedError)
        assert str(error).startswith(f"line 1: {why}")
        assert name() == good

    def test_spreadsheet(self):
        """
        What a spreadsheet writes may begin with a byte order mark.
        """
        text = f"\ufeffproduct,chip_id,tcb\nMilan,{CHIP},{TCB.tcbm}\n"

        assert [name()] == read(text)

    def test_as_long_as_a_report(self):
        """
        A list of 1184 bytes is a list.
        """
        text = f"Milan,{CHIP},{TCB.tcbm}\n".ljust(1183, "#") + "\n"

        assert [name()] == read(text)

    def test_endless_field(self):
        """
        A field that no list has is refused, and does not end the program.
        """
        (found,) = read_list(f"Milan,{'a' * 200_000},1".encode(), [])

        assert isinstance(found, ThimError)
        assert "list" == found.reason

    def test_not_text(self):
        """
        What is no text is no list.
        """
        (error,) = read_list(b"\xff\xfe", ())

        assert isinstance(error, MalformedError)

    @given(st.binary(max_size=300))
    def test_any_bytes(self, content):
        """
        Whatever it is, there are names and errors.
        """
        for each in read_list(content, ()):
            assert isinstance(each, ChipTcb | ThimError)


@pytest.fixture(scope="module")
def amd():
    """
    A simulated AMD, for its reports.
    """
    with playing() as running:
        yield running


class TestReport:
    @pytest.mark.parametrize(
        ("chip", "product"),
        [("milan-1", MILAN), ("bergamo-1", GENOA), ("turin-1", TURIN)],
    )
    def test_names_itself(self, amd, chip, product):
        """
        A report names its chip and the TCB that it reports.
        """
        (found,) = read_list(amd.report(chip), ())

        assert isinstance(found, ChipTcb)
        assert product is found.product
        assert amd.chip(chip).hw_id == found.hw_id

    def test_version_2(self, amd):
        """
        Before version 3 Milan and Genoa look alike: both are named.
        """
        found = list(read_list(amd.report("milan-1", version=2), ()))

        names = [each for each in found if isinstance(each, ChipTcb)]
        assert [MILAN, GENOA] == [name.product for name in names]

    def test_hidden(self, amd):
        """
        One that hides the chip is an error.
        """
        report = amd.report("milan-1", chip_id=bytes(64))
        (error,) = read_list(report, ())

        assert isinstance(error, MalformedError)

    def test_no_report(self):
        """
        So is what only has a report's size.
        """
        (error,) = read_list(bytes(1184), ())

        assert isinstance(error, MalformedError)
