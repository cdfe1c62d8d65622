"""
Writing while a damaged replica is made anew.
"""

import pytest

from tests.store.made import ANCHORS, day
from thim.errors import UnwritableError
from thim.store import schema
from thim.store.ledger import Ledger
from thim.store.lock import following, is_followed

from .conftest import read_all


def garble(path):
    """
    Overwrite the first bytes.
    """
    with path.open("r+b") as file:
        file.write(b"\xff" * 100)


def delete(path):
    """
    Delete the file.
    """
    path.unlink()


@pytest.mark.parametrize("damage", [garble, delete])
def test_opened(store, damage):
    """
    Whoever comes to write to a replica that its node has yet to make anew is
    told so, and to try again: there is nothing to restore.
    """
    damage(store)
    with following(store), pytest.raises(UnwritableError) as caught:
        Ledger(store, ANCHORS)

    assert "replica-damaged" == caught.value.reason
    assert "makes it anew from the ledger: try again" in str(caught.value)
    assert "restore" not in str(caught.value)


@pytest.mark.parametrize("damage", [garble, delete])
def test_open_already(store, address, damage):
    """
    So is whoever had come before, and nothing is kept.
    """
    with Ledger(store, ANCHORS) as ledger:
        damage(store)
        with pytest.raises(UnwritableError, match="try again") as caught:
            ledger.count("a", "b", day(0))

    assert "replica-damaged" == caught.value.reason
    assert [] == read_all(address, schema.counters)


def test_followed(store):
    """
    A replica is followed for as long as a process of its node says so.
    """
    assert not is_followed(store)
    with following(store) as is_ours, following(store) as is_ours_too:
        assert (True, False) == (is_ours, is_ours_too)
        assert is_followed(store)
    assert not is_followed(store)
