import base64
import hashlib
import json

import pytest

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import RSAKey

from tests.attestation.signing import ISSUER, PRIVATE, SPKI
from thim.attestation.token import (
    Signer,
    digest_key,
    key_id,
    read_public_key,
    serialise,
    write_jwks,
    write_openid_configuration,
)
from thim.errors import MalformedError


SIGNER = Signer(PRIVATE)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def decode(part):
    """
    Read a part of a token, which has no padding.
    """
    assert "=" not in part
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class TestKeyId:
    def test_formula(self):
        """
        It is the digest of the key in PEM with a NUL, in padded base64.
        """
        lines = base64.encodebytes(SPKI).replace(b"\n", b"")
        text = "\n".join(
            lines[at : at + 64].decode() for at in range(0, len(lines), 64)
        )
        pem = (
            f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n\0"
        )
        digest = hashlib.sha256(pem.encode()).digest()

        assert digest == digest_key(PRIVATE.public_key())
        assert base64.b64encode(digest).decode() == SIGNER.kid
        assert SIGNER.kid == key_id(PRIVATE.public_key())


class TestReadPublicKey:
    def test_read(self):
        """
        A key in DER is read.
        """
        assert PRIVATE.public_key() == read_public_key(SPKI)

    @pytest.mark.parametrize("raw", [b"", SPKI[:-1], b"\x30\x00"])
    def test_malformed(self, raw):
        """
        What is no key is an error.
        """
        with pytest.raises(MalformedError) as caught:
            read_public_key(raw)
        assert "signing-key" == caught.value.reason

    def test_other_kind(self):
        """
        A key that is no RSA key is an error.
        """
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(MalformedError, match="expected an RSA key"):
            read_public_key(raw)


class TestSign:
    def test_header(self):
        """
        The header has these members in this order, and no others.
        """
        head, *_ = SIGNER.sign(ISSUER, {}).split(".")

        assert (
            f'{{"alg":"RS256","jku":"{ISSUER}/certs","kid":"{SIGNER.kid}",'
            '"typ":"JWT"}'
        ) == decode(head).decode()

    def test_claims(self):
        """
        Claims are in alphabetical order at all depths, the issuer among them,
        as UTF-8 without blanks.
        """
        claims = {"z": [{"b": 1, "a": "ü"}], "a": None, "iss": "nobody"}
        _, payload, _ = SIGNER.sign(ISSUER, claims).split(".")

        assert (
            f'{{"a":null,"iss":"{ISSUER}","z":[{{"a":"ü","b":1}}]}}'
        ) == decode(payload).decode()

    def test_signature(self):
        """
        Another library verifies it.
        """
        token = SIGNER.sign(ISSUER, {"a": 1})
        key = RSAKey.import_key(
            PRIVATE.public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            )
        )
        found = jws.deserialize_compact(token, key, algorithms=["RS256"])

        assert {"a": 1, "iss": ISSUER} == json.loads(found.payload)

    def test_draft(self):
        """
        A draft's token says that nobody has signed it, and by whose word it
        would be.
        """
        head, payload, signature = SIGNER.write_draft(ISSUER, {"a": 1}).split(
            "."
        )

        assert (
            f'{{"alg":"none","jku":"{ISSUER}/certs","kid":"{SIGNER.kid}",'
            '"typ":"JWT"}'
        ) == decode(head).decode()
        assert f'{{"a":1,"iss":"{ISSUER}"}}' == decode(payload).decode()
        assert not signature

    def test_secret(self):
        """
        Nothing of the key is in how a signer is written.
        """
        assert f"Signer({SIGNER.kid})" == repr(SIGNER)


class TestSerialise:
    @given(st.dictionaries(st.text(), JSON))
    def test_same(self, claims):
        """
        What is written is read back the same, and sorted.
        """
        text = serialise(claims)
        found = json.loads(text)

        assert claims == found
        assert sorted(found) == list(found)

    def test_half_a_pair(self):
        """
        Half a surrogate pair, which is no UTF-8, comes out as it came in.
        """
        claims = {"b": "\ud800", "a": "ü"}

        assert b'{"a":"\\u00fc","b":"\\ud800"}' == serialise(claims)


class TestDocuments:
    def test_jwks(self):
        """
        A key set says by what each key is known, and has its certificate in
        standard base64.
        """
        assert (
            b'{"keys":[{"x5c":["+/8="],"kid":"a","kty":"RSA"},'
            b'{"x5c":["AA=="],"kid":"b","kty":"RSA"}]}'
        ) == write_jwks([("a", b"\xfb\xff"), ("b", b"\0")])

    def test_openid(self):
        """
        The OpenID document names issuer and keys without a slash at the end.
        """
        found = json.loads(write_openid_configuration(ISSUER))

        assert [
            "issuer",
            "jwks_uri",
            "response_types_supported",
            "id_token_signing_alg_values_supported",
            "revocation_endpoint",
            "claims_supported",
        ] == list(found)
        assert (ISSUER, f"{ISSUER}/certs") == (
            found["issuer"],
            found["jwks_uri"],
        )
        assert ["RS256"] == found["id_token_signing_alg_values_supported"]
        assert "tee" in found["claims_supported"]
