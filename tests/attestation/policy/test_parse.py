import pytest

from tests.attestation.policy.made import write
from thim.attestation.policy.errors import PolicySyntaxError
from thim.attestation.policy.limits import MAX_DRAFT_SIZE, MAX_NESTING
from thim.attestation.policy.parse import parse_policy
from thim.attestation.policy.printing import format_policy, format_rule
from thim.attestation.policy.syntax import Literal, Section
from thim.errors import MalformedError


def refuse(text):
    """
    Return the error that *text* is refused with.
    """
    with pytest.raises(PolicySyntaxError) as e:
        parse_policy(text)
    return e.value


def rules(text, section=Section.ISSUANCE):
    """
    Return the rules of *text*, as they are printed.
    """
    return [format_rule(each) for each in parse_policy(text).rules(section)]


class TestAccepted:
    @pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
    def test_version(self, version):
        """
        Three versions are known.
        """
        assert version == parse_policy(f"version = {version} ;").version

    def test_sections_in_any_case_and_order(self):
        """
        Sections are known in any letter case, and in any order: they are run
        in the same order anyway.
        """
        policy = parse_policy(
            'version=1.1;IssuanceRules{=> add(type="a", value=1);}'
            "AUTHORIZATIONRULES{=> permit();};ConfigurationRules{};"
        )

        assert [0, 1, 1] == [len(policy.rules(each)) for each in Section]

    def test_one_equal_sign(self):
        """
        One equal sign in a test is as good as two.
        """
        (rule,) = rules(write('[type="a"] => add(type="b", value=1);'))

        assert '[type == "a"] => add(type="b", value=1)' == rule

    def test_comments_and_white_space(self):
        """
        Comments and white space may stand between all symbols; a comment ends
        with its line, however that ends.
        """
        (rule,) = rules(
            "// one\r\nversion//\n=\t1.2;\rissuancerules\n{c //:\r:"
            '[ type\n==//"\n"a"]=>issue ( claim\n= c )\n;\n}//'
        )

        assert 'c:[type == "a"] => issue(claim=c)' == rule

    @pytest.mark.parametrize(
        ("written", "value"),
        [
            (r'"a\"b"', 'a"b'),
            (r'"a\\b"', r"a\b"),
            (r'"a\nb"', "anb"),
            ('""', ""),
            ('"ä😀"', "ä😀"),
            ("0", 0),
            ("-0", 0),
            ("007", 7),
            ("9223372036854775807", 2**63 - 1),
            ("-9223372036854775808", -(2**63)),
            ("true", True),
            ("false", False),
        ],
    )
    def test_values(self, written, value):
        """
        In a string a backslash stands for the next character; integers have
        64 bits.
        """
        text = write(f'=> add(type="a", value={written});')
        (rule,) = parse_policy(text).rules(Section.ISSUANCE)

        literal = rule.action.find("value")
        assert isinstance(literal, Literal)
        assert (type(value), value) == (type(literal.value), literal.value)

    def test_no_word_is_reserved(self):
        """
        Identifiers may be called as what stands elsewhere in a policy.
        """
        (rule,) = rules(
            write('type:[type=="a", value==1] => issue(claim=type);')
        )

        assert 'type:[type == "a", value == 1] => issue(claim=type)' == rule

    def test_members_in_any_order(self):
        """
        The parts of a claim may stand in any order.
        """
        (rule,) = rules(
            write('=> add(valueType="Integer", value=1, type="a");')
        )

        assert 'add(valueType="Integer", value=1, type="a")' in rule

    def test_byte_order_mark(self):
        """
        One byte order mark before the text does not matter.
        """
        assert "1.0" == parse_policy("\ufeffversion=1.0;").version

    def test_where_rules_begin(self):
        """
        Each rule knows its line.
        """
        policy = parse_policy(
            "version=1.0;\nissuancerules{\n"
            '=> issue(type="a", value=1);\n\n'
            '  c:[type=="a"]\n => issue(claim=c);};'
        )

        assert [3, 5] == [e.line for e in policy.rules(Section.ISSUANCE)]


class TestRefused:
    def test_missing_semicolon(self):
        """
        An error says where, what was found, what was expected, and in which
        part of the policy.
        """
        error = refuse("version=1.0\n[")

        assert (2, 1) == (error.line, error.column)
        assert ("'['", "expected ';'") == (error.found, error.expected)
        assert ("policy", "versionInfo") == error.path
        assert "policy-syntax" == error.reason
        assert str(error) == (
            "line 2, column 1: found '[', expected ';' "
            "(in policy > versionInfo)"
        )

    def test_as_azure(self):
        """
        The same can be said as Azure Attestation does.
        """
        assert (
            "Offending symbol: '[' Line: '2', Column: '1' Failure message: "
            "'mismatched input '[' expecting ';'' "
            "Failing rule: 'policy > versionInfo'"
        ) == refuse("version=1.0\n[").as_azure

    @pytest.mark.parametrize(
        ("rule", "column", "found", "expected"),
        [
            ("=> permit()", 12, "'}'", "expected ';'"),
            ("permit();", 7, "'('", "expected ':'"),
            ("=> allow();", 4, "'allow'", "expected add, issue or"),
            ("=> permit();", 4, "'permit'", "expected add, issue or"),
            ('[typ=="a"] => add();', 2, "'typ'", "expected type, value,"),
            ('c:[type=="a"] => add(claim=d);', 28, "'d'", "that a condition"),
            ("=> issue(claim=1);", 16, "'a value'", "expected an identifier"),
            ('=> issue("a", value=1);', 10, "'\"a\"'", "expected claim, type"),
            ('=> issue(type="a");', 4, "'issue'", "expected a value in it"),
            ("=> issue(value=1);", 4, "'issue'", "expected a type in it"),
            ("=> issue();", 4, "'issue'", "expected a type in it"),
            ('=> add(type="a", type="b");', 18, "'type'", "stands there twice"),
            ('=> add(type="a", issuer="b");', 18, "'issuer'", "claim alone"),
            ("=> add(type=1, value=1);", 13, "'1'", "a string as type"),
            ('[value < "a"] => add();', 2, "'value <'", "expected == or !="),
            ("[type < 1] => add();", 2, "'type <'", "expected == or !="),
            (
                '=> add(type="a", value=1, valueType="String");',
                37,
                "'String'",
                "expected Integer for this value",
            ),
            (
                'c:[type=="a"] && c:[type=="b"] => add();',
                18,
                "'c'",
                "has not used yet",
            ),
            (
                'c:[type=="a", value==c.value] => add();',
                22,
                "'c'",
                "a condition before it binds",
            ),
            (
                '!c:[type=="a"] => issue(claim=c);',
                31,
                "'c'",
                "its condition has a !",
            ),
            (
                'c:[type=="a"] => add(type="b", value=c);',
                38,
                "'c'",
                "a property of it",
            ),
            (
                'c:[type=="a"] => add(type="b", value=c.size);',
                38,
                "'size'",
                "expected type, value, valueType or issuer",
            ),
            (
                '=> add(type="a", value=NegateBol(true));',
                24,
                "'NegateBol'",
                "AppendString, NegateBool or ContainsOnlyValue",
            ),
            (
                '=> add(type="a", value=NegateBool(true, true));',
                24,
                "'NegateBool'",
                "expected 1 argument(s), not 2",
            ),
            (
                '=> add(type="a", value=JmesPath("1", "a["));',
                38,
                "'a['",
                "cannot be used as JMESPath query",
            ),
            (
                '=> add(type="a", value=JmesPath("1", 2));',
                38,
                "'2'",
                "expected a JMESPath query",
            ),
            (
                '=> add(type="a", value=9223372036854775808);',
                24,
                "'9223372036854775808'",
                "at most 64 bits",
            ),
        ],
    )
    def test_rules(self, rule, column, found, expected):
        """
        What is wrong with a rule is said in words of the language, at the
        place.
        """
        error = refuse(f"version=1.2;issuancerules{{\n{rule}}};")

        assert (2, column) == (error.line, error.column)
        assert found == error.found
        assert expected in error.expected

    @pytest.mark.parametrize(
        ("text", "found", "expected"),
        [
            ("", "the end of the text", "expected version"),
            (" \n // c", "the end of the text", "expected version"),
            ("Version=1.0;", "'Version'", "expected version"),
            ("version=1.3;", "'1.3'", "expected 1.0, 1.1 or 1.2"),
            ("version=1;", "'1'", "expected 1.0, 1.1 or 1.2"),
            ("version=1.0;rules{};", "'rules'", "expected configurationrules"),
            (
                "version=1.0;issuancerules{};IssuanceRules{};",
                "'IssuanceRules'",
                "which stands there twice",
            ),
            (
                "version=1.0;authorizationrules{=> permit(type=1);};",
                "'type'",
                "expected nothing in permit()",
            ),
            ("version=1.0;issuancerules{", "the end of the text", "or '}'"),
        ],
    )
    def test_sections(self, text, found, expected):
        """
        So it is outside of rules.
        """
        error = refuse(text)

        assert found == error.found
        assert expected in error.expected

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("version=1.0;configurationrules{};", "1.1"),
            (
                write('![type=="a"] => add(type="b",value=1);', version="1.1"),
                "1.2",
            ),
            (
                write(
                    '=> add(type="b",value=NegateBool(true));', version="1.0"
                ),
                "1.2",
            ),
        ],
    )
    def test_version_has_it_not(self, text, version):
        """
        What a later version has is refused, with the version that has it.
        """
        assert f"which version {version} has" in refuse(text).expected

    def test_json_policy(self):
        """
        The JSON policies of 2018 are refused by name.
        """
        error = refuse('{ "$version": 1, "$allow-debuggable": true }')

        assert "JSON policies ($version) of 2018" in error.expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("“a”", "expected straight quotes"),
            (r"\"a\"", "was the text escaped twice?"),
            ("'a'", "expected double quotes"),
            ('"a', "a string without its closing quote"),
            ("\u00a01", "a no-break space"),
        ],
    )
    def test_hints(self, text, expected):
        """
        What people mistype, and editors change, is named.
        """
        error = refuse(f"version=1.0;issuancerules{{[type=={text}")

        assert expected in error.expected

    def test_string_over_lines(self):
        """
        A string may go on over lines; where its quote was forgotten, that is
        said.
        """
        error = refuse(
            'version=1.0;\nissuancerules{\n=> issue(type="a, value=1);\n'
            '=> issue(type="b", value=1);};'
        )

        assert (4, 16) == (error.line, error.column)
        assert "is the string of line 3, column 15" in error.expected

    @pytest.mark.parametrize(
        "character", ["\0", "\x1b", "\u2028", "\u202e", "\u200b", "\ud800"]
    )
    def test_unseen_characters(self, character):
        """
        Nothing that nobody can see stands in a policy, not even in comments.
        """
        error = refuse(f"version=1.0;\n// a{character}")

        assert (2, 5) == (error.line, error.column)
        assert "expected characters that can be seen" == error.expected

    def test_too_large(self):
        """
        What is larger than what is accepted is not looked at.
        """
        text = "version=1.0;" + "ä" * (MAX_DRAFT_SIZE // 2)

        with pytest.raises(MalformedError, match="expected at most") as e:
            parse_policy(text, MAX_DRAFT_SIZE)

        assert "policy-too-large" == e.value.reason

    def test_nesting(self):
        """
        Calls nest 64 deep, and no deeper.
        """

        def nested(depth):
            call = "NegateBool(" * depth + "true" + ")" * depth
            return write(f'=> add(type="a", value={call});')

        parse_policy(nested(MAX_NESTING))
        assert "more than 64 deep" in refuse(nested(MAX_NESTING + 1)).expected
        refuse(nested(3_000))

    def test_too_many_queries(self):
        """
        Reading the queries of a policy is bounded too.
        """
        query = "a" + ",a" * 900
        many = "".join(
            f'=> add(type="a", value=JmesPath("1", "[{query}{i}]"));'
            for i in range(20)
        )

        assert "takes more steps" in refuse(write(many)).expected

    def test_found_is_shortened(self):
        """
        What is found is shown as far as it can be read, and cannot drive a
        terminal.
        """
        error = refuse("version=1.0;" + "a" * 1000 + "{};")

        assert f"'{'a' * 60}…'" == error.found


class TestPrinting:
    def test_all_forms(self):
        """
        A policy is printed so that it says the same.
        """
        policy = parse_policy(
            'version=1.2;configurationrules{=> issueproperty(type="p", '
            'value="q");};authorizationrules{c:[type=="a"] && !d:[value>=-1, '
            'type!=c.value] => permit();[type="\\"\\\\"] => deny();}'
            'issuancerules{c:[value==true] => issue(claim=c);=> add(type="x",'
            'value=IsSubsetOf(1, AppendString("a", "b")),valueType="Boolean")'
            ";};"
        )

        assert policy == parse_policy(format_policy(policy))
