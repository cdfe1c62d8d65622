"""
What a memo remembers, and for how long.
"""

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.http.memo import Memo
from thim.http.reply import Reply


FOREVER = float("inf")


def reply(body=b"x", **changes):
    """
    An answer that may be given again for ever.
    """
    values = {"status": 200, "headers": (), "until": FOREVER, **changes}
    return Reply(body=body, **values)


class TestMemo:
    def test_bound(self):
        """
        The least recently used go first when there is no room.
        """
        memo = Memo(4000)
        for name in (b"a", b"b", b"c"):
            memo.remember(name, reply(b"x" * 300))
        memo.lookup(b"a", 0)
        memo.remember(b"d", reply(b"x" * 300))

        known = {
            name for name in (b"a", b"b", b"c", b"d") if memo.lookup(name, 0)
        }
        assert {b"a", b"c", b"d"} == known
        assert memo.size <= memo.capacity

    def test_too_large(self):
        """
        An answer larger than the memo is left out, and pushes nothing out.
        """
        memo = Memo(2000)
        memo.remember(b"a", reply())
        memo.remember(b"b", reply(b"x" * 2000))

        assert memo.lookup(b"a", 0)
        assert memo.lookup(b"b", 0) is None

    def test_nothing(self):
        """
        A capacity of 0 remembers nothing.
        """
        memo = Memo(0)
        memo.remember(b"a", reply())

        assert (0, 0) == (len(memo), memo.size)

    def test_end(self):
        """
        An answer is given up to its end, and then forgotten.
        """
        memo = Memo(9999)
        memo.remember(b"a", reply(until=10.0))

        assert memo.lookup(b"a", 9.9)
        assert memo.lookup(b"a", 10.0) is None
        assert (0, 0) == (len(memo), memo.size)

    def test_replaced(self):
        """
        A later answer to the same request takes the place of the earlier.
        """
        memo = Memo(9999)
        memo.remember(b"a", reply(b"1"))
        size = memo.size
        memo.remember(b"a", reply(b"2"))

        assert b"2" == getattr(memo.lookup(b"a", 0), "body", None)
        assert size == memo.size

    def test_late(self):
        """
        An answer that was begun before a change is not remembered after it.
        """
        memo = Memo(9999)
        before = memo.offer(b"a")
        memo.clear()
        memo.remember(before, reply())
        assert 0 == len(memo)

        memo.remember(memo.offer(b"a"), reply())
        assert memo.lookup(b"a", 0)

    @pytest.mark.parametrize("changes", [{"status": 304}, {"until": None}])
    def test_left_out(self, changes):
        """
        An answer other than a 200, or without an end, is left out.
        """
        memo = Memo(9999)
        memo.remember(b"a", reply(**changes))

        assert 0 == len(memo)

    @given(
        st.lists(
            st.tuples(st.binary(max_size=1), st.integers(0, 900)), max_size=40
        )
    )
    def test_size(self, steps):
        """
        The size is the sum of what is remembered, and within the capacity.
        """
        memo = Memo(4000)
        for raw, length in steps:
            memo.remember(raw, reply(b"x" * length))
            kept = [memo.lookup(r, 0) for r in {raw for raw, _ in steps}]
            assert memo.size == sum(entry.size for entry in kept if entry)
            assert memo.size <= memo.capacity
