"""
Name platforms on the command line, and say what is known of one.
"""

from __future__ import annotations

import dataclasses
import re

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import PlatformId
from thim.errors import NotFoundError, ParameterError
from thim.intel.select import find_for, sort_by_floors


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thim.collateral.platforms import HeldPck, Platform
    from thim.intel.pck import PckTcbm
    from thim.store.pck import PckReader

_MOST_NAME: Final = 64
_MOST_VALUE: Final = 256
_ID: Final = re.compile(r"([0-9a-fA-F]{32})(?::([0-9a-fA-F]{4}))?", re.ASCII)
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}", re.ASCII)


def check_name(name: str) -> str:
    """
    Check that a platform may be called *name*.

    Raises:
        ParameterError: Not 1 to 64 printable characters, or what could be a
            QE ID.
    """
    is_fine = 1 <= len(name) <= _MOST_NAME and name.isprintable()
    if not is_fine or name != name.strip():
        expected = "expected 1 to 64 printable characters, no blank at the ends"
        raise ParameterError("name", name, expected)
    if _ID.fullmatch(name):
        raise ParameterError("name", name, "expected no QE ID")
    return name


def parse_labels(texts: Iterable[str]) -> dict[str, str | None]:
    """
    Read labels, ``key=value``; an empty value, None here, takes one away.

    Raises:
        ParameterError: Of another form.
    """
    found: dict[str, str | None] = {}
    for text in texts:
        key, mark, value = text.partition("=")
        is_fine = len(value) <= _MOST_VALUE and value.isprintable()
        if not mark or not _LABEL.fullmatch(key) or not is_fine:
            expected = "expected KEY=VALUE, the key of letters, digits and ._/-"
            raise ParameterError("label", text, expected)
        found[key] = value or None
    return found


def find_platform(reader: PckReader, text: str) -> Platform:
    """
    Find the one platform that *text* names: by its name, or its QE ID with or
    without the PCE ID.

    Raises:
        NotFoundError: There is none.
        ParameterError: There are several.
    """
    named = reader.find_by_name(text)
    if named is not None:
        return named
    found = list_by_id(reader, text)
    if not found:
        msg = f"no platform {text!r} is known: `thim platform list`"
        raise NotFoundError(msg, reason="unknown-platform")
    if len(found) > 1:
        ids = " or ".join(str(platform.id) for platform in found)
        raise ParameterError("PLATFORM", text, f"expected {ids}")
    return found[0]


def list_by_id(reader: PckReader, text: str) -> Sequence[Platform]:
    """
    List the platforms with the QE ID *text*, in hexadecimal digits, with or
    without the PCE ID behind a colon; none if it is no such thing.
    """
    match = _ID.fullmatch(text)
    if match is None:
        return []
    qe_id = bytes.fromhex(match[1])
    if match[2] is None:
        return reader.find_by_qe_id(qe_id)
    found = reader.find_platform(PlatformId(qe_id, bytes.fromhex(match[2])))
    return [] if found is None else [found]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    Which certificate answers for a platform at *raw_tcb*, and why in words.
    """

    raw_tcb: PckTcbm
    certificate: HeldPck | None
    why: str


def explain_choices(
    platform: Platform,
    certificates: Sequence[HeldPck],
    floors: Sequence[PckTcbm],
) -> list[Choice]:
    """
    Explain for each raw TCB of *platform* which of its *certificates* it
    gets, where the levels of the TCB info ask for *floors*.
    """
    ordered = sort_by_floors(certificates, floors)
    return [_choose(raw, ordered) for raw in platform.seen_raw_tcbs]


def _choose(raw: PckTcbm, ordered: Sequence[HeldPck]) -> Choice:
    found = find_for(ordered, raw)
    return Choice(
        raw_tcb=raw, certificate=found, why=_explain(raw, ordered, found)
    )


def _explain(
    raw: PckTcbm, ordered: Sequence[HeldPck], found: HeldPck | None
) -> str:
    if not ordered:
        return "no certificate is known yet"
    if found is None:
        return f"none: even the lowest is above it: {_above(raw, ordered[-1])}"
    if found.tcbm == raw:
        return "made for this very TCB"
    passed = ordered[: ordered.index(found)]
    if not passed:
        return "the highest one, and the platform reaches it"
    return (
        f"the highest that the platform reaches; the next one is above it: "
        f"{_above(raw, passed[-1])}"
    )


def _above(raw: PckTcbm, held: HeldPck) -> str:
    """Name the parts in which a certificate asks for more than there is."""
    parts = [
        f"component {i} is {has}, it needs {needs}"
        for i, (has, needs) in enumerate(
            zip(raw.cpusvn, held.tcbm.cpusvn, strict=True), 1
        )
        if has < needs
    ]
    if raw.pcesvn < held.tcbm.pcesvn:
        parts.append(f"PCESVN is {raw.pcesvn}, it needs {held.tcbm.pcesvn}")
    return ", ".join(parts)
