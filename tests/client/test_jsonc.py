import contextlib
import json
import math

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.client.jsonc import MOST_DEPTH, JsoncError, locate, parse_jsonc
from thim.client.nodes import Array, Object


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


def plain(node):
    """
    Return a value as the standard library's parser would.
    """
    match node.value:
        case Object(members):
            return {m.name: plain(m.node) for m in members}
        case Array(items):
            return [plain(item) for item in items]
        case other:
            return other


def parse(text):
    """
    Read *text*, as plain values.
    """
    return plain(parse_jsonc(text))


def error(text):
    """
    Return reason and place of the error in *text*.
    """
    with pytest.raises(JsoncError) as caught:
        parse_jsonc(text)
    return caught.value.reason, locate(text, caught.value.offset)


class TestAccepted:
    @given(VALUES, st.booleans())
    def test_what_json_writes(self, value, ascii_only):
        """
        Whatever is JSON is read as the standard library reads it.
        """
        text = json.dumps(value, ensure_ascii=ascii_only, indent=1)

        assert json.loads(text) == parse(text)

    @pytest.mark.parametrize(
        "text",
        [
            '// a\n{"a": 1}',
            '{/* a */"a"/**/:/*"b":*/1/* } */}',
            '{"a": 1} // no end of line',
            '{"a": 1}\n/* a\n * b */\n',
            '\t{ // {\r\n"a" // :\n: // ,\n 1 // }\n}',
            '{"a": 1 //, "b": 2\n}',
        ],
    )
    def test_comments(self, text):
        """
        Comments may stand wherever blanks may.
        """
        assert {"a": 1} == parse(text)

    def test_no_comment_in_a_text(self):
        """
        What looks like a comment in a text is part of it.
        """
        text = '{"u": "https://h/*x*/"}'

        assert {"u": "https://h/*x*/"} == parse(text)

    def test_repeated(self):
        """
        A repeated name is kept: what it means is for others to say.
        """
        node = parse_jsonc('{"a": 1, "a": 2}')

        assert isinstance(node.value, Object)
        assert [1, 2] == [m.node.value for m in node.value.members]

    def test_places(self):
        """
        Each name and value knows where it is.
        """
        text = '{\n  "a" : [true]\n}'
        root = parse_jsonc(text).value
        assert isinstance(root, Object)
        (member,) = root.members

        assert (2, 3) == locate(text, member.at)
        assert "[true]" == text[member.node.start : member.node.end]

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("1", int),
            ("1.0", float),
            ("1e2", float),
            ("-0", int),
            (str(2**64 - 1), int),
            (str(2**64), float),
        ],
    )
    def test_numbers(self, text, kind):
        """
        With a fraction or an exponent a number is no whole one, nor where it
        is too large for 64 bits.
        """
        assert kind is type(parse(text))

    def test_raw_bytes(self):
        """
        Bytes that are no UTF-8 are let through, as QCNL does.
        """
        text = b'"\xff"'.decode("utf-8", "surrogateescape")

        assert "\udcff" == parse(text)


class TestRefused:
    @given(st.text())
    def test_anything(self, text):
        """
        There is one error, whatever the text.
        """
        with contextlib.suppress(JsoncError):
            parse_jsonc(text)

    @given(st.text(alphabet="{}[]\",:/*\\\n tfn1-.eEu'#"))
    def test_almost(self, text):
        """
        Nor for what is made of JSON's own characters; and what is read
        although it is no JSON has a comment in it.
        """
        try:
            value = parse(text)
        except JsoncError:
            return
        if "//" not in text and "/*" not in text:
            assert json.loads(text) == value

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", ("empty", (1, 1))),
            (" // only a comment", ("empty", (1, 19))),
            ('{"a": 1\n  "b": 2}', ("missing-comma", (2, 3))),
            ('{"a": 1 2}', ("missing-comma", (1, 9))),
            ("[1 2]", ("missing-comma", (1, 4))),
            ('{"a": 1,\n}', ("trailing-comma", (1, 8))),
            ('{"a": [1, ]}', ("trailing-comma", (1, 9))),
            ('{"a": 1,, "b": 2}', ("missing-key", (1, 9))),
            ("{'a': 1}", ("wrong-quotes", (1, 2))),
            ("{\"a\": 'b'}", ("wrong-quotes", (1, 7))),
            ('{"a": “b”}', ("wrong-quotes", (1, 7))),
            ('{"a": 1 # c\n}', ("unknown-comment", (1, 9))),
            ('# c\n{"a": 1}', ("unknown-comment", (1, 1))),
            ('{"a": -- c\n1}', ("unknown-comment", (1, 7))),
            ('{"a": 1 / c\n}', ("unknown-comment", (1, 9))),
            ('{"a": 1 /* c }', ("unclosed-comment", (1, 9))),
            ("{a: 1}", ("unquoted-key", (1, 2))),
            ('{"a" = 1}', ("missing-colon", (1, 6))),
            ('{"a": True}', ("bad-value", (1, 7))),
            ('{"a": standard}', ("bad-value", (1, 7))),
            ('{"a": }', ("bad-value", (1, 7))),
            ('{"a": 01}', ("bad-value", (1, 7))),
            ('{"a": 1.}', ("bad-value", (1, 7))),
            ('{"a": NaN}', ("bad-value", (1, 7))),
            ('{"a": 1e999}', ("bad-value", (1, 7))),
            ('{"a": "b\n}', ("unclosed-string", (1, 9))),
            ('{"a": "b', ("unclosed-string", (1, 9))),
            ('{"a": "\t"}', ("control-character", (1, 8))),
            ('{"a": "C:\\Intel"}', ("bad-escape", (1, 10))),
            ('{"a": "\\u12"}', ("bad-escape", (1, 8))),
            ('{"a": "\\ud800"}', ("bad-escape", (1, 8))),
            ('{"a": "\\udc00"}', ("bad-escape", (1, 8))),
            ('{"a": "\\ud800\\u0041"}', ("bad-escape", (1, 8))),
            ('{"a": 1', ("unclosed", (1, 8))),
            ("{", ("unclosed", (1, 2))),
            ("[1,", ("unclosed", (1, 4))),
            ('{"a": 1}}', ("text-after-end", (1, 9))),
            ('{"a": 1}\n{', ("text-after-end", (2, 1))),
        ],
    )
    def test_reasons(self, text, expected):
        """
        What it probably is has a name, and the place is the one at which QCNL
        stops, but for a comma too many, which is where that is.
        """
        assert expected == error(text)

    def test_comma_hint(self):
        """
        Where a comma is missing, the line that should end with it is named.
        """
        with pytest.raises(JsoncError, match="'a', which ends on line 2") as e:
            parse_jsonc('{\n"a": "x"\n\n// c\n"b": 1}')
        assert "Missing a comma or '}' after an object member." == e.value.said

    def test_depth(self):
        """
        Nesting has an end.
        """
        deep = "[" * MOST_DEPTH + "]" * MOST_DEPTH

        assert parse(deep)
        assert "too-deep" == error(f"[{deep}]")[0]

    def test_long(self):
        """
        Long input of any kind takes no recursion.
        """
        many = "/**/ // x\n" * 20_000

        assert 1 == parse(f"{many}1{many}")
        assert math.isclose(1e300, parse("1" + "0" * 300))
