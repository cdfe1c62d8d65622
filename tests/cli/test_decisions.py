import contextlib

import pytest

from tests.store.decisions import DOCUMENTS, HOUR, NOW, decision
from thim.store.decision_file import DecisionFile, find_decisions


REFUSED = "refused: pck-revoked"


@pytest.fixture
def decided(thim, store):
    """
    Run ``thim decision`` with the store.
    """
    return lambda *words: thim("decision", *words, "--store", store)


@pytest.fixture
def kept(store):
    """
    Decisions of two tenants.
    """
    decisions = [
        decision(0),
        decision(1, at=NOW + HOUR, tenant="acme", accepted_expired=("a", "b")),
        decision(2, at=NOW + 2 * HOUR, evaluation_number=None),
    ]
    with contextlib.closing(DecisionFile(find_decisions(store))) as file:
        file.write(decisions)
    return decisions


def numbers(run):
    """
    Return the numbers of the tokens in a listing.
    """
    return [int(row["jti"], 16) for row in run.json]


class TestShow:
    def test_json(self, decided, kept):
        """
        Machines get all that is on record.
        """
        found = decided("show", kept[1].jti, "--json").json

        assert {
            "jti": kept[1].jti,
            "at": "2026-11-02T10:00:00Z",
            "tenant": "acme",
            "type": "SgxEnclave",
            "evidence_sha256": kept[1].evidence_sha256.hex(),
            "policy_hash": kept[1].policy_hash,
            "policy_version": None,
            "is_draft": False,
            "baseline": "standard",
            "evaluation_number": 17,
            "accepted_expired": ["a", "b"],
            "kid": kept[1].kid,
            "result": "UpToDate",
            "documents": DOCUMENTS,
        } == found

    def test_text(self, decided, kept):
        """
        People get it line by line, each document as well.
        """
        lines = decided("show", kept[1].jti).text.splitlines()

        assert f"jti               {kept[1].jti}" == lines[0]
        assert "accepted expired  a, b" in lines
        assert "is draft          no" in lines
        assert "policy version    -" in lines
        assert f"document          sgx/tcb-info {'a' * 64}" in lines

    @pytest.mark.parametrize("jti", ["f" * 64, "nothing"])
    def test_unknown(self, decided, kept, jti):
        """
        A token of which nothing is on record is an error.
        """
        run = decided("show", jti)

        assert (2, b"") == (run.code, run.out)
        assert "no decision is on record" in run.err


class TestList:
    def test_none(self, decided):
        """
        Where no token was issued there is nothing.
        """
        assert [] == decided("list", "--json").json

    def test_all(self, decided, kept):
        """
        They are listed, the newest first.
        """
        assert [2, 1, 0] == numbers(decided("list", "--json"))

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["--tenant", "acme"], [1]),
            (["--tenant", "nobody"], []),
            (["--tenant", "\udcff"], []),
            (["--since", "2026-11-02T10:00:00Z"], [2, 1]),
            (["--until", "2026-11-02T10:00:00Z"], [0]),
            (["--limit", "1"], [2]),
        ],
    )
    def test_some(self, decided, kept, words, expected):
        """
        Of one tenant, from one instant to another, or so many.
        """
        assert expected == numbers(decided("list", "--json", *words))

    def test_refused(self, decided, kept, store):
        """
        What was refused is among them, or alone, and can be shown.
        """
        refused = decision(3, kid="", evidence_sha256=b"", result=REFUSED)
        with contextlib.closing(DecisionFile(find_decisions(store))) as file:
            file.write([refused])

        assert 4 == len(numbers(decided("list", "--json")))
        assert [3] == numbers(decided("list", "--refused", "--json"))
        assert "refused: pck-revoked" in decided("list", "--refused").text
        lines = decided("show", refused.jti).text.splitlines()
        assert "evidence sha256   -" in lines
        assert "kid               -" in lines

    def test_table(self, decided, kept):
        """
        People get a table.
        """
        lines = decided("list").text.splitlines()

        assert ["jti", "at", "tenant", "type"] == lines[0].split()[:4]
        assert [kept[2].jti, "2026-11-02T11:00:00Z", "root"] == (
            lines[1].split()[:3]
        )

    def test_bad_instant(self, decided):
        """
        What is no instant is an error that names the option.
        """
        run = decided("list", "--since", "yesterday")

        assert 2 == run.code
        assert "--since" in run.err
