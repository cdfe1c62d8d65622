"""
A store that breaks under a running service.
"""

import contextlib
import logging
import sqlite3

import pytest

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
        serving(
            store, broken_clock, is_fast=False, anchors=intel.anchors
        ) as served,
    ):
        got = served.get("/sgx/certification/v4/rootcacrl")

    assert (500, "internal") == (got.status, got["thim-reason"])
    assert b"clock" not in got.body
    assert "no clock" in caplog.text


def test_damaged_numbers(intel, tmp_path):
    """
    A damaged list of numbers is our trouble, not the client's: a 503.
    """
    store = make_store(
        tmp_path / "thim.db", intel, [*full_set(intel, 19), *unnumbered(intel)]
    )
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute(
            "UPDATE records SET body = x'7b7d' WHERE series_id IN "
            "(SELECT id FROM series WHERE kind = 'tcb-evaluation-data-numbers')"
        )
    with serving(store, lambda: NOW, anchors=intel.anchors) as served:
        got = served.get(PATHS[0])

    assert (503, b"") == (got.status, got.body)
    assert "store-damaged" == got["thim-reason"]


@pytest.mark.parametrize("is_replaced", [True, False])
def test_moved_file(intel, tmp_path, is_replaced):
    """
    A store that was moved away, or replaced by another, fails readiness: what
    is served is not what lies there.
    """
    store = make_store(tmp_path / "thim.db", intel, full_set(intel, 19))
    other = make_store(tmp_path / "other.db", intel, [])
    with serving(store, lambda: NOW, anchors=intel.anchors) as served:
        assert 200 == served.get("/health/ready").status
        store.rename(tmp_path / "away.db")
        if is_replaced:
            other.rename(store)
        got = served.get("/health/ready")

    assert 503 == got.status
    assert "moved or replaced" in got.json["reasons"][0]
