"""
All looks at once: services and agents.
"""

from __future__ import annotations

import asyncio
import dataclasses

from typing import TYPE_CHECKING, Final

from thim.client.doctor.model import Found, Section, Trouble
from thim.client.doctor.site import examine
from thim.client.doctor.targets import group
from thim.client.findings import Level
from thim.client.sources import Sources
from thim.client.steps import Answer, Ask, Request, Source
from thim.client.urls import DEFAULT_URL
from thim.client.wire import AsyncWire
from thim.errors import OperatorError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.client.doctor.model import Target
    from thim.client.doctor.questions import Wish
    from thim.client.steps import Outcome, Steps

MOST_SITES: Final = 8
_SHIPPED: Final = "default-address"


async def examine_agent(target: Target, wish: Wish) -> Found:
    """
    Ask an agent in the manner of Azure's metadata service; any answer shows
    that it is there.
    """
    base = target.url.rstrip("/")
    request = Request(
        source=Source.IMDS,
        url=f"{base}/pckcert",
        shown=f"{base}/pckcert",
        headers={"metadata": "true"},
        seconds=wish.seconds,
    )

    def steps() -> Steps[Outcome]:
        (outcome,) = yield Ask((request,))
        return outcome  # type: ignore[no-any-return]

    wire = AsyncWire(target.ca_file, target.own)
    try:
        outcome = await wire.run(steps(), wish.seconds)
    finally:
        await wire.close()
    return _judge_agent(target, outcome)


def _judge_agent(target: Target, outcome: Outcome) -> Found:
    if isinstance(outcome, Answer):
        who = "thim" if "thim-reason" in outcome.headers else "something"
        told = f"{who} answers, {outcome.status} where no platform is named"
        facts = (("asked by", target.by), ("agent", told))
        return Found(sections=(Section(title=target.url, facts=facts),))
    trouble = Trouble(
        level=Level.WARNING,
        name="agent-silent",
        what=outcome.message,
        where=f"{target.url} ({target.by})",
        cause="No agent runs on this host, or the guest's network does not "
        "lead to it; clients ask the service next.",
        mend="systemctl status thim-agent on the host; docs/agent.md.",
    )
    facts = (("asked by", target.by), ("agent", outcome.message))
    section = Section(title=target.url, facts=facts)
    return Found(sections=(section,), troubles=(trouble,))


async def examine_all(targets: Sequence[Target], wish: Wish) -> Found:
    """
    Examine all services and agents among *targets* at once.
    """
    sites, agents, found = group(targets)
    if left := [site.sources.url for site in sites[MOST_SITES:]]:
        facts = tuple(("not asked", url) for url in left)
        found += Found(sections=(Section(title="Too many", facts=facts),))
    looks = [examine(site, wish) for site in sites[:MOST_SITES]]
    looks += [examine_agent(agent, wish) for agent in agents[:MOST_SITES]]
    try:
        for each in await asyncio.gather(*looks):
            found += each
    except OperatorError as e:  # of this machine's, and the same for all
        found += _unable(e)
    return found


def _unable(error: OperatorError) -> Found:
    trouble = Trouble(
        level=Level.ERROR,
        name=error.reason,
        what=str(error),
        where="environment",
        cause="Nobody can be asked from here, by other clients neither.",
        mend="Correct the variable, or take it out (`unset`); facts under "
        "Trust have what it says.",
    )
    return Found(troubles=(trouble,))


def drop_answered(found: Found) -> Found:
    """
    Return *found* without warnings of the address that QCNL's file ships with
    where somebody answers there.
    """
    answered = {
        section.title
        for section in found.sections
        if ("clock" in dict(section.facts))
    }
    ours = {Sources(url=DEFAULT_URL, imds_url=None).url} & answered
    kept = (t for t in found.troubles if not (ours and t.name == _SHIPPED))
    return dataclasses.replace(found, troubles=tuple(kept))
