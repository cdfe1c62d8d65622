"""
Providers as they are managed: who may, by which API, and what is refused.
"""

import base64
import concurrent.futures
import contextlib
import datetime
import hashlib
import json

import pytest

from tests.http.attestation_serving import (
    URL,
    Provider,
    V,
    define,
    serving_providers,
)
from tests.platforms import NOW
from tests.policy_signers import (
    DENY,
    PERMIT,
    RECORDED,
    RECORDED_HASH,
    Signer,
    certificate,
    chained,
    policy,
    rsa_key,
    signed,
    signed_as,
    signed_by_sdk,
    signer,
    unsigned,
)
from thim.attestation.policy_jws import MOST_JWS, write_unsigned
from thim.baseline.provider import TrustModel
from thim.services.tokens import Role
from thim.store.attestation_view import AttestationView
from thim.store.replica import Replica


POLICY = f"/policies/SgxEnclave?{V}"
RESET = f"/policies/SgxEnclave:reset?{V}"
CERTIFICATES = f"/certificates?{V}"
ADD, REMOVE = f"/certificates:add?{V}", f"/certificates:remove?{V}"
TCB = "/tcbbaselines/SgxEnclave?api-version=2025-06-01"
EMPTY = b"eyJhbGciOiJub25lIn0.."
READS = (POLICY, CERTIFICATES, TCB)
WRITES = (
    ("PUT", POLICY, RECORDED),
    ("POST", RESET, EMPTY),
    ("POST", ADD, unsigned(certificate(signer()))),
    ("POST", REMOVE, unsigned(certificate(signer()))),
)
ROLES = [role.value for role in Role]


@pytest.fixture(scope="module")
def shared(intel, tmp_path_factory):
    """
    A service in which nothing is ever changed.
    """
    folder = tmp_path_factory.mktemp("providers")
    with serving_providers(intel, folder) as running:
        yield running


@pytest.fixture
def api(intel, tmp_path):
    """
    A service of its own for each test.
    """
    with serving_providers(intel, tmp_path) as running:
        yield running


@pytest.fixture
def acme(api):
    """
    A provider that is managed by tokens alone.
    """
    return Provider(api, "acme")


@pytest.fixture
def isolated(api, intel):
    """
    A provider whose changes have to be signed by ann.
    """
    trust = TrustModel.ISOLATED
    define(api.store, intel, "lab", signer().der, trust=trust)
    return Provider(api, "lab")


def refusal(got):
    """
    Read a refusal: status and code.
    """
    assert "application/json; charset=utf-8" == got["content-type"]
    assert "no-store" == got["cache-control"]
    error = got.json["error"]
    assert error["code"] == got["x-ms-error-code"]
    assert error["message"]
    assert {"code", "message"} == set(error["innererror"])
    assert ("retry-after" in got) == (got.status in {429, 503})
    assert ("www-authenticate" in got) == (got.status == 401)
    return got.status, error["code"]


def peek(token):
    """
    Read a token that is too long for who verifies here.
    """
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def said(got):
    """
    Read what is said of a refusal.
    """
    return got.json["error"]["message"]


def events(store):
    """
    Return what was written down of attestation, and of whom.
    """
    with contextlib.closing(Replica(store)) as replica:
        rows = replica.rows("SELECT action, detail, actor FROM events")
    return [
        (action, detail, actor.partition("(")[2].rstrip(")"))
        for action, detail, actor in rows
        if action.startswith(("attestation", "policy"))
    ]


class TestAnswers:
    def test_token(self, acme):
        """
        Answers are tokens of the provider's issuer that hold for an hour.
        """
        got = acme.ask(POLICY)
        claims = acme.read(got.json["token"])

        assert ["token"] == list(got.json)
        assert f"{URL}/tenant/acme" == claims["iss"]
        assert int(NOW.timestamp()) == claims["iat"] == claims["nbf"]
        assert 3600 == claims["exp"] - claims["iat"]
        assert "jti" not in claims
        assert got["x-ms-maa-service-version"]
        assert 32 == len(got["x-ms-request-id"])

    def test_default(self, acme):
        """
        Where nothing is set the default policy is in force, as if sent by
        nobody.
        """
        token = acme.policy()

        assert token.startswith("eyJhbGciOiJub25lIn0.")
        assert token.endswith(".")

    def test_none(self, acme):
        """
        Where there is no default there is no policy.
        """
        claims = acme.claims(f"/policies/Tpm?{V}")

        assert EMPTY.decode() == claims["x-ms-policy"]

    def test_root(self, api):
        """
        The root's issuer is the service's own.
        """
        assert URL == Provider(api, "root").claims(POLICY)["iss"]


class TestSet:
    def test_unsigned(self, acme):
        """
        A policy is set as it was received, and its digest is answered.
        """
        got = acme.put(RECORDED)
        claims = acme.read(got.json["token"])
        kept = {k: v for k, v in claims.items() if k.startswith("x-")}

        assert {
            "x-ms-policy-result": "Updated",
            "x-ms-policy-token-hash": RECORDED_HASH,
        } == kept
        assert RECORDED.decode() == acme.policy()

    @pytest.mark.parametrize("is_ca", [True, False])
    def test_signed(self, acme, is_ca):
        """
        Who signed it is answered, and need not be known.
        """
        who = signer("joe", is_ca=is_ca)
        raw = signed_by_sdk(policy(), who)
        claims = acme.read(acme.put(raw).json["token"])

        assert {
            "alg": "RS256",
            "kty": "RSA",
            "use": "sig",
            "x5c": who.x5c,
        } == claims["x-ms-policy-signer"]
        assert raw.decode() == acme.policy()

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b'"%s"' % RECORDED, "text/plain"),
            (b'"%s"' % RECORDED, "application/json; charset=utf-8"),
            (RECORDED + b"\r\n", "text/plain; charset=utf-16"),
            (RECORDED, "application/json"),
        ],
    )
    def test_bodies(self, acme, body, kind):
        """
        It comes bare or in quotes, whatever is said of it.
        """
        got = acme.put(body, content_type=kind)

        claims = acme.read(got.json["token"])
        assert RECORDED_HASH == claims["x-ms-policy-token-hash"]

    def test_each_type(self, acme):
        """
        Each type of attestation has a policy of its own.
        """
        before = acme.claims(f"/policies/OpenEnclave?{V}")["x-ms-policy"]
        acme.put(RECORDED)

        path = f"/policies/openenclave?{V}"
        assert before == acme.claims(path)["x-ms-policy"]

    def test_each_tenant(self, acme, api):
        """
        So has each tenant.
        """
        before = Provider(api, "lab").policy()
        acme.put(RECORDED)

        assert before == Provider(api, "lab").policy()

    def test_reset(self, acme):
        """
        A policy is reset by a token without a body.
        """
        before = acme.policy()
        acme.put(RECORDED)
        claims = acme.read(acme.reset(EMPTY).json["token"])

        kept = {k: v for k, v in claims.items() if k.startswith("x-")}
        assert {"x-ms-policy-result": "Removed"} == kept
        assert before == acme.policy()

    def test_written_down(self, acme, api):
        """
        Each change is written down with who made it, and the policy's digest;
        one that changes nothing is not.
        """
        acme.put(RECORDED, "acme/operator")
        acme.put(RECORDED, "acme/operator")
        acme.reset(EMPTY)

        digest = hashlib.sha256(RECORDED).hexdigest()
        what = "policy SgxEnclave of tenant acme"
        assert [
            (
                "attestation-policy-set",
                f"{what}: JWS {digest}",
                "acme/operator",
            ),
            ("attestation-policy-reset", what, "admin"),
        ] == events(api.store)

    def test_history(self, acme, api):
        """
        Each version stays.
        """
        acme.put(RECORDED)
        acme.reset(EMPTY)

        with contextlib.closing(Replica(api.store)) as replica:
            past = AttestationView(replica).history("acme", "SgxEnclave")
        assert [RECORDED, None] == [each.jws for each in past]

    @pytest.mark.parametrize(
        ("raw", "code", "words"),
        [
            (b"abc", "InvalidOperation", "Could not find first period"),
            (b"", "InvalidOperation", "Could not find first period"),
            (b'"abc', "InvalidOperation", "not JSON"),
            (EMPTY, "InvalidOperation", "no AttestationPolicy claim"),
            (
                signed(policy(), Signer(rsa_key("bob"), signer().chain)),
                "InvalidOperation",
                "signature is not that of ann",
            ),
            (
                write_unsigned("version=1.0;\n[ => permit();"),
                "PolicyParsingError",
                "Offending symbol: '[' Line: '2', Column: '1'",
            ),
            (
                write_unsigned(
                    'version=1.0;issuancerules{=> issue(type="iss",value=1);};'
                ),
                "PolicyParsingError",
                "not the service's own",
            ),
            (
                signed_as({"alg": "HS256"}, policy(), signer()),
                "InvalidOperation",
                "alg is 'HS256'",
            ),
            (
                signed_as({"alg": "none"}, policy(), signer()),
                "InvalidOperation",
                "alg is none, and yet there is a signature",
            ),
            (
                signed_as({"alg": "RS256", "x5c": []}, policy(), signer()),
                "InvalidOperation",
                "0 certificates",
            ),
        ],
    )
    def test_refused(self, acme, raw, code, words):
        """
        What is no policy, or is forged, is refused and changes nothing.
        """
        before = acme.policy()
        got = acme.put(raw)

        assert (400, code) == refusal(got)
        assert words in said(got)
        assert before == acme.policy()

    def test_refused_chain(self, acme):
        """
        A chain that ends in no CA has the code that is documented.
        """
        got = acme.put(signed(policy(), chained(is_ca=False)))

        assert (400, "InvalidParameter") == refusal(got)
        assert "root is not a CA" in said(got)

    def test_oversized(self, acme):
        """
        A body that no policy can have is refused.
        """
        got = acme.put(b"." * (MOST_JWS + 1))

        assert 413 == got.status

    def test_longest(self, acme):
        """
        The longest policy goes through.
        """
        raw = write_unsigned(PERMIT + " " * (1024 * 1024 - len(PERMIT)))

        assert 200 == acme.put(raw).status
        token = acme.ask(POLICY).json["token"]
        assert raw.decode() == peek(token)["x-ms-policy"]

    @pytest.mark.parametrize("kind", ["text/html", "application/x-www-form"])
    def test_content_type(self, acme, kind):
        """
        What is said to be something else is refused.
        """
        got = acme.put(RECORDED, content_type=kind)

        assert (400, "InvalidParameter") == refusal(got)

    def test_compressed(self, acme):
        """
        So is what is said to be compressed.
        """
        got = acme.put(RECORDED, content_encoding="gzip")

        assert (400, "InvalidParameter") == refusal(got)

    def test_reset_with_policy(self, acme):
        """
        A token with a policy in it resets nothing.
        """
        acme.put(RECORDED)
        got = acme.reset(RECORDED)

        assert (400, "InvalidOperation") == refusal(got)
        assert RECORDED.decode() == acme.policy()

    def test_too_often(self, acme, api):
        """
        Each change is kept for ever, so there are not many in a minute.
        """
        got = [acme.reset(EMPTY).status for _ in range(61)]

        assert [200] * 60 == got[:60]
        assert 429 == got[60]
        assert 200 == Provider(api, "lab").reset(EMPTY).status


class TestIsolated:
    def test_certificates(self, isolated):
        """
        Its certificates are listed as keys that sign.
        """
        claims = isolated.claims(CERTIFICATES)

        assert {
            "keys": [
                {
                    "alg": "RS256",
                    "kty": "RSA",
                    "use": "sig",
                    "x5c": signer().x5c,
                }
            ]
        } == claims["x-ms-policy-certificates"]

    def test_set(self, isolated):
        """
        A policy counts that is signed with one of them, and so does a reset.
        """
        raw = signed(policy(DENY), signer())

        assert 200 == isolated.put(raw).status
        assert raw.decode() == isolated.policy()
        assert 200 == isolated.reset(signed(b"", signer())).status
        assert raw.decode() != isolated.policy()

    @pytest.mark.parametrize(
        ("raw", "words"),
        [
            (RECORDED, "this token is not signed"),
            (
                signed(policy(), signer("bob")),
                "none of its policy certificates",
            ),
            (
                signed(policy(), Signer(rsa_key("bob"), signer().chain)),
                "the signature is not that of ann",
            ),
        ],
    )
    def test_refused(self, isolated, api, raw, words):
        """
        What is not signed, or by somebody else, is refused, changes nothing
        and is written down.
        """
        before = isolated.policy()
        for got in (isolated.put(raw), isolated.reset(raw)):
            assert (400, "InvalidOperation") == refusal(got)
        assert words in said(isolated.put(raw))
        assert before == isolated.policy()
        action, detail, actor = events(api.store)[-1]
        assert ("attestation-refused", "admin") == (action, actor)
        assert words in detail

    def test_same_name_other_key(self, isolated):
        """
        The very certificate counts: one that looks the same does not.
        """
        twin = signer("ann", bits=3072)
        raw = signed(policy(), twin)

        assert "none of its policy certificates" in said(isolated.put(raw))

    def test_no_set_as_reset(self, isolated):
        """
        A signed policy that was heard on the way does not reset anything, and
        a certificate's token sets nothing.
        """
        raw = signed(policy(DENY), signer())
        isolated.put(raw)

        assert (400, "InvalidOperation") == refusal(isolated.reset(raw))
        adds = signed(certificate(signer("bob")), signer())
        assert (400, "InvalidOperation") == refusal(isolated.put(adds))
        assert raw.decode() == isolated.policy()

    def test_needs_a_token(self, isolated):
        """
        A signature alone, sent again by whoever heard it, is not enough.
        """
        raw = signed(policy(), signer())
        got = isolated.ask(POLICY, None, method="PUT", body=raw)

        assert (401, "Unauthorized") == refusal(got)

    @pytest.mark.parametrize(
        "name", ["policyCertificate", "x-ms-policyCertificate"]
    )
    def test_add(self, isolated, name):
        """
        A certificate is added by who has one, and signs from then on.
        """
        bob = signer("bob")
        raw = signed(certificate(bob, name), signer())
        claims = isolated.claims(ADD, method="POST", body=raw)
        digest = hashlib.sha1(bob.der, usedforsecurity=False).hexdigest()

        kept = {k: v for k, v in claims.items() if k.startswith("x-")}
        assert {
            "x-ms-certificate-thumbprint": digest.upper(),
            "x-ms-policycertificates-result": "IsPresent",
            "x-ms-certificate-result": "IsPresent",
        } == kept
        assert 200 == isolated.put(signed(policy(), bob)).status

    def test_again(self, isolated):
        """
        Adding and removing twice is the same as once.
        """
        add = signed(certificate(signer("bob")), signer())
        for path, result in ((ADD, "IsPresent"), (REMOVE, "IsAbsent")):
            for _ in range(2):
                claims = isolated.claims(path, method="POST", body=add)
                assert result == claims["x-ms-policycertificates-result"]
        (key,) = isolated.claims(CERTIFICATES)["x-ms-policy-certificates"][
            "keys"
        ]
        assert signer().x5c == key["x5c"]

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            (ADD, "policyCertificateToAdd"),
            (REMOVE, "policyCertificateToRemove"),
        ],
    )
    def test_bodies(self, isolated, path, name):
        """
        The token is sent as a JSON string, as a member, or bare.
        """
        text = signed(certificate(signer("bob")), signer()).decode()
        for body in (text, json.dumps(text), json.dumps({name: text})):
            got = isolated.ask(
                path,
                method="POST",
                body=body.encode(),
                content_type="application/json",
            )
            assert 200 == got.status, got.body

    @pytest.mark.parametrize("body", [b"{}", b'{"a":"b"}', b"[]", b"1", b'"'])
    def test_bad_bodies(self, isolated, body):
        """
        Anything else is refused.
        """
        got = isolated.ask(ADD, method="POST", body=body)

        assert (400, "InvalidOperation") == refusal(got)

    def test_last(self, isolated):
        """
        The last one cannot be removed.
        """
        raw = signed(certificate(signer()), signer())
        got = isolated.ask(REMOVE, method="POST", body=raw)

        assert (400, "InvalidOperation") == refusal(got)
        assert "last policy certificate" in said(got)

    def test_removed(self, isolated):
        """
        Who was removed signs no more, not even what was signed before.
        """
        old = signed(policy(DENY), signer())
        bob = signer("bob")
        add = signed(certificate(bob), signer())
        assert 200 == isolated.ask(ADD, method="POST", body=add).status
        remove = signed(certificate(signer()), bob)
        assert 200 == isolated.ask(REMOVE, method="POST", body=remove).status

        assert (400, "InvalidOperation") == refusal(isolated.put(old))

    def test_weak(self, isolated):
        """
        A certificate with a small key is not added.
        """
        weak = signer("small", bits=1024)
        raw = signed(certificate(weak), signer())
        got = isolated.ask(ADD, method="POST", body=raw)

        assert (400, "InvalidParameter") == refusal(got)
        assert "has 1024 bits, expected 2048" in said(got)

    def test_only_isolated(self, acme):
        """
        Another provider has no certificates, and gets none.
        """
        raw = signed(certificate(signer()), signer())
        got = acme.ask(ADD, method="POST", body=raw)

        assert (400, "InvalidOperation") == refusal(got)
        assert "are for isolated" in said(got)
        claims = acme.claims(CERTIFICATES)
        assert {"keys": []} == claims["x-ms-policy-certificates"]


class TestWho:
    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("path", READS)
    def test_read(self, shared, path, role):
        """
        Admins, operators and readers may read, of nobody's and of the tenant.
        """
        may = role in {"admin", "operator", "reader"}
        for who in (role, f"acme/{role}"):
            got = Provider(shared, "acme").ask(path, who)
            if may:
                assert 200 == got.status
            else:
                assert (401, "Unauthorized") == refusal(got)

    @pytest.mark.parametrize("path", READS)
    def test_read_others(self, shared, path):
        """
        Another tenant's token is of no use.
        """
        got = Provider(shared, "acme").ask(path, "lab/admin")

        assert (403, "Forbidden") == refusal(got)

    @pytest.mark.parametrize("path", READS)
    def test_read_shared(self, shared, path):
        """
        What a shared provider has is no secret from who may read anything.
        """
        root = Provider(shared, "root")

        assert 200 == root.ask(path, "lab/reader").status
        assert (401, "Unauthorized") == refusal(root.ask(path, "lab/agent"))
        assert (401, "Unauthorized") == refusal(root.ask(path, None))

    @pytest.mark.parametrize(
        "who",
        [
            "operator",
            "reader",
            "registrar",
            "agent",
            "acme/reader",
            "acme/registrar",
            "acme/agent",
            "acme/enrolment",
        ],
    )
    @pytest.mark.parametrize(("method", "path", "body"), WRITES)
    def test_write(self, shared, method, path, body, who):
        """
        Who has another role changes nothing, an operator of nobody's included.
        """
        got = Provider(shared, "acme").ask(path, who, method=method, body=body)

        assert (401, "Unauthorized") == refusal(got)

    @pytest.mark.parametrize("who", ["admin", "acme/admin", "acme/operator"])
    def test_writers(self, acme, who):
        """
        Admins do, and a tenant's own admins and operators.
        """
        assert 200 == acme.put(RECORDED, who).status

    @pytest.mark.parametrize(("method", "path", "body"), WRITES)
    def test_write_others(self, shared, method, path, body):
        """
        Those of another tenant do not.
        """
        got = Provider(shared, "acme").ask(
            path, "lab/admin", method=method, body=body
        )
        assert (403, "Forbidden") == refusal(got)

    @pytest.mark.parametrize(("method", "path", "body"), WRITES)
    def test_write_shared(self, shared, method, path, body):
        """
        Nobody changes a shared provider.
        """
        got = Provider(shared, "root").ask(path, method=method, body=body)

        assert (401, "Unauthorized") == refusal(got)
        assert "is shared" in said(got)

    @pytest.mark.parametrize(
        "sent",
        [{}, {"authorization": "Bearer x"}, {"authorization": "Basic x"}],
    )
    def test_no_token(self, shared, sent):
        """
        Without a token that counts nothing is told.
        """
        for path in READS:
            got = Provider(shared, "acme").ask(path, None, **sent)
            assert (401, "Unauthorized") == refusal(got)


class TestPlaces:
    def test_unknown_host(self, shared):
        """
        A host that nobody has is no provider.
        """
        got = Provider(shared, "root").ask(POLICY, Host="evil.example")

        assert (421, "MisdirectedRequest") == refusal(got)

    def test_unknown_tenant(self, shared):
        """
        Nor is a tenant that is not there.
        """
        got = Provider(shared, "nobody").ask(POLICY)

        assert (404, "NotFound") == refusal(got)

    @pytest.mark.parametrize("prefix", ["/baseline/17", "/at/2026-01-01"])
    def test_prefixes(self, shared, prefix):
        """
        Providers are not below a baseline or an instant.
        """
        got = Provider(shared, "root").ask(f"{prefix}{POLICY}")

        assert (404, "NotFound") == refusal(got)

    def test_unknown_type(self, shared):
        """
        A type that there is not has no policy.
        """
        got = Provider(shared, "acme").ask(f"/policies/Sgx?{V}")

        assert (404, "NotFound") == refusal(got)

    def test_line_break(self, shared):
        """
        A path that ends in a line break is another.
        """
        got = Provider(shared, "acme").ask(f"/certificates%0A?{V}")

        assert 404 == got.status

    def test_no_url(self, intel, tmp_path):
        """
        A service that does not know its name manages nothing.
        """
        with serving_providers(intel, tmp_path, attestation_url=None) as api:
            got = Provider(api, "acme").ask(POLICY)

        assert (421, "MisdirectedRequest") == refusal(got)


class TestVersions:
    @pytest.mark.parametrize(
        "version",
        [
            "2020-10-01",
            "2022-08-01",
            "2022-09-01-preview",
            "2023-04-01-preview",
            "2025-06-01",
            "2026-03-11-preview",
        ],
    )
    def test_known(self, shared, version):
        """
        Every version of the present API is answered.
        """
        path = f"/policies/SgxEnclave?api-version={version}"

        assert 200 == Provider(shared, "acme").ask(path).status

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("", "MissingApiVersionParameter"),
            ("?api-version=", "MissingApiVersionParameter"),
            ("?api-version=2019-01-01", "UnsupportedApiVersionValue"),
            ("?api-version=2018-09-01-preview", "UnsupportedApiVersionValue"),
        ],
    )
    def test_unknown(self, shared, query, code):
        """
        Another one, or none, is refused with those that there are.
        """
        got = Provider(shared, "acme").ask(f"/policies/SgxEnclave{query}")

        assert (400, code) == refusal(got)
        assert "2020-10-01, 2022-08-01" in said(got)

    def test_tcb_baselines(self, shared):
        """
        TCB baselines came later.
        """
        got = Provider(shared, "acme").ask(f"/tcbbaselines/SgxEnclave?{V}")

        assert (400, "UnsupportedApiVersionValue") == refusal(got)


class TestTcbBaselines:
    def test_list(self, shared):
        """
        The archived numbers are listed, and the one in force is marked.
        """
        got = Provider(shared, "acme").ask(TCB)

        assert [
            {
                "isSelectedTcb": False,
                "tcbEvaluationDataNumber": 18,
                "tcbIdentifier": "18",
            },
            {
                "isSelectedTcb": True,
                "tcbEvaluationDataNumber": 17,
                "tcbIdentifier": "17",
            },
        ] == got.json["tcbBaselines"]

    @pytest.mark.parametrize("kind", ["SevSnpVm", "TdxVm", "Tpm"])
    def test_others(self, shared, kind):
        """
        Other types have none.
        """
        path = f"/tcbbaselines/{kind}?api-version=2025-06-01"

        assert 404 == Provider(shared, "acme").ask(path).status


class TestDeleted:
    def test_name_again(self, api, intel):
        """
        Who gets the name of a tenant that was deleted gets nothing of it.
        """
        trust = TrustModel.ISOLATED
        define(api.store, intel, "lab", signer().der, trust=trust)
        lab = Provider(api, "lab")
        before = lab.policy()
        assert 200 == lab.put(signed(policy(), signer())).status
        assert 200 == api.ask("/tenants/lab", method="DELETE").status
        body = {"baseline": "17", "reason": "again"}
        assert 201 == api.put("/tenants/lab", body).status

        assert before == lab.policy()
        isolated = {**body, "attestation": {"trust": "isolated"}}
        got = api.put("/tenants/lab", isolated, if_match="4")
        assert "expected a policy certificate" in got.json["detail"]


class TestInstant:
    def test_date(self, acme):
        """
        Tokens are of the service's own instant.
        """
        at = datetime.datetime.fromtimestamp(
            acme.claims(POLICY)["iat"], datetime.UTC
        )
        assert NOW == at


def test_one_after_the_other(acme):
    """
    Changes of one provider are made one after the other; who comes while many
    wait is to come again.
    """
    rules = '=>add(type="a",value=1);' * 400
    raw = unsigned(policy(PERMIT.replace("rules{}", f"rules{{{rules}}}")))

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        got = list(pool.map(acme.put, [raw] * 24))

    assert {200, 429} == {each.status for each in got}
    refused = [each for each in got if each.status == 429]
    assert (429, "TooManyRequests") == refusal(refused[0])
