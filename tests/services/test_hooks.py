import asyncio
import contextlib
import datetime
import logging
import sqlite3
import subprocess
import sys

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.new_store import new_store
from tests.services.made import INTEL, NOW
from tests.upstream.raw import say, say_nothing
from tests.upstream.receiver import TAKEN, receiving, status
from thim.services.hooks import (
    LEASE,
    LEAST_ATTEMPTS,
    LONGEST_PAUSE,
    PATIENCE,
    Courier,
    find_pause,
)
from thim.store.ledger import Ledger
from thim.store.notice_view import LONGEST_LEASE, LONGEST_PLAN, NoticeView


TICK = datetime.timedelta(seconds=0.01)
SECOND = datetime.timedelta(seconds=1)
LONG = datetime.timedelta(seconds=30)


class Clock:
    """
    A clock that a test moves.
    """

    def __init__(self):
        self.now = NOW

    def __call__(self):
        """
        Return where it stands.
        """
        return self.now


@pytest.fixture
def clock():
    """
    It stands at NOW.
    """
    return Clock()


@pytest.fixture
def view(replica):
    """
    What became of the notices.
    """
    return NoticeView(replica)


@pytest.fixture
def make(store, clock):
    """
    Make a courier of that store to webhooks.
    """

    def made(*hooks, store=store):
        return Courier(
            hooks, store, INTEL.anchors, clock, draw=lambda: 0, tick=TICK
        )

    return made


def tell(ledger, subject="22", hooks=("here",)):
    """
    Have webhooks told of a number.
    """
    ledger.notices.add("number", subject, '{"number": 22}', NOW, hooks)


def events(store):
    """
    Return what was decided, and by whom.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT actor, action, detail FROM events").fetchall()


@contextlib.asynccontextmanager
async def following(courier):
    """
    Let *courier* follow the queue.
    """
    task = asyncio.create_task(courier.follow())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(is_so):
    """
    Wait until something is so, for ten seconds at most.
    """
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - others make it so
            await asyncio.sleep(0.01)


class TestCarry:
    def test_delivered(self, ledger, view, make):
        """
        A notice is posted with its kind, subject and instant, signed, and is
        delivered.
        """

        async def scenario():
            async with receiving() as got:
                assert 1 == await make(got.hook()).carry()
                return got.posts

        tell(ledger)
        (post,) = asyncio.run(scenario())

        assert post.is_signed()
        assert {
            "type": "number",
            "timestamp": f"{NOW:%FT%TZ}",
            "subject": "22",
            "data": {"number": 22},
        } == post.json
        assert ["delivered"] == [d.state for d in view.deliveries(9)]

    def test_nothing(self, make):
        """
        Where nothing is due nothing is done.
        """
        assert 0 == asyncio.run(make().carry())

    def test_again(self, ledger, view, make, clock):
        """
        What failed is tried again after ten seconds, under the same ID.
        """

        async def scenario():
            async with receiving(status(500), status(200)) as got:
                courier = make(got.hook())
                assert 1 == await courier.carry()
                assert 0 == await courier.carry()
                clock.now += 10 * SECOND
                assert 1 == await courier.carry()
                return got.posts

        tell(ledger)
        first, second = asyncio.run(scenario())
        (found,) = view.deliveries(1)

        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        assert second.is_signed()
        assert ("delivered", 2) == (found.state, found.attempts)

    def test_gone(self, ledger, store, view, make):
        """
        A receiver that is gone for good is not tried again; that is an event.
        """

        async def scenario():
            async with receiving(status(410)) as got:
                await make(got.hook()).carry()

        tell(ledger)
        asyncio.run(scenario())

        line = "webhook here, number 22, attempt 1"
        assert "given-up" == view.deliveries(1)[0].state
        assert [
            (
                "thim",
                "webhook-give-up",
                f"{line} (status 410: it is gone for good)",
            )
        ] == events(store)

    def test_given_up(self, ledger, store, view, make, clock):
        """
        After 24 hours and ten attempts a notice is given up, which is an
        event; until then it is not.
        """

        async def scenario():
            async with receiving(status(503)) as got:
                courier = make(got.hook())
                while "waiting" == view.deliveries(1)[0].state:
                    clock.now = view.deliveries(1)[0].due or clock.now
                    assert 1 == await courier.carry()
                return len(got.posts)

        tell(ledger)
        attempts = asyncio.run(scenario())
        ((_, action, detail),) = events(store)

        assert PATIENCE <= clock.now - NOW <= PATIENCE + LONGEST_PAUSE
        assert 30 < attempts < 36
        assert "webhook-give-up" == action
        assert detail.endswith("(status 503)")

    def test_after_a_pause(self, ledger, view, make, clock):
        """
        A notice that nobody could try for days is tried all the same.
        """

        async def scenario():
            async with receiving(status(503)) as got:
                await make(got.hook()).carry()

        tell(ledger)
        clock.now += 3 * PATIENCE
        asyncio.run(scenario())

        assert "waiting" == view.deliveries(1)[0].state

    def test_one_of_several(self, ledger, view, make):
        """
        A receiver that is slow or fails delays no other.
        """

        async def scenario():
            async with receiving(say_nothing) as bad, receiving() as good:
                slow = bad.hook(name="slow", timeout=LONG)
                courier = make(slow, good.hook(name="good"))
                async with following(courier):
                    await until(lambda: good.posts)

        tell(ledger, hooks=["slow", "good"])
        asyncio.run(scenario())

    def test_two_couriers(self, ledger, store, view, make):
        """
        Two couriers at once send each notice once.
        """

        async def scenario():
            async with receiving() as got:
                couriers = make(got.hook()), make(got.hook())
                async with following(couriers[0]), following(couriers[1]):
                    await until(lambda: view.tallies()["here"].delivered == 40)
                return got.posts

        for n in range(40):
            tell(ledger, str(n))
        posts = asyncio.run(scenario())

        assert 40 == len({post.json["subject"] for post in posts})
        assert 40 == len(posts)


class TestFollow:
    def test_told_later(self, ledger, make):
        """
        What is noticed later is carried then.
        """

        async def scenario():
            async with receiving() as got, following(make(got.hook())):
                await asyncio.sleep(0.05)
                assert not got.posts
                tell(ledger)
                await until(lambda: got.posts)

        asyncio.run(scenario())

    def test_no_store(self, tmp_path, make, caplog):
        """
        A store that cannot be opened is said, and does not end it.
        """
        path = tmp_path / "later.db"

        async def scenario():
            async with (
                receiving() as got,
                following(make(got.hook(), store=path)),
            ):
                await until(lambda: "no such file" in caplog.text)
                new_store(path, INTEL.anchors)
                with Ledger(path, INTEL.anchors) as ledger:
                    tell(ledger)
                await until(lambda: got.posts)

        asyncio.run(scenario())

    def test_bug(self, ledger, store, view, make, caplog):
        """
        Nor does a notice that makes no sense, and the others are carried.
        """
        tell(ledger, "bad")
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute("UPDATE notices SET body = '{'")
        tell(ledger, "good")

        async def scenario():
            async with receiving() as got:
                async with following(make(got.hook())):
                    await until(lambda: view.tallies()["here"].delivered)
                    # Either may come first.
                    await until(lambda: "JSONDecodeError" in caplog.text)
                return got.posts

        (post,) = asyncio.run(scenario())

        assert "good" == post.json["subject"]

    def test_cancelled(self, ledger, view, make, clock):
        """
        A courier that is ended while it sends is ended at once; what it had
        claimed is carried again after the lease, as the same delivery.
        """

        async def scenario():
            async with receiving(say_nothing, say(TAKEN)) as got:
                hook = got.hook(timeout=LONG)
                async with following(make(hook)):
                    await until(lambda: got.posts)
                assert 0 == await make(hook).carry()
                clock.now += LEASE
                assert 1 == await make(hook).carry()
                return got.posts

        tell(ledger)
        first, second = asyncio.run(scenario())

        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert "delivered" == view.deliveries(1)[0].state

    def test_no_transaction(self, ledger, make):
        """
        While a receiver is waited for, the store can be written.
        """

        async def scenario():
            async with (
                receiving(say_nothing) as got,
                following(make(got.hook(timeout=LONG))),
            ):
                await until(lambda: got.posts)
                async with asyncio.timeout(5):
                    await asyncio.to_thread(tell, ledger, "23")

        tell(ledger)
        asyncio.run(scenario())


class TestLog:
    @pytest.mark.parametrize(
        ("code", "said"),
        [
            (200, "attempt 1 (status 200) is delivered"),
            (500, "attempt 1 (status 500) is tried again at "),
            (410, "is given up"),
        ],
    )
    def test_line(self, ledger, make, caplog, code, said):
        """
        Each attempt is one line, in which no secret is, nor what breaks lines.
        """

        async def scenario():
            async with receiving(status(code)) as got:
                await make(got.hook()).carry()

        tell(ledger, "a\nb")
        with caplog.at_level(logging.INFO, "thim.webhooks"):
            asyncio.run(scenario())
        (line,) = [
            record.getMessage()
            for record in caplog.records
            if record.name == "thim.webhooks"
        ]

        assert line.startswith("webhook here, number a\\nb, ")
        assert said in line
        assert "t0ken" not in line

    def test_light(self):
        """
        A courier with nothing to carry loads neither SQLAlchemy nor an HTTP
        client.
        """
        code = (
            "import sys, thim.services.hooks; "
            "print([m for m in ('sqlalchemy', 'httpx2') if m in sys.modules])"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True
        )

        assert b"[]\n" == ran.stdout


class TestPause:
    @given(st.integers(1, 1000), st.floats(0, 1))
    def test_bounds(self, attempts, draw):
        """
        A pause is from seven seconds to an hour.
        """
        assert 7 * SECOND <= find_pause(attempts, draw) <= LONGEST_PAUSE

    def test_doubled(self):
        """
        It is doubled with each attempt, from ten seconds to an hour.
        """
        pauses = [find_pause(n, 0) // SECOND for n in range(1, 12)]

        assert [10, 20, 40, 80, 160, 320, 640, 1280, 2560] == pauses[:9]
        assert [3600, 3600] == pauses[9:]

    def test_fits(self):
        """
        No plan and no lease is one that the store takes for a clock's fault,
        and ten attempts are over long before a notice is given up.
        """
        assert LEASE < LONGEST_LEASE
        assert LONGEST_PAUSE < LONGEST_PLAN
        tried = (find_pause(n, 0) for n in range(1, LEAST_ATTEMPTS + 1))
        assert sum(tried, datetime.timedelta()) < PATIENCE / 4
