import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attestation.policy.made import quoted
from thim.attestation.policy.claim import Claim, Issuer
from thim.attestation.policy.errors import (
    PolicyEvaluationError,
    PolicySyntaxError,
)
from thim.attestation.policy.evaluate import decide
from thim.attestation.policy.limits import Budget
from thim.attestation.policy.parse import parse_policy
from thim.attestation.policy.printing import format_policy
from thim.attestation.policy.reserved import Reserved


names = st.sampled_from(["a", "b", "x-ms-a", "iss", "value", "ä", "$svn", ""])
texts = names | st.sampled_from(['{"a":[1,true]}', "a", "[*]", "null", '"\\'])
integers = st.integers(-(2**63), 2**63 - 1)
literals = st.one_of(
    texts.map(quoted),
    integers.map(str),
    st.sampled_from(["true", "false", "0", "1"]),
)
properties = st.sampled_from(["type", "value", "valueType", "issuer"])
arity = {
    "JmesPath": 2,
    "JsonToClaimValue": 1,
    "IsSubsetOf": 2,
    "AppendString": 2,
    "NegateBool": 1,
    "ContainsOnlyValue": 2,
}


def calls(arguments):
    """
    Make calls of *arguments*.
    """
    return st.sampled_from(list(arity)).flatmap(
        lambda name: st.lists(
            arguments, min_size=arity[name], max_size=arity[name]
        ).map(lambda given: f"{name}({', '.join(given)})")
    )


@st.composite
def expressions(draw, bound):
    """
    Make an expression that may refer to what is *bound*.
    """
    leaves = literals
    if bound:
        leaves |= st.builds("{}.{}".format, st.sampled_from(bound), properties)
    return draw(st.recursive(leaves, calls, max_leaves=4))


@st.composite
def conditions(draw, bound):
    """
    Make a condition; what it binds is added to *bound*.
    """
    tests = []
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            tests.append(f"type=={draw(names.map(quoted))}")
        else:
            operator = draw(st.sampled_from(["==", "!=", "=", "<", ">="]))
            name = draw(properties) if operator in "==!=" else "value"
            operand = draw(expressions(bound) if name == "value" else literals)
            tests.append(f"{name} {operator} {operand}")
    negated = draw(st.sampled_from(["", "", "!"]))
    name = f"c{len(bound)}"
    if not negated:
        bound.append(name)
    return f"{negated}{name}:[{', '.join(tests)}]"


@st.composite
def rules(draw, verbs):
    """
    Make a rule that does one of *verbs*.
    """
    bound: list[str] = []
    found = [draw(conditions(bound)) for _ in range(draw(st.integers(0, 2)))]
    verb = draw(st.sampled_from(verbs))
    if verb in {"permit", "deny"}:
        claim = ""
    elif bound and draw(st.booleans()):
        claim = f"claim={draw(st.sampled_from(bound))}"
    else:
        kind, value = draw(expressions(bound)), draw(expressions(bound))
        claim = f"type={kind}, value={value}"
    return f"{' && '.join(found)} => {verb}({claim});"


policies = st.builds(
    "version=1.2;configurationrules{{{}}};authorizationrules{{=> permit();{}}}"
    ";issuancerules{{{}}};".format,
    st.lists(rules(["issueproperty"]), max_size=1).map("\n".join),
    st.lists(rules(["permit", "add", "issue"]), max_size=2).map("\n".join),
    st.lists(rules(["add", "issue", "issueproperty"]), max_size=4).map(
        "\n".join
    ),
)
claims = st.lists(
    st.builds(
        Claim,
        st.sampled_from(["a", "b", "x-ms-a"]),
        texts | integers | st.booleans(),
        st.sampled_from(Issuer),
        st.booleans(),
    ),
    max_size=5,
)
SMALL = Budget(steps=5000, elements=2000, characters=10_000)
slow = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestMade:
    @slow
    @given(policies, claims)
    def test_decides(self, text, given_claims):
        """
        A policy that can be read decides, or says why it cannot; what it
        issues is neither the service's nor of a reserved name.
        """
        try:
            policy = parse_policy(text)
        except PolicySyntaxError:
            return
        reserved = Reserved(["b"])
        try:
            decision = decide(policy, given_claims, reserved, SMALL)
        except PolicyEvaluationError:
            return
        of_service = {
            each.type for each in given_claims if each.issuer is Issuer.SERVICE
        }
        assert not of_service & set(decision.issued)
        assert not [name for name in decision.issued if name in reserved]

    @slow
    @given(policies)
    def test_round_trip(self, text):
        """
        A policy that is printed is the same policy.
        """
        try:
            policy = parse_policy(text)
        except PolicySyntaxError:
            return

        printed = format_policy(policy)
        assert policy == parse_policy(printed)
        assert printed == format_policy(parse_policy(printed))

    @slow
    @given(policies, st.data())
    def test_mutated(self, text, data):
        """
        A text that was changed is a policy or is refused at a place in it.
        """
        at = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(at, min(len(text), at + 5)))
        piece = data.draw(
            st.sampled_from([*string.printable, "&&", "//", "“", "é", "\u202e"])
        )
        changed = text[:at] + piece + text[end:]
        try:
            parse_policy(changed)
        except PolicySyntaxError as e:
            lines = changed.split("\n")
            assert 1 <= e.line <= len(lines)  # noqa: PT017 - only then
            assert 1 <= e.column <= len(lines[e.line - 1]) + 1  # noqa: PT017
            assert e.as_azure  # noqa: PT017

    @slow
    @given(st.text(max_size=60))
    def test_any_text(self, text):
        """
        So it is with any text.
        """
        for each in (text, f"version=1.2;issuancerules{{{text}"):
            try:
                parse_policy(each)
            except PolicySyntaxError as e:
                assert str(e)  # noqa: PT017
