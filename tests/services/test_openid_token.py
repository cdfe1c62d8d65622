import datetime
import hashlib
import hmac
import json

from typing import Any

import pytest

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.client.signing import encode, encode_json
from tests.services.issuer import (
    ISSUER,
    NOW,
    IssuersKey,
    decode,
    make_claims,
    make_settings,
    publish,
)
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.services.openid_keys import read_keys
from thim.services.openid_settings import ALGORITHMS
from thim.services.openid_token import check_bearer, verify_bearer
from thim.services.tokens import Role, is_jwt


ONE = IssuersKey.rsa("one")
TWO = IssuersKey.rsa("two")
CURVE = IssuersKey.ec("curve")
LARGE_CURVE = IssuersKey.ec("large", "P-384")
MINUTE = datetime.timedelta(minutes=1)
SECOND = datetime.timedelta(seconds=1)


def verify(text, *keys, now=NOW, raw=None, **settings):
    """
    Verify a token with the keys of an issuer.
    """
    given = make_settings(**settings)
    found = read_keys(raw or publish(*(keys or (ONE,))), given.algorithms)
    return verify_bearer(check_bearer(text, given, now), found, given)


def refused(text, *keys, **settings):
    """
    Return why a token does not count.
    """
    with pytest.raises((MalformedError, UntrustedError)) as caught:
        verify(text, *keys, **settings)
    return caught.value.reason


class TestGood:
    def test_principal(self):
        """
        A bearer is whom the issuer calls so, and has an ID of no other kind.
        """
        found = verify(ONE.sign(make_claims()))

        assert ("openid:ada@example", "ada@example") == (found.id, found.name)
        assert (Role.READER, None) == (found.role, found.tenant)
        assert NOW + datetime.timedelta(hours=1) == found.expires
        assert f"openid ada@example ({ISSUER})" == str(found)

    @pytest.mark.parametrize(
        ("key", "alg"),
        [
            (ONE, "RS256"),
            (ONE, "RS384"),
            (ONE, "PS256"),
            (CURVE, "ES256"),
            (LARGE_CURVE, "ES384"),
        ],
    )
    def test_algorithms(self, key, alg):
        """
        Whatever is configured does.
        """
        token = key.sign(make_claims(), alg)

        assert verify(token, key, algorithms=(alg,))
        assert verify(token, ONE, CURVE, LARGE_CURVE, algorithms=ALGORITHMS)

    def test_audiences(self):
        """
        One of several audiences is enough, and so is one among several.
        """
        token = ONE.sign(make_claims(aud=["other", "api://thim"]))

        assert verify(token, audiences=("api://thim", "more"))

    def test_no_kid(self):
        """
        A token that names no key may be by any.
        """
        token = TWO.sign(make_claims(), kid=None)

        assert verify(token, ONE, TWO)

    @pytest.mark.parametrize(
        "typ", [None, "jwt", "at+jwt", "application/at+JWT"]
    )
    def test_types(self, typ):
        """
        Access tokens say so, or not.
        """
        assert verify(ONE.sign(make_claims(), typ=typ))

    def test_least(self):
        """
        A token need not say from when on.
        """
        token = ONE.sign(make_claims(nbf=None, iat=None, exp=2e9))

        assert verify(token)


class TestRoles:
    @pytest.mark.parametrize(
        ("said", "role"),
        [
            (["eye", "boss"], Role.ADMIN),
            (["else", "eye"], Role.READER),
            ("boss", Role.ADMIN),
        ],
    )
    def test_strongest(self, said, role):
        """
        Of several roles the first in our order counts.
        """
        assert role is verify(ONE.sign(make_claims(roles=said))).role

    @pytest.mark.parametrize(
        "said", [None, [], ["admin"], "Boss", {"boss": 1}, [["boss"]], 7]
    )
    def test_nobody(self, said):
        """
        Who has none of the roles is nobody here.
        """
        assert "openid-role" == refused(ONE.sign(make_claims(roles=said)))

    def test_path(self):
        """
        Roles may stand further inside.
        """
        token = ONE.sign(
            make_claims(roles=None, realm_access={"roles": ["boss"]})
        )

        path = ("realm_access", "roles")
        assert Role.ADMIN is verify(token, roles_claim=path).role
        assert "openid-role" == refused(token, roles_claim=("a", "b"))


class TestTenants:
    def test_fixed(self):
        """
        All bearers may be one tenant's.
        """
        token = ONE.sign(make_claims())

        assert "acme" == verify(token, tenant="acme").tenant

    def test_claim(self):
        """
        Or a token says whose its bearer is.
        """
        token = ONE.sign(make_claims(org={"name": "acme"}))

        path = ("org", "name")
        assert "acme" == verify(token, tenant_claim=path).tenant

    @pytest.mark.parametrize("said", [None, "", 7, ["a"], "ä", "a" * 64])
    def test_missing(self, said):
        """
        One that must say it and does not is nobody's, and not everybody's.
        """
        token = ONE.sign(make_claims(org=said))

        assert "openid-tenant" == refused(token, tenant_claim=("org",))


class TestForged:
    @pytest.mark.parametrize("alg", ["none", "HS256", "RS384", "ES256"])
    def test_algorithm(self, alg):
        """
        What is not configured does not count, whatever the key could do.
        """
        head = {"alg": alg, "kid": "one"}
        signed = f"{encode_json(head)}.{encode_json(make_claims())}"

        assert "algorithm" == refused(f"{signed}.AAAA")
        assert "algorithm" == refused(f"{signed}.")

    def test_confused(self):
        """
        A public key is no shared secret.
        """
        pem = ONE.key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        head = encode_json({"alg": "HS256", "kid": "one"})
        signed = f"{head}.{encode_json(make_claims())}"
        mac = encode(hmac.digest(pem, signed.encode(), hashlib.sha256))

        token = f"{signed}.{mac}"
        assert "algorithm" == refused(token)
        assert "algorithm" == refused(token, algorithms=ALGORITHMS)

    def test_other_kind(self):
        """
        A key of one kind verifies nothing of another.
        """
        head = encode_json({"alg": "ES256", "kid": "one"})
        token = f"{head}.{encode_json(make_claims())}.{encode(bytes(64))}"

        assert "signature" == refused(token, ONE, algorithms=ALGORITHMS)
        small = IssuersKey.rsa("one").jwk(alg="PS256")
        raw = json.dumps({"keys": [small]}).encode()
        good = ONE.sign(make_claims())
        assert "signature" == refused(good, raw=raw, algorithms=ALGORITHMS)

    def test_other_key(self):
        """
        A key that the token names must have signed it.
        """
        token = TWO.sign(make_claims(), kid="one")

        assert "signature" == refused(token, ONE, TWO)

    def test_unknown_key(self):
        """
        A name that the issuer does not know is told apart.
        """
        assert "unknown-key" == refused(TWO.sign(make_claims()))

    def test_own_key(self):
        """
        Keys that a token brings along are not looked at.
        """
        token = TWO.sign(
            make_claims(),
            jwk=TWO.jwk(),
            jku="https://evil.example/keys",
            x5u="https://evil.example/x5u",
            kid="one",
        )

        assert "signature" == refused(token)

    def test_critical(self):
        """
        What would change the meaning of a signature is refused.
        """
        token = ONE.sign(make_claims(), crit=["b64"], b64=False)

        assert "critical" == refused(token)

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"iss": f"{ISSUER}/"}, "issuer"),
            ({"iss": None}, "issuer"),
            ({"iss": [ISSUER]}, "issuer"),
            ({"aud": "other"}, "audience"),
            ({"aud": None}, "audience"),
            ({"aud": ["other"]}, "audience"),
            ({"aud": {"api://thim": 1}}, "audience"),
            ({"exp": None}, "exp"),
            ({"exp": "9999999999"}, "exp"),
            ({"exp": True}, "exp"),
            ({"exp": 1}, "expired"),
            ({"nbf": 4_000_000_000}, "not-yet-valid"),
            ({"iat": 4_000_000_000}, "not-yet-valid"),
            ({"sub": None}, "subject"),
            ({"sub": ""}, "subject"),
            ({"sub": "a\nb"}, "subject"),
            ({"sub": "ä"}, "subject"),
            ({"sub": "a" * 256}, "subject"),
            ({"sub": 7}, "subject"),
        ],
    )
    def test_claims(self, changed, reason):
        """
        What it must say it says.
        """
        assert reason == refused(ONE.sign(make_claims(**changed)))

    @pytest.mark.parametrize("typ", ["dpop+jwt", "logout+jwt", ""])
    def test_type(self, typ):
        """
        Tokens of other kinds are for other things.
        """
        assert "typ" == refused(ONE.sign(make_claims(), typ=typ))

    def test_leeway(self):
        """
        Clocks may differ by as much as is said.
        """
        token = ONE.sign(make_claims())
        end = NOW + datetime.timedelta(hours=1)

        assert verify(token, now=end + MINUTE - SECOND)
        assert "expired" == refused(token, now=end + MINUTE)
        assert verify(token, now=NOW - MINUTE)
        assert "not-yet-valid" == refused(token, now=NOW - MINUTE - SECOND)

    def test_large(self):
        """
        A token that is too large is not looked at.
        """
        token = ONE.sign(make_claims(more="x" * 20_000))

        assert "too-large" == refused(token)


TOKEN = ONE.sign(make_claims())
FOUND = read_keys(publish(ONE), ("RS256",))
SETTINGS = make_settings()


class TestMutated:
    @given(st.data())
    def test_characters(self, data):
        """
        A token with another character is never accepted.
        """
        at = data.draw(st.integers(0, len(TOKEN) - 1))
        letters = st.characters(codec="ascii", exclude_characters=TOKEN[at])
        new = data.draw(st.text(letters, max_size=2))
        text = TOKEN[:at] + new + TOKEN[at + 1 :]

        with pytest.raises(ThimError):
            verify_bearer(check_bearer(text, SETTINGS, NOW), FOUND, SETTINGS)

    @given(st.text())
    def test_anything(self, text):
        """
        Whatever it is, it is an error of ours and no crash.
        """
        with pytest.raises(ThimError):
            check_bearer(text, SETTINGS, NOW)


MEMBERS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(
        ["kid", "kty", "crv", "x", "y", "n", "e", "alg", "use", "key_ops", "k"]
    ),
    st.sampled_from(
        [
            *("RSA", "EC", "oct", "P-256", "P-521", "AQAB", "AA", "", "!"),
            *("sig", "enc", "RS256", None, 7, ["verify"], ["P-256"], {}),
            encode(b"\xff" * 256),
            encode(b"\x01" * 32),
        ]
    ),
)


class TestKeys:
    @given(st.lists(MEMBERS, max_size=3))
    def test_anything(self, entries):
        """
        Whatever an issuer publishes is read or left out.
        """
        raw = json.dumps({"keys": entries}).encode()

        for key in read_keys(raw, ALGORITHMS):
            assert key.algorithms

    @pytest.mark.parametrize(
        "changed",
        [
            {"use": "enc"},
            {"key_ops": ["encrypt"]},
            {"key_ops": "verify"},
            {"alg": "RS512"},
            {"kty": "oct"},
            {"kty": "OKP"},
            {"kty": ["RSA"]},
            {"n": "AQAB"},
            {"n": 7},
            {"e": None},
            {"kid": 7},
        ],
    )
    def test_left_out(self, changed):
        """
        What is for something else, or no key, is left out.
        """
        raw = json.dumps({"keys": [ONE.jwk(**changed)]}).encode()

        assert () == read_keys(raw, ("RS256", "ES256"))

    def test_small(self):
        """
        So is a key that is too small.
        """
        raw = publish(IssuersKey.rsa("small", 1024))

        assert () == read_keys(raw, ALGORITHMS)

    def test_private(self):
        """
        Of a private key that somebody published only the public half is taken.
        """
        assert isinstance(ONE.key, rsa.RSAPrivateKey)
        numbers = ONE.key.private_numbers()
        size = (numbers.d.bit_length() + 7) // 8
        secret = encode(numbers.d.to_bytes(size, "big"))
        raw = json.dumps({"keys": [ONE.jwk(d=secret)]}).encode()

        (key,) = read_keys(raw, ALGORITHMS)

        assert not key.key.is_private

    @pytest.mark.parametrize(
        "raw", [b"", b"[]", b"{}", b'{"keys": {}}', b"{" + b" " * (1 << 18)]
    )
    def test_malformed(self, raw):
        """
        What is no set of keys is refused.
        """
        with pytest.raises(MalformedError):
            read_keys(raw, ALGORITHMS)

    def test_too_many(self):
        """
        So is a set of too many.
        """
        with pytest.raises(MalformedError):
            read_keys(publish(*[ONE] * 65), ALGORITHMS)


class TestForm:
    def test_jwt(self):
        """
        A token of our own has one dot, a JWT two.
        """
        assert is_jwt(TOKEN)
        assert not is_jwt("0123456789ab.secret")
        assert {"alg", "typ", "kid"} == set(
            json.loads(decode(TOKEN.split(".")[0]))
        )
