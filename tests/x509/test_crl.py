import datetime

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.x509.der import children, sequence
from thim.errors import MalformedError, UntrustedError
from thim.intel.authorities import Authority
from thim.simulate.pki import ISSUED, Intel
from thim.x509.crl import MAX_CRL_SIZE, Crl


INTEL = Intel()


def without_next_update(der):
    """
    Cut nextUpdate, the second time in the list, out of a CRL.
    """
    signed, algorithm, signature = children(der)
    parts = children(signed)
    assert parts[4].startswith(b"\x17")  # UTCTime
    return sequence(sequence(*parts[:4], *parts[5:]), algorithm, signature)


class TestFromDer:
    def test_reads_what_counts(self):
        """
        Issuer, dates and serial numbers are those that were signed.
        """
        der = INTEL.root_crl(revoked=[1, 0xBEEF])

        crl = Crl.from_der(der)

        assert INTEL.root.subject == crl.issuer
        assert ISSUED == crl.this_update
        assert ISSUED + datetime.timedelta(days=30) == crl.next_update
        assert {1, 0xBEEF} == crl.revoked
        assert der == crl.der
        assert children(der)[0] == crl.signed

    def test_nothing_revoked(self):
        """
        An empty list is a list: Intel's root CRL mostly is one.
        """
        assert frozenset() == Crl.from_der(INTEL.root_crl()).revoked

    @pytest.mark.parametrize(
        "der", [b"", b"\x30", b"\x30\x00", b"not DER", b"\x30\x82\xff\xff"]
    )
    def test_no_crl(self, der):
        """
        Bytes that are no CRL are malformed.
        """
        with pytest.raises(MalformedError, match="not a CRL in DER"):
            Crl.from_der(der)

    def test_trailing_bytes(self):
        """
        Nothing may follow the list.
        """
        with pytest.raises(MalformedError, match="not a CRL in DER"):
            Crl.from_der(INTEL.root_crl() + b"\0")

    def test_certificate(self):
        """
        A certificate is no revocation list.
        """
        der = INTEL.root.public_bytes(Encoding.DER)

        with pytest.raises(MalformedError, match="not a CRL in DER"):
            Crl.from_der(der)

    def test_too_large(self):
        """
        A list over a megabyte is refused before it is parsed.
        """
        with pytest.raises(MalformedError, match="at most 1048576") as e:
            Crl.from_der(bytes(MAX_CRL_SIZE + 1))

        assert "too-large" == e.value.reason

    def test_just_small_enough(self):
        """
        A megabyte is looked at, and found to be no CRL.
        """
        with pytest.raises(MalformedError, match="not a CRL in DER"):
            Crl.from_der(bytes(MAX_CRL_SIZE))

    @pytest.mark.parametrize(
        ("kind", "oid"),
        [
            (x509.CRLNumber, r"2\.5\.29\.20"),
            (x509.AuthorityKeyIdentifier, r"2\.5\.29\.35"),
        ],
    )
    def test_extension_missing(self, kind, oid):
        """
        CRL number and authority key identifier must be there (RFC 5280, 5.2).
        """
        der = INTEL.crl(Authority.ROOT, without=[kind])

        with pytest.raises(MalformedError, match=f"has no extension {oid}"):
            Crl.from_der(der)

    def test_unknown_critical_extension(self):
        """
        A critical extension that we do not know, such as that which makes a
        list of changes only, may change what the list means.
        """
        der = INTEL.crl(
            Authority.ROOT, more=[(x509.DeltaCRLIndicator(1), True)]
        )

        with pytest.raises(MalformedError, match=r"critical .* 2\.5\.29\.27"):
            Crl.from_der(der)

    def test_unknown_harmless_extension(self):
        """
        An extension that says itself that it may be passed over is.
        """
        more = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"
        )

        crl = Crl.from_der(INTEL.crl(Authority.ROOT, more=[(more, False)]))

        assert ISSUED == crl.this_update

    def test_extension_twice(self):
        """
        An extension that stands twice leaves open which one counts.
        """
        oid = x509.ObjectIdentifier("2.5.29.99")
        more = x509.UnrecognizedExtension(oid, b"\x02\x01\x01")
        der = INTEL.crl(Authority.ROOT, more=[(more, False)])

        with pytest.raises(MalformedError, match=r"2\.5\.29\.20"):
            Crl.from_der(der.replace(b"\x55\x1d\x63", b"\x55\x1d\x14"))

    def test_no_next_update(self):
        """
        A list that never ends cannot be missed when it is withheld.
        """
        der = without_next_update(INTEL.root_crl())

        with pytest.raises(MalformedError, match="no nextUpdate"):
            Crl.from_der(der)

    @settings(max_examples=40)
    @given(st.binary(max_size=200))
    def test_never_fails_otherwise(self, der):
        """
        Whatever the bytes are: a CRL, or malformed.
        """
        with pytest.raises(MalformedError):
            Crl.from_der(der)


class TestVerify:
    def test_genuine(self):
        """
        A list that its issuer signed is verified in silence.
        """
        Crl.from_der(INTEL.root_crl()).verify(INTEL.root)

    def test_another_certificate_over_the_same_key(self):
        """
        Any certificate of the issuer's key will do, as there are several.
        """
        again = INTEL.certificate(Authority.ROOT, until=ISSUED)

        Crl.from_der(INTEL.root_crl()).verify(again)

    def test_other_issuer(self):
        """
        One CA's list says nothing about another's certificates.
        """
        with pytest.raises(
            UntrustedError,
            match="by 'Intel SGX PCK Platform CA', not by 'Intel SGX Root CA'",
        ) as e:
            Crl.from_der(INTEL.pck_crl()).verify(INTEL.root)

        assert "issuer" == e.value.reason

    def test_forged(self):
        """
        The right name over another key is a forgery.
        """
        der = INTEL.crl(Authority.ROOT, key=INTEL.key("mallory"))

        with pytest.raises(UntrustedError, match="signature is not") as e:
            Crl.from_der(der).verify(INTEL.root)

        assert "signature-invalid" == e.value.reason

    def test_tampered(self):
        """
        A serial number that was changed after signing breaks the signature.
        """
        der = INTEL.root_crl(revoked=[0xBEEF]).replace(b"\xbe\xef", b"\xbe\xee")

        with pytest.raises(UntrustedError, match="signature is not"):
            Crl.from_der(der).verify(INTEL.root)


class TestIsSignedBy:
    @pytest.mark.parametrize(
        "key",
        [
            rsa.generate_private_key(65537, 2048),
            x25519.X25519PrivateKey.generate(),
        ],
        ids=["RSA", "X25519"],
    )
    def test_key_of_another_kind(self, key):
        """
        A key that cannot have made such a signature has not made it.
        """
        ca = INTEL.certificate(Authority.PCK_PLATFORM, key=key)

        assert not Crl.from_der(INTEL.pck_crl()).is_signed_by(ca)
