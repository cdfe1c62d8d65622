import hashlib

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from tests.intel.documents import inner
from tests.simulate.quotes import INTEL, KINDS, PLATFORM, make, take_apart
from thim.errors import ParameterError
from thim.intel.identity import EnclaveIdentity
from thim.intel.names import EnclaveKind
from thim.simulate.pck import Platform, pck_chain
from thim.simulate.pki import Intel
from thim.simulate.quote import (
    QuotingEnclave,
    TdBody15,
    attestation_key,
    make_tdx_quote_v4,
)


def verify(key, signature, signed):
    """
    Verify a signature of r and s.
    """
    r, s = (int.from_bytes(half, "big") for half in halves(signature))
    der = utils.encode_dss_signature(r, s)
    key.verify(der, signed, ec.ECDSA(hashes.SHA256()))


def halves(value):
    """
    Split 64 bytes in two.
    """
    assert 64 == len(value)
    return value[:32], value[32:]


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


class TestLayout:
    @pytest.mark.parametrize(
        ("kind", "start"),
        [
            ("v3", "03000200 00000000 0800 3412"),
            ("v4", "04000200 81000000 0000 0000"),
            ("v5, TD 1.0", "05000200 81000000 0000 0000"),
            ("v5, TD 1.5", "05000200 81000000 0000 0000"),
        ],
    )
    def test_header(self, kind, start):
        """
        The header has version, key type 2, TEE type and, in v3 alone, the
        SVNs of QE and PCE; Intel's vendor ID and the QE ID follow.
        """
        expected = bytes.fromhex(
            f"{start} 939A7233F79C4CA9940A0DB3957F0607"
            "000102030405060708090A0B0C0D0E0F 00000000"
        )

        assert expected == take_apart(make(kind)).header

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("v3", (b"", 384, 432)),
            ("v4", (b"", 584, 632)),
            ("v5, TD 1.0", (b"\2\0\x48\2\0\0", 584, 638)),
            ("v5, TD 1.5", (b"\3\0\x88\2\0\0", 648, 702)),
        ],
    )
    def test_body(self, kind, expected):
        """
        V5 says type and size of its body, which has the size it should.
        """
        parts = take_apart(make(kind))

        assert expected == (
            parts.descriptor,
            len(parts.body),
            len(parts.signed),
        )

    def test_certification_data(self, kind):
        """
        Behind the QE report stands the PCK chain: PEM, leaf first, a newline
        and a NUL.
        """
        parts = take_apart(make(kind))
        pem = parts.certification_data.removesuffix(b"\0")

        assert 5 == parts.kind
        assert parts.certification_data == pem + b"\0"
        assert pem.endswith(b"-----END CERTIFICATE-----\n")
        assert list(pck_chain(INTEL, PLATFORM)) == (
            x509.load_pem_x509_certificates(pem)
        )

    def test_given_certification_data(self, kind):
        """
        Other certification data stand there to the byte.
        """
        parts = take_apart(make(kind, certification_data=b"none"))

        assert b"none" == parts.certification_data

    @pytest.mark.parametrize("data", [b"", b"a", b"\xff" * 0xFFFF])
    def test_authentication_data(self, kind, data):
        """
        Authentication data may have any size.
        """
        enclave = QuotingEnclave(authentication_data=data)

        parts = take_apart(make(kind, quoting_enclave=enclave))

        assert data == parts.authentication_data
        digest = hashlib.sha256(parts.key + data).digest()
        assert digest == parts.qe_report[320:352]

    def test_default_authentication_data(self, kind):
        """
        By default authentication data are the 32 bytes of Intel's library.
        """
        parts = take_apart(make(kind))

        assert bytes(range(32)) == parts.authentication_data


class TestBinding:
    def test_quote_signature(self, kind):
        """
        The attestation key signs the quote from its start to the body's end.
        """
        parts = take_apart(make(kind))
        x, y = (int.from_bytes(half, "big") for half in halves(parts.key))
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()

        verify(key, parts.signature, parts.signed)
        expected = attestation_key(INTEL, PLATFORM, QuotingEnclave())
        assert expected.public_key() == key

    def test_attestation_key(self, kind):
        """
        The QE report's REPORTDATA is the digest of attestation key and
        authentication data, and zeros.
        """
        parts = take_apart(make(kind))
        digest = hashlib.sha256(parts.key + parts.authentication_data).digest()

        assert digest + bytes(32) == parts.qe_report[320:384]

    def test_qe_report_signature(self, kind):
        """
        The key of the leaf in the chain signs the QE report.
        """
        parts = take_apart(make(kind))
        pem = parts.certification_data.removesuffix(b"\0")
        leaf = x509.load_pem_x509_certificates(pem)[0]

        verify(leaf.public_key(), parts.qe_signature, parts.qe_report)

    def test_qe_report(self, kind):
        """
        The QE report shows the quoting enclave on the platform.
        """
        enclave = QuotingEnclave(
            mrenclave=b"\1" * 32,
            mrsigner=b"\2" * 32,
            isvprodid=0x0304,
            isvsvn=0x0506,
            attributes=b"\7" * 16,
            miscselect=b"\x08" * 4,
        )

        report = take_apart(make(kind, quoting_enclave=enclave)).qe_report

        expected = bytearray(384)
        expected[0:16] = PLATFORM.cpusvn
        expected[16:20] = b"\x08" * 4
        expected[48:64] = b"\7" * 16
        expected[64:96] = b"\1" * 32
        expected[128:160] = b"\2" * 32
        expected[256:260] = bytes([4, 3, 6, 5])
        expected[320:384] = report[320:384]
        assert bytes(expected) == report

    @pytest.mark.parametrize("identity_kind", list(EnclaveKind))
    def test_default_quoting_enclave(self, identity_kind):
        """
        The default quoting enclave fits the identities that Intel issues by
        default, at their newest level.
        """
        body = INTEL.identity(kind=identity_kind)
        identity = EnclaveIdentity.from_json(inner(body))
        enclave = QuotingEnclave()

        assert identity.mrsigner == enclave.mrsigner
        assert identity.isvprodid == enclave.isvprodid
        assert max(x.isvsvn for x in identity.levels) == enclave.isvsvn
        assert identity.miscselect == enclave.miscselect
        assert identity.attributes == bytes(
            a & mask
            for a, mask in zip(
                enclave.attributes, identity.attributes_mask, strict=True
            )
        )


class TestVersion4:
    def test_td_15_in_v4(self):
        """
        Version 4 has no room for a body of TDX 1.5.
        """
        with pytest.raises(
            ParameterError, match=r"^body: got 'TdBody15', expected TdBody$"
        ):
            make_tdx_quote_v4(INTEL, PLATFORM, TdBody15())


class TestDeterminism:
    def test_equal_arguments(self, kind):
        """
        Equal arguments make equal bytes.
        """
        function, body_class = KINDS[kind]

        assert make(kind) == function(Intel(), PLATFORM, body_class())

    @pytest.mark.parametrize("kind", ["v3", "v4", "v5, TD 1.5"])
    def test_default_body(self, kind):
        """
        Without a body the quote is of an ordinary one, the newest there is.
        """
        assert make(kind) == KINDS[kind][0](INTEL, PLATFORM)

    def test_another_seed(self, kind):
        """
        Another Intel's platform signs with other keys.
        """
        function, body_class = KINDS[kind]

        ours, theirs = (
            take_apart(function(intel, PLATFORM, body_class()))
            for intel in (INTEL, Intel("other"))
        )

        assert ours.signed == theirs.signed
        assert ours.key != theirs.key
        assert ours.qe_signature != theirs.qe_signature

    @pytest.mark.parametrize(
        ("platform", "enclave"),
        [
            (Platform(qe_id=bytes(16)), QuotingEnclave()),
            (PLATFORM, QuotingEnclave(mrenclave=bytes(32))),
        ],
        ids=["platform", "enclave"],
    )
    def test_another_attestation_key(self, platform, enclave):
        """
        Each quoting enclave has another key on each platform.
        """
        key = attestation_key(INTEL, PLATFORM, QuotingEnclave()).public_key()

        other = attestation_key(INTEL, platform, enclave).public_key()

        assert other != key
