"""
A store that breaks under a running service.
"""

import logging

from tests.http.conftest import FMSPC, NOW, full_set, make_store, unnumbered
from tests.serving import serving


PATHS = [
    f"/baseline/19/sgx/certification/v4/tcb?fmspc={FMSPC}",
    "/sgx/certification/v4/rootcacrl",
    "/sgx/certification/v4/fmspcs",
]


def test_damaged_file(intel, tmp_path):
    """
    Where the file cannot be read any more the wire answers an empty 503 that
    names its reason, readiness fails, and the process lives on.
    """
    store = make_store(
        tmp_path / "thim.db", intel, [*full_set(intel, 19), *unnumbered(intel)]
    )
    with serving(store, lambda: NOW, anchors=intel.anchors) as served:
        size = store.stat().st_size
        with store.open("r+b") as file:
            file.truncate(0)
            file.write(b"\xff" * size)
        got = [served.get(path) for path in PATHS]
        ready, live = served.get("/health/ready"), served.get("/health/live")

    assert {(503, b"")} == {(g.status, g.body) for g in got}
    assert {"store-unreadable"} == {g["thim-reason"] for g in got}
    assert (503, "unavailable") == (ready.status, ready.json["status"])
    assert 200 == live.status


def test_bug(intel, tmp_path, caplog):
    """
    A bug of ours is a 500 without details; the log has them.
    """
    store = make_store(tmp_path / "thim.db", intel, [])

    def broken_clock():
        msg = "no clock"
        raise RuntimeError(msg)

    with (
        caplog.at_level(logging.ERROR),
        serving(store, broken_clock, anchors=intel.anchors) as served,
    ):
        got = served.get("/sgx/certification/v4/rootcacrl")

    assert (500, "internal") == (got.status, got["thim-reason"])
    assert b"clock" not in got.body
    assert "no clock" in caplog.text
