"""
JSON is cut into pieces without ever being in memory as a whole.
"""

import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.services.json_pieces import MAX_PIECE, PieceError, split


OPENED = {(), ("a",), ("o",), ("o", "list")}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def pieces(text, opened=OPENED, size=10**6):
    """
    Cut *text*, which comes *size* bytes at a time.
    """
    raw = text.encode()
    chunks = (raw[i : i + size] for i in range(0, len(raw), size))
    return [(p.path, p.line, p.raw) for p in split(chunks, opened)]


def test_list():
    """
    The elements of an opened list are pieces, with the lines on which they
    begin.
    """
    text = '[{"x": 1},\n  "two", 3\n, [4]]'
    expected = [b'{"x": 1}', b'"two"', b"3", b"[4]"]

    assert expected == [raw for _, _, raw in pieces(text)]
    assert [1, 2, 2, 3] == [line for _, line, _ in pieces(text)]


def test_members():
    """
    Members of an opened object are pieces, those of others are not.
    """
    text = '{"a": [1, {"b": []}], "o": {"list": ["x"], "n": {"a": [2]}}}'

    assert [
        (("a",), b"1"),
        (("a",), b'{"b": []}'),
        (("o", "list"), b'"x"'),
        (("o", "n"), b'{"a": [2]}'),
    ] == [(path, raw) for path, _, raw in pieces(text)]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_chunks(size):
    """
    Where chunks end makes no difference.
    """
    text = json.dumps(
        {"a": ['}\\"]', 12345, {"k": '"{'}], "o": {"list": [None]}}, indent=1
    )

    assert pieces(text) == pieces(text, size=size)


@pytest.mark.parametrize("text", ["[]", "{}", ' {"a": []}\n', '{"o": {}}'])
def test_nothing(text):
    """
    What holds nothing has no pieces.
    """
    assert [] == pieces(text)


@pytest.mark.parametrize("text", ["1", ' "x"', "null"])
def test_scalar(text):
    """
    What is no list and no object is one piece.
    """
    assert [((), 1, text.strip().encode())] == pieces(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("[1,\n\n2", 3),
        ("[1,]", 1),
        ("[1 2]", 1),
        ("[,1]", 1),
        ('{"a" 1}', 1),
        ("{1: 2}", 1),
        ('{"a": 1,}', 1),
        ('["x\n', 1),
        ('[{"x": "\n', 1),
        ("[1]\n]", 2),
        ("[1}", 1),
        ('{"\\x": 1}', 1),
    ],
)
def test_no_json(text, line):
    """
    What is no JSON is refused with its line.
    """
    with pytest.raises(PieceError, match="not JSON") as caught:
        pieces(text)

    assert ("json", line) == (caught.value.reason, caught.value.line)


def test_before_the_damage():
    """
    What is before the damage is found all the same.
    """
    found = split(iter([b"[1, 2, }"]), OPENED)

    assert [b"1", b"2"] == [next(found).raw, next(found).raw]
    with pytest.raises(PieceError):
        next(found)


@pytest.mark.parametrize("begin", [b'[{"x": "', b'["', b'{"', b"[1"])
def test_too_large(begin):
    """
    A piece, a name or a number beyond the bound is refused, and not read on.
    """
    filler = b"1" * 1024 * 1024
    read = []

    def chunks():
        yield begin
        while True:
            read.append(1)
            yield filler

    with pytest.raises(PieceError) as caught:
        list(split(chunks(), OPENED))

    assert "too-large" == caught.value.reason
    assert len(read) <= MAX_PIECE // len(filler) + 2


def test_deep():
    """
    Deep nesting within a piece is none of the scanner's business.
    """
    deep = "[" * 100_000 + "]" * 100_000

    assert [deep.encode()] == [raw for _, _, raw in pieces(f"[{deep}]")]


@given(st.lists(VALUES), st.integers(1, 9))
def test_any(values, size):
    """
    Whatever JSON a list holds, its elements are found as they stand there.
    """
    found = pieces(json.dumps(values), size=size)

    assert values == [json.loads(raw) for _, _, raw in found]


@given(st.text(alphabet='[]{},:"\\ab1 \n', max_size=30), st.integers(1, 5))
def test_anything(text, size):
    """
    Whatever it is, it is cut up the same whatever the chunks, or refused.
    """

    def outcome(size):
        try:
            return pieces(text, size=size)
        except PieceError as e:
            return e.reason

    assert outcome(10**6) == outcome(size)
