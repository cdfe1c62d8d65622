"""
By which names and addresses clients know this server.
"""

from __future__ import annotations

import socket

from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.errors import ParameterError
from thim.x509.issue import parse_host


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.x509.issue import Host

#: Who asks from the machine itself needs no name.
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_MOST: Final = 100

Names = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="HOST",
        help="A name or an address by which clients know the server; may be "
        "repeated. Default: this machine's name. The loopback addresses are "
        "always added.",
    ),
]


def find_hosts(names: Sequence[str]) -> list[Host]:
    """
    Return what the server goes by: *names*, or the machine's own, and the
    loopback addresses.

    Raises:
        ParameterError: One of them is neither a name nor an address.
    """
    if len(names) > _MOST:
        expected = f"expected at most {_MOST}"
        raise ParameterError("--name", f"{len(names)} names", expected)
    hosts = [parse_host(name) for name in names] or _own_host()
    hosts += [parse_host(name) for name in _LOOPBACK]
    return list(dict.fromkeys(hosts))


def _own_host() -> list[Host]:
    try:
        return [parse_host(socket.gethostname())]
    except ParameterError:
        return []  # a machine may be called what no certificate can hold
