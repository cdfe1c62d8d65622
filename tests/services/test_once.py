import asyncio
import contextlib
import sqlite3
import threading

from datetime import timedelta

import pytest

from tests.new_store import new_store
from tests.services.amd_bench import (
    CHAIN,
    GENOA,
    MILAN,
    amd_bench,
    have_chain,
)
from tests.services.vendor import DAY, NOW, WORLD, small_settings
from tests.vendors import await_so
from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key, vcek_target
from thim.collateral.records import (
    AMD,
    FMSPCS,
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.collateral.targets import Target
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.services.once import choose_due, probe, refresh_once
from thim.services.outcome import Outcome
from thim.services.promise import list_core, list_promises
from thim.services.side import facing_vendors
from thim.services.together import fetch_together
from thim.simulate.broken import Down, Slow, Status
from thim.simulate.clock import Clock
from thim.simulate.forged import (
    Forked,
    MovedRoot,
    WrongSignature,
    WrongSubject,
    WrongTcb,
)
from thim.simulate.server import simulating
from thim.store.agenda import Settlement


PLATFORM = Target(key=pck_crl_key(PckCa.PLATFORM))
NUMBERS = Target(key=numbers_key(Tee.SGX))
INFO = Target(
    key=tcb_info_key(Tee.SGX, bytes.fromhex("00806F050000"), 3), number=20
)


@pytest.fixture
def vendor():
    """
    A vendor with two numbers and one FMSPC, where time stands still.
    """
    with simulating(WORLD, Clock(NOW, frozen=True)) as running:
        yield running


@pytest.fixture
def store(vendor, tmp_path):
    """
    An empty store for what that vendor signs.
    """
    path = tmp_path / "sim.db"
    new_store(path, vendor.anchors)
    return path


@pytest.fixture
def run(vendor, store):
    """
    Run a coroutine of the side that faces that vendor.
    """

    def run(work, settings=None):
        async def within():
            async with facing_vendors(
                store,
                vendor.anchors,
                settings or small_settings(vendor),
                vendor.clock,
                draw=lambda: 0,
            ) as side:
                return await work(side)

        return asyncio.run(within())

    return run


def refreshing(choose):
    """
    Refresh what *choose* says of a side; return each target's outcome.
    """

    async def work(side):
        return {
            target: fetched
            async for target, fetched in refresh_once(
                side, lambda: choose(side)
            )
        }

    return work


def promised(side):
    """
    Return all that is promised.
    """
    return list_promises(side.replica, side.settings)


async def due(side):
    """
    Return what is due.
    """
    return choose_due(side)


def outcomes(found):
    """
    Return which outcomes there were.
    """
    return {fetched.outcome for fetched in found.values()}


class TestRefresh:
    def test_all(self, run):
        """
        From an empty store to everything that is promised, in one go: new
        numbers bring new documents.
        """
        found = run(refreshing(promised))

        assert {Outcome.TAKEN} == outcomes(found)
        assert {
            *(Target(key=numbers_key(tee)) for tee in Tee),
            *(Target(key=pck_crl_key(ca)) for ca in PckCa),
            *(
                Target(key=identity_key(EnclaveKind.QE), update=update)
                for update in Update
            ),
            *(
                Target(key=identity_key(kind), number=number)
                for kind in EnclaveKind
                for number in (20, 21)
            ),
            *(
                Target(
                    key=tcb_info_key(tee, bytes.fromhex("00806F050000"), 3),
                    number=number,
                )
                for tee in Tee
                for number in (20, 21)
            ),
            Target(key=ROOT_CA_CRL),
            Target(key=FMSPCS),
        } == found.keys()

    def test_each_once(self, run, vendor):
        """
        Nothing is asked for twice, however often it is chosen.
        """
        run(refreshing(lambda _: [PLATFORM, PLATFORM, NUMBERS]))

        assert 2 == vendor.requests.total

    def test_one_fails(self, run, vendor):
        """
        What fails is its own, and says why.
        """
        vendor.faults.add(Status(code=503, route="pckcrl", ca=PckCa.PLATFORM))
        found = run(refreshing(promised))

        failed = {t for t, f in found.items() if f.outcome is Outcome.FAILED}
        assert {PLATFORM} == failed
        assert "status-5xx" == found[PLATFORM].reason

    def test_spent_budget(self, run, vendor):
        """
        A spent budget is waited for.
        """
        vendor.clock.run()
        settings = small_settings(
            vendor, burst=1, interval=timedelta(seconds=0.05)
        )
        choose = refreshing(lambda _: [PLATFORM, NUMBERS, INFO])

        assert {Outcome.TAKEN} == outcomes(run(choose, settings))

    def test_not_for_long(self, run, vendor):
        """
        One that will not be there within a minute is not.
        """
        settings = small_settings(vendor, burst=1, interval=timedelta(hours=1))
        found = run(refreshing(lambda _: [PLATFORM, NUMBERS]), settings)

        assert {Outcome.TAKEN, Outcome.NOT_NOW} == outcomes(found)

    def test_root(self, run, vendor, store):
        """
        The root's list waits for the one whose chain it is verified with,
        wherever it stands.
        """
        vendor.faults.add(Slow(seconds=0.3, route="pckcrl"))
        root = Target(key=ROOT_CA_CRL)
        found = run(refreshing(lambda _: [root, PLATFORM]))

        assert {Outcome.TAKEN} == outcomes(found)

    def test_together(self, run, vendor):
        """
        What somebody else is asking for is waited for, and not asked for
        again.
        """
        vendor.faults.add(Slow(seconds=0.5, route="pckcrl"))

        async def work(side):
            other = asyncio.create_task(
                side.fetcher.fetch(PLATFORM, is_refresh=False)
            )
            await asyncio.to_thread(await_so, lambda: vendor.requests.total)
            found = await refreshing(lambda _: [PLATFORM])(side)
            await other
            return found, side.replica.find(PLATFORM.key)

        found, held = run(work)
        assert {Outcome.TAKEN} == outcomes(found)
        assert held is not None
        assert 1 == vendor.requests.total

    def test_done_meanwhile(self, run, vendor):
        """
        Who comes to the ledger when somebody else has just asked finds it
        done.
        """

        async def work(side):
            gate, agenda, now = threading.Event(), side.ledger.agenda, NOW
            held = asyncio.create_task(side.fetcher.run(gate.wait, 10))
            late = asyncio.create_task(fetch_together(side, PLATFORM))
            # It has looked, and waits for the ledger's thread.
            await asyncio.sleep(0)
            agenda.claim(PLATFORM, "other", now=now, until=now + DAY / 24)
            done = Settlement(due=now + DAY, answered=True)
            agenda.settle(PLATFORM, "other", done, now=now)
            gate.set()
            await held
            return {PLATFORM: await late}

        assert {Outcome.TAKEN} == outcomes(run(work))
        assert 0 == vendor.requests.total

    @pytest.mark.parametrize(
        ("is_frozen", "outcome"),
        [(False, Outcome.TAKEN), (True, Outcome.NOT_NOW)],
    )
    def test_after_the_dead(self, run, vendor, is_frozen, outcome):
        """
        Whoever died while asking is waited for until their lease ends, and no
        longer, even where time stands still.
        """
        vendor.clock.run()

        async def work(side):
            now = side.clock()
            until = now + timedelta(seconds=1)
            side.ledger.agenda.claim(PLATFORM, "dead", now=now, until=until)
            if is_frozen:
                vendor.clock.freeze()
            return await refreshing(lambda _: [PLATFORM])(side)

        assert {outcome} == outcomes(run(work))

    def test_left(self, run, vendor):
        """
        Who has seen enough leaves, and nobody asks any more by then.
        """
        vendor.faults.add(Slow(seconds=30, route="tcb"))

        async def work(side):
            found = refresh_once(side, lambda: [PLATFORM, INFO])
            await anext(found)
            await found.aclose()
            return asyncio.all_tasks() - {asyncio.current_task()}

        assert set() == run(work)

    def test_nobody_there(self, run, vendor):
        """
        Where no vendor is there each document says so.
        """
        vendor.stop_listening()
        found = run(refreshing(lambda _: [PLATFORM, NUMBERS]))

        assert {Outcome.FAILED} == outcomes(found)
        assert {"unreachable"} == {f.reason for f in found.values()}


class TestDue:
    def test_empty(self, run):
        """
        Where there is nothing everything is due.
        """

        async def work(side):
            return choose_due(side), promised(side)

        chosen, everything = run(work)
        assert everything == chosen

    def test_just_refreshed(self, run):
        """
        What has just been refreshed is not due, whether or not a service keeps
        an agenda.
        """
        run(refreshing(choose_due))

        assert [] == run(due)

    @pytest.mark.parametrize(
        ("later", "expected"),
        [
            (timedelta(hours=11), set()),
            (timedelta(hours=13), {"tcb-evaluation-data-numbers", "identity"}),
            (
                timedelta(hours=25),
                {
                    "tcb-evaluation-data-numbers",
                    "identity",
                    "pck-crl",
                    "root-ca-crl",
                    "fmspcs",
                },
            ),
            (
                timedelta(days=11),
                {
                    "tcb-evaluation-data-numbers",
                    "identity",
                    "pck-crl",
                    "root-ca-crl",
                    "fmspcs",
                    "tcb-info",
                },
            ),
        ],
    )
    def test_later(self, run, vendor, later, expected):
        """
        It is due again when a service would look for a newer one.
        """
        run(refreshing(choose_due))
        vendor.clock.advance(later)

        assert expected == {t.key.kind.value for t in run(due)}

    def test_agenda(self, run, vendor):
        """
        Where a service keeps an agenda it says what is due.
        """
        run(refreshing(promised))

        async def work(side):
            later = dict.fromkeys(promised(side), NOW + 400 * DAY)
            side.ledger.agenda.promise({**later, PLATFORM: NOW})
            return choose_due(side)

        assert [PLATFORM] == run(work)

    def test_absent(self, run, vendor):
        """
        What the vendor has not is not due while that counts.
        """
        vendor.faults.add(Status(code=404, route="identity", enclave="QVE"))
        run(refreshing(promised))
        assert [] == run(due)

        vendor.clock.advance(timedelta(hours=1))
        assert {identity_key(EnclaveKind.QVE)} == {t.key for t in run(due)}

    def test_lost(self, run, vendor, store):
        """
        What was there and is there no more is due, whatever is planned.
        """
        run(refreshing(promised))
        with contextlib.closing(sqlite3.connect(store)) as db:
            db.execute(
                "DELETE FROM heads WHERE series_id ="
                " (SELECT id FROM series WHERE subject = 'platform')"
            )
            db.commit()

        async def work(side):
            later = dict.fromkeys(promised(side), NOW + 400 * DAY)
            side.ledger.agenda.promise(later)
            return choose_due(side)

        assert [PLATFORM] == run(work)

    def test_failed(self, run, vendor):
        """
        What could not be fetched is due still.
        """
        vendor.faults.add(Down(route="pckcrl", ca="platform", count=2))
        run(refreshing(promised))

        assert [PLATFORM] == run(due)


class TestProbe:
    def probe(self, run, vendor, targets):
        """
        Ask *vendor* each of *targets*; return the problems.
        """

        async def work(side):
            (upstream,) = side.settings.upstreams
            return [
                (found.target, found.problem)
                async for found in probe(side, upstream, targets)
            ]

        return dict(run(work))

    def test_good(self, run, vendor, store):
        """
        Answers that hold have no problem, and nothing is kept of them.
        """
        before = store.read_bytes()
        found = self.probe(run, vendor, [PLATFORM, NUMBERS, INFO])

        assert dict.fromkeys([PLATFORM, NUMBERS, INFO]) == found
        assert before == store.read_bytes()

    def test_core(self, run, vendor):
        """
        What is promised whatever is served can be asked of an upstream that
        nothing has come from yet.
        """

        async def work(side):
            (upstream,) = side.settings.upstreams
            targets = [t for t in list_core(side.replica) if t.key != FMSPCS]
            return [p.problem async for p in probe(side, upstream, targets)]

        assert {None} == set(run(work))

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            (Status(code=404), "status 404"),
            (Status(code=401), "status 401"),
            (Status(code=503), "status-5xx: "),
            (Down(), "cut-off: "),
            (MovedRoot(), "root-untrusted: "),
        ],
    )
    def test_bad(self, run, vendor, fault, words):
        """
        An answer that does not hold says why.
        """
        vendor.faults.add(fault)
        found = self.probe(run, vendor, [NUMBERS])

        assert found[NUMBERS].startswith(words)

    def test_budget(self, run, vendor):
        """
        An operator's own hands need no budget and leave no trace.
        """
        vendor.faults.add(Forked())

        async def work(side):
            (upstream,) = side.settings.upstreams
            async for _ in probe(side, upstream, [NUMBERS] * 3):
                pass
            return side.watch.addresses(), side.watch.progress()

        settings = small_settings(vendor, burst=1, interval=timedelta(hours=1))
        assert ([], []) == run(work, settings)


CRL = Target(key=amd_crl_key(KeyKind.VCEK, MILAN))


class TestAmd:
    @pytest.fixture
    def amd(self, tmp_path):
        """
        An empty store, and AMD.
        """
        with amd_bench(tmp_path) as bench:
            yield bench

    def probe(self, amd, *targets):
        """
        Ask AMD for *targets* where its chain is known; return what is wrong
        with each answer.
        """

        async def scenario(side):
            await have_chain(side)
            probes = probe(side, amd.upstream(), targets)
            return {p.target: p.problem async for p in probes}

        return amd.run(scenario)

    def test_good(self, amd):
        """
        AMD's answers are judged by AMD's rules, and nothing is kept.
        """
        vcek = vcek_target(amd.name())

        assert {CHAIN: None, CRL: None, vcek: None} == (
            self.probe(amd, CHAIN, CRL, vcek)
        )
        assert not amd.has(amd.name())
        with amd.replica() as replica:
            assert replica.find(CRL.key) is None

    @pytest.mark.parametrize(
        ("fault", "target", "reason"),
        [
            (WrongSubject, CRL, "wrong-subject"),
            (WrongSignature, CRL, "crl-signature"),
            (WrongTcb, None, "tcb-mismatch"),
        ],
    )
    def test_bad(self, amd, fault, target, reason):
        """
        What does not hold is a problem, by its reason.
        """
        target = target or vcek_target(amd.name())
        genoa = Target(key=cert_chain_key(KeyKind.VCEK, GENOA))

        async def scenario(side):
            await have_chain(side)
            await have_chain(side, genoa)
            amd.vendor.faults.add(fault())
            probes = probe(side, amd.upstream(), [target])
            return [p.problem async for p in probes]

        (problem,) = amd.run(scenario)
        assert problem.startswith(f"{reason}: ")

    def test_refresh(self, amd):
        """
        What is due of AMD's is fetched with the rest: the list whose chain is
        known.
        """

        async def scenario(side):
            await have_chain(side)
            before = [t for t in choose_due(side) if t.key.vendor == AMD]
            found = refresh_once(side, lambda: before)
            outcomes = {target: f.outcome async for target, f in found}
            after = [t for t in choose_due(side) if t.key.vendor == AMD]
            return before, outcomes, after

        before, outcomes, after = amd.run(scenario)

        assert [CRL] == before
        assert {CRL: Outcome.TAKEN} == outcomes
        assert [] == after

    def test_order(self, amd):
        """
        Lists and keys wait for their chain, wherever it stands and however
        long it takes: none holds without.
        """
        amd.vendor.faults.add(Slow(seconds=0.3, route="amd-chain"))
        targets = [vcek_target(amd.name()), CRL, CHAIN]

        async def scenario(side):
            found = refresh_once(side, lambda: targets)
            return {target: f.outcome async for target, f in found}

        assert dict.fromkeys(targets, Outcome.TAKEN) == amd.run(scenario)

    def test_without(self, amd):
        """
        Where the chain does not come the list is asked for all the same, and
        refused.
        """
        amd.vendor.faults.add(Status(code=404, route="amd-chain"))

        async def scenario(side):
            found = refresh_once(side, lambda: [CRL, CHAIN])
            return {target: f.reason async for target, f in found}

        assert "no-issuer-chain" == amd.run(scenario)[CRL]
