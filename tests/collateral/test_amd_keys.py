from datetime import timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.made_amd import CHIP, GENOA, MILAN, NAME, TURIN
from thim.amd.authorities import KeyKind
from thim.amd.kds import ChipTcb
from thim.amd.tcb import TcbVersion
from thim.collateral.amd_keys import (
    VCEK_TARGETS,
    amd_crl_key,
    cert_chain_key,
    chip_of,
    is_vcek,
    key_kind_of,
    longest_plan,
    product_of,
    vcek_key,
    vcek_target,
)
from thim.collateral.records import (
    AMD,
    ROOT_CA_CRL,
    CollateralKey,
    Kind,
    pck_certificates_key,
)
from thim.collateral.targets import Target
from thim.errors import MalformedError


DOCUMENT = Target(key=cert_chain_key(KeyKind.VCEK, MILAN))


def key(subject: str, kind: Kind = Kind.VCEK) -> CollateralKey:
    """
    Name a document of AMD's by hand.
    """
    return CollateralKey(kind=kind, subject=subject, vendor=AMD)


@st.composite
def chips(draw):
    """
    Name a chip at a TCB.
    """
    product = draw(st.sampled_from((MILAN, GENOA, TURIN)))
    size = product.hw_id_size
    hw_id = draw(st.binary(min_size=size, max_size=size).filter(any))
    spls = {part: draw(st.integers(0, 255)) for part in product.components}
    tcb = TcbVersion(product=product, **spls)
    return ChipTcb(product=product, hw_id=hw_id, tcb=tcb)


class TestNames:
    @pytest.mark.parametrize(
        ("found", "name"),
        [
            (
                cert_chain_key(KeyKind.VCEK, MILAN),
                "amd/cert-chain/Milan:vcek/0",
            ),
            (
                cert_chain_key(KeyKind.VLEK, TURIN),
                "amd/cert-chain/Turin:vlek/0",
            ),
            (amd_crl_key(KeyKind.VLEK, GENOA), "amd/crl/Genoa:vlek/0"),
            (
                vcek_key(NAME),
                f"amd/vcek/Milan:{CHIP.hex().upper()}:DB18000000000004/0",
            ),
        ],
    )
    def test_written(self, found, name):
        """
        Each has the name that is in stores and on command lines, and is read
        back from it.
        """
        assert name == str(found)
        assert found == CollateralKey.from_name(name)

    def test_case_of_a_chip(self):
        """
        A chip may be written in small letters, a product line not.
        """
        name = str(vcek_key(NAME)).replace(CHIP.hex().upper(), CHIP.hex())

        assert vcek_key(NAME) == CollateralKey.from_name(name)


class TestParts:
    @pytest.mark.parametrize("product", [MILAN, GENOA, TURIN])
    @pytest.mark.parametrize("kind", KeyKind)
    @pytest.mark.parametrize("make", [cert_chain_key, amd_crl_key])
    def test_of_a_chain_or_list(self, make, kind, product):
        """
        Kind and product line come back from the name.
        """
        found = make(kind, product)

        assert (kind, product) == (key_kind_of(found), product_of(found))

    @given(chips())
    def test_of_a_chip(self, name):
        """
        Chip and TCB come back from the name, and from the target's.
        """
        assert name == chip_of(vcek_key(name))
        assert name == chip_of(Target.from_name(str(vcek_target(name))).key)

    @pytest.mark.parametrize(
        ("subject", "reason"),
        [
            (f"Naples:{CHIP.hex()}:00", "product-unknown"),
            ("Milan:XY:00", "hw-id"),
            ("Milan:00ff:00", "hwid-length"),
            (f"Milan:{bytes(64).hex()}:00", "hwid-zero"),
            (f"Milan:{CHIP.hex()}:", "tcbm"),
            (f"Milan:{CHIP.hex()}:0000000000010000", "tcb-reserved"),
            ("Milan", "tcbm"),
            ("", "product-unknown"),
        ],
    )
    def test_of_no_chip(self, subject, reason):
        """
        What names no chip at a TCB is refused, each by its reason.
        """
        with pytest.raises(MalformedError) as e:
            chip_of(key(subject))

        assert reason == e.value.reason

    @pytest.mark.parametrize("subject", ["Milan", "Milan:", "Milan:VCEK", ""])
    def test_no_kind(self, subject):
        """
        A subject without a kind of keys is refused, with what is expected.
        """
        with pytest.raises(MalformedError, match="PRODUCT:vcek or") as e:
            key_kind_of(key(subject, Kind.CRL))

        assert "key-kind" == e.value.reason


class TestTargets:
    @given(chips())
    def test_lie_together(self, name):
        """
        The targets of VCEKs lie between the two marks, as text is ordered.
        """
        first, end = VCEK_TARGETS

        assert first <= str(vcek_target(name)) < end

    @pytest.mark.parametrize(
        "other",
        [
            cert_chain_key(KeyKind.VCEK, MILAN),
            amd_crl_key(KeyKind.VCEK, MILAN),
            ROOT_CA_CRL,
            pck_certificates_key(bytes(16), bytes(2)),
        ],
    )
    def test_nobody_else_there(self, other):
        """
        No other target is one, nor lies there.
        """
        target = Target(key=other)
        first, end = VCEK_TARGETS

        assert not is_vcek(target)
        assert not first <= str(target) < end

    def test_is_vcek(self):
        """
        A VCEK is one.
        """
        assert is_vcek(vcek_target(NAME))

    def test_longest_plan(self):
        """
        A VCEK is planned for little more than an hour, the longest wait after
        a failure; documents are for weeks.
        """
        plans = [longest_plan(vcek_target(NAME)), longest_plan(DOCUMENT)]

        assert [timedelta(minutes=65), timedelta(days=40)] == plans
