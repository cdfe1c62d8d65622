import json

import msgspec
import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.errors import MalformedError
from thim.intel.strict_json import (
    MAX_JSON_SIZE,
    convert,
    members,
    parse_strictly,
)


texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=8,
)
spaces = st.text(" \t\r\n", max_size=3).map(str.encode)


def nest(depth):
    """
    Make a value that is nested *depth* deep, lists and objects in turn.
    """
    value = "1"
    for i in range(depth):
        value = f"[{value}]" if i % 2 else f'{{"a":{value}}}'
    return value.encode()


class TestParseStrictly:
    @settings(max_examples=40)
    @given(values, st.booleans())
    def test_reads_what_json_writes(self, value, ascii_only):
        """
        Every value without fractions is read as it was written.
        """
        raw = json.dumps(value, ensure_ascii=ascii_only).encode()

        assert value == parse_strictly(raw)

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_fractions(self, value):
        """
        Fractions are read where they are allowed, and refused elsewhere.
        """
        raw = json.dumps([value]).encode()

        assert [value] == parse_strictly(raw, fractions=True)
        with pytest.raises(MalformedError, match="is not an integer"):
            parse_strictly(raw)

    @pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
    def test_no_fraction(self, text):
        """
        What is no number, or too large for one, is refused all the same.
        """
        with pytest.raises(MalformedError, match=f"number {text}"):
            parse_strictly(text.encode(), fractions=True)

    @settings(max_examples=60)
    @given(st.binary(max_size=40) | texts.map(str.encode))
    def test_nothing_else_is_raised(self, raw):
        """
        Whatever the bytes are, the answer is a value or a MalformedError.
        """
        try:
            value = parse_strictly(raw)
        except MalformedError:
            return
        assert value == json.loads(raw)

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"a":1,"a":1}',
            b'{"a":1,"b":2,"a":3}',
            rb'{"a":1,"\u0061":2}',
            b'{"x":{"a":1,"a":2}}',
            b'[[{"y":[{"a":{},"a":[]}]}]]',
        ],
    )
    def test_duplicate_key(self, raw):
        """
        A key twice in one object is refused, at any depth, however spelled.
        """
        with pytest.raises(MalformedError, match="key 'a' stands twice"):
            parse_strictly(raw)

    def test_one_key_in_several_objects(self):
        """
        The same key in different objects is no duplicate.
        """
        expected = {"a": [{"a": 1}, {"a": 2}]}

        assert expected == parse_strictly(b'{"a":[{"a":1},{"a":2}]}')

    @pytest.mark.parametrize("number", ["1.0", "-0.5", "1e3", "1E-3", "1.5e9"])
    def test_float(self, number):
        """
        Numbers with a fraction or an exponent are refused, whole or not.
        """
        with pytest.raises(MalformedError, match=f"number {number} is not an"):
            parse_strictly(f'{{"svn":{number}}}'.encode())

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
    def test_no_number(self, number):
        """
        What Python would read beyond JSON is refused.
        """
        with pytest.raises(MalformedError, match=f"number {number} is not an"):
            parse_strictly(f"[{number}]".encode())

    def test_long_number_is_cut_in_the_message(self):
        """
        A message repeats at most 40 digits.
        """
        with pytest.raises(MalformedError, match=r"number 1\.0{38} is not"):
            parse_strictly(b"1." + b"0" * 1000)

    @pytest.mark.parametrize("digits", [4301, 100_000])
    def test_huge_number(self, digits):
        """
        A number of thousands of digits is refused, not computed.
        """
        with pytest.raises(MalformedError, match="not JSON: Exceeds"):
            parse_strictly(b"1" * digits)

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"a":1} x',
            b"{}{}",
            b"{},",
            b"[1]]",
            b"01",
            b"{}\0",
            b'{"a":1}//',
            b"{} \xc2\xa0",
        ],
    )
    def test_trailing_data(self, raw):
        """
        Nothing but white space may follow the value.
        """
        with pytest.raises(MalformedError, match="Extra data"):
            parse_strictly(raw)

    @settings(max_examples=20)
    @given(spaces, spaces)
    def test_white_space_around(self, before, after):
        """
        White space around the value is no part of it.
        """
        assert {"a": 1} == parse_strictly(before + b'{"a":1}' + after)

    @pytest.mark.parametrize(
        "raw",
        [b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', '"ü"'.encode("latin-1")],
        ids=["no UTF-8", "overlong", "surrogate", "latin-1"],
    )
    def test_bad_utf_8(self, raw):
        """
        Text must be UTF-8, in its one form.
        """
        with pytest.raises(MalformedError, match="'utf-8' codec") as e:
            parse_strictly(raw)

        assert "json" == e.value.reason

    @pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
    def test_other_codecs(self, codec):
        """
        Neither a byte order mark nor another encoding is guessed at.
        """
        with pytest.raises(MalformedError, match="not JSON"):
            parse_strictly('{"a":1}'.encode(codec))

    @pytest.mark.parametrize(
        "raw",
        [b"", b" ", b"{", b"[1,]", b'{"a"}', b"{'a':1}", b"tRue", b'"\t"'],
    )
    def test_no_json(self, raw):
        """
        What is no JSON is refused.
        """
        with pytest.raises(MalformedError, match="not JSON"):
            parse_strictly(raw)

    def test_as_deep_as_allowed(self):
        """
        32 levels are read, as in Intel's QVL.
        """
        assert json.loads(nest(32)) == parse_strictly(nest(32))

    @pytest.mark.parametrize("depth", [33, 200])
    def test_too_deep(self, depth):
        """
        33 levels are not.
        """
        with pytest.raises(MalformedError, match="more than 32 deep") as e:
            parse_strictly(nest(depth))

        assert "json" == e.value.reason

    def test_deeper_than_python_can(self):
        """
        A document that would exhaust the stack is refused like any other.
        """
        with pytest.raises(MalformedError, match="not JSON"):
            parse_strictly(b"[" * 100_000)

    def test_as_large_as_allowed(self):
        """
        Half a megabyte is read.
        """
        raw = b'"' + b"x" * (MAX_JSON_SIZE - 2) + b'"'

        assert raw[1:-1].decode() == parse_strictly(raw)

    def test_too_large(self):
        """
        One byte more is refused before it is parsed.
        """
        with pytest.raises(MalformedError, match="524289 bytes") as e:
            parse_strictly(b" " * (MAX_JSON_SIZE + 1))

        assert "too-large" == e.value.reason


class TestMembers:
    def test_exact_bytes(self):
        """
        Each member is the very bytes in the document: order, spacing and
        escapes inside it are kept.
        """
        raw = b'{"a":{ "z":1,\n"y" : "\\u0041"},"b":"x"}'

        expected = {"a": b'{ "z":1,\n"y" : "\\u0041"}', "b": b'"x"'}
        assert expected == members(raw)

    def test_white_space_around_a_member(self):
        """
        White space around a member's value is not part of it.
        """
        raw = b' { "a" : \r\n\t{"z":1} , "b":2 } '

        assert {"a": b'{"z":1}', "b": b"2"} == members(raw)

    def test_escaped_key(self):
        """
        A key counts as what it means, not as how it is written.
        """
        assert {"tcbInfo": b"1"} == members(rb'{"\u0074cbInfo":1}')

    @settings(max_examples=40)
    @given(st.dictionaries(texts, values, max_size=4), spaces, spaces)
    def test_members_are_what_the_whole_says(self, value, before, after):
        """
        Reading the parts gives what reading the whole gives.
        """
        raw = before + json.dumps(value).encode() + after

        parsed = {k: parse_strictly(v) for k, v in members(raw).items()}

        assert value == parsed

    @pytest.mark.parametrize("raw", [b"[]", b'"x"', b"1", b"null", b"[{}]"])
    def test_no_object(self, raw):
        """
        Only an object has members.
        """
        with pytest.raises(MalformedError, match="JSON is not an object"):
            members(raw)

    @pytest.mark.parametrize(
        "raw", [b'{"a":1,"a":2}', b'{"a":1.5}', b"{", b'{"a":1} x']
    )
    def test_as_strict(self, raw):
        """
        What is refused whole is refused in parts.
        """
        with pytest.raises(MalformedError, match="not JSON"):
            members(raw)

    @pytest.mark.parametrize(
        "text",
        [r"\ud800", r"\udfff", r"\ud800\u0041", r"\udbff\udbff", r"\ud800x"],
    )
    def test_lone_surrogate(self, text):
        """
        Half a surrogate pair is no character: it is refused in keys and in
        values, at any depth.
        """
        for raw in (
            f'{{"{text}":1}}',
            f'{{"a":"{text}"}}',
            f'{{"a":[{{"b":"{text}"}}]}}',
        ):
            with pytest.raises(MalformedError, match="not JSON"):
                members(raw.encode())

    def test_surrogate_pair(self):
        """
        A whole one is.
        """
        assert {"😀": rb'"\ud83d\ude00"'} == members(
            rb'{"\ud83d\ude00":"\ud83d\ude00"}'
        )


class _Svn(msgspec.Struct):
    svn: int


class TestConvert:
    def test_reads_the_fields(self):
        """
        A value of the right shape becomes what was asked for.
        """
        assert 3 == convert({"svn": 3, "more": None}, _Svn, "level").svn

    @pytest.mark.parametrize(
        "value", [{}, {"svn": "3"}, {"svn": True}, {"svn": None}, [], 3]
    )
    def test_other_types(self, value):
        """
        A missing field or another type is refused, and nothing is converted:
        neither text nor truth is a number.
        """
        with pytest.raises(MalformedError, match=r"^level: ") as e:
            convert(value, _Svn, "level")

        assert "fields" == e.value.reason
