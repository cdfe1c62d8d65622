import concurrent.futures
import contextlib
import sqlite3
import time

from datetime import timedelta

import pytest

from tests.new_store import new_store
from tests.simulate.asking import ask
from tests.vendors import (
    DAY,
    HOUR,
    ICE,
    MINUTE,
    SAPPHIRE,
    SGX,
    TDX,
    autonomy_of,
    await_quiet,
    await_so,
    facing,
    settle,
    standing,
    status_of,
    upstream,
    vendor_settings,
)
from thim.collateral.records import tcb_info_key
from thim.collateral.targets import Target
from thim.intel.names import Tee
from thim.services.ingest import ingest
from thim.services.vendors import FillMode
from thim.simulate.broken import Down, Slow, Status
from thim.simulate.server import simulating
from thim.store.agenda import Settlement
from thim.store.ledger import Ledger
from thim.upstream.model import Service
from thim.x509.chain import to_pem


@pytest.fixture
def simulated():
    """
    A vendor at an instant that stands still.
    """
    with simulating(clock=standing()) as running:
        yield running


@pytest.fixture
def store(tmp_path):
    """
    Where the store will be.
    """
    return tmp_path / "thim.db"


@pytest.fixture
def served(simulated, store):
    """
    A service over an empty store.
    """
    with facing(simulated, store) as running:
        yield running


class TestMiss:
    @pytest.mark.parametrize(
        "path",
        [
            f"{SGX}/tcb?fmspc={ICE}",
            f"{SGX}/tcb?fmspc={ICE.lower()}&update=early",
            f"{TDX}/tcb?fmspc={SAPPHIRE}&update=standard",
            f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=20",
            f"/baseline/18{SGX}/tcb?fmspc={ICE}",
            f"/sgx/certification/v3/tcb?fmspc={ICE}",
            f"{SGX}/qe/identity",
            f"{SGX}/qve/identity?update=early",
            f"{TDX}/qe/identity",
            f"{SGX}/qae/identity",
            f"{SGX}/pckcrl?ca=platform&encoding=der",
            f"{SGX}/pckcrl?ca=processor",
            f"{SGX}/rootcacrl",
            "/IntelSGXRootCA.der",
            f"{SGX}/tcbevaluationdatanumbers",
            f"{TDX}/tcbevaluationdatanumbers",
        ],
    )
    def test_cold(self, served, path):
        """
        The first request to an empty archive is answered: what it needs is
        fetched while it waits.
        """
        got = served.get(path)

        assert 200 == got.status, got
        assert "test-anchors" == got["thim-dangerous"]

    def test_bytes(self, simulated, served):
        """
        What is served is what the vendor sent, byte for byte.
        """
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=20"
        target = simulated.url.removeprefix("http://127.0.0.1:")
        original = type(served)(int(target)).get(path)
        got = served.get(path)

        assert original.body == got.body
        assert original["tcb-info-issuer-chain"] == got["tcb-info-issuer-chain"]

    def test_once(self, simulated, served, store):
        """
        What was fetched is not fetched again.
        """
        served.get(f"{SGX}/tcb?fmspc={ICE}")
        settle(store, simulated)
        before = len(simulated.requests)
        for _ in range(3):
            assert 200 == served.get(f"{SGX}/tcb?fmspc={ICE}").status

        assert before == len(simulated.requests)

    def test_together(self, simulated, served, store):
        """
        A hundred callers who miss one document at once cost one request.
        """
        settle(store, simulated)
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=22"
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(served.get, [path] * 100))

        assert {200} == {got.status for got in answers}
        assert 1 == len(simulated.requests.of("tcb", "DataNumber=22"))


class TestBounds:
    def test_unknown_fmspc(self, simulated, served):
        """
        For an FMSPC that the vendor's list does not name nobody is asked.
        """
        got = served.get(f"{SGX}/tcb?fmspc=FFFFFFFFFFFF")

        assert (404, "unknown-fmspc") == (got.status, got["thim-reason"])
        assert [] == list(simulated.requests.of("tcb"))

    def test_unknown_fmspc_by_setting(self, simulated, store):
        """
        Unless the operator says so; then the vendor's word counts for an hour
        and no longer.
        """
        vendors = vendor_settings(simulated, asks_unknown=True)
        path = f"{SGX}/tcb?fmspc=FFFFFFFFFFFF"
        with facing(simulated, store, vendors) as served:
            reasons = [served.get(path)["thim-reason"] for _ in range(3)]
            once = len(simulated.requests.of("tcb"))
            simulated.clock.advance(HOUR + MINUTE)
            served.get(path)

            assert ["vendor-has-none"] * 3 == reasons
            assert [1, 2] == [once, len(simulated.requests.of("tcb"))]

    def test_number_to_come(self, simulated, served):
        """
        A number that the vendor has not reached is a 404 without asking.
        """
        served.get(f"{SGX}/tcb?fmspc={ICE}")
        got = served.get(f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=99")

        assert (404, "unknown-number") == (got.status, got["thim-reason"])
        assert [] == list(simulated.requests.of("tcb", "DataNumber=99"))

    def test_withdrawn(self, simulated, served):
        """
        A number that the vendor has withdrawn is asked for once: another
        source might have it.
        """
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=17"
        reasons = [served.get(path)["thim-reason"] for _ in range(3)]

        assert ["withdrawn"] * 3 == reasons
        assert 1 == len(simulated.requests.of("tcb", "DataNumber=17"))

    def test_rate(self, simulated, store):
        """
        One address can have the vendors asked only so often; what is there
        already it gets all the same.
        """
        vendors = vendor_settings(simulated, source_rate=2)
        with facing(simulated, store, vendors) as served:
            settle(store, simulated)
            first = served.get(f"{SGX}/tcb?fmspc={ICE}")
            second = served.get(f"{TDX}/tcb?fmspc={SAPPHIRE}")
            third = served.get(f"{SGX}/tcb?fmspc={COLD}")
            again = served.get(f"{SGX}/tcb?fmspc={ICE}")

            assert [200, 200] == [first.status, second.status]
            assert (503, b"", "fill-rate") == (
                third.status,
                third.body,
                third["thim-reason"],
            )
            assert 200 == again.status
            simulated.clock.advance(MINUTE)
            assert 200 == served.get(f"{SGX}/tcb?fmspc={COLD}").status

    def test_registered(self, simulated, store):
        """
        In the mode *registered* callers get only what was set to be kept.
        """
        vendors = vendor_settings(
            simulated, mode=FillMode.REGISTERED, fmspcs=frozenset({ICE})
        )
        with facing(simulated, store, vendors) as served:
            kept = served.get(f"{SGX}/tcb?fmspc={ICE}")
            other = served.get(f"{TDX}/tcb?fmspc={SAPPHIRE}")

            assert 200 == kept.status
            assert (404, "not-registered") == (
                other.status,
                other["thim-reason"],
            )

    def test_offline(self, simulated, store):
        """
        In the mode *offline* nobody is ever asked.
        """
        vendors = vendor_settings(simulated, mode=FillMode.OFFLINE)
        with facing(simulated, store, vendors) as served:
            got = served.get(f"{SGX}/tcb?fmspc={ICE}")
            time.sleep(0.1)

            assert 404 == got.status
            assert 0 == len(simulated.requests)

    def test_past(self, simulated, served):
        """
        The past cannot be fetched.
        """
        got = served.get(f"/at/2026-01-01{SGX}/tcb?fmspc={ICE}")

        assert 404 == got.status
        assert [] == list(simulated.requests.of("tcb"))


COLD = "00A067110000"


class TestTrouble:
    def test_slow(self, simulated, store):
        """
        A caller does not wait longer than the setting says, gets an empty 503
        that says when to come back, and finds the document then.
        """
        vendors = vendor_settings(simulated, wait=timedelta(seconds=0.2))
        with facing(simulated, store, vendors) as served:
            settle(store, simulated)
            simulated.faults.add(Slow(route="tcb", seconds=0.9, count=1))
            begin = time.monotonic()
            got = served.get(f"{SGX}/tcb?fmspc={ICE}")
            took = time.monotonic() - begin

            assert (503, b"") == (got.status, got.body)
            assert ("fill-in-progress", "5") == (
                got["thim-reason"],
                got["retry-after"],
            )
            assert took < 0.9
            await_so(lambda: served.get(f"{SGX}/tcb?fmspc={ICE}").status == 200)
            assert 1 == len(
                simulated.requests.of("tcb", "DataNumber=19")
            ) + len(simulated.requests.of("tcb", "DataNumber=18"))

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (Down(), "cut-off"),
            (Status(code=500), "status-5xx"),
            (Status(code=401), "key-refused"),
            (Status(code=429, retry_after="30"), "vendor-busy"),
        ],
    )
    def test_failing(self, simulated, served, store, fault, reason):
        """
        A vendor that fails is a 503 with an empty body and the reason, never
        a status of the vendor's.
        """
        settle(store, simulated)
        simulated.faults.add(fault)
        got = served.get(f"{SGX}/tcb?fmspc={ICE}")

        assert (503, b"", reason) == (
            got.status,
            got.body,
            got["thim-reason"],
        )
        assert int(got["retry-after"]) >= 1

    def test_not_hammered(self, simulated, served, store):
        """
        While a vendor fails, impatient callers do not have it asked again and
        again.
        """
        settle(store, simulated)
        simulated.faults.add(Status(code=500))
        before = len(simulated.requests)
        for _ in range(20):
            assert 503 == served.get(f"{SGX}/tcb?fmspc={ICE}").status

        # One attempt of two tries.
        assert before + 2 == len(simulated.requests)

    def test_comes_back(self, simulated, served, store):
        """
        When the vendor is well again, so are we, soon after.
        """
        settle(store, simulated)
        fault = simulated.faults.add(Status(code=500))
        served.get(f"{SGX}/tcb?fmspc={ICE}")
        simulated.faults.remove(fault)
        simulated.clock.advance(MINUTE)

        assert 200 == served.get(f"{SGX}/tcb?fmspc={ICE}").status

    def test_list_of_fmspcs_fails(self, simulated, served):
        """
        Whether an FMSPC exists cannot be told without the vendor's list: that
        is a 503, not a 404.
        """
        simulated.faults.add(Status(route="fmspcs", code=500))
        got = served.get(f"{SGX}/tcb?fmspc={ICE}")

        assert (503, "status-5xx") == (got.status, got["thim-reason"])

    def test_lists_fail(self, simulated, served):
        """
        Lists that cannot be fetched stop nobody who names a number.
        """
        simulated.faults.add(Status(route="tcbevaluation*", code=500))
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=20"

        assert 200 == served.get(path).status

    @pytest.mark.parametrize("name", ["azure", "10", "17"])
    def test_baseline_of_old(self, simulated, served, name):
        """
        A baseline that is an old number is asked for once too: another source
        might have it.
        """
        path = f"/baseline/{name}{SGX}/tcb?fmspc={ICE}"
        reasons = {served.get(path)["thim-reason"] for _ in range(2)}
        number = 10 if name == "azure" else int(name)

        assert {"withdrawn"} == reasons
        assert 1 == len(simulated.requests.of("tcb", f"DataNumber={number}"))

    def test_no_lists(self, simulated, served):
        """
        Where the vendor has no lists of numbers, its own standard answers.
        """
        simulated.faults.add(Status(route="tcbevaluation*", code=404))
        got = served.get(f"{SGX}/tcb?fmspc={ICE}")

        assert (200, "20") == (got.status, got["thim-evaluation-number"])
        assert "default; inferred" == got["thim-baseline"]


class TestOtherThim:
    def test_chain(self, simulated, served, tmp_path):
        """
        One thim fills from another, number by number, and learns nothing of
        channels that the other has only inferred.
        """
        served.get(f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=20")
        upstreams = [
            upstream(
                simulated,
                url=served.url,
                static_url=served.url,
                service=Service.THIM,
            )
        ]
        vendors = vendor_settings(upstreams=upstreams)
        store = tmp_path / "second.db"
        with facing(simulated, store, vendors) as second:
            path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=20"

            assert served.get(path).body == second.get(path).body
            assert 200 == second.get(f"{SGX}/rootcacrl").status

    def test_seeded(self, simulated, store, tmp_path):
        """
        A number that the vendor has withdrawn comes from another thim that
        still has it.
        """
        simulated.clock.move_to(simulated.clock() - 300 * DAY)
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=17"
        with facing(simulated, store) as first:
            assert 200 == first.get(path).status
            simulated.clock.advance(300 * DAY)
            upstreams = [
                upstream(
                    simulated,
                    url=first.url,
                    static_url=first.url,
                    service=Service.THIM,
                )
            ]
            vendors = vendor_settings(simulated, upstreams=upstreams)
            with facing(simulated, tmp_path / "new.db", vendors) as second:
                got = second.get(path)

                assert (200, "17") == (
                    got.status,
                    got["thim-evaluation-number"],
                )
                assert got["warning"].startswith('110 - "expired')


class TestReadiness:
    def test_mode(self, served):
        """
        Readiness names the mode, and that nothing here can be trusted.
        """
        got = served.get("/health/ready").json

        assert ("lazy", True) == (got["fill"], got["dangerous"])

    def test_status_by_then(self, simulated, served, store):
        """
        When everything is fetched all is well, for nearly a month.
        """
        served.get(f"{SGX}/tcb?fmspc={ICE}")
        status = settle(store, simulated)

        assert [] == list(status_of(store, simulated).concerns)
        assert {"fresh"} == set(status.states)
        assert (
            timedelta(days=29)
            < autonomy_of(store, simulated)
            < timedelta(days=30)
        )


TARGET = Target(key=tcb_info_key(Tee.SGX, bytes.fromhex(ICE), 3), number=22)


class TestElsewhere:
    """Somebody else, another worker, asks already."""

    @pytest.mark.parametrize(
        ("end", "status", "reason"),
        [
            (
                lambda agenda, target, now: agenda.settle(
                    target,
                    "other",
                    Settlement(
                        due=now + DAY,
                        answered=False,
                        reason="vendor-has-none",
                        absent_until=now + HOUR,
                    ),
                    now=now,
                ),
                404,
                "vendor-has-none",
            ),
            (
                lambda agenda, target, now: agenda.settle(
                    target,
                    "other",
                    Settlement(due=now + DAY, answered=False, reason="timeout"),
                    now=now,
                ),
                503,
                "timeout",
            ),
        ],
    )
    def test_outcome(self, simulated, served, store, end, status, reason):
        """
        What becomes of it is our answer too, and we do not ask.
        """
        settle(store, simulated)
        target = TARGET
        now = simulated.clock()
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=22"
        with (
            Ledger(store, simulated.anchors) as ledger,
            concurrent.futures.ThreadPoolExecutor(1) as pool,
        ):
            until = now + MINUTE
            ledger.agenda.claim(target, "other", now=now, until=until)
            waiting = pool.submit(served.get, path)
            time.sleep(0.2)  # it waits by now
            assert not waiting.done()
            end(ledger.agenda, target, now)
            got = waiting.result()

        assert (status, reason) == (got.status, got["thim-reason"])
        assert [] == list(simulated.requests.of("tcb", "DataNumber=22"))

    def test_document(self, simulated, served, store, tmp_path):
        """
        When it has the document, so have we.
        """
        settle(store, simulated)
        target = TARGET
        now = simulated.clock()
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=22"
        body = ask(simulated.url, path).body
        with (
            Ledger(store, simulated.anchors) as ledger,
            concurrent.futures.ThreadPoolExecutor(1) as pool,
        ):
            until = now + MINUTE
            ledger.agenda.claim(target, "other", now=now, until=until)
            waiting = pool.submit(served.get, path)
            time.sleep(0.2)
            list(ingest([("other", body)], ledger=ledger, now=now))
            ledger.agenda.settle(
                target,
                "other",
                Settlement(due=now + DAY, answered=True),
                now=now,
            )
            got = waiting.result()

        assert (200, body) == (got.status, got.body)
        assert 1 == len(simulated.requests.of("tcb", "DataNumber=22"))

    @pytest.mark.parametrize(
        "leave",
        [
            lambda agenda, db, now: agenda.postpone(TARGET, "other", now),
            lambda agenda, db, now: db.execute(
                "DELETE FROM targets WHERE name = ?", (str(TARGET),)
            ),
        ],
    )
    def test_nobody_any_more(self, simulated, served, store, leave):
        """
        Where whoever asked has given it up, or is forgotten, we ask.
        """
        settle(store, simulated)
        now = simulated.clock()
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=22"
        with (
            Ledger(store, simulated.anchors) as ledger,
            concurrent.futures.ThreadPoolExecutor(1) as pool,
        ):
            until = now + MINUTE
            ledger.agenda.claim(TARGET, "other", now=now, until=until)
            waiting = pool.submit(served.get, path)
            time.sleep(0.2)
            with contextlib.closing(sqlite3.connect(store)) as db, db:
                leave(ledger.agenda, db, now)
            got = waiting.result()

        assert 200 == got.status
        assert 1 == len(simulated.requests.of("tcb", "DataNumber=22"))


class TestMemo:
    def test_clock_set_back(self, simulated, served, store):
        """
        What was remembered by a clock that was ahead is forgotten when it is
        set back.
        """
        path = f"{SGX}/pckcrl?ca=platform"
        served.get(path)
        settle(store, simulated)
        simulated.stop_listening()
        right = simulated.clock()
        simulated.clock.advance(40 * DAY)
        await_quiet(store, simulated)
        assert "expired" in served.get(path)["warning"]
        assert "expired" in served.get(path)["warning"]
        simulated.clock.move_to(right)

        await_so(lambda: "warning" not in served.get(path))


class TestLooks:
    def test_bounded(self, simulated, store):
        """
        Who asks too often for what is not there is told so without a look.
        """
        vendors = vendor_settings(simulated, source_rate=1)
        with facing(simulated, store, vendors) as served:
            settle(store, simulated)
            path = f"{SGX}/tcb?fmspc=FFFFFFFFFFFF"
            statuses = [served.get(path).status for _ in range(25)]

            assert [404] * 20 + [503] * 5 == statuses


class TestStore:
    def test_cannot_be_written(self, simulated, served, store):
        """
        Where the ledger cannot be written a miss is a 503 that says so, and
        what is there is served.
        """
        served.get(f"{SGX}/tcb?fmspc={ICE}")
        settle(store, simulated)
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute("DROP TABLE addresses")
        got = served.get(f"{TDX}/tcb?fmspc={SAPPHIRE}")

        assert (503, b"", "store-write") == (
            got.status,
            got.body,
            got["thim-reason"],
        )
        assert 200 == served.get(f"{SGX}/tcb?fmspc={ICE}").status


class TestOtherLayout:
    """
    A TCB info that is there in the layout of v2 and v3 only.
    """

    @pytest.fixture
    def old(self, simulated, store):
        """
        The store has structure 2 of a number, and not 3.
        """
        new_store(store, simulated.anchors)
        intel = simulated.intel.pki
        body = intel.tcb_info(
            fmspc=ICE,
            structure=2,
            number=20,
            issued=simulated.clock() - DAY,
        )
        files = [("ca.pem", to_pem(intel.certificates)), ("old", body)]
        with Ledger(store, simulated.anchors) as ledger:
            list(ingest(files, ledger=ledger, now=simulated.clock()))
        return body

    def test_fetched(self, simulated, store, old):
        """
        v4 gets its own layout where the vendor has it.
        """
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=20"
        with facing(simulated, store) as served:
            got = served.get(path)

        assert 3 == got.json["tcbInfo"]["version"]
        assert "warning" not in got

    def test_vendor_down(self, simulated, store, old):
        """
        Without the vendor the other layout is better than nothing, and says
        so.
        """
        simulated.faults.add(Down(route="tcb"))
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=20"
        with facing(simulated, store) as served:
            got = served.get(path)

        assert (200, old) == (got.status, got.body)
        assert '299 - "TCB info structure 2"' in got["warning"]
