import pytest

from tests.attestation.policy.made import issue, quoted, run, write
from thim.attestation.policy.claim import Claim
from thim.attestation.policy.errors import PolicyEvaluationError


def call(expression, claims=()):
    """
    Return what *expression* is, with all claims of type `in` bound to c, if
    there are any.
    """
    condition = 'c:[type=="in"]' if claims else ""
    rule = f'{condition} => issue(type="out", value={expression});'
    claims = [Claim("in", each) for each in claims]
    return issue(rule, claims).get("out")


def fail(expression, claims=()):
    """
    Return the error that *expression* ends in.
    """
    with pytest.raises(PolicyEvaluationError) as e:
        call(expression, claims)
    return e.value


class TestJmesPath:
    def test_finds(self):
        """
        What is found is JSON text.
        """
        doc = quoted('{"values": [0, "a", {"b": true}]}')

        assert '"a"' == call(f'JmesPath({doc}, "values[1]")')
        assert '[0,"a",{"b":true}]' == call(f'JmesPath({doc}, "values")')

    def test_finds_nothing(self):
        """
        What is not found is null, as text.
        """
        assert "null" == call('JmesPath("{}", "a")')

    def test_claims(self):
        """
        Both arguments may come from claims.
        """
        rule = (
            'd:[type=="doc"] && q:[type=="query"] => '
            'issue(type="out", value=JmesPath(d.value, q.value));'
        )
        claims = {"doc": '{"values":[0,1,2]}', "query": "values[2]"}

        assert {"out": "2"} == issue(rule, claims)

    def test_each_value(self):
        """
        It is applied to each value.
        """
        assert ["1", "2"] == call(
            'JmesPath(c.value, "a")', ['{"a":1}', '{"a":2}']
        )

    @pytest.mark.parametrize(
        ("doc", "query"),
        [("", "a"), ("{", "a"), ('{"a":1,"a":2}', "a"), ("NaN", "@")],
    )
    def test_no_json(self, doc, query):
        """
        The first argument is JSON, without duplicate keys.
        """
        error = fail(f"JmesPath({quoted(doc)}, {quoted(query)})")

        assert "policy-json" == error.reason

    @pytest.mark.parametrize("query", ["", "a[", "nosuch(@)"])
    def test_no_query(self, query):
        """
        The second is a query; one that is made is read when it is run.
        """
        error = fail('JmesPath("1", c.value)', [query])

        assert "policy-query" == error.reason

    def test_no_text(self):
        """
        Both are strings.
        """
        assert "JmesPath takes String, not Integer 1" in str(
            fail('JmesPath(c.value, "a")', [1])
        )


class TestJsonToClaimValue:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("100", 100),
            ("-1", -1),
            ("1.0", 1),
            ("1e2", 100),
            ("true", True),
            ("false", False),
            ('"abc"', "abc"),
            ('[0, "abc", true]', [0, "abc", True]),
            ("[1, 1]", [1, 1]),
            ("[5]", 5),
            ("[null, 1]", 1),
            ("9223372036854775807", 2**63 - 1),
        ],
    )
    def test_values(self, text, value):
        """
        JSON becomes the value that it stands for, an array one for each
        element; duplicates are kept.
        """
        found = call(f"JsonToClaimValue({quoted(text)})")

        assert (type(value), value) == (type(found), found)

    @pytest.mark.parametrize("text", ["null", "[]", "[null]"])
    def test_empty(self, text):
        """
        Nothing is issued where there is no value.
        """
        assert call(f"JsonToClaimValue({quoted(text)})") is None

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("1.5", "a fraction"),
            ("{}", "an object"),
            ("[[1]]", "an array in one"),
            ("[{}]", "an object"),
            ("[1.5]", "a fraction"),
            ("9223372036854775808", "an integer beyond"),
        ],
    )
    def test_errors(self, text, why):
        """
        What no claim can have as value is an error.
        """
        assert why in str(fail(f"JsonToClaimValue({quoted(text)})"))

    @pytest.mark.parametrize("text", ["abc", "", "1 2", '"\\ud800"'])
    def test_no_json(self, text):
        """
        What is no JSON is an error, half a character among it.
        """
        error = fail(f"JsonToClaimValue({quoted(text)})")

        assert "policy-json" == error.reason


class TestSets:
    @pytest.mark.parametrize(
        ("one", "other", "is_subset"),
        [
            (["abc", 100], [True, "abc", 100], True),
            (["abc", 100], [True, "abc"], False),
            ([1], [True], False),
            ([1, 1], [1], True),
        ],
    )
    def test_is_subset_of(self, one, other, is_subset):
        """
        A set is one of another if that has all its values, of their types.
        """
        rule = (
            'a:[type=="a"] && b:[type=="b"] => '
            'issue(type="out", value=IsSubsetOf(a.value, b.value));'
        )

        assert {"out": is_subset} == issue(rule, {"a": one, "b": other})

    def test_empty_subset(self):
        """
        The empty set is one of all.
        """
        assert call('IsSubsetOf(JsonToClaimValue("[]"), 1)')
        assert not call('IsSubsetOf(1, JsonToClaimValue("[]"))')

    @pytest.mark.parametrize(
        ("values", "wanted", "expected"),
        [
            ([100, 101], "100", False),
            ([100, 100], "100", True),
            ([True], "true", True),
            ([1], "true", False),
        ],
    )
    def test_contains_only_value(self, values, wanted, expected):
        """
        All values have to be that one, which has a type.
        """
        assert expected is call(f"ContainsOnlyValue(c.value, {wanted})", values)

    def test_contains_only_value_empty(self):
        """
        The empty set contains nothing.
        """
        assert not call('ContainsOnlyValue(JsonToClaimValue("[]"), 1)')

    def test_contains_only_one_value(self):
        """
        The second argument is one value.
        """
        error = fail('ContainsOnlyValue(1, JsonToClaimValue("[1, 1]"))')

        assert "takes one value as second argument, not 2" in str(error)


class TestOthers:
    def test_append_string(self):
        """
        The second text stands behind the first; both may be empty.
        """
        assert "abcxyz" == call('AppendString("abc", "xyz")')
        assert "" == call('AppendString("", "")')

    def test_append_string_combinations(self):
        """
        Of several values each is combined with each.
        """
        assert ["aa", "ab", "ba", "bb"] == call(
            "AppendString(c.value, c.value)", ["a", "b"]
        )

    def test_append_string_type(self):
        """
        Both are strings.
        """
        assert "takes String, not Boolean True" in str(
            fail('AppendString("a", true)')
        )

    @pytest.mark.parametrize("value", [True, False])
    def test_negate_bool(self, value):
        """
        What is true is false, and the other way round.
        """
        assert (not value) is call("NegateBool(c.value)", [value])

    def test_negate_bool_type(self):
        """
        It takes truth values.
        """
        assert "takes Boolean, not Integer 1" in str(fail("NegateBool(1)"))

    def test_nest(self):
        """
        Calls nest.
        """
        assert call(
            'NegateBool(NegateBool(JsonToClaimValue(JmesPath("[true]", '
            'AppendString("[", "0]")))))'
        )


class TestReadOnly:
    CLAIMS = (Claim("pcrs", '{"a": [true]}', read_only=True),)

    @pytest.mark.parametrize(
        "value",
        [
            "c.value",
            'AppendString(c.value, "")',
            'AppendString("", c.value)',
            'JmesPath(c.value, "a")',
            'JsonToClaimValue(JmesPath(c.value, "a"))',
            'NegateBool(JsonToClaimValue(JmesPath(c.value, "a")))',
        ],
    )
    def test_inherited(self, value):
        """
        What is made of a claim that may not be issued may not be issued
        either.
        """
        rule = f'c:[type=="pcrs"] => issue(type="b", value={value});'

        with pytest.raises(PolicyEvaluationError, match="may not be") as e:
            issue(rule, self.CLAIMS)

        assert "policy-read-only" == e.value.reason

    @pytest.mark.parametrize(
        "value",
        ["ContainsOnlyValue(c.value, 1)", "IsSubsetOf(c.value, c.value)"],
    )
    def test_not_inherited(self, value):
        """
        A comparison of sets may be issued.
        """
        rule = f'c:[type=="pcrs"] => issue(type="b", value={value});'

        assert ["b"] == list(issue(rule, self.CLAIMS))

    def test_by_way_of_add(self):
        """
        The mark goes with what is added.
        """
        rules = (
            'c:[type=="pcrs"] => add(type="b", value=c.value);'
            'c:[type=="b"] => issue(claim=c);'
        )

        with pytest.raises(PolicyEvaluationError, match="may not be issued"):
            issue(rules, self.CLAIMS)

    def test_itself(self):
        """
        Nor may such a claim be issued as it is.
        """
        with pytest.raises(PolicyEvaluationError, match="may not be issued"):
            issue('c:[type=="pcrs"] => issue(claim=c);', self.CLAIMS)

    def test_used(self):
        """
        It may be used to decide.
        """
        rule = (
            'c:[type=="pcrs"] && [type=="ok", value==JsonToClaimValue('
            'JmesPath(c.value, "a[0]"))] => permit();'
        )
        claims = [*self.CLAIMS, Claim("ok", True)]

        assert run(write(authorization=rule), claims).permitted
