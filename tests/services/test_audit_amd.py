import contextlib
import sqlite3

import pytest

from tests.made_amd import (
    AMD,
    ASK,
    CHIP,
    GENOA,
    MILAN,
    OTHER_CHIP,
    STRANGER,
    chain_record,
    crl_record,
    day,
    endorsement,
    fill,
    vcek,
    vlek,
)
from tests.services.amd_stores import anchors, ledger, store
from thim.amd.authorities import KeyKind
from thim.services.audit import audit
from thim.simulate.amd_pki import to_pem
from thim.simulate.amd_profile import Role
from thim.store.endorsement_packing import pack
from thim.store.ledger import Ledger


__all__ = ["anchors", "ledger", "store"]

# In the order of their rows: the chains of Milan (1 and 2) and of Genoa, then
# one list under two names.
CHAIN, VLEK_CHAIN, OTHER_CHAIN, CRL, VLEK_CRL = range(1, 6)
FIRST, SECOND, OTHER, VLEK = range(1, 5)
KEYS = (vcek(day(0)), vcek(day(5)), vcek(hw_id=OTHER_CHIP), vlek())


@pytest.fixture
def filled(ledger, store):
    """
    A store with chains, lists and keys of every kind.
    """
    fill(ledger, *KEYS)
    ledger.add(chain_record(GENOA))
    for kind in KeyKind:
        ledger.add(crl_record(kind=kind))
    return store


def change(store, statement, *values):
    """
    Change one row of a store, past all our own code.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        assert 1 == db.execute(statement, values).rowcount
        db.commit()


def change_key(store, row, column, value):
    """
    Set one value of an endorsement key.
    """
    statement = f"UPDATE endorsement_keys SET {column} = ? WHERE id = ?"  # noqa: S608
    change(store, statement, value, row)


def change_record(store, row, column, value):
    """
    Set one value of a record.
    """
    statement = f"UPDATE records SET {column} = ? WHERE id = ?"  # noqa: S608
    change(store, statement, value, row)


def check(store):
    """
    Audit a store; return what is wrong, as what it is about and the reason.
    """
    with Ledger(store, AMD.anchors) as opened:
        report = audit(opened)
    return [(f.record.partition(" (")[0], f.reason) for f in report.findings]


def flip(raw, place=-1):
    """
    Return *raw* with another bit.
    """
    changed = bytearray(raw)
    changed[place] ^= 1
    return bytes(changed)


class TestSound:
    def test_nothing_to_find(self, filled, ledger):
        """
        In a store as we write it there is nothing wrong.
        """
        report = audit(ledger)

        assert () == report.findings
        assert (5, 5, 4, 0) == (
            report.records,
            report.heads,
            report.endorsement_keys,
            report.revoked,
        )

    def test_revoked(self, filled, ledger):
        """
        What is under a revoked intermediate is counted and nothing wrong:
        the chain, and its keys.
        """
        ledger.add(crl_record(ASK, issued=1))
        report = audit(ledger)

        assert ((), 4) == (report.findings, report.revoked)

    def test_with_another_chain(self, filled, ledger):
        """
        Nor is a key that is under another chain than the newest.
        """
        ledger.add(crl_record(ASK, issued=1))
        ledger.add(crl_record(issued=2))

        assert () == audit(ledger).findings


class TestRecords:
    def test_body(self, filled):
        """
        A bit of a body that changed is found by digest and signature.
        """
        change_record(filled, CRL, "body", flip(crl_record().body))

        assert [("record 4", "digest"), ("record 4", "crl-signature")] == (
            check(filled)
        )

    def test_body_of_a_chain(self, filled):
        """
        The same for a chain.
        """
        forged = to_pem(flip(AMD.certificate(MILAN, Role.ASK))) + to_pem(
            AMD.certificate(MILAN, Role.ARK)
        )
        change_record(filled, CHAIN, "body", forged)

        assert [
            ("record 1", "digest"),
            ("record 1", "certificate-signature"),
        ] == check(filled)

    @pytest.mark.parametrize("row", [CHAIN, VLEK_CHAIN, CRL, VLEK_CRL])
    def test_digest(self, filled, row):
        """
        So is a digest that is not the body's.
        """
        change_record(filled, row, "sha256", bytes(32))

        assert [(f"record {row}", "digest")] == check(filled)

    @pytest.mark.parametrize("row", [CHAIN, CRL])
    @pytest.mark.parametrize(
        "assignment",
        [
            "issued = issued + 1",
            "next_update = next_update + 1",
            "next_update = NULL",
            "signed_sha256 = x'00'",
        ],
    )
    def test_columns(self, filled, row, assignment):
        """
        A column that does not say what the body says is found.
        """
        change(filled, f"UPDATE records SET {assignment} WHERE id = {row}")  # noqa: S608

        assert [(f"record {row}", "column")] == check(filled)

    @pytest.mark.parametrize("row", [CHAIN, CRL])
    @pytest.mark.parametrize("subject", ["Turin:vcek", "Turin:vlek"])
    def test_subject(self, filled, row, subject):
        """
        So is another's name.
        """
        change(
            filled,
            "UPDATE series SET subject = ? WHERE id = "
            "(SELECT series_id FROM records WHERE id = ?)",
            subject,
            row,
        )

        assert [(f"record {row}", "column")] == check(filled)

    def test_no_kind(self, filled):
        """
        A list of no kind of keys is found.
        """
        change(
            filled,
            "UPDATE series SET subject = 'Milan' WHERE id = "
            "(SELECT series_id FROM records WHERE id = 4)",
        )

        assert [("record 4", "key-kind")] == check(filled)

    @pytest.mark.parametrize("row", [CHAIN, CRL])
    def test_verified_before_it_was_issued(self, filled, row):
        """
        A record cannot have been verified before it was issued.
        """
        change_record(filled, row, "verified", 0)

        assert [(f"record {row}", "not-yet-valid")] == check(filled)

    def test_under_another_root(self, filled):
        """
        A list that lies under another product line's chain is found.
        """
        change_record(filled, CRL, "chain_id", 3)

        assert [("record 4", "no-issuer-chain")] == check(filled)

    def test_chain_under_another(self, filled):
        """
        So is a chain that lies under another.
        """
        change_record(filled, CHAIN, "chain_id", 2)

        assert [("record 1", "column")] == check(filled)

    def test_head(self, filled, ledger):
        """
        A head that is not the newest is found.
        """
        ledger.add(crl_record(issued=9))
        change(filled, "UPDATE heads SET record_id = 4 WHERE record_id = 6")

        assert [("amd/crl/Milan:vcek/0", "head")] == check(filled)


class TestMarks:
    def test_marked(self, filled):
        """
        A chain that is marked as revoked and is not is found.
        """
        change(filled, "UPDATE issuer_chains SET revoked = 1 WHERE id = 1")

        assert [("store", "revocation")] == check(filled)

    def test_not_marked(self, filled, ledger):
        """
        So is one that is not marked and should be.
        """
        ledger.add(crl_record(ASK, issued=1))
        change(filled, "UPDATE issuer_chains SET revoked = 0 WHERE id = 1")

        assert [("store", "revocation")] == check(filled)


class TestKeys:
    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("kind", "vlek"),
            ("product", "Genoa"),
            ("holder", OTHER_CHIP),
            ("tcb", bytes(8)),
            ("not_before", 1),
            ("not_after", 1),
            ("spki_sha256", bytes(32)),
            ("sha256", bytes(32)),
        ],
    )
    def test_columns(self, filled, column, value):
        """
        A column that does not say what the certificate says is found, each
        for itself.
        """
        change_key(filled, FIRST, column, value)
        found = check(filled)

        assert ("endorsement key 1", "column") in found
        # Another key for a chip that has two certificates is one thing more.
        others = {reason for _, reason in found} - {"column"}
        assert others <= {"endorsement-key-changed"}
        assert bool(others) == (column in {"holder", "spki_sha256"})

    def test_named(self, filled):
        """
        A finding says which column, and names no chip.
        """
        change_key(filled, FIRST, "not_after", 1)
        with Ledger(filled, AMD.anchors) as opened:
            (finding,) = audit(opened).findings

        assert "not_after is not what the certificate says" == finding.detail
        assert CHIP.hex() not in str(finding).lower()

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", "store-damaged"),
            (pack(flip(KEYS[0])), "certificate-signature"),
            (pack(vcek(amd=STRANGER)), "certificate-signature"),
            (pack(KEYS[0] + b"\0"), "certificate-malformed"),
            (pack(AMD.certificate(MILAN, Role.ASK)), "certificate-name"),
        ],
    )
    def test_body(self, filled, body, reason):
        """
        A body that is no certificate, or not AMD's, is found.
        """
        change_key(filled, FIRST, "body", body)

        assert [("endorsement key 1", reason)] == check(filled)

    def test_body_of_another(self, filled):
        """
        So is a genuine one of another's, by all that differs.
        """
        change_key(filled, FIRST, "body", pack(KEYS[2]))

        assert 3 == check(filled).count(("endorsement key 1", "column"))

    def test_packing(self, filled):
        """
        So is a dictionary that there is not.
        """
        change_key(filled, FIRST, "packing", 9)

        assert [("endorsement key 1", "store-damaged")] == check(filled)

    @pytest.mark.parametrize(
        ("row", "chain"), [(FIRST, 2), (FIRST, 3), (VLEK, 1)]
    )
    def test_under_another_chain(self, filled, row, chain):
        """
        So is one that lies under a chain that has not signed it.
        """
        change_key(filled, row, "chain_id", chain)

        assert [(f"endorsement key {row}", "no-issuer-chain")] == check(filled)

    def test_chain(self, filled):
        """
        A chain that cannot be read fails all under it.
        """
        change(filled, "UPDATE issuer_chains SET pem = x'00' WHERE id = 1")
        found = {name for name, _ in check(filled)}

        assert {f"endorsement key {row}" for row in (1, 2, 3)} <= found
        assert "endorsement key 4" not in found

    def test_strangers_chain(self, filled):
        """
        So does a stranger's.
        """
        pem = STRANGER.chain(MILAN)
        change(filled, "UPDATE issuer_chains SET pem = ? WHERE id = 1", pem)

        assert ("endorsement key 1", "root-not-pinned") in check(filled)

    @pytest.mark.parametrize(
        ("fetched", "reason"), [(0, "not-yet-valid"), (1 << 62, "row")]
    )
    def test_fetched(self, filled, fetched, reason):
        """
        None can have come before it was issued, nor on a day that there is
        not.
        """
        change_key(filled, FIRST, "fetched", fetched)

        assert [("endorsement key 1", reason)] == check(filled)

    def test_two_keys(self, filled, ledger):
        """
        Two keys of one chip at one TCB are found, though both are genuine.
        """
        forged = vcek(day(7), is_other=True, hw_id=OTHER_CHIP)
        key = endorsement(forged)
        change_key(filled, OTHER, "holder", bytes(64))
        ledger.endorsements.add(key)
        change_key(filled, OTHER, "holder", OTHER_CHIP)

        assert [("endorsement key 3", "endorsement-key-changed")] == (
            check(filled)
        )

    def test_twice(self, filled):
        """
        So is a certificate that is there twice.
        """
        change(
            filled,
            "INSERT INTO endorsement_keys SELECT 9, kind, product, holder, "
            "tcb, not_before, not_after, spki_sha256, sha256, chain_id, "
            "packing, body, source, fetched FROM endorsement_keys "
            "WHERE id = 1",
        )

        assert [("endorsement key 1", "duplicate")] == check(filled)

    def test_without_a_chain(self, filled):
        """
        One whose chain is not there at all is found.
        """
        change_key(filled, FIRST, "chain_id", 99)

        assert ("store", "file") in check(filled)
