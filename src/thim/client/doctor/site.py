"""
One service, as far as it can be judged from here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools

from typing import TYPE_CHECKING, Any, Final

from thim.client.answers import attempt, take
from thim.client.doctor.amd import (
    ask_amd,
    is_amd_alone,
    judge_amd,
)
from thim.client.doctor.model import Found, Section, Trouble
from thim.client.doctor.proof import (
    Proven,
    prove_all,
    prove_certificate,
    prove_quote,
)
from thim.client.doctor.questions import (
    ask,
    is_about_tdx,
    want_certificates,
    want_documents,
)
from thim.client.doctor.quirks import compare_clocks, find_quirks
from thim.client.doctor.reach import reach
from thim.client.doctor.remedies import find_name, remedy_of
from thim.client.errors import ClientError
from thim.client.fetch import read
from thim.client.findings import Level
from thim.client.model import PlatformModel
from thim.client.steps import Answer, Failure
from thim.client.wire import AsyncWire
from thim.intel.names import Tee


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thim.amd.tcb import ProductLine
    from thim.client.doctor.model import Target
    from thim.client.doctor.questions import Wish
    from thim.client.doctor.targets import Site
    from thim.client.fetch import Wanted
    from thim.client.steps import Outcome

_MOST_TOLD: Final = 6
_NOT_ASKED: Final = "not asked for: name --fmspc, --quote or --platform"


async def examine(site: Site, wish: Wish) -> Found:
    """
    Go to *site*, ask, and judge what comes.
    """
    target = site.target
    told = ("asked by", "; ".join(dict.fromkeys(t.by for t in site.targets)))
    reached = await asyncio.to_thread(reach, target, wish.seconds, wish.clock)
    facts, troubles = [told, *reached.facts], list(reached.troubles)
    if reached.is_there:
        asked = _Asked(site, wish)
        await asked.ask_all(target)
        facts += asked.facts
        troubles += asked.troubles
    section = Section(title=site.sources.url, facts=tuple(facts))
    return Found(sections=(section,), troubles=tuple(troubles))


class _Asked:
    """
    The questions to one service, and what became of them.
    """

    def __init__(self, site: Site, wish: Wish) -> None:
        self.facts: list[tuple[str, str]] = []
        self.troubles: list[Trouble] = []
        self._site = site
        self._wish = wish
        self._failed: dict[str, list[tuple[str, Outcome]]] = {}
        self._headers: Mapping[str, str] = {}

    async def ask_all(self, target: Target) -> None:
        """
        Ask for certificates first: they say what else to ask for.
        """
        wire = AsyncWire(target.ca_file, target.own)
        sources, wish = self._site.sources, self._wish
        seconds = wish.seconds
        try:
            wanted = want_certificates(sources, self._wish)
            outcomes = await wire.run(ask(wanted), seconds)
            certificates = self._take(wanted, outcomes)
            self._add_models(certificates.values())
            more = self._want_documents()
            outcomes = await wire.run(ask(more), seconds)
            amd = [await self._ask_amd(wire, p) for p in wish.products]
        finally:
            await wire.close()
        self._judge(certificates, self._take(more, outcomes))
        for proven in itertools.chain.from_iterable(amd):
            self._add(proven)

    def _want_documents(self) -> list[Wanted[Any]]:
        if is_amd_alone(self._wish):
            return []
        return [*want_documents(self._site.sources, self._wish)]

    async def _ask_amd(
        self, wire: AsyncWire, product: ProductLine
    ) -> list[Proven]:
        wish, site = self._wish, self._site
        steps = ask_amd(site.sources.url, wish, product)
        outcomes = await wire.run(steps, wish.seconds)
        for each in outcomes.values():
            if isinstance(each, Answer):
                self._headers = self._headers or each.headers
        return list(judge_amd(outcomes, wish, product, site.where))

    def _add_models(self, certificates: Iterable[Any]) -> None:
        found = [
            PlatformModel(tee=tee, fmspc=each.fmspc, ca=each.ca)
            for each in certificates
            for tee in (
                [Tee.SGX, Tee.TDX] if self._wish.with_tdx else [Tee.SGX]
            )
        ]
        models = tuple(dict.fromkeys((*self._wish.models, *found)))
        self._wish = dataclasses.replace(self._wish, models=models)

    def _take(
        self, wanted: Sequence[Wanted[Any]], outcomes: Iterable[Outcome]
    ) -> dict[str, Any]:
        found = {}
        for each, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, Answer):
                self._headers = self._headers or outcome.headers
            try:
                found[each.what] = self._read(each, outcome)
            except ClientError as e:
                self._fail(each.what, outcome, e)
        return found

    def _read(self, wanted: Wanted[Any], outcome: Outcome) -> Any:  # noqa: ANN401 - of any kind
        got = take(wanted.what, wanted.request, outcome, self._wish.now)
        part = read(wanted, got, attempt(wanted.request, outcome))
        if isinstance(outcome, Answer) and hasattr(part, "body"):
            self.troubles += find_quirks(
                wanted.what, outcome, part, self._site.kinds, self._site.where
            )
        return part

    def _fail(self, what: str, outcome: Outcome, error: ClientError) -> None:
        is_read = isinstance(outcome, Answer) and outcome.status == _OK
        if is_read:
            cause, mend = remedy_of(_NO_PCCS)
            self._add_trouble(error.reason, error.message, cause, mend)
            self.facts.append((what, "unreadable"))
            return
        told = _tell(outcome, error)
        self.facts.append((what, told))
        if not is_about_tdx(what, self._wish):
            name = find_name(outcome)
            self._failed.setdefault(name, []).append((what, outcome))

    def _add_trouble(self, name: str, what: str, cause: str, mend: str) -> None:
        trouble = Trouble(
            level=Level.ERROR,
            name=name,
            what=what,
            where=self._site.where,
            cause=cause,
            mend=mend,
        )
        self.troubles.append(trouble)

    def _judge(
        self, certificates: Mapping[str, Any], parts: Mapping[str, Any]
    ) -> None:
        wish, where = self._wish, self._site.where
        if self._headers:
            told, trouble = compare_clocks(self._headers, wish.clock, where)
            self.facts.insert(0, ("clock", told))
            self.troubles += [trouble] if trouble else []
        if not (wish.models or is_amd_alone(wish)):
            self.facts.append(("TCB info", _NOT_ASKED))
        proven = list(prove_all(parts, wish, where))
        genuine = {each.fact[0] for each in proven if each.is_genuine}
        # A list that nobody has signed revokes nobody.
        held = {what: parts[what] for what in parts.keys() & genuine}
        for what, each in certificates.items():
            self._add(prove_certificate(what, each, held, wish, where))
        for each in proven:
            self._add(each)
        quote = prove_quote(parts, wish, where)
        if quote is not None:
            self._add(quote)
        for name, failed in self._failed.items():
            cause, mend = remedy_of(failed[0][1])
            listed = [what for what, _ in failed]
            self._add_trouble(name, _list(name, listed), cause, mend)

    def _add(self, proven: Proven) -> None:
        self.facts.append(proven.fact)
        self.troubles += proven.troubles


_OK: Final = 200
#: Stands for an answer with status 200 that is not what was asked for.
_NO_PCCS: Final = Answer(status=0, headers={}, body=b"")


def _tell(outcome: Outcome, error: ClientError) -> str:
    if isinstance(outcome, Failure):
        return outcome.message
    reason = error.reason if not error.reason.startswith("status-") else ""
    return f"status {outcome.status}{f', {reason}' if reason else ''}"


def _list(name: str, listed: Sequence[str]) -> str:
    told = ", ".join(listed[:_MOST_TOLD])
    more = len(listed) - _MOST_TOLD
    return f"{name}: {told}{f' and {more} more' if more > 0 else ''}"
