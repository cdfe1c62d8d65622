"""
Whom to ask: what several settings name, each service once.
"""

from __future__ import annotations

import dataclasses
import urllib.parse

from typing import TYPE_CHECKING

from thim.client.doctor.model import Found, Kind, Trouble
from thim.client.findings import Level
from thim.client.sources import Sources
from thim.client.urls import is_usable


if TYPE_CHECKING:
    from collections.abc import Iterable

    from thim.client.doctor.model import Target


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """
    A service, and who is told to ask it.
    """

    sources: Sources
    targets: tuple[Target, ...]

    @property
    def target(self) -> Target:
        """
        Whose way there is tried.
        """
        return dataclasses.replace(self.targets[0], url=self.sources.url)

    @property
    def where(self) -> str:
        """
        How it is named in findings.
        """
        return f"{self.sources.url} ({self.targets[0].by})"

    @property
    def kinds(self) -> frozenset[Kind]:
        """
        Whose ways of asking count.
        """
        return frozenset(target.kind for target in self.targets)


def group(targets: Iterable[Target]) -> tuple[list[Site], list[Target], Found]:
    """
    Sort *targets* into services, agents, and what cannot be asked.
    """
    sites: dict[tuple[str, object, object], list[Target]] = {}
    agents: list[Target] = []
    found = Found()
    for each in targets:
        url = _without_user(each.url)
        if url != each.url:
            found += Found(troubles=(_has_user(each),))
        target = dataclasses.replace(each, url=url)
        if not is_usable(url):
            found += Found(troubles=(_bad_url(target),))
        elif target.kind is Kind.AGENT:
            agents.append(target)
        else:
            base = Sources(url=url, imds_url=None).url
            key = base, target.ca_file, target.own
            sites.setdefault(key, []).append(target)
    return (
        [
            Site(Sources(url=url, imds_url=None), tuple(listed))
            for (url, *_), listed in sites.items()
        ],
        agents,
        found,
    )


def _without_user(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return url
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host).geturl() if host != parts.netloc else url


def _has_user(target: Target) -> Trouble:
    return Trouble(
        level=Level.WARNING,
        name="user-in-url",
        what=f"{target.by}: user and password in the URL",
        where=target.where or target.by,
        cause="They end up in logs, and no such client needs them.",
        mend="Take them out; it was asked without.",
    )


def _bad_url(target: Target) -> Trouble:
    return Trouble(
        level=Level.ERROR,
        name="bad-url",
        what=f"{target.by}: expected https://HOST…, without blanks or query",
        where=target.where or target.by,
        mend="docs/clients.md has what each client is told.",
    )
