import base64
import contextlib
import hashlib
import json

import pytest

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.policy_signers import (
    PERMIT,
    RECORDED,
    RECORDED_HASH,
    Signer,
    b64url,
    certificate,
    certify,
    chained,
    ec_key,
    ec_signer,
    policy,
    rsa_key,
    sign,
    signed,
    signed_as,
    signed_by_sdk,
    signer,
    to_part,
    unsigned,
)
from thim.attestation.policy_jws import (
    MOST_JWS,
    MOST_TEXT,
    read_certificate_jws,
    read_policy_jws,
    write_unsigned,
)
from thim.attestation.policy_signer import check_key, write_signing_jwk
from thim.errors import MalformedError, ThimError, UntrustedError


CURVES = [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1]


def forms(body):
    """
    Sign *body* in every form that clients write.
    """
    ann = signer()
    return {
        "tools": signed(body, ann),
        "documented": signed(body, ann, "RSA256"),
        "python": signed_by_sdk(body, ann),
        "javascript-ec": signed(body, ec_signer(), "ES256"),
        "both": signed(body, ann, jwk={"x5c": ann.x5c}),
        "chain": signed(body, chained()),
        "not-a-ca": signed(body, signer("joe", is_ca=False)),
        "small": signed(body, signer("small", is_ca=False, bits=1024)),
    }


def who_signed(found):
    """
    Return who signed what was read; nobody is a failure.
    """
    assert found.signer is not None
    return found.signer


class TestUnsigned:
    def test_recorded(self):
        """
        What Azure's Python client sends is read as it is.
        """
        found = read_policy_jws(RECORDED)

        assert (RECORDED, PERMIT, None, "none") == (
            found.raw,
            found.text,
            found.signer,
            found.alg,
        )
        digest = hashlib.sha256(found.raw).digest()
        assert RECORDED_HASH == b64url(digest)

    def test_written(self):
        """
        What is written where nothing is stored is what that client would send.
        """
        assert RECORDED == write_unsigned(PERMIT)
        assert b"eyJhbGciOiJub25lIn0.." == write_unsigned(None)

    def test_empty(self):
        """
        An empty body resets a policy.
        """
        assert read_policy_jws(b"eyJhbGciOiJub25lIn0..").text is None

    def test_certificate_unused(self):
        """
        A certificate in the header does not make up for a signature.
        """
        header = {"alg": "none", "x5c": signer().x5c}

        assert read_policy_jws(unsigned(policy(), header)).signer is None

    @given(st.text(max_size=200))
    def test_round_trip(self, text):
        """
        What is written is read again.
        """
        assert text == read_policy_jws(write_unsigned(text)).text

    def test_preview(self):
        """
        In the API of 2018 the text stands there as it is.
        """
        body = {"AttestationPolicy": 'version= 1.0;\n"é"'}
        found = read_policy_jws(unsigned(body), is_preview=True)

        assert 'version= 1.0;\n"é"' == found.text


class TestSigned:
    @pytest.mark.parametrize("form", forms(policy()))
    def test_forms(self, form):
        """
        Every form in which clients sign is verified.
        """
        found = read_policy_jws(forms(policy())[form])

        assert PERMIT == found.text
        assert found.signer is not None

    @pytest.mark.parametrize("curve", CURVES)
    def test_curves(self, curve):
        """
        Keys on NIST's curves may sign, with the signature in DER.
        """
        who = ec_signer(curve)
        found = read_policy_jws(signed_by_sdk(policy(), who))

        assert who.der == who_signed(found).der

    def test_signer(self):
        """
        The signer is the first certificate; all of the chain is kept.
        """
        found = who_signed(read_policy_jws(signed(policy(), chained())))

        assert chained().der == found.der
        assert {"kty": "RSA", "x5c": chained().x5c} == found.to_jwk()

    def test_named(self):
        """
        Answers say by which algorithm a key signs.
        """
        assert {
            "alg": "RS256",
            "kty": "RSA",
            "use": "sig",
            "x5c": signer().x5c,
        } == write_signing_jwk(signer().chain)
        jwk = write_signing_jwk(ec_signer().chain)
        assert ("ES256", "EC") == (jwk["alg"], jwk["kty"])

    def test_escaped_plus(self):
        """
        The documents write a plus in x5c as an escape.
        """
        ann = signer()
        header = json.dumps({"alg": "RSA256", "x5c": ann.x5c})
        raw = header.replace("+", "\\u002B").encode()
        assert b"\\u002B" in raw

        assert PERMIT == read_policy_jws(signed_as(raw, policy(), ann)).text

    def test_url_alphabet(self):
        """
        Certificates in base64url, without padding, are read as well.
        """
        ann = signer()
        header = {"alg": "RS256", "x5c": [b64url(ann.der)]}

        found = read_policy_jws(signed_as(header, policy(), ann))
        assert ann.der == who_signed(found).der

    def test_padded(self):
        """
        A policy in the standard alphabet, with padding, is read as well.
        """
        text = "// ÿÿÿ>>>???"
        body = {
            "AttestationPolicy": base64.b64encode(text.encode()).decode(),
        }
        assert text == read_policy_jws(signed(body, signer())).text

    def test_urls_ignored(self):
        """
        URLs in the header are no matter.
        """
        jws = signed(
            policy(),
            signer(),
            jku="https://elsewhere.example/certs",
            x5u="https://elsewhere.example/x5u",
            kid="0",
        )
        assert signer().der == who_signed(read_policy_jws(jws)).der

    def test_reset(self):
        """
        A signed empty body resets.
        """
        ann = signer()
        header = to_part({"alg": "RS256", "x5c": ann.x5c})
        covered = f"{header}.".encode()
        jws = covered + b"." + b64url(sign(covered, ann.key)).encode()

        found = read_policy_jws(jws)
        assert (None, ann.der) == (found.text, who_signed(found).der)


class TestAlgorithms:
    @pytest.mark.parametrize(
        "header",
        [
            {},
            {"alg": None},
            {"alg": ""},
            {"alg": "None"},
            {"alg": "NONE"},
            {"alg": ["none"]},
            {"alg": "HS256", "x5c": signer().x5c},
            {"alg": "RS512", "x5c": signer().x5c},
            {"alg": "PS256", "x5c": signer().x5c},
            {"alg": "rs256", "x5c": signer().x5c},
        ],
        ids=lambda header: f"alg={header.get('alg')}",
    )
    def test_unknown(self, header):
        """
        Another algorithm, or none named, is refused by its name.
        """
        with pytest.raises(MalformedError, match=r"alg is .*expected none or"):
            read_policy_jws(signed_as(header, policy(), signer()))

    def test_none_with_signature(self):
        """
        What claims to be unsigned has no signature.
        """
        jws = signed_as({"alg": "none"}, policy(), signer())

        with pytest.raises(UntrustedError, match="alg is none, and yet"):
            read_policy_jws(jws)

    @pytest.mark.parametrize("alg", ["RS256", "RSA256", "ECDH256", "ES256"])
    def test_no_signature(self, alg):
        """
        What claims to be signed has one.
        """
        who = ec_signer() if alg.startswith("E") else signer()
        jws = signed(policy(), who, alg)
        bare = jws[: jws.rindex(b".") + 1]

        with pytest.raises(UntrustedError):
            read_policy_jws(bare)

    @pytest.mark.parametrize(
        ("who", "alg"),
        [
            (signer(), "ECDH256"),
            (signer(), "ES256"),
            (ec_signer(), "RS256"),
            (ec_signer(), "RSA256"),
        ],
    )
    def test_other_key(self, who, alg):
        """
        The algorithm is one for the certificate's kind of key.
        """
        with pytest.raises(UntrustedError, match=r"alg is E|alg is RS"):
            read_policy_jws(signed(policy(), who, alg))

    @pytest.mark.parametrize("alg", ["RS256", "RSA256", "ECDH256", "ES256"])
    def test_no_certificate(self, alg):
        """
        Without a certificate nothing is verified, whatever key stands there.
        """
        header = {"alg": alg, "jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}

        with pytest.raises(MalformedError, match="no certificate"):
            read_policy_jws(signed_as(header, policy(), signer()))

    def test_two_certificates(self):
        """
        Where certificates stand twice, they are the same.
        """
        jws = signed(policy(), signer(), jwk={"x5c": signer("bob").x5c})

        with pytest.raises(MalformedError, match="different certificates"):
            read_policy_jws(jws)

    def test_another_ones_signature(self):
        """
        A certificate proves nothing without its key.
        """
        stolen = Signer(rsa_key("bob"), signer().chain)

        with pytest.raises(UntrustedError, match="signature is not that of"):
            read_policy_jws(signed(policy(), stolen))

    def test_key_beside(self):
        """
        The key in a certificate behind the first one is not tried.
        """
        stolen = Signer(rsa_key("root"), chained().chain)

        with pytest.raises(UntrustedError, match="signature is not that of"):
            read_policy_jws(signed(policy(), stolen))

    @pytest.mark.parametrize("name", ["crit", "b64", "zip", "enc"])
    def test_extensions(self, name):
        """
        What would change the meaning of the rest is refused.
        """
        with pytest.raises(MalformedError, match=f"header has {name}"):
            read_policy_jws(signed(policy(), signer(), **{name: ["exp"]}))

    @pytest.mark.parametrize("size", [0, 63, 65, 96])
    def test_raw_size(self, size):
        """
        An ES256 signature has 64 bytes.
        """
        jws = signed(policy(), ec_signer(), "ES256")
        cut = jws[: jws.rindex(b".") + 1] + b64url(bytes(size)).encode()

        with pytest.raises(UntrustedError, match="64 bytes"):
            read_policy_jws(cut)


class TestForm:
    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            (b"", "Could not find first period in the token"),
            (b"abc", "Could not find first period in the token"),
            (b"a.b", "Could not find second period in the token"),
            (b"eyJhbGciOiJub25lIn0...", "more than two periods"),
            ("é..".encode(), "not ASCII"),
            (b'"eyJhbGciOiJub25lIn0.."', "header is not base64url"),
            (b"eyJhbGciOiJub25lI.e30.", "header is not base64url"),
            (b"eyJhbGciOiJub25lIn0.!.", "body is not base64url"),
            (b"eyJhbGciOiJub25lIn0.e30.=", "no AttestationPolicy"),
            (b"..", "header of the token cannot be read"),
            (b"W10..", "header of the token is no JSON object"),
            (b"eyJhbGciOiJub25lIn0.W10.", "body of the token is no JSON"),
            (b"eyJhbGciOiJub25lIn0.e30.", "no AttestationPolicy claim"),
            (b"eyJhbGciOiJub25lIn0.fQ.", "body of the token cannot be read"),
        ],
    )
    def test_refused(self, raw, said):
        """
        What is no JWS is refused with what is wrong, as Azure says it where
        that is known.
        """
        with pytest.raises(MalformedError, match=said):
            read_policy_jws(raw)

    @pytest.mark.parametrize("value", [None, 1, ["a"], {"a": "b"}])
    def test_not_text(self, value):
        """
        A policy is text.
        """
        with pytest.raises(MalformedError, match="no AttestationPolicy claim"):
            read_policy_jws(unsigned({"AttestationPolicy": value}))

    @pytest.mark.parametrize("is_preview", [False, True])
    def test_not_utf8(self, is_preview):
        """
        Text is UTF-8.
        """
        given = "\ud800" if is_preview else b64url(b"\xff")
        jws = unsigned({"AttestationPolicy": given})

        with pytest.raises(MalformedError, match="not UTF-8"):
            read_policy_jws(jws, is_preview=is_preview)

    def test_duplicate_keys(self):
        """
        A key stands there once, in the header and in the body.
        """
        twice = b'{"alg":"none","alg":"RS256"}'
        with pytest.raises(MalformedError, match="stands twice"):
            read_policy_jws(unsigned(policy(), twice))
        twice = b'{"AttestationPolicy":"","AttestationPolicy":"QQ"}'
        with pytest.raises(MalformedError, match="stands twice"):
            read_policy_jws(unsigned(twice))

    @pytest.mark.parametrize("is_preview", [False, True])
    def test_longest(self, is_preview):
        """
        The longest text is read, and one byte more is refused.
        """

        def read(size):
            text = "v" * size
            given = text if is_preview else b64url(text.encode())
            jws = unsigned({"AttestationPolicy": given})
            return read_policy_jws(jws, is_preview=is_preview).text

        assert MOST_TEXT == len(read(MOST_TEXT))
        with pytest.raises(MalformedError, match="expected at most 1048576"):
            read(MOST_TEXT + 1)

    def test_oversized(self):
        """
        What is larger than any policy is not even taken apart.
        """
        with pytest.raises(MalformedError, match="expected at most") as caught:
            read_policy_jws(b"." * (MOST_JWS + 1))
        assert "too-large" == caught.value.reason

    @given(st.binary(max_size=300))
    def test_any_bytes(self, raw):
        """
        Whatever comes in is read, or is an error of ours.
        """
        with contextlib.suppress(ThimError):
            read_policy_jws(raw)

    @given(st.data())
    def test_mutated(self, data):
        """
        Of a signed policy no byte can be changed without that being noticed,
        but for how base64 is written.
        """
        jws = bytearray(signed(policy(), signer()))
        place = data.draw(st.integers(0, len(jws) - 1))
        jws[place] = data.draw(st.integers(0, 255))
        try:
            found = read_policy_jws(bytes(jws))
        except ThimError:
            return
        assert (PERMIT, signer().der) == (
            found.text,
            who_signed(found).der,
        )


class TestCertificates:
    @pytest.mark.parametrize(
        ("certificates", "said"),
        [
            ([], "0 certificates, expected 1 to 8"),
            ([""] * 9, "9 certificates, expected 1 to 8"),
            ("MIIB", "no list of strings"),
            ([1], "no list of strings"),
            (["MIIB"], "not a certificate in DER"),
            (["MII B"], "not base64url"),
            (["A" * 40_000], "too long"),
        ],
    )
    def test_unreadable(self, certificates, said):
        """
        What is no list of certificates is refused.
        """
        header = {"alg": "RS256", "x5c": certificates}

        with pytest.raises(MalformedError, match=said):
            read_policy_jws(signed_as(header, policy(), signer()))

    @pytest.mark.parametrize(
        ("chain", "said"),
        [
            (chained().chain[:1], "ends in leaf, which is not signed by"),
            (chained().chain[:2], "ends in middle, which is not signed by"),
            (chained().chain[::2], "leaf is not issued by root"),
            (chained(is_ca=False).chain, "root is not a CA"),
            ((*chained().chain, *signer().chain), "root is not issued by ann"),
        ],
    )
    def test_no_chain(self, chain, said):
        """
        Each certificate is issued by the next one, and the last is a CA that
        is signed by itself.
        """
        with pytest.raises(UntrustedError, match=said):
            read_policy_jws(signed(policy(), Signer(rsa_key("leaf"), chain)))

    @pytest.mark.parametrize(
        ("key", "said"),
        [
            (rsa_key("exponent", 2048, 3), "exponent is not usual"),
            (ec_key("k", ec.SECP256K1), "neither RSA nor ECDSA"),
            (ec_key("b", ec.BrainpoolP256R1), "neither RSA nor ECDSA"),
        ],
    )
    def test_keys(self, key, said):
        """
        Keys of other kinds, or with other exponents, do not count.
        """
        who = Signer(key, (certify("odd", key),))

        with pytest.raises(UntrustedError, match=said):
            read_policy_jws(signed(policy(), who))

    def test_small(self):
        """
        A key of 1024 bits may sign where signing proves nothing, and may not
        where it makes a policy somebody's.
        """
        (small,) = signer("small", bits=1024).chain

        check_key(small)
        with pytest.raises(
            UntrustedError, match="has 1024 bits, expected 2048"
        ):
            check_key(small, 2048)

    def test_among(self):
        """
        A signer is one of a list if the very certificate is.
        """
        found = who_signed(read_policy_jws(signed(policy(), chained())))
        leaf, middle, root = chained().ders

        assert found.is_one_of([signer().der, leaf])
        assert not found.is_one_of([signer().der, middle, root])
        assert not found.is_one_of([])


class TestCertificateJws:
    @pytest.mark.parametrize(
        "name",
        [
            "policyCertificate",
            "x-ms-policyCertificate",
            "maa-policyCertificate",
        ],
    )
    def test_names(self, name):
        """
        The certificate stands under one of three names.
        """
        found = read_certificate_jws(
            signed(certificate(signer("bob"), name), signer())
        )

        assert signer("bob").chain[0] == found.certificate
        assert signer().der == who_signed(found).der

    def test_chain(self):
        """
        Of a chain it is the first one.
        """
        found = read_certificate_jws(unsigned(certificate(chained())))

        assert chained().chain[0] == found.certificate

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"{}", "no policyCertificate claim"),
            (policy(), "no policyCertificate claim"),
            ({"policyCertificate": None}, "is no JSON object"),
            ({"policyCertificate": {}}, "x5c is no list"),
            ({"policyCertificate": {"x5c": ["MIIB"]}}, "not a certificate"),
            (
                {"policyCertificate": {}, "maa-policyCertificate": {}},
                "has both",
            ),
        ],
    )
    def test_refused(self, body, said):
        """
        What names no certificate is refused.
        """
        with pytest.raises(MalformedError, match=said):
            read_certificate_jws(unsigned(body))

    def test_empty(self):
        """
        An empty body names none.
        """
        with pytest.raises(MalformedError, match="no policyCertificate claim"):
            read_certificate_jws(b"eyJhbGciOiJub25lIn0..")

    def test_not_a_policy(self):
        """
        What adds a certificate cannot be passed off as a policy.
        """
        jws = signed(certificate(signer()), signer())

        with pytest.raises(MalformedError, match="no AttestationPolicy"):
            read_policy_jws(jws)

    @given(st.binary(max_size=300))
    def test_any_bytes(self, body):
        """
        Whatever body comes in is read, or is an error of ours.
        """
        with pytest.raises(ThimError):
            read_certificate_jws(unsigned(body))
