"""
A TCB recovery as it goes by, from the number's first day to a year after: a
simulated vendor, one service that is never restarted, and its watchman.

What happens is played once, and written down day by day; what must be so is
said by the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import io
import json
import time

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.recovery_fleet import (
    EARLY_BIRD,
    IN_LAB,
    TDX_SVNS,
    WORLD,
    list_attesters,
)
from tests.conformance.recovery_story import Day, Story, instant
from tests.serving import Got, Served
from tests.upstream.receiver import Receiver, receiving
from tests.vendors import SAPPHIRE, SGX, TDX, facing, settle, standing
from thim.attestation.evidence import QuoteEvidence
from thim.baseline.model import Baseline, Channel, Tenant
from thim.cli.commands import make_command
from thim.collateral.platforms import PlatformId
from thim.intel.names import Tee, Update
from thim.intel.pck import PckTcbm
from thim.services.deciding import Decision, deciding
from thim.services.fleet_import import Told, read_evidence
from thim.services.hooks import Courier
from thim.services.judged_apart import (
    find_outlooks,
    judge_number,
    judging_apart,
)
from thim.services.planning import Planner
from thim.services.register import Brought, Registrar
from thim.services.verification import Ask, EvidenceDesk, QuoteVerdict, look_at
from thim.services.watchman import Post, Watchman
from thim.simulate.server import Simulated, simulating
from thim.simulate.setup import write_setup
from thim.store.ledger import Ledger
from thim.store.notice_view import NoticeView
from thim.store.replica import Replica


#: The labels of the platforms of a laboratory.
LAB: Final = {"site": "lab"}
HELD: Final = Baseline(
    name="prod",
    rule=Channel(update=Update.STANDARD),
    hold=datetime.timedelta(days=14),
)
TENANTS: Final = (
    Tenant(name="pinned", baseline="19"),
    Tenant(name="follower", baseline="standard"),
    Tenant(name="held", baseline=HELD.name),
    Tenant(name="lab", baseline="standard", labels=LAB),
)
#: As QCNL asks: always with update=standard.
PATHS: Final = (
    f"{SGX}/tcb?fmspc={SAPPHIRE}&update=standard",
    f"{TDX}/tcb?fmspc={SAPPHIRE}&update=standard",
    f"{SGX}/qe/identity?update=standard",
    f"{TDX}/qe/identity?update=standard",
)
_TDX_SVNS: Final = 16
#: Where nothing happens time goes by in strides; whatever has ended meanwhile
#: is fetched anew.
_STRIDE: Final = datetime.timedelta(days=56)
#: Seconds for a notice to be taken.
_PATIENCE: Final = 20
#: When the service begins.
BEGIN: Final = instant("2025-07-10 09")


@dataclasses.dataclass(slots=True)
class Player:
    """
    Plays it, and writes it down.
    """

    vendor: Simulated
    served: Served
    folder: Path
    receiver: Receiver
    watchman: Watchman
    courier: Courier
    days: dict[str, Day] = dataclasses.field(default_factory=dict)
    what_ifs: dict[tuple[str, str], Any] = dataclasses.field(
        default_factory=dict
    )
    baselines: dict[tuple[str, str], Any] = dataclasses.field(
        default_factory=dict
    )
    signed: set[bytes] = dataclasses.field(default_factory=set)

    @property
    def store(self) -> Path:
        """The store of the service."""
        return self.folder / "sim.db"

    async def begin(self) -> None:
        """
        Fetch what there is, register the fleet and decide who gets what.
        """
        for path in PATHS:
            assert 200 == self.served.get(path).status
        await asyncio.to_thread(settle, self.store, self.vendor)
        with Ledger(self.store, self.vendor.anchors) as ledger:
            self._register(ledger)
            self._hear(ledger)
            self._decide(ledger)

    def _register(self, ledger: Ledger) -> None:
        machines = [
            (part, self.vendor.platform(part.name))
            for part in WORLD.platforms
            if part.name not in TDX_SVNS
        ]
        taken = Registrar(ledger, self.vendor.clock()).take(
            [
                Brought(
                    id=PlatformId(machine.qe_id, bytes(2)),
                    source="a test",
                    name=part.name,
                    labels=LAB if part.name in IN_LAB else None,
                    raw_tcbs=tuple(map(to_tcbm, part.raw_tcbs)),
                    enc_ppid=machine.enc_ppid,
                    certificates=()
                    if part.name == EARLY_BIRD
                    else machine.pck_certificates,
                )
                for part, machine in machines
            ]
        )
        assert not [each for each in taken if each.row is None]

    def _hear(self, ledger: Ledger) -> None:
        now = self.vendor.clock()
        ledger.fleet_tcbs.note(
            read_evidence(
                Told(source="a test", name=name, now=now),
                self.quote(name, Tee.TDX),
                self.vendor.anchors,
            )
            for name in TDX_SVNS
        )

    def _decide(self, ledger: Ledger) -> None:
        now = self.vendor.clock()
        decision = Decision(actor="operator", reason="wanted", now=now)
        with judging_apart(self.store, now) as judge:
            planner = Planner(ledger, decision, judge, 0.01)
            planner.apply(planner.plan_definition(HELD))
        for tenant in TENANTS:
            with deciding(ledger) as decider:
                decider.create_tenant(tenant, decision)

    def quote(self, name: str, tee: Tee) -> bytes:
        """
        Have a quote made as the machine *name* makes it now.
        """
        if tee is Tee.SGX:
            return self.vendor.quote(name, "sgx-v3")
        svn = TDX_SVNS[name].ljust(_TDX_SVNS, b"\0")
        return self.vendor.quote(name, "tdx-v4", tee_tcb_svn=svn)

    async def go_to(self, until: datetime.datetime) -> None:
        """
        Let time pass.
        """
        while (left := until - self.vendor.clock()) > datetime.timedelta():
            self.vendor.clock.advance(min(left, _STRIDE))
            await asyncio.to_thread(settle, self.store, self.vendor)
            self.signed.update(body for _, body in self._ask_vendor())

    async def watch(self) -> None:
        """
        Let the watchman look, and what he has to say be carried: by this
        courier or the service's own.
        """
        self.watchman.look()
        until = time.monotonic() + _PATIENCE
        while self._is_carrying():
            assert time.monotonic() < until, "a notice is not delivered"
            await self.courier.carry()
            await asyncio.sleep(0.02)

    def _is_carrying(self) -> bool:
        with contextlib.closing(Replica(self.store)) as replica:
            tallies = NoticeView(replica).tallies()
        return any(tally.waiting for tally in tallies.values())

    def look(self, name: str) -> None:
        """
        Write down how it is now.
        """
        tenants = ("root", *(tenant.name for tenant in TENANTS))
        metrics = self.served.get("/metrics").body.decode().splitlines()
        posts = {p.headers["webhook-id"]: p for p in self.receiver.posts}
        self.days[name] = Day(
            at=self.vendor.clock(),
            got={tenant: self._ask(tenant) for tenant in tenants},
            signed=self._ask_vendor(),
            accepted=self._judge(tenants),
            metrics=frozenset(m for m in metrics if "tenant=" in m),
            posts=tuple(posts.values()),
        )

    def list_baselines(self, name: str) -> None:
        """
        Ask where the baselines stand.
        """
        listed = self.run("baseline", "list")
        self.baselines |= {(name, each["name"]): each for each in listed}

    def ask_what_if(self, name: str, *tenants: str) -> None:
        """
        Ask what number 20 would do.
        """
        for tenant in tenants:
            asked = ("--baseline", "20", "--tenant", tenant)
            answer = self.run("fleet", "what-if", *asked)
            self.what_ifs[name, tenant] = answer

    def run(self, *arguments: str) -> Any:
        """
        Run a command, as an operator does, and read its JSON.
        """
        config = ("--config", str(self.folder / "sim.toml"))
        out = io.StringIO()
        with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as end:
            make_command()([*arguments, *config, "--json"])
        assert end.value.code in {0, 1}
        return json.loads(out.getvalue())

    def _ask(self, tenant: str) -> Sequence[Got]:
        prefix = "" if tenant == "root" else f"/tenant/{tenant}"
        return [self.served.get(f"{prefix}{path}") for path in PATHS]

    def _ask_vendor(self) -> Sequence[tuple[int, bytes]]:
        port = int(self.vendor.url.rsplit(":", 1)[1])
        number = "tcbEvaluationDataNumber=19"
        return [
            (got.status, got.body)
            for path in PATHS
            for got in (
                Served(port).get(path.replace("update=standard", number)),
            )
        ]

    def _judge(
        self, tenants: Sequence[str]
    ) -> Mapping[str, frozenset[tuple[str, str]]]:
        now = self.vendor.clock()
        made = {
            (name, tee.value): look_at(self.quote(name, tee))
            for name, tee in list_attesters()
        }
        with contextlib.closing(Replica(self.store)) as replica:
            desk = EvidenceDesk(replica, self.vendor.anchors)
            return {
                tenant: frozenset(
                    who
                    for who, evidence in made.items()
                    if is_acceptable(
                        desk, evidence, Ask(tenant=tenant, now=now)
                    )
                )
                for tenant in tenants
            }


def is_acceptable(desk: EvidenceDesk, evidence: object, ask: Ask) -> bool:
    """
    Tell whether evidence, which must be authentic, is acceptable.
    """
    assert isinstance(evidence, QuoteEvidence)
    found = desk.verify(evidence, ask)
    assert isinstance(found, QuoteVerdict)
    assert found.verdict.is_authentic
    return found.verdict.is_acceptable


def to_tcbm(part: Any) -> PckTcbm:
    """
    Read a TCB of the world.
    """
    return PckTcbm(cpusvn=bytes.fromhex(part.cpusvn), pcesvn=part.pcesvn)


async def play(folder: Path) -> Story:
    """
    Play it, in *folder*.
    """
    store = folder / "sim.db"
    async with contextlib.AsyncExitStack() as stack:
        clock = standing(BEGIN)
        vendor = stack.enter_context(simulating(WORLD, clock))
        write_setup(folder / "sim.toml", vendor)
        receiver = await stack.enter_async_context(receiving())
        hooks = (receiver.hook(),)
        served = stack.enter_context(facing(vendor, store, webhooks=hooks))
        replica = stack.enter_context(contextlib.closing(Replica(store)))
        post = Post(
            store=store,
            anchors=vendor.anchors,
            hooks=("here",),
            clock=vendor.clock,
            draw=lambda: 0.0,
            judge_number=judge_number,
            find_outlooks=find_outlooks,
        )
        player = Player(
            vendor=vendor,
            served=served,
            folder=folder,
            receiver=receiver,
            watchman=Watchman(replica, post),
            courier=Courier(hooks, store, vendor.anchors, vendor.clock),
        )
        await _play(player)
        history = replica.number_history()
        return Story(
            days=player.days,
            what_ifs=player.what_ifs,
            baselines=player.baselines,
            signed=frozenset(player.signed),
            notices=[
                (notice.kind, notice.subject)
                for notice in NoticeView(replica).recent(100)
            ],
            promoted=history[20].promoted,
        )


async def _play(player: Player) -> None:
    await player.begin()
    await player.watch()
    await player.go_to(instant("2025-08-11 09"))
    player.look("before")
    await player.go_to(instant("2025-08-12 18"))
    await player.watch()
    player.ask_what_if("seen", "follower", "pinned", "lab")
    player.look("seen")
    await player.go_to(instant("2025-11-18 18"))
    await player.watch()
    await player.go_to(instant("2025-12-04 09"))
    player.ask_what_if("december", "follower")
    await player.go_to(instant("2026-08-12 09"))
    player.ask_what_if("eve", "follower", "pinned")
    player.look("eve")
    await player.go_to(instant("2026-08-13 18"))
    await player.watch()
    player.ask_what_if("moved", "held")
    player.list_baselines("moved")
    player.look("moved")
    await _end(player)


async def _end(player: Player) -> None:
    await player.go_to(instant("2026-08-14 18"))
    await player.watch()
    player.look("morrow")
    await player.go_to(instant("2026-08-27 17"))
    player.look("waiting")
    # The hold ends, and nobody does anything.
    await player.go_to(instant("2026-08-27 19"))
    player.look("over")
    player.list_baselines("over")
    await player.go_to(instant("2026-09-14 09"))
    player.look("signed")
    await player.go_to(instant("2026-09-15 18"))
    await player.watch()
    player.look("withdrawn")
    await player.go_to(instant("2026-10-20 09"))
    player.look("expired")
