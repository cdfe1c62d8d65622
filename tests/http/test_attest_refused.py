"""
What is refused is counted, and on record as far as there is room.
"""

import contextlib
import logging
import sqlite3

import pytest

from tests.http.attesting import ACME, OLD, b64, error_in
from tests.http.scraping import read
from tests.policy_signers import DENY
from tests.vendors import await_so
from thim.services.attempts import MOST_RECORDS
from thim.store.decision_file import find_decisions


COUNTS = "thim_attestations_total"


def await_count(attester, expected, kind, result):
    """
    Wait until a type of attestation had a result so often; counts are written
    within a second or two.
    """
    labels = (COUNTS, result, kind)
    await_so(lambda: read(attester.served).get(labels) == expected, labels)


class TestCounts:
    def test_issued(self, attester):
        """
        Tokens are counted by the type of attestation.
        """
        for _ in range(3):
            attester.sgx()
        attester.tdx()

        await_count(attester, 3, "SgxEnclave", "issued")
        await_count(attester, 1, "TdxVm", "issued")

    def test_refused(self, attester):
        """
        Refusals are by their reasons, whoever's provider it was.
        """
        attester.set_policy(DENY)
        attester.sgx(prefix=ACME)
        attester.sgx(draftPolicyForAttestation=DENY)
        attester.sgx(b"x")

        await_count(attester, 2, "SgxEnclave", "policy")
        await_count(attester, 1, "SgxEnclave", "not-evidence")

    def test_other(self, attester):
        """
        What is for nobody or of no type is counted as such, and not on record.
        """
        attester.post("SgxEnclave", {}, Host="other.example")
        attester.post("Tpm", {})
        attester.post("Nothing", {})
        attester.post("SgxEnclave", {}, prefix="/tenant/nobody")

        await_count(attester, 1, "other", "not-attested")
        await_count(attester, 1, "other", "unknown-host")
        assert [] == attester.decisions()

    def test_before(self, attested_world, attester):
        """
        Where nothing was attested nothing is counted.
        """
        del attested_world

        assert not [key for key in read(attester.served) if COUNTS in key]

    def test_damaged(self, attester):
        """
        Where the file cannot be read the other metrics are there.
        """
        find_decisions(attester.store).write_bytes(b"x" * 4096)
        found = read(attester.served)

        assert not [key for key in found if COUNTS in key]
        assert found


class TestRecords:
    def test_listed(self, attester):
        """
        They stand between the tokens, in their order, and can be listed alone.
        """
        attester.sgx()
        attester.sgx(b"x")
        attester.await_decisions(2)
        attester.sgx()

        results = [each.result for each in attester.decisions()]
        refused = "refused: not-evidence"
        assert ["UpToDate", refused, "UpToDate"] == results
        (alone,) = attester.decisions(refused=True)
        assert refused == alone.result
        assert 64 == len(alone.jti)

    @pytest.mark.parametrize(
        ("version", "reason"),
        [(None, "no-api-version"), ("2019-01-01", "unknown-api-version")],
    )
    def test_version(self, attester, version, reason):
        """
        What does not come to its evidence has no digest of it.
        """
        attester.post("SgxEnclave", {}, version=version)

        (record,) = attester.await_decisions(1)
        assert f"refused: {reason}" == record.result
        assert (b"", "") == (record.evidence_sha256, record.policy_hash)

    def test_stranger(self, attester):
        """
        Who has to have a token and has none is on record.
        """
        body = {"Quote": b64(attester.quote())}
        attester.post("SgxEnclave", body, version=OLD)

        (record,) = attester.await_decisions(1)
        assert record.result.startswith("refused: ")

    def test_most(self, attester):
        """
        So many are written in a minute, the rest is only counted; tokens are
        on record all the same.
        """
        for _ in range(MOST_RECORDS + 5):
            assert 400 == attester.sgx(b"x").status
        attester.sgx()

        await_count(attester, MOST_RECORDS + 5, "SgxEnclave", "not-evidence")
        refused = attester.decisions(refused=True, limit=1000)
        assert MOST_RECORDS == len(refused)
        assert "UpToDate" == attester.decisions()[0].result

    def test_logged(self, attester, caplog):
        """
        The log says so in one line, without anything that a caller has sent.
        """
        caplog.set_level(logging.INFO, "thim.attestation")
        attester.sgx(b"evil\n", nonce="evil\n")

        (line,) = [
            each.getMessage()
            for each in caplog.records
            if each.name == "thim.attestation"
        ]
        assert "SgxEnclave for root: refused: not-evidence" == line


class TestTrouble:
    def test_full_disk(self, attester):
        """
        On a full disk what is refused is refused as always, and only tokens
        are not issued; with room again all of that is counted.
        """
        attester.sgx()
        path = find_decisions(attester.store)
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(
                "CREATE TRIGGER full BEFORE INSERT ON decisions BEGIN "
                "SELECT RAISE(FAIL, 'database or disk is full'); END"
            )
        assert 400 == attester.sgx(b"x").status
        got = attester.sgx()
        assert (503, "ServiceUnavailable", "decision-log") == error_in(got)
        assert 400 == attester.sgx(b"x").status

        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("DROP TRIGGER full")
        assert 200 == attester.sgx().status
        await_count(attester, 2, "SgxEnclave", "not-evidence")
        await_count(attester, 1, "SgxEnclave", "decision-log")
        await_count(attester, 2, "SgxEnclave", "issued")

    def test_no_file(self, attester):
        """
        Where there can be no file at all it is the same.
        """
        find_decisions(attester.store).mkdir()

        assert 400 == attester.sgx(b"x").status
        assert 503 == attester.sgx().status
        assert 400 == attester.sgx(b"x").status
