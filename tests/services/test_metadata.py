import pytest

from thim.errors import ParameterError
from thim.services.metadata import (
    check_is_direct,
    check_is_guest,
    choose_request_id,
    is_own_host,
)


GUEST = {b"metadata": b"true", b"host": b"169.254.169.254"}


class TestGuest:
    @pytest.mark.parametrize("value", [b"true", b"True", b" TRUE "])
    def test_metadata(self, value):
        """
        The header counts in any case.
        """
        check_is_guest([*{**GUEST, b"metadata": value}.items()], ())

    @pytest.mark.parametrize(
        ("changed", "name"),
        [
            ({b"metadata": b"1"}, "Metadata"),
            ({b"metadata": b""}, "Metadata"),
            ({b"x-forwarded-for": b""}, "X-Forwarded-For"),
            ({b"x-forwarded-for": b"10.0.0.1"}, "X-Forwarded-For"),
            ({b"host": b"evil.example"}, "Host"),
            ({b"host": b""}, "Host"),
        ],
    )
    def test_refused(self, changed, name):
        """
        What a page in a browser or a proxy sends is refused by name.
        """
        with pytest.raises(ParameterError, match=f"{name}: got"):
            check_is_guest([*{**GUEST, **changed}.items()], ())

    def test_without_metadata(self):
        """
        Where no header is demanded, a detour is refused all the same.
        """
        check_is_direct([(b"host", b"localhost")], ())
        with pytest.raises(ParameterError, match="Host: got"):
            check_is_direct([(b"host", b"evil.example")], ())

    @pytest.mark.parametrize("name", ["Metadata", "Host"])
    def test_repeated(self, name):
        """
        What counts is said once: each of two might count elsewhere.
        """
        key = name.lower().encode()
        headers = [*GUEST.items(), (key, GUEST[key])]
        with pytest.raises(ParameterError, match=f"{name}: got .* once"):
            check_is_guest(headers, ())


class TestHost:
    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("169.254.169.254", True),
            ("169.254.169.254:80", True),
            ("[fe80::1]:80", True),
            ("localhost", True),
            ("LocalHost:8080", True),
            ("node.example", True),
            ("Node.Example:80", True),
            ("other.example", False),
            ("169.254.169.254.evil.example", False),
            ("[fe80::1", False),
            ("", False),
            ("node.example:80:80", False),
        ],
    )
    def test_own(self, host, expected):
        """
        Addresses, localhost and our names are ours, with or without a port.
        """
        assert expected == is_own_host(host, {"node.example"})


class TestRequestId:
    @pytest.mark.parametrize("sent", [b"abc-1.2_3~", b"a" * 128])
    def test_clients(self, sent):
        """
        A usable one of the client's is kept.
        """
        assert sent == choose_request_id(sent)

    @pytest.mark.parametrize("sent", [b"", b"a b", b"a\r\n", b"a" * 129])
    def test_new(self, sent):
        """
        Without one there is a new one, never twice the same.
        """
        first, second = choose_request_id(sent), choose_request_id(sent)
        assert 32 == len(first) == len(second)
        assert first != second
