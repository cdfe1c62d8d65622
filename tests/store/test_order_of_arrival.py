import contextlib
import shutil
import tempfile

from pathlib import Path

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.new_store import new_store
from tests.store.made import (
    ANCHORS,
    KEY,
    OTHER_KEY,
    V1_KEY,
    all_stored,
    make_record,
)
from thim.collateral.transition import Transition
from thim.store.ledger import Ledger


documents = st.builds(
    make_record,
    issued=st.integers(0, 5),
    key=st.sampled_from([KEY, OTHER_KEY]),
    number=st.sampled_from([17, 18]),
    envelope=st.sampled_from(["", " "]),
)
v1_documents = st.builds(
    make_record,
    issued=st.integers(0, 3),
    key=st.just(V1_KEY),
    number=st.none(),
    lasts=st.none(),
)
contradictions = st.builds(
    make_record,
    issued=st.integers(0, 3),
    number=st.sampled_from([17, 18]),
    text=st.sampled_from(["signed", "forged"]),
)


def series_of(record):
    """
    Return what a record's series is known by.
    """
    return record.key, record.evaluation_number


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """
    An empty store to be copied.
    """
    path = tmp_path_factory.mktemp("empty") / "thim.db"
    new_store(path, ANCHORS)
    return path


@contextlib.contextmanager
def copy_of(empty):
    """
    Open a copy of *empty* for writing, and remove it afterwards.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(Path(shutil.copy(empty, folder)), ANCHORS) as ledger,
    ):
        yield ledger


class TestOrderOfArrival:
    @settings(max_examples=20)
    @given(arriving=st.lists(documents | v1_documents, min_size=1, max_size=12))
    def test_does_not_matter(self, empty, arriving):
        """
        In whatever order documents arrive, and however often: the head of
        each key and number is its newest, and the archive has each once.
        """
        with copy_of(empty) as ledger:
            for record in arriving:
                assert Transition.FORK is not ledger.add(record)
            stored = all_stored(ledger)

        signed = {record.signed_sha256 for record in arriving}
        newest = {}
        for record in sorted(arriving, key=lambda r: r.issued):
            if record.evaluation_number is not None:
                newest[series_of(record)] = record.signed_sha256
        heads = {
            series_of(s.record): s.record.signed_sha256
            for s in stored
            if s.is_head
        }
        assert sorted(signed) == sorted(s.record.signed_sha256 for s in stored)
        assert newest == heads

    @settings(max_examples=20)
    @given(arriving=st.lists(contradictions, min_size=1, max_size=12))
    def test_first_of_two_that_contradict(self, empty, arriving):
        """
        Of two documents that contradict each other the archive has the one
        that came first, and the verdict on the second says so.
        """
        first: dict[object, bytes] = {}
        with copy_of(empty) as ledger:
            for record in arriving:
                name = (series_of(record), record.issued)
                known = first.setdefault(name, record.signed_sha256)
                is_fork = known != record.signed_sha256
                verdict = ledger.add(record)

                assert is_fork == (verdict is Transition.FORK)
            stored = all_stored(ledger)

        assert sorted(first.values()) == sorted(
            s.record.signed_sha256 for s in stored
        )
