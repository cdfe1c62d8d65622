"""
The service watches for new numbers while it runs.
"""

import contextlib
import time

from tests.http.conftest import NOW, full_set, make_store, unnumbered
from tests.serving import serving
from thim.services import watchman
from thim.services.number_watch import NEW_NUMBER
from thim.store.notice_view import NoticeView
from thim.store.replica import Replica


def test_watches(intel, tmp_path, monkeypatch):
    """
    A running service notes the numbers that are there, by itself.
    """
    for name in ("_FIRST", "_SPREAD", "_TICK"):  # nobody waits so long
        monkeypatch.setattr(watchman, name, 0.01)
    bodies = [*full_set(intel, 19), *unnumbered(intel)]
    store = make_store(tmp_path / "thim.db", intel, bodies)

    with (
        serving(store, lambda: NOW, anchors=intel.anchors),
        contextlib.closing(Replica(store)) as replica,
    ):
        until = time.monotonic() + 20
        while "19" not in NoticeView(replica).subjects(NEW_NUMBER):
            assert time.monotonic() < until, "nothing is noted"
            time.sleep(0.05)
