import pytest

from cryptography.hazmat.asn1 import decode_der, encode_der
from hypothesis import given
from hypothesis import strategies as st

from thim.errors import MalformedError
from thim.x509.der import (
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    Pairs,
    PairTable,
    parse_boolean,
    parse_unsigned,
    read_value,
)


TABLE = PairTable(
    oid="1.2.3",
    prefix=bytes.fromhex("06032A03"),
    names={1: "first", 2: "second"},
)


def hexadecimal(text):
    """
    Read octets that are written in groups.
    """
    return bytes.fromhex(text)


class TestReadValue:
    def test_value(self):
        """
        A value is a tag, content octets and an end.
        """
        assert (0x04, b"\1\2", 4) == read_value(hexadecimal("04 02 0102"))

    def test_in_the_middle(self):
        """
        It may begin anywhere, and more may follow.
        """
        der = hexadecimal("FFFF 02 01 07 FFFF")

        assert (INTEGER, b"\7", 5) == read_value(der, 2)

    def test_empty(self):
        """
        It may have no content.
        """
        assert (SEQUENCE, b"", 2) == read_value(hexadecimal("30 00"))

    @pytest.mark.parametrize("size", [127, 128, 255, 256, 65535])
    def test_sizes(self, size):
        """
        Lengths take one octet, or two, or three.
        """
        content = bytes(size)
        der = encode_der(content)

        assert (OCTET_STRING, content, len(der)) == read_value(der)

    @pytest.mark.parametrize(
        "der", ["", "04", "04 01", "04 03 0102", "04 81", "04 82 01", "04 8180"]
    )
    def test_cut_off(self, der):
        """
        It must not end before its end.
        """
        with pytest.raises(MalformedError) as e:
            read_value(hexadecimal(der))

        assert "extension" == e.value.reason

    @pytest.mark.parametrize(
        "der",
        [
            "04 8101 61",
            "04 820001 61",
            f"04 817F {'61' * 127}",
            f"04 8200FF {'61' * 255}",
        ],
    )
    def test_shortest(self, der):
        """
        A length is in its shortest form.
        """
        with pytest.raises(MalformedError, match=r"^length .*fewer$"):
            read_value(hexadecimal(der))

    @pytest.mark.parametrize("der", ["24 80 0000", "04 83010000", "04 FF"])
    def test_definite(self, der):
        """
        A length is definite, and below 65536.
        """
        with pytest.raises(MalformedError, match=r"^length .*definite$"):
            read_value(hexadecimal(der) + bytes(65536))

    @pytest.mark.parametrize("der", ["1F 01 00", "BF 01 00", "FF 01 00"])
    def test_tag(self, der):
        """
        A tag has one octet.
        """
        with pytest.raises(MalformedError, match=r"^tag .*one octet$"):
            read_value(hexadecimal(der))

    @given(st.binary(max_size=40))
    def test_any_octets(self, der):
        """
        Whatever is read is no longer than what there is.
        """
        try:
            tag, content, end = read_value(der)
        except MalformedError:
            return
        assert der[0] == tag
        assert der[:end].endswith(content)
        assert len(content) + 2 <= end <= len(der)


class TestParseUnsigned:
    @given(st.integers(0, 2**64))
    def test_another_writer(self, number):
        """
        Any number comes back as cryptography wrote it.
        """
        _, content, _ = read_value(encode_der(number))

        assert number == parse_unsigned(content)

    @pytest.mark.parametrize("content", [b"", b"\x80", b"\xff\xff", b"\x80\0"])
    def test_negative(self, content):
        """
        It is 0 or more.
        """
        with pytest.raises(MalformedError, match="0 or more"):
            parse_unsigned(content)

    @pytest.mark.parametrize("content", [b"\0\0", b"\0\x7f", b"\0\0\x80"])
    def test_shortest(self, content):
        """
        It is in its shortest form.
        """
        with pytest.raises(MalformedError, match="fewer"):
            parse_unsigned(content)

    @given(st.binary(max_size=4))
    def test_another_reader(self, content):
        """
        Cryptography refuses the same octets, negative numbers apart.
        """
        try:
            expected = decode_der(int, bytes([2, len(content)]) + content)
        except ValueError:
            expected = -1

        if expected < 0:
            with pytest.raises(MalformedError):
                parse_unsigned(content)
        else:
            assert expected == parse_unsigned(content)


class TestParseBoolean:
    @pytest.mark.parametrize(
        ("content", "expected"), [(b"\0", False), (b"\xff", True)]
    )
    def test_both(self, content, expected):
        """
        There are two.
        """
        assert expected is parse_boolean(content)

    @pytest.mark.parametrize("content", [b"", b"\1", b"\0\0", b"\xff\xff"])
    def test_no_other(self, content):
        """
        There is no third.
        """
        with pytest.raises(MalformedError, match="neither"):
            parse_boolean(content)


def pair(arc, value):
    """
    Write a pair below 1.2.3.
    """
    inner = bytes.fromhex("06032A03") + bytes([arc]) + value
    return bytes([0x30, len(inner)]) + inner


class TestPairs:
    def test_found(self):
        """
        Values are found by their OIDs.
        """
        second, first = pair(2, b"\2\1\5"), pair(1, b"\4\2ab")

        pairs = Pairs(second + first, TABLE)

        assert b"ab" == pairs.octets(1, 2)
        assert 5 == pairs.integer(2, 5)

    def test_too_large(self):
        """
        A number has a limit.
        """
        pairs = Pairs(pair(1, b"\2\1\5") + pair(2, b"\5\0"), TABLE)

        with pytest.raises(
            MalformedError, match=r"^first \(1\.2\.3\.1\) is 5, expected 0 to 4"
        ):
            pairs.integer(1, 4)

    def test_missing(self):
        """
        What is missing is named.
        """
        with pytest.raises(
            MalformedError,
            match=r"^1\.2\.3: 1 elements, .* 2: without second \(1\.2\.3\.2\)$",
        ):
            Pairs(pair(1, b"\5\0"), TABLE)

    def test_nothing(self):
        """
        Nothing is not enough.
        """
        with pytest.raises(MalformedError, match="0 elements"):
            Pairs.from_der(b"\x30\0", TABLE)

    def test_behind(self):
        """
        Nothing stands behind the sequence.
        """
        content = pair(1, b"\5\0") + pair(2, b"\5\0")
        der = bytes([0x30, len(content)]) + content
        Pairs.from_der(der, TABLE)

        with pytest.raises(MalformedError, match="not one SEQUENCE"):
            Pairs.from_der(der + b"\0", TABLE)

    def test_set(self):
        """
        Nor is a SET taken for one.
        """
        content = pair(1, b"\5\0") + pair(2, b"\5\0")

        with pytest.raises(MalformedError, match="not one SEQUENCE"):
            Pairs.from_der(bytes([0x31, len(content)]) + content, TABLE)

    def test_smallest(self):
        """
        The lower bound of a size is one as well.
        """
        pairs = Pairs(pair(1, b"\4\1a") + pair(2, b"\4\3abc"), TABLE)

        for arc in (1, 2):
            with pytest.raises(MalformedError, match=r"has \d bytes, exp.* 2$"):
                pairs.octets(arc, 2)

    def test_tag(self):
        """
        A value is of the type that is asked for.
        """
        pairs = Pairs(pair(1, b"\4\1\1") + pair(2, b"\2\1\1"), TABLE)

        with pytest.raises(MalformedError, match="has tag 04, expected 02"):
            pairs.integer(1, 1)
        with pytest.raises(MalformedError, match="has tag 02, expected 04"):
            pairs.octets(2, 1)
        with pytest.raises(MalformedError, match="has tag 02, expected 01"):
            pairs.boolean(2)

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (pair(1, b"\5\0") * 2, r"first \(1\.2\.3\.1\) stands there twice"),
            (pair(3, b"\5\0"), r"unknown OID 1\.2\.3\.3$"),
            (pair(1, b"\5\0\5\0"), "more than one value"),
            (b"\x31" + pair(1, b"\5\0")[1:], "tag 31, expected 30"),
            (b"\x30\7\6\3\x2a\4\1\5\0", "unknown OID of the octets '2a0401'"),
            (b"\x30\2\5\0", "begins with tag 05, expected an OID"),
            (b"\x30\5\6\3\x2a\3\1", "cut off"),
        ],
    )
    def test_refused(self, content, match):
        """
        Each pair is one that is known, once, with one value.
        """
        whole = pair(1, b"\5\0") + pair(2, b"\5\0")

        for der in (content, content + whole, whole + content):
            with pytest.raises(MalformedError) as e:
                Pairs(der, TABLE)
            assert str(e.value).startswith("1.2.3: ")
        with pytest.raises(MalformedError, match=match):
            Pairs(content, TABLE)
