from pathlib import PosixPath

import pytest

from tests.tsm import playing_kernel
from thim.errors import OperatorError
from thim.services.tsm import ask_tsm, read_entry


DATA = bytes(range(64))


def twice(data):
    """
    Stand for a report over *data*.
    """
    return data * 2


class TestAsk:
    @pytest.mark.parametrize("auxblob", [None, b"", b"certificates"])
    def test_answer(self, tmp_path, auxblob):
        """
        What the kernel makes of the data is read, and what it has beside it,
        which may be nothing.
        """
        root = tmp_path / "report"
        with playing_kernel(root, "sev_guest", twice, auxblob) as kernel:
            found = ask_tsm(root, DATA)

        assert [DATA] == kernel.asked
        assert ("sev_guest", DATA * 2, auxblob or b"") == (
            found.provider,
            found.outblob,
            found.auxblob,
        )

    def test_no_folder(self, tmp_path):
        """
        Where there is no such folder nothing can be asked.
        """
        with pytest.raises(OperatorError, match="none: No such file"):
            ask_tsm(tmp_path / "none", DATA)

    def test_unfilled(self, tmp_path):
        """
        A folder that nobody fills is an error.
        """
        with pytest.raises(OperatorError, match="No such file") as caught:
            ask_tsm(tmp_path, DATA)
        assert "tsm" == caught.value.reason


class TestEntry:
    def test_disturbed(self, tmp_path):
        """
        What was made while somebody else wrote is of no use.
        """
        for name in ("provider", "outblob"):
            (tmp_path / name).write_text(name)
        generation = tmp_path / "generation"

        class Racing(PosixPath):
            """
            A folder whose generation moves on when its report is read.
            """

            def read_bytes(self):
                if self.name == "outblob":
                    generation.write_text("2\n")
                return super().read_bytes()

        generation.write_text("1\n")
        with pytest.raises(OperatorError, match="somebody else writes"):
            read_entry(Racing(tmp_path), DATA)

    def test_strange_provider(self, tmp_path):
        """
        A provider whose name is no text is an error.
        """
        (tmp_path / "provider").write_bytes(b"\xff")
        with pytest.raises(OperatorError, match="can't decode"):
            read_entry(tmp_path, DATA)
