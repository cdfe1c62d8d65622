import sqlite3

from typing import Any

from tests.store.made import (
    day,
)
from thim.store import notes


class TestQuarantine:
    def refuse(self, ledger, body: bytes, n: int = 0, reason="untrusted"):
        """
        Put *body* into quarantine on day *n*.
        """
        ledger.quarantine(
            body,
            source=f"{n}.json",
            reason=reason,
            detail=f"because of {n}",
            now=day(n),
        )

    def read(self, path) -> list[tuple[Any, ...]]:
        """
        Return what is in quarantine.
        """
        db = sqlite3.connect(path)
        rows = db.execute(
            "SELECT body, source, reason, detail, first_seen, last_seen "
            "FROM quarantine ORDER BY id"
        ).fetchall()
        db.close()
        return rows

    def test_remembers_why(self, ledger, store):
        """
        What was refused is kept with its bytes, its source and the reason.
        """
        self.refuse(ledger, b"bad", 1)

        (row,) = self.read(store)
        assert (b"bad", "1.json", "untrusted", "because of 1") == row[:4]

    def test_again(self, ledger, store):
        """
        The same bytes again are one entry, with the newest reason and both
        dates.
        """
        self.refuse(ledger, b"bad", 1)
        self.refuse(ledger, b"bad", 2, reason="revoked")

        (row,) = self.read(store)
        assert (b"bad", "1.json", "revoked", "because of 2") == row[:4]
        assert 86_400_000_000 == row[5] - row[4]

    def test_large(self, ledger, store):
        """
        Of large bytes only the beginning is kept.
        """
        self.refuse(ledger, bytes(notes.QUARANTINE_BODY_SIZE + 1))

        (row,) = self.read(store)
        assert notes.QUARANTINE_BODY_SIZE == len(row[0])

    def test_bounded(self, ledger, store):
        """
        Beyond the bound the oldest is forgotten.
        """
        with ledger._transaction() as connection:
            for n in range(notes.QUARANTINE_SIZE):
                notes.add_to_quarantine(
                    connection,
                    body=b"%d" % n,
                    source="-",
                    reason="untrusted",
                    detail="-",
                    now=day(n),
                )
        self.refuse(ledger, b"one more")
        self.refuse(ledger, b"and another")

        rows = self.read(store)
        assert notes.QUARANTINE_SIZE == len(rows)
        assert (b"2", b"and another") == (rows[0][0], rows[-1][0])
