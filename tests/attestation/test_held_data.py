"""
Data that evidence is bound to, as bytes and as a JSON object.
"""

import json

import msgspec
import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.attestation.held_data import MOST_PARTS, HeldData
from thim.errors import MalformedError


texts = st.text(st.characters(codec="utf-8"), max_size=6)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)


def read(data):
    """
    Read *data* as a JSON object.
    """
    return HeldData(data=data, is_json=True).value


class TestHeldData:
    def test_binary(self):
        """
        Bytes that are no JSON are not looked at.
        """
        assert None is HeldData(data=b"{\xff", is_json=False).value

    @given(objects)
    def test_keys_in_order(self, value):
        """
        An object is what was sent, with its keys in order at all levels.
        """
        found = read(json.dumps(value).encode())

        assert value == found
        assert json.dumps(found) == json.dumps(value, sort_keys=True)

    @given(objects)
    def test_can_be_written(self, value):
        """
        Whatever is read can be written into a token.
        """
        found = read(json.dumps(value).encode())

        assert value == msgspec.json.decode(msgspec.json.encode(found))

    @given(st.binary(max_size=60))
    def test_nothing_else_is_raised(self, data):
        """
        Whatever the bytes are, they are an object or malformed.
        """
        try:
            found = read(data)
        except MalformedError:
            return
        assert isinstance(found, dict)

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"[1]", "of type array, expected an object"),
            (b'"text"', "of type string, expected an object"),
            (b"null", "of type null, expected an object"),
            (b"true", "of type boolean, expected an object"),
            (b"1.5", "of type number, expected an object"),
            (b"", "not JSON"),
            (b'{"a":1}\0', "not JSON"),
            (b'{"a":1,"a":2}', "key 'a' stands twice"),
            (b'{"b":{"a":1,"a":2}}', "key 'a' stands twice"),
            (b'{"a":NaN}', "number NaN"),
            (b'{"a":1e999}', "number 1e999 is too large"),
            (b'{"a":18446744073709551616}', "more than 64 bits"),
            (b'{"a":[-9223372036854775809]}', "more than 64 bits"),
            (b'{"a":"\\ud800"}', "half a character"),
            (b'{"\\udc00":1}', "half a character"),
            (b'{"a":' * 33 + b"1" + b"}" * 33, "more than 32 deep"),
            (b'{"a":' * 9999, "not JSON"),
        ],
    )
    def test_refused(self, data, why):
        """
        What is no object, or could be read in two ways, is refused.
        """
        with pytest.raises(MalformedError, match=why):
            read(data)

    def test_largest_integers(self):
        """
        Integers of 64 bits are kept, with sign and without.
        """
        text = b'{"a":-9223372036854775808,"b":18446744073709551615}'
        assert {"a": -(2**63), "b": 2**64 - 1} == read(text)


class TestManyParts:
    def test_most(self):
        """
        An object of so many members and elements is read, and no more.
        """
        most = b'{"x":[' + b",".join([b"1"] * (MOST_PARTS - 1)) + b"]}"

        assert MOST_PARTS - 1 == len(read(most)["x"])
        with pytest.raises(MalformedError, match="members and elements"):
            read(most.replace(b"[", b"[1,"))
