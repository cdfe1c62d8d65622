"""
The address that guests ask: used where it is there, added where that is told,
and never taken over from another metadata service.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import ipaddress
import logging
import shutil
import socket
import subprocess

from typing import TYPE_CHECKING, Final

import msgspec

from thim.errors import OperatorError


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.agent.networks import Network

_log: Final = logging.getLogger(__name__)
_PROBE_SECONDS: Final = 2.0
_IP_SECONDS: Final = 10.0
_BACKLOG: Final = 1024


class _Inet(msgspec.Struct):
    local: str = ""
    prefixlen: int = 0


class _Link(msgspec.Struct):
    ifname: str = ""
    addr_info: list[_Inet] = msgspec.field(default_factory=list)


def check_is_free(host: str, port: int) -> None:
    """
    Check that nobody answers yet on *host* and *port*.

    Raises:
        OperatorError: ``address-taken``: another metadata service does.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/", headers={"Metadata": "true"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return  # nobody, or nobody who speaks HTTP
    finally:
        connection.close()
    msg = (
        f"another metadata service answers on http://{host}:{port}/ (status "
        f"{status}): it is not taken over; listen elsewhere, or say in "
        f"pass_through by which other address it is reached"
    )
    raise OperatorError(msg, reason="address-taken")


@contextlib.contextmanager
def holding(host: str, interface: str | None) -> Iterator[None]:
    """
    Have the address *host* on this machine until the end of the ``with``: as
    it is, or added to *interface*, and then removed again.

    Raises:
        OperatorError: ``address-missing``, and nobody said to add it; or it
            cannot be added.
    """
    if is_here(host):
        yield
        return
    if interface is None:
        msg = (
            f"listen: no interface has the address {host}; `ip address add "
            f"{_own_net(host)} dev lo` adds it, or add_address = true does"
        )
        raise OperatorError(msg, reason="address-missing")
    is_ours: bool | None = None
    try:
        try:
            _add(host, interface)
        except OperatorError:
            is_ours = False
            raise
        is_ours = True
        yield
    finally:
        # Also where a signal has ended it while `ip` was at work.
        if is_ours or (is_ours is None and is_here(host)):
            _remove(host, interface)


def _add(host: str, interface: str) -> None:
    # One of IPv6 is of no use until it is known that no other host has it,
    # which nobody else is to have.
    is_six = ":" in host
    flags = ("nodad",) if is_six else ()
    _run_ip("address", "add", _own_net(host), "dev", interface, *flags)
    _log.info("added the address %s to %s", host, interface)


def _remove(host: str, interface: str) -> None:
    try:
        _run_ip("address", "del", _own_net(host), "dev", interface)
        _log.info("removed the address %s from %s", host, interface)
    except OperatorError as e:
        _log.warning("%s", e)


def _own_net(host: str) -> str:
    return str(ipaddress.ip_network(host))


def is_here(host: str) -> bool:
    """
    Tell whether *host* is an address of this machine's, or a name, for which
    nobody but the listener can tell.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError as e:
            return e.errno != errno.EADDRNOTAVAIL
    return True


def own_networks(host: str) -> tuple[Network, ...]:
    """
    Return the networks of the interface that has the address *host*, none
    where that is not known.
    """
    if shutil.which("ip") is None:
        return ()
    links = _list_links()
    return tuple(
        ipaddress.ip_network(f"{inet.local}/{inet.prefixlen}", strict=False)
        for link in links
        if any(inet.local == host for inet in link.addr_info)
        for inet in link.addr_info
        if inet.local
    )


def _list_links() -> list[_Link]:
    try:
        written = _run_ip("-json", "address", "show")
        return msgspec.json.decode(written, type=list[_Link])
    except (OperatorError, msgspec.DecodeError) as e:
        _log.warning("the interface's own networks are not known: %s", e)
        return []


def _run_ip(*arguments: str) -> bytes:
    what = f"ip {' '.join(arguments)}"
    try:
        ran = subprocess.run(  # noqa: S603 - nothing is a caller's
            ["ip", *arguments],  # noqa: S607 - where it lies differs
            capture_output=True,
            check=True,
            timeout=_IP_SECONDS,
        )
    except FileNotFoundError as e:
        msg = f"`{what}` needs iproute2, which is not there"
        raise OperatorError(msg, reason="address") from e
    except subprocess.CalledProcessError as e:
        said = e.stderr.decode("utf-8", "replace").strip()
        msg = f"`{what}` failed: {said} (it needs CAP_NET_ADMIN)"
        raise OperatorError(msg, reason="address") from e
    except subprocess.TimeoutExpired as e:
        msg = f"`{what}` did not end"
        raise OperatorError(msg, reason="address") from e
    return ran.stdout


def open_listener(host: str, port: int) -> socket.socket:
    """
    Listen on *host* and *port*.

    Raises:
        OperatorError: That is not possible.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port), family=family, backlog=_BACKLOG
        )
    except OSError as e:
        msg = f"cannot listen on {host} port {port}: {e.strerror or e}"
        raise OperatorError(msg, reason="listen") from e
