"""
What ``thim db verify`` finds wrong with platforms.
"""

import contextlib
import sqlite3

import pytest

from tests.new_store import new_store
from tests.platforms import NOW, entry, issue, records, tcb_info, tcbm
from thim.services.audit import audit
from thim.services.ingest import ingest
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger
from thim.store.packing import Packer
from thim.x509.chain import to_pem


LOW, AT = tcbm(1, 1), tcbm(4, 4)
OTHER_PPID = {"ppid": b"another PPID...."}


@pytest.fixture(scope="module")
def intel():
    """
    An Intel that issues certificates.
    """
    return Intel()


@pytest.fixture
def store(intel, tmp_path):
    """
    A store with two platforms; one has two certificates.
    """
    path = tmp_path / "thim.db"
    new_store(path, intel.anchors)
    with Ledger(path, intel.anchors) as ledger:
        one = entry(intel, "one", LOW, AT, raw=(LOW, AT))
        ledger.platforms.enter([one, entry(intel, "two", AT, raw=(AT,))], NOW)
    return path


def check(store, intel):
    """
    Audit a store; return what is wrong as record and reason.
    """
    with Ledger(store, intel.anchors) as ledger:
        report = audit(ledger)
    found = [(f.record.split(" (")[0], f.reason) for f in report.findings]
    return report.platforms, found


def change(store, statement, *values):
    """
    Change a store past all our own code.
    """
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        assert db.execute(statement, values).rowcount > 0


def test_sound(store, intel):
    """
    In a store as we write it there is nothing wrong.
    """
    assert (2, []) == check(store, intel)


SET = "UPDATE pck_certificates SET"
SWAP = """
    UPDATE pck_answers SET certificate_id = 2049 - certificate_id
     WHERE certificate_id < 2048
"""


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE platforms SET raw_tcbs = x'01' WHERE id = 1", "store-damaged"),
        ("UPDATE platforms SET ca = 'none' WHERE id = 1", "store-damaged"),
        ("UPDATE platforms SET fmspc = x'000000000000' WHERE id = 1", "column"),
        (f"{SET} body = x'00' WHERE id = 1024", "store-damaged"),
        (f"{SET} family_id = 9 WHERE id = 1024", "store-damaged"),
        (f"{SET} serial = 1 WHERE id = 1024", "column"),
        (f"{SET} not_after = 1 WHERE id = 1024", "column"),
        (SWAP, "answer"),
        ("DELETE FROM pck_answers WHERE certificate_id < 2048", "answer"),
    ],
)
def test_damaged(store, intel, statement, reason):
    """
    What was changed is found, whatever it is, and the other platform is
    looked at all the same.
    """
    change(store, statement)
    count, found = check(store, intel)

    assert (2, {("platform 1", reason)}) == (count, set(found))


def test_another_certificate(store, intel):
    """
    A certificate that is genuine, but of another machine, is found.
    """
    pem = to_pem([issue(intel, "one", LOW, **OTHER_PPID)])
    change(
        store,
        f"{SET} body = ?, dictionary_id = 0 WHERE id = 1024",
        Packer({}).pack(pem),
    )

    assert ("platform 1", "ppid-conflict") in check(store, intel)[1]


def test_forged(store, intel):
    """
    So is one that somebody else signed.
    """
    (forged,) = records(Intel(seed="another"), "one", LOW)
    change(
        store,
        f"{SET} body = ?, dictionary_id = 0 WHERE id = 1024",
        Packer({}).pack(forged.pem),
    )

    assert [("platform 1", "signature-invalid")] == check(store, intel)[1]


def test_by_levels(store, intel):
    """
    Answers are those that the newest TCB levels select; until all are
    selected by them nothing is wrong with older ones.
    """
    left, right, both = tcbm(3, 1), tcbm(1, 3), tcbm(3, 3)
    with Ledger(store, intel.anchors) as ledger:
        found = [*audit(ledger).findings]
        three = entry(intel, "three", left, right, raw=(both,))
        ledger.platforms.enter([three], NOW)
        for number, floors in ((17, (left, right)), (18, (right, left))):
            body = tcb_info(intel, number, *floors)
            files = [("ca", to_pem(intel.certificates)), ("info", body)]
            list(ingest(files, ledger=ledger, now=NOW))
            found += audit(ledger).findings
            ledger.selections.finish()
            found += audit(ledger).findings
    assert [] == found

    change(
        store,
        "UPDATE pck_answers SET certificate_id = 6145 - certificate_id "
        "WHERE certificate_id >= 3072",
    )
    assert [("platform 3", "answer")] == check(store, intel)[1]
