"""
Evaluation numbers as the command line shows them: all of one, for people and
for machines.
"""

from __future__ import annotations

import json

from typing import TYPE_CHECKING, Final

import typer

from thim.cli.showing import say
from thim.cli.tables import write_table


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.baseline.forecast import Forecast
    from thim.baseline.history import Arrival
    from thim.services.number_facts import NumberFacts, Passing, Span

_SIGNED: Final = {
    True: "by the vendor still",
    False: "no, the vendor's newest lists do not name it",
    None: "unknown, no list of the vendor's is archived",
}


def show_facts(facts: NumberFacts, *, as_json: bool = False) -> None:
    """
    Print all of one number.
    """
    if as_json:
        typer.echo(json.dumps(facts_json(facts), indent=2))
        return
    for title, value in _fact_rows(facts):
        say(f"{title:<15} {value}")
    if facts.spans:
        write_table(
            ("kind", "documents", "first next update", "last next update"),
            [_span_row(span) for span in facts.spans],
        )
    if facts.passing:
        write_table(
            (
                "FMSPC",
                "TEE",
                "structure",
                "TCB info until",
                "identity until",
                "passes",
            ),
            [_passing_row(each, facts.now) for each in facts.passing],
        )


def facts_json(facts: NumberFacts) -> dict[str, object]:
    """
    Write all of one number for machines.
    """
    history, release = facts.history, facts.release
    return {
        "number": facts.number,
        "at": _date(facts.now),
        "recovery_event": _date(history.recovery_event),
        "tcb_date": _date(history.tcb_date),
        "release": release
        and {
            "date": f"{release.released:%F}",
            "minimum_psw_linux": release.minimum_psw_linux,
            "minimum_psw_windows": release.minimum_psw_windows,
        },
        "is_signed": facts.is_signed,
        "first_listed": _date(history.first_listed),
        "last_listed": _date(history.last_listed),
        "withdrawn": _date(history.withdrawn),
        "early": _arrival_json(history.disclosure),
        "standard": _arrival_json(history.promotion),
        "forecast": _forecast_json(facts.forecast),
        "documents": facts.documents,
        "passes_until": _date(facts.passes_until),
        "passes_last": _date(facts.passes_last),
        "is_expired": facts.is_expired,
        "is_wholly_expired": facts.is_wholly_expired,
        "kinds": [_span_json(span) for span in facts.spans],
        "tcb_infos": [_passing_json(p, facts.now) for p in facts.passing],
    }


def _fact_rows(facts: NumberFacts) -> Iterator[tuple[str, str]]:
    history, release = facts.history, facts.release
    yield "number", str(facts.number)
    yield "recovery event", _day(history.recovery_event)
    yield "TCB date", _day(history.tcb_date)
    if release is not None:
        yield "release", f"{release.released:%F}, as Azure documents it"
        linux, windows = release.minimum_psw_linux, release.minimum_psw_windows
        yield "minimum PSW", f"Linux {linux}, Windows {windows}"
    yield "signed", _SIGNED[facts.is_signed]
    yield "first listed", _spell(history.first_listed)
    yield "last listed", _spell(history.last_listed)
    if history.withdrawn is not None:
        yield "withdrawn", _spell(history.withdrawn)
    yield "early", _spell_arrival(history.disclosure, facts.number)
    yield "standard", _spell_arrival(history.promotion, facts.number)
    if facts.forecast is not None:
        yield "forecast", _spell_forecast(facts.forecast)
    yield "documents", str(facts.documents)
    yield "nextUpdate", _spell_passing(facts)


def _spell_passing(facts: NumberFacts) -> str:
    if facts.passes_until is None:
        return "nothing passes verifiers that check it: no complete set"
    first, last = _spell(facts.passes_until), _spell(facts.passes_last)
    if facts.is_wholly_expired:
        return f"expired: nothing passes verifiers that check it since {last}"
    if facts.is_expired:
        return f"partly expired: some pass until {last}, not all since {first}"
    return f"all pass verifiers that check it until {first}"


def _spell_arrival(arrival: Arrival | None, number: int) -> str:
    if arrival is None:
        return "not seen"
    since = _spell(arrival.seen)
    when = f"since {since}" if arrival.is_move else f"by {since} or earlier"
    if arrival.number == number:
        return when
    return f"{when}, at {arrival.number}"


def _arrival_json(arrival: Arrival | None) -> dict[str, object] | None:
    if arrival is None:
        return None
    return {
        "seen": _date(arrival.seen),
        "number": arrival.number,
        "is_move": arrival.is_move,
    }


def _spell_forecast(forecast: Forecast) -> str:
    span = ""
    if forecast.earliest is not None and forecast.latest is not None:
        span = f" ({forecast.earliest:%F} to {forecast.latest:%F})"
    return f"standard on {forecast.at:%F}{span}: it {forecast.confidence}"


def _forecast_json(forecast: Forecast | None) -> dict[str, object] | None:
    if forecast is None:
        return None
    return {
        "at": _date(forecast.at),
        "earliest": _date(forecast.earliest),
        "latest": _date(forecast.latest),
        "basis": list(forecast.basis),
        "confidence": forecast.confidence,
    }


def _span_row(span: Span) -> tuple[str, ...]:
    return (
        span.kind.value,
        str(span.documents),
        _spell(span.earliest),
        _spell(span.latest),
    )


def _span_json(span: Span) -> dict[str, object]:
    return {
        "kind": span.kind.value,
        "documents": span.documents,
        "first_next_update": _date(span.earliest),
        "last_next_update": _date(span.latest),
    }


def _passing_row(passing: Passing, now: datetime) -> tuple[str, ...]:
    return (
        passing.fmspc,
        passing.tee.value,
        str(passing.structure),
        _spell(passing.tcb_info_until),
        _spell(passing.identity_until),
        _spell_state(passing, now),
    )


def _spell_state(passing: Passing, now: datetime) -> str:
    if passing.missing is not None:
        return f"no, {passing.missing} is missing"
    if passing.passes(now):
        return f"until {_spell(passing.until)}"
    return f"no, expired {_spell(passing.until)}"


def _passing_json(passing: Passing, now: datetime) -> dict[str, object]:
    return {
        "fmspc": passing.fmspc,
        "tee": passing.tee.value,
        "structure": passing.structure,
        "tcb_info_until": _date(passing.tcb_info_until),
        "identity_until": _date(passing.identity_until),
        "missing": passing.missing and str(passing.missing),
        "passes_until": _date(passing.until),
        "passes": passing.passes(now),
    }


def _date(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%FT%TZ}"


def _spell(instant: datetime | None) -> str:
    return _date(instant) or "-"


def _day(instant: datetime | None) -> str:
    return "unknown" if instant is None else f"{instant:%F}"
