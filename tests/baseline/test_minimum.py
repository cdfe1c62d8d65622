import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.amd.tcb import ProductLine, TcbVersion
from thim.baseline.minimum import (
    Floor,
    Minimum,
    Shortfall,
    Silicon,
    list_shortfalls,
    list_unjudged,
)


GENOA, BERGAMO = Silicon(0x19, 0x11, 1), Silicon(0x19, 0xA0, 2)
SB = "AMD-SB-3019"
MINIMUM = Minimum(
    components={"snp": Floor(spl=22, source=SB)},
    microcode={
        GENOA: Floor(spl=84, source=SB),
        BERGAMO: Floor(spl=25, source="AMD-SB-7033"),
    },
)
levels = st.integers(0, 255)
versions = st.builds(
    TcbVersion,
    product=st.just(ProductLine.TURIN),
    bootloader=levels,
    tee=levels,
    snp=levels,
    microcode=levels,
    fmc=levels,
)
chosen = st.dictionaries(
    st.sampled_from(["fmc", "bootloader", "tee", "snp"]),
    st.builds(Floor, spl=levels, source=st.just(SB)),
)


def genoa(**parts):
    """
    A TCB of Genoa.
    """
    return TcbVersion(product=ProductLine.GENOA, **parts)


class TestShortfalls:
    @pytest.mark.parametrize(("snp", "count"), [(21, 1), (22, 0), (23, 0)])
    def test_component(self, snp, count):
        """
        A component below its floor falls short; at the floor it does not.
        """
        found = list(list_shortfalls(genoa(snp=snp), MINIMUM, None))

        assert count == len(found)

    def test_says_by_how_much(self):
        """
        A shortfall says what was found, what is needed, and by which source.
        """
        (found,) = list_shortfalls(genoa(snp=3), MINIMUM, None)

        assert (
            Shortfall(component="snp", found=3, needed=22, source=SB) == found
        )

    @pytest.mark.parametrize(
        ("silicon", "needed"),
        [
            (GENOA, [84]),
            (BERGAMO, []),
            (Silicon(0x19, 0x11, 2), []),
            (None, []),
        ],
    )
    def test_microcode_by_silicon(self, silicon, needed):
        """
        Microcode is compared with that of the very same silicon only.
        """
        tcb = genoa(snp=22, microcode=30)

        found = list_shortfalls(tcb, MINIMUM, silicon)

        assert needed == [each.needed for each in found]

    def test_one_does_not_make_up_for_another(self):
        """
        Components are compared one by one: a newer one makes up for nothing.
        """
        minimum = Minimum(
            components={
                "bootloader": Floor(spl=9, source=SB),
                "snp": Floor(spl=22, source=SB),
            }
        )
        tcb = genoa(bootloader=8, tee=255, snp=255, microcode=255)

        (found,) = list_shortfalls(tcb, minimum, GENOA)

        assert "bootloader" == found.component

    @given(versions, chosen)
    def test_either_or(self, tcb, floors):
        """
        What falls short is what is below its floor, and nothing else.
        """
        found = list_shortfalls(tcb, Minimum(components=floors), None)

        assert {
            name
            for name, floor in floors.items()
            if getattr(tcb, name) < floor.spl
        } == {each.component for each in found}


class TestUnjudged:
    def test_unknown_silicon(self):
        """
        There is no opinion on microcode of silicon that is not listed.
        """
        assert ("bootloader", "tee", "microcode") == list_unjudged(
            genoa(), MINIMUM, None
        )

    def test_known_silicon(self):
        """
        There is one where the silicon is listed.
        """
        assert ("bootloader", "tee") == list_unjudged(genoa(), MINIMUM, GENOA)

    def test_no_opinion(self):
        """
        A minimum without floors has no opinion at all.
        """
        tcb = genoa()

        assert tcb.product.components == list_unjudged(tcb, Minimum(), GENOA)
        assert [] == list(list_shortfalls(tcb, Minimum(), GENOA))

    @given(versions, chosen)
    def test_judged_or_not(self, tcb, floors):
        """
        Each component is either judged or said not to be.
        """
        unjudged = list_unjudged(tcb, Minimum(components=floors), None)

        assert set(tcb.product.components) == {*unjudged, *floors}
        assert not set(unjudged) & set(floors)


class TestSilicon:
    def test_spelling(self):
        """
        A silicon is spelled in hexadecimal digits.
        """
        assert "19/11/1" == str(GENOA)
        assert "19/A0/2" == str(BERGAMO)
