"""
A console over a service with tenants, baselines, plans and a small fleet, and
whoever visits it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.http.admin_api import Api, serving_admin
from tests.http.console.visitor import Visitor
from tests.platforms import NOW, entry, records
from tests.services.made import fill
from tests.services.test_fleet import GOOD, SHORT
from tests.tenants import Decisions
from thim.intel.names import Tee, Update
from thim.services.judged_apart import find_outlooks
from thim.simulate.pki import Intel
from thim.store.client_view import ClientNumber
from thim.store.ledger import Ledger


DAY = datetime.timedelta(days=1)
EVENTS = {17: NOW - 700 * DAY, 18: NOW - 400 * DAY, 19: NOW - 100 * DAY}
AMD = {
    "Milan": {
        "snp": {"spl": 23, "source": "AMD-SB-3020"},
        "ucode": {"19/1/1": {"spl": 213, "source": "AMD-SB-3019"}},
    }
}


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """
    A service that runs, and who may visit its console.
    """

    api: Api

    def visit(self, who: str) -> Visitor:
        """
        Log in with the token of a role, or of a ``TENANT/ROLE``.
        """
        visitor = Visitor(self.api.served)
        visitor.log_in(self.api.tokens[who])
        return visitor


@contextlib.contextmanager
def deciding_console(
    intel: Intel, folder: Path, **settings: Any
) -> Iterator[World]:
    """
    Serve what `tests.http.admin_api` fills a store with.
    """
    with serving_admin(
        intel, folder, key_file=folder / "key", **settings
    ) as api:
        yield World(api)


def hold(
    world: World, intel: Intel, *, bank: str = "bank", shop: str = "shop"
) -> None:
    """
    Let there be a baseline ``prod`` of the tenants ``bank`` and ``shop``, which
    stands at 17 and waits for somebody to approve 18; theirs are the platforms
    with these labels.
    """
    Decisions().baseline(
        "prod", "standard", hold="until-approved", amd=AMD
    ).promotion("prod", 17).promotion("prod", 18, None).tenant(
        "bank", "prod", labels={"of": bank}
    ).tenant("shop", "prod", labels={"of": shop}).write(
        world.api.store, intel.anchors
    )


def stranger(world: World, intel: Intel) -> None:
    """
    Let ``acme`` have two machines more, of a family that no document is about.
    """
    entries = [
        entry(
            intel,
            name,
            certificates=records(intel, name, GOOD, fmspc=b"\xaa" * 6),
            raw=(GOOD,),
            name=name,
            labels={"of": "acme"},
        )
        for name in ("odd-1", "odd-2")
    ]
    with Ledger(world.api.store, intel.anchors) as ledger:
        ledger.platforms.enter(entries, NOW)


def remember(world: World, intel: Intel) -> None:
    """
    Let the archive have a past: lists of numbers, and where ``standard`` was.
    """
    with Ledger(world.api.store, intel.anchors) as ledger:
        for days, numbers in (
            (600, (17,)),
            (380, (17, 18)),
            (90, (17, 18, 19)),
            (0, (18, 19)),
        ):
            at = NOW - days * DAY
            events = {number: EVENTS[number] for number in numbers}
            lists = (
                intel.numbers(tee=tee, numbers=events, issued=at) for tee in Tee
            )
            fill(ledger, *lists, now=at)
        for number, days in ((17, 590), (18, 30)):
            ledger.observe_channel(
                Update.STANDARD, number, source="test", seen=NOW - days * DAY
            )


def people(world: World, intel: Intel) -> None:
    """
    Let ``shop`` and ``bank`` have machines, and clients that were seen.
    """
    wanted = [
        *itertools.repeat(("shop", GOOD), 14),
        *itertools.repeat(("shop", SHORT), 4),
        *itertools.repeat(("bank", GOOD), 9),
    ]
    entries = [
        entry(
            intel,
            f"{who}-{n}",
            raw,
            raw=(raw,),
            name=f"{who}-{n}",
            labels={"of": who},
        )
        for n, (who, raw) in enumerate(wanted)
    ]
    seen = [
        ClientNumber(tenant=who, client=f"10.0.0.{n}", number=number, seen=NOW)
        for n, (who, number) in enumerate(
            [("shop", 17)] * 7 + [("shop", 16)] * 3 + [("bank", 17)] * 5
        )
    ]
    with Ledger(world.api.store, intel.anchors) as ledger:
        ledger.platforms.enter(entries, NOW)
        ledger.client_numbers.note(seen, NOW)
        outlooks = find_outlooks(world.api.store, NOW)
        bodies = {
            tenant: msgspec.json.encode(body).decode()
            for tenant, body in outlooks.items()
        }
        ledger.outlooks.put(bodies, NOW)
