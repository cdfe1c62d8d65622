import pytest

from tests.attestation.policy.made import issue, policy_claim, run, write
from thim.attestation.policy.claim import (
    Claim,
    Issuer,
    claims_of_service,
    with_legacy_names,
)
from thim.attestation.policy.errors import PolicyEvaluationError
from thim.attestation.policy.evaluate import configure, explain_refusal
from thim.attestation.policy.limits import Budget
from thim.attestation.policy.parse import parse_policy


EIGHT = "1, 2, 3, 4, 5, 6, 7, 8"


class TestAuthorization:
    def test_permit(self):
        """
        A rule that permits is enough.
        """
        decision = run(
            write(authorization='[type=="a", value==1] => permit();'), {"a": 1}
        )

        assert decision.permitted
        assert decision.permitted_by is not None
        assert 1 == decision.permitted_by.line
        assert decision.refusal is None

    def test_first_permit(self):
        """
        Of several rules that permit the first has decided.
        """
        decision = run(write(authorization="=> permit();\n=> permit();"))

        assert 1 == decision.permitted_by.line
        assert 2 == len(decision.trace)

    def test_no_permit(self):
        """
        Without a rule that permits there is no token, and nothing is issued.
        """
        decision = run(
            write(
                '=> issue(type="a", value=1);',
                '[type=="a", value==1] => permit();',
            ),
            {"a": 2},
        )

        assert not decision.permitted
        assert {} == decision.issued
        assert "No Permit claim was issued" in str(decision.refusal)

    def test_no_section(self):
        """
        Nor is there one without the section.
        """
        assert not run("version=1.0;issuancerules{};").permitted

    @pytest.mark.parametrize(
        "rules",
        ["=> permit();\n=> deny();", "=> deny();\n=> permit();"],
    )
    def test_deny_wins(self, rules):
        """
        One rule that denies outweighs all that permit.
        """
        decision = run(write(authorization=rules))

        assert not decision.permitted
        assert str(decision.refusal).startswith(
            "Policy Engine Exception: A Deny claim was issued, "
            "authorization failed."
        )
        assert decision.denied_by is not None
        line = decision.denied_by.line
        assert f"line {line} denies" in str(decision.refusal)

    @pytest.mark.parametrize(
        ("rules", "expected"),
        [
            (
                "=> permit();\n=> deny();",
                "its rule of line 2 denies, which outweighs all that permit",
            ),
            ("", "it has no rule that permits"),
            (
                '[type=="b"] => permit();',
                "its only rule that permits does not hold (line 1)",
            ),
            (
                '[type=="b"] => permit();\n' * 2,
                "none of its rules that permit holds (lines 1, 2)",
            ),
            (
                '[type=="b"] => permit();\n' * 12,
                f"none of its rules that permit holds (lines {EIGHT}, …)",
            ),
        ],
        ids=["denied", "no-rule", "one", "two", "many"],
    )
    def test_explained(self, rules, expected):
        """
        A refusal is explained by the lines of the rules that count.
        """
        text = write(authorization=rules)
        decision = run(text, {"a": 1})

        assert expected == explain_refusal(parse_policy(text), decision)

    def test_deny_that_does_not_fire(self):
        """
        A rule that denies other claims does not matter.
        """
        rules = '[type=="a", value==2] => deny();=> permit();'

        assert run(write(authorization=rules), {"a": 1}).permitted

    @pytest.mark.parametrize("verb", ["add", "issue"])
    def test_nothing_reaches_the_token(self, verb):
        """
        What is added or issued before is seen by later rules, and does not
        reach the token.
        """
        decision = run(
            write(
                'c:[type=="b"] => issue(type="seen", value=c.value);',
                f'=> {verb}(type="b", value=3);[type=="b", value==3] '
                "=> permit();",
            )
        )

        assert {"seen": 3} == decision.issued

    def test_trace(self):
        """
        The rules that fired are listed in order, with what they made.
        """
        decision = run(
            write('c:[type=="a"] => issue(type="b", value=c.value);'), {"a": 1}
        )

        first, second = decision.trace
        assert (decision.permitted_by, ()) == first
        assert (policy_claim("b", 1),) == second.claims


class TestConditions:
    def test_all_tests_by_one_claim(self):
        """
        A condition asks for one claim that meets all its tests.
        """
        rule = '[type=="a", value==2] => issue(type="found", value=true);'

        assert {} == issue(rule, {"a": 1, "b": 2})
        assert {"found": True} == issue(rule, {"a": [1, 2]})

    def test_all_conditions(self):
        """
        All conditions have to hold, each for a claim of its own.
        """
        rule = '[type=="a"] && [type=="b"] => issue(type="c", value=1);'

        assert {} == issue(rule, {"a": 1})
        assert {"c": 1} == issue(rule, {"a": 1, "b": 1})

    def test_binds_all(self):
        """
        An identifier stands for all claims that match: the action yields one
        claim for each.
        """
        rule = 'c:[type=="a", value>1] => issue(type="b", value=c.value);'

        assert {"b": [2, 3]} == issue(rule, {"a": [1, 2, 3]})

    def test_later_condition(self):
        """
        A test against an identifier of several values holds if one fits.
        """
        rules = (
            'f:[type=="a"] && c:[type=="b", value==f.value] => '
            'issue(type="c", value=c.value);'
        )

        assert {"c": 2} == issue(rules, {"a": [1, 2], "b": [2, 3]})

    @pytest.mark.parametrize(
        ("operator", "found"),
        [
            ("==", [2, 3]),
            ("!=", [1, 2, 3, 4, "2", True]),
            ("<", [1, 2]),
            ("<=", [1, 2, 3]),
            (">", [3, 4]),
            (">=", [2, 3, 4]),
        ],
    )
    def test_several_values(self, operator, found):
        """
        So it is with every operator.
        """
        rule = (
            f'f:[type=="a"] && c:[type=="b", value {operator} f.value] => '
            'issue(type="c", value=c.value);'
        )
        claims = {"a": [2, 3], "b": [1, 2, 3, 4, "2", True]}

        assert {"c": found} == issue(rule, claims)

    def test_not(self):
        """
        With a ! a condition holds if no claim matches.
        """
        rule = '![type=="a", value==1] => issue(type="b", value=1);'

        assert {"b": 1} == issue(rule, {"a": 2})
        assert {} == issue(rule, {"a": 1})

    def test_not_against_a_bound_value(self):
        """
        It may look at what conditions before it bind.
        """
        rule = (
            'c:[type=="a"] && ![type=="b", value==c.value] => '
            'issue(type="lonely", value=c.value);'
        )

        assert {"lonely": 1} == issue(rule, {"a": 1, "b": 2})
        assert {} == issue(rule, {"a": 1, "b": 1})

    @pytest.mark.parametrize(
        ("test", "matches"),
        [
            ("value==1", [1]),
            ("value==true", [True]),
            ('value=="1"', ["1"]),
            ("value!=1", [True, "1", 2]),
            ("value<2", [1]),
            ("value>=1", [1, 2]),
            ('valueType=="Integer"', [1, 2]),
            ('valueType=="Boolean"', [True]),
            ('valueType!="String"', [1, True, 2]),
        ],
    )
    def test_types(self, test, matches):
        """
        Values of different types are never equal, and only integers have an
        order: true is not 1.
        """
        rule = f'c:[type=="a", {test}] => issue(type="b", value=c.value);'
        found = issue(rule, {"a": [1, True, "1", 2]})["b"]

        found = found if isinstance(found, list) else [found]
        assert [(type(m), m) for m in matches] == [(type(f), f) for f in found]

    @pytest.mark.parametrize(
        ("issuer", "found"),
        [
            ("AttestationService", 1),
            ("AttestationPolicy", 2),
            ("CustomClaim", 3),
        ],
    )
    def test_issuer(self, issuer, found):
        """
        Who says it can be tested.
        """
        claims = [Claim("a", 1), Claim("a", 3, Issuer.CUSTOM)]
        rules = (
            '=> add(type="b", value=2);'
            f'c:[issuer=="{issuer}"] => issue(type="c", value=c.value);'
        )

        assert {"c": found} == issue(rules, claims)

    def test_any_type(self):
        """
        A condition need not name a type.
        """
        rule = 'c:[value==1] => issue(type="names", value=c.type);'

        assert {"names": ["a", "c"]} == issue(rule, {"a": 1, "b": 2, "c": 1})


class TestActions:
    def test_no_condition(self):
        """
        A rule without conditions always fires.
        """
        rule = '=> issue(type="SecurityLevelValue", value=100);'

        assert {"SecurityLevelValue": 100} == issue(rule)

    def test_value_type_is_made(self):
        """
        The type of a value is what it is, without saying it.
        """
        rules = (
            '=> add(type="a", value=100);'
            'c:[type=="a"] => issue(type="b", value=c.valueType);'
        )

        assert {"b": "Integer"} == issue(rules)

    @pytest.mark.parametrize("kind", ['"Integer"', "c.valueType"])
    def test_value_type_given(self, kind):
        """
        It may be said, if it is so.
        """
        rule = (
            'c:[type=="a"] => issue(type="b", value=c.value, '
            f"valueType={kind});"
        )

        assert {"b": 1} == issue(rule, {"a": 1})

    def test_value_type_wrong(self):
        """
        It is an error if it is not.
        """
        rule = (
            'c:[type=="a"] => issue(type="b", value=c.value, '
            'valueType="Integer");'
        )

        with pytest.raises(PolicyEvaluationError, match="valueType"):
            issue(rule, {"a": "1"})

    def test_issued_twice(self):
        """
        What is issued several times is an array, in the order of issue.
        """
        rules = '=> issue(type="a", value=2);=> issue(type="a", value="1");'

        assert {"a": [2, "1"]} == issue(rules)

    def test_add(self):
        """
        What is added is seen by later rules, and not issued.
        """
        rules = (
            'c:[type=="a"] => add(type="b", value=c.value);'
            'c:[type=="b"] => issue(type="c", value=c.value);'
        )

        assert {"c": 1} == issue(rules, {"a": 1})

    def test_order(self):
        """
        Earlier rules do not see what later ones add.
        """
        rules = (
            'c:[type=="b"] => issue(type="c", value=c.value);'
            '=> add(type="b", value=1);'
        )

        assert {} == issue(rules)

    def test_does_not_feed_itself(self):
        """
        A rule does not see what it adds itself.
        """
        rules = (
            'c:[type=="a"] => add(type="a", value=c.value);'
            'c:[type=="a"] => issue(type="b", value=c.value);'
        )
        claims = [policy_claim("a", 1)]

        assert {"b": [1, 1]} == issue(rules, claims)

    def test_issue_of_a_policy_claim(self):
        """
        A claim that was added can be issued as it is, and is not added again.
        """
        rules = (
            '=> add(type="a", value=1);c:[type=="a"] => issue(claim=c);'
            'c:[type=="a"] => issue(type="b", value=c.value);'
        )

        assert {"a": 1, "b": 1} == issue(rules)

    def test_issue_of_a_service_claim(self):
        """
        A claim of the service stands in the token anyway.
        """
        decision = run(write('c:[type=="x"] => issue(claim=c);'), {"x": 1})

        assert {} == decision.issued
        assert (Claim("x", 1),) == decision.trace[-1].claims

    def test_issue_of_a_custom_claim(self):
        """
        A claim of the client is issued as it is.
        """
        claims = [Claim("x", 1, Issuer.CUSTOM)]

        assert {"x": 1} == issue('c:[type=="x"] => issue(claim=c);', claims)

    def test_type_of_a_claim(self):
        """
        Where the type comes from several claims, each is taken alone.
        """
        rule = (
            'c:[value>0] => issue(type=AppendString("my-", c.type), '
            "value=c.value);"
        )

        assert {"my-a": 1, "my-b": [2, 3]} == issue(rule, {"a": 1, "b": [2, 3]})

    def test_type_of_a_value(self):
        """
        So it is where it comes from their values; where all say the same the
        claims are taken together.
        """
        rule = (
            'c:[type=="a"] => issue(type=c.value, '
            "value=IsSubsetOf(c.value, c.value));"
        )

        assert {"x": True, "y": True} == issue(rule, {"a": ["x", "y"]})
        assert {"x": True} == issue(rule, {"a": ["x", "x"]})

    def test_no_type(self):
        """
        Without a type there is no claim.
        """
        rule = '=> issue(type=JsonToClaimValue("[]"), value=1);'

        assert {} == issue(rule)

    def test_type_is_no_string(self):
        """
        A claim's type is a string.
        """
        rule = 'c:[type=="a"] => issue(type=c.value, value=1);'

        with pytest.raises(PolicyEvaluationError, match="type is a String"):
            issue(rule, {"a": 1})

    def test_several_types(self):
        """
        A claim has one type.
        """
        rule = '=> issue(type=JsonToClaimValue("[\\"a\\", \\"b\\"]"), value=1);'

        with pytest.raises(PolicyEvaluationError, match="one type, not 2"):
            issue(rule)

    def test_no_text(self):
        """
        What is half a character is not issued: no token could hold it.
        """
        rule = 'c:[type=="a"] => issue(type="b", value=c.value);'

        assert {"b": "ä😀"} == issue(rule, {"a": "ä😀"})
        with pytest.raises(PolicyEvaluationError, match="no Unicode text"):
            issue(rule, {"a": "ä\udead"})

    def test_error_says_which_rule(self):
        """
        An error in an issuance rule is not overlooked; it says which.
        """
        rules = '\n\n=> issue(type="a", value=JsonToClaimValue("x"));'

        with pytest.raises(PolicyEvaluationError) as e:
            issue(rules)

        assert "in the rule of line 3" in str(e.value)
        assert e.value.rule is not None
        assert 3 == e.value.rule.line


class TestProperties:
    CONFIGURED = (
        'version=1.1;configurationrules{=> issueproperty(type="p", value=15);'
        '[type=="p", value==15] => issueproperty(type="q", value=false);'
        '[type=="never"] => issueproperty(type="r", value=1);};'
        'authorizationrules{[type=="p", value==15] => permit();};'
    )

    def test_configuration(self):
        """
        What the configuration sets is known before there are claims; its
        later rules see it.
        """
        policy = parse_policy(self.CONFIGURED)

        assert {"p": 15, "q": False} == configure(policy, Budget())

    def test_budget(self):
        """
        What it takes is taken from the budget of the whole.
        """
        few = Budget(steps=30)

        assert configure(parse_policy(self.CONFIGURED), few)
        with pytest.raises(PolicyEvaluationError, match="more steps"):
            run(self.CONFIGURED, {"never": 1}, budget=few)

    def test_none(self):
        """
        A policy need not have a configuration.
        """
        assert {} == configure(parse_policy("version=1.0;"), Budget())

    def test_seen_by_later_sections(self):
        """
        Later sections see it, and it is not issued.
        """
        decision = run(self.CONFIGURED, {"never": 1})

        assert decision.permitted
        assert {"p": 15, "q": False} == decision.properties
        assert {} == decision.issued

    def test_of_the_token(self):
        """
        Issuance rules may set properties too.
        """
        rule = (
            '=> issueproperty(type="report_validity_in_minutes", value=1440);'
        )
        decision = run(write(rule))

        assert {"report_validity_in_minutes": 1440} == decision.properties
        assert {} == decision.issued

    def test_set_twice(self):
        """
        A property has one value.
        """
        rules = (
            '=> issueproperty(type="p", value=1);'
            '=> issueproperty(type="p", value=true);'
        )

        with pytest.raises(PolicyEvaluationError, match="set twice"):
            issue(rules)


class TestClaimsOfService:
    def test_values(self):
        """
        What policies have values for is taken as it is, a list as one claim
        for each, and null not at all.
        """
        claims = claims_of_service(
            {"a": 1, "b": True, "c": "x", "d": [1, "y"], "e": None, "f": []}
        )

        assert [
            Claim("a", 1),
            Claim("b", True),
            Claim("c", "x"),
            Claim("d", 1),
            Claim("d", "y"),
        ] == claims

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ({"k": ["ä"]}, '{"k":["ä"]}'),
            ([1, {}], "[1,{}]"),
            (1.5, "1.5"),
            (2**63, "9223372036854775808"),
        ],
    )
    def test_json(self, value, text):
        """
        The rest is given as JSON text, which queries can read.
        """
        assert [Claim("a", text)] == claims_of_service({"a": value})

    def test_legacy_names(self):
        """
        Old policies know the claims of SGX by other names.
        """
        names = [
            "x-ms-sgx-is-debuggable",
            "x-ms-sgx-product-id",
            "x-ms-sgx-mrsigner",
            "x-ms-sgx-mrenclave",
            "x-ms-sgx-svn",
            "x-ms-attestation-type",
            "x-ms-sgx-ehd",
        ]
        claims = with_legacy_names(claims_of_service(dict.fromkeys(names, 1)))

        assert [
            "$is-debuggable",
            "$product-id",
            "$sgx-mrsigner",
            "$sgx-mrenclave",
            "$svn",
            "$tee",
        ] == [each.type for each in claims[len(names) :]]
