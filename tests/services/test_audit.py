import contextlib
import hashlib
import sqlite3

import pytest

from tests.services.made import INTEL, NOW, STRANGER, day, fill
from thim.errors import ThimError
from thim.services.audit import audit
from thim.store.ledger import Ledger
from thim.store.replica import spell_anchors
from thim.x509.chain import to_pem


DOCUMENTS = (
    INTEL.root_crl(),  # record 1, in series 1
    INTEL.pck_crl(),
    INTEL.tcb_info(issued=day(0)),  # record 3, in series 3
    INTEL.tcb_info(issued=day(1)),  # record 4, in the same
    INTEL.tcb_info(number=18),
    INTEL.tcb_info(structure=1),
    INTEL.identity(),
)


@pytest.fixture
def filled(store):
    """
    A store with documents of every kind, one of them with two versions.
    """
    with Ledger(store, INTEL.anchors) as ledger:
        fill(ledger, *DOCUMENTS)
    return store


def damage(store, *statements: str) -> None:
    """
    Change a store past all our own code, foreign keys included.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0
        db.commit()


def change(store, table: str, column: str, row: int, value: object) -> None:
    """
    Set one value in a store.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        statement = f"UPDATE {table} SET {column} = ? WHERE id = ?"  # noqa: S608
        assert 1 == db.execute(statement, (value, row)).rowcount
        db.commit()


def flip(raw: bytes, place: int) -> bytes:
    """
    Return *raw* with another byte at *place*.
    """
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


def check(store):
    """
    Audit a store; return what is wrong as record and reason.
    """
    with Ledger(store, INTEL.anchors) as ledger:
        report = audit(ledger)
    return [(f.record.split()[0], f.reason) for f in report.findings]


class TestSound:
    def test_nothing_to_find(self, filled):
        """
        In a store as we write it there is nothing wrong.
        """
        with Ledger(filled, INTEL.anchors) as ledger:
            report = audit(ledger)

        assert (7, 5, ()) == (report.records, report.heads, report.findings)

    def test_empty(self, ledger):
        """
        An empty store is sound.
        """
        report = audit(ledger)

        assert {
            "records": 0,
            "heads": 0,
            "platforms": 0,
            "endorsement_keys": 0,
            "revoked": 0,
            "findings": (),
        } == report.to_json()

    def test_without_root_crl(self, ledger):
        """
        So is one without a root CRL.
        """
        fill(ledger, INTEL.tcb_info())

        assert () == audit(ledger).findings

    def test_age_does_not_matter(self, ledger):
        """
        Documents are checked as of the day on which they were verified.
        """
        fill(ledger, INTEL.tcb_info(), now=day(0))

        assert () == audit(ledger).findings


class TestRecords:
    def test_body(self, filled):
        """
        A byte of a body that changed is found by digest and signature.
        """
        change(filled, "records", "body", 3, flip(DOCUMENTS[2], 200))

        assert ("record", "digest") in check(filled)
        assert 2 == len(check(filled))

    def test_body_of_another(self, filled):
        """
        A body under another document's name is found, though it is genuine.
        """
        damage(filled, "UPDATE records SET series_id = 5 WHERE id = 3")

        assert ("record", "column") in check(filled)

    def test_digest(self, filled):
        """
        So is a digest that is not the body's.
        """
        digest = hashlib.sha256(DOCUMENTS[3]).digest()
        change(filled, "records", "sha256", 4, flip(digest, 9))

        assert [("record", "digest")] == check(filled)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE records SET issued = issued + 1 WHERE id = 4",
            "UPDATE records SET next_update = next_update + 1 WHERE id = 4",
            "UPDATE records SET next_update = NULL WHERE id = 4",
            "UPDATE records SET signed_sha256 = x'00' WHERE id = 4",
            "UPDATE series SET evaluation_number = 19 WHERE id = 4",
            "UPDATE series SET subject = 'tdx:00606A000000' WHERE id = 4",
            "UPDATE series SET structure = 2 WHERE id = 4",
        ],
    )
    def test_columns(self, filled, statement):
        """
        A column that does not say what the body says is found, each for
        itself.
        """
        damage(filled, statement)

        assert [("record", "column")] == check(filled)

    def test_verified_before_it_was_issued(self, filled):
        """
        A record cannot have been verified before it was issued.
        """
        damage(filled, "UPDATE records SET verified = 0 WHERE id = 3")

        assert [("record", "not-yet-valid")] == check(filled)

    @pytest.mark.parametrize(
        "column", ["issued", "next_update", "verified", "fetched"]
    )
    def test_date_beyond_all_calendars(self, filled, column):
        """
        A date that no calendar has is a finding, not the end of the audit.
        """
        change(filled, "records", column, 3, 1 << 62)

        assert "record" in {name for name, _ in check(filled)}

    def test_unknown_kind(self, filled):
        """
        So is a kind that there is not.
        """
        damage(filled, "UPDATE series SET kind = 'tcb-fnio' WHERE id = 3")

        assert check(filled)

    def test_named(self, filled):
        """
        A finding names its record, and says what is wrong.
        """
        damage(filled, "UPDATE records SET issued = issued + 1 WHERE id = 4")
        with Ledger(filled, INTEL.anchors) as ledger:
            (finding,) = audit(ledger).findings

        assert "record 4 (intel/tcb-info/sgx:00606A000000/3)" == finding.record
        assert "issued is not what the body says" == finding.detail


class TestChains:
    def test_damaged(self, filled):
        """
        A chain that cannot be read fails every document under it.
        """
        damage(
            filled,
            "UPDATE issuer_chains SET pem = x'00' WHERE id = "
            "(SELECT chain_id FROM records WHERE id = 3)",
        )

        assert [("record", "malformed")] * 5 == check(filled)

    def test_foreign(self, filled):
        """
        A chain of somebody else's makes it somebody else's document.
        """
        pem = to_pem((STRANGER.signer, STRANGER.root))
        change(filled, "issuer_chains", "pem", 3, pem)

        assert [("record", "signature-invalid")] * 5 == check(filled)

    def test_of_another(self, filled):
        """
        A document under the chain of another authority is found.
        """
        damage(
            filled,
            "UPDATE records SET chain_id = (SELECT chain_id FROM records "
            "WHERE id = 3) WHERE id = 2",
        )

        assert [("record", "no-issuer-chain")] == check(filled)

    def test_other_anchors(self, filled):
        """
        Under other root keys nothing holds.
        """
        stamp = spell_anchors(STRANGER.anchors)
        with contextlib.closing(sqlite3.connect(filled)) as db, db:
            db.execute("UPDATE settings SET value = ?", (stamp,))
        with Ledger(filled, STRANGER.anchors) as ledger:
            report = audit(ledger)

        assert {"root-untrusted"} == {f.reason for f in report.findings}
        assert 7 == len(report.findings)

    def test_revoked(self, ledger):
        """
        Documents of a signer that was revoked later are counted: they are
        archived and not served, and nothing is wrong with the store.
        """
        fill(ledger, INTEL.tcb_info())
        fill(
            ledger,
            INTEL.root_crl(issued=day(2), revoked=[INTEL.signer.serial_number]),
        )
        report = audit(ledger)

        assert (1, ()) == (report.revoked, report.findings)

    def test_mark(self, filled):
        """
        A mark of revocation that no root CRL explains is found: it would keep
        good documents from being served.
        """
        damage(filled, "UPDATE issuer_chains SET revoked = 1")

        assert check(filled)


class TestHeads:
    def test_moved_back(self, filled):
        """
        A head that is not the newest document is found.
        """
        damage(filled, "UPDATE heads SET record_id = 3 WHERE record_id = 4")

        assert [("intel/tcb-info/sgx:00606A000000/3", "head")] == check(filled)

    def test_deleted(self, filled):
        """
        So is one that is missing.
        """
        damage(filled, "DELETE FROM heads WHERE record_id = 4")
        with Ledger(filled, INTEL.anchors) as ledger:
            (finding,) = audit(ledger).findings

        assert "the head is record None, expected 4" == finding.detail

    def test_of_another_series(self, filled):
        """
        So is one that points to a document of another series.
        """
        damage(filled, "UPDATE heads SET record_id = 5 WHERE record_id = 4")

        assert ("intel/tcb-info/sgx:00606A000000/3", "head") in check(filled)

    def test_of_version_1(self, filled):
        """
        So is any head of a series that must not have one.
        """
        damage(
            filled,
            "INSERT INTO heads SELECT series_id, id FROM records WHERE id = 6",
        )

        assert [("intel/tcb-info/sgx:00606A000000/1", "head")] == check(filled)

    def test_newest_record_deleted(self, filled):
        """
        A record that was torn out is found by the head it leaves behind.
        """
        damage(filled, "DELETE FROM records WHERE id = 4")

        assert check(filled)

    def test_only_record_deleted(self, filled):
        """
        Also where it was the only one of its series.
        """
        damage(filled, "DELETE FROM records WHERE id = 5")

        assert check(filled)


class TestCertificates:
    def test_damaged(self, filled):
        """
        A damaged certificate is found: without it no import could run.
        """
        damage(filled, "UPDATE certificates SET der = x'3000'")

        assert check(filled)


class TestRootCrl:
    def test_damaged(self, filled):
        """
        A damaged root CRL is found, and the rest is still checked.
        """
        change(filled, "records", "body", 1, b"0")
        found = check(filled)

        assert ("store", "root-crl") in found
        assert ("record", "digest") in found


class TestFile:
    def test_index(self, filled):
        """
        Damage that only SQLite can see is reported as it says it.
        """
        digest = next_chain_digest(filled)
        raw = bytearray(filled.read_bytes())
        raw[raw.rindex(digest)] ^= 1
        filled.write_bytes(raw)

        assert ("store", "file") in check(filled)

    def test_unreadable(self, filled):
        """
        A file that cannot be read to its end is an error with its name, or a
        finding, and nothing else.
        """
        raw = filled.read_bytes()
        for page in range(1, len(raw) // 4096):
            hole = page * 4096
            filled.write_bytes(raw[:hole] + bytes(4096) + raw[hole + 4096 :])
            with contextlib.suppress(ThimError):
                check(filled)


def next_chain_digest(store) -> bytes:
    """
    Return the digest of some issuer chain; there is an index of them.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        (digest,) = db.execute(
            "SELECT sha256 FROM issuer_chains WHERE id = 1"
        ).fetchone()
    return bytes(digest)


class TestTime:
    def test_dates_compare_in_utc(self, ledger):
        """
        The audit finds the dates that intake found.
        """
        fill(ledger, INTEL.pck_crl(issued=day(3)), now=NOW)

        assert () == audit(ledger).findings
