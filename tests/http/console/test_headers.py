"""
The headers that every answer of the console has.
"""

import pytest

from thim.http.console.guard import to_reply
from thim.http.console.visit import Download


HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}


class TestHeaders:
    @pytest.mark.parametrize(
        ("path", "more"),
        [
            ("/console/", {}),
            ("/console", {}),
            ("/console/login", {}),
            ("/console/tenants", {}),
            ("/console/tenants", {"HX-Request": "true"}),
            ("/console/nowhere", {}),
        ],
    )
    def test_everywhere(self, console, path, more):
        """
        Whatever is answered, nothing from elsewhere is let in, and nobody
        frames or keeps it.
        """
        got = console.served.get(path, more)

        assert HEADERS == {name: got[name] for name in HEADERS}

    def test_logged_in(self, console, visitor):
        """
        The answer that has the cookie is kept by nobody either.
        """
        got = visitor.log_in(console.tokens["reader"])

        assert HEADERS == {name: got[name] for name in HEADERS}

    def test_download(self):
        """
        Bytes that somebody else has sent are saved, and never shown.
        """
        shown = Download("crl.der", b"<script>")
        headers = dict(to_reply({}, shown, None, None).headers)

        assert (
            b"application/octet-stream",
            b'attachment; filename="crl.der"',
        ) == (headers[b"content-type"], headers[b"content-disposition"])
        assert (
            HEADERS.items()
            <= {
                name.decode(): value.decode() for name, value in headers.items()
            }.items()
        )
