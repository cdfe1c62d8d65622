import asyncio
import concurrent.futures
import contextlib
import json
import threading

import pytest

from tests.services.changes import (
    back,
    baseline,
    count,
    create,
    define,
    events,
    list_numbers,
    point,
)
from tests.services.made import INTEL, day, fill
from thim.baseline.rollout import Impact
from thim.errors import UnavailableError
from thim.intel.names import Update
from thim.services.number_moves import MOVED
from thim.services.watchman import Post, Watchman, watch
from thim.simulate.pki import NUMBERS
from thim.store.ledger import Ledger
from thim.store.notice_view import NoticeView
from thim.store.replica import Replica


HOOKS = ("ops",)
#: Recovery events of numbers that come later, or are found later.
LATER = {
    15: day(-900),
    21: day(1),
    22: day(2),
}


class Judge:
    """
    Says of every tenant that three of ten would break; fails as long as
    *trouble* says how.
    """

    def __init__(self):
        self.numbers = []
        self.trouble = None

    def __call__(self, store, number, now):
        """
        Judge what it does to go to *number*.
        """
        self.numbers.append(number)
        if self.trouble is not None:
            raise self.trouble
        with contextlib.closing(Replica(store)) as replica:
            return [
                Impact(
                    tenant=tenant.name,
                    before=18,
                    after=number,
                    platforms=12,
                    judged=10,
                    breaking=3,
                )
                for tenant in replica.book().tenants(now)
            ]


class Watch:
    """
    A watchman on the nth *day* by the clock, with a judge.
    """

    def __init__(self, store):
        self.day = 0
        self.judge = Judge()
        self.replica = Replica(store)
        self.post = Post(
            store=store,
            anchors=INTEL.anchors,
            hooks=HOOKS,
            clock=lambda: day(self.day),
            draw=lambda: 0.5,
            judge_number=self.judge,
            find_outlooks=lambda store, now: {},
            judge_moves=lambda store, moves, now: [],
        )
        self.man = Watchman(self.replica, self.post)

    def look(self, times=1):
        """
        Let him look.
        """
        for _ in range(times):
            self.man.look()


@pytest.fixture
def begun(ledger, store):
    """
    A watchman has looked at a store of 17 to 20, where standard is 18.
    """
    list_numbers(ledger)
    point(ledger, 18, 0)
    made = Watch(store)
    made.look()
    yield made
    made.replica.close()


def news(ledger, *numbers, n=10):
    """
    Have the vendor list more numbers on the nth day.
    """
    more = {number: LATER[number] for number in numbers}
    list_numbers(ledger, {**NUMBERS, **more}, n)


def look_at_once(store, many):
    """
    Let many watchmen look at once.
    """
    barrier = threading.Barrier(many)

    def look():
        one = Watch(store)
        barrier.wait()
        one.look()
        one.replica.close()

    with concurrent.futures.ThreadPoolExecutor(many) as pool:
        for done in [pool.submit(look) for _ in range(many)]:
            done.result()


def told(replica):
    """
    Return of what webhooks are told, the first one first, but for baselines
    that have moved.
    """
    deliveries = NoticeView(replica).deliveries(100)
    return [
        (d.notice.kind, d.notice.subject)
        for d in reversed(deliveries)
        if d.notice.kind != MOVED
    ]


async def until(is_so):
    """
    Wait until something is so.
    """
    while not is_so():  # noqa: ASYNC110 - as anybody looks
        await asyncio.sleep(0.01)


def body(replica):
    """
    Return what was noticed last, but for baselines that have moved.
    """
    notices = NoticeView(replica).recent(100)
    return json.loads(next(n for n in notices if n.kind != MOVED).body)


class TestNumbers:
    def test_first_look(self, store, replica, begun):
        """
        A new store has nothing new: nobody is told of what is there.
        """
        assert [] == told(replica)
        assert [] == begun.judge.numbers
        assert [] == events(store)
        assert {"17", "18", "19", "20"} == NoticeView(replica).subjects(
            "evaluation-number"
        )

    def test_new(self, ledger, store, replica, begun, caplog):
        """
        A new number is told at once: in the log, as an event and to webhooks,
        with what it would do to each tenant.
        """
        create(ledger, "lab")
        news(ledger, 21)
        begun.day = 10
        begun.look()

        assert [("evaluation-number", "21")] == told(replica)

        found = body(replica)
        actor, action, detail = events(store)[-1]

        assert (21, "2025-06-06", "2025-06-07") == (
            found["number"],
            found["recovery_event"],
            found["tcb_date"],
        )
        assert [("root", 18, 21, 3, 10), ("lab", 18, 21, 3, 10)] == [
            (t["tenant"], t["before"], t["after"], t["breaking"], t["judged"])
            for t in found["tenants"]
        ]
        assert ("thim", "evaluation-number") == (actor, action)
        assert found == json.loads(detail)
        assert (
            "number 21 is new at Intel: tenant root, now at 18" in caplog.text
        )

    def test_forecast(self, ledger, replica, begun):
        """
        When it can be expected to be standard is said.
        """
        news(ledger, 21)
        begun.look()

        found = body(replica)

        assert "unknown" != found["forecast"]
        assert "2025-06-15" < found["standard_expected"]

    def test_once(self, ledger, replica, begun):
        """
        It is told once, however often the lists are signed anew.
        """
        news(ledger, 21)
        begun.look()
        news(ledger, 21, n=11)
        begun.look(100)

        assert [("evaluation-number", "21")] == told(replica)
        assert [21] == begun.judge.numbers

    def test_by_channel(self, ledger, replica, begun):
        """
        A number that only a channel points to is told too.
        """
        point(ledger, 21, 10, Update.EARLY)
        begun.look()

        assert [("evaluation-number", "21")] == told(replica)
        assert body(replica)["recovery_event"] is None

    def test_two_new(self, ledger, replica, begun):
        """
        Of two at once both are told.
        """
        news(ledger, 22, 21)
        begun.look()

        assert ["21", "22"] == [subject for _, subject in told(replica)]

    def test_older(self, ledger, store, replica, begun):
        """
        Nobody is told of an older one that is found later.
        """
        news(ledger, 15)
        begun.look()

        assert [] == told(replica)
        assert [] == begun.judge.numbers
        assert [] == events(store)

    def test_watchmen(self, ledger, store, replica, begun):
        """
        Of some watchmen at once one tells.
        """
        news(ledger, 21)
        look_at_once(store, 4)

        assert [("evaluation-number", "21")] == told(replica)
        assert 1 == len(events(store))

    def test_started_later(self, ledger, store, replica, begun):
        """
        One who begins later tells what came meanwhile, and nothing twice.
        """
        news(ledger, 21)
        other = Watch(store)
        other.look()
        begun.look()
        other.replica.close()

        assert [("evaluation-number", "21")] == told(replica)


class TestDocuments:
    @pytest.fixture
    def served(self, ledger, begun):
        """
        There is a TCB info of 20.
        """
        fill(ledger, INTEL.tcb_info(number=20))
        return begun

    def test_waits(self, ledger, replica, served):
        """
        A new number is told when its documents have come, so that it can be
        judged.
        """
        news(ledger, 21)
        served.look()

        assert [] == served.judge.numbers

        fill(ledger, INTEL.tcb_info(number=21))
        served.look()

        assert [("evaluation-number", "21")] == told(replica)

    def test_not_for_long(self, ledger, replica, served):
        """
        It is told without them after five minutes.
        """
        news(ledger, 21)
        for served.day in (10, 10 + 4.9 / 1440):
            served.look()

        assert [] == told(replica)

        served.day = 10 + 5.1 / 1440
        served.look()

        assert [("evaluation-number", "21")] == told(replica)

    def test_in_order(self, ledger, replica, served):
        """
        A number whose documents are there does not overtake a lower one, of
        which nobody would be told then.
        """
        news(ledger, 21, 22)
        fill(ledger, INTEL.tcb_info(number=22))
        served.look()

        assert [] == told(replica)

        served.day = 1
        served.look()

        assert ["21", "22"] == [subject for _, subject in told(replica)]


class TestTrouble:
    @pytest.mark.parametrize(
        "trouble", [UnavailableError("not now", reason="x"), ValueError("oh")]
    )
    def test_judge(self, ledger, store, replica, begun, trouble):
        """
        What cannot be judged is not told, and tried again after a minute.
        """
        begun.judge.trouble = trouble
        news(ledger, 21)
        with pytest.raises(type(trouble)):
            begun.look()

        assert ([], [], 5) == (
            told(replica),
            events(store),
            count(store, "notices"),
        )

        begun.judge.trouble = None
        begun.look(59)

        assert [21] == begun.judge.numbers

        begun.look()

        assert [21, 21] == begun.judge.numbers
        assert [("evaluation-number", "21")] == told(replica)

    def test_store_changes(self, ledger, replica, begun):
        """
        Or at once when something else has changed.
        """
        begun.judge.trouble = ValueError("oh")
        news(ledger, 21)
        with pytest.raises(ValueError, match="oh"):
            begun.look()
        begun.judge.trouble = None
        create(ledger, "lab")
        begun.look()

        assert [("evaluation-number", "21")] == told(replica)

    def test_half_told(self, ledger, replica, begun):
        """
        What was told before the trouble is not told again.
        """
        news(ledger, 21)
        begun.look()
        begun.judge.trouble = ValueError("oh")
        news(ledger, 21, 22, n=11)
        with pytest.raises(ValueError, match="oh"):
            begun.look()
        begun.judge.trouble = None
        begun.look(60)

        assert ["21", "22"] == [subject for _, subject in told(replica)]

    def test_goes_on(self, ledger, replica, begun, monkeypatch, caplog):
        """
        Nothing that goes wrong ends the watch.
        """
        monkeypatch.setattr("thim.services.watchman._FIRST", 0)
        monkeypatch.setattr("thim.services.watchman._SPREAD", 0)
        monkeypatch.setattr("thim.services.watchman._TICK", 0.01)
        monkeypatch.setattr("thim.services.watchman._PATIENCE", 5)
        begun.judge.trouble = UnavailableError("not now", reason="x")
        news(ledger, 21)

        async def run():
            task = asyncio.create_task(watch(begun.post))
            for trouble in (ValueError("oh"), None):
                await until(lambda: begun.judge.numbers)
                begun.judge.trouble = trouble
                begun.judge.numbers.clear()
            await until(lambda: told(replica))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(asyncio.wait_for(run(), 30))

        assert "baselines are not watched for now: not now" in caplog.text
        assert "ValueError: oh" in caplog.text


class TestPromotions:
    @pytest.fixture
    def held(self, ledger, begun):
        """
        A tenant at a baseline that is standard, held for a fortnight.
        """
        define(ledger, baseline("prod", "standard", hold="14d"))
        create(ledger, "lab", baseline="prod")
        return begun

    def test_told(self, ledger, store, replica, held, caplog):
        """
        A promotion that waits is told at once, with what it would do to those
        whom it would move.
        """
        point(ledger, 20, 10)
        held.day = 10
        held.look()

        assert [("baseline-promotion", "prod@1#2")] == told(replica)

        found = body(replica)

        assert ("prod", 20, "2025-06-29T03:43:45Z", "hold") == (
            found["baseline"],
            found["number"],
            found["effective"],
            found["waits_for"],
        )
        assert [("lab", 3)] == [
            (t["tenant"], t["breaking"]) for t in found["tenants"]
        ]
        assert found == json.loads(events(store)[-1][2])
        assert "baseline prod version 1 comes to number 20" in caplog.text
        assert "tenant lab, now at 18: 3 of 10 platforms" in caplog.text

    def test_until_approved(self, ledger, replica, begun):
        """
        Of one that waits for somebody that is said.
        """
        wanted = baseline("prod", "standard", hold="until-approved")
        define(ledger, wanted)
        point(ledger, 20, 10)
        begun.look()
        found = body(replica)

        assert (None, "approval") == (found["effective"], found["waits_for"])

    def test_once(self, ledger, replica, held):
        """
        It is told once, also when it has come.
        """
        point(ledger, 20, 10)
        for held.day in (10, 11, 30):
            held.look(60)

        assert [("baseline-promotion", "prod@1#2")] == told(replica)

    def test_watchmen(self, ledger, store, replica, held, caplog):
        """
        Of some watchmen at once one tells.
        """
        point(ledger, 20, 10)
        look_at_once(store, 4)

        assert [("baseline-promotion", "prod@1#2")] == told(replica)
        assert 1 == caplog.text.count("comes to number 20")

    def test_back(self, ledger, store, replica, held):
        """
        That the rule came back to where it stands waits for nothing: nobody is
        told.
        """
        point(ledger, 20, 10)
        held.look()
        back(ledger, 18)
        held.look()

        assert [("baseline-promotion", "prod@1#2")] == told(replica)
        assert 3 == count(store, "promotions")

    def test_trouble(self, ledger, store, replica, held):
        """
        What cannot be judged is not written down either: it stands where it
        stood, and is tried again.
        """
        held.judge.trouble = ValueError("oh")
        before = count(store, "promotions")
        point(ledger, 20, 10)
        with pytest.raises(ValueError, match="oh"):
            held.look()

        assert ([], before) == (told(replica), count(store, "promotions"))

        held.judge.trouble = None
        held.look(60)

        assert [("baseline-promotion", "prod@1#2")] == told(replica)

    def test_by_the_clock(self, ledger, replica, begun):
        """
        A rule that moves by the time alone is noticed within a minute.
        """
        define(ledger, baseline("prod", "trailing: 540d", hold="14d"))
        begun.look()
        begun.day = 600
        begun.look(60)

        assert [("baseline-promotion", "prod@1#2")] == told(replica)
        assert "2027-02-09" in body(replica)["effective"]


def test_nothing_changes(ledger, store, begun):
    """
    Where nothing has changed the store is left alone.
    """
    begun.look()
    with Ledger(store, INTEL.anchors):
        before = begun.replica.generation()
        begun.look(200)

        assert before == begun.replica.generation()
