"""
What became of a bulk import, for people and for machines.

There may be a million results: they are counted, and what was refused is
written out as it comes.
"""

from __future__ import annotations

import json
import sys
import time

from collections import Counter
from typing import TYPE_CHECKING, Final

from thim.cli.tables import write_table
from thim.errors import printable
from thim.services import ingest
from thim.services.pccs_import import Other
from thim.services.platform_import import Outcome, Result


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from thim.services.pccs_import import Found

_TITLES: Final = ("new", "already known", "refused")
_OUTCOMES: Final = {
    ingest.Outcome.ACCEPTED: Outcome.NEW,
    ingest.Outcome.KNOWN: Outcome.KNOWN,
    ingest.Outcome.REFUSED: Outcome.REFUSED,
}
_PLATFORM: Final = "platform"
#: Those of a platform that was taken without them.
_CERTIFICATES: Final = "pck-certificates"
#: Of what comes from another PKI its root is refused, then all the rest.
_NO_ROOT: Final = "root-untrusted"
_NO_CHAIN: Final = "no-issuer-chain"


class Report:
    """
    Counts results and writes those that were refused, by line if what is
    read *has_lines*.
    """

    def __init__(self, *, as_json: bool, has_lines: bool = True) -> None:
        self._as_json = as_json
        self._has_lines = has_lines
        self._counts: Counter[tuple[str, Outcome]] = Counter()
        self._certificates = 0
        self._begun = time.monotonic()
        self._is_first = True
        self._lacks_root = False
        self._rootless = 0
        if as_json:
            sys.stdout.write('{"results": [')

    def __str__(self) -> str:
        pairs = (
            f"{self._of(outcome)} {title}"
            for outcome, title in zip(Outcome, _TITLES, strict=True)
        )
        return ", ".join(pairs)

    @property
    def platforms(self) -> int:
        """How many platforms there were, so far."""
        return sum(self._counts[_PLATFORM, outcome] for outcome in Outcome)

    @property
    def has_refused(self) -> bool:
        """Whether anything was refused, so far."""
        return self._of(Outcome.REFUSED) > 0

    @property
    def rate(self) -> float:
        """Platforms in a second, so far."""
        seconds = time.monotonic() - self._begun
        return self.platforms / max(seconds, 0.001)

    def add(self, results: Iterable[Found]) -> None:
        """
        Count *results*, and write out what was refused.
        """
        for result in results:
            kind, outcome = _kind(result), _outcome(result)
            self._counts[kind, outcome] += 1
            if isinstance(result, Result):
                self._certificates += result.certificates
            if outcome is not Outcome.REFUSED and result.reason is not None:
                kind = _CERTIFICATES
                self._counts[kind, Outcome.REFUSED] += 1
            if result.reason is not None and not self._is_said(result.reason):
                self._write(kind, result)

    def _is_said(self, reason: str) -> bool:
        """Tell whether that follows from what was said already, and count."""
        if self._as_json:
            return False
        if reason == _NO_CHAIN and self._lacks_root:
            self._rootless += 1
            return True
        self._lacks_root |= reason == _NO_ROOT
        return False

    def _write(self, kind: str, result: Found) -> None:
        line = result.line if isinstance(result, Result) else None
        line = line if self._has_lines else None
        platform = result.platform if isinstance(result, Result) else None
        if self._as_json:
            row = {
                "source": result.source,
                "line": line or None,
                "kind": kind,
                "platform": platform and str(platform),
                "outcome": Outcome.REFUSED.value,
                "reason": result.reason,
                "detail": result.detail,
            }
            comma = "\n  " if self._is_first else ",\n  "
            sys.stdout.write(f"{comma}{json.dumps(row)}")
        else:
            place = f"{result.source}:{line}" if line else result.source
            text = f"refused: {place}: {result.reason}: {result.detail}"
            sys.stdout.write(f"{printable(text)}\n")
        self._is_first = False

    def finish(self, **further: object) -> None:
        """
        Write the counts, and whatever is to be known *further*.
        """
        if self._as_json:
            rest = json.dumps({**further, **self._summary()}, indent=2)
            sys.stdout.write(f"\n],{rest[1:]}\n")
            return
        if self._rootless:
            sys.stdout.write(
                f"refused: {self._rootless} more have no chain to a trusted "
                f"root: {_NO_CHAIN}; --json lists them\n"
            )
        if not self._is_first:
            sys.stdout.write("\n")
        write_table(("", *_TITLES), self._rows())
        if self.platforms:
            sys.stdout.write(
                f"\n{self._certificates} PCK certificates held, new and old; "
                f"{self.rate:.0f} platforms a second\n"
            )

    def _summary(self) -> dict[str, object]:
        return {
            "accepted": self._of(Outcome.NEW),
            "already_known": self._of(Outcome.KNOWN),
            "refused": self._of(Outcome.REFUSED),
            "by_kind": {
                kind: {o.value: self._counts[kind, o] for o in Outcome}
                for kind in self._kinds()
            },
            "pck_certificates": self._certificates,
            "platforms_per_second": round(self.rate),
        }

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for kind in self._kinds():
            yield kind, *(str(self._counts[kind, o]) for o in Outcome)
        yield "total", *(str(self._of(o)) for o in Outcome)

    def _kinds(self) -> list[str]:
        return sorted({kind for kind, _ in self._counts})

    def _of(self, outcome: Outcome) -> int:
        return sum(n for (_, o), n in self._counts.items() if o is outcome)


def _kind(result: Found) -> str:
    if isinstance(result, Result):
        return _PLATFORM
    if isinstance(result, Other):
        return result.kind
    if result.outcome is ingest.Outcome.REFUSED:
        return "document"
    return result.what.split("/")[1] if "/" in result.what else "certificate"


def _outcome(result: Found) -> Outcome:
    if isinstance(result, ingest.Result):
        return _OUTCOMES[result.outcome]
    return result.outcome
