"""
Events and decision records, a page at a time.
"""

import contextlib

import pytest

from tests.platforms import NOW
from tests.store.decisions import HOUR, decision
from tests.store.decisions import NOW as DECIDED
from thim.services.tokens import Role, make_token
from thim.store.audit_view import AuditView, Filter
from thim.store.decision_file import DecisionFile
from thim.store.decision_view import DecisionFilter, DecisionView
from thim.store.replica import Replica


@pytest.fixture
def events(ledger, store):
    """
    Look at five events.
    """
    for n in range(1, 6):
        _, token = make_token(f"t{n}", Role.READER, actor=f"a{n}", now=NOW)
        ledger.tokens.add(token)
    with contextlib.closing(Replica(store)) as replica:
        yield AuditView(replica)


@pytest.fixture
def records(tmp_path):
    """
    Look at five records, an hour apart.
    """
    path = tmp_path / "decisions.db"
    with contextlib.closing(DecisionFile(path)) as file:
        file.write([decision(n, at=DECIDED + n * HOUR) for n in range(1, 6)])
    return DecisionView(path)


def walk(read):
    """
    Turn all pages; return what is on each.
    """
    pages, before = [], None
    while True:
        found, before = read(before)
        pages.append(found)
        if before is None:
            return pages


class TestEvents:
    @pytest.mark.parametrize(
        ("most", "span", "pages"),
        [
            (50, 100, [[5, 4, 3, 2, 1]]),
            (2, 100, [[5, 4], [3, 2], [1]]),
            (50, 2, [[5, 4], [3, 2], [1]]),
            (1, 2, [[5], [4], [3], [2], [1]]),
        ],
    )
    def test_pages(self, events, most, span, pages):
        """
        A page ends where it is full, or has looked at enough.
        """

        def read(before):
            page = events.page(Filter(), before, most, span)
            return [link.id for link in page.links], page.before

        assert pages == walk(read)

    def test_few(self, events):
        """
        Where few are wanted the pages come to an end all the same.
        """

        def read(before):
            page = events.page(Filter(actor="a1"), before, 50, 2)
            return [link.actor for link in page.links], page.before

        assert [[], [], ["a1"]] == walk(read)

    def test_none(self, ledger, store):
        """
        Before anything was decided there is one page, and nothing on it.
        """
        with contextlib.closing(Replica(store)) as replica:
            page = AuditView(replica).page(Filter())

        assert ((), None) == (page.links, page.before)


class TestDecisions:
    @pytest.mark.parametrize(
        ("most", "pages"),
        [
            (50, [[5, 4, 3, 2, 1]]),
            (2, [[5, 4], [3, 2], [1]]),
            (5, [[5, 4, 3, 2, 1]]),
        ],
    )
    def test_pages(self, records, most, pages):
        """
        A page ends where it is full.
        """

        def read(before):
            page = records.page(DecisionFilter(), before, most)
            return [int(d.jti, 16) for d in page.decisions], page.before

        assert pages == walk(read)

    def test_span(self, records):
        """
        A page ends where it has looked at enough.
        """
        page = records.page(DecisionFilter(), before=6, span=2)
        last = records.page(DecisionFilter(), before=page.before, span=4)

        assert [5, 4] == [int(d.jti, 16) for d in page.decisions]
        assert 4 == page.before
        assert ([3, 2, 1], None) == (
            [int(d.jti, 16) for d in last.decisions],
            last.before,
        )

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({"since": DECIDED + 4 * HOUR}, [5, 4]),
            ({"until": DECIDED + 2 * HOUR}, [1]),
            ({"since": DECIDED + 9 * HOUR}, []),
            ({"result": "UpToDate"}, [5, 4, 3, 2, 1]),
            ({"result": "OutOfDate"}, []),
            ({"refused": True}, []),
        ],
    )
    def test_wanted(self, records, wanted, found):
        """
        Only what is wanted is there.
        """
        page = records.page(DecisionFilter(**wanted))

        assert found == [int(d.jti, 16) for d in page.decisions]

    def test_no_file(self, tmp_path):
        """
        Where nothing was ever decided there is nothing.
        """
        page = DecisionView(tmp_path / "x.db").page(DecisionFilter())

        assert ((), None) == (page.decisions, page.before)
