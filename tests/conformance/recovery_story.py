"""
What is written down of a TCB recovery, day by day.
"""

from __future__ import annotations

import dataclasses
import datetime
import json

from collections.abc import Mapping, Sequence
from typing import Any

from tests.serving import Got
from tests.upstream.receiver import Post


def instant(text: str) -> datetime.datetime:
    """
    Read an hour of a day, such as ``2025-08-12 18``.
    """
    return datetime.datetime.fromisoformat(f"{text}:00:00+00:00")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """
    What was seen on one day.

    Attributes:
        at: The instant.
        got: What each tenant was answered, in the order of `PATHS`.
        signed: What the vendor answers for 19 itself: statuses and bodies.
        accepted: For each tenant the platforms, and for which TEE, whose
            evidence is acceptable.
        metrics: The lines of ``/metrics`` about tenants.
        posts: What the webhook had got so far, repetitions left out.
    """

    at: datetime.datetime
    got: Mapping[str, Sequence[Got]]
    signed: Sequence[tuple[int, bytes]]
    accepted: Mapping[str, frozenset[tuple[str, str]]]
    metrics: frozenset[str]
    posts: Sequence[Post]

    def numbers(self, tenant: str) -> set[str]:
        """
        Which numbers a tenant was answered with, by the header.
        """
        return {got["thim-evaluation-number"] for got in self.got[tenant]}

    def signed_numbers(self, tenant: str) -> set[int]:
        """
        The same, by what the vendor has signed.
        """
        return {number_of(got.body) for got in self.got[tenant]}

    def warnings(self, tenant: str) -> list[str]:
        """
        What a tenant was warned of.
        """
        return [w for got in self.got[tenant] for w in got.all("warning")]

    def bodies(self, tenant: str) -> list[bytes]:
        """
        The documents that a tenant got.
        """
        return [got.body for got in self.got[tenant]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """
    What came of it.

    Attributes:
        days: What was seen, by the names of the days.
        what_ifs: What number 20 would do, by the day and the tenant.
        baselines: What ``thim baseline list`` said, by the day and the name.
        signed: All that the vendor was seen to sign for 19.
        notices: What was noticed, by kind and subject, told or not.
        promoted: When the archive saw 20 become ``standard``.
    """

    days: Mapping[str, Day]
    what_ifs: Mapping[tuple[str, str], Any]
    baselines: Mapping[tuple[str, str], Any]
    signed: frozenset[bytes]
    notices: Sequence[tuple[str, str]]
    promoted: datetime.datetime | None


def number_of(body: bytes) -> int:
    """
    Read the number that stands in a document.
    """
    (signed,) = (v for k, v in json.loads(body).items() if k != "signature")
    return int(signed["tcbEvaluationDataNumber"])
