import contextlib
import os
import shutil
import signal
import sqlite3
import time

import pytest

from tests.new_store import new_store
from tests.services.changes import (
    count,
    decide,
    list_numbers,
    planning,
    stand,
)
from tests.services.made import INTEL
from tests.store.line_process import LineProcess
from thim.baseline.model import Tenant
from thim.baseline.rollout import State
from thim.services.deciding import deciding
from thim.store.ledger import Ledger


TENANTS = [f"t{n}" for n in range(300)]


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """
    A store in which it is planned that many tenants go to another baseline.
    """
    path = tmp_path_factory.mktemp("planned") / "thim.db"
    new_store(path, INTEL.anchors)
    with Ledger(path, INTEL.anchors) as ledger:
        list_numbers(ledger)
        with deciding(ledger) as decider:
            for name in TENANTS:
                tenant = Tenant(name=name, baseline="17")
                decider.create_tenant(tenant, decide())
        planning(ledger).plan_move(TENANTS, "19")
        ledger.checkpoint()
    return path


@pytest.fixture(scope="module")
def applier():
    """
    A process that applies plans.
    """
    opened = LineProcess("tests.services.applier")
    yield opened
    assert "" == opened.close()


def wait_until_locked(store):
    """
    Wait until somebody else is writing, or has.
    """
    with contextlib.closing(
        sqlite3.connect(store, timeout=0, isolation_level=None)
    ) as db:
        before = db.execute("PRAGMA data_version").fetchone()
        for _ in range(100_000):
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return
            db.execute("ROLLBACK")
            if before != db.execute("PRAGMA data_version").fetchone():
                return
            time.sleep(0.0005)
    raise AssertionError


class TestKilled:
    @pytest.mark.parametrize("after", [0, 0.02, 0.05, 0.1, 0.2, None])
    def test_nothing_half(self, tmp_path, planned, applier, after):
        """
        Killed while it applies a plan, or not, a process leaves all of it done
        or nothing; the next one completes it.
        """
        store = tmp_path / "thim.db"
        shutil.copy(planned, store)
        before = count(store, "enactments")
        applier.write(f"{store}\t1")
        running = int(applier.read())
        if after is not None:
            wait_until_locked(store)
            time.sleep(after)
            os.kill(running, signal.SIGKILL)
        ended = applier.read()

        done = count(store, "enactments") - before
        with Ledger(store, INTEL.anchors) as ledger:
            planner = planning(ledger)
            found = planner.read(1)

            assert (found.state, done) in {
                (State.PLANNED, 0),
                (State.APPLIED, len(TENANTS)),
            }
            assert (ended, found.state) in {
                ("end -9", State.PLANNED),
                ("end -9", State.APPLIED),
                ("end 0", State.APPLIED),
            }
            if found.state is State.PLANNED:
                planner.apply(found)

        assert [19, 19] == stand(store, 0, TENANTS[0], TENANTS[-1])
