import asyncio
import contextlib

import pytest

from tests.store.decisions import DAY, NOW, decision
from thim.errors import OperatorError
from thim.services.decisions import drop_old
from thim.store.decision_file import DecisionFile
from thim.store.decision_view import DecisionView


@pytest.fixture
def path(tmp_path):
    """
    Where decision records are.
    """
    return tmp_path / "thim-decisions.db"


class TestDrop:
    def test_old(self, path):
        """
        What is from before the instant goes, however much that is, and nothing
        else.
        """
        kept = decision(9999, at=NOW)
        with contextlib.closing(DecisionFile(path)) as file:
            file.write([decision(n, at=NOW - DAY) for n in range(1200)])
            file.write([kept])

        assert 1200 == asyncio.run(drop_old(path, NOW))
        assert [kept] == DecisionView(path).list()

    def test_none(self, path):
        """
        Where no token was issued nothing is dropped, and no file made.
        """
        assert 0 == asyncio.run(drop_old(path, NOW))
        assert not path.exists()

    def test_trouble(self, path):
        """
        A file that cannot be used is an error.
        """
        path.write_bytes(b"x" * 4096)
        with pytest.raises(OperatorError, match="not a database"):
            asyncio.run(drop_old(path, NOW))
