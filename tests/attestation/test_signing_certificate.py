import base64
import datetime
import json
import warnings

import pytest

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.attestation.signing import DAY, ISSUER, NOW, PRIVATE
from thim.attestation.signing_certificate import (
    SGX_EVIDENCE,
    VM_EVIDENCE,
    VM_KIND,
    EvidenceKind,
    KeyEvidence,
    _serial,
    issue_signing_certificate,
    write_snp_evidence,
    write_tdx_evidence,
)


LONG = f"https://thim.example/tenant/{'x' * 200}"


def issue(**changes):
    """
    Issue a certificate and read it.
    """
    said = {"key": PRIVATE, "issuer": ISSUER, "created": NOW, **changes}
    return x509.load_der_x509_certificate(issue_signing_certificate(**said))


def extension(certificate, oid):
    """
    Return the value of an extension that no library knows.
    """
    found = certificate.extensions.get_extension_for_oid(oid)
    assert not found.critical
    return found.value.value


def text(raw):
    """
    Read a UTF8String.
    """
    return asn1.decode_der(str, raw)


class TestCertificate:
    def test_names(self):
        """
        Subject and issuer are the issuer of the tokens, and nothing else.
        """
        found = issue()

        assert f"CN={ISSUER}" == found.subject.rfc4514_string()
        assert found.subject == found.issuer

    def test_long_name(self):
        """
        A name of more than the 64 characters of X.520 is whole as well.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = issue(issuer=LONG)
            assert f"CN={LONG}" == found.subject.rfc4514_string()

    def test_signature(self):
        """
        It is signed with the key that it is for.
        """
        found = issue()
        key = found.public_key()

        assert PRIVATE.public_key() == key
        key.verify(
            found.signature,
            found.tbs_certificate_bytes,
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
        found.verify_directly_issued_by(found)

    def test_dates(self):
        """
        It is valid for thirty years from when the key was made, to the second.
        """
        found = issue(created=NOW + datetime.timedelta(microseconds=5))

        assert NOW == found.not_valid_before_utc
        assert NOW + 30 * 365 * DAY == found.not_valid_after_utc

    def test_extensions(self):
        """
        It is no CA's, has both key identifiers, and nothing is critical.
        """
        found = issue().extensions

        assert [
            x509.BasicConstraints.oid,
            x509.SubjectKeyIdentifier.oid,
            x509.AuthorityKeyIdentifier.oid,
        ] == [each.oid for each in found]
        assert not any(each.critical for each in found)
        assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
        subject = found.get_extension_for_class(x509.SubjectKeyIdentifier)
        authority = found.get_extension_for_class(x509.AuthorityKeyIdentifier)
        assert subject.value.digest == authority.value.key_identifier

    def test_version_and_serial(self):
        """
        It is of version 3, and its serial number is positive, of 16 bytes, and
        the key's for whatever issuer.
        """
        found = issue()

        assert x509.Version.v3 is found.version
        assert 128 == found.serial_number.bit_length()
        assert found.serial_number == issue(issuer=f"{ISSUER}/x").serial_number

    def test_serials(self):
        """
        Whatever the key, its serial number has that length.
        """
        assert {128} == {_serial(bytes([n])).bit_length() for n in range(32)}

    def test_same(self):
        """
        Whoever makes it makes the same bytes.
        """
        assert 1 == len(
            {issue_signing_certificate(PRIVATE, ISSUER, NOW) for _ in range(3)}
        )


class TestEvidence:
    def test_names(self):
        """
        The extensions go by Azure's names.
        """
        arc = "1.3.6.1.4.1.311.105"

        assert [f"{arc}.1", f"{arc}.1000.1", f"{arc}.1000.2"] == [
            oid.dotted_string for oid in (SGX_EVIDENCE, VM_EVIDENCE, VM_KIND)
        ]

    def test_sgx(self):
        """
        An Open Enclave report is in its extension as it is.
        """
        evidence = KeyEvidence(kind=EvidenceKind.SGX, data=b"\1\0report")

        assert b"\1\0report" == extension(
            issue(evidence=evidence), SGX_EVIDENCE
        )

    @pytest.mark.parametrize("chain", [None, b"-----BEGIN " * 500])
    def test_snp(self, chain):
        """
        A report of SEV-SNP is in JSON, with the chain if that is known, and
        its kind is beside it.
        """
        certificate = issue(evidence=write_snp_evidence(b"\xff" * 1184, chain))
        found = json.loads(text(extension(certificate, VM_EVIDENCE)))

        assert "sevsnpvm" == text(extension(certificate, VM_KIND))
        assert base64.urlsafe_b64encode(b"\xff" * 1184).decode().rstrip(
            "="
        ) == found.pop("SnpReport")
        if chain is not None:
            spelled = found.pop("VcekCertChain")
            padded = spelled + "=" * (-len(spelled) % 4)
            assert chain == base64.urlsafe_b64decode(padded)
        assert {} == found

    def test_tdx(self):
        """
        A quote of TDX is in JSON of our own.
        """
        certificate = issue(evidence=write_tdx_evidence(b"quote"))

        assert {"TdxQuote": "cXVvdGU"} == json.loads(
            text(extension(certificate, VM_EVIDENCE))
        )
        assert "tdxvm" == text(extension(certificate, VM_KIND))
