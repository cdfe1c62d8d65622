"""
What is erased when nobody needs it any more, and what stays.
"""

from datetime import timedelta

import pytest

from tests.made_amd import (
    CHIP,
    MILAN,
    OLD_TCB,
    OTHER_CHIP,
    TCB,
    chain_record,
    endorsement,
    vcek,
)
from tests.platforms import FMSPC, NOW, entry, platform_id, tcbm
from thim.amd.kds import ChipTcb
from thim.collateral.chips import Chip
from thim.collateral.fleet_tcbs import FleetTcb, Origin
from thim.collateral.platforms import NameKind
from thim.collateral.targets import pck_target
from thim.store import schema
from thim.store.client_view import ClientNumber
from thim.store.instants import to_stored


AT = tcbm(2, 2)
DAY = timedelta(days=1)
BY = {"actor": "root", "now": NOW}
LATE = NOW + 10 * DAY
MOST = 100


@pytest.fixture
def anchors(intel):
    """
    The store is for what that Intel signs.
    """
    return intel.anchors


@pytest.fixture
def rows(ledger, intel):
    """
    The numbers of three platforms.
    """
    entries = [
        entry(
            intel,
            "one",
            AT,
            raw=(AT,),
            enc_ppid=bytes(384),
            names={NameKind.ENCRYPTED_PPID: bytes(384)},
        ),
        entry(intel, "two", AT, raw=(AT,)),
        entry(intel, "three"),
    ]
    return ledger.platforms.enter(entries, NOW)


def erase(ledger, what="platforms", before=LATE, most=MOST):
    """
    Erase what was retired before an instant.
    """
    return getattr(ledger.erasure, what)(before, most, actor="thim", now=LATE)


def put(ledger, hw_id):
    """
    Register a chip.
    """
    chip = Chip(
        product=MILAN,
        hw_id=hw_id,
        tcb=TCB,
        is_confirmed=False,
        name=None,
    )
    ledger.chip_table.put(chip, **BY)


def tell(ledger, name, seen):
    """
    Have an inventory tell of a machine.
    """
    told = FleetTcb(
        id=platform_id(name),
        fmspc=FMSPC,
        origin=Origin.IMPORTED,
        source="a test",
        seen=seen,
    )
    ledger.fleet_tcbs.note([told])


def count(replica, table):
    """
    Count the rows of a table.
    """
    return replica.first(f"SELECT count(*) FROM {table}")[0]  # noqa: S608


class TestPlatforms:
    def test_in_service(self, ledger, reader, rows):
        """
        Whoever is in service stays.
        """
        assert 0 == erase(ledger)
        assert reader.find_by_row(rows[0]) is not None

    def test_not_long_retired(self, ledger, reader, rows):
        """
        So does who was not retired for long enough.
        """
        ledger.platforms.retire(rows[0], **BY)

        assert 0 == erase(ledger, before=NOW)
        assert reader.find_by_row(rows[0]) is not None

    def test_all_that_is_known(self, ledger, replica, rows):
        """
        With a platform goes all that is known of it, but for the events.
        """
        one = platform_id("one")
        ledger.agenda.promise({pck_target(one): NOW})
        tell(ledger, "one", LATE)
        ledger.platforms.retire(rows[0], **BY)
        tables = [t.name for t in schema.metadata.sorted_tables]
        before = {name: count(replica, name) for name in tables}

        assert 1 == erase(ledger)

        lost = {name: before[name] - count(replica, name) for name in tables}
        assert {
            "events": -1,
            "fleet_tcbs": 1,
            "pck_answers": 1,
            "pck_certificates": 1,
            "platform_names": 1,
            "platform_secrets": 1,
            "platforms": 1,
            "targets": 1,
        } == {name: n for name, n in lost.items() if n}

    def test_others(self, ledger, reader, rows):
        """
        Other platforms keep their certificates.
        """
        ledger.platforms.retire(rows[0], **BY)
        erase(ledger)
        other = reader.find_by_row(rows[1])

        assert 1 == len(reader.certificates(other))

    def test_event(self, ledger, replica, rows):
        """
        That it was done is an event, which names nobody.
        """
        ledger.platforms.retire(rows[0], **BY)
        erase(ledger)

        assert (
            "thim",
            "platform-erase",
            f"retired before {LATE:%FT%TZ}: 1",
        ) == replica.rows("SELECT actor, action, detail FROM events")[-1]

    def test_nothing(self, ledger, replica, rows):
        """
        Where there is nothing to erase nothing is written.
        """
        before = replica.generation()
        erase(ledger)
        erase(ledger, "chips")
        ledger.erasure.inventory(NOW)
        ledger.erasure.sightings(NOW)

        assert before == replica.generation()

    def test_some_at_a_time(self, ledger, rows):
        """
        No more than so many go at once, those first that left first.
        """
        for row in rows[:2]:
            ledger.platforms.retire(row, **BY)

        assert [1, 1, 0] == [erase(ledger, most=1) for _ in range(3)]

    def test_newest(self, ledger, reader, intel, rows):
        """
        The newest stays until there is another: its number must not be given
        once more.
        """
        ledger.platforms.retire(rows[-1], **BY)
        assert 0 == erase(ledger)

        ledger.platforms.enter([entry(intel, "four")], NOW)
        assert 1 == erase(ledger)

    def test_predecessor(self, ledger, reader, rows):
        """
        Who was replaced by it is replaced by nobody that is known.
        """
        ledger.platforms.replace(rows[0], rows[1], actor="root", now=LATE)
        ledger.platforms.retire(rows[1], **BY)
        erase(ledger)

        assert reader.find_by_row(rows[0]).replaced_by is None


class TestChips:
    @pytest.fixture
    def chips(self, ledger):
        """
        A chip that is retired, and another.
        """
        for hw_id in (CHIP, OTHER_CHIP):
            put(ledger, hw_id)
        ledger.chip_table.retire(MILAN.value, CHIP, **BY)

    def test_erased(self, ledger, replica, chips):
        """
        A retired chip goes, others stay.
        """
        assert 1 == erase(ledger, "chips")
        assert [(OTHER_CHIP,)] == replica.rows("SELECT hw_id FROM chips")

    def test_not_long_retired(self, ledger, chips):
        """
        Not before its time.
        """
        assert 0 == erase(ledger, "chips", before=NOW)

    def test_keys(self, ledger, replica):
        """
        A chip's VCEKs go with it, and no others; those that are waited for
        are forgotten.
        """
        for hw_id in (CHIP, OTHER_CHIP):
            put(ledger, hw_id)
        ledger.add(chain_record(MILAN))
        for hw_id, tcb in ((CHIP, TCB), (CHIP, OLD_TCB), (OTHER_CHIP, TCB)):
            ledger.endorsements.add(endorsement(vcek(hw_id=hw_id, tcb=tcb)))
            ledger.chips.add(
                ChipTcb(product=MILAN, hw_id=hw_id, tcb=tcb), NOW, MOST
            )
        ledger.chip_table.retire(MILAN.value, CHIP, **BY)

        assert 1 == erase(ledger, "chips")
        assert [(OTHER_CHIP,)] == replica.rows(
            "SELECT holder FROM endorsement_keys"
        )
        (target,) = replica.rows(
            "SELECT name FROM targets WHERE name GLOB 'amd/vcek/*'"
        )
        assert OTHER_CHIP.hex().upper() in target[0]

    def test_newest_key(self, ledger, chips):
        """
        A chip with the newest VCEK of all stays until there is another: its
        number must not be given once more.
        """
        ledger.add(chain_record(MILAN))
        ledger.endorsements.add(endorsement(vcek()))
        assert 0 == erase(ledger, "chips")

        ledger.endorsements.add(endorsement(vcek(hw_id=OTHER_CHIP)))
        assert 1 == erase(ledger, "chips")


class TestInventory:
    def test_old(self, ledger, replica, rows):
        """
        Machines that are no platforms go when nobody has told of them since,
        platforms stay.
        """
        for name, seen in (("one", NOW), ("five", NOW), ("six", LATE)):
            tell(ledger, name, seen)

        assert 1 == ledger.erasure.inventory(LATE)
        assert {platform_id(name).qe_id for name in ("one", "six")} == {
            qe_id for (qe_id,) in replica.rows("SELECT qe_id FROM fleet_tcbs")
        }


class TestSightings:
    def test_strangers(self, ledger, replica):
        """
        Strangers go who have not asked since.
        """
        for name, at in (("one", NOW), ("two", LATE)):
            ledger.strangers.note({platform_id(name): 1}, at)

        assert 1 == ledger.erasure.sightings(LATE)
        assert [(to_stored(LATE),)] == replica.rows(
            "SELECT last_seen FROM strangers"
        )

    def test_clients(self, ledger, replica):
        """
        And clients.
        """
        seen = [
            ClientNumber(
                tenant="root", client=f"192.0.2.{n}", number=17, seen=at
            )
            for n, at in enumerate((NOW, LATE))
        ]
        ledger.client_numbers.note(seen, LATE)

        assert 1 == ledger.erasure.sightings(LATE)
        assert [("192.0.2.1",)] == replica.rows(
            "SELECT client FROM client_numbers"
        )
