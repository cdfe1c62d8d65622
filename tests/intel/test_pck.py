import dataclasses
import random

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intel.pck_parts import (
    CPUSVN,
    FMSPC,
    INSTANCE,
    PCE_ID,
    PCESVN,
    PPID,
    PROCESSOR,
    Parts,
    as_version_1,
    boolean,
    certificate,
    integer,
    octets,
    pair,
    read,
    refused,
    tlv,
    with_extension_twice,
)
from thim.errors import MalformedError
from thim.intel.names import PckCa
from thim.intel.pck import PckCertificate, PckTcbm, SgxType
from thim.intel.tcb import Tcb
from thim.simulate.pck import Platform, issue_pck_certificate
from thim.simulate.pki import ISSUED, SIGNER_UNTIL, SINCE, Intel


INTEL = Intel()
TCBM = PckTcbm(cpusvn=CPUSVN, pcesvn=PCESVN)
ENUMERATED = 10


class TestPckTcbm:
    def test_bytes(self):
        """
        A TCBm is CPUSVN and PCESVN, the latter's lower byte first.
        """
        expected = PckTcbm(cpusvn=bytes(range(16)), pcesvn=0x0102)
        raw = bytes.fromhex("000102030405060708090A0B0C0D0E0F0201")

        assert expected == PckTcbm.from_bytes(raw)
        assert raw == expected.to_bytes()

    @given(st.binary(min_size=18, max_size=18))
    def test_round_trip(self, raw):
        """
        Any 18 bytes are a TCBm.
        """
        assert raw == PckTcbm.from_bytes(raw).to_bytes()

    @pytest.mark.parametrize("size", [0, 17, 19])
    def test_size(self, size):
        """
        Nothing else is.
        """
        with pytest.raises(MalformedError, match=f"{size} bytes.*18") as e:
            PckTcbm.from_bytes(bytes(size))

        assert "tcbm" == e.value.reason

    @pytest.mark.parametrize("size", [15, 17])
    def test_cpusvn(self, size):
        """
        CPUSVN has 16 bytes.
        """
        with pytest.raises(MalformedError, match=f"{size} bytes.*16") as e:
            PckTcbm(cpusvn=bytes(size), pcesvn=0)

        assert "tcbm" == e.value.reason

    @pytest.mark.parametrize("pcesvn", [-1, 0x10000])
    def test_pcesvn(self, pcesvn):
        """
        PCESVN has 16 bits.
        """
        with pytest.raises(MalformedError, match=f"is {pcesvn}, ") as e:
            PckTcbm(cpusvn=bytes(16), pcesvn=pcesvn)

        assert "tcbm" == e.value.reason

    @pytest.mark.parametrize("pcesvn", [0, 0xFFFF])
    def test_pcesvn_at_its_bounds(self, pcesvn):
        """
        All 16 bits may be used.
        """
        assert pcesvn == PckTcbm(cpusvn=bytes(16), pcesvn=pcesvn).pcesvn

    def test_meets_itself(self):
        """
        What is equal is reached.
        """
        assert TCBM.meets(TCBM)

    @pytest.mark.parametrize("i", range(16))
    def test_meets_each_byte(self, i):
        """
        One byte below is below, whatever the others.
        """
        low = PckTcbm(cpusvn=b"\5" * 16, pcesvn=5)
        high = PckTcbm(cpusvn=b"\5" * i + b"\6" + b"\5" * (15 - i), pcesvn=5)

        assert high.meets(low)
        assert not low.meets(high)

    def test_meets_pcesvn(self):
        """
        PCESVN counts as a number, not byte by byte.
        """
        low = PckTcbm(cpusvn=bytes(16), pcesvn=0x00FF)
        high = PckTcbm(cpusvn=bytes(16), pcesvn=0x0100)

        assert high.meets(low)
        assert not low.meets(high)

    def test_not_comparable(self):
        """
        Each may be above the other in some part; then none reaches the other.
        """
        one = PckTcbm(cpusvn=b"\1" + bytes(15), pcesvn=0)
        other = PckTcbm(cpusvn=bytes(16), pcesvn=1)

        assert not one.meets(other)
        assert not other.meets(one)


class TestFromCertificate:
    def test_platform_ca(self):
        """
        The platform CA tells everything.
        """
        expected = PckCertificate(
            ca=PckCa.PLATFORM,
            ppid=PPID,
            tcbm=TCBM,
            pce_id=PCE_ID,
            fmspc=FMSPC,
            sgx_type=SgxType.SCALABLE_WITH_INTEGRITY,
            platform_instance_id=INSTANCE,
            dynamic_platform=True,
            cached_keys=False,
            smt_enabled=True,
            serial_number=0x5E71A1,
            not_before=ISSUED,
            not_after=SIGNER_UNTIL,
        )

        assert expected == read(Parts())

    def test_processor_ca(self):
        """
        The processor CA knows neither platform instance nor configuration.
        """
        expected = dataclasses.replace(
            read(Parts()),
            ca=PckCa.PROCESSOR,
            platform_instance_id=None,
            dynamic_platform=None,
            cached_keys=None,
            smt_enabled=None,
        )

        assert expected == read(Parts(PROCESSOR))

    @pytest.mark.parametrize("i", range(3))
    def test_flags(self, i):
        """
        Each flag is read from its own OID.
        """
        parts = Parts()
        for k in range(3):
            parts.configuration[k] = pair([7, k + 1], boolean(k == i))

        found = read(parts)

        flags = (found.dynamic_platform, found.cached_keys, found.smt_enabled)
        assert tuple(k == i for k in range(3)) == flags

    @pytest.mark.parametrize("sgx_type", SgxType)
    def test_sgx_type(self, sgx_type):
        """
        There are three types of SGX.
        """
        parts = Parts()
        parts.top[4] = pair([5], integer(sgx_type.value, ENUMERATED))

        assert sgx_type is read(parts).sgx_type

    def test_parts_of_the_tcb(self):
        """
        The TCB is to be had as a whole and in its parts.
        """
        found = read(Parts())

        assert CPUSVN == found.cpusvn
        assert CPUSVN == found.components
        assert PCESVN == found.pcesvn
        assert Tcb(sgx=CPUSVN, pcesvn=PCESVN) == found.tcb

    @pytest.mark.parametrize("seed", range(10))
    def test_any_order(self, seed):
        """
        Fields are found by their OIDs, never by their positions.
        """
        parts = Parts()
        parts.top[1] = pair([2], tlv(0x30, b"".join(reversed(parts.tcb))))
        parts.configuration.reverse()
        expected = read(Parts())

        top = parts.top[:6]
        content = b"".join(parts.configuration)
        top.append(pair([7], tlv(0x30, content)))
        random.Random(seed).shuffle(top)
        parts.top = top

        assert expected == read(parts)

    @pytest.mark.parametrize("ca", PckCa)
    def test_issued_by_the_simulator(self, ca):
        """
        What the simulator issues for a platform is read as that platform.
        """
        platform = Platform(ca=ca, pcesvn=0xFFFF)

        found = PckCertificate.from_certificate(
            issue_pck_certificate(INTEL, platform, serial=7)
        )

        assert ca is found.ca
        assert platform.ppid == found.ppid
        assert platform.fmspc == found.fmspc
        assert platform.pce_id == found.pce_id
        assert PckTcbm(cpusvn=platform.cpusvn, pcesvn=0xFFFF) == found.tcbm
        assert 7 == found.serial_number
        assert (SINCE, SIGNER_UNTIL) == (found.not_before, found.not_after)
        if ca is PckCa.PLATFORM:
            assert platform.platform_instance_id == found.platform_instance_id

    @settings(max_examples=50, deadline=None)
    @given(st.binary(min_size=16, max_size=16), st.integers(0, 0xFFFF))
    def test_any_tcb(self, cpusvn, pcesvn):
        """
        Any TCB that can be issued can be read.
        """
        platform = Platform(cpusvn=cpusvn, pcesvn=pcesvn)

        found = PckCertificate.from_certificate(
            issue_pck_certificate(INTEL, platform)
        )

        assert PckTcbm(cpusvn=cpusvn, pcesvn=pcesvn) == found.tcbm

    def test_names_of_machines_are_not_shown(self):
        """
        PPID and platform instance stand in no repr.
        """
        found = repr(read(Parts()))

        for secret in (PPID, INSTANCE):
            assert repr(secret) not in found
            assert secret.hex() not in found.lower()


class TestNotAPckCertificate:
    @pytest.mark.parametrize(
        "subject",
        [
            "Intel SGX PCK Certificate ",
            "Intel SGX PCK Certificat",
            "intel sgx pck certificate",
            "Intel SGX PCK Platform CA",
        ],
    )
    def test_subject(self, subject):
        """
        Every PCK certificate has one common name, to the letter.
        """
        issued = certificate(Parts().to_der(), subject=subject)

        with pytest.raises(MalformedError, match="subject is") as e:
            PckCertificate.from_certificate(issued)

        assert "certificate-subject" == e.value.reason

    @pytest.mark.parametrize(
        "issuer",
        [
            "Intel SGX Root CA",
            "Intel SGX TCB Signing",
            "Intel SGX PCK Platform CA 2",
            "My Intel SGX PCK Processor CA",
            "Platform",
        ],
    )
    def test_issuer(self, issuer):
        """
        The CA is known by its exact name, not by a part of it.
        """
        issued = certificate(Parts().to_der(), issuer=issuer)

        with pytest.raises(MalformedError, match="issuer is") as e:
            PckCertificate.from_certificate(issued)

        assert "certificate-issuer" == e.value.reason

    def test_version(self):
        """
        X.509 v1 has no extensions.
        """
        issued = as_version_1(certificate(Parts().to_der()))

        with pytest.raises(MalformedError, match=r"is X\.509 v1, not v3") as e:
            PckCertificate.from_certificate(issued)

        assert "certificate-version" == e.value.reason

    def test_no_extension(self):
        """
        Without the SGX extension it says nothing of a platform.
        """
        with pytest.raises(MalformedError, match=r"1\.13\.1 is not there") as e:
            PckCertificate.from_certificate(certificate(None))

        assert "certificate-extensions" == e.value.reason

    def test_extension_twice(self):
        """
        With two of them there is no telling which one counts.
        """
        issued = with_extension_twice(certificate(Parts().to_der()))

        with pytest.raises(MalformedError, match="is not there once") as e:
            PckCertificate.from_certificate(issued)

        assert "certificate-extensions" == e.value.reason


class TestValues:
    @pytest.mark.parametrize(
        ("arc", "name", "size"),
        [
            (1, "ppid", 16),
            (3, "pce_id", 2),
            (4, "fmspc", 6),
            (6, "platform_instance_id", 16),
        ],
    )
    @pytest.mark.parametrize("more", [-1, 1])
    def test_size(self, arc, name, size, more):
        """
        Each octet string has its own length.
        """
        parts = Parts()
        parts.top[arc - 1] = pair([arc], octets(bytes(size + more)))

        refused(
            parts, rf"^{name} \(.*\.{arc}\) has {size + more} bytes, .* {size}$"
        )

    def test_size_of_cpusvn(self):
        """
        So has CPUSVN.
        """
        parts = Parts()
        parts.tcb[17] = pair([2, 18], octets(CPUSVN[:15]))

        refused(parts, r"^cpusvn \(.*\.2\.18\) has 15 bytes, expected 16$")

    @pytest.mark.parametrize("arc", range(1, 8))
    def test_tag(self, arc):
        """
        Each element has its own type.
        """
        parts = Parts()
        parts.top[arc - 1] = pair([arc], tlv(0x0C, b"text"))
        # The gap for the TCB must not be filled with the configuration.
        if arc == 2:
            parts.top[6] = pair([7], tlv(0x30, b"".join(parts.configuration)))

        refused(parts, rf"\.{arc}\) has tag 0C, expected (04|30|0A)$")

    @pytest.mark.parametrize("arc", [1, 16, 17, 18])
    def test_tag_in_tcb(self, arc):
        """
        So have the parts of the TCB: an ENUMERATED is no INTEGER.
        """
        parts = Parts()
        parts.tcb[arc - 1] = pair([2, arc], tlv(10, b"\1"))

        refused(parts, rf"\.{arc}\) has tag 0A, expected 0[24]$")

    def test_type_is_no_integer(self):
        """
        An INTEGER is no ENUMERATED.
        """
        parts = Parts()
        parts.top[4] = pair([5], integer(1))

        refused(parts, r"^sgx_type \(.*\.5\) has tag 02, expected 0A$")

    def test_unknown_type(self):
        """
        A fourth type of SGX would be one that nobody has explained.
        """
        parts = Parts()
        parts.top[4] = pair([5], integer(3, ENUMERATED))

        refused(parts, r"^sgx_type \(.*\.5\) is 3, expected 0 to 2$")

    @pytest.mark.parametrize("value", [256, 300, 256 + CPUSVN[2]])
    def test_component_is_not_cut(self, value):
        """
        A component of more than eight bits is refused, where QVL cuts it.
        """
        parts = Parts()
        parts.tcb[2] = pair([2, 3], integer(value))

        refused(parts, rf"^component 3 \(.*\.2\.3\) is {value}, .* 0 to 255$")

    def test_pcesvn(self):
        """
        The PCE's SVN has 16 bits.
        """
        parts = Parts()
        parts.tcb[16] = pair([2, 17], integer(0x10000))

        refused(parts, r"^pcesvn \(.*\.2\.17\) is 65536, expected 0 to 65535$")

    def test_long_number(self):
        """
        A number of any length is refused, and not written out.
        """
        parts = Parts()
        parts.tcb[16] = pair([2, 17], integer(int.from_bytes(b"\1" + PPID)))

        with pytest.raises(MalformedError, match=r"is \d{9}…, ") as e:
            read(parts)

        assert len(str(e.value)) < 100

    @pytest.mark.parametrize("arc", [1, 17])
    @pytest.mark.parametrize(
        ("content", "match"),
        [(b"", "empty"), (b"\xff", "negative"), (b"\0\1", "fewer")],
    )
    def test_number(self, arc, content, match):
        """
        A number is not negative, and in its shortest form.
        """
        parts = Parts()
        parts.tcb[arc - 1] = pair([2, arc], tlv(2, content))

        refused(parts, rf"^(component 1|pcesvn) \(.*\.{arc}\): .*{match}")

    def test_type_in_its_shortest_form(self):
        """
        That goes for the type, too.
        """
        parts = Parts()
        parts.top[4] = pair([5], tlv(ENUMERATED, b"\0\1"))

        refused(parts, r"^sgx_type \(.*\.5\): number in 2 octets")

    @pytest.mark.parametrize("content", [b"", b"\1", b"\xfe", b"\0\0"])
    def test_boolean(self, content):
        """
        In DER there are two booleans.
        """
        parts = Parts()
        parts.configuration[1] = pair([7, 2], tlv(1, content))

        refused(parts, r"^cached_keys \(.*\.7\.2\): boolean is neither")

    def test_boolean_tag(self):
        """
        A flag is a boolean.
        """
        parts = Parts()
        parts.configuration[2] = pair([7, 3], integer(1))

        refused(parts, r"^smt_enabled \(.*\.7\.3\) has tag 02, expected 01$")

    @pytest.mark.parametrize("arc", range(1, 17))
    def test_cpusvn_is_made_of_the_components(self, arc):
        """
        CPUSVN says the same as each of the components.
        """
        parts = Parts()
        other = CPUSVN[arc - 1] ^ 1
        parts.tcb[arc - 1] = pair([2, arc], integer(other))

        with pytest.raises(
            MalformedError,
            match=rf"^component {arc} \(.*\.2\.{arc}\) is {other}, "
            rf"but {CPUSVN[arc - 1]} in cpusvn$",
        ) as e:
            read(parts)

        assert "cpusvn" == e.value.reason
