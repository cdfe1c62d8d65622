import datetime

import pytest

from tests.http.scraping import values
from thim.http.metrics_node import find_lag, node_metrics
from thim.http.scrape import Scrape
from thim.http.settings import HttpSettings
from thim.http.tallies import Sheet
from thim.store.node_state import NodeBeat, NodeState


NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)


def state(**changes):
    """
    How a node stands that is up to date.
    """
    members = {
        "node": "a",
        "position": 7,
        "ledger_position": 7,
        "followed": NOW - MINUTE,
        "is_away": False,
        "leads": ("intel",),
        "trouble": None,
        "differs": False,
        "nodes": (),
        **changes,
    }
    return NodeState(**members)


def measured(tmp_path, node, ledger="postgresql://thim@db.example/thim"):
    """
    Return what is measured of a node.
    """
    scrape = Scrape(
        settings=HttpSettings(store=tmp_path / "thim.db", ledger=ledger),
        now=NOW,
        sheet=Sheet(),
        pids=[1],
        node=node,
    )
    return values(node_metrics(scrape))


class TestLag:
    def test_none(self):
        """
        A node that has followed to the end serves nothing old, however long
        nothing has changed.
        """
        assert 0 == find_lag(state(), NOW)

    @pytest.mark.parametrize("changes", [{"position": 6}, {"is_away": True}])
    def test_behind(self, changes):
        """
        What one serves that is behind, or cannot know, is as old as its last
        step.
        """
        assert 60 == find_lag(state(**changes), NOW)

    def test_clock_back(self):
        """
        Nothing is younger than now.
        """
        assert 0 == find_lag(state(is_away=True), NOW - 2 * MINUTE)

    def test_never(self):
        """
        Of one that has never followed nobody knows.
        """
        assert find_lag(state(is_away=True, followed=None), NOW) is None


class TestNodeMetrics:
    def test_alone(self, tmp_path):
        """
        A node whose store is the ledger says nothing of others.
        """
        assert not measured(tmp_path, None, ledger=None)

    def test_silent(self, tmp_path):
        """
        Where nobody follows any more the ledger is as good as away.
        """
        assert {
            ("thim_ledger_away",): 1,
            ("thim_ledger_refused",): 0,
        } == measured(tmp_path, None)

    def test_refused(self, tmp_path):
        """
        A ledger that does not let the node in is told from one that is away.
        """
        found = measured(tmp_path, state(is_away=True, reason="ledger-refused"))

        assert 1 == found["thim_ledger_away",] == found["thim_ledger_refused",]

    @pytest.mark.parametrize(
        ("changes", "name", "expected"),
        [
            # Of damage a concern tells.
            (
                {"is_away": True, "reason": "ledger-damaged"},
                "thim_ledger_away",
                0,
            ),
            ({"is_away": True, "reason": "x"}, "thim_ledger_refused", 0),
            ({"differs": True}, "thim_replica_diverges", 1),
            ({"ledger_position": 9}, "thim_ledger_position", 9),
            ({"ledger_position": 9}, "thim_replica_position", 7),
        ],
    )
    def test_not_well(self, tmp_path, changes, name, expected):
        """
        What is not as it should be is measured as what it is.
        """
        found = measured(tmp_path, state(**changes))

        assert expected == found[name,]

    def test_told(self, tmp_path):
        """
        What a node says of itself and of the others is measured.
        """
        other = NodeBeat(
            name="b",
            version="0.1.0",
            seen=NOW,
            position=7,
            digest_differs=True,
        )
        found = measured(tmp_path, state(nodes=(other,)))

        assert {
            ("thim_ledger_away",): 0,
            ("thim_ledger_refused",): 0,
            ("thim_replica_lag_seconds",): 0,
            ("thim_replica_position",): 7,
            ("thim_ledger_position",): 7,
            ("thim_replica_diverges",): 0,
            ("thim_node_leads", "intel"): 1,
            ("thim_node_leads", "amd"): 0,
            ("thim_node_seen_timestamp_seconds", "b", "0.1.0"): NOW.timestamp(),
            ("thim_node_diverges", "b"): 1,
        } == found
