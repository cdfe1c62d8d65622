"""
A vendor that lies, stalls or breaks: what it says is refused by name, and
what we have stays as it is.
"""

import asyncio
import contextlib
import datetime
import urllib.parse

import pytest
import stamina

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.corpus import Corpus
from tests.new_store import new_store
from tests.services.vendor_bench import (
    CRL,
    DAY,
    HOUR,
    ICE,
    IDENTITY,
    LATER,
    LIST,
    NOW,
    NUMBERS,
    QE,
    ROOT,
    STANDARD,
    TARGETS,
    TCB,
    TDX,
    cold_bench,
    warm_bench,
)
from tests.services.vendor_corpus import (
    Attack,
    attacks,
    read_real,
    signed_part,
)
from tests.store.made import all_stored
from tests.upstream.raw import answering
from thim.collateral.anchors import VENDOR_ROOTS
from thim.intel.names import Update
from thim.services.ingest import ingest
from thim.services.outcome import Outcome
from thim.services.side import facing_vendors
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.broken import (
    Down,
    Garbage,
    Gzip,
    NoChain,
    Oversize,
    Redirect,
    Slow,
    Status,
    Trickle,
    Truncate,
)
from thim.simulate.clock import Clock
from thim.simulate.forged import (
    Forked,
    Frozen,
    Future,
    LateSigner,
    MovedRoot,
    Older,
    WrongChain,
    WrongNumber,
    WrongSignature,
    WrongSubject,
)
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.upstream.transport import MOST_BYTES


MIDNIGHT = LATER - 9 * HOUR
#: After all that is in the corpus.
AFTER = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def hurried():
    """
    Retry at once, as often as it is meant to be retried.
    """
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


@pytest.fixture
def bench(tmp_path):
    """
    A day after the store was filled.
    """
    with warm_bench(tmp_path) as warm:
        yield warm


@pytest.fixture
def same_day(tmp_path):
    """
    When the store was filled.
    """
    with warm_bench(tmp_path, NOW) as warm:
        yield warm


def named(faults):
    """
    Name a case after its faults.
    """
    if not isinstance(faults, list):
        return None
    return "-".join(type(fault).__struct_config__.tag for fault in faults)


def break_(bench, faults):
    """
    Let the vendor turn bad.
    """
    for fault in faults:
        bench.bad.faults.add(fault)


def outcome(fetched):
    """
    Return how it went and why.
    """
    return fetched.outcome.value, fetched.reason


def patience(faults):
    """
    Wait for what will not come in full, but not for long.
    """
    is_slow = any(isinstance(fault, Slow | Trickle) for fault in faults)
    return {"timeout": datetime.timedelta(seconds=0.3)} if is_slow else {}


def rescue(bench, target, before, faults=()):
    """
    Ask both vendors; the good one makes up for the bad one.
    """
    both = bench.at_bad(**patience(faults)), bench.at_good()
    fetched = bench.fetch(target, *both)
    after = bench.heads()
    number = 20 if target.update else target.number

    assert ("taken", None) == outcome(fetched)
    if target.key in {key for key, _ in before}:
        assert MIDNIGHT == after[target.key, number][1]
    for name in before.keys() - {(target.key, number)}:
        assert before[name] == after[name]
    assert 0 == bench.progress(target).failures


#: What never gets as far as a document.
WIRE = [
    ([Down()], "failed", "cut-off"),
    ([Slow(seconds=30)], "failed", "timeout"),
    ([Trickle(interval=0.05)], "failed", "timeout"),
    ([Status(code=204)], "failed", "status-204"),
    ([Status(code=206, body="{}")], "failed", "status-206"),
    ([Status(code=400)], "failed", "bad-request"),
    ([Status(code=401)], "failed", "key-refused"),
    ([Status(code=403)], "failed", "key-refused"),
    ([Status(code=404)], "absent", "vendor-has-none"),
    ([Status(code=410)], "absent", "withdrawn"),
    ([Status(code=461)], "absent", "unknown"),
    ([Status(code=429)], "failed", "vendor-busy"),
    ([Status(code=429, retry_after=60)], "failed", "vendor-busy"),
    ([Status(code=500)], "failed", "status-5xx"),
    ([Status(code=503, retry_after=60)], "failed", "vendor-busy"),
    ([Status(code=503, retry_after="never")], "failed", "vendor-busy"),
    ([Truncate()], "failed", "cut-off"),
    ([Truncate(size=0)], "failed", "cut-off"),
    ([Oversize()], "failed", "too-large"),
    ([Oversize(size=MOST_BYTES + 1)], "failed", "too-large"),
    ([Redirect(location="http://127.0.0.1:1/")], "failed", "redirect"),
    ([Redirect(location="file:///etc/passwd", code=307)], "failed", "redirect"),
    ([Gzip()], "failed", "encoded"),
    ([WrongSignature(), Status(code=401)], "failed", "key-refused"),
]


class TestWire:
    @pytest.mark.parametrize(("faults", "expected", "reason"), WIRE, ids=named)
    def test_refused(self, bench, faults, expected, reason):
        """
        It is refused by name, nothing changes, nothing is worth keeping, and
        the next vendor in line is asked.
        """
        before = bench.heads()
        break_(bench, faults)

        fetched = bench.fetch(TCB, bench.at_bad(**patience(faults)))

        assert (expected, reason) == outcome(fetched)
        assert bench.bad.url in fetched.detail
        assert before == bench.heads()
        assert bench.is_free(TCB)
        assert [] == bench.refused()
        assert reason == bench.progress(TCB).reason
        rescue(bench, TCB, before, faults)

    @pytest.mark.parametrize(
        ("options", "is_said"), [({}, True), ({"api_key": "secret"}, False)]
    )
    def test_key_refused(self, bench, options, is_said):
        """
        Where a key is wanted and none is configured, that is said.
        """
        break_(bench, [Status(code=401)])
        fetched = bench.fetch(TCB, bench.at_bad(**options))

        assert is_said is ("no API key is configured" in fetched.detail)

    @pytest.mark.parametrize("target", TARGETS, ids=str)
    def test_nobody_there(self, bench, target):
        """
        When nobody is there nothing changes either.
        """
        before = bench.heads()
        bench.bad.stop_listening()

        assert ("failed", "unreachable") == outcome(bench.fetch(target))
        assert before == bench.heads()
        rescue(bench, target, before)


#: What is refused when it is read or verified: it lies in quarantine.
FORGED = [
    ([Garbage(size=0)], TCB, "unrecognised"),
    ([Oversize(size=5000)], TCB, "json"),
    ([Oversize(size=600_000)], TCB, "too-large"),
    ([Oversize(size=MOST_BYTES)], CRL, "too-large"),
    ([Status(code=200, body="<html>Sign in</html>")], TCB, "unrecognised"),
    ([Status(code=200, body='{"error":"busy"}')], TCB, "unsigned"),
    ([WrongSignature()], TCB, "signature-invalid"),
    ([WrongSignature()], STANDARD, "signature-invalid"),
    ([WrongSignature()], NUMBERS, "signature-invalid"),
    ([WrongSignature()], CRL, "signature-invalid"),
    ([WrongSignature()], ROOT, "signature-invalid"),
    ([Future(ahead="2d")], TCB, "not-yet-valid"),
    ([Future(ahead="2d")], CRL, "not-yet-valid"),
    ([Future(ahead="2d")], ROOT, "not-yet-valid"),
    ([MovedRoot()], TDX, "root-untrusted"),
    ([MovedRoot()], IDENTITY, "root-untrusted"),
    ([MovedRoot()], NUMBERS, "root-untrusted"),
    ([MovedRoot()], CRL, "root-untrusted"),
    ([MovedRoot()], ROOT, "signature-invalid"),
    ([MovedRoot(), NoChain()], TCB, "signature-invalid"),
    ([WrongChain()], TCB, "root-untrusted"),
    ([WrongChain()], CRL, "root-untrusted"),
    ([LateSigner()], TCB, "certificate-dates"),
    ([LateSigner(), Older(ago="2d")], TCB, "no-issuer-chain"),
    ([LateSigner(), Older(ago="2d")], CRL, "no-issuer-chain"),
    ([LateSigner(), NoChain()], TCB, "signature-invalid"),
    ([WrongSubject()], TCB, "wrong-subject"),
    ([WrongSubject()], TDX, "wrong-subject"),
    ([WrongSubject()], IDENTITY, "wrong-subject"),
    ([WrongSubject()], STANDARD, "wrong-subject"),
    ([WrongSubject()], NUMBERS, "wrong-subject"),
    ([WrongSubject()], CRL, "wrong-subject"),
    ([WrongSubject()], ROOT, "no-issuer-chain"),
]


class TestForged:
    @pytest.mark.parametrize(("faults", "target", "reason"), FORGED, ids=named)
    def test_refused(self, bench, faults, target, reason):
        """
        It is refused by name, put into quarantine and counted, what we have
        stays, and the next vendor in line is asked.
        """
        before, dates = bench.heads(), bench.issue_dates(ICE, 20)
        break_(bench, faults)

        fetched = bench.fetch(target)

        assert ("failed", reason) == outcome(fetched)
        assert bench.bad.url in fetched.detail
        assert before == bench.heads()
        assert dates == bench.issue_dates(ICE, 20)
        assert bench.is_free(target)
        (refused,) = bench.refused()
        assert reason == refused.reason
        assert refused.source.startswith(bench.bad.url)
        assert 1 == bench.counters()["refused", reason]
        assert reason == bench.progress(target).reason
        rescue(bench, target, before)

    @pytest.mark.parametrize("target", TARGETS[:-1], ids=str)
    def test_noise(self, bench, target):
        """
        Noise is nothing, whatever it looks like.
        """
        before = bench.heads()
        break_(bench, [Garbage()])

        fetched = bench.fetch(target)

        assert Outcome.FAILED is fetched.outcome
        assert before == bench.heads()
        assert [fetched.reason] == [r.reason for r in bench.refused()]

    @pytest.mark.parametrize(
        "target", [TCB, IDENTITY, NUMBERS, CRL, ROOT], ids=str
    )
    def test_fork(self, same_day, target):
        """
        Another document with the same number and issue date is a fork, and
        left out.
        """
        before = same_day.heads()
        break_(same_day, [Forked()])

        fetched = same_day.fetch(target)

        assert ("failed", "fork") == outcome(fetched)
        assert before == same_day.heads()
        assert ["fork"] == [r.reason for r in same_day.refused()]
        assert 1 == same_day.counters()["refused", "fork"]

    def test_again(self, bench):
        """
        What is refused again and again lies in quarantine once, and is
        counted each time.
        """
        break_(bench, [WrongSignature()])
        for _ in range(3):
            bench.fetch(TCB)

        assert 1 == len(bench.refused())
        assert 3 == bench.counters()["refused", "signature-invalid"]

    def test_hint_list(self, bench):
        """
        A list of FMSPCs that is none is refused, and the old one stays.
        """
        with bench.watch() as watch:
            before = watch.hints()
        break_(bench, [Garbage()])

        assert ("failed", "unexpected-answer") == outcome(bench.fetch(LIST))
        with bench.watch() as watch:
            assert before == watch.hints()

    def test_endless_words(self, bench):
        """
        What we say of a hostile document is short, however long it is.
        """
        body = '{"%s":1}' % ("x" * 500_000)
        break_(bench, [Status(code=200, body=body)])

        fetched = bench.fetch(TCB)

        assert ("failed", "unsigned") == outcome(fetched)
        assert len(fetched.detail) < 2000
        assert len(bench.refused()[0].detail) < 2000


def twice(count):
    """
    Write an object of *count* members, of which the last two are one.
    """
    names = [*(f"{n:05}" for n in range(count - 2)), "x", "x"]
    return "{" + ",".join(f'"{name}":1' for name in names) + "}"


class TestCostly:
    @pytest.mark.parametrize(
        "body",
        [
            twice(40_000),
            "[" * 500_000,
            '{"a":' * 100_000,
            "-----BEGIN CERTIFICATE-----\n" + "A" * 4_000_000,
            "-----BEGIN CERTIFICATE-----\n" * 100_000,
            "a" * 4_000_000,
            " " * 4_000_000,
            "1" * 500_000,
            '{"tcbInfo":{"version":%s}}' % ("9" * 500_000),
        ],
        ids=[
            *("twice", "deep-list", "deep-object", "one-block", "blocks"),
            *("hex", "blanks", "number", "huge-number"),
        ],
    )
    def test_soon_over(self, bench, body):
        """
        No document costs more than a second or two to refuse.
        """
        break_(bench, [Status(code=200, body=body)])

        fetched = bench.run(
            lambda side: asyncio.wait_for(
                side.fetcher.fetch(TCB, is_refresh=False), 3
            )
        )

        assert Outcome.FAILED is fetched.outcome
        assert bench.is_free(TCB)


class TestOlder:
    @pytest.mark.parametrize(
        "fault",
        [Older(ago="10d"), Frozen(until=NOW - 9 * DAY)],
        ids=["older", "frozen"],
    )
    @pytest.mark.parametrize("target", [TCB, STANDARD, CRL, ROOT], ids=str)
    def test_rollback(self, bench, target, fault):
        """
        An older document is genuine: it is archived, serves nobody, and is
        counted as a rollback.
        """
        before = bench.heads()
        number = 20 if target.update else target.number
        break_(bench, [fault])

        fetched = bench.fetch(target)

        assert ("failed", "rollback") == outcome(fetched)
        assert before == bench.heads()
        assert 2 == len(bench.issue_dates(target.key, number))
        assert [] == bench.refused()
        assert 1 == bench.counters()["shortfall", "rollback"]
        rescue(bench, target, before)

    @pytest.mark.parametrize("target", [TCB, CRL, ROOT], ids=str)
    def test_archived_already(self, bench, target):
        """
        So is one that we had before, and that is in the archive still.
        """
        bench.fetch(target)
        before = bench.heads()
        break_(bench, [Older(ago="24h")])

        fetched = bench.fetch(target)

        assert MIDNIGHT == before[target.key, target.number][1]
        assert ("failed", "rollback") == outcome(fetched)
        assert before == bench.heads()
        assert 2 == len(bench.issue_dates(target.key, target.number))
        assert 1 == bench.counters()["shortfall", "rollback"]

    def test_the_one_we_have(self, bench):
        """
        The document that we have is no rollback, though the vendor has a
        newer one.
        """
        before = bench.heads()
        break_(bench, [Older(ago="24h")])

        assert ("taken", None) == outcome(bench.fetch(TCB))
        assert before == bench.heads()

    def test_frozen_crl(self, bench):
        """
        A CRL that is not issued anew is what we have: no failure.
        """
        break_(bench, [Frozen(until=NOW, route="pckcrl")])
        bench.clock.advance(5 * DAY)

        assert ("taken", None) == outcome(bench.fetch(CRL))
        assert {} == bench.counters()


class TestNumber:
    @pytest.mark.parametrize("target", [TCB, IDENTITY], ids=str)
    def test_wrong_number(self, bench, target):
        """
        The document of another number is archived as that number's; what was
        asked for is still missing.
        """
        before = bench.heads()
        break_(bench, [WrongNumber()])

        fetched = bench.fetch(target)

        after = bench.heads()
        assert ("failed", "wrong-number") == outcome(fetched)
        assert {(target.key, 18)} == after.keys() - before.keys()
        assert before[target.key, 20] == after[target.key, 20]
        assert [] == bench.refused()
        assert 1 == bench.counters()["shortfall", "wrong-number"]
        rescue(bench, target, after)

    def test_channel_going_back(self, bench):
        """
        A channel never goes back: who says so is not believed.
        """
        break_(bench, [WrongNumber()])

        fetched = bench.fetch(STANDARD)

        assert ("failed", "rollback") == outcome(fetched)
        assert [MIDNIGHT] == bench.issue_dates(QE, 18)
        assert 1 == bench.counters()["shortfall", "rollback"]
        rescue(bench, STANDARD, bench.heads())

    @pytest.mark.parametrize("is_first", [True, False])
    def test_channel_moved_too_far(self, bench, is_first):
        """
        Where one upstream has moved a channel too far, one that stands before
        it in the order mends it; one behind it does not.
        """
        with Ledger(bench.store, bench.good.anchors) as ledger:
            ledger.observe_channel(
                Update.STANDARD, 22, source=f"{bench.bad.url}/x", seen=LATER
            )
        order = [bench.at_good(), bench.at_bad()]
        if not is_first:
            order.reverse()
            break_(bench, [Down()])

        fetched = bench.fetch(STANDARD, *order)

        with contextlib.closing(Replica(bench.store)) as replica:
            number = replica.channels()[Update.STANDARD]
        assert (20 if is_first else 22) == number
        assert ("taken" if is_first else "failed") == fetched.outcome.value

    def test_channel_to_an_unlisted_number(self, bench):
        """
        A number that the vendor's signed list does not name is no channel's.
        """
        pki = bench.good.intel.pki
        events = {19: LATER - 400 * DAY, 18: LATER - 800 * DAY}
        newer = pki.numbers(numbers=events, issued=LATER)
        with Ledger(bench.store, bench.good.anchors) as ledger:
            list(ingest([("list", newer)], ledger=ledger, now=LATER))

        fetched = bench.fetch(STANDARD)

        assert ("failed", "unlisted") == outcome(fetched)

    def test_channel_going_on(self, bench):
        """
        It goes on when the vendor says so.
        """
        bench.clock.advance(120 * DAY)

        assert ("taken", None) == outcome(bench.fetch(STANDARD))
        assert (QE, 21) in bench.heads()


class TestChain:
    @pytest.mark.parametrize("target", [TCB, CRL], ids=str)
    def test_no_chain(self, bench, target):
        """
        Without a chain a document holds where its signer is known.
        """
        break_(bench, [NoChain()])

        assert ("taken", None) == outcome(bench.fetch(target))
        assert MIDNIGHT == bench.heads()[target.key, target.number][1]

    @pytest.mark.parametrize("target", [TCB, CRL, ROOT], ids=str)
    def test_no_chain_and_nothing_known(self, tmp_path, target):
        """
        Where it is not, nothing holds.
        """
        with cold_bench(tmp_path) as cold:
            break_(cold, [NoChain()])

            fetched = cold.fetch(target)

            assert ("failed", "no-issuer-chain") == outcome(fetched)
            assert {} == cold.heads()

    def test_good_certificates_are_remembered(self, tmp_path):
        """
        A chain that holds is remembered, though its document did not.
        """
        with cold_bench(tmp_path) as cold:
            break_(cold, [WrongSignature(count=1), NoChain(route="identity")])

            assert "failed" == outcome(cold.fetch(TCB))[0]
            assert ("taken", None) == outcome(cold.fetch(IDENTITY))


COMBINED = st.lists(
    st.sampled_from(
        [
            *(Down(), Status(code=404), Status(code=503, retry_after=1)),
            *(Truncate(size=10), Truncate(size=2000), Oversize(size=20_000)),
            *(NoChain(), Garbage(size=100), Gzip(), WrongSignature()),
            *(Older(ago="24h"), Older(ago="30d"), Future(ahead="10h")),
            *(Future(ahead="2d"), Frozen(until=NOW - DAY), Forked()),
            *(MovedRoot(), WrongChain(), WrongSubject(), WrongNumber()),
            *(LateSigner(), Redirect(location="/")),
        ]
    ),
    min_size=1,
    max_size=4,
)


class TestCombined:
    @settings(
        max_examples=60,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(COMBINED, st.sampled_from(TARGETS))
    def test_never_worse(self, bench, faults, target):
        """
        Whatever comes together: no head goes back, no lease stays, each
        failure has a name, and a good vendor makes up for it.
        """
        before = bench.heads()
        bench.bad.faults.clear()
        break_(bench, faults)

        fetched = bench.fetch(target)

        after = bench.heads()
        assert fetched.reason or Outcome.TAKEN is fetched.outcome
        assert before.keys() <= after.keys()
        for name, (digest, issued) in before.items():
            assert digest == after[name][0] or issued < after[name][1]
        assert bench.is_free(target)
        good = bench.fetch(target, bench.at_good())
        # Of two genuine documents that contradict each other the first holds.
        is_taken = Outcome.TAKEN is good.outcome
        assert is_taken or good.reason in {"rollback", "fork"}
        assert [] == bench.problems()


class TestCorpus:
    @pytest.mark.filterwarnings("ignore")
    def test_only_what_was_signed(self, corpus, tmp_path):
        """
        Whatever is made of real documents and their chains: nothing is taken
        but what the vendor signed, nothing that we have moves, and every
        refusal has a name.
        """
        reals = read_real(Corpus.read(corpus))
        store = tmp_path / "thim.db"
        new_store(store, VENDOR_ROOTS)

        asyncio.run(self.attack(reals, store))

        with Ledger(store, VENDOR_ROOTS) as ledger:
            assert [] == ledger.integrity_problems()
            assert {real.signed() for real in reals} == {
                signed_part(s.record.body) for s in all_stored(ledger)
            }

    async def attack(self, reals, store):
        """
        Take the documents in, and then one attack after the other.
        """
        answer, clock = b"", Clock(AFTER, frozen=True)

        async def script(writer):
            writer.write(answer)
            await writer.drain()

        async with contextlib.AsyncExitStack() as stack:
            raw = await stack.enter_async_context(answering(script))
            vendors = raw.upstream(
                timeout=datetime.timedelta(seconds=5),
                interval=datetime.timedelta(0),
            )
            side = await stack.enter_async_context(
                facing_vendors(
                    store,
                    VENDOR_ROOTS,
                    VendorSettings(upstreams=(vendors,), mode=FillMode.LAZY),
                    clock,
                )
            )
            for real in reals:
                header = real.header, urllib.parse.quote(real.chain).encode()
                plain = Attack(real=real, body=real.body, headers=(header,))
                answer = plain.write()
                got = await side.fetcher.fetch(real.target, is_refresh=False)
                assert Outcome.TAKEN is got.outcome, got
            before = {
                real.target: side.replica.find(
                    real.target.key, real.target.number
                )
                for real in reals
            }
            loop = asyncio.get_running_loop()

            async def ask(target):
                got = await side.fetcher.fetch(target, is_refresh=False)
                progress = side.watch.find(target)
                head = side.replica.find(target.key, target.number)
                return got, progress, head

            @settings(max_examples=150)
            @given(attacks(reals))
            def check(attack):
                nonlocal answer
                answer, target = attack.write(), attack.real.target
                clock.advance(HOUR)  # or the breaker would be open
                got, progress, head = asyncio.run_coroutine_threadsafe(
                    ask(target), loop
                ).result(10)

                assert before[target] == head
                assert progress.leased_until is None
                if Outcome.TAKEN is got.outcome:
                    assert attack.real.signed() == signed_part(attack.body)
                else:
                    assert Outcome.FAILED is got.outcome
                    assert got.reason not in {None, "error", "store-write"}

            await asyncio.to_thread(check)
