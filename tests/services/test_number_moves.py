import contextlib
import dataclasses
import datetime
import json

import pytest

from tests.new_store import new_store
from tests.services.made import INTEL, NOW, fill
from tests.tenants import Decisions
from thim.baseline.rollout import Impact
from thim.intel.names import Update
from thim.services.number_moves import MOVED, find_number_moves
from thim.services.watchman import Post, Watchman
from thim.store.ledger import Ledger
from thim.store.notice_view import NoticeView
from thim.store.replica import Replica


DAY = datetime.timedelta(days=1)


@pytest.fixture
def store(tmp_path):
    """
    A store with two numbers, of which standard is the older.
    """
    path = tmp_path / "thim.db"
    new_store(path, INTEL.anchors)
    see_standard(path, 18)
    with Ledger(path, INTEL.anchors) as ledger:
        fill(ledger, *(INTEL.identity(number=n) for n in (18, 20)))
    decided = Decisions().tenant("follower", "standard")
    decided.tenant("pinned", "18").write(path, INTEL.anchors)
    return path


def see_standard(path, number):
    """
    See the vendor's standard at a number.
    """
    with Ledger(path, INTEL.anchors) as ledger:
        assert ledger.observe_channel(
            Update.STANDARD, number, source="test", seen=NOW
        )


def look(path, hooks=("ops",)):
    """
    Let a new watchman look once; it is told what each move does by a judge
    that lets everything break.
    """

    def judge(_store, moves, _now):
        return [
            Impact(
                tenant=move.tenant.name,
                before=move.before,
                after=move.after,
                platforms=3,
                judged=3,
                breaking=2,
            )
            for move in moves
        ]

    post = Post(
        store=path,
        anchors=INTEL.anchors,
        hooks=hooks,
        clock=lambda: NOW,
        draw=lambda: 0.0,
        judge_number=lambda *_: [],
        find_outlooks=lambda *_: {},
        judge_moves=judge,
    )
    with contextlib.closing(Replica(path)) as replica:
        Watchman(replica, post).look()


def notices(path):
    """
    What was told of moves, in order: subject and body.
    """
    with contextlib.closing(Replica(path)) as replica:
        found = NoticeView(replica).recent(100)
        return [
            (notice.subject, json.loads(notice.body))
            for notice in reversed(found)
            if notice.kind == MOVED
        ]


def told(path):
    """
    How many notices hooks are told of.
    """
    with contextlib.closing(Replica(path)) as replica:
        deliveries = NoticeView(replica).deliveries(100)
        return [d.notice.subject for d in deliveries if d.notice.kind == MOVED]


class TestMoves:
    def test_first_look(self, store):
        """
        Where a baseline stands at first is noted, and nobody is told.
        """
        look(store)

        subjects = [subject for subject, _ in notices(store)]
        assert "standard@0#1:18" in subjects
        assert [] == told(store)

    def test_pinned(self, store):
        """
        What is a number itself never moves.
        """
        look(store)

        assert not any("18@" in subject for subject, _ in notices(store))

    def test_move(self, store):
        """
        When the rule comes to another number hooks are told, once, with what
        it does to those that have the baseline.
        """
        look(store)
        see_standard(store, 20)
        look(store)
        look(store)

        subject, body = notices(store)[-1]
        assert "standard@0#2:20" == subject
        assert (18, 20) == (body["before"], body["number"])
        assert [("follower", 2)] == [
            (each["tenant"], each["breaking"]) for each in body["tenants"]
        ]
        assert ["standard@0#2:20"] == told(store)

    def test_and_back(self, store):
        """
        What goes back is told again.
        """
        look(store)
        for number in (20, 22):
            see_standard(store, number)
            look(store)
        with Ledger(store, INTEL.anchors) as ledger:
            ledger.observe_channel(
                Update.STANDARD,
                20,
                source="other",
                seen=NOW,
                overrules=("tes",),
            )

        with contextlib.closing(Replica(store)) as replica:
            assert [] == [
                move
                for move in find_number_moves(replica, NOW)
                if move.baseline.name != "standard"
            ]

    def test_two_at_once(self, store):
        """
        Of two who notice the same only one tells.
        """
        look(store)
        see_standard(store, 20)
        with contextlib.closing(Replica(store)) as replica:
            (move,) = find_number_moves(replica, NOW)
            (again,) = find_number_moves(replica, NOW + DAY)

        assert move.subject == again.subject
        assert dataclasses.replace(move, before=18) == move
