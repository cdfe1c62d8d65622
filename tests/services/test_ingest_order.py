import contextlib
import shutil
import tempfile

from pathlib import Path

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.new_store import new_store
from tests.services.made import (
    INTEL,
    KEY,
    STRANGER,
    day,
    der,
    take,
)
from tests.store.made import all_stored
from thim.intel.names import PckCa
from thim.services.ingest import Outcome
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """
    An empty store to be copied.
    """
    path = tmp_path_factory.mktemp("empty") / "thim.db"
    new_store(path, INTEL.anchors)
    return path


@contextlib.contextmanager
def copy_of(empty):
    """
    Open a copy of *empty* for writing, and remove it afterwards.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(Path(shutil.copy(empty, folder)), INTEL.anchors) as ledger,
    ):
        yield ledger


FILES = {
    "root.pem": to_pem((INTEL.root,)),
    "signer.der": der(INTEL.signer),
    "processor.hex": der(INTEL.processor_ca).hex().encode(),
    "root.crl": INTEL.root_crl(revoked=[4711]),
    "root-old.crl": INTEL.root_crl(
        issued=day(-1), revoked=[INTEL.signer.serial_number]
    ),
    "processor.crl": INTEL.pck_crl(ca=PckCa.PROCESSOR),
    "platform.crl": INTEL.pck_crl(),  # its CA is in no file
    "tcb-17.json": INTEL.tcb_info(),
    "tcb-17-again.json": INTEL.tcb_info(issued=day(1)),
    "tcb-18.json": INTEL.tcb_info(number=18),
    "tcb-1.json": INTEL.tcb_info(structure=1),
    "qe.json": INTEL.identity(),
    "numbers.json": INTEL.numbers(),
    "stranger.json": STRANGER.tcb_info(number=19),
    "stranger.pem": to_pem((STRANGER.root, STRANGER.signer)),
    "noise": b"noise",
}
REFUSED = {"platform.crl", "stranger.json", "stranger.pem", "noise"}


class TestOrder:
    @settings(max_examples=20)
    @given(order=st.permutations(sorted(FILES)))
    def test_does_not_matter(self, empty, order):
        """
        In whatever order the files of a run come: the same are accepted, the
        same refused for the same reasons, and the heads are the newest.
        """
        with copy_of(empty) as ledger:
            found = take(ledger, {name: FILES[name] for name in order})
            heads = {
                (s.record.key, s.record.evaluation_number): s.record.issued
                for s in all_stored(ledger)
                if s.is_head
            }

        for name, results in found.items():
            expected = "refused" if name in REFUSED else "accepted"
            assert {expected} == {r.outcome.value for r in results}
        assert day(1) == heads[KEY, 17]
        assert 6 == len(heads)

    @settings(max_examples=15)
    @given(
        broken=st.lists(
            st.binary(max_size=40)
            | st.tuples(
                st.sampled_from(sorted(FILES)),
                st.integers(0, 10**6),
                st.integers(1, 255),
            ),
            max_size=6,
        )
    )
    def test_a_broken_file_stops_nothing(self, empty, broken):
        """
        Whatever stands in other files, with a byte flipped or of noise, the
        genuine ones are accepted.
        """
        files = {f"broken-{n}": spoil(what) for n, what in enumerate(broken)}
        with copy_of(empty) as ledger:
            found = take(ledger, files | FILES)

        for results in found.values():
            assert results
            assert all(
                r.reason and r.detail
                for r in results
                if r.outcome is Outcome.REFUSED
            )
        for name in FILES.keys() - REFUSED:
            assert "refused" not in {r.outcome.value for r in found[name]}


def spoil(what: bytes | tuple[str, int, int]) -> bytes:
    """
    Return the noise itself, or a file with one byte changed.
    """
    if isinstance(what, bytes):
        return what
    name, place, change = what
    raw = bytearray(FILES[name])
    raw[place % len(raw)] ^= change
    return bytes(raw)
