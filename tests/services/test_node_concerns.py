"""
What is said of a node that does not stand well towards its ledger.
"""

import contextlib
import sqlite3

import pytest

from tests.new_store import new_store
from tests.store.made import ANCHORS, day
from thim.services.node_concerns import find_node_concerns
from thim.services.status import Level
from thim.store.node_state import (
    NodeBeat,
    NodeState,
    StateReader,
    state_file,
    write_state,
)
from thim.store.replica import Replica


def made_state(**news):
    """
    The state of a node that is well, but for what is told.
    """
    usual = {
        "node": "a",
        "position": 5,
        "ledger_position": 5,
        "followed": day(0),
        "is_away": False,
        "leads": ("intel",),
        "trouble": None,
        "differs": False,
        "nodes": (made_beat(),),
    }
    return NodeState(**{**usual, **news})


def made_beat(**news):
    """
    What a node tells of itself.
    """
    usual = {
        "name": "b",
        "version": "1",
        "seen": day(0),
        "position": 5,
        "digest_differs": False,
    }
    return NodeBeat(**{**usual, **news})


@pytest.fixture
def store(tmp_path):
    """
    A store that says that it is a replica.
    """
    path = tmp_path / "thim.db"
    new_store(path, ANCHORS)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT OR REPLACE INTO replication VALUES "
            "(1, 'postgresql://x', 'l', 'e', 1, 5)"
        )
    return path


def concerns(store):
    """
    The reasons of all concerns.
    """
    with contextlib.closing(Replica(store)) as replica:
        return [found.reason for found in find_node_concerns(replica)]


class TestConcerns:
    def test_own_ledger(self, tmp_path):
        """
        Of a store that is the ledger there is nothing to say.
        """
        new_store(tmp_path / "a.db", ANCHORS)
        with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as db, db:
            db.execute("DELETE FROM replication")

        assert [] == concerns(tmp_path / "a.db")

    def test_well(self, store):
        """
        Nor of a node that follows.
        """
        write_state(store, made_state())

        assert [] == concerns(store)

    @pytest.mark.parametrize(
        ("news", "reasons"),
        [
            ({"is_away": True, "trouble": "gone"}, ["ledger-away"]),
            ({"is_away": True, "reason": "ledger-refused"}, ["ledger-refused"]),
            ({"is_away": True, "reason": "replica-write"}, ["ledger-away"]),
            ({"is_away": True, "reason": "ledger-damaged"}, ["ledger-damaged"]),
            ({"reason": "ledger-damaged"}, ["ledger-damaged"]),
            ({"reason": "ledger-full"}, ["ledger-full"]),
            ({"ledger_position": 1005}, []),
            ({"ledger_position": 1006}, ["replica-behind"]),
            ({"differs": True}, ["replica-differs"]),
            (
                {"nodes": (made_beat(digest_differs=True),)},
                ["replica-differs"],
            ),
        ],
    )
    def test_not_well(self, store, news, reasons):
        """
        What is not as it should be is named.
        """
        write_state(store, made_state(**news))

        assert reasons == concerns(store)

    @pytest.mark.parametrize(
        ("news", "level", "said"),
        [
            ({"is_away": True, "trouble": "gone"}, Level.NOW, "(gone)"),
            (
                {"reason": "ledger-damaged"},
                Level.NOW,
                "cannot be read there is not written any more",
            ),
            (
                {"reason": "ledger-full"},
                Level.NOW,
                "nothing new is kept until there is room again",
            ),
            ({"ledger_position": 1006}, Level.SOON, "1001 changes"),
            ({"differs": True}, Level.NOW, "than in the ledger"),
            (
                {"nodes": (made_beat(digest_differs=True), made_beat())},
                Level.NOW,
                "than in b",
            ),
        ],
    )
    def test_said(self, store, news, level, said):
        """
        It is said how urgent that is, and what it means.
        """
        write_state(store, made_state(**news))
        with contextlib.closing(Replica(store)) as replica:
            (concern,) = find_node_concerns(replica)

        assert level is concern.level
        assert said in concern.detail

    def test_several(self, store):
        """
        Of a node that is cut off and differs both are said.
        """
        write_state(store, made_state(is_away=True, differs=True))

        assert ["ledger-away", "replica-differs"] == concerns(store)

    @pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", b"[1]"])
    def test_nobody_tells(self, store, content):
        """
        Where nobody tells how it stands, nobody follows.
        """
        if content is not None:
            state_file(store).write_bytes(content)

        assert ["ledger-away"] == concerns(store)


class TestReader:
    def test_news(self, store):
        """
        A reader sees what is told, and what is told later.
        """
        reader = StateReader(store)

        assert reader.read() is None
        write_state(store, made_state())
        assert made_state() == reader.read()
        write_state(store, made_state(position=6))
        assert made_state(position=6) == reader.read()

    def test_dead(self, store):
        """
        Of who has told nothing for ten seconds nothing is believed.
        """
        write_state(store, made_state())
        reader = StateReader(store)
        reader.read()
        reader._since -= 10

        assert reader.read() is None
