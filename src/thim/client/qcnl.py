"""
``sgx_default_qcnl.conf``: what QCNL makes of it, and what is wrong with it.

Read from Intel's DCAP 1.23 (``QuoteGeneration/qcnl``).  QCNL says little: a
file that it cannot parse is dropped as a whole, a value of another type is
passed over, an unknown key too.  What counts then is the default in its code.
"""

from __future__ import annotations

import dataclasses
import difflib
import math

from typing import TYPE_CHECKING, Any, Final

from thim.client.findings import Finding, Level
from thim.client.jsonc import JsoncError, locate, parse_jsonc
from thim.client.nodes import Member, Object
from thim.client.qcnl_old import is_old, read_old
from thim.client.urls import DEFAULT_URL, find_problems, is_intel


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from thim.client.nodes import Node
    from thim.client.urls import Problem

MOST_BYTES: Final = 256 * 1024
_MOST_HOURS: Final = 2160
_MOST_RETRIES: Final = 100
_MOST_DELAY: Final = 3600
_INT32: Final = range(-(2**31), 2**31)
_DROPPED: Final = (
    "QCNL drops the whole file then, goes on without saying so to its caller, "
    f"and asks {DEFAULT_URL}"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whom QCNL would ask; *places* are lines and columns by key."""

    pccs_url: str = DEFAULT_URL
    collateral_service: str = DEFAULT_URL
    local_pck_url: str | None = None
    is_verified: bool = True
    places: Mapping[str, tuple[int, int]] = dataclasses.field(
        default_factory=dict
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What was found, and whom QCNL would ask; None where it reads nothing."""

    findings: tuple[Finding, ...]
    wanted: Wanted | None


def lint(raw: bytes) -> Linted:
    """
    Judge the content of a file, as far as that goes without the network.
    """
    problem = _unreadable(raw)
    if problem:
        return _refused(*problem)
    text = raw.decode("utf-8", "surrogateescape")
    try:
        root = parse_jsonc(text)
    except JsoncError as e:
        return _refused_syntax(text, e)
    if not isinstance(root.value, Object):
        message = "expected an object, { … }; QCNL would crash on it"
        return _refused("not-an-object", message)
    return _Settings(text, root.value.members).judge()


def find_link(file: Path) -> tuple[Finding, ...]:
    """
    Find whether *file* is a symbolic link, as it is in a volume that
    Kubernetes makes of a ConfigMap.
    """
    if not file.is_symlink():
        return ()
    message = (
        "a symbolic link, which QCNL after DCAP 1.25 does not follow: it says "
        f"nothing, and asks {DEFAULT_URL}. Put the file itself there (in "
        "Kubernetes: a mount with `subPath`)"
    )
    return (_placed(Level.WARNING, "symbolic-link", message, None),)


def _unreadable(raw: bytes) -> tuple[str, str] | None:
    if len(raw) > MOST_BYTES:
        return "too-large", f"more than {MOST_BYTES} bytes: no settings file"
    if raw.startswith(b"\xef\xbb\xbf"):
        message = "the file begins with a byte order mark: save it as UTF-8 "
        return "byte-order-mark", f"{message}without one. {_DROPPED}"
    if b"\0" in raw:
        message = "not a text in UTF-8: it holds NUL bytes (saved as UTF-16?)"
        return "binary", f"{message}. {_DROPPED}"
    return None


def _refused(
    name: str, message: str, place: tuple[int, int] = (1, 1)
) -> Linted:
    found = _placed(Level.ERROR, name, message, place)
    return Linted(findings=(found,), wanted=None)


def _placed(
    level: Level, name: str, message: str, place: tuple[int, int] | None
) -> Finding:
    line, column = place or (None, None)
    return Finding(
        level=level, name=name, message=message, line=line, column=column
    )


def _refused_syntax(text: str, error: JsoncError) -> Linted:
    if is_old(text):
        message = (
            "the old format, KEY=VALUE, which newer keys do not exist in: "
            "`thim client-config qpl` prints the new one"
        )
        found = _placed(Level.WARNING, "old-format", message, (1, 1))
        return _Settings(text, read_old(text), found).judge()
    message = f'{error}. QCNL logs "{error.said}". {_DROPPED}'
    return _refused(error.reason, message, locate(text, error.offset))


@dataclasses.dataclass(frozen=True, slots=True)
class _Key:
    """A key that QCNL reads: its type, its default, what else must hold."""

    kind: str
    fallback: str
    check: Callable[[Any], Iterator[Problem]] | None = None


class _Settings:
    """What the file sets, judged one by one."""

    def __init__(
        self, text: str, members: Iterable[Member], *found: Finding
    ) -> None:
        self._text = text
        self._found = list(found)
        self._values: dict[str, Any] = {}
        self._places: dict[str, tuple[int, int]] = {}
        for member in members:
            self._take(member)

    def judge(self) -> Linted:
        wanted = self._wanted()
        self._judge_urls(wanted)
        self._judge_absent(wanted)
        return Linted(
            findings=tuple(
                sorted(self._found, key=lambda f: f.line or math.inf)
            ),
            wanted=wanted,
        )

    def _add(self, level: Level, name: str, message: str, key: str) -> None:
        self._found.append(_placed(level, name, message, self._places.get(key)))

    def _take(self, member: Member) -> None:
        name, place = member.name, locate(self._text, member.at)
        if name in self._places:
            message = (
                f"{name[:60]!a}: here again; QCNL takes the one in line "
                f"{self._places[name][0]}"
            )
            found = _placed(Level.WARNING, "duplicate-key", message, place)
            self._found.append(found)
            return
        self._places[name] = place
        key = _KEYS.get(name)
        if key is None:
            self._add(Level.WARNING, "unknown-key", _unknown(name), name)
        elif not _KINDS[key.kind](member.node):
            message = (
                f"{name}: expected {key.kind}; QCNL passes it over and takes "
                f"{key.fallback}"
            )
            self._add(Level.ERROR, "wrong-type", message, name)
        else:
            self._values[name] = member.node.value
            for problem in key.check(member.node.value) if key.check else ():
                self._add(*problem, name)

    def _wanted(self) -> Wanted:
        get = self._values.get
        pccs = get("pccs_url", DEFAULT_URL)
        return Wanted(
            pccs_url=pccs,
            collateral_service=get("collateral_service", pccs),
            local_pck_url=get("local_pck_url") or None,
            is_verified=get("use_secure_cert", True),
            places=self._places,
        )

    def _judge_urls(self, wanted: Wanted) -> None:
        # Where collateral has no address of its own, TDX is asked of PCCS.
        of_tdx = (
            "collateral_service"
            if "collateral_service" in self._values
            else "pccs_url"
        )
        for key in ("pccs_url", "collateral_service", "local_pck_url"):
            url = getattr(wanted, key)
            if key in self._values and url is not None:
                for problem in find_problems(key, url, has_tdx=key == of_tdx):
                    self._add(*problem, key)

    def _judge_absent(self, wanted: Wanted) -> None:
        if "pccs_url" not in self._values:
            has_other = "collateral_service" in self._values
            level = Level.NOTE if has_other else Level.WARNING
            what = "for PCK certificates" if has_other else "for everything"
            message = f"pccs_url: not set, so QCNL asks {DEFAULT_URL} {what}"
            self._add(level, "default-address", message, "pccs_url")
        version = self._values.get("pccs_api_version", "3.0")
        if is_intel(wanted.collateral_service):
            message = (
                "collateral_service: Intel's own, so neither a cache nor a "
                "baseline of yours is used for collateral"
            )
            self._add(Level.NOTE, "intel-direct", message, "collateral_service")
        elif version == "3.0":
            message = (
                "pccs_api_version: 3.0, also where it is not set: CRLs come as "
                "hexadecimal text; 3.1 asks for DER"
            )
            self._add(Level.NOTE, "hex-crls", message, "pccs_api_version")
        for key in (
            "pck_cache_expire_hours",
            "verify_collateral_cache_expire_hours",
        ):
            if not self._values.get(key):
                message = f"{key}: 0, also where it is not set: no cache"
                self._add(Level.NOTE, "no-cache", message, key)
        if not self._values.get("retry_times"):
            message = "retry_times: 0, also where it is not set: no retries"
            self._add(Level.NOTE, "no-retries", message, "retry_times")


def _unknown(name: str) -> str:
    quoted = ascii(name[:60])
    if name.lower() in _KEYS:
        return f"{quoted}: keys are in small letters: {name.lower()}"
    near = difflib.get_close_matches(name[:60].lower(), _KEYS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{quoted}: no key of QCNL's, which passes it over{hint}"


def _secure(value: bool) -> Iterator[Problem]:  # noqa: FBT001 - it is the value
    if not value:
        yield (
            Level.WARNING,
            "certificate-unchecked",
            (
                "use_secure_cert: false turns off every check of the server's "
                "certificate, its name too: anyone in between can answer. "
                "Trust the server's CA on this machine instead"
            ),
        )


def _update_type(value: str) -> Iterator[Problem]:
    if value.lower() not in {"early", "standard"}:
        message = f"tcb_update_type: expected early or standard. {_DROPPED}"
        yield Level.ERROR, "bad-value", message


def _api_version(value: str) -> Iterator[Problem]:
    if value not in {"3.0", "3.1"}:
        message = (
            'pccs_api_version: expected "3.0" or "3.1": with another one QCNL '
            "asks for no root CRL (it is no part of the URL, such as v4)"
        )
        yield Level.ERROR, "bad-value", message


def _whole(name: str, most: int) -> Callable[[int], Iterator[Problem]]:
    def check(value: int) -> Iterator[Problem]:
        if value < 0:
            message = (
                f"{name}: expected 0 to {most}; QCNL makes it "
                "a number above 4,000,000,000"
            )
            yield Level.ERROR, "out-of-range", message
        elif value > most:
            message = f"{name}: expected 0 to {most}"
            yield Level.WARNING, "out-of-range", message

    return check


def _hours(name: str) -> Callable[[float], Iterator[Problem]]:
    def check(value: float) -> Iterator[Problem]:
        if value < 0:
            message = f"{name}: expected 0 to {_MOST_HOURS} hours"
            yield Level.ERROR, "out-of-range", message
        elif value > _MOST_HOURS:
            message = f"{name}: QCNL cuts it to {_MOST_HOURS} hours"
            yield Level.WARNING, "out-of-range", message

    return check


def _cache_only(value: bool) -> Iterator[Problem]:  # noqa: FBT001 - as above
    if value:
        message = (
            "local_cache_only: true: no service is asked for PCK "
            "certificates, only files in the cache"
        )
        yield Level.NOTE, "cache-only", message


def _options(value: Object) -> Iterator[Problem]:
    groups = [m for m in value.members if m.name == "get_cert"]
    if len(groups) != len(value.members):
        message = "custom_request_options: QCNL reads only get_cert in it"
        yield Level.WARNING, "unknown-option", message
    for member in (m for group in groups for m in _members(group.node)):
        named = f"custom_request_options: {member.name[:60]!a}"
        if member.name not in {"params", "headers"}:
            message = f"{named}: QCNL reads only params and headers"
            yield Level.WARNING, "unknown-option", message
        for each in _members(member.node):
            if not isinstance(each.node.value, str):
                message = f"{named}: {each.name[:60]!a} must be a text"
                yield Level.ERROR, "wrong-type", message


def _members(node: Node) -> tuple[Member, ...]:
    return node.value.members if isinstance(node.value, Object) else ()


def _is_int(node: Node) -> bool:
    return type(node.value) is int and node.value in _INT32


_KINDS: Final[Mapping[str, Callable[[Node], bool]]] = {
    "text in double quotes": lambda node: isinstance(node.value, str),
    "true or false, without quotes": lambda n: isinstance(n.value, bool),
    "a whole number, without quotes": _is_int,
    "a number, without quotes": lambda node: (
        _is_int(node) or isinstance(node.value, float)
    ),
    "an object, { … }": lambda node: isinstance(node.value, Object),
}
_TEXT, _SWITCH, _WHOLE, _NUMBER, _OBJECT = _KINDS
_KEYS: Final[Mapping[str, _Key]] = {
    "pccs_url": _Key(_TEXT, DEFAULT_URL),
    "use_secure_cert": _Key(_SWITCH, "true", _secure),
    "collateral_service": _Key(_TEXT, "pccs_url"),
    "tcb_update_type": _Key(_TEXT, "standard", _update_type),
    "pccs_api_version": _Key(_TEXT, '"3.0"', _api_version),
    "retry_times": _Key(_WHOLE, "0", _whole("retry_times", _MOST_RETRIES)),
    "retry_delay": _Key(_WHOLE, "0", _whole("retry_delay", _MOST_DELAY)),
    "local_pck_url": _Key(_TEXT, "none"),
    "pck_cache_expire_hours": _Key(
        _NUMBER, "0", _hours("pck_cache_expire_hours")
    ),
    "verify_collateral_cache_expire_hours": _Key(
        _NUMBER, "0", _hours("verify_collateral_cache_expire_hours")
    ),
    "local_cache_only": _Key(_SWITCH, "false", _cache_only),
    "custom_request_options": _Key(_OBJECT, "none", _options),
}
