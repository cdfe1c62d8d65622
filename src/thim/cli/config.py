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

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thim.cli.listening import (
    settle_listeners,
)
from thim.cli.settings import SETTINGS, Setting
from thim.cli.values import (
    parse_file,
)
from thim.errors import OperatorError, shorten
from thim.store.location import default_location
from thim.toml import parse_toml, read_text


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

DEFAULT_FILE: Final = Path("/etc/thim/thim.toml")
#: Where keys are that nobody names, beside the store.
_BESIDE_STORE: Final = {"key_file": "thim.key", "bundle_key": "bundle.key"}
#: The table of the agent's settings, which are not the service's.
AGENT: Final = "agent"
#: User and password in a URL, which no error repeats.
_USER: Final = re.compile(r"//[^\s'\"]*@")


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
    _check_names(environment)
    path = find_file(file, environment)
    written = {} if path is None else _read_file(path)
    found = {}
    for name, setting in SETTINGS.items():
        raw, origin = _pick(name, setting, flags, environment, written, path)
        found[name] = Value(
            value=parse_setting(name, setting, raw, origin), origin=origin
        )
    if found["store"].value is None:
        location = default_location(environment)
        found["store"] = Value(value=location, origin="default")
    for name, file_name in _BESIDE_STORE.items():
        if found[name].value is None:
            beside: Path = found["store"].value.with_name(file_name)
            found[name] = Value(value=beside, origin="default")
    settle_listeners(found)
    _check_tls(found)
    _check_danger(found)
    return found


def _check_names(environment: Mapping[str, str]) -> None:
    # Others may use the prefix too; what is nearly ours is a slip.
    ours = {f"THIM_{name.upper()}" for name in SETTINGS} | {"THIM_CONFIG"}
    for name in environment:
        if name.startswith("THIM_AGENT_"):
            continue
        near = difflib.get_close_matches(name, ours, n=1, cutoff=0.85)
        if name.startswith("THIM_") and near and name not in ours:
            msg = f"environment: unknown {name}; did you mean {near[0]}?"
            raise OperatorError(msg, reason="config-key")


def find_file(file: Path | None, environment: Mapping[str, str]) -> Path | None:
    """
    Return the configuration that is read: the one that *file* or the
    environment names, or the first of the default ones; None if there is none.
    """
    named = file or (
        Path(environment["THIM_CONFIG"])
        if environment.get("THIM_CONFIG")
        else None
    )
    if named is not None:
        return named
    files = default_files(environment)
    return next((path for path in files if path.is_file()), None)


def default_files(environment: Mapping[str, str]) -> tuple[Path, Path]:
    """
    Return where a configuration is looked for that nobody names.
    """
    own = default_location(environment).with_name(DEFAULT_FILE.name)
    return DEFAULT_FILE, own


def _read_file(path: Path) -> dict[str, object]:
    written = read_toml(path)
    # One file may serve both: the agent reads its own table.
    written.pop(AGENT, None)
    check_keys(written, SETTINGS, f"configuration {path}")
    return written


def read_toml(path: Path) -> dict[str, object]:
    """
    Read the file *path*.

    Raises:
        OperatorError: It cannot be read, or is no TOML.
    """
    try:
        return parse_toml(read_text(path))
    except OSError as e:
        msg = f"configuration {path}: {e.strerror}"
        raise OperatorError(msg, reason="config-file") from e
    except ValueError as e:
        msg = f"configuration {path}: {e}"
        raise OperatorError(msg, reason="config-syntax") from e


def check_keys(
    written: Iterable[str], known: Collection[str], where: str
) -> None:
    """
    Check that all keys that are *written* are *known*; *where* they are is
    for the message.

    Raises:
        OperatorError: One is not; the message names what it may be.
    """
    for key in written:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            msg = f"{where}: unknown key {key!r}{hint}"
            raise OperatorError(msg, reason="config-key")


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


def parse_setting(
    name: str, setting: Setting, raw: object, origin: str
) -> object:
    """
    Read the value *raw* of a setting; None is none.

    Raises:
        OperatorError: It is not such a value.
    """
    if raw is None:
        return None
    try:
        return setting.parse(raw)
    except ValueError as e:
        said = _USER.sub("//…@", raw) if isinstance(raw, str) else raw
        got = "" if setting.may_hold_secrets else f"got {shorten(said)}, "
        msg = f"{name} ({origin}): {got}{e}"
        raise OperatorError(msg, reason="config-value") from None


def _check_tls_files(found: Configuration) -> None:
    # What a private CA makes anew need not be there, but a flag names a file
    # that somebody has.
    has_ca = found["tls_ca_cert"].value is not None
    for name in ("tls_cert", "tls_key"):
        value, origin = found[name].value, found[name].origin
        if value is not None and (origin == "flag" or not has_ca):
            setting = dataclasses.replace(SETTINGS[name], parse=parse_file)
            parse_setting(name, setting, str(value), origin)


def _check_tls(found: Configuration) -> None:
    _check_tls_files(found)
    for names in (("tls_cert", "tls_key"), ("tls_ca_cert", "tls_ca_key")):
        missing = [name for name in names if found[name].value is None]
        if len(missing) == 1:
            msg = (
                f"{missing[0]} is missing: a certificate and its key go "
                f"together"
            )
            raise OperatorError(msg, reason="config-tls")
    has_ca = found["tls_ca_cert"].value is not None
    if has_ca and found["tls_cert"].value is None:
        msg = "tls_cert is missing: tls_ca_cert is there to renew it"
        raise OperatorError(msg, reason="config-tls")


def _check_danger(found: Configuration) -> None:
    has_anchors = found["dangerous_test_anchors"].value is not None
    if found["dangerous_clock"].value is not None and not has_anchors:
        msg = (
            "dangerous_clock: expected dangerous_test_anchors beside it: a "
            "clock that can be moved is for trying out only"
        )
        raise OperatorError(msg, reason="config-danger")
