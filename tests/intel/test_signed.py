import datetime

import pytest

from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intel.documents import inner
from thim.errors import MalformedError, UntrustedError
from thim.intel.authorities import Authority
from thim.intel.signed import SignedJson, SignedKind, verify_signed
from thim.simulate.pki import ISSUED, SIGNER_UNTIL, SINCE, Intel
from thim.x509.crl import Crl


INTEL = Intel()
BODY = INTEL.tcb_info()
SECOND = datetime.timedelta(seconds=1)
ZEROS = b"0" * 128


def verify(body=BODY, *, intel=INTEL, chain=None, at=ISSUED, root_crl=None):
    """
    Verify *body*, which is genuine but for what a test changes.
    """
    verify_signed(
        SignedJson.from_json(body),
        chain or (intel.signer, intel.root),
        anchors=INTEL.anchors,
        at=at,
        root_crl=root_crl,
    )


class TestFromJson:
    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (INTEL.tcb_info(), SignedKind.TCB_INFO),
            (INTEL.identity(), SignedKind.ENCLAVE_IDENTITY),
            (INTEL.numbers(), SignedKind.TCB_EVALUATION_DATA_NUMBERS),
        ],
    )
    def test_kinds(self, body, kind):
        """
        Three kinds of documents have one form; the member's name tells them.
        """
        document = SignedJson.from_json(body)

        assert kind is document.kind
        assert body == document.body
        assert inner(body) == document.signed

    def test_signature(self):
        """
        The signature is 64 bytes, written in digits of either case.
        """
        head, signature = BODY[:-131], BODY[-130:-2]
        small = SignedJson.from_json(BODY)
        large = SignedJson.from_json(head + b'"' + signature.upper() + b'"}')

        assert bytes.fromhex(signature.decode()) == small.signature
        assert small.signature == large.signature

    def test_signature_first(self):
        """
        The order of the two members does not matter.
        """
        body = b'{"signature":"%s","tcbInfo":{"a":1}}' % ZEROS

        assert b'{"a":1}' == SignedJson.from_json(body).signed

    @pytest.mark.parametrize(
        "body",
        [
            b'{"tcbInfo":{},"enclaveIdentity":{},"signature":"%s"}' % ZEROS,
            b'{"tcbInfo":{},"signature":"%s","more":1}' % ZEROS,
            b'{"TcbInfo":{},"signature":"%s"}' % ZEROS,
            b'{"signature":"%s"}' % ZEROS,
            b"{}",
        ],
        ids=["two", "more", "other case", "signature only", "empty"],
    )
    def test_other_members(self, body):
        """
        Exactly one signed member and its signature: nothing unsigned stands
        beside them.
        """
        with pytest.raises(MalformedError, match=r"^members are") as e:
            SignedJson.from_json(body)

        assert "fields" == e.value.reason

    @pytest.mark.parametrize(
        "body", [b'{"tcbInfo":{}}', b'{"enclaveIdentity":{},"more":1}']
    )
    def test_unsigned(self, body):
        """
        A document without a signature is called unsigned.
        """
        with pytest.raises(MalformedError, match="and signature") as e:
            SignedJson.from_json(body)

        assert "unsigned" == e.value.reason

    @pytest.mark.parametrize(
        "signature",
        [
            b'""',
            b'"' + ZEROS[1:] + b'"',
            b'"' + ZEROS + b'0"',
            b'"' + ZEROS[1:] + b'g"',
            b'"\\u0030' + ZEROS[1:] + b'"',
            b"null",
            b"0",
            b'["' + ZEROS + b'"]',
        ],
    )
    def test_bad_signature(self, signature):
        """
        A signature is a string of 128 hexadecimal digits, plainly written.
        """
        body = b'{"tcbInfo":{},"signature":%s}' % signature

        with pytest.raises(MalformedError, match="128 hexadecimal") as e:
            SignedJson.from_json(body)

        assert "signature-format" == e.value.reason

    def test_strict(self):
        """
        A duplicate key anywhere in the body is refused.
        """
        body = BODY.replace(b'"pceId":"0000"', b'"fmspc":"00606A000000"')

        with pytest.raises(MalformedError, match="'fmspc' stands twice"):
            SignedJson.from_json(body)

    def test_second_object_hidden_behind_the_first(self):
        """
        So is a second signed member of the same name.
        """
        body = b'{"tcbInfo":{},' + BODY[1:]

        with pytest.raises(MalformedError, match="'tcbInfo' stands twice"):
            SignedJson.from_json(body)


class TestVerifySigned:
    @pytest.mark.parametrize(
        "body", [INTEL.tcb_info(), INTEL.identity(), INTEL.numbers()]
    )
    def test_genuine(self, body):
        """
        A document under its signer's chain is verified in silence.
        """
        verify(body)

    def test_white_space_around_the_signed_object(self):
        """
        White space around what is signed is not signed: it changes nothing.
        """
        signed = inner(BODY)

        body = BODY.replace(signed, b" \r\n\t" + signed + b"\n").replace(
            b'{"tcbInfo":', b' { "tcbInfo" :'
        )

        verify(body)
        assert signed == SignedJson.from_json(body).signed

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'{"id":', b'{ "id":'),
            (b'"version":3', b'"version": 3'),
            (b'"fmspc":"00606A000000"', b'"fmspc":"00606a000000"'),
            (b'"id":"SGX"', b'"\\u0069d":"SGX"'),
            (b'"pceId":"0000","tcbType":0', b'"tcbType":0,"pceId":"0000"'),
        ],
        ids=["space", "space in value", "case", "escape", "order"],
    )
    def test_same_meaning_in_other_bytes(self, old, new):
        """
        The very bytes are signed: the same meaning in other bytes is not.
        """
        assert 1 == BODY.count(old)

        with pytest.raises(UntrustedError, match=r"^tcbInfo: signature") as e:
            verify(BODY.replace(old, new))

        assert "signature-invalid" == e.value.reason

    def test_signed_with_white_space(self):
        """
        White space that was signed belongs to the document.
        """
        pretty = b'{\n  "version" : 3\n}'
        body = INTEL.sign("tcbInfo", pretty)

        verify(body)
        with pytest.raises(UntrustedError, match="does not hold"):
            verify(body.replace(pretty, b'{"version":3}'))

    @settings(max_examples=25)
    @given(st.integers(0, 8 * 400))
    def test_any_bit_counts(self, i):
        """
        With one bit changed, a document is malformed or not authentic.
        """
        damaged = bytearray(BODY)
        damaged[i // 8] ^= 1 << i % 8

        with pytest.raises((MalformedError, UntrustedError)):
            verify(bytes(damaged))

    def test_another_documents_signature(self):
        """
        A genuine signature over another document is none over this one.
        """
        other = INTEL.tcb_info(number=18)

        with pytest.raises(UntrustedError, match="does not hold"):
            verify(BODY[:-130] + other[-130:])

    def test_another_kind_around_the_same_bytes(self):
        """
        The name around the object is not signed; the signature holds, and
        it is for the parser to refuse what is inside.
        """
        verify(BODY.replace(b'{"tcbInfo"', b'{"enclaveIdentity"'))

    def test_signed_by_a_pck_ca(self):
        """
        A chain of another of Intel's authorities is refused, although the
        signature is that of its key.
        """
        body = INTEL.tcb_info(key=INTEL.key(Authority.PCK_PLATFORM))

        with pytest.raises(UntrustedError, match="expected Intel SGX TCB") as e:
            verify(body, chain=(INTEL.platform_ca, INTEL.root))

        assert "wrong-issuer-chain" == e.value.reason

    def test_signed_by_the_root(self):
        """
        The root itself signs no documents.
        """
        body = INTEL.tcb_info(key=INTEL.key(Authority.ROOT))

        with pytest.raises(UntrustedError, match="issuer chain is"):
            verify(body, chain=(INTEL.root,))

    def test_foreign(self):
        """
        A document of somebody else's Intel is refused at its root.
        """
        other = Intel("other")

        with pytest.raises(UntrustedError, match="not pinned") as e:
            verify(other.tcb_info(), intel=other)

        assert "root-untrusted" == e.value.reason

    def test_stolen_chain(self):
        """
        Intel's chain beside a document that somebody else signed.
        """
        body = INTEL.tcb_info(key=INTEL.key("mallory"))

        with pytest.raises(UntrustedError, match="does not hold") as e:
            verify(body)

        assert "signature-invalid" == e.value.reason

    def test_other_certificates_over_the_same_keys(self):
        """
        Keys are pinned and checked, not certificates.
        """
        signer = INTEL.certificate(Authority.TCB_SIGNING, since=ISSUED)
        root = INTEL.certificate(Authority.ROOT, since=ISSUED, serial=3)

        verify(chain=(signer, root))

    @pytest.mark.parametrize(
        ("at", "reason"),
        [
            (SINCE - SECOND, "certificate-early"),
            (SIGNER_UNTIL + SECOND, "certificate-dates"),
        ],
    )
    def test_signer_not_valid_at_the_instant(self, at, reason):
        """
        The chain is judged at the document's own date, which is passed in.
        """
        with pytest.raises(UntrustedError, match="TCB Signing is valid") as e:
            verify(at=at)

        assert reason == e.value.reason

    def test_signer_revoked(self):
        """
        What a revoked signer has signed is refused, whenever it did.
        """
        der = INTEL.root_crl(revoked=[INTEL.signer.serial_number])

        with pytest.raises(UntrustedError, match="is revoked") as e:
            verify(root_crl=Crl.from_der(der))

        assert "revoked" == e.value.reason

    def test_another_signer_revoked(self):
        """
        A root CRL that lists others changes nothing.
        """
        der = INTEL.root_crl(revoked=[INTEL.platform_ca.serial_number])

        verify(root_crl=Crl.from_der(der))

    def test_signer_with_another_kind_of_key(self):
        """
        A signer's key is P-256, or the document is not trusted.
        """
        signer = INTEL.certificate(
            Authority.TCB_SIGNING, key=rsa.generate_private_key(65537, 2048)
        )

        with pytest.raises(UntrustedError, match="does not hold") as e:
            verify(chain=(signer, INTEL.root))

        assert "signature-invalid" == e.value.reason
