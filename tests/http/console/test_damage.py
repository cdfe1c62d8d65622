"""
What pages say over a damaged store.
"""

import contextlib
import logging
import sqlite3

import pytest

from tests.http.console.archived import DOCUMENT, archived, log_in
from tests.http.console.visitor import read_text


NUMBERS = "intel/tcb-evaluation-data-numbers/sgx/1"
PAGE = "/console/collateral/document?name="


@pytest.fixture
def running(intel, tmp_path):
    """
    A service over documents with a history.
    """
    with archived(intel, tmp_path) as running:
        yield running


def damage(running, statement, values=()):
    """
    Change the store behind the service's back.
    """
    with contextlib.closing(sqlite3.connect(running.store)) as db, db:
        return db.execute(statement, values).fetchall()


def damage_head(running, name):
    """
    Damage the body of what is served of a document's newest number, and return
    the digest that it had.
    """
    ((digest,),) = damage(
        running,
        "UPDATE records SET body = x'7b7d' WHERE id = ("
        "SELECT record_id FROM heads JOIN series ON series.id = series_id "
        "WHERE printf('%s/%s/%s/%s', vendor, kind, subject, structure) = ? "
        "ORDER BY evaluation_number DESC LIMIT 1) RETURNING hex(sha256)",
        (name,),
    )
    return str(digest).lower()


class TestDocument:
    def test_said(self, running):
        """
        The page says which version is damaged, what mends it, and all else.
        """
        digest = damage_head(running, DOCUMENT)
        got = log_in(running).get(f"{PAGE}{DOCUMENT}&number=20")
        text = read_text(got)

        assert 200 == got.status
        assert f"The version {digest[:12]}… of number 20 is damaged" in text
        assert "thim db verify" in text
        assert "thim db restore" in text
        assert "History" in text
        assert "Issuer chain" not in text

    def test_another(self, running):
        """
        Its other versions are shown as ever.
        """
        damage_head(running, DOCUMENT)
        text = read_text(log_in(running).get(f"{PAGE}{DOCUMENT}&number=19"))

        assert "is damaged" not in text
        assert "Issuer chain" in text

    @pytest.mark.parametrize("name", [NUMBERS, DOCUMENT])
    def test_numbers(self, running, name):
        """
        Without the list of numbers nobody knows what is promised: the rest of
        a document's page is there.
        """
        damage_head(running, NUMBERS)
        got = log_in(running).get(f"{PAGE}{name}")
        text = read_text(got)

        assert 200 == got.status
        assert "What is kept fresh cannot be told" in text
        assert f"damaged {NUMBERS}" in text
        assert "History" in text

    def test_download(self, running):
        """
        Nobody gets the damaged bytes.
        """
        digest = damage_head(running, DOCUMENT)
        got = log_in(running).get(
            f"/console/collateral/body?name={DOCUMENT}&sha256={digest}"
        )

        assert (503, "store-damaged") == (got.status, got["thim-reason"])
        assert "thim db restore" in read_text(got)


class TestList:
    def test_numbers(self, running):
        """
        What is archived is listed where nobody knows what is promised.
        """
        damage_head(running, NUMBERS)
        got = log_in(running).get("/console/collateral")
        text = read_text(got)

        assert 200 == got.status
        assert "What is kept fresh cannot be told" in text
        assert DOCUMENT in text


class TestUnreadable:
    def test_words(self, running, caplog):
        """
        What the database says of its damage is in the log; the page says what
        helps.
        """
        damage(running, "UPDATE events SET detail = CAST(x'ff' AS TEXT)")
        with caplog.at_level(logging.ERROR):
            got = log_in(running).get("/console/audit")
        text = read_text(got)

        assert (503, "store-unreadable") == (got.status, got["thim-reason"])
        assert "the store cannot be read where this page needs it" in text
        assert "thim db verify" in text
        assert "UTF-8" not in text
        assert "UTF-8" in caplog.text
