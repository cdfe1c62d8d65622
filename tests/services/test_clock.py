import datetime
import os

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.errors import OperatorError
from thim.services.clock import (
    FileClock,
    utc_now,
    write_running,
    write_standing,
)


NOW = datetime.datetime(2026, 11, 2, 9, 0, 0, 123456, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def path(tmp_path):
    """
    Where the clock is.
    """
    return tmp_path / "clock"


@pytest.fixture
def opened(path):
    """
    Open the clock; it is closed in the end.
    """
    clocks = []

    def open_clock():
        clocks.append(FileClock(path))
        return clocks[-1]

    yield open_clock
    for clock in clocks:
        clock.close()


class TestFileClock:
    def test_standing(self, path, opened):
        """
        A clock that stands still says its instant, to the microsecond.
        """
        write_standing(path, NOW)
        clock = opened()

        assert (NOW, NOW) == (clock(), clock())

    @pytest.mark.parametrize(
        "ahead", [0 * HOUR, 72 * HOUR, -HOUR, 90000 * HOUR]
    )
    def test_running(self, path, opened, ahead):
        """
        A clock that runs is ahead of the machine's, or behind.
        """
        write_running(path, ahead)
        off = opened()() - utc_now() - ahead

        assert abs(off) < SECOND
        assert datetime.UTC is opened()().tzinfo

    def test_moved(self, path, opened):
        """
        Whoever has it open follows each move at once.
        """
        write_standing(path, NOW)
        clock = opened()
        write_running(path, 900000000 * SECOND)
        clock()
        write_standing(path, NOW + HOUR)

        assert NOW + HOUR == clock()

    def test_time_zone(self, path, opened):
        """
        An instant in another time zone is the same in UTC.
        """
        zone = datetime.timezone(2 * HOUR)
        write_standing(path, NOW.astimezone(zone))

        assert NOW == opened()()
        assert "=2026-11-02T09:00:00.123456Z" == path.read_text().strip()

    @given(st.text(max_size=40) | st.floats().map(lambda x: f"+{x}"))
    def test_anything(self, tmp_path_factory, text):
        """
        A file says what time it is, or is refused by its name.
        """
        path = tmp_path_factory.mktemp("clock") / "clock"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            clock = FileClock(path)
        except OperatorError:
            return
        assert isinstance(clock(), datetime.datetime)
        clock.close()

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"2026-11-02T09:00:00Z",
            b"=",
            b"=yesterday",
            b"+",
            b"+nan",
            b"+inf",
            b"+1e300",
            b"+1e12",
            b"=9999-12-31T23:59:59-23:00",
            b"\xff" * 32,
        ],
    )
    def test_no_clock(self, path, text):
        """
        What says no time is refused by its name.
        """
        path.write_bytes(text)

        with pytest.raises(
            OperatorError, match=f"clock {path}: got .*expected"
        ):
            FileClock(path)

    def test_without_time_zone(self, path):
        """
        An instant without its time zone is none.
        """
        path.write_text("=2026-11-02T09:00:00")

        with pytest.raises(OperatorError, match="expected =INSTANT"):
            FileClock(path)

    def test_missing(self, path):
        """
        A clock that is not there is refused by its name.
        """
        with pytest.raises(OperatorError, match=f"clock {path}: No such file"):
            FileClock(path)

    def test_folder(self, tmp_path):
        """
        So is a folder.
        """
        with pytest.raises(OperatorError, match=f"clock {tmp_path}: Is a dir"):
            FileClock(tmp_path)

    def test_refused_is_closed(self, path):
        """
        A file that is refused is not left open.
        """
        path.touch()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no folder
        for _ in range(5):
            with pytest.raises(OperatorError):
                FileClock(path)

        assert before == len(os.listdir("/proc/self/fd"))  # noqa: PTH208
