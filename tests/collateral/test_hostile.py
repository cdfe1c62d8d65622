"""
Damaged, hostile and odd input: whatever it is, an error of ours names it.
"""

import base64
import dataclasses
import datetime

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.collateral.intake import (
    Intake,
    verify_ca_certificate,
    verify_crl,
    verify_document,
)
from thim.errors import MalformedError, ParameterError, ThimError
from thim.intel.authorities import Authority
from thim.intel.pcs import parse_custom_parameter
from thim.intel.recognise import recognise
from thim.simulate.pki import ISSUED, SINCE, Intel
from thim.x509.chain import parse_certificate
from thim.x509.crl import Crl


INTEL = Intel()
INTAKE = Intake(
    anchors=INTEL.anchors,
    known=INTEL.certificates,
    root_crl=None,
    now=ISSUED,
)
DERS = {
    "root": INTEL.root.public_bytes(Encoding.DER),
    "signer": INTEL.signer.public_bytes(Encoding.DER),
    "crl": INTEL.root_crl(revoked=[1]),
}


class TestRecognise:
    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("name", DERS)
    def test_damaged_der(self, name):
        """
        However DER is damaged, it is taken or refused by name.
        """
        for at in range(len(DERS[name])):
            for byte in (0, 1, 3, 0x30, 0x80, 0xFF):
                damaged = bytearray(DERS[name])
                damaged[at] = byte
                try:
                    found = recognise(bytes(damaged))
                    for certificate in found.certificates:
                        verify_ca_certificate(certificate, INTAKE)
                    for crl in found.crls:
                        verify_crl(crl, INTAKE, source="test")
                except ThimError:
                    pass


class TestChain:
    def test_unknown_version(self):
        """
        A certificate of a version that does not exist is malformed.
        """
        der = DERS["root"].replace(
            b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"
        )

        with pytest.raises(MalformedError, match="not a certificate in DER"):
            parse_certificate(der)

    def test_unreadable_name(self):
        """
        A certificate whose name cannot be read is malformed.
        """
        der = DERS["root"].replace(b"Intel SGX Root CA", b"\xff" * 17)

        with pytest.raises(MalformedError, match="not a certificate in DER"):
            parse_certificate(der)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("06082a8648ce3d030107", "06082a8648ce3d030101"),
            ("06072a8648ce3d0201", "06072a8648ce3d0202"),
        ],
        ids=["curve", "algorithm"],
    )
    def test_unusable_key(self, old, new):
        """
        A certificate among the known ones whose key nobody can read stops no
        document.
        """
        bad = x509.load_der_x509_certificate(
            DERS["signer"].replace(bytes.fromhex(old), bytes.fromhex(new))
        )
        intake = dataclasses.replace(INTAKE, known=(bad, *INTEL.certificates))
        document = recognise(INTEL.tcb_info()).signed[0]

        record = verify_document(document, intake, source="test")

        assert INTEL.tcb_info() == record.body

    def test_extension_with_an_unsupported_name(self):
        """
        A root whose extension names an X.400 address is refused by name.
        """
        der = DERS["root"].replace(b"\x86\x41https", b"\xa3\x41https")

        with pytest.raises(ThimError):
            verify_ca_certificate(parse_certificate(der), INTAKE)


class TestCrl:
    def test_unknown_version(self):
        """
        A list of a version that does not exist is malformed.
        """
        der = bytearray(DERS["crl"])
        der[der.index(b"\x02\x01\x01") + 2] = 5

        with pytest.raises(MalformedError, match="not a CRL in DER"):
            Crl.from_der(bytes(der))

    def test_extension_with_an_unsupported_name(self):
        """
        A list whose extension names an X.400 address is malformed.
        """
        oid = x509.ObjectIdentifier("2.5.29.28")
        point = bytes.fromhex("3006a004a002a300")
        more = x509.UnrecognizedExtension(oid, point)
        der = INTEL.crl(Authority.ROOT, more=[(more, False)])

        with pytest.raises(MalformedError, match="not a CRL in DER"):
            Crl.from_der(der)

    def test_critical_entry_extension(self):
        """
        An entry with an unknown critical extension makes the list unusable
        (RFC 5280, 5.3): it may be another issuer's entry.
        """
        issuer = x509.CertificateIssuer([x509.DirectoryName(x509.Name([]))])
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(5)
            .revocation_date(ISSUED)
            .add_extension(issuer, critical=True)
            .build()
        )
        parsed = Crl.from_der(INTEL.root_crl()).parsed
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(parsed.issuer)
            .last_update(ISSUED)
            .next_update(ISSUED + datetime.timedelta(days=30))
            .add_revoked_certificate(entry)
        )
        for extension in parsed.extensions:
            builder = builder.add_extension(
                extension.value, critical=extension.critical
            )
        signed = builder.sign(
            INTEL.key(Authority.ROOT), parsed.signature_hash_algorithm
        )

        with pytest.raises(MalformedError, match="critical"):
            Crl.from_der(signed.public_bytes(Encoding.DER))

    def test_issuer_may_not_sign_crls(self):
        """
        An issuer whose key usage does not allow it signs no lists
        (RFC 5280, 6.3.3 f).
        """
        root = INTEL.certificate(Authority.ROOT, is_ca=False)

        with pytest.raises(ThimError):
            Crl.from_der(INTEL.root_crl()).verify(root)


class TestCaCertificate:
    @pytest.mark.parametrize("first", [0, 1])
    def test_one_of_several_roots(self, first):
        """
        Any root that was valid together with the certificate will do, in
        whatever order roots are known.
        """
        short = INTEL.certificate(
            Authority.ROOT, until=SINCE + datetime.timedelta(days=365)
        )
        late = INTEL.certificate(
            Authority.TCB_SIGNING,
            since=SINCE + datetime.timedelta(days=2 * 365),
        )
        roots = [short, INTEL.root]
        intake = dataclasses.replace(
            INTAKE, known=[roots[first], roots[1 - first]]
        )

        assert Authority.TCB_SIGNING is verify_ca_certificate(late, intake)


class TestCustomParameter:
    def test_key_twice(self):
        """
        One key with two values is a contradiction, and refused.
        """
        text = b"tcbEvaluationDataNumber=14;tcbEvaluationDataNumber=15"
        value = base64.b64encode(text).decode()

        with pytest.raises(ParameterError, match="customParameter"):
            parse_custom_parameter({"customParameter": value})
