"""
What ``thim db verify`` finds wrong with signing keys.
"""

import contextlib
import sqlite3

import pytest

from tests.attestation.signing import DAY, NOW
from tests.services.made import INTEL
from thim.services.audit import audit
from thim.services.secrets import replace
from thim.services.signing_keys import SigningPlace, make_signing_key
from thim.store.ledger import Ledger


@pytest.fixture
def place(store, tmp_path):
    """
    A store with a signing key.
    """
    made = SigningPlace(
        store=store,
        anchors=INTEL.anchors,
        key_file=tmp_path / "thim.key",
        tsm_root=tmp_path / "none",
    )
    add_key(made)
    return made


def add_key(place):
    """
    Make another signing key.
    """
    return make_signing_key(
        place, lambda _: True, active_from=NOW, actor="me", now=NOW
    )


def check(place, *, with_key=True):
    """
    Audit a store; return what is wrong as record and reason.
    """
    with Ledger(place.store, place.anchors) as ledger:
        report = audit(ledger, place.key_file if with_key else None)
    return [(each.record, each.reason) for each in report.findings]


def change(place, statement, *values):
    """
    Change a store past all our own code.
    """
    with contextlib.closing(sqlite3.connect(place.store)) as db, db:
        assert db.execute(statement, values).rowcount > 0


def kids(place):
    """
    Return by what the keys are known.
    """
    with contextlib.closing(sqlite3.connect(place.store)) as db:
        rows = db.execute("SELECT kid FROM signing_keys ORDER BY rowid")
        return [kid for (kid,) in rows]


def test_sound(place):
    """
    What was made is sound.
    """
    assert [] == check(place)


def test_damaged(place):
    """
    A sealed key that cannot be opened is a finding; without the sealing key
    nobody can tell.
    """
    change(place, "UPDATE signing_keys SET sealed = x'00'")
    (kid,) = kids(place)

    assert [(f"signing key {kid}", "damaged")] == check(place)
    assert [] == check(place, with_key=False)


def test_another_key(place):
    """
    So is one that is another key's, even where it can be opened.
    """
    add_key(place)
    one, two = kids(place)
    change(place, "UPDATE signing_keys SET sealed = x'' WHERE kid = ?", one)
    change(place, "UPDATE signing_keys SET kid = 'gone' WHERE kid = ?", one)
    change(place, "UPDATE signing_keys SET kid = ? WHERE kid = ?", one, two)

    assert {
        ("signing key gone", "column"),
        ("signing key gone", "damaged"),
        (f"signing key {one}", "column"),
        (f"signing key {one}", "damaged"),
    } == set(check(place))


@pytest.mark.parametrize("content", [None, bytes(32)])
def test_key_lost(place, content):
    """
    Where the sealing key is not there, or another one, that is said once.
    """
    add_key(place)
    if content is None:
        place.key_file.unlink()
    else:
        replace(place.key_file, content)

    assert [("signing keys", "key-lost")] == check(place)


def test_revoked(place):
    """
    A key that was revoked has no secret any more, and nothing is wrong.
    """
    with Ledger(place.store, place.anchors) as ledger:
        ledger.signing_keys.revoke(kids(place)[0], actor="me", now=NOW + DAY)
    place.key_file.unlink()

    assert [] == check(place)


def test_no_key(place):
    """
    A public key that is none is a finding.
    """
    change(place, "UPDATE signing_keys SET spki = x'00'")
    (kid,) = kids(place)

    assert [(f"signing key {kid}", "signing-key")] == check(place)


def test_senseless(place):
    """
    A row that cannot be read is a finding.
    """
    change(place, "UPDATE signing_keys SET evidence_kind = 'gpu'")

    assert [("signing keys", "store-damaged")] == check(place)
