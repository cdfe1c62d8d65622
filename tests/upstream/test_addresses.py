import ipaddress

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.upstream.addresses import is_allowed, is_public, parse_address


PRIVATE = (
    *("127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1"),
    *("172.31.255.255", "192.168.1.1", "169.254.169.254", "169.254.0.1"),
    *("100.64.0.1", "100.127.255.255", "0.0.0.1", "0.1.2.3", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.0.1"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1"),
    "192.88.99.1",
)
PRIVATE_IPV6 = (
    *("::", "::1", "fe80::1", "fe80::1%lo", "fec0::1", "fc00::1", "fd00::1"),
    *("ff02::1", "2001:db8::1", "3fff::1", "100::1", "2001:2::1", "5f00::1"),
    *(
        "2001:10::1",
        "2001:20::1",
        "64:ff9b:1::1",
        "4000::1",
        "::ffff:0:1.1.1.1",
    ),
)
PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.0"),
    *("2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"),
    *("64:ff9b::8.8.8.8", "2003::1"),
)
INSIDE = st.sampled_from(PRIVATE).map(ipaddress.IPv4Address)
ANY_IPV4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
ANY_IPV6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)


def ipv6(high, number):
    """
    Write *number* behind the first bits of an address.
    """
    return ipaddress.IPv6Address(int(ipaddress.IPv6Address(high)) | number)


def forms(address):
    """
    Every IPv6 address that some mechanism makes *address* of.
    """
    number = int(address)
    return (
        ipv6("::ffff:0:0", number),
        ipv6("::", number),
        ipv6("::ffff:0:0:0", number),
        ipv6("64:ff9b::", number),
        ipv6("64:ff9b:1::", number),
        ipv6("2002::", number << 80),
        ipv6("2002:808:808::", number),
        ipv6("2001::", number << 64),
        ipv6("2001:0:808:808::", number ^ 0xFFFFFFFF),
        ipv6("2606:4700::5efe:0:0", number),
        ipv6("2606:4700::200:5efe:0:0", number),
    )


def allowed(text, *networks, only_listed=False):
    """
    Tell whether a webhook may lead there.
    """
    listed = tuple(map(ipaddress.ip_network, networks))
    return is_allowed(parse_address(text), listed, only_listed=only_listed)


class TestPublic:
    @pytest.mark.parametrize("text", [*PRIVATE, *PRIVATE_IPV6])
    def test_is_not(self, text):
        """
        No address of a private, local, reserved or multicast range is public.
        """
        assert not is_public(parse_address(text))

    @pytest.mark.parametrize("text", PUBLIC)
    def test_is(self, text):
        """
        What is on the Internet is, and NAT64's form of such.
        """
        assert is_public(parse_address(text))

    @given(INSIDE)
    def test_embedded(self, address):
        """
        In whatever form of IPv6 an inner address is written, it is not public.
        """
        for form in forms(address):
            assert not is_public(parse_address(str(form))), form

    @given(ANY_IPV4 | ANY_IPV6)
    def test_agrees_with_python(self, address):
        """
        Nothing is public that the standard library says is not.
        """
        if is_public(address):
            assert address.is_global
            assert not address.is_multicast

    @given(ANY_IPV4)
    def test_multicast_and_private(self, address):
        """
        Of IPv4 exactly that is public which is global and not multicast, but
        for the dead 6to4 relays and protocols' own.
        """
        special = ("192.88.99.0/24", "192.0.0.0/24")
        is_special = any(address in ipaddress.ip_network(n) for n in special)
        is_global = address.is_global and not address.is_multicast
        assert (is_global and not is_special) == is_public(address)


class TestAllowed:
    def test_public(self):
        """
        A public address need not be listed.
        """
        assert allowed("8.8.8.8")

    def test_listed(self):
        """
        A private one must be, and its neighbour is not thereby.
        """
        assert allowed("10.1.2.3", "10.1.0.0/16")
        assert allowed("fd00:1::5", "10.1.0.0/16", "fd00:1::/64")
        assert not allowed("10.2.2.3", "10.1.0.0/16")
        assert not allowed("10.1.2.3")

    def test_mapped(self):
        """
        An address of IPv4 in the form of IPv6 is what the kernel makes of it.
        """
        assert allowed("::ffff:10.1.2.3", "10.1.0.0/16")

    def test_embedded(self):
        """
        Other forms are not listed by the network of what they stand for.
        """
        assert not allowed("64:ff9b::10.1.2.3", "10.1.0.0/16")

    def test_only_listed(self):
        """
        Where only listed ones will do, public ones will not.
        """
        assert not allowed("8.8.8.8", "10.0.0.0/8", only_listed=True)
        assert allowed("8.8.8.8", "8.8.8.0/24", only_listed=True)

    @pytest.mark.parametrize(
        ("text", "network"),
        [
            ("169.254.169.254", "169.254.0.0/16"),
            ("::ffff:169.254.169.254", "169.254.0.0/16"),
            ("64:ff9b::169.254.169.254", "64:ff9b::/96"),
            ("2002:a9fe:a9fe::1", "2002::/16"),
            ("2001:0:a9fe:a9fe::1", "2001::/32"),
            ("2001:0:808:808::5601:5601", "2001::/32"),
            ("fd00::5efe:169.254.169.254", "fd00::/16"),
            ("168.63.129.16", "168.63.129.16/32"),
            ("100.100.100.200", "100.64.0.0/10"),
            ("fd00:ec2::254", "fc00::/7"),
        ],
    )
    def test_never_metadata(self, text, network):
        """
        A cloud's metadata service is out of reach, whatever is listed.
        """
        assert not allowed(text, network)

    @given(st.text())
    def test_parse(self, text):
        """
        What is no address is a ValueError.
        """
        try:
            address = parse_address(text)
        except ValueError:
            return
        assert address == parse_address(str(address))
