import http.server
import ipaddress
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from tests.needs import needs_ip
from thim.agent.address import (
    check_is_free,
    holding,
    is_here,
    open_listener,
    own_networks,
)
from thim.errors import OperatorError


#: RFC 5737: nobody's.
NOWHERE = "192.0.2.77"


class TestFree:
    def test_nobody(self):
        """
        Where nobody answers, nothing is in the way.
        """
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        check_is_free("127.0.0.1", port)

    def test_metadata_service(self):
        """
        Whatever answers there in HTTP, with whichever status, is not taken
        over.
        """
        handler = http.server.BaseHTTPRequestHandler  # knows no method
        with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
            port = server.server_address[1]
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            with pytest.raises(OperatorError, match=r"\(status 501\)"):
                check_is_free("127.0.0.1", port)
            thread.join(10)


class TestHolding:
    def test_there(self):
        """
        An address that is there is left alone.
        """
        assert is_here("127.0.0.1")
        with holding("127.0.0.1", None):
            pass

    def test_missing(self):
        """
        One that is missing is an error that says how to add it.
        """
        assert not is_here(NOWHERE)
        expected = f"`ip address add {NOWHERE}/32 dev lo` adds it"
        with (
            pytest.raises(OperatorError, match=expected),
            holding(NOWHERE, None),
        ):
            pass

    @needs_ip
    def test_no_interface(self):
        """
        An interface that is not there is an error with what `ip` says.
        """
        with (
            pytest.raises(OperatorError, match="none0"),
            holding(NOWHERE, "none0"),
        ):
            pass

    def test_without_ip(self, monkeypatch):
        """
        Without iproute2 it is an error that names it.
        """
        monkeypatch.setenv("PATH", "/nowhere")
        with (
            pytest.raises(OperatorError, match="needs iproute2"),
            holding(NOWHERE, "lo"),
        ):
            pass


@pytest.fixture
def namespace():
    """
    The command that runs another in a network namespace of its own.
    """
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    name = f"thim-{secrets.token_hex(3)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    inside = ["ip", "netns", "exec", name]
    # Without any link that is up Linux takes any address for its own.
    subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
    yield inside
    subprocess.run(["ip", "netns", "del", name], check=True)


@needs_ip
class TestInterrupted:
    #: Ends the caller as soon as `ip` has done what it was told.
    STAND_IN = """#!/bin/sh
{ip} "$@"
status=$?
case "$2" in {word}) kill -TERM $PPID; sleep 9;; esac
exit $status
"""
    PROGRAM = """
import signal, sys
from thim.agent.address import holding
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
with holding("192.0.2.77", "lo"):
    print("held")
"""

    def run(self, namespace, folder, word):
        """
        Hold the address while `ip` is such; return the exit code, what was
        said, and the addresses that are left.
        """
        stand_in = folder / "ip"
        text = self.STAND_IN.format(ip=shutil.which("ip"), word=word)
        stand_in.write_text(text)
        stand_in.chmod(0o755)
        done = subprocess.run(
            [*namespace, sys.executable, "-c", self.PROGRAM],
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
            capture_output=True,
            check=False,
            timeout=60,
        )
        left = subprocess.run(
            [*namespace, "ip", "address", "show"],
            capture_output=True,
            check=True,
        )
        return done.returncode, done.stdout, NOWHERE.encode() in left.stdout

    def test_while_adding(self, namespace, tmp_path):
        """
        Whoever is ended while the address is added removes it all the same.
        """
        assert (3, b"", False) == self.run(namespace, tmp_path, "add")

    def test_not(self, namespace, tmp_path):
        """
        Nor does it stay where nothing happens.
        """
        assert (0, b"held\n", False) == self.run(namespace, tmp_path, "none")


@needs_ip
def test_ipv6(namespace):
    """
    An address of IPv6 can be listened on at once, and is removed again.
    """
    program = """
from thim.agent.address import holding, is_here, open_listener
with holding("2001:db8::77", "one"), open_listener("2001:db8::77", 8080):
    print(is_here("2001:db8::77"))
"""
    for words in (
        ["link", "add", "one", "type", "veth", "peer", "name", "other"],
        ["link", "set", "one", "up"],
        ["link", "set", "other", "up"],
    ):
        subprocess.run([*namespace, "ip", *words], check=True)
    done = subprocess.run(
        [*namespace, sys.executable, "-c", program],
        capture_output=True,
        check=False,
        timeout=60,
    )
    left = subprocess.run(
        [*namespace, "ip", "address", "show"], capture_output=True, check=True
    )
    assert (0, b"True\n") == (done.returncode, done.stdout)
    assert b"2001:db8::77" not in left.stdout


class TestNetworks:
    @needs_ip
    def test_own(self):
        """
        The networks of the interface are those of all its addresses.
        """
        networks = own_networks("127.0.0.1")
        assert ipaddress.ip_network("127.0.0.0/8") in networks

    def test_nobodys(self):
        """
        An address that no interface has, has no networks.
        """
        assert () == own_networks(NOWHERE)

    def test_without_ip(self, monkeypatch):
        """
        Without iproute2 they are not known.
        """
        monkeypatch.setenv("PATH", "/nowhere")
        assert () == own_networks("127.0.0.1")


class TestListener:
    def test_port_in_use(self):
        """
        A port that somebody has is an error that names it.
        """
        with open_listener("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
            with pytest.raises(OperatorError, match=f"port {port}: "):
                open_listener("127.0.0.1", port)
