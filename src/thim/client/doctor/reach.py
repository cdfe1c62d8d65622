"""
How far one comes with an address: name, connection, TLS.

Each step has a bound in time, and reads no more than a handshake takes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509

from thim.client.causes import describe
from thim.client.doctor.model import Trouble
from thim.client.exchange import make_context
from thim.client.findings import Level
from thim.errors import MalformedError, OperatorError, printable
from thim.x509.chain import EXTENSION_ERRORS, common_name, parse_certificate


if TYPE_CHECKING:
    from datetime import datetime

    from thim.client.doctor.model import Target

_PORTS: Final = {"http": 80, "https": 443}
_SOON: Final = timedelta(days=14)
_MOST_NAMES: Final = 6
_MOST_ADDRESSES: Final = 4
_LISTENS: Final = (
    "Is the service running (`thim status` there), and does it listen on an "
    "address that this machine reaches (`listen`, not 127.0.0.1)?"
)
_DROPPED: Final = (
    "Packets are dropped on the way: a firewall, a network policy, a wrong "
    "address."
)
_SILENT: Final = "Nobody listens on that port, or not on that address."
#: By OpenSSL's number: what leads to it, what mends it.
_TLS: Final = {
    9: ("The clock of one of the two is wrong.", "Set the clock."),
    10: (
        "The certificate is past its end, or this machine's clock is wrong.",
        "Renew it on the service: `thim tls renew`.",
    ),
    18: (
        "The server signs for itself, as a PCCS does that was just installed.",
        "Give it a certificate of a CA, and trust that CA here.",
    ),
    62: (
        "The name in the URL is not in the certificate.",
        "Use one of its names, or renew it with this one (`--name`).",
    ),
}
_TLS[64] = _TLS[62]
_UNTRUSTED: Final = (
    (
        "The certificate comes from a CA that this machine does not trust: a "
        "private one, for the most part."
    ),
    (
        "Put that CA into the system's store (docs/clients.md, Trusting a "
        "private CA); `--ca-file FILE` tries it out."
    ),
)
_PLAIN: Final = (
    "What listens there speaks no TLS, or no version in common.",
    "Is it http:// on that port? A proxy in between?",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """
    How far one came; *is_there* where there is somebody to be asked.
    """

    is_there: bool
    facts: tuple[tuple[str, str], ...] = ()
    troubles: tuple[Trouble, ...] = ()


class _Stop(Exception):  # noqa: N818 - how far one comes, no error of ours
    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.what)
        self.trouble = trouble


def reach(target: Target, seconds: float, now: datetime) -> Reached:
    """
    Go to *target* as far as one comes, at most so many *seconds* for each step.
    """
    parts = urllib.parse.urlsplit(target.url)
    if proxy := _find_proxy(parts):
        return Reached(is_there=True, facts=(("by way of", f"proxy {proxy}"),))
    facts: list[tuple[str, str]] = []
    troubles: list[Trouble] = []
    try:
        place = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        addresses = _resolve(target, *place, seconds)
        facts.append(("addresses", ", ".join(addresses[:_MOST_ADDRESSES])))
        connection = _connect(target, addresses, place[1], seconds)
        with contextlib.closing(connection):
            if parts.scheme == "https":
                seen = _shake_hands(target, connection, place[0], seconds)
                facts += _describe(seen)
                troubles += _judge(target, seen, now)
    except _Stop as stop:
        troubles.append(stop.trouble)
        return Reached(
            is_there=False, facts=tuple(facts), troubles=tuple(troubles)
        )
    return Reached(is_there=True, facts=tuple(facts), troubles=tuple(troubles))


def _find_proxy(parts: urllib.parse.SplitResult) -> str | None:
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return proxy
    return None


def _stop(target: Target, name: str, what: str, cause: str, mend: str) -> _Stop:
    trouble = Trouble(
        level=Level.ERROR,
        name=name,
        what=what,
        where=f"{target.url} ({target.by})",
        cause=cause,
        mend=mend,
    )
    return _Stop(trouble)


def _resolve(target: Target, host: str, port: int, seconds: float) -> list[str]:
    """
    Look the *host* up.

    On a thread that nobody waits for: a resolver keeps its own time.
    """
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(each[4][0]) for each in found])
        except (OSError, UnicodeError) as e:
            answers.put(e if isinstance(e, OSError) else OSError(str(e)))

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        answer = OSError(f"no answer within {seconds:g} s")
    if isinstance(answer, OSError):
        raise _stop(
            target,
            "name-not-found",
            f"{host}: {answer.strerror or answer}",
            "The name is misspelt, or this machine (or container) asks another "
            "name server than yours.",
            f"`getent hosts {host}`; /etc/resolv.conf, /etc/hosts.",
        )
    return list(dict.fromkeys(answer))


def _connect(
    target: Target, addresses: list[str], port: int, seconds: float
) -> socket.socket:
    """
    Connect to the first of *addresses* at which somebody listens.
    """
    until = time.monotonic() + seconds
    failed: OSError = TimeoutError()
    for address in addresses[:_MOST_ADDRESSES]:
        left = max(0.01, until - time.monotonic())
        try:
            return socket.create_connection((address, port), timeout=left)
        except OSError as e:
            failed = e
    name, why, cause = _blame(failed, seconds)
    what = f"port {port}: {why}"
    raise _stop(target, name, what, cause, _LISTENS) from failed


def _blame(error: OSError, seconds: float) -> tuple[str, str, str]:
    if isinstance(error, TimeoutError):
        why = f"no answer within {seconds:g} s"
        return "timeout", why, _DROPPED
    is_refused = isinstance(error, ConnectionRefusedError)
    return "refused" if is_refused else "unreachable", describe(error), _SILENT


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    version: str
    certificate: x509.Certificate
    ca: str


def _shake_hands(
    target: Target,
    connection: socket.socket,
    host: str,
    seconds: float,
) -> _Seen:
    peer = connection.getpeername()[:2]
    try:
        context = make_context(target.ca_file, target.own)
        return _wrap(context, connection, host, target, seconds)
    except OperatorError as e:
        mend = "Name a file of certificates in PEM."
        raise _stop(target, e.reason, str(e), "", mend) from e
    except ssl.SSLCertVerificationError as e:
        presented = _look(target, peer, host, seconds)
        raise _untrusted(target, presented, e) from e
    except (OSError, ValueError, MalformedError) as e:
        what = f"TLS: {describe(e).removeprefix('TLS: ')}"
        raise _stop(target, "tls-failed", what, *_PLAIN) from e


def _wrap(
    context: ssl.SSLContext,
    connection: socket.socket,
    host: str,
    target: Target,
    seconds: float,
) -> _Seen:
    # It bounds all of the handshake, not each of its reads.
    connection.settimeout(seconds)
    with context.wrap_socket(connection, server_hostname=host) as wrapped:
        der = wrapped.getpeercert(binary_form=True) or b""
        return _Seen(
            version=wrapped.version() or "",
            certificate=parse_certificate(der),
            ca=str(target.ca_file or "the system's CAs"),
        )


def _untrusted(
    target: Target,
    presented: x509.Certificate | None,
    error: ssl.SSLCertVerificationError,
) -> _Stop:
    cause, mend = _TLS.get(error.verify_code, _UNTRUSTED)
    told = f"certificate: {error.verify_message}"
    if presented is not None:
        names = ", ".join(_names(presented)) or "no name"
        end = presented.not_valid_after_utc
        told += (
            f"; it is for {names}, to {end:%FT%TZ}, from "
            f"{common_name(presented.issuer)!r}"
        )
    level = Level.ERROR if target.is_verified else Level.WARNING
    if not target.is_verified:
        mend += " QCNL does not look now, and anyone can answer it."
    stop = _stop(target, "tls-failed", printable(told), cause, mend)
    return _Stop(dataclasses.replace(stop.trouble, level=level))


def _look(
    target: Target, peer: tuple[str, int], host: str, seconds: float
) -> x509.Certificate | None:
    """Return the certificate that is shown there: to be named, not believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        contextlib.suppress(OSError, ValueError, MalformedError),
        socket.create_connection(peer, timeout=seconds) as connection,
    ):
        seen = _wrap(context, connection, host, target, seconds)
        return seen.certificate
    return None


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except EXTENSION_ERRORS:
        return []
    names = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*names, *map(str, addresses)][:_MOST_NAMES]


def _describe(seen: _Seen) -> list[tuple[str, str]]:
    certificate = seen.certificate
    names = ", ".join(_names(certificate)) or "no name"
    end = certificate.not_valid_after_utc
    issuer = common_name(certificate.issuer)
    told = f"{seen.version}, for {names}, to {end:%FT%TZ}, from {issuer!r}"
    return [("TLS", told), ("trusted by", seen.ca)]


def _judge(target: Target, seen: _Seen, now: datetime) -> list[Trouble]:
    end = seen.certificate.not_valid_after_utc
    if end - now > _SOON:
        return []
    trouble = Trouble(
        level=Level.WARNING,
        name="certificate-ends",
        what=f"the server's certificate ends on {end:%FT%TZ}",
        where=f"{target.url} ({target.by})",
        mend="Renew it on the service: `thim tls renew`.",
    )
    return [trouble]
