import asyncio
import contextlib
import datetime

import pytest

from tests.store.decisions import DAY, NOW, decision
from thim.errors import OperatorError
from thim.services.decisions import (
    JumpWatch,
    drop_old,
    drop_old_refusals,
)
from thim.store.decision_file import DecisionFile
from thim.store.decision_view import DecisionView


KEPT = ((7001, "refused: x"), (7002, "UpToDate"))


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

    def test_refusals(self, path):
        """
        Refusals can go before the rest does.
        """
        old = [decision(n, result="refused: x") for n in range(600)]
        kept = [decision(n, at=NOW + DAY, result=r) for n, r in KEPT]
        with contextlib.closing(DecisionFile(path)) as file:
            file.write([*old, *kept, decision(9999)])

        assert 600 == asyncio.run(drop_old_refusals(path, NOW + DAY))
        assert 3 == len(DecisionView(path).list())

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


class TestJumpWatch:
    @pytest.mark.parametrize(
        ("set_by", "expected"),
        [
            (0, True),
            (599, True),
            (-599, True),
            (601, False),
            (-601, False),
            (365 * 86_400, False),
            (-365 * 86_400, False),
        ],
    )
    def test_jump(self, set_by, expected):
        """
        A clock that was set by more than ten minutes is not to be believed.
        """
        watch = JumpWatch()
        watch.is_steady(NOW, 1000.0)
        later = NOW + datetime.timedelta(seconds=3600 + set_by)

        assert expected == watch.is_steady(later, 4600.0)

    def test_first(self):
        """
        One that is looked at for the first time is.
        """
        assert JumpWatch().is_steady(NOW, 1.0)

    @pytest.mark.parametrize(("hours", "expected"), [(23, False), (24, True)])
    def test_grace(self, hours, expected):
        """
        After a day in which it went on as it should it is again, right or
        wrong: somebody had that time to see it.
        """
        watch = JumpWatch()
        watch.is_steady(NOW, 0.0)
        year = datetime.timedelta(days=365)
        watch.is_steady(NOW + year, 0.0)
        later = NOW + year + datetime.timedelta(hours=hours)

        assert expected == watch.is_steady(later, hours * 3600.0)
