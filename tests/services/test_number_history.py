import contextlib
import dataclasses
import random

import pytest

from tests.new_store import new_store
from tests.services.made import CHAINS, INTEL, day, fill, take
from thim.errors import UnavailableError
from thim.intel.names import Tee, Update
from thim.simulate.pki import NUMBERS
from thim.store.ledger import Ledger
from thim.store.number_history import NumbersHistory
from thim.store.number_view import NumberView
from thim.store.replica import Replica


OLD = {n: event for n, event in NUMBERS.items() if n < 19}
NEW = {n: event for n, event in NUMBERS.items() if n > 17}


def both(numbers, issued):
    """
    The lists of both TEEs.
    """
    return [
        INTEL.numbers(tee=tee, numbers=numbers, issued=issued) for tee in Tee
    ]


@pytest.fixture
def listed(ledger):
    """
    A store in which 17 and 18 are listed first, and 18 to 20 ten days later.
    """
    fill(ledger, *both(OLD, day(0)), *both(NEW, day(10)))
    return ledger


def history_of(replica, at=None):
    """
    Read the history once.
    """
    return replica.number_history(at)


class TestRead:
    def test_lists(self, listed, replica):
        """
        What signed lists say of a number is read from the store.
        """
        history = history_of(replica)

        assert [17, 18, 19, 20] == list(history)
        assert NUMBERS[18] == history[18].recovery_event
        assert (day(0), day(10)) == (
            history[18].first_listed,
            history[18].last_listed,
        )
        assert day(10) == history[17].withdrawn
        assert not history[17].is_signed_now
        assert history[20].is_signed_now

    def test_lists_at(self, listed, replica):
        """
        As of an instant only lists count that had been issued.
        """
        history = history_of(replica, day(9))

        assert [17, 18] == list(history)
        assert history[17].is_signed_now
        assert history[17].withdrawn is None

    def test_channels(self, listed, replica):
        """
        Where channels were seen is read too, and as of an instant what had
        been seen.
        """
        for n, number in ((1, 17), (20, 18)):
            listed.observe_channel(
                Update.STANDARD, number, source="-", seen=day(n)
            )

        assert day(20) == history_of(replica)[18].promoted
        assert history_of(replica)[18].promotion.is_move
        assert history_of(replica, day(19))[18].promoted is None

    def test_documents(self, listed, replica):
        """
        The latest dates of a number's documents are read, of all FMSPCs.
        """
        fill(
            listed,
            INTEL.tcb_info(number=16, issued=day(0)),
            INTEL.tcb_info(number=16, issued=day(20), fmspc="00906ED50000"),
            INTEL.tcb_info(number=16, issued=day(10)),
        )
        history = history_of(replica)
        then = history_of(replica, day(15))

        assert day(20) == history[16].newest_issued
        assert day(50) == history[16].newest_next_update
        assert history[16].recovery_event is None
        assert day(10) == then[16].newest_issued
        assert day(40) == then[16].newest_next_update
        assert 16 not in history_of(replica, day(0) - (day(1) - day(0)))

    def test_empty(self, ledger, replica):
        """
        Of an empty store nothing is known.
        """
        assert {} == history_of(replica)

    def test_order_of_arrival(self, anchors, tmp_path):
        """
        In which order lists came into the store does not matter.
        """
        files = {
            str(n): body
            for n, body in enumerate(
                both(OLD, day(0)) + both(NEW, day(10)) + both(NUMBERS, day(5))
            )
        }
        found = []
        for seed in range(3):
            path = tmp_path / f"{seed}.db"
            new_store(path, anchors)
            order = random.Random(seed).sample(sorted(files), len(files))
            with Ledger(path, anchors) as ledger:
                take(ledger, {"chains.pem": CHAINS})
                take(ledger, {name: files[name] for name in order})
            with contextlib.closing(Replica(path)) as replica:
                found.append(history_of(replica))

        assert found[0] == found[1] == found[2]

    def test_revoked_signer(self, listed, replica):
        """
        Lists whose signer is revoked since are no evidence.
        """
        with listed._transaction() as connection:
            connection.exec_driver_sql("UPDATE issuer_chains SET revoked = 1")

        assert {} == history_of(replica)


class TestReadAgain:
    def test_once_a_generation(self, listed, replica):
        """
        While nothing is committed the same history is returned.
        """
        reader = NumbersHistory(replica)

        assert reader.read() is reader.read()

    def test_after_a_commit(self, listed, replica):
        """
        After a commit it is what is known then.
        """
        reader = NumbersHistory(replica)
        before = reader.read()
        fill(listed, *both({20: NUMBERS[20]}, day(20)))

        after = reader.read()

        assert before[19].is_signed_now
        assert day(20) == after[19].withdrawn

    def test_parses_once(self, listed, replica):
        """
        After a commit only what is new is parsed: equal lists are even one in
        memory.
        """
        reader = NumbersHistory(replica)
        reader.read()
        before = dict(reader._lists)
        fill(listed, *both(NEW, day(20)))
        reader.read()

        assert 4 == len(before)
        assert 6 == len(reader._lists)
        for row, found in before.items():
            assert found is reader._lists[row]
        assert 2 == len({id(one.numbers) for one in reader._lists.values()})

    def test_other_commits(self, listed, replica):
        """
        A commit that brings no list has no list gone through again.
        """
        reader = NumbersHistory(replica)
        before = reader.read()
        listed.observe_channel(Update.EARLY, 20, source="-", seen=day(1))

        after = reader.read()

        assert day(1) == after[20].early
        assert before == {
            n: dataclasses.replace(entry, disclosure=None)
            for n, entry in after.items()
        }

    def test_at_leaves_today_alone(self, listed, replica):
        """
        Asking for another time changes nothing about today.
        """
        reader = NumbersHistory(replica)
        today = reader.read()
        then = reader.read(day(5))

        assert [17, 18] == list(then)
        assert today == reader.read()

    def test_in_a_snapshot(self, listed, replica):
        """
        It can be read inside a snapshot.
        """
        with replica.snapshot():
            assert 4 == len(NumbersHistory(replica).read())


class TestDamage:
    def test_list(self, listed, replica):
        """
        A list that is damaged on the disk is named.
        """
        with listed._transaction() as connection:
            connection.exec_driver_sql("UPDATE records SET body = X'7B7D'")

        with pytest.raises(UnavailableError, match="damaged list") as e:
            history_of(replica)

        assert "store-damaged" == e.value.reason

    def test_missing(self, replica):
        """
        So is one that is not there any more.
        """
        with pytest.raises(UnavailableError, match="no record 7 any more"):
            NumberView(replica).list_body(7)

    def test_channel(self, listed, replica):
        """
        A channel that there is not is named too.
        """
        listed.observe_channel(Update.EARLY, 20, source="-", seen=day(1))
        with listed._transaction() as connection:
            connection.exec_driver_sql("UPDATE channels SET name = 'late'")

        with pytest.raises(UnavailableError, match="makes no sense"):
            history_of(replica)
