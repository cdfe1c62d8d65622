"""
Pages as HTML, and the headers that every page has.
"""

from __future__ import annotations

import functools

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from thim.errors import printable
from thim.http.console.assets import find_assets
from thim.http.reply import Reply


if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

    from thim.http.console.visit import Page

#: Nothing from elsewhere, nothing inline, no frame around it.
_POLICY: Final = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; "
    b"connect-src 'self'; img-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not "no-referrer": forms would come with the origin "null".
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)
_HTML: Final = (b"content-type", b"text/html; charset=utf-8")
_HOUR: Final = 3600
_DAY: Final = 86400
_DIGITS: Final = 12


def render(
    page: Page,
    common: Mapping[str, Any],
    *headers: tuple[bytes, bytes],
) -> Reply:
    """
    Answer *page*, whose template also sees what is *common* to all.
    """
    values = {"title": page.title, **common, **page.values}
    text = _environment().get_template(page.template).render(values)
    return Reply(
        status=page.status,
        headers=(_HTML, *HEADERS, *headers),
        body=text.encode("utf-8"),
    )


@functools.cache
def _environment() -> Environment:
    # Loaded with the first page: most workers never show one.
    from jinja2 import (  # noqa: PLC0415
        Environment,
        PackageLoader,
        StrictUndefined,
    )

    made = Environment(
        loader=PackageLoader("thim.http.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters |= {
        "instant": show_instant,
        "span": show_span,
        "short": show_short,
        "lines": show_lines,
        "share": show_share,
    }
    made.globals["assets"] = {
        name: asset.path for name, asset in find_assets().items()
    }
    return made


def _finalize(value: object) -> object:
    # What comes from elsewhere turns no line around and hides nothing.
    return printable(value) if type(value) is str else value


def show_instant(
    instant: datetime | str | None, *, to_second: bool = False
) -> Markup:
    """
    Write an instant, which may be written as RFC 3339 has it, in UTC and to
    the minute, or *to_second*; a dash for none.
    """
    if isinstance(instant, str):
        instant = datetime.fromisoformat(instant)
    if instant is None:
        return Markup("–")  # noqa: RUF001 - a dash
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        f"{instant:%FT%TZ}",
        f"{instant:%FT%TZ}",
        f"{instant:%F %T}" if to_second else f"{instant:%F %H:%M}",
    )


def show_span(span: timedelta | None) -> str:
    """
    Write how long something is: minutes, hours or days.
    """
    if span is None:
        return "–"  # noqa: RUF001 - a dash
    seconds = span.total_seconds()
    if abs(seconds) < _HOUR:
        return f"{seconds / 60:.0f} min"
    if abs(seconds) < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} days"


def show_short(text: str) -> Markup:
    """
    Write the first digits of a long hexadecimal *text*, the whole on hovering.
    """
    if len(text) <= _DIGITS:
        return Markup("<code>{}</code>").format(printable(text))
    return Markup('<code title="{}">{}…</code>').format(
        printable(text), printable(text[:_DIGITS])
    )


def show_lines(text: str) -> Markup:
    """
    Write a text of several lines, each as it is.
    """
    lines = (escape(printable(line)) for line in text.splitlines())
    return Markup("\n").join(lines)


def show_share(share: float | None) -> str:
    """
    Write a share from 0 to 1 as per cent.
    """
    return "–" if share is None else f"{share:.1%}"  # noqa: RUF001 - a dash
