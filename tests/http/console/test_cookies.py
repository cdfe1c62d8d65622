"""
The cookie of a session as it is sent: over TLS, and in the clear.
"""

import pytest

from thim.http.console.cookies import read_cookies, set_cookie


def read(scheme, *values, name=b"cookie"):
    """
    Read the cookies of a request.
    """
    headers = [(b"host", b"thim.example"), *((name, v) for v in values)]
    return list(read_cookies({"scheme": scheme, "headers": headers}, "k1"))


class TestSet:
    def test_tls(self):
        """
        What is kept over TLS is sent over TLS only, and nobody else sets it.
        """
        expected = (
            b"__Secure-thim-console-k1=x; Path=/console/; HttpOnly; "
            b"SameSite=Strict; Secure"
        )

        assert (b"set-cookie", expected) == set_cookie(
            {"scheme": "https"}, "k1", "x"
        )

    def test_plain(self):
        """
        Without TLS, which is for this machine alone, a browser takes it too.
        """
        expected = (
            b"thim-console-k1=; Path=/console/; HttpOnly; SameSite=Strict; "
            b"Max-Age=0"
        )

        assert (b"set-cookie", expected) == set_cookie(
            {"scheme": "http"}, "k1", "", "; Max-Age=0"
        )


class TestRead:
    def test_every(self):
        """
        All values of the name are found, wherever they stand.
        """
        values = (
            b"a=\xe9; thim-console-k1=x;thim-console-k1=y",
            b"thim-console-k1=z==",
        )

        assert ["x", "y", "z=="] == read("http", *values)

    @pytest.mark.parametrize(
        ("scheme", "value"),
        [
            # It may have been set in the clear, by anybody in between.
            ("https", b"thim-console-k1=x"),
            ("http", b"__Secure-thim-console-k1=x"),
            ("http", b"not-thim-console-k1=x"),
            ("http", b"thim-console-k2=x"),
        ],
    )
    def test_others(self, scheme, value):
        """
        Cookies of other names are others'.
        """
        assert [] == read(scheme, value)

    def test_other_header(self):
        """
        What merely looks like a cookie in another header is none.
        """
        assert [] == read("http", b"thim-console-k1=x", name=b"x-cookie")
