"""
What an operator changes of platforms, and what is then found.
"""

import contextlib
import sqlite3

from datetime import timedelta

import pytest

from tests.platforms import FMSPC, NOW, entry, platform_id, records, tcbm
from thim.errors import MalformedError, NotFoundError
from thim.intel.names import PckCa
from thim.store.instants import to_stored
from thim.store.pck import Wanted
from thim.store.platform_changes import MOST_LABELS


AT = tcbm(2, 2)
LATER = NOW + timedelta(days=1)
BY = {"actor": "root", "now": LATER}


@pytest.fixture
def anchors(intel):
    """
    The store is for what that Intel signs.
    """
    return intel.anchors


@pytest.fixture
def rows(ledger, intel):
    """
    The numbers of two platforms.
    """
    return ledger.platforms.enter(
        [entry(intel, "one", AT, raw=(AT,)), entry(intel, "two")], NOW
    )


def events(replica):
    """
    Return what was decided, and by whom.
    """
    return replica.rows("SELECT actor, action, detail FROM events")


class TestName:
    def test_given(self, ledger, reader, replica, rows):
        """
        A platform gets a name, and who gave it is written down.
        """
        ledger.platforms.rename(rows[0], "rack 7", **BY)
        one = platform_id("one")

        assert one == reader.find_by_name("rack 7").id
        assert [
            ("root", "platform-name", f"platform {one}: name 'rack 7'")
        ] == events(replica)

    def test_taken_away(self, ledger, reader, rows):
        """
        A name can be taken away, from several too.
        """
        for row in rows:
            ledger.platforms.rename(row, None, **BY)

        assert reader.find_by_row(rows[0]).name is None

    def test_taken(self, ledger, reader, rows):
        """
        A name that another platform has is refused.
        """
        ledger.platforms.rename(rows[0], "rack 7", **BY)
        with pytest.raises(MalformedError, match="has it") as caught:
            ledger.platforms.rename(rows[1], "rack 7", **BY)

        assert "platform-name" == caught.value.reason

    def test_again(self, ledger, reader, rows):
        """
        Its own name it may be given again.
        """
        for _ in range(2):
            ledger.platforms.rename(rows[0], "rack 7", **BY)

        assert "rack 7" == reader.find_by_row(rows[0]).name

    def test_unknown(self, ledger):
        """
        A number that no platform has is an error.
        """
        with pytest.raises(NotFoundError, match="99"):
            ledger.platforms.rename(99, "rack 7", **BY)

    def test_two_at_once(self, ledger, intel):
        """
        Two platforms that come at once cannot have one name.
        """
        twins = [entry(intel, who, name="rack 1") for who in ("a", "b")]
        with pytest.raises(MalformedError, match="same name"):
            ledger.platforms.enter(twins, NOW)


class TestLabels:
    def test_merged(self, ledger, reader, replica, rows):
        """
        Labels are set and taken away one by one.
        """
        ledger.platforms.label(rows[0], {"rack": "7", "zone": "a"}, **BY)
        ledger.platforms.label(rows[0], {"zone": None, "row": "2"}, **BY)

        assert {"rack": "7", "row": "2"} == reader.find_by_row(rows[0]).labels
        assert events(replica)[1][2].endswith("labels without zone, row=2")

    def test_none_left(self, ledger, reader, rows):
        """
        The last one can be taken away.
        """
        ledger.platforms.label(rows[0], {"rack": "7"}, **BY)
        ledger.platforms.label(rows[0], {"rack": None}, **BY)

        assert {} == reader.find_by_row(rows[0]).labels

    def test_too_many(self, ledger, rows):
        """
        There is a bound.
        """
        many = {f"k{i}": "v" for i in range(MOST_LABELS + 1)}
        with pytest.raises(MalformedError, match="at most"):
            ledger.platforms.label(rows[0], many, **BY)


class TestRetire:
    def test_retired(self, ledger, reader, replica, rows):
        """
        A platform is retired once, and what is known of it stays.
        """
        news = [ledger.platforms.retire(rows[0], **BY) for _ in range(2)]
        found = reader.find_by_row(rows[0])

        assert [True, False] == news
        assert (LATER, FMSPC) == (found.retired, found.fmspc)
        assert ["platform-retire"] == [e[1] for e in events(replica)]

    def test_reinstated(self, ledger, reader, replica, rows):
        """
        It can be put back into service.
        """
        ledger.platforms.replace(*rows, **BY)
        news = [ledger.platforms.reinstate(rows[0], **BY) for _ in range(2)]
        found = reader.find_by_row(rows[0])

        assert [True, False] == news
        assert (None, None) == (found.retired, found.replaced_by)
        assert "platform-reinstate" == events(replica)[-1][1]


class TestReplace:
    def test_inherits(self, ledger, reader, replica, rows):
        """
        The name goes over to the one that takes the place; of the labels it
        gets the same, and the old one keeps them.
        """
        old, new = rows
        ledger.platforms.rename(old, "rack 7", **BY)
        ledger.platforms.label(old, {"zone": "a"}, **BY)
        ledger.platforms.replace(old, new, **BY)
        before, after = map(reader.find_by_row, rows)

        assert (None, LATER, new) == (
            before.name,
            before.retired,
            before.replaced_by,
        )
        assert ("rack 7", {"zone": "a"}) == (after.name, after.labels)
        assert {"zone": "a"} == before.labels
        assert (
            f"platform rack 7 ({before.id}) by {after.id}"
            == events(replica)[-1][2]
        )

    def test_keeps(self, ledger, reader, rows):
        """
        Those that it has itself stay.
        """
        for row, name in zip(rows, ("old", "new"), strict=True):
            ledger.platforms.rename(row, name, **BY)
            ledger.platforms.label(row, {"was": name}, **BY)
        ledger.platforms.replace(*rows, **BY)
        before, after = map(reader.find_by_row, rows)

        assert ("old", "new") == (before.name, after.name)
        assert {"was": "new"} == after.labels

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            (
                {"fmspc": bytes.fromhex("00906ED50000")},
                "FMSPC 00906ED50000, expected 00606A000000",
            ),
            ({"ca": PckCa.PROCESSOR}, "PCK CA processor, expected platform"),
        ],
        ids=["FMSPC", "CA"],
    )
    def test_another_machine(self, ledger, intel, reader, rows, changes, words):
        """
        A reset of the firmware makes no machine of another family.
        """
        other = records(intel, "three", AT, **changes)
        made = entry(intel, "three", certificates=other)
        (new,) = ledger.platforms.enter([made], NOW)
        with pytest.raises(MalformedError, match=words) as caught:
            ledger.platforms.replace(rows[0], new, **BY)

        assert "replacement" == caught.value.reason
        assert reader.find_by_row(rows[0]).retired is None

    def test_itself(self, ledger, rows):
        """
        Nobody replaces himself.
        """
        with pytest.raises(MalformedError, match="itself"):
            ledger.platforms.replace(rows[0], rows[0], **BY)

    def test_circle(self, ledger, rows):
        """
        Who was replaced replaces nobody: there are no circles.
        """
        ledger.platforms.replace(*rows, **BY)
        with pytest.raises(MalformedError, match="was replaced itself"):
            ledger.platforms.replace(*reversed(rows), **BY)


class TestSelect:
    def test_family(self, reader, rows):
        """
        Those of one family.
        """
        found = reader.select(Wanted(fmspc=FMSPC))

        assert [platform_id("one")] == [p.id for p in found]

    def test_retired(self, ledger, reader, rows):
        """
        Those in service, or those that are retired.
        """
        ledger.platforms.retire(rows[0], **BY)

        assert [[rows[1]], [rows[0]]] == [
            [p.row for p in reader.select(Wanted(is_retired=retired))]
            for retired in (False, True)
        ]

    def test_labels(self, ledger, reader, rows):
        """
        Those that have all of some labels.
        """
        ledger.platforms.label(rows[0], {"a": "1", "b": "2"}, **BY)
        ledger.platforms.label(rows[1], {"a": "1"}, **BY)

        assert [2, 1, 0] == [
            len(list(reader.select(Wanted(labels=labels))))
            for labels in ({"a": "1"}, {"a": "1", "b": "2"}, {"a": "2"})
        ]

    def test_unseen(self, ledger, reader, rows):
        """
        Those that did not ask since an instant; whoever never asked counts
        from his registration.
        """
        ledger.platforms.note_seen({rows[0]: LATER}, {})
        found = [
            [p.row for p in reader.select(Wanted(unseen_since=since))]
            for since in (NOW, LATER, LATER + timedelta(days=1))
        ]

        assert [[], [rows[1]], rows] == found

    def test_pages(self, ledger, reader, intel):
        """
        There may be more than a page of them.
        """
        many = [entry(intel, f"{i}") for i in range(1203)]
        ledger.platforms.enter(many, NOW)

        assert 1203 == len({p.id for p in reader.select(Wanted())})


def test_qe_id(ledger, reader, intel):
    """
    A QE ID may have several PCE IDs.
    """
    pce_ids = (b"\0\0", b"\1\0")
    ledger.platforms.enter(
        [entry(intel, "one", pce_id=pce_id) for pce_id in pce_ids], NOW
    )
    found = reader.find_by_qe_id(platform_id("one").qe_id)

    assert pce_ids == tuple(p.id.pce_id for p in found)


def test_secrets(ledger, reader, intel):
    """
    It is known what secrets there are, not which.
    """
    ledger.platforms.enter(
        [
            entry(intel, "one", enc_ppid=b"\1" * 384),
            entry(intel, "two", manifest=b"sealed"),
            entry(intel, "three"),
        ],
        NOW,
    )
    found = [
        reader.has_secrets(reader.find_platform(platform_id(who)))
        for who in ("one", "two", "three")
    ]

    assert [(True, False), (False, True), (False, False)] == found


def note_stranger(db, one, count):
    """
    Write down that a stranger asked *count* times, *count* hours after `NOW`.
    """
    at = to_stored(NOW + timedelta(hours=count))
    db.execute(
        "INSERT INTO strangers VALUES (?, ?, ?, ?, ?)",
        (one.qe_id, one.pce_id, at, at, count),
    )
    db.commit()


def test_strangers(store, reader, rows):
    """
    Strangers are listed, those that asked last first, until they are known.
    """
    asked = [("three", 1), ("four", 2), ("one", 3)]
    with contextlib.closing(sqlite3.connect(store)) as db:
        for who, count in asked:
            note_stranger(db, platform_id(who), count)

    assert [(platform_id("four"), 2), (platform_id("three"), 1)] == [
        (s.id, s.count) for s in reader.strangers()
    ]


def test_look_up(ledger, intel, rows):
    """
    Of the platforms that are known, one certificate is found, or none.
    """
    ids = [platform_id(who) for who in ("one", "two", "three")]
    found = ledger.platforms.look_up(ids)

    assert ids[:2] == list(found)
    assert found[ids[0]].certificate.startswith(b"-----BEGIN CERTIFICATE")
    assert found[ids[1]].certificate is None
