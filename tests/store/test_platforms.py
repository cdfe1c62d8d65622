"""
Platforms and their PCK certificates in a real store.
"""

import contextlib
import dataclasses
import random
import sqlite3

from datetime import timedelta

import pytest

from tests.platforms import (
    FMSPC,
    NOW,
    entry,
    issue,
    platform_id,
    records,
    tcb_info,
    tcbm,
    verifier,
)
from thim.collateral.platforms import MOST_RAW_TCBS, RegisteredBy
from thim.errors import MalformedError
from thim.intel.names import PckCa
from thim.intel.select import find_for, sort_by_floors
from thim.services.ingest import Outcome, ingest
from thim.store import packing
from thim.store.numbers import answer_key
from thim.store.pck import PckReader
from thim.store.replica import Replica
from thim.x509.chain import to_pem


OLD, MIDDLE, NEW = tcbm(1, 1), tcbm(2, 1), tcbm(2, 2)
AT = NEW
#: Neither of the two reaches the other.
LEFT, RIGHT = tcbm(3, 1), tcbm(1, 3)


@pytest.fixture
def anchors(intel):
    """
    The store is for what that Intel signs.
    """
    return intel.anchors


def take_in(ledger, intel, *bodies):
    """
    Take documents in, as an import does.
    """
    files = [
        ("ca.pem", to_pem(intel.certificates)),
        *((f"{i}", body) for i, body in enumerate(bodies)),
    ]
    for result in ingest(files, ledger=ledger, now=NOW):
        assert result.outcome is not Outcome.REFUSED, result


class TestEnter:
    def test_found(self, ledger, reader, intel):
        """
        A platform is found by its ID, with all that is known of it.
        """
        one = entry(intel, "one", OLD, NEW, raw=(NEW,), name="rack 1")
        (row,) = ledger.platforms.enter([one], NOW)

        found = reader.find_platform(one.id)

        assert (row, "rack 1", FMSPC, PckCa.PLATFORM, True) == (
            found.row,
            found.name,
            found.fmspc,
            found.ca,
            found.cached_keys,
        )
        assert ((NEW,), NOW, NOW) == (
            found.raw_tcbs,
            found.registered,
            found.looked,
        )
        assert found == reader.find_by_name("rack 1")

    def test_answer(self, ledger, reader, intel):
        """
        At a raw TCB that was registered, the certificate is looked up: byte
        for byte, with its chain.
        """
        one = entry(intel, "one", OLD, NEW, raw=(MIDDLE,))
        ledger.platforms.enter([one], NOW)

        found = reader.find_answer(one.id, MIDDLE)

        assert one.certificates[0].pem == found.pem
        assert to_pem([intel.platform_ca, intel.root]) == found.issuer_chain
        assert (OLD, FMSPC, PckCa.PLATFORM, False) == (
            found.tcbm,
            found.fmspc,
            found.ca,
            found.is_revoked,
        )

    def test_none_fits(self, ledger, reader, intel):
        """
        A raw TCB below all certificates has no answer.
        """
        one = entry(intel, "one", NEW, raw=(OLD,))
        ledger.platforms.enter([one], NOW)

        assert reader.find_answer(one.id, OLD) is None
        assert reader.find_answer(one.id, NEW) is None

    def test_again(self, ledger, reader, intel):
        """
        What is entered again adds raw TCBs and keeps what it does not give.
        """
        ledger.platforms.enter(
            [entry(intel, "one", NEW, raw=(OLD,), name="a")], NOW
        )
        again = entry(intel, "one", raw=(NEW, OLD))
        ledger.platforms.enter([again], NOW + timedelta(days=1))

        found = reader.find_platform(again.id)

        assert ((OLD, NEW), "a", NOW) == (
            found.raw_tcbs,
            found.name,
            found.registered,
        )
        assert NEW == reader.find_answer(again.id, NEW).tcbm

    def test_raw_tcbs_bounded(self, ledger, reader, intel):
        """
        Of too many raw TCBs the newest are kept.
        """
        many = tuple(tcbm(i) for i in range(MOST_RAW_TCBS + 5))
        one = entry(intel, "one", raw=many)
        ledger.platforms.enter([one], NOW)

        assert many[5:] == reader.find_platform(one.id).raw_tcbs

    def test_raw_tcb_gone(self, ledger, reader, intel):
        """
        A raw TCB that made room for another has no answer any more, which
        nothing would keep up to date.
        """
        first = entry(intel, "one", OLD, raw=(NEW,))
        ledger.platforms.enter([first], NOW)
        before = reader.find_answer(first.id, NEW)
        many = tuple(tcbm(1, 1, i) for i in range(MOST_RAW_TCBS))
        ledger.platforms.enter([entry(intel, "one", raw=many)], NOW)

        assert OLD == before.tcbm
        assert reader.find_answer(first.id, NEW) is None
        assert OLD == reader.find_answer(first.id, many[0]).tcbm

    def test_superseded(self, ledger, reader, intel):
        """
        A complete set supersedes what was there; nothing is deleted, and
        what comes back is current again.
        """
        ledger.platforms.enter([entry(intel, "one", OLD, NEW)], NOW)
        ledger.platforms.enter([entry(intel, "one", MIDDLE)], NOW)
        platform = reader.find_platform(platform_id("one"))
        after = [c.tcbm for c in reader.certificates(platform)]
        ledger.platforms.enter([entry(intel, "one", NEW, MIDDLE)], NOW)
        back = [c.tcbm for c in reader.certificates(platform)]

        assert [MIDDLE] == after
        assert [NEW, MIDDLE] == back

    def test_issued_anew(self, ledger, reader, intel):
        """
        A certificate that is issued anew for a TCB takes the place of the one
        before; the others stay, if the set is not complete.
        """
        first = entry(intel, "one", OLD, NEW, raw=(NEW,))
        ledger.platforms.enter([first], NOW)
        anew = issue(intel, "one", NEW, since=NOW - timedelta(days=1))
        record = verifier(intel).verify(anew)
        ledger.platforms.enter(
            [
                dataclasses.replace(
                    first, certificates=(record,), is_complete=False
                )
            ],
            NOW,
        )
        platform = reader.find_platform(first.id)

        assert {first.certificates[0].pem, record.pem} == {
            c.pem for c in reader.certificates(platform)
        }
        assert record.pem == reader.find_answer(first.id, NEW).pem

    def test_name_taken(self, ledger, reader, intel):
        """
        Two platforms of one name are an error that names it; nothing of the
        batch is kept.
        """
        ledger.platforms.enter([entry(intel, "one", name="rack 1")], NOW)
        two, three = entry(intel, "two", name="rack 1"), entry(intel, "three")

        with pytest.raises(MalformedError, match="'rack 1'") as caught:
            ledger.platforms.enter([three, two], NOW)

        assert "platform-name" == caught.value.reason
        assert reader.find_platform(three.id) is None

    def test_many(self, ledger, reader, intel):
        """
        A batch is a batch: each platform has its own certificates, also when
        a dictionary was trained on the way.
        """
        common = entry(intel, "one", NEW, raw=(NEW,))
        batch = [
            dataclasses.replace(common, id=platform_id(f"{i}"))
            for i in range(packing.ENOUGH)
        ]
        own = entry(intel, "own", OLD, raw=(OLD,))
        ledger.platforms.enter([own], NOW)
        ledger.platforms.enter(batch, NOW)

        assert 1 == reader.packer().newest
        assert own.certificates[0].pem == reader.find_answer(own.id, OLD).pem
        found = {reader.find_answer(one.id, NEW).pem for one in batch}
        assert {common.certificates[0].pem} == found
        assert len(batch) + 1 == len(list(reader.platforms()))

    def test_secrets(self, ledger, tmp_path, intel):
        """
        Encrypted PPID and manifest are kept apart, each if it is given.
        """
        values = {"registered_by": RegisteredBy.ENCRYPTED_PPID}
        one = entry(intel, "one", enc_ppid=b"\1" * 384, **values)
        ledger.platforms.enter([one], NOW)
        sealed = entry(
            intel,
            "one",
            manifest=b"sealed",
            registered_by=RegisteredBy.MANIFEST,
        )
        ledger.platforms.enter([sealed], NOW)

        with contextlib.closing(Replica(tmp_path / "thim.db")) as replica:
            kept = replica.rows(
                "SELECT enc_ppid, manifest FROM platform_secrets"
            )
            found = PckReader(replica).find_platform(one.id)

        assert [(b"\1" * 384, b"sealed")] == kept
        assert found is not None
        assert RegisteredBy.MANIFEST is found.registered_by
        assert "enc_ppid" not in repr(one)


class TestSelect:
    def test_levels_decide(self, ledger, reader, intel):
        """
        Of two that cannot be compared, that of the higher level is the answer.
        """
        both = tcbm(3, 3)
        take_in(ledger, intel, tcb_info(intel, 17, RIGHT, LEFT))
        one = entry(intel, "one", LEFT, RIGHT, raw=(both,))
        ledger.platforms.enter([one], NOW)

        assert RIGHT == reader.find_answer(one.id, both).tcbm

    def test_anew(self, ledger, reader, intel):
        """
        When a TCB info of a higher number comes, the answers are selected
        anew, once.
        """
        both = tcbm(3, 3)
        take_in(ledger, intel, tcb_info(intel, 17, LEFT, RIGHT))
        one = entry(intel, "one", LEFT, RIGHT, raw=(both,))
        ledger.platforms.enter([one], NOW)
        assert LEFT == reader.find_answer(one.id, both).tcbm
        take_in(ledger, intel, tcb_info(intel, 18, RIGHT, LEFT))

        assert [FMSPC] == list(ledger.selections.pending())
        counts = [ledger.selections.finish() for _ in range(2)]

        assert [2, 0] == counts
        assert RIGHT == reader.find_answer(one.id, both).tcbm

    def test_lost(self, ledger, reader, intel):
        """
        An answer whose certificate is superseded by none that fits is
        forgotten.
        """
        ledger.platforms.enter([entry(intel, "one", OLD, raw=(OLD,))], NOW)
        ledger.platforms.enter([entry(intel, "one", NEW)], NOW)

        assert reader.find_answer(platform_id("one"), OLD) is None

    def test_without_tcb_info(self, ledger, reader, intel):
        """
        Where no TCB info is known the answer is at least never above the raw
        TCB, and the exact one if there is one.
        """
        assert () == reader.floors(FMSPC)
        one = entry(intel, "one", OLD, LEFT, NEW, raw=(NEW, LEFT, tcbm(3, 3)))
        ledger.platforms.enter([one], NOW)

        assert NEW == reader.find_answer(one.id, NEW).tcbm
        assert LEFT == reader.find_answer(one.id, LEFT).tcbm
        best = reader.find_answer(one.id, tcbm(3, 3)).tcbm
        assert tcbm(3, 3).meets(best)

    def test_same_number(self, ledger, reader, intel, tmp_path):
        """
        Where an answer's number is another's already, there is no entry, and
        nobody gets the other's.
        """
        one = entry(intel, "one", OLD, raw=(OLD,))
        ledger.platforms.enter([one], NOW)
        two = entry(intel, "two", NEW, raw=(NEW,))
        key, _ = answer_key(two.id.qe_id, two.id.pce_id, NEW.to_bytes())
        with contextlib.closing(sqlite3.connect(tmp_path / "thim.db")) as db:
            db.execute("UPDATE pck_answers SET key = ?", (key,))
            db.commit()
        ledger.platforms.enter([two], NOW)

        assert reader.find_answer(two.id, NEW) is None


class TestRevoked:
    def test_flagged(self, ledger, reader, intel):
        """
        A certificate that the PCK CRL lists is flagged when the CRL comes,
        when the certificate comes, and no longer when it is listed no more.
        """
        one = entry(intel, "one", NEW, raw=(NEW,))
        ledger.platforms.enter([one], NOW)
        serial = one.certificates[0].certificate.serial_number
        flags = []

        def look():
            flags.append(reader.find_answer(one.id, NEW).is_revoked)

        look()
        for day, serials in enumerate([[5], [serial, 6], [6]], 10):
            issued = NOW - timedelta(days=30 - day)
            crl = intel.pck_crl(
                ca=PckCa.PLATFORM, issued=issued, revoked=serials
            )
            take_in(ledger, intel, crl)
            look()
            if serial in serials:
                later = entry(intel, "later", NEW, raw=(NEW,))
                ledger.platforms.enter(
                    [dataclasses.replace(one, id=later.id)], NOW
                )
                found = reader.find_answer(later.id, NEW)
                assert found.is_revoked

        assert [False, False, True, False] == flags

    def test_other_ca(self, ledger, reader, intel):
        """
        The other CA's list flags nothing.
        """
        one = entry(intel, "one", NEW, raw=(NEW,))
        ledger.platforms.enter([one], NOW)
        serial = one.certificates[0].certificate.serial_number
        crl = intel.pck_crl(
            ca=PckCa.PROCESSOR,
            issued=NOW - timedelta(days=1),
            revoked=[serial],
        )
        take_in(ledger, intel, crl)

        assert not reader.find_answer(one.id, NEW).is_revoked


class TestSeen:
    def test_noted(self, ledger, reader, intel):
        """
        When a platform was seen is written down, and a raw TCB that is new:
        it has an answer then.
        """
        one = entry(intel, "one", OLD, raw=(OLD,))
        (row,) = ledger.platforms.enter([one], NOW)
        later = NOW + timedelta(days=3)
        ledger.platforms.note_seen({row: later, 99: later}, {row: NEW})

        found = reader.find_platform(one.id)

        assert (later, (OLD, NEW)) == (found.last_seen, found.raw_tcbs)
        assert OLD == reader.find_answer(one.id, NEW).tcbm

    def test_full(self, ledger, reader, intel):
        """
        Who just asks with a raw TCB takes the place of no other.
        """
        many = tuple(tcbm(1, 1, i) for i in range(MOST_RAW_TCBS))
        one = entry(intel, "one", OLD, raw=many)
        (row,) = ledger.platforms.enter([one], NOW)
        ledger.platforms.note_seen({}, {row: NEW})

        assert many == reader.find_platform(one.id).raw_tcbs
        assert reader.find_answer(one.id, many[0]) is not None


def test_every_raw_tcb(ledger, reader, intel):
    """
    Whatever the order in which certificates and raw TCBs came, an answer is
    what selection says of all of them together.
    """
    draw = random.Random(3)
    points = [tcbm(a, b) for a in range(3) for b in range(3)]
    draw.shuffle(points)
    parts = [points[:3], points[3:5], points[5:6]]
    for i, part in enumerate(parts):
        certificates = records(intel, "one", *part)
        seen = tuple(points[i::3])
        ledger.platforms.enter(
            [
                entry(
                    intel,
                    "one",
                    raw=seen,
                    certificates=certificates,
                    is_complete=False,
                )
            ],
            NOW,
        )
    platform = reader.find_platform(platform_id("one"))
    ordered = sort_by_floors(reader.certificates(platform), ())

    assert set(points) == set(platform.raw_tcbs)
    for raw in points:
        best = find_for(ordered, raw)
        found = reader.find_answer(platform.id, raw)
        assert (best and best.pem) == (found and found.pem)


def test_manifest_first(ledger, reader, intel):
    """
    A platform that was registered by its manifest stays so, whatever else
    comes.
    """
    for registered_by in (RegisteredBy.MANIFEST, RegisteredBy.ENCRYPTED_PPID):
        is_manifest = registered_by is RegisteredBy.MANIFEST
        one = entry(
            intel,
            "one",
            registered_by=registered_by,
            manifest=b"sealed" if is_manifest else None,
            enc_ppid=None if is_manifest else b"\1" * 384,
        )
        ledger.platforms.enter([one], NOW)

    found = reader.find_platform(one.id)

    assert RegisteredBy.MANIFEST is found.registered_by


def test_older(ledger, reader, intel):
    """
    A certificate that was issued before the one that is there for its TCB is
    kept, and answers for nothing; unless it is all that the vendor has.
    """
    verify = verifier(intel).verify
    older, newer = (
        verify(issue(intel, "one", AT, since=NOW - timedelta(days=days)))
        for days in (20, 10)
    )
    one = entry(intel, "one", raw=(AT,), is_complete=False)
    found = []
    for certificates, is_complete in (
        ((newer,), False),
        ((older,), False),
        ((older,), False),
        ((older,), True),
    ):
        again = dataclasses.replace(
            one, certificates=certificates, is_complete=is_complete
        )
        ledger.platforms.enter([again], NOW)
        found.append(reader.find_answer(one.id, AT).pem)

    assert [newer.pem, newer.pem, newer.pem, older.pem] == found
