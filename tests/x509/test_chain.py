import datetime
import hashlib

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from thim.errors import MalformedError, UntrustedError
from thim.intel.authorities import Authority
from thim.simulate.pki import (
    ISSUED,
    ROOT_UNTIL,
    SIGNER_UNTIL,
    SINCE,
    Intel,
    subject_name,
)
from thim.x509.chain import (
    MAX_CERTIFICATES,
    MAX_PEM_SIZE,
    TrustAnchors,
    common_name,
    is_ca,
    is_issued_by,
    parse_certificate,
    parse_pem_chain,
    spki_sha256,
    to_pem,
    verify_chain,
)
from thim.x509.crl import Crl


INTEL = Intel()
STRANGER = Intel("stranger")
SECOND = datetime.timedelta(seconds=1)
CHAIN = (INTEL.signer, INTEL.root)


def verify(chain=CHAIN, *, anchors=INTEL.anchors, at=ISSUED, revoked=None):
    """
    Verify *chain*, which holds but for what a test changes.
    """
    crl = None
    if revoked is not None:
        crl = Crl.from_der(INTEL.root_crl(revoked=revoked))
    verify_chain(chain, anchors=anchors, at=at, root_crl=crl)


class TestTrustAnchors:
    def test_spki_sha256(self):
        """
        A pin is the digest of the key with its algorithm, nothing else.
        """
        key = INTEL.key(Authority.ROOT).public_key()
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

        assert hashlib.sha256(der).digest() == spki_sha256(INTEL.root)

    def test_pins_the_key_and_no_certificate(self):
        """
        Each certificate over the pinned key is trusted, whatever else it says.
        """
        again = INTEL.certificate(
            Authority.ROOT, serial=7, until=SIGNER_UNTIL, name="Else"
        )

        assert INTEL.anchors.trusts(INTEL.root)
        assert INTEL.anchors.trusts(again)

    def test_the_name_means_nothing(self):
        """
        Another key under the root's very name is not trusted.
        """
        assert not INTEL.anchors.trusts(STRANGER.root)

    def test_none(self):
        """
        Without anchors nothing is trusted.
        """
        assert not TrustAnchors(spki_sha256=frozenset()).trusts(INTEL.root)


class TestCommonName:
    def test_one(self):
        """
        The common name of a name that has one.
        """
        assert "Intel SGX Root CA" == common_name(INTEL.root.subject)

    @pytest.mark.parametrize("names", [[], ["Intel SGX Root CA", "Mallory"]])
    def test_none_or_several(self, names):
        """
        With no name, or two to choose from, there is none.
        """
        oid = x509.NameOID.COMMON_NAME
        name = x509.Name([x509.NameAttribute(oid, n) for n in names])

        assert not common_name(name)


class TestParseCertificate:
    def test_reads_what_was_written(self):
        """
        DER in, the same DER out.
        """
        der = INTEL.root.public_bytes(Encoding.DER)

        assert der == parse_certificate(der).public_bytes(Encoding.DER)

    def test_serial_number_zero(self):
        """
        A serial number of 0, as all of AMD's VCEKs have it, raises no warning.
        """
        one = INTEL.certificate(Authority.ROOT, serial=1)
        der = one.public_bytes(Encoding.DER)
        zero = der.replace(
            b"\x02\x01\x02\x02\x01\x01", b"\x02\x01\x02\x02\x01\0"
        )

        assert 0 == parse_certificate(zero).serial_number

    @settings(max_examples=40)
    @given(st.binary(max_size=200))
    def test_anything_else(self, der):
        """
        Bytes that are no certificate are malformed, whatever they are.
        """
        with pytest.raises(MalformedError, match="not a certificate in DER"):
            parse_certificate(der)

    def test_trailing_bytes(self):
        """
        Nothing may follow a certificate.
        """
        der = INTEL.root.public_bytes(Encoding.DER)

        with pytest.raises(MalformedError, match="not a certificate in DER"):
            parse_certificate(der + b"\0")


class TestPemChain:
    def test_round_trip(self):
        """
        A chain is read in the order in which it was written.
        """
        assert CHAIN == parse_pem_chain(to_pem(CHAIN))

    def test_ends_in_a_newline(self):
        """
        The last block ends in a newline too: clients cut what does not.
        """
        pem = to_pem(CHAIN)

        assert pem.endswith(b"-----END CERTIFICATE-----\n")
        assert 2 == pem.count(b"-----BEGIN CERTIFICATE-----\n")

    @pytest.mark.parametrize(
        "pem",
        [
            b"",
            b"no PEM",
            b"-----BEGIN CERTIFICATE-----\n",
            b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        ],
        ids=["empty", "text", "cut off", "no certificate"],
    )
    def test_no_certificates(self, pem):
        """
        PEM without a certificate, or with something else in it, is malformed.
        """
        with pytest.raises(MalformedError, match="not a PEM certificate chain"):
            parse_pem_chain(pem)

    def test_as_many_as_allowed(self):
        """
        Eight certificates are read.
        """
        pem = to_pem([INTEL.root] * MAX_CERTIFICATES)

        assert 8 == len(parse_pem_chain(pem))

    def test_too_many(self):
        """
        Nine are refused.
        """
        pem = to_pem([INTEL.root] * (MAX_CERTIFICATES + 1))

        with pytest.raises(MalformedError, match=r"9 certificates, .* most 8"):
            parse_pem_chain(pem)

    def test_as_large_as_allowed(self):
        """
        Text around the blocks is passed over, up to 64 KiB in all.
        """
        pem = to_pem(CHAIN)

        assert CHAIN == parse_pem_chain(pem.rjust(MAX_PEM_SIZE, b"\n"))

    def test_too_large(self):
        """
        One byte more is refused before it is parsed.
        """
        pem = to_pem(CHAIN).rjust(MAX_PEM_SIZE + 1, b"\n")

        with pytest.raises(MalformedError, match="65537 bytes") as e:
            parse_pem_chain(pem)

        assert "too-large" == e.value.reason


class TestIsIssuedBy:
    def test_genuine(self):
        """
        The root issued the signer, and itself.
        """
        assert is_issued_by(INTEL.signer, INTEL.root)
        assert is_issued_by(INTEL.root, INTEL.root)

    def test_right_name_wrong_key(self):
        """
        The issuer's name alone does not make an issuer.
        """
        assert not is_issued_by(INTEL.signer, STRANGER.root)

    def test_right_key_wrong_name(self):
        """
        Nor does its key alone.
        """
        renamed = INTEL.certificate(Authority.ROOT, name="Intel SGX Root")

        assert not is_issued_by(INTEL.signer, renamed)

    def test_the_wrong_way_round(self):
        """
        The signer did not issue the root.
        """
        assert not is_issued_by(INTEL.root, INTEL.signer)


class TestIsCa:
    def test_authorities(self):
        """
        Root and PCK CAs may sign certificates; TCB Signing may not.
        """
        expected = [True, False, True, True]

        assert expected == [is_ca(c) for c in INTEL.certificates]

    @pytest.mark.parametrize("kind", [x509.BasicConstraints, x509.KeyUsage])
    def test_extension_missing(self, kind):
        """
        Who does not say that it is a CA is none.
        """
        certificate = INTEL.certificate(Authority.ROOT, without=[kind])

        assert not is_ca(certificate)

    @pytest.mark.parametrize(
        ("ca", "cert_sign", "expected"),
        [
            (True, True, True),
            (True, False, False),
            (False, True, False),
        ],
    )
    def test_needs_both(self, ca, cert_sign, expected):
        """
        Basic constraints and key usage must both allow it.
        """
        assert expected is is_ca(certificate_with(ca, cert_sign))


def certificate_with(ca, cert_sign):
    """
    Make a certificate whose two extensions on the matter may disagree.
    """
    key = INTEL.key("odd")
    usage = dict.fromkeys(
        [
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ],
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject_name("Odd CA"))
        .issuer_name(subject_name(Authority.ROOT.value))
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(SINCE)
        .not_valid_after(ROOT_UNTIL)
        .add_extension(
            x509.BasicConstraints(ca=ca, path_length=None), critical=True
        )
        .add_extension(
            x509.KeyUsage(key_cert_sign=cert_sign, **usage), critical=True
        )
        .sign(INTEL.key(Authority.ROOT), hashes.SHA256())
    )


class TestVerifyChain:
    def test_genuine(self):
        """
        A chain in which everything holds is verified in silence.
        """
        verify()

    def test_root_alone(self):
        """
        A pinned root is a chain.
        """
        verify((INTEL.root,))

    def test_another_root_over_the_pinned_key(self):
        """
        It does not matter which of the root's certificates ends the chain.
        """
        again = INTEL.certificate(Authority.ROOT, since=ISSUED, serial=9)

        verify((INTEL.signer, again))

    def test_root_not_pinned(self):
        """
        A chain that holds in itself, under a root of the same name.
        """
        with pytest.raises(UntrustedError, match="is not pinned") as e:
            verify((STRANGER.signer, STRANGER.root))

        assert "root-untrusted" == e.value.reason
        assert spki_sha256(STRANGER.root).hex() in str(e.value)

    def test_root_not_self_signed(self):
        """
        The last certificate must have signed itself: a chain that was cut
        off below the root ends nowhere, pinned or not.
        """
        anchors = TrustAnchors(
            spki_sha256=frozenset({spki_sha256(INTEL.platform_ca)})
        )

        with pytest.raises(UntrustedError, match="is not issued by") as e:
            verify((INTEL.platform_ca,), anchors=anchors)

        assert "issuer" == e.value.reason

    def test_wrong_issuer(self):
        """
        A stranger's signer does not hold under the pinned root.
        """
        with pytest.raises(
            UntrustedError,
            match="Intel SGX TCB Signing is not issued by Intel SGX Root CA",
        ) as e:
            verify((STRANGER.signer, INTEL.root))

        assert "issuer" == e.value.reason

    def test_wrong_order(self):
        """
        The leaf comes first.
        """
        with pytest.raises(UntrustedError, match="is not issued by"):
            verify((INTEL.root, INTEL.signer))

    def test_issuer_is_no_ca(self):
        """
        What a leaf has signed is not issued, with all names right.
        """
        leaf = INTEL.certificate(
            Authority.PCK_PLATFORM, issuer=Authority.TCB_SIGNING
        )

        with pytest.raises(
            UntrustedError, match="Intel SGX TCB Signing is not a CA"
        ) as e:
            verify((leaf, INTEL.signer, INTEL.root))

        assert "not-a-ca" == e.value.reason

    def test_chain_of_three(self):
        """
        A certificate below a PCK CA is verified through it.
        """
        leaf = INTEL.certificate(
            Authority.TCB_SIGNING,
            name="Intel SGX PCK Certificate",
            issuer=Authority.PCK_PLATFORM,
        )

        verify((leaf, INTEL.platform_ca, INTEL.root))

    def test_second_link_broken(self):
        """
        Each link must hold: a stranger's CA under the pinned root does not.
        """
        leaf = STRANGER.certificate(
            Authority.TCB_SIGNING, issuer=Authority.PCK_PLATFORM
        )

        with pytest.raises(
            UntrustedError, match="Platform CA is not issued by"
        ) as e:
            verify((leaf, STRANGER.platform_ca, INTEL.root))

        assert "issuer" == e.value.reason

    def test_root_is_no_ca(self):
        """
        The root must be a CA too.
        """
        root = INTEL.certificate(Authority.ROOT, is_ca=False)

        with pytest.raises(UntrustedError, match="Root CA is not a CA"):
            verify((INTEL.signer, root))

    @pytest.mark.parametrize("at", [SINCE, SIGNER_UNTIL])
    def test_first_and_last_instant(self, at):
        """
        Both ends of the validity belong to it (RFC 5280, 4.1.2.5).
        """
        verify(at=at)

    @pytest.mark.parametrize(
        ("at", "reason"),
        [
            (SINCE - SECOND, "certificate-early"),
            (SIGNER_UNTIL + SECOND, "certificate-dates"),
        ],
    )
    def test_a_second_outside(self, at, reason):
        """
        A second before and a second after do not; what time will heal is told
        apart.
        """
        with pytest.raises(UntrustedError, match="is valid 2018-05-21T") as e:
            verify(at=at)

        assert reason == e.value.reason

    def test_dates_of_the_root(self):
        """
        The root's dates count as much as the leaf's.
        """
        root = INTEL.certificate(Authority.ROOT, until=ISSUED - SECOND)

        with pytest.raises(
            UntrustedError, match=r"Root CA is valid .* to 2025"
        ):
            verify((INTEL.signer, root))

    def test_revoked(self):
        """
        A leaf that the root CRL lists is refused, with its serial number.
        """
        serial = INTEL.signer.serial_number

        with pytest.raises(
            UntrustedError, match=f"{serial:x}, is revoked"
        ) as e:
            verify(revoked=[serial])

        assert "revoked" == e.value.reason

    def test_intermediate_revoked(self):
        """
        So is one below a CA that the root CRL lists.
        """
        leaf = INTEL.certificate(
            Authority.TCB_SIGNING, serial=77, issuer=Authority.PCK_PLATFORM
        )

        with pytest.raises(UntrustedError, match=r"Platform CA, .* is revoked"):
            verify(
                (leaf, INTEL.platform_ca, INTEL.root),
                revoked=[INTEL.platform_ca.serial_number],
            )

    def test_other_serial_numbers_are_revoked(self):
        """
        What else the root CRL lists does not matter.
        """
        verify(revoked=[INTEL.signer.serial_number + 1])

    def test_a_root_cannot_revoke_itself(self):
        """
        The root's own serial number in its list means nothing: who holds the
        key could as well not list it.  Anchors are taken away, not revoked.
        """
        verify(revoked=[INTEL.root.serial_number])

    def test_nameless(self):
        """
        A certificate without a name is still named in a refusal.
        """
        leaf = INTEL.certificate(Authority.TCB_SIGNING, name="x")
        empty = nameless(leaf)

        with pytest.raises(
            UntrustedError, match=r"^a certificate without a na"
        ):
            verify((empty, INTEL.root))


def nameless(certificate):
    """
    Make a certificate over the key of *certificate* that names nobody.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(subject_name("nobody"))
        .public_key(certificate.public_key())
        .serial_number(6)
        .not_valid_before(SINCE)
        .not_valid_after(ROOT_UNTIL)
        .sign(INTEL.key(Authority.ROOT), hashes.SHA256())
    )
