import datetime
import threading

import pytest

from thim.errors import OperatorError
from thim.services.clock import FileClock
from thim.simulate.clock import Clock


NOW = datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
SOON = datetime.timedelta(seconds=10)


def now():
    """
    Return the machine's time.
    """
    return datetime.datetime.now(datetime.UTC)


class TestClock:
    def test_real(self):
        """
        Without a beginning it is the machine's.
        """
        assert now() <= Clock()() <= now() + SOON

    def test_running(self):
        """
        It runs on from where it begins.
        """
        clock = Clock(NOW)
        first = clock()

        assert not clock.is_frozen
        assert NOW <= first < clock() < NOW + SOON

    def test_frozen(self):
        """
        Or it stands still until it is let run.
        """
        clock = Clock(NOW, frozen=True)

        assert clock.is_frozen
        assert NOW == clock() == clock()
        clock.run()
        assert NOW < clock() < NOW + SOON
        clock.freeze()
        assert clock() == clock()

    @pytest.mark.parametrize("frozen", [True, False])
    def test_moved(self, frozen):
        """
        It can be moved either way, standing or running.
        """
        clock = Clock(NOW, frozen=frozen)
        clock.advance(72 * HOUR)
        ahead = clock()
        clock.advance(-72 * HOUR)
        back = clock()
        clock.move_to(NOW + HOUR)

        assert NOW + 72 * HOUR <= ahead < NOW + 72 * HOUR + SOON
        assert NOW <= back < NOW + SOON
        assert NOW + HOUR <= clock() < NOW + HOUR + SOON
        assert frozen == clock.is_frozen

    def test_zone(self):
        """
        It always speaks UTC.
        """
        zone = datetime.timezone(2 * HOUR)
        clock = Clock(NOW.astimezone(zone), frozen=True)

        assert datetime.UTC is clock().tzinfo

    @pytest.mark.parametrize(
        "instant",
        [
            NOW.replace(tzinfo=None),
            NOW.replace(year=1999),
            NOW.replace(year=9999),
        ],
    )
    def test_refused(self, instant):
        """
        An instant that no document could have is refused.
        """
        clock = Clock(NOW, frozen=True)
        with pytest.raises(OperatorError, match="clock: got"):
            clock.move_to(instant)

        assert NOW == clock()

    @pytest.mark.parametrize("days", [10**6 * 3, 10**8, -(10**5)])
    def test_too_far(self, days):
        """
        So is a step that leads there.
        """
        clock = Clock(NOW, frozen=True)
        with pytest.raises(OperatorError, match="clock"):
            clock.advance(datetime.timedelta(days=days))

        assert NOW == clock()

    def test_threads(self):
        """
        Steps of several threads all count.
        """
        clock = Clock(NOW, frozen=True)

        def step():
            for _ in range(100):
                clock.advance(HOUR)

        threads = [threading.Thread(target=step) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert NOW + 400 * HOUR == clock()


class TestMirror:
    def test_mirror(self, tmp_path):
        """
        Whoever reads its file sees each change at once.
        """
        path = tmp_path / "clock"
        clock = Clock(NOW, frozen=True)
        clock.mirror(path)
        follower = FileClock(path)
        seen = [follower()]
        clock.advance(HOUR)
        seen.append(follower())
        clock.run()
        running = follower()
        clock.move_to(NOW + 5 * HOUR)
        clock.freeze()
        follower_now = follower()
        follower.close()

        assert [NOW, NOW + HOUR] == seen
        assert NOW + HOUR < running < NOW + HOUR + SOON
        assert clock() == follower_now

    def test_no_folder(self, tmp_path):
        """
        A file that cannot be written is named.
        """
        path = tmp_path / "nowhere" / "clock"
        with pytest.raises(OperatorError, match=f"clock {path}: No such file"):
            Clock().mirror(path)
