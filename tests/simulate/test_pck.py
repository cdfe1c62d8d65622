import dataclasses
import datetime

import dcap_qvl
import pytest

from cryptography import x509
from cryptography.hazmat.asn1 import decode_der
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.x509.der import children
from thim.errors import ParameterError, UntrustedError
from thim.intel.authorities import Authority, authority_of
from thim.intel.names import PckCa
from thim.intel.pck import SgxType
from thim.simulate.pck import (
    Platform,
    issue_pck_certificate,
    pck_chain,
    pck_key,
)
from thim.simulate.pki import ISSUED, ROOT_UNTIL, SIGNER_UNTIL, SINCE, Intel
from thim.x509.chain import to_pem, verify_chain
from thim.x509.crl import Crl
from thim.x509.ecdsa import p256_key


INTEL = Intel()
#: No value of it is another's, nor a default.
PLATFORM = Platform(
    fmspc=bytes.fromhex("00806F050000"),
    pce_id=bytes.fromhex("0A0B"),
    qe_id=bytes(range(16)),
    ppid=bytes(range(16, 32)),
    cpusvn=bytes(range(32, 48)),
    components=bytes(range(120, 136)),
    pcesvn=0x89AB,
    sgx_type=SgxType.SCALABLE_WITH_INTEGRITY,
    platform_instance_id=bytes(range(64, 80)),
    dynamic_platform=False,
    cached_keys=True,
    smt_enabled=False,
)
BASE = "1.2.840.113741.1.13.1"
INTEGER, OCTETS, ENUMERATED, SEQUENCE, BOOLEAN = 2, 4, 10, 0x30, 1


def content(der):
    """
    Return the content octets of one value of less than 128 octets.
    """
    assert der[1] == len(der) - 2 < 128
    return der[2:]


def pairs(der):
    """
    Read a sequence of (OID, value) pairs, values as whole DER.
    """
    found = {}
    for pair in children(der):
        oid, value = children(pair)
        dotted = decode_der(x509.ObjectIdentifier, oid).dotted_string
        assert dotted not in found
        found[dotted.removeprefix(BASE)] = value
    return found


def extension(certificate):
    """
    Return the SGX extension of *certificate* in DER.
    """
    oid = x509.ObjectIdentifier(BASE)
    found = certificate.extensions.get_extension_for_oid(oid)
    assert not found.critical
    return found.value.value


def outline(der):
    """
    Return the tags of *der* and of all in it, and the OIDs.
    """
    if der[0] == SEQUENCE:
        return [outline(child) for child in children(der)]
    return der if der[0] == 6 else der[:1]


def identifiers(certificate):
    """
    Return the OID and criticality of each extension, in their order.
    """
    return [(e.oid.dotted_string, e.critical) for e in certificate.extensions]


class TestCertificate:
    @pytest.mark.parametrize("ca", PckCa)
    def test_subject(self, ca):
        """
        Every PCK certificate has the one subject that Intel gives.
        """
        leaf = issue_pck_certificate(INTEL, Platform(ca=ca))

        assert (
            "C=US,ST=CA,L=Santa Clara,O=Intel Corporation,"
            "CN=Intel SGX PCK Certificate" == leaf.subject.rfc4514_string()
        )

    @pytest.mark.parametrize(
        ("ca", "authority"),
        [
            (PckCa.PROCESSOR, Authority.PCK_PROCESSOR),
            (PckCa.PLATFORM, Authority.PCK_PLATFORM),
        ],
    )
    def test_chain(self, ca, authority):
        """
        The chain is leaf, the platform's CA and the root, and it holds.
        """
        leaf, intermediate, root = pck_chain(INTEL, Platform(ca=ca))

        verify_chain(
            [leaf, intermediate, root],
            anchors=INTEL.anchors,
            at=ISSUED,
            root_crl=Crl.from_der(INTEL.root_crl()),
        )
        assert authority is authority_of(intermediate)
        assert leaf.issuer == intermediate.subject

    def test_stranger(self):
        """
        The same names over other keys do not hold under these anchors.
        """
        stranger = Intel("other")

        with pytest.raises(UntrustedError, match="not pinned"):
            verify_chain(
                pck_chain(stranger, Platform()),
                anchors=INTEL.anchors,
                at=ISSUED,
                root_crl=None,
            )

    @pytest.mark.parametrize("ca", PckCa)
    def test_distribution_point(self, ca):
        """
        The distribution point is the CRL of the CA that issued it.
        """
        leaf = issue_pck_certificate(INTEL, Platform(ca=ca))
        (point,) = leaf.extensions.get_extension_for_class(
            x509.CRLDistributionPoints
        ).value

        assert (
            "https://api.trustedservices.intel.com/sgx/certification/v4/"
            f"pckcrl?ca={ca.value}&encoding=der" == point.full_name[0].value
        )

    @pytest.mark.parametrize("ca", PckCa)
    def test_five_extensions(self, ca):
        """
        Besides the SGX extension there are the five of Intel's profile; the
        key may do what that of TCB Signing may: sign, but no certificates.
        """
        leaf, intermediate, _ = pck_chain(INTEL, Platform(ca=ca))
        of = leaf.extensions.get_extension_for_class
        above = intermediate.extensions.get_extension_for_class

        assert [
            ("2.5.29.35", False),
            ("2.5.29.31", False),
            ("2.5.29.14", False),
            ("2.5.29.15", True),
            ("2.5.29.19", True),
            (BASE, False),
        ] == identifiers(leaf)
        assert (
            above(x509.SubjectKeyIdentifier).value.digest
            == of(x509.AuthorityKeyIdentifier).value.key_identifier
        )
        for kind in (x509.KeyUsage, x509.BasicConstraints):
            signer = INTEL.signer.extensions.get_extension_for_class(kind)
            assert signer == of(kind)

    def test_key(self):
        """
        The certificate is for the key that signs for the platform.
        """
        leaf = issue_pck_certificate(INTEL, PLATFORM)
        expected = pck_key(INTEL, PLATFORM).public_key().public_numbers()

        assert expected == p256_key(leaf).public_numbers()

    def test_dates(self):
        """
        Unless told otherwise it is valid for as long as its CA.
        """
        leaf = issue_pck_certificate(INTEL, PLATFORM)

        assert SINCE == leaf.not_valid_before_utc
        assert SIGNER_UNTIL == leaf.not_valid_after_utc

    def test_given_dates_and_serial(self):
        """
        Dates and serial number are those that are given.
        """
        leaf = issue_pck_certificate(
            INTEL, PLATFORM, since=ISSUED, until=ROOT_UNTIL, serial=7
        )

        assert ISSUED == leaf.not_valid_before_utc
        assert ROOT_UNTIL == leaf.not_valid_after_utc
        assert 7 == leaf.serial_number

    def test_given_leaf(self):
        """
        A chain may be had with another leaf than the default one.
        """
        leaf = issue_pck_certificate(INTEL, PLATFORM, serial=7)

        chain = pck_chain(INTEL, PLATFORM, leaf)

        assert (leaf, INTEL.platform_ca, INTEL.root) == chain


class TestSgxExtension:
    def test_platform_ca(self):
        """
        The platform CA's extension has seven elements, each by its OID and
        of the type that Intel gives it.
        """
        found = pairs(extension(issue_pck_certificate(INTEL, PLATFORM)))

        tcb, configuration = pairs(found.pop(".2")), pairs(found.pop(".7"))
        assert {
            ".1": bytes([OCTETS, 16, *range(16, 32)]),
            ".3": bytes([OCTETS, 2, 0x0A, 0x0B]),
            ".4": bytes([OCTETS, 6, 0x00, 0x80, 0x6F, 0x05, 0x00, 0x00]),
            ".5": bytes([ENUMERATED, 1, 2]),
            ".6": bytes([OCTETS, 16, *range(64, 80)]),
        } == found
        assert {
            # From 128 on an INTEGER needs a zero in front.
            **{f".2.{i}": bytes([INTEGER, 1, 119 + i]) for i in range(1, 9)},
            **{
                f".2.{i}": bytes([INTEGER, 2, 0, 119 + i]) for i in range(9, 17)
            },
            ".2.17": bytes([INTEGER, 3, 0, 0x89, 0xAB]),
            ".2.18": bytes([OCTETS, 16, *range(32, 48)]),
        } == tcb
        assert {
            ".7.1": bytes([BOOLEAN, 1, 0]),
            ".7.2": bytes([BOOLEAN, 1, 0xFF]),
            ".7.3": bytes([BOOLEAN, 1, 0]),
        } == configuration

    def test_processor_ca(self):
        """
        The processor CA's extension has five elements, no instance and no
        configuration.
        """
        platform = dataclasses.replace(PLATFORM, ca=PckCa.PROCESSOR)

        found = pairs(extension(issue_pck_certificate(INTEL, platform)))

        assert [".1", ".2", ".3", ".4", ".5"] == list(found)

    @pytest.mark.parametrize(
        ("ca", "expected"),
        [
            (PckCa.PROCESSOR, SgxType.STANDARD),
            (PckCa.PLATFORM, SgxType.SCALABLE),
        ],
    )
    def test_type(self, ca, expected):
        """
        A platform that does not say its SGX type has that of its CA.
        """
        found = pairs(extension(issue_pck_certificate(INTEL, Platform(ca=ca))))

        assert bytes([expected.value]) == content(found[".5"])

    def test_components(self):
        """
        The components are the bytes of the CPUSVN unless they are given.
        """
        platform = Platform(cpusvn=bytes(range(16)))

        found = pairs(extension(issue_pck_certificate(INTEL, platform)))

        tcb = pairs(found[".2"])
        assert [*range(16)] == [
            content(tcb[f".2.{i}"])[0] for i in range(1, 17)
        ]
        assert platform.cpusvn == content(tcb[".2.18"])

    @pytest.mark.parametrize("ca", PckCa)
    def test_another_reader(self, ca):
        """
        Dcap-qvl reads in the extension what the platform is.
        """
        # It reads no PCESVN of more than two octets: none from 0x8000 on.
        platform = dataclasses.replace(PLATFORM, ca=ca, pcesvn=0x1234)
        chain = pck_chain(INTEL, platform)

        read = dcap_qvl.parse_pck_extension_from_pem(to_pem(chain))

        assert platform.ppid == read.ppid
        assert platform.cpusvn == read.cpu_svn
        assert platform.pcesvn == read.pce_svn
        assert platform.pce_id == read.pce_id
        assert platform.fmspc == read.fmspc
        assert 2 == read.sgx_type
        assert (
            None if ca is PckCa.PROCESSOR else platform.platform_instance_id
        ) == read.platform_instance_id

    @settings(max_examples=50, deadline=None)
    @given(
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=16, max_size=16),
        st.integers(0, 0xFFFF),
    )
    def test_any_tcb(self, components, cpusvn, pcesvn):
        """
        Any TCB comes back from the extension, in the shortest integers.
        """
        platform = Platform(cpusvn=cpusvn, components=components, pcesvn=pcesvn)

        found = pairs(extension(issue_pck_certificate(INTEL, platform)))

        tcb = pairs(found[".2"])
        numbers = [decode_der(int, tcb[f".2.{i}"]) for i in range(1, 18)]
        assert [*components, pcesvn] == numbers
        assert cpusvn == content(tcb[".2.18"])

    @pytest.mark.parametrize(
        ("ca", "quote"),
        [
            (
                PckCa.PROCESSOR,
                "sgx-v3/sgx-v3-00906ed50000-pck20200327-507f094b",
            ),
            (PckCa.PLATFORM, "tdx-v5/tdx-v5-90c06f000000-pck20260127-cf77a6e9"),
        ],
    )
    def test_outline_of_a_real_one(self, corpus, ca, quote):
        """
        Tags, OIDs and their order are those of Intel's own certificates.
        """
        raw = (corpus / "quotes" / f"{quote}.bin").read_bytes()
        pem = raw[raw.index(b"-----BEGIN") :].rstrip(b"\0")
        real = x509.load_pem_x509_certificates(pem)[0]

        ours = issue_pck_certificate(INTEL, Platform(ca=ca))

        assert outline(extension(real)) == outline(extension(ours))
        assert identifiers(real) == identifiers(ours)
        for kind in (x509.KeyUsage, x509.BasicConstraints):
            usage = real.extensions.get_extension_for_class(kind)
            assert usage == ours.extensions.get_extension_for_class(kind)
        assert real.subject == ours.subject
        assert real.issuer == ours.issuer


class TestDeterminism:
    def test_equal_arguments(self):
        """
        Equal arguments make equal bytes.
        """
        ders = {
            issue_pck_certificate(Intel(), PLATFORM).public_bytes(Encoding.DER)
            for _ in range(3)
        }

        assert 1 == len(ders)

    @pytest.mark.parametrize(
        "changes",
        [
            {"cpusvn": bytes(16)},
            {"pcesvn": 12},
            {"ppid": bytes(16)},
            {"pce_id": b"\1\0"},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_key_of_a_platform_at_a_tcb(self, changes):
        """
        Each platform has another key at each TCB, and another certificate.
        """
        other = dataclasses.replace(PLATFORM, **changes)
        leaf = issue_pck_certificate(INTEL, PLATFORM)
        other_leaf = issue_pck_certificate(INTEL, other)

        assert leaf.public_key() != other_leaf.public_key()
        assert leaf.serial_number != other_leaf.serial_number

    def test_key_of_a_seed(self):
        """
        Another Intel knows the same platform by another key.
        """
        key = pck_key(INTEL, PLATFORM).public_key()

        assert key != pck_key(Intel("other"), PLATFORM).public_key()

    def test_issued_anew(self):
        """
        A certificate issued anew is for the same key and has a serial number
        of its own.
        """
        later = SINCE + datetime.timedelta(days=1)

        first = issue_pck_certificate(INTEL, PLATFORM)
        second = issue_pck_certificate(INTEL, PLATFORM, since=later)

        assert first.public_key() == second.public_key()
        assert first.serial_number != second.serial_number


class TestPlatform:
    def test_names_from_the_qe_id(self):
        """
        Platforms with different QE IDs differ in PPID and instance ID.
        """
        one, other = (Platform(qe_id=bytes([i] * 16)) for i in (1, 2))

        assert one.ppid != other.ppid
        assert one.platform_instance_id != other.platform_instance_id
        assert one.ppid != one.platform_instance_id
        assert one.ppid == Platform(qe_id=one.qe_id).ppid

    @pytest.mark.parametrize(
        ("name", "size"),
        [
            ("fmspc", 6),
            ("pce_id", 2),
            ("qe_id", 16),
            ("ppid", 16),
            ("cpusvn", 16),
            ("components", 16),
            ("platform_instance_id", 16),
        ],
    )
    @pytest.mark.parametrize("difference", [-1, 1])
    def test_wrong_size(self, name, size, difference):
        """
        A value of another length is refused by its name, what it is, and
        what was expected.
        """
        wrong = size + difference

        with pytest.raises(
            ParameterError,
            match=rf"^{name}: got '(AB)+', {wrong} bytes, expected {size}$",
        ):
            Platform(**{name: b"\xab" * wrong})

    @pytest.mark.parametrize("pcesvn", [-1, 0x10000])
    def test_pcesvn_out_of_range(self, pcesvn):
        """
        A PCESVN is a number of 16 bits.
        """
        with pytest.raises(
            ParameterError,
            match=rf"^pcesvn: got '{pcesvn}', expected 0 to 65535$",
        ):
            Platform(pcesvn=pcesvn)
