import itertools
import os
import signal

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.made import CHAINS, INTEL, day
from tests.store.line_process import LineProcess
from tests.store.made import all_stored
from thim.intel.names import EnclaveKind, PckCa
from thim.services.audit import audit
from thim.store.create import create_store
from thim.store.ledger import Ledger


CERTIFICATES = len(INTEL.certificates)


class Importer(LineProcess):
    """Imports folders in processes of their own, one at a time."""

    def __init__(self) -> None:
        super().__init__("tests.services.importer")

    def start(self, store: Path, folder: Path, then: str) -> int:
        """
        Begin to import *folder* and then ``exit`` or ``stay``; return the
        number of the process.
        """
        self.write(f"{store}\t{folder}\t{then}")
        return int(self.read())

    def lines(self) -> Iterator[str]:
        """
        Read what is reported, one line after the other, to the end.
        """
        return iter(self.read, "")


@pytest.fixture(scope="module")
def importer():
    """
    An importer for the tests of this module.
    """
    opened = Importer()
    yield opened
    assert "" == opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """
    A folder of certificates and sixty documents, each in a file.
    """
    documents = [
        INTEL.root_crl(),
        *(INTEL.pck_crl(ca=ca, issued=day(n)) for ca in PckCa for n in (0, 1)),
        *(INTEL.identity(kind=kind) for kind in EnclaveKind),
        INTEL.numbers(),
        *(
            INTEL.tcb_info(number=17 + n % 3, issued=day(n // 3))
            for n in range(50)
        ),
    ]
    made = tmp_path_factory.mktemp("folder")
    (made / "chains.pem").write_bytes(CHAINS)
    for n, body in enumerate(documents):
        (made / f"{n:02}").write_bytes(body)
    return made


def split_reports(lines: Iterator[str]) -> tuple[list[str], int]:
    """
    Return the files of all reports up to the end, and the exit status.
    """
    reported: list[str] = []
    for line in lines:
        first, second = line.split()
        if first == "end":
            return reported, int(second)
        assert first in {"accepted", "known"}
        reported.append(second)
    raise AssertionError(reported)


def bodies(ledger) -> set[bytes]:
    """
    Return the body of every archived document.
    """
    return {s.record.body for s in all_stored(ledger)}


class TestKilled:
    @pytest.mark.parametrize("after", [0, 1, 3, 4, 5, 6, 9, 20, 40, 64])
    def test_loses_nothing_that_was_reported(
        self, tmp_path, importer, folder, after
    ):
        """
        Killed after some report, or at once, an import loses nothing of what
        it had reported and leaves nothing half; the next run completes it.
        """
        store = tmp_path / "thim.db"
        create_store(store, INTEL.anchors)
        running = importer.start(store, folder, "stay")
        lines = list(itertools.islice(importer.lines(), after))
        os.kill(running, signal.SIGKILL)
        reported, status = split_reports(
            itertools.chain(lines, importer.lines())
        )

        assert -signal.SIGKILL == status
        assert after <= len(reported)
        with Ledger(store, INTEL.anchors) as ledger:
            kept = bodies(ledger)
            certificates = ledger.certificates()
            report = audit(ledger)
        for name in set(reported) - {"chains.pem"}:
            assert (folder / name).read_bytes() in kept
        assert reported.count("chains.pem") <= len(certificates)
        assert len(kept) + len(certificates) <= len(reported) + 1
        assert () == report.findings

        importer.start(store, folder, "exit")
        again, status = split_reports(importer.lines())
        with Ledger(store, INTEL.anchors) as ledger:
            report = audit(ledger)
        assert 0 == status
        assert CERTIFICATES + 60 == len(again)
        assert (60, ()) == (report.records, report.findings)
