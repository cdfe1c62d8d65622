"""
Platforms as they are looked through, a page at a time.
"""

import contextlib

import pytest

from tests.platforms import NOW, entry, tcbm
from thim.collateral.platforms import RegisteredBy
from thim.errors import ParameterError
from thim.store.platform_view import (
    PlatformFilter,
    PlatformState,
    PlatformView,
)
from thim.store.replica import Replica


NOBODY = PlatformFilter(fmspc=b"\7" * 6)


@pytest.fixture
def view(ledger, store, intel):
    """
    Look at five platforms, of which one page looks at two.
    """
    entries = [
        entry(
            intel,
            f"node-{i}",
            *((tcbm(i),) if i % 2 else ()),
            name=f"node-{i}",
            registered_by=RegisteredBy.ENCRYPTED_PPID,
        )
        for i in range(5)
    ]
    ledger.platforms.enter(entries, NOW)
    with contextlib.closing(Replica(store)) as replica:
        yield PlatformView(replica, span=2)


def walk(view, wanted, most=50):
    """
    Turn all pages; return the names on each.
    """
    pages: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        page = view.page(wanted, after, most)
        pages.append([platform.name for platform in page.platforms])
        after = page.after
    return pages


class TestPage:
    def test_all(self, view):
        """
        A page ends where it has looked at enough.
        """
        expected = [["node-0", "node-1"], ["node-2", "node-3"], ["node-4"]]

        assert expected == walk(view, PlatformFilter())

    def test_few(self, view):
        """
        A page ends where it is full.
        """
        assert [[f"node-{i}"] for i in range(5)] == walk(
            view, PlatformFilter(), most=1
        )

    def test_nobody(self, view):
        """
        Where nobody is wanted the pages come to an end all the same.
        """
        assert [[], [], []] == walk(view, NOBODY)

    def test_index(self, view):
        """
        Where an index leads to those wanted, others are not looked at.
        """
        wanted = PlatformFilter(state=PlatformState.BARE)

        assert [["node-0", "node-2"], ["node-4"]] == walk(view, wanted)

    def test_names(self, view):
        """
        By their names, platforms are found however many others there are.
        """
        wanted = PlatformFilter(begins="node-")

        assert [["node-0", "node-1", "node-2"], ["node-3", "node-4"]] == walk(
            view, wanted, most=3
        )

    @pytest.mark.parametrize("after", ["x", "-1", "9" * 19, "²"])
    def test_wrong(self, view, after):
        """
        What is no end of a page is refused.
        """
        with pytest.raises(ParameterError, match="expected the end of a page"):
            view.page(PlatformFilter(), after)
