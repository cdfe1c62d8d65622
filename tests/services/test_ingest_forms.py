import json
import urllib.parse

from datetime import timedelta

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import utils
from cryptography.hazmat.primitives.serialization import Encoding

from tests.services.made import (
    CHAINS,
    INTEL,
    STRANGER,
    der,
    fill,
    summary,
    take,
    take_one,
)
from thim.errors import MalformedError
from thim.intel.authorities import Authority
from thim.intel.recognise import MAX_SIZE
from thim.services.ingest import Outcome
from thim.simulate.documents import ISSUED
from thim.x509.chain import to_pem
from thim.x509.crl import Crl


#: The order of P-256.
ORDER = int(
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16
)


def to_pem_crl(crl: bytes) -> bytes:
    """
    Write a CRL as a PEM block.
    """
    return Crl.from_der(crl).parsed.public_bytes(Encoding.PEM)


class TestForms:
    def test_wrapper(self, ledger):
        """
        A recorded answer with its chain beside the body brings both.
        """
        chain = to_pem((INTEL.signer, INTEL.root)).decode()
        wrapper = {
            "tcb_info": INTEL.tcb_info().decode(),
            "tcb_info_issuer_chain": chain,
            "status": "200",
        }
        found = take(ledger, {"a": json.dumps(wrapper).encode()})["a"]

        assert [("accepted", None)] * 3 == summary(found)

    def test_keeps_the_chain_it_came_with(self, ledger):
        """
        A document keeps the issuer chain beside it, although another of the
        signer's certificates lasts longer.
        """
        short = INTEL.certificate(
            Authority.TCB_SIGNING, until=ISSUED + timedelta(days=400)
        )
        chain = to_pem((short, INTEL.root))
        wrapper = {
            "chain": chain.decode(),
            "body": INTEL.tcb_info().decode(),
        }
        take(
            ledger,
            {"chains": CHAINS, "a": json.dumps(wrapper).encode()},
        )
        (stored,) = ledger.stored()

        assert chain == stored.record.issuer_chain

    def test_wrong_chain_beside_it(self, ledger):
        """
        Where the chain beside it will not do, the known ones are tried.
        """
        wrapper = {
            "chain": to_pem((INTEL.platform_ca, INTEL.root)).decode(),
            "body": INTEL.tcb_info().decode(),
        }
        found = take(
            ledger,
            {"chains": CHAINS, "a": json.dumps(wrapper).encode()},
        )

        assert "refused" not in dict(summary(found["a"]))

    def test_encoded_chain(self, ledger):
        """
        The chain may be percent-encoded, as headers have it.
        """
        chain = to_pem((INTEL.signer, INTEL.root))
        wrapper = {
            "chain": urllib.parse.quote(chain, safe=""),
            "body": INTEL.tcb_info().decode(),
        }
        found = take(ledger, {"a": json.dumps(wrapper).encode()})["a"]

        assert [("accepted", None)] * 3 == summary(found)

    @pytest.mark.parametrize(
        ("content", "count"),
        [
            (to_pem(INTEL.certificates) + to_pem_crl(INTEL.root_crl()), 5),
            (INTEL.root_crl(), 1),
            (INTEL.root_crl().hex().encode(), 1),
            (INTEL.root_crl().hex().upper().encode() + b"\r\n", 1),
            (b"text before\n" + to_pem_crl(INTEL.root_crl()), 1),
        ],
    )
    def test_encodings(self, ledger, content, count):
        """
        PEM with any blocks, DER and hexadecimal text are all read.
        """
        take(ledger, {"root": der(INTEL.root)})
        found = take(ledger, {"file": content})["file"]

        assert count == len(found)
        assert Outcome.REFUSED not in {result.outcome for result in found}

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "unrecognised"),
            (b"hello", "unrecognised"),
            (b"\0\1\2", "unrecognised"),
            (b"\x03\0\x02\0" + bytes(400), "evidence"),
            (b"\x04\0\x02\0" + bytes(600), "evidence"),
            (b"\1\0\0\0\2\0\0\0" + bytes(8) + b"\3\0\2\0", "evidence"),
            (b"{}", "unsigned"),
            (b"[]", "unsigned"),
            (b'{"fmspc": "00606A000000"}', "unsigned"),
            (b'{"tcbInfo": {}}', "unsigned"),
            (b'{"tcbInfo": {}, "signature": "00"}', "signature-format"),
            (b'{"a": 1, "a": 2}', "json"),
            (b"{", "json"),
            (b'{"a": "\xff"}', "json"),
            (bytes(MAX_SIZE + 1), "too-large"),
            (b"abc", "hex"),
            (b"\x30\x03abc", "malformed"),
            (
                MalformedError("cannot be read", reason="unreadable"),
                "unreadable",
            ),
        ],
    )
    def test_nothing_in_it(self, ledger, content, reason):
        """
        A file without collateral is refused with the name of what it is.
        """
        result = take_one(ledger, content)

        assert (Outcome.REFUSED, reason) == (result.outcome, result.reason)
        assert result.detail
        assert result.what in {"file", "part"}

    @pytest.mark.parametrize(
        ("part", "reason"),
        [
            (CHAINS[:-30], "pem"),
            (
                b"-----BEGIN RSA KEY-----\nAAAA\n-----END RSA KEY-----\n",
                "unrecognised",
            ),
            (b"-----BEGIN X509 CRL-----\nA\n-----END X509 CRL-----\n", "pem"),
        ],
    )
    def test_one_bad_part(self, ledger, part, reason):
        """
        A bad part of a file is refused by itself; the others are taken.
        """
        content = to_pem((INTEL.root,)) + part
        found = take(ledger, {"file": content})["file"]

        assert ("refused", reason) in summary(found)
        assert INTEL.root in ledger.certificates()

    def test_too_many_parts(self, ledger):
        """
        A bundle of hundreds of certificates is refused whole.
        """
        result = take_one(ledger, CHAINS * 50)

        assert "too-large" == result.reason

    def test_wrapper_with_bad_parts(self, ledger):
        """
        In a recorded answer too each bad part is refused by itself.
        """
        wrapper = {
            "a": '{"tcbInfo": {}}',
            "b": '{"a": "b"}',
            "c": INTEL.tcb_info().decode(),
            "d": CHAINS.decode(),
        }
        found = take(ledger, {"a": json.dumps(wrapper).encode()})["a"]

        assert [
            *[("refused", "unsigned")] * 2,
            *[("accepted", None)] * 5,
        ] == summary(found)

    def test_name_that_is_no_text(self, ledger):
        """
        A file name that is not UTF-8 does not keep its document out, or stop
        the others.
        """
        name = b"tcb-\xff.json".decode("utf-8", "surrogateescape")
        found = take(
            ledger,
            {"chains": CHAINS, name: INTEL.tcb_info(), "z": INTEL.identity()},
        )

        assert [("accepted", None)] == summary(found[name])
        assert [("accepted", None)] == summary(found["z"])

    def test_bad_name_and_bad_content(self, ledger):
        """
        The same holds for one that is refused.
        """
        name = b"tcb-\xff.json".decode("utf-8", "surrogateescape")
        found = take(ledger, {"chains": CHAINS, name: STRANGER.tcb_info()})

        assert [("refused", "signature-invalid")] == summary(found[name])


class TestMalleability:
    """
    Anybody can make a second valid ECDSA signature out of a first.
    """

    def test_envelope(self, ledger):
        """
        Whatever surrounds a genuine document, it is kept as Intel writes it.
        """
        genuine = INTEL.tcb_info()
        signed = json.loads(genuine)
        inner = genuine[len(b'{"tcbInfo":') : genuine.index(b',"signature"')]
        padded = b'{%b"signature":"%b" ,\n"tcbInfo": %b }' % (
            b" " * 1000,
            signed["signature"].upper().encode(),
            inner,
        )
        fill(ledger)
        take_one(ledger, padded)
        (stored,) = ledger.stored()

        assert genuine == stored.record.body

    @pytest.mark.parametrize("name", ["root", "signer"])
    def test_certificate(self, ledger, name):
        """
        A known certificate with another signature over the same content is
        the known one, and never stands in a chain.
        """
        twin = malleate(getattr(INTEL, name))
        chain = {"root": (INTEL.signer, twin), "signer": (twin, INTEL.root)}
        wrapper = {
            "chain": to_pem(chain[name]).decode(),
            "body": INTEL.tcb_info().decode(),
        }
        found = take(
            ledger, {"chains": CHAINS, "w": json.dumps(wrapper).encode()}
        )
        (stored,) = ledger.stored()

        assert "refused" not in dict(summary(found["w"]))
        assert to_pem((INTEL.signer, INTEL.root)) == stored.record.issuer_chain


def malleate(certificate):
    """
    Make *certificate* with the signature (r, n - s) instead of (r, s).
    """
    r, s = utils.decode_dss_signature(certificate.signature)
    other = utils.encode_dss_signature(r, ORDER - s)
    raw = der(certificate)
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    bits = b"\x00" + other
    body = (
        certificate.tbs_certificate_bytes
        + algorithm
        + b"\x03"
        + bytes([len(bits)])
        + bits
    )
    assert raw[1] == 0x82
    made = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    return x509.load_der_x509_certificate(made)
