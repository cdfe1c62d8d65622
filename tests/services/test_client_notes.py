import asyncio
import datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.services.made import INTEL, NOW
from thim.services.client_notes import (
    HELD_BACK,
    LAG,
    MOST_NOTED,
    REPEATED,
    ClientNotes,
    Page,
    merge,
    read_notes,
)
from thim.store.client_view import AHEAD, ClientNumber, ClientView


MINUTE = datetime.timedelta(minutes=1)


def note(notes, address, number=17, now=NOW, tenant="ours"):
    """
    Note what was fetched from an address.
    """
    page = Page(notes, tenant, number)
    page.note((address, 4711), now.timestamp())


def take(notes):
    """
    Take what was noted.
    """
    return merge(read_notes(notes.take()))


def write_down(notes, store, now, **more):
    """
    Write down what was noted.
    """
    asyncio.run(notes.write_down(store, INTEL.anchors, now, **more))


def known(replica, *clients):
    """
    Number and instant of each of the clients.
    """
    found = ClientView(replica).find("ours", clients)
    return {name: (one.number, one.seen) for name, one in found.items()}


@pytest.fixture
def notes():
    """
    Nothing is noted yet.
    """
    return ClientNotes()


@pytest.fixture
def written(notes, store):
    """
    One client has been written down.
    """
    note(notes, "10.0.0.1")
    write_down(notes, store, NOW)
    return notes


class TestTake:
    def test_last(self, notes):
        """
        Of each client of each tenant, the last number is taken, once.
        """
        note(notes, "10.0.0.1", 17)
        note(notes, "10.0.0.1", 18, NOW + MINUTE)
        note(notes, "10.0.0.1", 16, tenant="theirs")

        assert {("ours", 18), ("theirs", 16)} == {
            (one.tenant, one.number) for one in take(notes)
        }
        assert [] == take(notes)

    def test_networks(self, notes):
        """
        An IPv6 /64 is one client, what it fetched last counts; an IPv4 address
        is the same in IPv6's clothes.
        """
        note(notes, "2001:db8::1", 18, NOW + MINUTE)
        note(notes, "2001:db8::2", 17, NOW)
        note(notes, "::ffff:10.0.0.1")
        note(notes, "10.0.0.1")

        assert {"2001:db8::/64": 18, "10.0.0.1": 17} == {
            one.client: one.number for one in take(notes)
        }

    def test_nobody(self, notes):
        """
        Who has no address is not noted.
        """
        Page(notes, "ours", 17).note(None, 0.0)

        assert [] == take(notes)

    def test_bound(self, notes):
        """
        There are no more than 10,000 between two times.
        """
        for i in range(MOST_NOTED + 5):
            note(notes, f"10.0.{i // 256}.{i % 256}")

        assert MOST_NOTED == len(take(notes))

    @given(
        fetched=st.lists(
            st.tuples(st.integers(0, 9), st.integers(15, 18)), max_size=40
        ),
        most=st.integers(0, 6),
    )
    def test_any_bound(self, fetched, most):
        """
        Whatever the bound, those noted first stay, at their last number.
        """
        notes = ClientNotes(most)
        expected: dict[str, int] = {}
        for i, (client, number) in enumerate(fetched):
            address = f"10.0.0.{client}"
            note(notes, address, number, NOW + i * MINUTE)
            if address in expected or len(expected) < most:
                expected[address] = number

        assert expected == {one.client: one.number for one in take(notes)}


@given(
    st.lists(
        st.builds(
            lambda client, number, minutes: ClientNumber(
                tenant="ours",
                client=client,
                number=number,
                seen=NOW + minutes * MINUTE,
            ),
            st.sampled_from("abc"),
            st.integers(15, 18),
            st.integers(0, 100),
        )
    )
)
def test_merge(fetched):
    """
    Of each client what was seen last is left.
    """
    merged = merge(fetched)

    assert {one.client for one in fetched} == {one.client for one in merged}
    for one in merged:
        assert one.seen == max(
            o.seen for o in fetched if o.client == one.client
        )


class TestWriteDown:
    def test_news(self, written, replica, store):
        """
        A new client, and another number, are written down the next time.
        """
        later = NOW + MINUTE
        note(written, "10.0.0.1", 18, later)
        note(written, "10.0.0.2", 17, later)
        write_down(written, store, later)

        assert {"10.0.0.1": (18, later), "10.0.0.2": (17, later)} == known(
            replica, "10.0.0.1", "10.0.0.2"
        )

    @pytest.mark.parametrize("after", [MINUTE, REPEATED - MINUTE])
    def test_nothing_new(self, written, replica, store, after):
        """
        A client that fetches the same again within a day changes nothing, and
        no process has to forget its answers.
        """
        before = replica.generation()
        note(written, "10.0.0.1", now=NOW + after)
        write_down(written, store, NOW + after)
        write_down(written, store, NOW + after, is_last=True)

        assert before == replica.generation()
        assert {"10.0.0.1": (17, NOW)} == known(replica, "10.0.0.1")

    def test_held_back(self, written, replica, store):
        """
        One that fetches the same after a day is held back for an hour, and
        written down then.
        """
        again = NOW + REPEATED
        write_down(written, store, again)
        before = replica.generation()
        note(written, "10.0.0.1", now=again)
        for minutes in range(1, 60):
            write_down(written, store, again + minutes * MINUTE)
        held = replica.generation(), known(replica, "10.0.0.1")
        write_down(written, store, again + HELD_BACK)

        assert (before, {"10.0.0.1": (17, NOW)}) == held
        assert {"10.0.0.1": (17, again)} == known(replica, "10.0.0.1")
        assert HELD_BACK + REPEATED < LAG

    def test_with_news(self, written, replica, store):
        """
        What is held back is written down together with news.
        """
        again = NOW + REPEATED
        write_down(written, store, again)
        note(written, "10.0.0.1", now=again)
        write_down(written, store, again + MINUTE)
        note(written, "10.0.0.2", now=again + MINUTE)
        write_down(written, store, again + 2 * MINUTE)

        assert {
            "10.0.0.1": (17, again),
            "10.0.0.2": (17, again + MINUTE),
        } == known(replica, "10.0.0.1", "10.0.0.2")

    def test_last(self, written, replica, store):
        """
        What is held back is written down in the end.
        """
        again = NOW + REPEATED
        write_down(written, store, again)
        note(written, "10.0.0.1", now=again)
        write_down(written, store, again, is_last=True)

        assert {"10.0.0.1": (17, again)} == known(replica, "10.0.0.1")

    def test_other_process(self, written, replica, store):
        """
        An older number that another process noted before is no news.
        """
        other = ClientNotes()
        note(other, "10.0.0.1", 16, NOW - MINUTE)
        before = replica.generation()
        write_down(other, store, NOW + MINUTE)

        assert before == replica.generation()
        assert {"10.0.0.1": (17, NOW)} == known(replica, "10.0.0.1")

    def test_clock_was_ahead(self, written, replica, store):
        """
        What was written down by a clock far ahead is put right.
        """
        right = NOW - 2 * AHEAD
        note(written, "10.0.0.1", 17, right)
        write_down(written, store, right)

        assert {"10.0.0.1": (17, right)} == known(replica, "10.0.0.1")

    def test_no_store(self, notes, tmp_path, caplog):
        """
        Where it cannot be written it is lost, and that is logged.
        """
        caplog.set_level("INFO")
        note(notes, "10.0.0.1")
        write_down(notes, tmp_path / "none.db", NOW)

        assert "which number is not written down" in caplog.text
        assert [] == take(notes)
