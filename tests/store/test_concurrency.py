import random
import subprocess
import sys
import threading

import pytest

from tests.store.line_process import PROJECT
from tests.store.made import ANCHORS, all_stored, day, make_record
from thim.collateral.transition import Transition
from thim.store.ledger import Ledger


COUNT = 40


def add_all(store, order, verdicts) -> None:
    """
    Add documents issued on the days in *order*, with a ledger of its own.
    """
    with Ledger(store, ANCHORS) as ledger:
        verdicts += [ledger.add(make_record(issued)) for issued in order]


def read_back(store):
    """
    Return all issue dates, sorted, and that of the head.
    """
    with Ledger(store, ANCHORS) as ledger:
        stored = all_stored(ledger)
    (head,) = [s.record.issued for s in stored if s.is_head]
    return sorted(s.record.issued for s in stored), head


class TestTwoWriters:
    @pytest.mark.parametrize("seed", range(3))
    def test_in_two_threads(self, store, seed):
        """
        Two threads that add the same documents, each in its own order, leave
        each once and the newest as the head; one of them got it in.
        """
        orders = [
            random.Random(2 * seed + n).sample(range(COUNT), COUNT)
            for n in (0, 1)
        ]
        verdicts: list[Transition] = []
        threads = [
            threading.Thread(target=add_all, args=(store, order, verdicts))
            for order in orders
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert COUNT == verdicts.count(Transition.EQUAL)
        assert 2 * COUNT == len(verdicts)
        assert ([day(n) for n in range(COUNT)], day(COUNT - 1)) == read_back(
            store
        )

    def test_in_two_processes(self, store):
        """
        So do two processes, one of which brings what the other does not.
        """
        writers = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.store.writer",
                    str(store),
                    *map(str, range(start, COUNT, 2)),
                ],
                cwd=PROJECT,
            )
            for start in (0, 1)
        ]
        assert [0, 0] == [writer.wait() for writer in writers]
        assert ([day(n) for n in range(COUNT)], day(COUNT - 1)) == read_back(
            store
        )
