"""
Commands on a node of which no service runs: its replica is as old as its last
service.
"""

import contextlib
import sqlite3

import pytest

from tests.new_store import remember
from tests.nodes.node import follow, learn
from tests.postgresql import needs_postgresql, shared_server
from tests.services.made import INTEL
from thim.store.founding import make_ledger, make_replica
from thim.store.lock import following
from thim.x509.chain import to_pem


pytestmark = needs_postgresql
LATER = "00906ED50000"


@pytest.fixture
def address():
    """
    A ledger.
    """
    made = remember(shared_server().new_database())
    make_ledger(made, INTEL.anchors)
    return made


@pytest.fixture
def stale(address, tmp_path, monkeypatch):
    """
    A replica that lacks what another node has taken in since.
    """
    roots = tmp_path / "root.pem"
    roots.write_bytes(to_pem([INTEL.certificates[0]]))
    monkeypatch.setenv("THIM_DANGEROUS_TEST_ANCHORS", str(roots))
    stale, other = tmp_path / "stale.db", tmp_path / "other.db"
    make_replica(stale, address)
    learn(stale)
    make_replica(other, address)
    follow(other, address)
    learn(other, LATER)
    return stale


@pytest.fixture
def cut_off(stale):
    """
    The same, and nobody reaches the ledger from there.
    """
    with contextlib.closing(sqlite3.connect(stale)) as db, db:
        nowhere = "postgresql://thim@127.0.0.1:1/nowhere"
        db.execute("UPDATE replication SET address = ?", (nowhere,))
    return stale


def test_catches_up(thim, stale):
    """
    What is read is what the ledger has.
    """
    assert LATER in thim("collateral", "list", "--store", stale).text


def test_status(thim, cut_off):
    """
    All is not well where no service runs and nobody reaches the ledger.
    """
    run = thim("status", "--store", cut_off)

    assert 2 == run.code
    assert "!! ledger-away: no service runs here, and what is here may" in (
        run.text
    )


def test_export(thim, stale, tmp_path):
    """
    So is what is written out.
    """
    folder = tmp_path / "out"
    words = ("collateral", "export", folder, "--layout", "pcs")
    assert 0 == thim(*words, "--store", stale).code
    written = [path for path in folder.rglob("*") if LATER in str(path)]

    assert written


def test_away(thim, cut_off):
    """
    Where that cannot be reached, what there is, with a warning.
    """
    run = thim("collateral", "list", "--store", cut_off)

    assert 0 == run.code
    assert LATER not in run.text
    assert "00606A000000" in run.text
    assert "may be old: the ledger cannot be reached" in run.err


def test_service(thim, cut_off):
    """
    Where a service follows, that is its business.
    """
    with following(cut_off) as is_alone:
        run = thim("collateral", "list", "--store", cut_off)

    assert is_alone
    assert "" == run.err


def test_elsewhere(thim, cut_off, address, monkeypatch):
    """
    Where the settings say that the ledger is somewhere else by now, it is
    looked for there.
    """
    monkeypatch.setenv("THIM_LEDGER", address)

    assert LATER in thim("collateral", "list", "--store", cut_off).text


@pytest.fixture
def another(monkeypatch):
    """
    The settings name another ledger than the replica has followed.
    """
    made = remember(shared_server().new_database())
    make_ledger(made, INTEL.anchors)
    monkeypatch.setenv("THIM_LEDGER", made)
    return made


def test_another(thim, stale, another):
    """
    Of another ledger than the settings name it is said that it is one.
    """
    run = thim("collateral", "list", "--store", stale)

    assert 0 == run.code
    assert LATER not in run.text
    assert "may be old: the replica follows the ledger" in run.err


def test_another_written(thim, stale, another, address):
    """
    Nothing is written to another ledger than the settings name: both addresses
    are told.
    """
    words = ("token", "create", "--name", "ci", "--role", "reader")
    run = thim(*words, "--store", stale)

    assert 2 == run.code
    assert "" == run.text
    assert f"follows the ledger at {address}" in run.err
    assert f"the setting ledger names {another}" in run.err
