import dataclasses

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError


MILAN, GENOA, TURIN = ProductLine

spl = st.integers(0, 255)


def versions(product: ProductLine) -> st.SearchStrategy[TcbVersion]:
    """
    Any TCB version that a chip of *product* could report.
    """
    return st.builds(
        TcbVersion,
        product=st.just(product),
        bootloader=spl,
        tee=spl,
        snp=spl,
        microcode=spl,
        fmc=spl if product is TURIN else st.just(0),
    )


products = st.sampled_from(ProductLine)
any_version = products.flatmap(versions)
rivals = products.flatmap(lambda p: st.tuples(versions(p), versions(p)))


def wire(v: TcbVersion) -> bytes:
    """
    Encode *v* by hand, so that the parser is not checked against itself.
    """
    if v.product is TURIN:
        return bytes([v.fmc, v.bootloader, v.tee, v.snp, 0, 0, 0, v.microcode])
    return bytes([v.bootloader, v.tee, 0, 0, 0, 0, v.snp, v.microcode])


class TestFromBytes:
    def test_agrees_with_the_vcek_of_the_same_chip(self):
        """
        The reported TCB of a real Milan report reads as the patch levels that
        AMD wrote into that chip's VCEK (the corpus, ``attestation/snp-2025``).
        """
        v = TcbVersion.from_bytes(bytes.fromhex("0300000000000873"), MILAN)

        assert (
            TcbVersion(
                product=MILAN, bootloader=3, tee=0, snp=8, microcode=0x73
            )
            == v
        )

    def test_product_decides_the_layout(self):
        """
        The same bytes are another version on Turin.
        """
        raw = bytes.fromhex("0102000000000007")

        assert TcbVersion(
            product=GENOA, bootloader=1, tee=2, microcode=7
        ) == TcbVersion.from_bytes(raw, GENOA)
        assert TcbVersion(
            product=TURIN, fmc=1, bootloader=2, microcode=7
        ) == TcbVersion.from_bytes(raw, TURIN)

    @given(any_version)
    def test_reads_every_field_from_its_place(self, v):
        """
        Whatever a chip may report is read back field by field.
        """
        assert v == TcbVersion.from_bytes(wire(v), v.product)

    @pytest.mark.parametrize("size", [0, 7, 9])
    def test_wrong_length(self, size):
        """
        Short and long input is refused, and the message says how long it was.
        """
        with pytest.raises(MalformedError, match=f"{size} bytes, expected 8"):
            TcbVersion.from_bytes(bytes(size), MILAN)

    @pytest.mark.parametrize(
        ("product", "offset"),
        [(MILAN, 2), (GENOA, 5), (TURIN, 4), (TURIN, 6)],
    )
    def test_reserved_byte(self, product, offset):
        """
        A reserved byte that is set is refused rather than dropped: it may be
        a patch level that we do not know yet.
        """
        raw = bytearray(8)
        raw[offset] = 1

        with pytest.raises(MalformedError, match="reserved byte set"):
            TcbVersion.from_bytes(bytes(raw), product)


class TestInvariant:
    @pytest.mark.parametrize("level", [-1, 256])
    def test_one_byte_each(self, level):
        """
        A patch level is one byte.
        """
        with pytest.raises(MalformedError, match=f"snp is {level}"):
            TcbVersion(product=MILAN, snp=level)

    def test_no_fmc_before_turin(self):
        """
        A component that the product does not have cannot be set.
        """
        with pytest.raises(MalformedError, match="Milan has no FMC"):
            TcbVersion(product=MILAN, fmc=1)


class TestFromTcbm:
    def test_microcode_comes_first(self):
        """
        The hex form is the 64-bit number, so its bytes run the other way.
        """
        v = TcbVersion.from_tcbm("DB18000000000004", MILAN)

        assert (
            TcbVersion(product=MILAN, bootloader=4, snp=0x18, microcode=0xDB)
            == v
        )

    def test_without_leading_zeros(self):
        """
        A number in hexadecimal digits may be short.
        """
        v = TcbVersion.from_tcbm("8000000000003", MILAN)

        assert TcbVersion(product=MILAN, bootloader=3, snp=8) == v
        assert "0008000000000003" == v.tcbm

    def test_turin(self):
        """
        Turin's number begins with the microcode too, and ends with the FMC.
        """
        v = TcbVersion.from_tcbm("5100000004010101", TURIN)

        assert bytes.fromhex("0101010400000051") == v.to_bytes()
        assert (1, 1, 1, 4, 0x51) == (
            v.fmc,
            v.bootloader,
            v.tee,
            v.snp,
            v.microcode,
        )

    @given(any_version)
    def test_back_again(self, v):
        """
        What is written is read back.
        """
        assert v == TcbVersion.from_tcbm(v.tcbm, v.product)
        assert wire(v) == v.to_bytes()

    @pytest.mark.parametrize(
        "text", ["", "zz", "0x1", "-1", "+1", " 1", "1_0", "1" * 17, "\u0661"]
    )
    def test_not_hex(self, text):
        """
        What is not 1 to 16 hexadecimal digits is malformed.
        """
        with pytest.raises(MalformedError, match="1 to 16 hexadecimal"):
            TcbVersion.from_tcbm(text, MILAN)


class TestShortfalls:
    def test_names_what_is_behind(self):
        """
        Only the components below the floor are named, so an operator knows
        what to update.
        """
        floor = TcbVersion(product=GENOA, bootloader=9, snp=20, microcode=80)
        chip = dataclasses.replace(floor, snp=19, microcode=81)

        assert ("snp",) == chip.shortfalls(floor)

    def test_fmc_counts_on_turin(self):
        """
        Turin's extra component is part of the comparison.
        """
        floor = TcbVersion(product=TURIN, fmc=1)

        assert ("fmc",) == TcbVersion(product=TURIN).shortfalls(floor)

    @given(any_version)
    def test_every_version_meets_itself(self, v):
        """
        A chip exactly at the floor is not behind.
        """
        assert () == v.shortfalls(v)

    @given(rivals)
    def test_only_equals_meet_each_other(self, pair):
        """
        If neither of two versions is behind the other, they are the same.
        """
        a, b = pair

        assert (a == b) == (not a.shortfalls(b) and not b.shortfalls(a))

    def test_other_product(self):
        """
        Comparing across product lines is a bug in the caller, not bad input.
        """
        with pytest.raises(ValueError, match="Milan TCB against Turin"):
            TcbVersion(product=MILAN).shortfalls(TcbVersion(product=TURIN))


class TestProductLine:
    @pytest.mark.parametrize(
        ("name", "product"),
        [
            ("Milan", MILAN),
            ("genoa", GENOA),
            ("Bergamo", GENOA),
            ("SIENA", GENOA),
            ("Turin", TURIN),
        ],
    )
    def test_names(self, name, product):
        """
        Bergamo and Siena are Genoa, and case does not matter.
        """
        assert product is ProductLine.from_name(name)

    @pytest.mark.parametrize("name", ["", "Naples", "Milan-B0", "Venice"])
    def test_unknown_name(self, name):
        """
        Any other name is refused with the names that there are.
        """
        with pytest.raises(MalformedError, match="Milan, Genoa, Turin") as e:
            ProductLine.from_name(name)

        assert "product-unknown" == e.value.reason

    @pytest.mark.parametrize(
        ("family", "model", "product"),
        [
            (0x19, 0x00, MILAN),
            (0x19, 0x0F, MILAN),
            (0x19, 0x10, GENOA),
            (0x19, 0x1F, GENOA),
            (0x19, 0xA0, GENOA),
            (0x19, 0xAF, GENOA),
            (0x1A, 0x00, TURIN),
            (0x1A, 0x11, TURIN),
        ],
    )
    def test_cpuid(self, family, model, product):
        """
        Family and model name the product line.
        """
        assert product is ProductLine.from_cpuid(family, model)

    @pytest.mark.parametrize(
        ("family", "model"),
        [(0x17, 1), (0x19, 0x20), (0x19, 0x9F), (0x19, 0xB0), (0x1A, 0x12)],
    )
    def test_unknown_cpuid(self, family, model):
        """
        Those of no product line that is known are refused.
        """
        with pytest.raises(MalformedError, match="unknown product"):
            ProductLine.from_cpuid(family, model)

    def test_sizes(self):
        """
        Turin's hardware ID has 8 bytes, the others' 64.
        """
        assert [64, 64, 8] == [product.hw_id_size for product in ProductLine]
