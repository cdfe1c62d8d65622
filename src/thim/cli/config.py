"""
Configuration: flag, then environment, then file, then default.

The file is TOML and is read in full before anything starts: an unknown key, a
value of another type or a missing file is an error that names the key and what
was expected.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thim.errors import OperatorError, shorten
from thim.http.pcs import Profile
from thim.store.location import default_location, parse_location


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_FILE: Final = Path("/etc/thim/thim.toml")
_DURATION: Final = re.compile(r"(\d{1,9})(s|m|h|d)", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,18}", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
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


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        msg = "expected text"
        raise ValueError(msg)
    return value


def _boolean(value: object) -> bool:
    spelled = {"true": True, "false": False}
    if isinstance(value, str):
        value = spelled.get(value.lower(), value)
    if not isinstance(value, bool):
        msg = "expected true or false"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for a bad value
    return value


def _whole_number(least: int, most: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            msg = f"expected a whole number from {least} to {most}"
            raise ValueError(msg)
        return value

    return parse


def _duration(value: object) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        msg = "expected a duration with its unit, such as 90s, 15m, 24h, 14d"
        raise ValueError(msg)
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _listen(value: object) -> Address:
    match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match["port"]) > _LAST_PORT:
        msg = "expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"
        raise ValueError(msg)
    return Address(host=match["ipv6"] or match["host"], port=int(match["port"]))


def _file(value: object) -> Path:
    msg = "expected the path of a file that is there"
    try:
        path = Path(_text(value)).expanduser()
        is_there = path.is_file()
    except (RuntimeError, OSError):
        raise ValueError(msg) from None
    if not is_there:
        raise ValueError(msg)
    return path


def _one_of(*values: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in values:
            msg = f"expected {' or '.join(values)}"
            raise ValueError(msg)
        return str(value)

    return parse


def _store(value: object) -> Path:
    try:
        return parse_location(_text(value))
    except OperatorError as e:
        raise ValueError(str(e)) from None


def _profile(value: object) -> Profile:
    return Profile(_one_of(*(p.value for p in Profile))(value))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """
    One setting: how its value is read, and what it is when nobody says.

    *default* is in the written form, None for "not set".
    """

    parse: Callable[[object], object]
    default: str | None
    meaning: str


SETTINGS: Final[Mapping[str, Setting]] = {
    "store": Setting(
        parse=_store,
        default=None,
        meaning="sqlite:///PATH or a path; default: in the data folder",
    ),
    "listen": Setting(
        parse=_listen, default="127.0.0.1:8080", meaning="HOST:PORT"
    ),
    "tls_cert": Setting(
        parse=_file, default=None, meaning="PEM chain of the server"
    ),
    "tls_key": Setting(
        parse=_file, default=None, meaning="its private key, PEM"
    ),
    "workers": Setting(
        parse=_whole_number(1, 256), default="1", meaning="processes"
    ),
    "offline": Setting(
        parse=_boolean,
        default="false",
        meaning="never contact a vendor",
    ),
    "profile": Setting(
        parse=_profile,
        default="pccs",
        meaning="CRL encoding where a request leaves it open: "
        "pccs (hex), thim (DER), pcs (PEM)",
    ),
    "max_age": Setting(
        parse=_duration,
        default="24h",
        meaning="the most that Cache-Control allows",
    ),
    "old_api": Setting(
        parse=_one_of("serve", "gone"),
        default="serve",
        meaning="answer PCS v2 and v3, or say 410",
    ),
    "memo_bytes": Setting(
        parse=_whole_number(0, 2**40),
        default=str(32 * 1024 * 1024),
        meaning="memory for remembered answers, 0 for none",
    ),
    "access_log": Setting(
        parse=_boolean, default="false", meaning="a line for each request"
    ),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A setting's value and where it comes from."""

    value: Any
    origin: str


Configuration = dict[str, Value]


def load(
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    file: Path | None,
) -> Configuration:
    """
    Gather every setting from *flags* (None: not given), *environment* and
    *file*.

    Raises:
        OperatorError: An unknown key, a bad value, a missing file, or a
            certificate without its key.
    """
    path = _find_file(file, environment)
    written = {} if path is None else _read_file(path)
    found = {}
    for name, setting in SETTINGS.items():
        raw, origin = _pick(name, setting, flags, environment, written, path)
        found[name] = Value(
            value=_parse(name, setting, raw, origin), origin=origin
        )
    if found["store"].value is None:
        location = default_location(environment)
        found["store"] = Value(value=location, origin="default")
    _check_tls(found)
    return found


def _find_file(
    file: Path | None, environment: Mapping[str, str]
) -> Path | None:
    named = file or (
        Path(environment["THIM_CONFIG"])
        if environment.get("THIM_CONFIG")
        else None
    )
    if named is not None:
        return named
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _read_file(path: Path) -> dict[str, object]:
    try:
        written = tomllib.loads(path.read_text("utf-8"))
    except OSError as e:
        msg = f"configuration {path}: {e.strerror}"
        raise OperatorError(msg, reason="config-file") from e
    except ValueError as e:
        msg = f"configuration {path}: {e}"
        raise OperatorError(msg, reason="config-syntax") from e
    for key in written:
        if key not in SETTINGS:
            near = difflib.get_close_matches(key, SETTINGS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            msg = f"configuration {path}: unknown key {key!r}{hint}"
            raise OperatorError(msg, reason="config-key")
    return written


def _pick(
    name: str,
    setting: Setting,
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    written: Mapping[str, object],
    path: Path | None,
) -> tuple[object, str]:
    variable = f"THIM_{name.upper()}"
    if flags.get(name) is not None:
        return flags[name], "flag"
    if environment.get(variable):
        return environment[variable], f"environment {variable}"
    if name in written:
        return written[name], f"file {path}"
    return setting.default, "default"


def _parse(name: str, setting: Setting, raw: object, origin: str) -> object:
    if raw is None:
        return None
    try:
        return setting.parse(raw)
    except ValueError as e:
        msg = f"{name} ({origin}): got {shorten(raw)}, {e}"
        raise OperatorError(msg, reason="config-value") from None


def _check_tls(found: Configuration) -> None:
    pair = {name: found[name].value for name in ("tls_cert", "tls_key")}
    missing = [name for name, value in pair.items() if value is None]
    if len(missing) == 1:
        msg = f"{missing[0]} is missing: a certificate and its key go together"
        raise OperatorError(msg, reason="config-tls")
