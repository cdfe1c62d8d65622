import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.amd.report_fields import (
    Cpuid,
    FirmwareVersion,
    GuestPolicy,
    PlatformFlag,
    PlatformInfo,
    PolicyFlag,
)
from thim.amd.tcb import ProductLine
from thim.errors import MalformedError


class TestGuestPolicy:
    def test_bits(self):
        """
        Each bit has its name in document 56860.
        """
        assert {
            "SMT": 16,
            "MIGRATE_MA": 18,
            "DEBUG": 19,
            "SINGLE_SOCKET": 20,
            "CXL_ALLOW": 21,
            "MEM_AES_256_XTS": 22,
            "RAPL_DIS": 23,
            "CIPHERTEXT_HIDING_DRAM": 24,
            "PAGE_SWAP_DISABLE": 25,
        } == {flag.name: flag.value.bit_length() - 1 for flag in PolicyFlag}

    @given(st.integers(0, (1 << 26) - 1))
    def test_any(self, number):
        """
        Bit 17 is one; any of the others below 26 may be.
        """
        policy = GuestPolicy(raw=number | 1 << 17)

        assert number | 1 << 17 == policy.raw
        assert {flag for flag in PolicyFlag if number & flag.value} == set(
            policy.flags
        )

    def test_azure(self):
        """
        Azure's guests ask for ABI version 0.31 and permit SMT.
        """
        policy = GuestPolicy(raw=0x3001F)

        assert PolicyFlag.SMT == policy.flags
        assert (0, 31) == (policy.abi_major, policy.abi_minor)
        assert not policy.debug

    def test_abi(self):
        """
        The major part of the version is the upper byte.
        """
        policy = GuestPolicy(raw=0x3A2B3)

        assert (0xA2, 0xB3) == (policy.abi_major, policy.abi_minor)

    def test_debug(self):
        """
        A guest that may be debugged says so.
        """
        assert GuestPolicy(raw=0xB0000).debug

    @pytest.mark.parametrize("number", [0, 0x1001F, ((1 << 64) - 1) ^ 1 << 17])
    def test_bit_17(self, number):
        """
        Bit 17 is one, whatever the others are.
        """
        with pytest.raises(MalformedError, match="bit 17 to be one") as e:
            GuestPolicy(raw=number)

        assert "policy-reserved" == e.value.reason

    @pytest.mark.parametrize("bit", [26, 27, 63])
    def test_reserved(self, bit):
        """
        Unknown bits are refused: they are part of what the owner demands.
        """
        with pytest.raises(MalformedError, match="bits 26 to 63") as e:
            GuestPolicy(raw=0x3001F | 1 << bit)

        assert "policy-reserved" == e.value.reason


class TestPlatformInfo:
    def test_bits(self):
        """
        Each bit has its name in document 56860.
        """
        assert [
            "SMT_EN",
            "TSME_EN",
            "ECC_EN",
            "RAPL_DIS",
            "CIPHERTEXT_HIDING_DRAM_EN",
            "ALIAS_CHECK_COMPLETE",
            "IOMMU_WRITE_SAFE",
            "TIO_EN",
        ] == [PlatformFlag(1 << n).name for n in range(8)]

    def test_recorded(self):
        """
        A genuine Genoa sets bit 6, too.
        """
        info = PlatformInfo(raw=0x65)

        assert (
            PlatformFlag.SMT_EN
            | PlatformFlag.ECC_EN
            | PlatformFlag.ALIAS_CHECK_COMPLETE
            | PlatformFlag.IOMMU_WRITE_SAFE
            == info.flags
        )
        assert () == info.unknown

    def test_unknown(self):
        """
        Bits without a name are kept, and told by their numbers.
        """
        info = PlatformInfo(raw=1 << 63 | 0x181)

        assert ("bit 8", "bit 63") == info.unknown
        assert PlatformFlag.SMT_EN | PlatformFlag.TIO_EN == info.flags
        assert 1 << 63 | 0x181 == info.raw


class TestCpuid:
    def test_product(self):
        """
        Family and model tell the product line.
        """
        bergamo = Cpuid(family=0x19, model=0xA0, stepping=2)

        assert ProductLine.GENOA is bergamo.product


class TestFirmwareVersion:
    def test_order_of_bytes(self):
        """
        The build comes first and the major version last.
        """
        version = FirmwareVersion.from_bytes(bytes([29, 55, 1]))

        assert FirmwareVersion(major=1, minor=55, build=29) == version
        assert "1.55.29" == str(version)
