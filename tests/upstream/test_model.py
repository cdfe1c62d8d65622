from pathlib import Path

import pytest

from thim.upstream.model import Request, Upstream


class TestAddress:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://vendor.example/x?y=z", "https://vendor.example:443"),
            ("http://vendor.example", "http://vendor.example:80"),
            ("https://vendor.example:8443/x", "https://vendor.example:8443"),
            ("http://10.0.0.7:8081/x", "http://10.0.0.7:8081"),
            ("https://[2001:db8::1]/x", "https://[2001:db8::1]:443"),
            ("http://[::1]:81/x", "http://[::1]:81"),
            ("HTTPS://Vendor.Example/X", "https://vendor.example:443"),
        ],
    )
    def test_address(self, url, expected):
        """
        The address is scheme, host and port in one spelling, so that all
        requests to one service share its budget.
        """
        assert expected == Request(url=url).address

    def test_says_no_secret(self):
        """
        What stands before the host is no part of the address.
        """
        request = Request(url="https://me:secret@vendor.example/x")

        assert "https://vendor.example:443" == request.address


class TestSecrets:
    def test_request(self):
        """
        A request does not show its headers.
        """
        request = Request(url="https://v.example", headers={"key": "secret"})

        assert "secret" not in repr(request)

    def test_upstream(self):
        """
        An upstream shows where it is and not its key.
        """
        upstream = Upstream(
            url="https://v.example",
            static_url="https://s.example",
            api_key="secret",
            ca_file=Path("ca.pem"),
        )

        assert "https://v.example" in repr(upstream)
        assert "secret" not in repr(upstream)
