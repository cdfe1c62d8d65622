"""
What ``thim doctor`` found, as text for a ticket or as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import sys
import textwrap

from importlib import metadata
from typing import TYPE_CHECKING, Final

from thim.cli.failing import tell
from thim.client.doctor.hiding import LEFT_OUT
from thim.client.doctor.remedies import find_shown
from thim.client.error_codes import RANGES, find_codes, find_similar, spell
from thim.client.findings import Level
from thim.errors import printable


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.client.codes.model import ErrorCode
    from thim.client.doctor.model import Report, Section, Trouble

_WIDTH: Final = 100
_MARKS: Final = {Level.ERROR: "!!", Level.WARNING: "! ", Level.NOTE: "  "}
_VERDICTS: Final = {
    Level.ERROR: "act now",
    Level.WARNING: "look soon",
    Level.NOTE: "well",
}
_UNSAID: Final = "could not say"
_LABEL: Final = 29
_CODE: Final = "An error code on the screen? `thim doctor --code 0xe019`."


def write_report(report: Report, *, as_json: bool) -> bool:
    """
    Write *report*: findings first, the worst of them at the top.  Tell whether
    it could be written.
    """
    if as_json:
        return _write(json.dumps(_as_json(report), indent=2))
    return _write("\n".join(_lines(report)))


def _write(text: str) -> bool:
    if sys.stdout is None:  # closed: the exit code must do
        return True
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # a reader that has seen enough
        sys.stdout = None
    except OSError as e:
        sys.stdout = None
        tell(f"thim: this cannot be written: {e.strerror}")
        return False
    return True


def _lines(report: Report) -> Iterator[str]:
    yield f"thim doctor: {_verdict(report)}, at {report.at:%FT%TZ}"
    yield f"thim {_version()}, {_machine()}"
    for _, alike in itertools.groupby(report.troubles, _find_kind):
        yield ""
        yield from _trouble_lines(list(alike))
    for section in report.sections:
        yield ""
        yield from _section_lines(section)
    yield ""
    yield from textwrap.wrap(
        f"No secret is in this report; left out were: {LEFT_OUT}.", _WIDTH
    )
    if report.level is not Level.NOTE:
        yield _CODE


def _verdict(report: Report) -> str:
    return _UNSAID if report.says_nothing else _VERDICTS[report.level]


def _version() -> str:
    return metadata.version("thim")


def _machine() -> str:
    user = "root" if os.geteuid() == 0 else "not root"
    return f"{platform.system()} {platform.release()}, as {user}"


def _find_kind(trouble: Trouble) -> tuple[object, ...]:
    """Return what is said once of several of the same, at the same place."""
    name, where = trouble.name, trouble.where
    return trouble.level, name, where, trouble.cause, trouble.mend


def _trouble_lines(alike: Sequence[Trouble]) -> Iterator[str]:
    trouble = alike[0]
    yield f"{_MARKS[trouble.level]} {trouble.name} at {trouble.where}"
    texts = [("what", each.what) for each in alike]
    for label, text in (
        *texts,
        ("cause", trouble.cause),
        ("mend", trouble.mend),
    ):
        if text:
            yield from _wrap(f"   {label:<6} ", text)
    if shown := find_shown(trouble.name):
        yield f"   shown  {', '.join(shown)}"


def _wrap(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _section_lines(section: Section) -> Iterator[str]:
    yield section.title
    names = [len(name) for name, _ in section.facts]
    width = min(max(names, default=0), _LABEL)
    for name, value in section.facts:
        if len(name) > width:
            yield f"   {name}"
            name = ""  # noqa: PLW2901 - said already
        yield from _wrap(f"   {name:<{width}}  ", value or "-")


def _as_json(report: Report) -> dict[str, object]:
    return {
        "level": int(report.level),
        "verdict": _verdict(report),
        "at": f"{report.at:%FT%TZ}",
        "version": _version(),
        "findings": [_trouble_json(each) for each in report.troubles],
        "sections": [
            {
                "title": section.title,
                "facts": [{"name": n, "value": v} for n, v in section.facts],
            }
            for section in report.sections
        ],
        "left_out": LEFT_OUT,
    }


def _trouble_json(trouble: Trouble) -> dict[str, object]:
    return {
        "level": trouble.level.word,
        "name": trouble.name,
        "what": trouble.what,
        "where": trouble.where,
        "cause": trouble.cause,
        "mend": trouble.mend,
        "shown": list(find_shown(trouble.name)),
    }


def write_codes(text: str, *, as_json: bool) -> bool:
    """
    Write what the error code *text* means; tell whether it is known and could
    be written.
    """
    codes = find_codes(text)
    if as_json:
        told = json.dumps([_code_json(code) for code in codes], indent=2)
    elif codes:
        told = "\n\n".join("\n".join(_code_lines(code)) for code in codes)
    else:
        told = "\n".join(_unknown_lines(text))
    return _write(told) and bool(codes)


def _code_lines(code: ErrorCode) -> Iterator[str]:
    yield spell(code)
    yield code.library
    for number, cause in enumerate(code.causes, 1):
        yield from _wrap(f"{number:>2}. ", cause.why)
        yield from _wrap("    -> ", cause.mend)


def _unknown_lines(text: str) -> Iterator[str]:
    yield f"{printable(text[:100])}: not known"
    if near := find_similar(text):
        yield f"near it: {', '.join(near)}"
    yield "known are:"
    yield from (f"  {known}" for known in RANGES)


def _code_json(code: ErrorCode) -> dict[str, object]:
    return {
        "number": code.number,
        "name": code.name,
        "library": code.library,
        "causes": [
            {"cause": cause.why, "mend": cause.mend} for cause in code.causes
        ],
    }
