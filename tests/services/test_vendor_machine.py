"""
Whatever a vendor does, in whatever order: what is served never gets worse.
"""

import asyncio
import contextlib
import datetime
import tempfile
import time

from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tests.new_store import new_store
from tests.vendors import (
    COFFEE,
    ICE,
    SAPPHIRE,
    standing,
    upstream,
    vendor_settings,
)
from thim.collateral.records import (
    ROOT_CA_CRL,
    CollateralKey,
    identity_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.collateral.targets import Target
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.services.audit import audit
from thim.services.outcome import Outcome
from thim.services.refresh import Refresher
from thim.services.side import facing_vendors
from thim.simulate.broken import (
    Down,
    Garbage,
    Gzip,
    NoChain,
    Redirect,
    Status,
    Truncate,
)
from thim.simulate.forged import (
    Forked,
    Future,
    LateSigner,
    MovedRoot,
    Older,
    WrongChain,
    WrongNumber,
    WrongSignature,
    WrongSubject,
)
from thim.simulate.server import simulating


FAULTS = (
    Down(),
    Garbage(size=200),
    Gzip(),
    NoChain(),
    Redirect(location="http://127.0.0.1:1/"),
    Status(code=500),
    Status(code=404),
    Status(code=410),
    Status(code=429, retry_after="60"),
    Truncate(size=10),
    Forked(),
    Future(ahead="10h"),
    LateSigner(),
    MovedRoot(),
    Older(ago="3d"),
    Older(ago="200d"),
    WrongChain(),
    WrongNumber(),
    WrongSignature(),
    WrongSubject(),
)
INTERVAL = timedelta(milliseconds=500)
BURST = 20


class Vendor(RuleBasedStateMachine):
    """
    A store that faces one vendor, as one worker works it.
    """

    def __init__(self):
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.runner = self.stack.enter_context(asyncio.Runner())
        clock = standing()
        self.vendor = self.stack.enter_context(simulating(clock=clock))
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        store = Path(folder) / "thim.db"
        new_store(store, self.vendor.anchors)
        asked = upstream(self.vendor, interval=INTERVAL, burst=BURST)
        self.facing = facing_vendors(
            store,
            self.vendor.anchors,
            vendor_settings(upstreams=[asked]),
            clock,
        )
        self.side = self.runner.run(self.facing.__aenter__())
        self.refresher = Refresher(self.side)
        self.newest: dict[tuple[CollateralKey, int | None], datetime.datetime]
        self.newest = {}

    def teardown(self):
        """
        Close everything; the archive is sound.
        """
        report = audit(self.side.ledger)
        self.runner.run(self.facing.__aexit__(None, None, None))
        self.stack.close()

        assert () == report.findings

    @initialize()
    def fill(self):
        """
        Begin with what a service has.
        """
        self.refresh()

    @rule(minutes=st.sampled_from([1, 20, 61, 60 * 13, 60 * 25, 60 * 24 * 11]))
    def wait(self, minutes):
        """
        Let time pass.
        """
        self.vendor.clock.advance(timedelta(minutes=minutes))

    @rule(fault=st.sampled_from(FAULTS), count=st.sampled_from([1, 5, None]))
    def break_vendor(self, fault, count):
        """
        Break the vendor in one more way.
        """
        self.vendor.faults.add(type(fault)(**{**fields(fault), "count": count}))

    @rule()
    def mend_vendor(self):
        """
        All is well again.
        """
        self.vendor.faults.clear()
        self.vendor.listen_again()

    @rule()
    def close_port(self):
        """
        Nobody is there.
        """
        self.vendor.stop_listening()

    @rule()
    def refresh(self):
        """
        Work off what is due.
        """
        self.runner.run(self._work())

    async def _work(self):
        # By the clock on the wall: on a busy machine a vendor takes its time.
        until = time.monotonic() + 30
        while time.monotonic() < until:
            assert await self.refresher.step()
            if not self.refresher._running:
                return
            await asyncio.sleep(0.002)

    @rule(
        key=st.sampled_from(
            [
                tcb_info_key(Tee.SGX, bytes.fromhex(ICE), 3),
                tcb_info_key(Tee.SGX, bytes.fromhex(COFFEE), 3),
                tcb_info_key(Tee.TDX, bytes.fromhex(SAPPHIRE), 3),
                identity_key(EnclaveKind.TD_QE),
            ]
        ),
        number=st.integers(17, 22),
    )
    def ask(self, key, number):
        """
        A caller misses a document.
        """
        self._fetch(Target(key=key, number=number))

    @rule(key=st.sampled_from([ROOT_CA_CRL, *map(pck_crl_key, PckCa)]))
    def ask_crl(self, key):
        """
        A caller misses a revocation list.
        """
        self._fetch(Target(key=key))

    def _fetch(self, target):
        fetching = self.side.fetcher.fetch(target, is_refresh=False)
        fetched = self.runner.run(fetching)

        assert Outcome.ELSEWHERE is not fetched.outcome
        if fetched.outcome is Outcome.TAKEN:
            assert self.side.replica.find(target.key, target.number)
        else:
            assert fetched.reason

    @invariant()
    def never_gets_worse(self):
        """
        No document that is served is older than what was served before, and
        none is lost.
        """
        heads = {(h.key, h.number): h.issued for h in self.side.watch.heads()}
        for name, issued in self.newest.items():
            assert heads[name] >= issued
        self.newest = heads

    @invariant()
    def nothing_from_the_future(self):
        """
        No document that is served was issued in the future.
        """
        latest = self.vendor.clock() + timedelta(minutes=5)
        assert all(h.issued <= latest for h in self.side.watch.heads())

    @invariant()
    def leases_end(self):
        """
        Nobody holds a lease while nobody asks.
        """
        now = self.vendor.clock()
        assert not any(p.is_leased(now) for p in self.side.watch.progress())

    @invariant()
    def within_budget(self):
        """
        Without a clock that moves no more than a burst is asked.
        """
        asked = [r.instant for r in self.vendor.requests]
        assert all(asked.count(i) <= BURST + 1 for i in set(asked))


def fields(fault):
    """
    Return the fields of a fault.
    """
    return {name: getattr(fault, name) for name in fault.__struct_fields__}


TestVendor = Vendor.TestCase
TestVendor.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
