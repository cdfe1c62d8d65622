import contextlib
import dataclasses
import hashlib
import sqlite3

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.store.made import ANCHORS, day
from thim.baseline.definition import Kind
from thim.baseline.rollout import Body, Step
from thim.store.anchors import stamp_anchors
from thim.store.audit_view import AuditView
from thim.store.engine import open_engine
from thim.store.event_chain import (
    NOTHING,
    Link,
    digest_content,
    digest_link,
    find_breaks,
    spell,
)
from thim.store.migrate import migrate_store, run_migrations
from thim.store.replica import Replica


def sha256(text):
    """
    Return a digest as ``sha256sum`` prints it.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def make_chain(details):
    """
    Chain events with these details.
    """
    before, links = NOTHING, []
    for n, detail in enumerate(details, 1):
        salt = bytes([n]) * 16
        text = spell(n, "me", "x", None, detail)
        before = digest_link(before, digest_content(salt, text))
        links.append(
            Link(
                id=n,
                at=n,
                actor="me",
                action="x",
                detail=detail,
                tenant=None,
                salt=salt,
                digest=before,
            )
        )
    return links


class TestFormula:
    def test_text(self):
        """
        An event is digested as JSON in ASCII, its instant with microseconds.
        """
        text = '["1970-01-01T00:00:01.000002Z","me","x",null,"\\u00e9"]'

        assert text == spell(1_000_002, "me", "x", None, "é")

    def test_by_hand(self):
        """
        Whoever has ``sha256sum`` can work a digest out.
        """
        (link,) = make_chain(["one"])
        content = sha256(f"{'01' * 16} {link.text}")

        assert content == link.content.hex()
        assert sha256(f"{'00' * 32} {content}") == link.digest.hex()


class TestBreaks:
    @given(st.lists(st.text(max_size=5), max_size=5))
    def test_whole(self, details):
        """
        Nothing is wrong with a chain as it was made.
        """
        assert [] == list(find_breaks(make_chain(details)))

    @given(st.data())
    def test_changed(self, data):
        """
        An event that says something else is found.
        """
        links = make_chain("abcd")
        place = data.draw(st.integers(0, 3))
        name = data.draw(st.sampled_from(["actor", "action", "tenant"]))
        links[place] = dataclasses.replace(links[place], **{name: "other"})

        assert [place + 1] == [link.id for link, _ in find_breaks(links)]

    @given(st.integers(0, 2))
    def test_dropped(self, place):
        """
        So is the one behind an event that was dropped.
        """
        links = make_chain("abcd")
        del links[place]

        assert [place + 2] == [link.id for link, _ in find_breaks(links)]

    def test_swapped(self):
        """
        So are events whose order was changed.
        """
        one, two = make_chain("ab")

        assert [2, 1] == [link.id for link, _ in find_breaks([two, one])]

    def test_unchained(self):
        """
        An event that was written past the chain is found.
        """
        (link,) = make_chain("a")
        bare = dataclasses.replace(link, digest=None)

        assert [(bare, "the event is in no chain")] == list(find_breaks([bare]))

    def test_goes_on(self):
        """
        The events behind one that is in no chain follow from those before it.
        """
        one, two = make_chain("ab")
        bare = dataclasses.replace(one, digest=None)

        assert [bare] == [link for link, _ in find_breaks([one, bare, two])]


class TestLedger:
    def test_chained(self, ledger, replica):
        """
        Each event is chained to the one before, in one transaction or not.
        """
        ledger.events.add("a", "one", actor="me", now=day(0))
        with ledger.all_or_none():
            ledger.events.add("b", "two", actor="me", now=day(0))
            ledger.events.add("c", "three", actor="me", now=day(0), tenant="t")
        links = list(AuditView(replica).chain())

        assert ["a", "b", "c"] == [link.action for link in links]
        assert [None, None, "t"] == [link.tenant for link in links]
        assert [] == list(find_breaks(links))

    def test_nul(self, ledger, replica):
        """
        What no database keeps is not digested either.
        """
        ledger.events.add("a", "a\0b", actor="me", now=day(0))
        links = list(AuditView(replica).chain())

        assert ["a\N{REPLACEMENT CHARACTER}b"] == [x.detail for x in links]
        assert [] == list(find_breaks(links))

    def test_pages(self, ledger, replica):
        """
        However many there are, all are read, from any number on.
        """
        with ledger.all_or_none():
            for n in range(1002):
                ledger.events.add("a", str(n), actor="me", now=day(0))
        view = AuditView(replica)

        assert 1002 == sum(1 for _ in view.chain())
        assert [1001, 1002] == [link.id for link in view.chain(1000)]


def step(name, kind=Kind.TENANT, tenant=None):
    """
    Make a step of a plan.
    """
    return Step(kind=kind, name=name, version=1, before=None, tenant=tenant)


class TestTenant:
    @pytest.mark.parametrize(
        ("steps", "tenant"),
        [
            ([step("acme")], "acme"),
            ([step("acme"), step("line", Kind.BASELINE, "acme")], "acme"),
            ([step("acme"), step("bank")], None),
            ([step("line", Kind.BASELINE)], None),
            ([step("acme"), step("line", Kind.BASELINE)], None),
        ],
        ids=["one", "its-baseline", "two", "baseline", "both"],
    )
    def test_plan(self, ledger, replica, steps, tenant):
        """
        A plan concerns a tenant where all of its steps do.
        """
        body = Body(what="x", steps=tuple(steps), seen=())
        ledger.plans.add(body, author="me", reason="y", now=day(0))

        assert [tenant] == [x.tenant for x in AuditView(replica).chain()]


EARLIER = (
    ("token-create", "token 1 (a), role reader, expires never", None),
    (
        "token-create",
        "token 2 (of tenant x, expires y), role x of tenant acme, expires z",
        "acme",
    ),
    ("tenant-enact", "tenant acme version 1 from x: tenant bank", "acme"),
    ("baseline-enact", "baseline b version 2 for acme from x: y", "acme"),
    ("baseline-enact", "baseline b version 2 from x: for bank from y", None),
    ("attestation-policy-set", "policy S of tenant acme: JWS 00", "acme"),
    ("attestation-policy-reset", "policy S of tenant acme", "acme"),
    ("policy-certificate-add", "policy certificate 0 of tenant acme", "acme"),
    ("attestation-refused", "/policies of tenant acme: x: y", "acme"),
    ("trust-add", "policy certificate 0 of tenant acme", None),
)


class TestMigration:
    @pytest.fixture
    def old(self, tmp_path):
        """
        A store of the release before, with events.
        """
        path = tmp_path / "old.db"
        engine = open_engine(path)
        with engine.begin() as connection:
            run_migrations(connection, "0007")
            stamp_anchors(connection, ANCHORS)
        engine.dispose()
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executemany(
                "INSERT INTO events (at, actor, action, detail) "
                "VALUES (1000001, 'é', ?, ?)",
                [row[:2] for row in EARLIER],
            )
            db.commit()
        return path

    def test_chained(self, old):
        """
        Earlier events are chained, and name the tenant that they concern.
        """
        migrate_store(old, day(0), None)
        with contextlib.closing(Replica(old)) as replica:
            links = list(AuditView(replica).chain())

        assert [row[2] for row in EARLIER] == [link.tenant for link in links]
        assert [] == list(find_breaks(links))
