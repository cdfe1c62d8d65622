import ipaddress

import pytest

from thim.agent.networks import Networks, is_loopback


LISTED = (ipaddress.ip_network("10.1.0.0/16"),)
OWN = (ipaddress.ip_network("192.168.122.0/24"),)


class TestNetworks:
    @pytest.mark.parametrize(
        ("host", "by_default", "where_listed"),
        [
            ("127.0.0.1", True, True),
            ("127.8.8.8", True, True),
            ("::1", True, True),
            ("169.254.3.4", True, False),
            ("fe80::1%eth0", True, False),
            ("192.168.122.9", True, False),
            ("::ffff:192.168.122.9", True, False),
            ("10.1.2.3", False, True),
            ("::ffff:10.1.2.3", False, True),
            ("10.2.0.1", False, False),
            ("8.8.8.8", False, False),
            ("2001:db8::1", False, False),
            ("", False, False),
            ("name", False, False),
        ],
    )
    def test_allowed(self, host, by_default, where_listed):
        """
        By default link-local addresses and the interface's own may ask, else
        what is listed; this machine always may.
        """
        assert by_default == Networks.of(None, OWN).allow(host)
        assert where_listed == Networks.of(LISTED, OWN).allow(host)

    @pytest.mark.parametrize(
        ("host", "expected"),
        [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("x", False)],
    )
    def test_loopback(self, host, expected):
        """
        Loopback is told by the address.
        """
        assert expected == is_loopback(host)
