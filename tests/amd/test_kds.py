import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.amd.authorities import KeyKind
from thim.amd.kds import (
    ChipTcb,
    chain_path,
    crl_path,
    parse_chip_id,
    parse_hw_id,
    parse_product,
    parse_spls,
    vcek_path,
    vlek_path,
)
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError, ParameterError


MILAN, GENOA, TURIN = ProductLine
HW_ID = bytes(range(1, 65))
TURIN_ID = bytes.fromhex("59790fb1c39f35c1")

products = st.sampled_from(ProductLine)
spl = st.integers(0, 255)


@st.composite
def names(draw):
    """
    Any chip at any TCB.
    """
    product = draw(products)
    size = product.hw_id_size
    return ChipTcb(
        product=product,
        hw_id=draw(st.binary(min_size=size, max_size=size).filter(any)),
        tcb=TcbVersion(
            product=product,
            **{each: draw(spl) for each in product.components},
        ),
    )


def read_path(path):
    """
    Take a path apart, in the way of a server.
    """
    path, _, query = path.partition("?")
    pairs = dict(pair.split("=") for pair in query.split("&"))
    return path.split("/")[1:], pairs


class TestChipTcb:
    @pytest.mark.parametrize(
        ("product", "size"), [(MILAN, 63), (GENOA, 8), (TURIN, 64), (TURIN, 7)]
    )
    def test_length(self, product, size):
        """
        A hardware ID is as long as its product line's are.
        """
        tcb = TcbVersion(product=product)

        with pytest.raises(MalformedError, match="hardware ID of") as e:
            ChipTcb(product=product, hw_id=b"1" * size, tcb=tcb)
        assert "hwid-length" == e.value.reason

    def test_zero(self):
        """
        A masked ID names no chip.
        """
        tcb = TcbVersion(product=TURIN)

        with pytest.raises(MalformedError, match="zero") as e:
            ChipTcb(product=TURIN, hw_id=bytes(8), tcb=tcb)
        assert "hwid-zero" == e.value.reason

    def test_tcb_of_another_product_line(self):
        """
        Chip and TCB are of one product line.
        """
        tcb = TcbVersion(product=GENOA)

        with pytest.raises(ValueError, match="Genoa TCB for Milan"):
            ChipTcb(product=MILAN, hw_id=HW_ID, tcb=tcb)

    def test_repr_hides_the_chip(self):
        """
        What may stand in a log does not name the machine.
        """
        tcb = TcbVersion(product=TURIN)
        name = ChipTcb(product=TURIN, hw_id=TURIN_ID, tcb=tcb)

        assert repr(TURIN_ID) not in repr(name)


class TestPaths:
    def test_milan(self):
        """
        A VCEK by chip and TCB, as KDS's clients ask for ``DB18000000000004``.
        """
        tcb = TcbVersion.from_tcbm("DB18000000000004", MILAN)
        name = ChipTcb(product=MILAN, hw_id=HW_ID, tcb=tcb)

        assert (
            f"/vcek/v1/Milan/{HW_ID.hex()}"
            "?blSPL=4&teeSPL=0&snpSPL=24&ucodeSPL=219"
        ) == vcek_path(name)

    def test_turin(self):
        """
        Turin's hardware ID is short, and the FMC comes first.
        """
        tcb = TcbVersion.from_bytes(bytes.fromhex("0101010400000051"), TURIN)
        name = ChipTcb(product=TURIN, hw_id=TURIN_ID, tcb=tcb)

        assert (
            "/vcek/v1/Turin/59790fb1c39f35c1"
            "?fmcSPL=1&blSPL=1&teeSPL=1&snpSPL=4&ucodeSPL=81"
        ) == vcek_path(name)

    def test_vlek(self):
        """
        A VLEK is asked for by its TCB only.
        """
        tcb = TcbVersion.from_tcbm("541700000000000a", GENOA)

        assert (
            "/vlek/v1/Genoa/cert?blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84"
        ) == vlek_path(tcb)

    @given(names())
    def test_round_trip(self, name):
        """
        What we ask AMD is what we would read ourselves.
        """
        parts, query = read_path(vcek_path(name))
        product = parse_product(parts[2])

        assert ["vcek", "v1"] == parts[:2]
        assert name == ChipTcb(
            product=product,
            hw_id=parse_hw_id(product, parts[3]),
            tcb=parse_spls(product, query),
        )

    def test_chain(self):
        """
        The chain of each kind of keys.
        """
        assert "/vcek/v1/Turin/cert_chain" == chain_path(KeyKind.VCEK, TURIN)
        assert "/vlek/v1/Milan/cert_chain" == chain_path(KeyKind.VLEK, MILAN)

    def test_crl(self):
        """
        The list of each kind of keys.
        """
        assert "/vcek/v1/Genoa/crl" == crl_path(KeyKind.VCEK, GENOA)
        assert "/vlek/v1/Turin/crl" == crl_path(KeyKind.VLEK, TURIN)


class TestProduct:
    @pytest.mark.parametrize(
        ("text", "product"),
        [
            ("Milan", MILAN),
            ("Genoa", GENOA),
            ("Siena", GENOA),
            ("turin", TURIN),
        ],
    )
    def test_known(self, text, product):
        """
        A product line by its name.
        """
        assert product is parse_product(text)

    def test_unknown(self):
        """
        Another name is the caller's mistake.
        """
        with pytest.raises(ParameterError, match="product: got 'Venice'"):
            parse_product("Venice")


class TestChipId:
    @given(st.binary(min_size=64, max_size=64).filter(any))
    def test_round_trip(self, chip_id):
        """
        128 digits, in any case.
        """
        assert chip_id == parse_chip_id(chip_id.hex())
        assert chip_id == parse_chip_id(chip_id.hex().upper())

    @pytest.mark.parametrize(
        "text",
        ["", "deadbeef", "0" * 127, "0" * 129, "0" * 126 + "0g", "0" * 128],
    )
    def test_anything_else(self, text):
        """
        More, fewer or other characters are the caller's mistake.
        """
        with pytest.raises(ParameterError, match="chip_id"):
            parse_chip_id(text)

    def test_spaces(self):
        """
        Python would skip spaces; here they are no digits.
        """
        with pytest.raises(ParameterError, match="chip_id"):
            parse_chip_id("00 " * 42 + "00")


class TestHwId:
    @pytest.mark.parametrize("product", [MILAN, GENOA])
    def test_64_bytes(self, product):
        """
        Before Turin a hardware ID is all of the CHIP_ID, in any case.
        """
        assert HW_ID == parse_hw_id(product, HW_ID.hex().upper())

    @pytest.mark.parametrize("rest", ["", "0" * 112])
    def test_turin(self, rest):
        """
        Turin's has 16 digits; the zeros of a CHIP_ID may follow.
        """
        assert TURIN_ID == parse_hw_id(TURIN, TURIN_ID.hex().upper() + rest)

    @pytest.mark.parametrize("product", [MILAN, GENOA])
    @pytest.mark.parametrize("rest", ["", "0" * 112])
    def test_turin_asked_for_as_another(self, product, rest):
        """
        An ID of Turin's shape under another name says what it is.
        """
        with pytest.raises(ParameterError, match="in a request for Turin"):
            parse_hw_id(product, TURIN_ID.hex() + rest)

    def test_another_asked_for_as_turin(self):
        """
        An ID whose rest is not zero is none of Turin's, even in its last bit.
        """
        text = TURIN_ID.hex() + "0" * 111 + "1"

        with pytest.raises(ParameterError, match="or 112 zeros behind"):
            parse_hw_id(TURIN, text)
        assert bytes.fromhex(text) == parse_hw_id(GENOA, text)

    @pytest.mark.parametrize("product", ProductLine)
    @pytest.mark.parametrize("digits", [16, 128])
    def test_zero(self, product, digits):
        """
        The ID that a host shows instead of the chip's names no chip.
        """
        with pytest.raises(ParameterError, match="the host hides"):
            parse_hw_id(product, "0" * digits)

    @pytest.mark.parametrize(
        "text", ["", "1" * 15, "1" * 17, "1" * 18, "1" * 126, "1" * 130]
    )
    @pytest.mark.parametrize("product", ProductLine)
    def test_other_lengths(self, product, text):
        """
        There are two lengths.
        """
        with pytest.raises(ParameterError, match="hexadecimal digits"):
            parse_hw_id(product, text)

    @pytest.mark.parametrize("text", ["1" * 15 + "g", "1" * 15 + "\u0661"])
    def test_other_digits(self, text):
        """
        Digits are ASCII.
        """
        with pytest.raises(ParameterError, match="16 hexadecimal digits"):
            parse_hw_id(TURIN, text)

    def test_how_many_digits_are_expected(self):
        """
        The message says how many digits the product line's IDs have.
        """
        with pytest.raises(ParameterError, match="128 hexadecimal digits"):
            parse_hw_id(MILAN, "deadbeef")


class TestSpls:
    def test_all(self):
        """
        Each parameter is a component, in any order.
        """
        query = {
            "ucodeSPL": "219",
            "snpSPL": "24",
            "teeSPL": "0",
            "blSPL": "4",
            "fmcSPL": "7",
        }

        assert TcbVersion(
            product=TURIN, fmc=7, bootloader=4, tee=0, snp=24, microcode=219
        ) == parse_spls(TURIN, query)

    @pytest.mark.parametrize("text", ["4", "04", "004"])
    def test_zero_padding(self, text):
        """
        Some clients write zeros in front.
        """
        assert 4 == parse_spls(MILAN, {"blSPL": text}).bootloader

    def test_missing(self):
        """
        What is not asked for is 0.
        """
        assert TcbVersion(product=GENOA) == parse_spls(GENOA, {})

    def test_unknown(self):
        """
        Other parameters mean nothing.
        """
        query = {"api-version": "1", "BLSPL": "9"}

        assert TcbVersion(product=GENOA) == parse_spls(GENOA, query)

    @pytest.mark.parametrize(
        "parameter", ["fmcSPL", "blSPL", "teeSPL", "snpSPL", "ucodeSPL"]
    )
    @pytest.mark.parametrize(
        "text",
        ["", "256", "0004", "-1", "+1", " 1", "1_0", "0x1", "1.0", "\u0663"],
    )
    def test_no_such_number(self, parameter, text):
        """
        Only the numbers from 0 to 255 in at most three ASCII digits.
        """
        with pytest.raises(ParameterError, match=f"{parameter}: got"):
            parse_spls(TURIN, {parameter: text})

    def test_the_largest(self):
        """
        255 is a number like others.
        """
        assert 255 == parse_spls(MILAN, {"ucodeSPL": "255"}).microcode

    @pytest.mark.parametrize("product", [MILAN, GENOA])
    def test_fmc(self, product):
        """
        Before Turin there is no FMC: it may be asked for as 0 only.
        """
        with pytest.raises(ParameterError, match="fmcSPL: got '1'"):
            parse_spls(product, {"fmcSPL": "1"})
        assert 0 == parse_spls(product, {"fmcSPL": "00"}).fmc
