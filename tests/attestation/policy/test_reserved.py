import pytest

from tests.attestation.policy.made import issue, quoted, run, write
from thim.attestation.kind import AttestationType
from thim.attestation.policy.claim import Claim, Issuer
from thim.attestation.policy.errors import (
    PolicyEvaluationError,
    PolicySyntaxError,
)
from thim.attestation.policy.parse import parse_policy
from thim.attestation.policy.reserved import (
    Reserved,
    check_reserved,
    is_acceptable,
    reserved_for,
)


NAMES = [
    "iss",
    "exp",
    "nbf",
    "iat",
    "jti",
    "aud",
    "sub",
    "nonce",
    "rp_data",
    "x-ms-ver",
    "x-ms-policy-hash",
    "x-ms-runtime",
    "x-ms-sgx-svn",
    "x-ms-sevsnpvm-hostdata",
    "x-thim-anything",
    "maa-ehd",
    "$svn",
    "tdx_mrtd",
    "eat_profile",
    "ISS",
    "X-Ms-Ver",
]


def check(text, reserved=()):
    """
    Check a policy's names.
    """
    check_reserved(parse_policy(text), Reserved(reserved))


class TestNames:
    @pytest.mark.parametrize("name", NAMES)
    def test_reserved(self, name):
        """
        Names of the service, of JWTs and our own are reserved, in whichever
        letter case.
        """
        assert name in Reserved()

    @pytest.mark.parametrize(
        "name",
        ["is-debuggable", "tee", "svn", "issuer", "xms", "my-x-ms-ver", ""],
    )
    def test_free(self, name):
        """
        Others are free, those that the default policy issues among them.
        """
        assert name not in Reserved()

    def test_more(self):
        """
        A service may have more.
        """
        assert "Mine" in Reserved(["mINE"])

    def test_of_a_type(self):
        """
        What an attestation type has is reserved for it.
        """
        assert "dbgstat" in reserved_for(AttestationType.TDX_VM)
        assert "aikValidated" in reserved_for(AttestationType.TPM)
        assert "aikValidated" not in reserved_for(AttestationType.SGX_ENCLAVE)
        assert "mine" in reserved_for(None, ["mine"])

    @pytest.mark.parametrize("name", ["a", "a b", "a" * 256, "http://a/b?c"])
    def test_acceptable(self, name):
        """
        A name in a token is printable ASCII.
        """
        assert is_acceptable(name)

    @pytest.mark.parametrize(
        "name", ["", " a", "a ", "ä", "a\n", "\u0456ss", "a" * 257, "a\u200bb"]
    )
    def test_not_acceptable(self, name):
        """
        So nothing else looks like a name of the service.
        """
        assert not is_acceptable(name)


class TestWhenSet:
    @pytest.mark.parametrize("verb", ["issue", "add"])
    @pytest.mark.parametrize("name", NAMES)
    def test_refused(self, name, verb):
        """
        A rule that issues or adds a reserved name, as it is written out, is
        refused with its place.
        """
        text = write(f'\n=> {verb}(type="{name}", value=1);')

        with pytest.raises(PolicySyntaxError, match="the service's own") as e:
            check(text)

        assert 2 == e.value.line
        assert "policy-reserved-name" == e.value.reason

    @pytest.mark.parametrize("verb", ["issue", "add"])
    def test_in_authorization_rules(self, verb):
        """
        So it is before.
        """
        with pytest.raises(PolicySyntaxError):
            check(write(authorization=f'=> {verb}(type="iss", value=1);'))

    def test_with_the_same_value(self):
        """
        So it is where the value would be the same.
        """
        with pytest.raises(PolicySyntaxError):
            check(
                write(
                    'c:[type=="x-ms-sgx-svn"] => '
                    'issue(type="x-ms-sgx-svn", value=c.value);'
                )
            )

    def test_not_acceptable(self):
        """
        A name that cannot stand in a token is refused too; one that is only
        added may be any.
        """
        with pytest.raises(PolicySyntaxError, match="printable ASCII") as e:
            check(write('=> issue(type="ä", value=1);'))

        assert "policy-name" == e.value.reason
        check(write('=> add(type="ä", value=1);'))

    def test_properties(self):
        """
        A property's name is no claim's.
        """
        check(
            "version=1.1;configurationrules{=> issueproperty("
            'type="x-ms-sgx-tcbidentifier", value="azuredefault");};'
        )

    def test_known_claims(self):
        """
        Claims that are known can be issued as they are.
        """
        check(write('c:[type=="x-ms-sgx-svn"] => issue(claim=c);'))


SERVICE = {"x-ms-sgx-svn": 1, "kept": "true", "both": [1, 2]}


class TestWhenRun:
    @pytest.mark.parametrize("verb", ["issue", "add"])
    @pytest.mark.parametrize("name", [*NAMES, "kept", "KEPT"])
    def test_computed(self, name, verb):
        """
        A reserved name that is made when the policy runs is an error, and one
        of any claim of the service.
        """
        first, rest = name[:2], name[2:]
        rule = (
            f'=> {verb}(type=AppendString("{first}", "{rest}"), '
            'value="forged");'
        )

        with pytest.raises(PolicyEvaluationError, match="service's own") as e:
            issue(rule, SERVICE)

        assert "policy-reserved-name" == e.value.reason

    def test_written_out(self):
        """
        So is one that is written out, if the policy was never checked.
        """
        with pytest.raises(PolicyEvaluationError, match="service's own"):
            issue('=> issue(type="x-ms-sgx-svn", value=9);', SERVICE)

    def test_given(self):
        """
        So is one that is reserved for this evaluation.
        """
        with pytest.raises(PolicyEvaluationError, match="service's own"):
            issue('=> issue(type="mine", value=9);', reserved=["mine"])

    @pytest.mark.parametrize("value", ["true", "2"])
    def test_other_type_of_value(self, value):
        """
        A value of another type is another value.
        """
        rule = (
            'c:[type=="kept"] && d:[type=="x-ms-sgx-svn"] => '
            f'issue(type=AppendString(c.type, JmesPath("\'\'", "@")), '
            f"value={value});"
        )

        with pytest.raises(PolicyEvaluationError):
            issue(rule, SERVICE)

    @pytest.mark.parametrize(
        "rule",
        [
            'c:[issuer=="AttestationService"] => issue(claim=c);',
            'c:[issuer=="AttestationService"] => add(claim=c);',
            "c:[value!=0] => issue(type=c.type, value=c.value);",
            '[type=="kept"] => add(type=AppendString("k","ept"),value="true");',
        ],
    )
    def test_unchanged(self, rule):
        """
        To issue a claim of the service as it is changes nothing.
        """
        decision = run(write(rule), SERVICE)

        assert decision.permitted
        assert {} == decision.issued

    def test_by_way_of_a_property(self):
        """
        A property is a claim too: it cannot be issued under such a name.
        """
        text = (
            "version=1.1;configurationrules{=> issueproperty("
            'type="x-ms-sgx-svn", value=9);};authorizationrules{=> permit();};'
            'issuancerules{c:[type=="x-ms-sgx-svn", '
            'issuer=="AttestationPolicy"] => issue(claim=c);};'
        )

        with pytest.raises(PolicyEvaluationError, match="service's own"):
            run(text, SERVICE)

    def test_by_way_of_the_client(self):
        """
        Nor can what a client sends under such a name.
        """
        claims = [Claim("x-ms-ver", 9, Issuer.CUSTOM)]

        with pytest.raises(PolicyEvaluationError, match="service's own"):
            issue('c:[type=="x-ms-ver"] => issue(claim=c);', claims)

    @pytest.mark.parametrize("name", ["", "ä", "\u0456ss", " iss"])
    def test_not_acceptable(self, name):
        """
        A name that cannot stand in a token is an error when it is made.
        """
        rule = f"=> issue(type={quoted(name)}, value=1);"

        with pytest.raises(PolicyEvaluationError, match="cannot be issued"):
            issue(rule)
