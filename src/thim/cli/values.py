"""
How each kind of value is written in a configuration.

Each function takes what a file, the environment or a flag holds, and raises
``ValueError`` saying what was expected.
"""

from __future__ import annotations

import dataclasses
import re

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.baseline.provider_definition import parse_issuer
from thim.collateral.records import Kind
from thim.errors import OperatorError, ParameterError, ThimError
from thim.http.pcs import Profile
from thim.services.vendors import FillMode
from thim.store.location import parse_location
from thim.x509.chain import TrustAnchors, parse_pem_chain, spki_sha256


if TYPE_CHECKING:
    from collections.abc import Callable

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_FMSPC: Final = re.compile("[0-9a-fA-F]{12}")
_EXPIRING: Final = tuple(
    kind.value
    for kind in Kind
    if kind not in {Kind.FMSPCS, Kind.PCK_CERTIFICATES}
)
_DURATION: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d)", re.ASCII)
_NODE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62})")
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)%", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,18}", re.ASCII)
_UNITS: Final = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
}
_LAST_PORT: Final = 0xFFFF
_LISTEN: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})",
    re.ASCII,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a listener listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_text(value: object) -> str:
    """
    Take text that is not empty.
    """
    if not isinstance(value, str) or not value:
        msg = "expected text"
        raise ValueError(msg)
    return value


def parse_boolean(value: object) -> bool:
    """
    Take true or false, or how either is written.
    """
    spelled = {"true": True, "false": False}
    if isinstance(value, str):
        value = spelled.get(value.lower(), value)
    if not isinstance(value, bool):
        msg = "expected true or false"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for a bad value
    return value


def whole_number(least: int, most: int) -> Callable[[object], int]:
    """
    Take whole numbers from *least* to *most*.
    """

    def parse(value: object) -> int:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            msg = f"expected a whole number from {least} to {most}"
            raise ValueError(msg)
        return value

    return parse


def parse_duration(value: object) -> timedelta:
    """
    Take a whole number and its unit.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        msg = "expected a duration with its unit, such as 500ms, 90s, 24h, 14d"
        raise ValueError(msg)
    return timedelta(milliseconds=int(match[1]) * _UNITS[match[2]])


def duration(least: str, most: str) -> Callable[[object], timedelta]:
    """
    Take durations from *least* to *most*.
    """
    first, last = parse_duration(least), parse_duration(most)

    def parse(value: object) -> timedelta:
        found = parse_duration(value)
        if not first <= found <= last:
            msg = f"expected a duration from {least} to {most}"
            raise ValueError(msg)
        return found

    return parse


def parse_retention(value: object) -> timedelta | None:
    """
    Take a duration from an hour on, or ``none`` for ever.
    """
    return None if value == "none" else duration("1h", "36500d")(value)


def parse_listen(value: object) -> Address:
    """
    Take ``HOST:PORT``.
    """
    match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match["port"]) > _LAST_PORT:
        msg = "expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"
        raise ValueError(msg)
    return Address(host=match["ipv6"] or match["host"], port=int(match["port"]))


def parse_file(value: object) -> Path:
    """
    Take the path of a file that is there.
    """
    msg = "expected the path of a file that is there"
    try:
        path = Path(parse_text(value)).expanduser()
        is_there = path.is_file()
    except PermissionError:
        denied = "permission denied: this user may not look there"
        raise ValueError(denied) from None
    except (RuntimeError, OSError):
        raise ValueError(msg) from None
    if not is_there:
        raise ValueError(msg)
    return path


def parse_path(value: object) -> Path:
    """
    Take the path of a file that need not be there.
    """
    try:
        return Path(parse_text(value)).expanduser().absolute()
    except RuntimeError as e:
        raise ValueError(str(e)) from None


def one_of(*values: str) -> Callable[[object], str]:
    """
    Take one of *values*.
    """

    def parse(value: object) -> str:
        if value not in values:
            msg = f"expected {' or '.join(values)}"
            raise ValueError(msg)
        return str(value)

    return parse


def parse_store(value: object) -> Path:
    """
    Take ``sqlite:///PATH`` or a path.
    """
    try:
        return parse_location(parse_text(value))
    except OperatorError as e:
        raise ValueError(str(e)) from None


def parse_ledger(value: object) -> str:
    """
    Take the address of a PostgreSQL ledger, without a password.
    """
    text = parse_text(value)
    if not text.startswith(("postgresql://", "postgres://")):
        msg = "expected postgresql://USER@HOST/DATABASE"
        raise ValueError(msg)
    # Who has one file needs none of this.
    from thim.store.postgresql import read_conninfo  # noqa: PLC0415

    try:
        read_conninfo(text)
    except OperatorError as e:
        raise ValueError(str(e)) from None
    return text


def parse_name(value: object) -> str:
    """
    Take the name of a node.
    """
    text = parse_text(value)
    if not _NODE.fullmatch(text):
        msg = "expected up to 63 letters, digits, dots, dashes"
        raise ValueError(msg)
    return text


def parse_profile(value: object) -> Profile:
    """
    Take the name of a profile.
    """
    return Profile(one_of(*(p.value for p in Profile))(value))


def parse_url(value: object) -> str:
    """
    Take the URL of an issuer of tokens.
    """
    try:
        return parse_issuer(parse_text(value))
    except ParameterError as e:
        msg = (
            "expected a URL such as https://attest.example.com, in lower case "
            "and with no slash at the end; http for this machine only"
        )
        raise ValueError(msg) from e


def parse_share(value: object) -> float:
    """
    Take a share: percent such as ``1%``.
    """
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    share = float(match[1]) / 100 if match else -1.0
    if not 0 <= share <= 1:
        msg = "expected 0% to 100%, such as 1%"
        raise ValueError(msg)
    return share


def parse_fill(value: object) -> FillMode:
    """
    Take the name of a fill mode.
    """
    return FillMode(one_of(*(mode.value for mode in FillMode))(value))


def parse_fmspcs(value: object) -> frozenset[str]:
    """
    Take a list of FMSPCs, or in one text with commas between them.
    """
    if value == "none":
        return frozenset()
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list):
        listed = [None]
    names = [name.strip() if isinstance(name, str) else "" for name in listed]
    if not all(map(_FMSPC.fullmatch, names)):
        msg = "expected FMSPCs, each of 12 hexadecimal digits"
        raise ValueError(msg)
    return frozenset(name.upper() for name in names)


def parse_hosts(value: object) -> frozenset[str]:
    """
    Take a list of host names, or in one text with commas between them.
    """
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list):
        listed = [None]
    names = [name.strip() if isinstance(name, str) else "" for name in listed]
    if not all(map(_HOST.fullmatch, names)):
        msg = "expected host names, without a port"
        raise ValueError(msg)
    return frozenset(name.lower() for name in names)


@dataclasses.dataclass(frozen=True, slots=True)
class ExpiredRule:
    """Of which kinds expired documents are refused, not flagged."""

    refused: frozenset[Kind]

    def __str__(self) -> str:
        names = sorted(kind.value for kind in self.refused)
        if len(names) == len(_EXPIRING):
            return "refuse"
        return ",".join(f"{name}=refuse" for name in names) or "flag"


def parse_expired(value: object) -> ExpiredRule:
    """
    Take ``flag`` or ``refuse``, or a table that says it kind by kind.
    """
    rules = value
    if isinstance(value, str):
        rules = dict.fromkeys(_EXPIRING, value)
        if "=" in value:
            pairs = (part.partition("=") for part in value.split(","))
            rules = {kind.strip(): rule.strip() for kind, _, rule in pairs}
    if not isinstance(rules, dict):
        rules = {"": ""}
    for kind, rule in rules.items():
        if kind not in _EXPIRING or rule not in ("flag", "refuse"):
            msg = (
                "expected flag or refuse, or a table from any of "
                f"{', '.join(_EXPIRING)} to one of the two"
            )
            raise ValueError(msg)
    return ExpiredRule(
        frozenset(Kind(kind) for kind, r in rules.items() if r == "refuse")
    )


@dataclasses.dataclass(frozen=True, slots=True)
class AnchorsFile:
    """A file of root certificates, and the trust anchors that they make."""

    path: Path
    anchors: TrustAnchors

    def __str__(self) -> str:
        return str(self.path)


def parse_anchors(value: object) -> AnchorsFile:
    """
    Take the path of a PEM file of root certificates.
    """
    path = parse_file(value)
    try:
        roots = parse_pem_chain(path.read_bytes())
        pins = frozenset(map(spki_sha256, roots))
    except (OSError, ThimError):
        msg = "expected a file of root certificates in PEM"
        raise ValueError(msg) from None
    return AnchorsFile(path, TrustAnchors(spki_sha256=pins))
