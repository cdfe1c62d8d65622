"""
What a fleet takes: nodes, disk, writes, bandwidth and the vendors' patience.

Each region has a ledger of its own.  On the day of a TCB recovery every
platform fetches its collateral anew, every PCK certificate and every VCEK is
asked for, at the pace that the vendors allow::

    python examples/scaling.py --platforms 10000000 --regions 100

Nothing is measured here: the figures are arguments too, and their defaults are
those of docs/scaling.md.  Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys


HOUR = 3600
DAY = 24 * HOUR
GB = 1e9


def given(default: float, text: str, least: float = 0) -> float:
    """
    Describe an argument that is no less than *least*, and what is taken
    where it is not given.
    """
    return dataclasses.field(
        default=default, metadata={"help": text, "least": least}
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fleet:
    """
    What there is, and what is asked of it; figures of one platform, node or
    request as they were measured.
    """

    platforms: float = given(10_000_000, "in all regions together", 1)
    regions: float = given(100, "each with a ledger of its own", 1)
    amd_share: float = given(0.5, "of the platforms, 0 to 1; others are Intel")
    nodes: float = given(3, "the fewest of a region", 1)
    cores: float = given(4, "of a node", 1)
    busy: float = given(0.5, "the share of its cores that may be in use", 0.01)
    fetches: float = given(7, "requests of a platform that fetches anew")
    hours: float = given(24, "in which all platforms do", 0.01)
    peak: float = given(4, "the busiest minute to the average one", 1)
    tokens: float = given(24, "attestations of a platform in a day")
    retention: float = given(400, "days that decision records are kept")
    vceks: float = given(3, "VCEKs kept of a chip: one for each firmware")
    intel_interval: float = given(0.5, "seconds between requests", 0.001)
    amd_interval: float = given(10.5, "seconds between requests", 0.001)
    handshake_us: float = given(550, "CPU of a TLS handshake")
    request_us: float = given(440, "CPU of an answer that is not remembered")
    token_us: float = given(1400, "CPU of an attestation token")
    fetch_bytes: float = given(50_000, "all answers of one platform, with TLS")
    token_bytes: float = given(15_000, "evidence, token and TLS")
    platform_bytes: float = given(910, "in a SQLite file")
    server_bytes: float = given(1300, "the same in PostgreSQL")
    vcek_bytes: float = given(1000, "in either")
    change_bytes: float = given(500, "of a platform in the change feed")
    decision_bytes: float = given(300, "of a decision record, on one node")
    archive_gb: float = given(1, "documents of all numbers and dates")
    commits: float = given(5, "for each answer of a vendor")
    ledger_commits: float = given(30, "in a second, by one process", 0.1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Region:
    """
    What one region takes; hours are of renewing everything once.
    """

    platforms: float
    cores: float
    nodes: int
    requests: float
    tokens: float
    megabits: float
    replica_gb: float
    decisions_gb: float
    server_gb: float
    commits: float
    kilobits_followed: float
    intel_hours: float
    intel_waits_for: str
    amd_hours: float


def plan(fleet: Fleet) -> Region:
    """
    Work out what one region of *fleet* takes.
    """
    platforms = fleet.platforms / fleet.regions
    amd = platforms * fleet.amd_share
    intel = platforms - amd
    asks = fleet.peak * platforms / (fleet.hours * HOUR)
    tokens = fleet.peak * platforms * fleet.tokens / DAY
    cores = _count_cores(fleet, asks, tokens)
    nodes = _count_nodes(fleet, cores)
    most = fleet.ledger_commits / fleet.commits
    intel_rate = min(1 / fleet.intel_interval, most)
    amd_rate = min(1 / fleet.amd_interval, most)
    vceks = amd * fleet.vceks * fleet.vcek_bytes
    decisions = platforms * fleet.tokens * fleet.retention
    answers = bool(intel) * intel_rate + bool(amd) * amd_rate
    return Region(
        platforms=platforms,
        cores=cores,
        nodes=nodes,
        requests=asks * fleet.fetches,
        tokens=tokens,
        megabits=8e-6 * (asks * fleet.fetch_bytes + tokens * fleet.token_bytes),
        replica_gb=fleet.archive_gb
        + (intel * fleet.platform_bytes + vceks) / GB,
        decisions_gb=decisions * fleet.decision_bytes / nodes / GB,
        server_gb=fleet.archive_gb
        + (intel * (fleet.server_bytes + fleet.change_bytes) + vceks) / GB,
        commits=answers * fleet.commits,
        kilobits_followed=8e-3
        * answers
        * (fleet.platform_bytes + fleet.change_bytes),
        intel_hours=intel / intel_rate / HOUR,
        intel_waits_for="the ledger"
        if most < 1 / fleet.intel_interval
        else "the budget",
        amd_hours=amd / amd_rate / HOUR,
    )


def _count_cores(fleet: Fleet, asks: float, tokens: float) -> float:
    """
    Count the cores that are in use: a platform connects once for all that it
    fetches, and for each token.
    """
    fetching = fleet.handshake_us + fleet.fetches * fleet.request_us
    attesting = fleet.handshake_us + fleet.token_us
    return 1e-6 * (asks * fetching + tokens * attesting)


def _count_nodes(fleet: Fleet, cores: float) -> int:
    """
    Count the nodes: one more than are needed, of which any may die.
    """
    needed = math.ceil(cores / (fleet.cores * fleet.busy)) + 1
    return max(math.ceil(fleet.nodes), needed)


def spell_hours(hours: float) -> str:
    """
    Write a span of time as people say it.
    """
    if hours >= 2 * DAY / HOUR * 365:
        return f"{hours / 24 / 365:,.1f} years"
    if hours >= 2 * DAY / HOUR:
        return f"{hours / 24:,.1f} days"
    return f"{hours:,.1f} hours"


def describe(fleet: Fleet) -> list[tuple[str, str, str]]:
    """
    Return the rows of the table: what, in one region, and in all.
    """
    one, n = plan(fleet), fleet.regions
    alone = plan(dataclasses.replace(fleet, regions=1))
    return [
        ("platforms", *_both(one.platforms, n)),
        ("nodes", *_both(one.nodes, n)),
        ("cores in use at the peak", *_both(one.cores, n, digits=2)),
        ("requests/s at the peak", *_both(one.requests, n)),
        ("tokens/s at the peak", *_both(one.tokens, n)),
        ("Mbit/s at the peak", *_both(one.megabits, n)),
        ("GB of a node: its replica", f"{one.replica_gb:,.1f}", ""),
        ("GB of a node: decision records", f"{one.decisions_gb:,.1f}", ""),
        ("GB of PostgreSQL", *_both(one.server_gb, n, digits=1)),
        ("commits/s while renewing", *_both(one.commits, n, digits=1)),
        (
            "kbit/s to each node that follows",
            f"{one.kilobits_followed:,.1f}",
            "",
        ),
        (
            f"PCK certificates ({one.intel_waits_for})",
            spell_hours(one.intel_hours),
            f"{spell_hours(alone.intel_hours)} by one ledger",
        ),
        (
            "VCEKs (the budget)",
            spell_hours(one.amd_hours),
            f"{spell_hours(alone.amd_hours)} by one ledger",
        ),
    ]


def _both(value: float, regions: float, digits: int = 0) -> tuple[str, str]:
    return f"{value:,.{digits}f}", f"{value * regions:,.{digits}f}"


def read_arguments(arguments: list[str]) -> Fleet:
    """
    Read what is to be worked out; ends the program where that makes no sense.
    """
    parser = argparse.ArgumentParser(
        description="What a fleet takes, region by region.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    fields = dataclasses.fields(Fleet)
    for field in fields:
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=float,
            default=field.default,
            metavar="N",
            help=field.metadata["help"],
        )
    found = vars(parser.parse_args(arguments))
    for field in fields:
        value, least = found[field.name], field.metadata["least"]
        if not least <= value < math.inf:
            option = f"--{field.name.replace('_', '-')}"
            parser.error(f"{option}: got {value:g}, expected {least:g} or more")
    if found["amd_share"] > 1:
        parser.error(
            f"--amd-share: got {found['amd_share']:g}, expected 0 to 1"
        )
    return Fleet(**found)


def main(arguments: list[str]) -> None:
    """
    Print the table.
    """
    fleet = read_arguments(arguments)
    print(f"{'':36}{'a region':>14}   all {fleet.regions:,.0f}")
    for what, one, everywhere in describe(fleet):
        print(f"{what:36}{one:>14}   {everywhere}".rstrip())


if __name__ == "__main__":
    main(sys.argv[1:])
