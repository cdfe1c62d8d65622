import threading

from typing import Any

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.intel.kept import Kept


class TestKept:
    def test_found_again(self):
        """
        What is kept is found under its key, the very object.
        """
        kept: Kept[Any, Any] = Kept(2)
        value = object()
        kept.keep("a", value)

        assert value is kept.find("a")

    def test_nothing(self):
        """
        What was never kept is None.
        """
        kept: Kept[Any, Any] = Kept(2)

        assert None is kept.find("a")

    @pytest.mark.parametrize(
        ("count", "expected"), [(0, 0), (1, 1), (3, 3), (4, 3), (9, 3)]
    )
    def test_bound(self, count, expected):
        """
        No more is kept than was said.
        """
        kept: Kept[Any, Any] = Kept(3)
        for i in range(count):
            kept.keep(i, i)

        assert expected == len(kept)

    def test_first_in_first_out(self):
        """
        What was kept first has to go first.
        """
        kept: Kept[Any, Any] = Kept(3)
        for key in "abcd":
            kept.keep(key, key.upper())

        assert [None, "B", "C", "D"] == [kept.find(key) for key in "abcd"]

    def test_finding_does_not_count(self):
        """
        That something is asked for does not keep it any longer.
        """
        kept: Kept[Any, Any] = Kept(2)
        kept.keep("a", 1)
        kept.keep("b", 2)
        kept.find("a")
        kept.keep("c", 3)

        assert [None, 2, 3] == [kept.find(key) for key in "abc"]

    def test_replaced(self):
        """
        A key has one value: the last one, and the others stay.
        """
        kept: Kept[Any, Any] = Kept(2)
        kept.keep("a", 1)
        kept.keep("b", 2)
        kept.keep("a", 3)

        assert [2, 3, 2] == [len(kept), kept.find("a"), kept.find("b")]

    def test_replaced_is_last(self):
        """
        What is kept anew is not the next to go.
        """
        kept: Kept[Any, Any] = Kept(2)
        kept.keep("a", 1)
        kept.keep("b", 2)
        kept.keep("a", 3)
        kept.keep("c", 4)

        assert [3, None, 4] == [kept.find(key) for key in "abc"]

    def test_of_nothing(self):
        """
        Of no values none is kept.
        """
        kept: Kept[Any, Any] = Kept(0)
        kept.keep("a", 1)

        assert [0, None] == [len(kept), kept.find("a")]

    @settings(max_examples=100)
    @given(st.integers(0, 5), st.lists(st.integers(0, 7), max_size=30))
    def test_the_last_ones(self, most, keys):
        """
        Whatever is kept in whatever order, those kept last are there.
        """
        kept: Kept[Any, Any] = Kept(most)
        for i, key in enumerate(keys):
            kept.keep(key, i)

        expected: dict[int, int] = {}
        for i, key in reversed([*enumerate(keys)]):
            if len(expected) < most:
                expected.setdefault(key, i)
        found = {key: kept.find(key) for key in set(keys)}
        assert expected == {k: v for k, v in found.items() if v is not None}

    def test_threads(self):
        """
        Any number of threads may keep and find at once: the bound holds, and
        no key has the value of another one.
        """
        kept: Kept[Any, Any] = Kept(16)
        start = threading.Barrier(4)
        wrong: list[object] = []

        def work(first):
            start.wait()
            for i in range(first, first + 2000):
                kept.keep(i % 61, i % 61)
                found = kept.find((i + 7) % 61)
                if found not in {None, (i + 7) % 61} or len(kept) > 17:
                    wrong.append(found)

        threads = [
            threading.Thread(target=work, args=(i * 17,)) for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert ([], 16) == (wrong, len(kept))
