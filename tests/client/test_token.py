import base64
import datetime
import hashlib
import hmac
import json

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.client.maa import (
    SHARED,
    issued,
    read,
    read_token,
    shared_signers,
)
from tests.client.signing import (
    END,
    HOURS,
    ISSUER,
    NOW,
    Maker,
    encode,
    encode_json,
    signers,
)
from thim.attestation.kind import AttestationType
from thim.client.signer import read_signers
from thim.client.token import (
    Expectation,
    dangerous_read_unsigned,
    expect_runtime,
    verify_token,
)
from thim.errors import MalformedError, ThimError, UntrustedError


ACME = Maker()
OTHER = Maker(name="other")
EXPECTED = Expectation(issuer=ISSUER)
SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)


def verify(token, *makers, now=NOW, **expected):
    """
    Verify a token of ours.
    """
    published = signers(*(makers or (ACME,)))
    wanted = Expectation(**{"issuer": ISSUER, **expected})
    return verify_token(token, published, wanted, now)


def refused(token, *makers, **expected):
    """
    Return why a token is refused.
    """
    with pytest.raises((MalformedError, UntrustedError)) as caught:
        verify(token, *makers, **expected)
    return caught.value.reason


class TestGood:
    def test_claims(self):
        """
        A good token says what it says.
        """
        claims = verify(ACME.sign())

        assert (ISSUER, NOW, NOW + HOURS) == (
            claims.issuer,
            claims.issued,
            claims.expires,
        )
        assert "sgx" == claims["x-ms-attestation-type"]
        assert ACME.kid == claims.signer.kid
        assert (None, None) == (claims.evidence, claims.runtime)

    def test_runtime(self):
        """
        Runtime data that were JSON come back as an object.
        """
        token = ACME.sign(ACME.claims(x_ms_runtime={"keys": [1.5]}))

        assert {"keys": [1.5]} == verify(token).runtime

    def test_second_key(self):
        """
        The key that it names is the one that counts.
        """
        assert OTHER.kid == verify(OTHER.sign(), ACME, OTHER).signer.kid

    @pytest.mark.parametrize("kid", ["who knows", None])
    def test_unknown_kid(self, kid):
        """
        Where no key has that name, or it has none, any may have signed it.
        """
        token = OTHER.sign(header=OTHER.header(kid=kid))

        assert OTHER.kid == verify(token, ACME, OTHER).signer.kid

    def test_leeway(self):
        """
        Clocks may differ by as much as is said, and no more.
        """
        token = ACME.sign()

        assert verify(token, now=NOW - MINUTE)
        assert verify(token, now=NOW + HOURS + MINUTE - SECOND)
        assert "not-yet-valid" == refused(token, now=NOW - MINUTE - SECOND)
        assert "expired" == refused(token, now=NOW + HOURS + MINUTE)
        no = datetime.timedelta(0)
        assert "expired" == refused(token, now=NOW + HOURS, leeway=no)


class TestForged:
    @pytest.mark.parametrize(
        "alg", ["none", "HS256", "RS384", "PS256", "rs256"]
    )
    def test_algorithm(self, alg):
        """
        A token does not choose its algorithm.
        """
        token = ACME.sign(header=ACME.header(alg=alg))

        assert "algorithm" == refused(token)

    def test_unsigned(self):
        """
        None is no algorithm, with or without a signature.
        """
        head = encode_json(ACME.header(alg="none"))

        assert "algorithm" == refused(f"{head}.{encode_json(ACME.claims())}.")

    def test_confused(self):
        """
        A public key is no secret that could sign.
        """
        pem = ACME.key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        head = encode_json(ACME.header(alg="HS256"))
        signed = f"{head}.{encode_json(ACME.claims())}"
        mac = hmac.digest(pem, signed.encode(), hashlib.sha256)

        assert "algorithm" == refused(f"{signed}.{encode(mac)}")

    def test_no_signature(self):
        """
        RS256 without a signature is not signed.
        """
        signed = ACME.sign().rpartition(".")[0]

        assert "signature" == refused(f"{signed}.")

    def test_other_key(self):
        """
        The key that it names did not sign it: no other is tried.
        """
        token = ACME.sign(key=OTHER.key)

        assert "signature" == refused(token)
        assert "signature" == refused(token, ACME, OTHER)

    def test_foreign_key(self):
        """
        A key that is not published signs nothing.
        """
        assert "signature" == refused(OTHER.sign())
        assert "signature" == refused(ACME.sign(), OTHER)

    def test_no_keys(self):
        """
        Where nothing is published nothing is signed.
        """
        with pytest.raises(UntrustedError, match="0 keys"):
            verify_token(ACME.sign(), (), EXPECTED, NOW)
        unsigned = ACME.sign(header=ACME.header(alg="none"))
        with pytest.raises(UntrustedError, match="alg is 'none'"):
            verify_token(unsigned, (), EXPECTED, NOW)

    @pytest.mark.parametrize("name", ["jwk", "x5c", "x5u"])
    def test_own_key(self, name):
        """
        A key that a token brings along is not looked at.
        """
        evil = Maker(name="evil")
        own = {"jwk": {"kty": "RSA"}, "x5c": evil.entry["x5c"]}
        header = evil.header(kid=None, **{name: own.get(name, ISSUER)})

        assert "signature" == refused(evil.sign(header=header))

    def test_own_jku(self):
        """
        Nor is an address that it brings along.
        """
        header = ACME.header(jku="https://evil.example/certs")

        assert "jku" == refused(ACME.sign(header=header))

    @pytest.mark.parametrize("name", ["crit", "b64", "zip"])
    def test_critical(self, name):
        """
        What would change the meaning of a signature is refused.
        """
        header = {**ACME.header(), name: ["exp"]}

        assert "critical" == refused(ACME.sign(header=header))

    def test_foreign_issuer(self):
        """
        Somebody else's token is not ours, whoever signed it.
        """
        evil = Maker(issuer="https://evil.example")

        assert "issuer" == refused(evil.sign())
        assert "issuer" == refused(ACME.sign(ACME.claims(iss=f"{ISSUER}/")))
        assert "issuer" == refused(ACME.sign(ACME.claims(iss=None)))

    def test_foreign_certificate(self):
        """
        A key counts for the provider that its certificate names.
        """
        evil = Maker(common_name="https://evil.example")

        assert "signer-name" == refused(evil.sign(), evil)

    def test_certificate_ended(self):
        """
        A signer whose certificate has ended signs no more.
        """
        now = END + SECOND
        begins = int(now.timestamp())
        claims = ACME.claims(exp=begins + 60, nbf=begins, iat=begins)

        assert "signer-certificate" == refused(ACME.sign(claims), now=now)


class TestMalformed:
    @pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
    @pytest.mark.parametrize("value", [None, "1", 1.5, True, -1, 1 << 70])
    def test_instant(self, name, value):
        """
        An instant is there, and a whole number.
        """
        assert name == refused(ACME.sign(ACME.claims(**{name: value})))

    @pytest.mark.parametrize(
        "body", ['{"iss":"a","iss":"b"}', "[]", "{", '{"a":NaN}', "\\xff"]
    )
    def test_json(self, body):
        """
        What can be read in two ways is not read.
        """
        raw = body.encode().replace(b"\\xff", b"\xff")
        head = encode_json(ACME.header())

        assert "json" == refused(ACME.sign_parts(head, encode(raw)))

    def test_duplicate_header(self):
        """
        Nor is a header with two algorithms.
        """
        text = '{"alg":"none",' + json.dumps(ACME.header())[1:]
        body = encode_json(ACME.claims())

        assert "json" == refused(ACME.sign_parts(encode(text.encode()), body))

    def test_deep(self):
        """
        A bomb of brackets is refused.
        """
        bomb = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

        token = ACME.sign_parts(encode_json(ACME.header()), encode(bomb))

        assert "json" == refused(token)

    @pytest.mark.parametrize(
        "token", ["", ".", "a.b", "a.b.c.d", "é.b.c", "a b.c.d", "..", "===.."]
    )
    def test_parts(self, token):
        """
        It has three parts in base64url.
        """
        assert refused(token) in {"parts", "base64url", "json"}

    def test_padded(self):
        """
        Padding, and the other alphabet, are not part of it.
        """
        head, body, signature = ACME.sign().split(".")

        assert "base64url" == refused(f"{head}.{body}.{signature}==")

    def test_too_large(self):
        """
        A token that is too large is not looked at.
        """
        assert "too-large" == refused("a" * (1 << 20) + "..")

    def test_large_header(self):
        """
        A header has little to say.
        """
        token = ACME.sign(header=ACME.header(more="x" * 20_000))

        assert "too-large" == refused(token)

    @pytest.mark.parametrize(
        "changes", [{"alg": None}, {"alg": 7}, {"kid": 7}, {"jku": ["x"]}]
    )
    def test_header(self, changes):
        """
        What it says is text.
        """
        assert "header" == refused(ACME.sign(header=ACME.header(**changes)))

    def test_endless(self):
        """
        A number beyond all bounds is none.
        """
        head = encode_json(ACME.header())

        assert "json" == refused(ACME.sign_parts(head, encode(b'{"a":1e999}')))

    def test_version(self):
        """
        A token of another version is another thing.
        """
        assert "version" == refused(ACME.sign(ACME.claims(x_ms_ver="2.0")))


class TestExpected:
    def test_type(self):
        """
        A token for something else is refused.
        """
        token = ACME.sign()

        assert verify(token, type=AttestationType.OPEN_ENCLAVE)
        wanted = AttestationType.TDX_VM
        assert "attestation-type" == refused(token, type=wanted)

    def test_nonce(self):
        """
        A nonce must be the one that was sent.
        """
        token = ACME.sign(ACME.claims(nonce="mine"))

        assert verify(token, nonce="mine")
        assert "nonce" == refused(token, nonce="yours")
        assert "nonce" == refused(ACME.sign(), nonce="mine")

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("sgx", "x_ms_sgx_report_data"),
            ("sevsnpvm", "x_ms_sevsnpvm_reportdata"),
        ],
    )
    def test_runtime(self, kind, name):
        """
        Runtime data are what the evidence is bound to, not what a token says.
        """
        bound = expect_runtime(b"data").hex() + "00" * 32
        token = ACME.sign(
            ACME.claims(x_ms_attestation_type=kind, **{name: bound})
        )

        assert verify(token, runtime=expect_runtime(b"data"))
        assert "runtime-data" == refused(token, runtime=expect_runtime(b"x"))

    @pytest.mark.parametrize(
        "said", [None, "", "00", 7, expect_runtime(b"").hex()]
    )
    def test_no_report_data(self, said):
        """
        A token without report data is bound to nothing.
        """
        token = ACME.sign(ACME.claims(x_ms_sgx_report_data=said))

        assert "runtime-data" == refused(token, runtime=expect_runtime(b""))

    def test_impossible(self):
        """
        To demand evidence without verifying it is a mistake, as is a type of
        which there are no tokens.
        """
        with pytest.raises(ValueError, match="check_evidence"):
            Expectation(issuer=ISSUER, require_evidence=True)
        with pytest.raises(ValueError, match="Tpm"):
            Expectation(issuer=ISSUER, type=AttestationType.TPM)


class TestUnsigned:
    def test_draft(self):
        """
        What a draft makes can be read by a long name.
        """
        head = encode_json(ACME.header(alg="none"))
        token = f"{head}.{encode_json(ACME.claims())}."

        assert ISSUER == dangerous_read_unsigned(token)["iss"]

    def test_signed(self):
        """
        What has a signature is to be verified.
        """
        head = encode_json(ACME.header(alg="none"))
        body = encode_json(ACME.claims())

        unsigned = ACME.sign().rpartition(".")[0] + "."
        for token in (ACME.sign(), ACME.sign_parts(head, body), unsigned):
            with pytest.raises(UntrustedError, match="to be verified"):
                dangerous_read_unsigned(token)


class TestCerts:
    def test_left_out(self):
        """
        Keys that sign no token are left out: too small ones, other kinds.
        """
        weak = Maker(name="weak", bits=1024)
        entries = [{"kty": "EC", "kid": "x"}, weak.entry, ACME.entry]

        found = read_signers(json.dumps({"keys": entries}).encode())

        assert [ACME.kid] == [each.kid for each in found]

    def test_no_rsa(self):
        """
        So is a certificate whose key is of another kind than it says.
        """
        curve = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .serial_number(1)
            .not_valid_before(NOW)
            .not_valid_after(END)
            .public_key(curve.public_key())
            .sign(curve, hashes.SHA256())
        )
        der = certificate.public_bytes(Encoding.DER)
        entry = {"kty": "RSA", "x5c": [base64.b64encode(der).decode()]}

        assert () == read_signers(json.dumps({"keys": [entry]}).encode())

    def test_not_itself(self):
        """
        A certificate that its own key has not signed is nobody's.
        """
        der = bytearray(ACME.certificate.public_bytes(Encoding.DER))
        der[-1] ^= 1
        entry = {**ACME.entry, "x5c": [base64.b64encode(der).decode()]}
        published = read_signers(json.dumps({"keys": [entry]}).encode())

        with pytest.raises(UntrustedError) as caught:
            verify_token(ACME.sign(), published, EXPECTED, NOW)
        assert "signer-certificate" == caught.value.reason

    @pytest.mark.parametrize(
        "keys",
        [
            None,
            {},
            ["x"],
            [{"kty": "RSA", "kid": 1, "x5c": ["AA=="]}],
            [{"kty": "RSA", "kid": "a"}],
            [{"kty": "RSA", "kid": "a", "x5c": ["AA=="]}],
            [{"kty": "RSA", "kid": "a", "x5c": [7]}],
            [{"kty": "RSA", "kid": "a", "x5c": ["A"]}],
            [{"kty": "EC"}] * 65,
        ],
    )
    def test_malformed(self, keys):
        """
        What is no list of keys is refused.
        """
        with pytest.raises(MalformedError):
            read_signers(json.dumps({"keys": keys}).encode())

    def test_too_large(self):
        """
        An answer that is too large is not read.
        """
        with pytest.raises(MalformedError) as caught:
            read_signers(b" " * (1 << 20))
        assert "too-large" == caught.value.reason


TOKEN = ACME.sign()
PUBLISHED = signers(ACME)


class TestMutated:
    @given(st.data())
    def test_characters(self, data):
        """
        A token with other characters is never accepted.
        """
        at = data.draw(st.integers(0, len(TOKEN) - 1))
        letters = st.characters(codec="ascii", exclude_characters=TOKEN[at])
        size = data.draw(st.integers(0, 2))
        new = data.draw(st.text(letters, min_size=size, max_size=2))
        token = TOKEN[:at] + new + TOKEN[at + 1 :]

        with pytest.raises((MalformedError, UntrustedError)):
            verify_token(token, PUBLISHED, EXPECTED, NOW)

    @given(st.integers(0, 255), st.integers(0, 7))
    def test_signature(self, at, bit):
        """
        One bit of the signature is enough.
        """
        signed, _, signature = TOKEN.rpartition(".")
        raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
        raw[at] ^= 1 << bit

        with pytest.raises(UntrustedError):
            verify_token(
                f"{signed}.{encode(bytes(raw))}", PUBLISHED, EXPECTED, NOW
            )

    @given(st.text() | st.binary())
    def test_anything(self, token):
        """
        Whatever it is, it is an error of ours and no crash.
        """
        with pytest.raises(ThimError):
            verify_token(token, PUBLISHED, EXPECTED, NOW)

    @given(st.binary() | st.from_regex(rb'\{"keys": ?\[.*\]\}'))
    def test_certs(self, raw):
        """
        Whatever is published is read, or an error of ours.
        """
        try:
            read_signers(raw)
        except MalformedError:
            return


class TestGenuine:
    """Azure's own tokens."""

    @pytest.mark.parametrize("tee", ["sgx", "oe"])
    @pytest.mark.parametrize("form", ["binary", "json"])
    def test_shared(self, tee, form):
        """
        Tokens of 2021 verify at their instant, with the runtime data that
        were sent.
        """
        token = read_token(f"token_{tee}_shared_{form}")
        runtime = read("attestation/sgx-2021/runtime_data.bin")

        claims = verify_token(
            token,
            shared_signers(),
            Expectation(
                issuer=SHARED,
                type=AttestationType.SGX_ENCLAVE,
                runtime=expect_runtime(runtime),
            ),
            issued(token),
        )

        assert SHARED == claims.issuer
        assert claims.evidence is not None
        assert "sgx-quote-v3" == claims.evidence.evidence.kind
        assert not claims.is_evidence_verified

    @pytest.mark.parametrize("form", ["aad_binary", "iso_json"])
    def test_neighbour(self, form):
        """
        Another provider's token is signed by the same key, and refused: by its
        issuer, and where that is pinned by the certificate.
        """
        token = read_token(f"token_sgx_{form}")
        name = f"pylarryoattestation{form[:3]}"
        own = f"https://{name}.wus.attest.azure.net"
        reasons = []
        for issuer in (SHARED, own):
            with pytest.raises(UntrustedError) as caught:
                verify_token(
                    token,
                    shared_signers(),
                    Expectation(issuer=issuer),
                    issued(token),
                )
            reasons.append(caught.value.reason)

        assert ["issuer", "signer-name"] == reasons

    def test_draft(self):
        """
        A draft's token is refused, and can be read.
        """
        token = read_token("token_oe_shared_draft")

        with pytest.raises(UntrustedError, match="RS256"):
            verify_token(
                token,
                shared_signers(),
                Expectation(issuer=SHARED),
                issued(token),
            )
        assert SHARED == dangerous_read_unsigned(token)["iss"]

    @pytest.mark.parametrize(
        ("path", "issuer"),
        [
            (
                "attestation/snp-2025/token.jwt",
                "https://sharedweu.weu.test.attest.azure.net",
            ),
            (
                "maa/maa-azurevm-e1b62d4e.jwt",
                "https://sharedweu.weu.attest.azure.net",
            ),
        ],
    )
    def test_keys_not_there(self, path, issuer):
        """
        Of others we have no keys: all holds but the signature.
        """
        token = read(path).decode().strip()

        with pytest.raises(UntrustedError, match="none of the provider's 5"):
            verify_token(
                token,
                shared_signers(),
                Expectation(issuer=issuer),
                issued(token),
            )

    def test_today(self):
        """
        They have expired.
        """
        token = read_token("token_sgx_shared_json")

        with pytest.raises(UntrustedError) as caught:
            verify_token(
                token, shared_signers(), Expectation(issuer=SHARED), NOW
            )
        assert "expired" == caught.value.reason
