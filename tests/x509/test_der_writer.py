import datetime

import pytest

from cryptography.hazmat import asn1
from hypothesis import given
from hypothesis import strategies as st

from thim.x509 import der_writer as der


class TestEncode:
    @pytest.mark.parametrize(
        ("size", "head"),
        [
            (0, "0400"),
            (127, "047f"),
            (128, "048180"),
            (255, "0481ff"),
            (256, "04820100"),
            (65536, "0483010000"),
        ],
    )
    def test_length(self, size, head):
        """
        A length is in its shortest form.
        """
        octets = bytes(size)

        assert bytes.fromhex(head) + octets == der.octet_string(octets)


class TestInteger:
    @given(st.integers(min_value=0, max_value=2**64 - 1))
    def test_integers(self, value):
        """
        A number is written as another library reads it.
        """
        assert value == asn1.decode_der(int, der.integer(value))

    def test_sign(self):
        """
        The highest bit is the sign: from 128 on there is an octet more.
        """
        assert bytes.fromhex("02017f") == der.integer(127)
        assert bytes.fromhex("020200db") == der.integer(219)


class TestOid:
    @pytest.mark.parametrize(
        ("dotted", "octets"),
        [
            ("2.5.4.3", "0603550403"),
            ("1.2.840.113549.1.1.10", "06092a864886f70d01010a"),
            ("1.3.6.1.4.1.3704.1.3.9", "060a2b060104019c78010309"),
        ],
    )
    def test_oid(self, dotted, octets):
        """
        Arcs are written in base 128.
        """
        assert bytes.fromhex(octets) == der.oid(dotted)


class TestTime:
    def test_short(self):
        """
        Until 2049 a year has two digits.
        """
        instant = datetime.datetime(2049, 12, 31, 23, 59, 58)  # noqa: DTZ001

        assert b"\x17\x0d491231235958Z" == der.time(instant)

    def test_long(self):
        """
        Then it has four.
        """
        instant = datetime.datetime(2050, 1, 2, 3, 4, 5)  # noqa: DTZ001

        assert b"\x18\x0f20500102030405Z" == der.time(instant)


class TestTheRest:
    def test_nested(self):
        """
        The values of a constructed one stand one after another.
        """
        inner = der.set_of(der.explicit(3, der.TRUE, der.NULL))

        assert bytes.fromhex("30093107a3050101ff0500") == der.sequence(inner)

    def test_strings(self):
        """
        Strings have the tag of their kind; a bit string has whole octets.
        """
        assert "0c024341" == der.utf8_string("CA").hex()
        assert "13025553" == der.printable_string("US").hex()
        assert "16054d696c616e" == der.ia5_string("Milan").hex()
        assert "0303000102" == der.bit_string(b"\1\2").hex()
