"""
The provider's policy decides about evidence, and can add to its token, but
never change what the service says.
"""

import hashlib

import pytest

from tests.http.attesting import (
    ACME,
    URL,
    b64,
    claims_in,
    detail_in,
    error_in,
    header_in,
    held,
    message_in,
)
from tests.policy_signers import DENY, PERMIT, policy, signed, signer
from thim.attestation.policy.hashes import policy_hash
from thim.baseline.provider import TrustModel


DENIED = "Policy Engine Exception: A Deny claim was issued"


def issuing(rule, version="1.2", authorization="=> permit();"):
    """
    Make a policy that permits, and issues by a rule.
    """
    return (
        f"version={version}; authorizationrules{{{authorization}}}; "
        f"issuancerules{{{rule}}};"
    )


class TestStored:
    def test_in_force(self, attester, acme):
        """
        A policy that was set decides from the next request on, and the token
        has its digest.
        """
        before = attester.claims(attester.sgx(prefix=ACME), ACME)
        claims = attester.claims(acme(PERMIT), ACME)

        assert policy_hash(PERMIT) == claims["x-ms-policy-hash"]
        assert before["x-ms-policy-hash"] != claims["x-ms-policy-hash"]
        assert f"{URL}/tenant/acme" == claims["iss"]
        assert "tee" not in claims

    def test_issued(self, attester, acme):
        """
        It adds claims of its own; one name several times is a list.
        """
        got = acme(
            issuing(
                'c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);'
                '=> issue(type="a", value="1"); => issue(type="a", value=2);'
                '=> issue(type="b", value=true);'
            )
        )

        claims = attester.claims(got, ACME)
        assert (1, ["1", 2], True) == tuple(
            claims[k] for k in ("svn", "a", "b")
        )

    def test_signer(self, attester):
        """
        Who signed the policy is in the token.
        """
        jws = signed(policy(PERMIT), signer())
        assert 200 == attester.set_policy("", jws=jws).status

        claims = attester.claims(attester.sgx(prefix=ACME), ACME)
        expected = {"kty": "RSA", "x5c": signer().x5c}
        assert expected == claims["x-ms-policy-signer"]

    def test_types_apart(self, attester, acme):
        """
        A policy for SgxEnclave says nothing about OpenEnclave.
        """
        assert 400 == acme(DENY).status

        body = {"report": b64(attester.quote())}
        assert 200 == attester.post("OpenEnclave", body, prefix=ACME).status

    def test_other_tenant(self, attester, acme):
        """
        A tenant's policy is nobody else's.
        """
        assert 400 == acme(DENY).status

        assert 200 == attester.sgx().status
        assert 200 == attester.sgx(prefix="/tenant/lab").status

    @pytest.mark.parametrize(
        "name",
        [
            "x-ms-sgx-mrsigner",
            "$sgx-mrsigner",
            "x-thim-tcb-status",
            "x-thim-baseline",
            "nonce",
        ],
    )
    def test_readable(self, attester, acme, name):
        """
        A policy may test what the service says, by its new names and its old
        ones, and ours.
        """
        rule = f'c:[type=="{name}"] => issue(type="seen", value=c.value);'
        got = acme(issuing(rule), nonce="n-1")

        claims = attester.claims(got, ACME)
        name = name.replace("$", "x-ms-")
        assert claims[name] == claims["seen"]

    def test_runtime(self, attester):
        """
        Runtime data are JSON text to a policy, in which it can look.
        """
        text = issuing(
            'c:[type=="x-ms-runtime"] => issue(type="who", value='
            'JsonToClaimValue(JmesPath(c.value, "keys[0].kid")));'
        )
        attester.set_policy(text)
        data = b'{"keys": [{"kid": "k-1"}]}'
        quote = attester.quote(report_data=sha256_64(data))
        got = attester.sgx(quote, ACME, runtimeData=held(data, "JSON"))

        assert "k-1" == attester.claims(got, ACME)["who"]


def sha256_64(data):
    """
    Make report data that speak for *data*.
    """
    return hashlib.sha256(data).digest().ljust(64, b"\0")


class TestRefused:
    def test_denied(self, acme):
        """
        A policy that denies is Azure's error, with the rule that did.
        """
        got = acme("version=1.0;\nauthorizationrules{\n=> deny();\n};")

        assert (400, "PolicyEvaluationError", "policy") == error_in(got)
        assert message_in(got).startswith(DENIED)
        assert "line 3" in message_in(got)
        assert detail_in(got).startswith("the policy in force: its rule of ")

    def test_denied_draft(self, attester):
        """
        Our own words say that it was a draft that denied.
        """
        got = attester.sgx(draftPolicyForAttestation=DENY)

        assert detail_in(got).startswith("the draft: its rule of line ")

    @pytest.mark.parametrize(
        "rules", ["", '[type=="x-ms-sgx-svn", value==99] => permit();']
    )
    def test_not_permitted(self, acme, rules):
        """
        One that does not permit refuses.
        """
        got = acme(issuing("", authorization=rules))

        assert (400, "PolicyEvaluationError", "policy") == error_in(got)
        assert "No Permit claim was issued" in message_in(got)

    def test_failing(self, acme):
        """
        One that cannot be run to its end refuses.
        """
        got = acme(
            issuing(
                'c:[type=="x-ms-attestation-type"] => issue(type="a", '
                "value=JsonToClaimValue(c.value));"
            )
        )

        assert (400, "PolicyEvaluationError") == error_in(got)[:2]

    def test_budget(self, attester):
        """
        One that takes more than an evaluation has is stopped, and does not
        hold up anybody.
        """
        double = "".join(
            f'c:[type=="a{i}"] => add(type="a{i + 1}", '
            f"value=AppendString(c.value, c.value));"
            for i in range(40)
        )
        text = issuing(f'=> add(type="a0", value="xxxxxxxx");{double}')
        attester.set_policy(text)
        got = attester.sgx(prefix=ACME)

        expected = (400, "PolicyEvaluationError", "policy-budget")
        assert expected == error_in(got)
        assert 200 == attester.sgx().status


class TestForging:
    @pytest.mark.parametrize(
        "name",
        ["x-ms-sgx-svn", "X-MS-SGX-SVN", "iss", "exp", "x-thim-tcb-status"],
    )
    def test_set(self, attester, name):
        """
        A policy that issues a claim of the service cannot be set.
        """
        text = issuing(f'=> issue(type="{name}", value="1");')
        got = attester.set_policy(text)

        assert (400, "PolicyParsingError", "policy-reserved-name") == (
            error_in(got)
        )

    @pytest.mark.parametrize("verb", ["issue", "add"])
    @pytest.mark.parametrize(
        "name", ["x-ms-sgx-svn", "X-Ms-Sgx-Mrsigner", "jti", "x-ms-new"]
    )
    def test_computed(self, acme, verb, name):
        """
        Nor can one get round that by working a name out.
        """
        rule = (
            f'=> {verb}(type=AppendString("{name[:2]}", "{name[2:]}"), '
            'value="forged");'
        )
        got = acme(issuing(rule))

        assert (400, "PolicyEvaluationError", "policy-reserved-name") == (
            error_in(got)
        )

    def test_reissued(self, attester, acme):
        """
        To issue a claim of the service again changes nothing.
        """
        plain = attester.claims(attester.sgx(), "")
        got = acme(issuing('c:[type!=""] => issue(claim=c);'))

        claims = attester.claims(got, ACME)
        for name in ("x-ms-sgx-svn", "x-ms-sgx-mrsigner", "x-ms-ver"):
            assert plain[name] == claims[name]
        assert not [name for name in claims if name.startswith("$")]


class TestDraft:
    def test_unsigned(self, attested):
        """
        A draft decides instead of the policy; its token is not signed, and
        its header the same but for that.
        """
        got = attested.sgx(draftPolicyForAttestation=PERMIT)

        token = got.json["token"]
        assert token.endswith(".")
        signed_token = attested.sgx().json["token"]
        header, other = map(header_in, (token, signed_token))
        assert {**other, "alg": "none"} == header
        claims = claims_in(token)
        assert policy_hash(PERMIT) == claims["x-ms-policy-hash"]
        assert URL == claims["iss"]

    def test_recorded_as_set(self, attester):
        """
        The record of a token names the very policy that has decided, which is
        none where it is a default one; to set the same again makes no other.
        """
        prefix = "/tenant/acme"
        attester.claims(attester.sgx(prefix=prefix), prefix)
        for text in (PERMIT, f"{PERMIT}//2", f"{PERMIT}//2"):
            attester.set_policy(text)
            attester.claims(attester.sgx(prefix=prefix), prefix)

        versions = [each.policy_version for each in attester.decisions()]
        assert [None, 1, 2, 2] == sorted(versions, key=lambda v: v or 0)

    def test_recorded(self, attester):
        """
        It is on record as what it is.
        """
        got = attester.sgx(draftPolicyForAttestation=PERMIT)

        (record,) = attester.decisions()
        assert record.is_draft
        assert claims_in(got.json["token"])["jti"] == record.jti

    def test_denying(self, attested):
        """
        A draft that denies refuses.
        """
        got = attested.sgx(draftPolicyForAttestation=DENY)

        assert (400, "PolicyEvaluationError", "policy") == error_in(got)

    def test_isolated(self, attester):
        """
        It is nobody's policy: an isolated provider takes it as well.
        """
        attester.define(
            "acme", trust=TrustModel.ISOLATED, certificates=(signer().der,)
        )
        got = attester.sgx(prefix=ACME, draftPolicyForAttestation=PERMIT)

        assert got.json["token"].endswith(".")

    def test_syntax(self, attested):
        """
        What is no policy is told with its place.
        """
        got = attested.sgx(draftPolicyForAttestation="version=1.0;\n[")

        assert (400, "PolicyParsingError") == error_in(got)[:2]
        assert message_in(got).startswith(
            "Offending symbol: '[' Line: '2', Column: '1'"
        )

    def test_size(self, attested):
        """
        Drafts have 64 KiB at the most.
        """
        draft = PERMIT + " " * (64 * 1024)
        got = attested.sgx(draftPolicyForAttestation=draft)

        assert (400, "InvalidParameter", "submission") == error_in(got)

    def test_nesting(self, attested):
        """
        They nest to a depth of 64.
        """
        value = "NegateBool(" * 65 + "true" + ")" * 65
        draft = issuing(f'=> issue(type="a", value={value});')
        got = attested.sgx(draftPolicyForAttestation=draft)

        assert (400, "PolicyParsingError") == error_in(got)[:2]

    def test_many(self, attester):
        """
        One address sends so many in a minute.
        """
        statuses = [
            attester.sgx(draftPolicyForAttestation="x").status
            for _ in range(121)
        ]

        assert [400] * 120 + [429] == statuses
        got = attester.sgx(draftPolicyForAttestation="x")
        assert (429, "TooManyRequests", "drafts") == error_in(got)
        assert int(got["retry-after"]) > 0
        assert 200 == attester.sgx().status
