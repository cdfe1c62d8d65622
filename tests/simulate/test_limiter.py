import datetime
import http.client
import urllib.parse

import pytest

from tests.simulate.asking import NOW, ask
from tests.simulate.chips import VLEK, file_path, playing, world_with
from thim.simulate.amd_part import LimitPart


SECOND = datetime.timedelta(seconds=1)


def statuses(simulated, count=3, path=None):
    """
    Ask several times, and return the statuses.
    """
    path = path or simulated.chip("milan-1").path
    return [ask(simulated.url, path).status for _ in range(count)]


class TestLimit:
    def test_default(self):
        """
        A caller gets one certificate in ten seconds, and is told when the
        next one is to be had.
        """
        with playing(limited=True) as simulated:
            path = simulated.chip("milan-1").path
            first = ask(simulated.url, path)
            simulated.clock.advance(3 * SECOND)
            second = ask(simulated.url, path)
            simulated.clock.advance(6 * SECOND)
            third = ask(simulated.url, path)
            simulated.clock.advance(1 * SECOND)
            fourth = ask(simulated.url, path)

        assert [200, 429, 429, 200] == [
            x.status for x in (first, second, third, fourth)
        ]
        assert ["7", "1"] == [x["retry-after"] for x in (second, third)]
        assert "retry-after" not in first

    def test_several(self):
        """
        There may be more than one, in a window that moves on.
        """
        limit = LimitPart(requests=2, window="1m")
        with playing(world_with(limit=limit), limited=True) as simulated:
            first = statuses(simulated, 1)
            simulated.clock.advance(40 * SECOND)
            second = statuses(simulated, 2)
            simulated.clock.advance(30 * SECOND)
            third = statuses(simulated, 2)

        assert [200, 200, 429, 200, 429] == first + second + third

    def test_addresses(self):
        """
        Each address has its own.
        """
        found = []
        with playing(limited=True) as simulated:
            path = simulated.chip("milan-1").path
            port = urllib.parse.urlsplit(simulated.url).port
            for i in (1, 2, 1):
                connection = http.client.HTTPConnection(
                    "127.0.0.1", port, source_address=(f"127.0.0.{i}", 0)
                )
                connection.request("GET", path)
                found.append(connection.getresponse().status)
                connection.close()

        assert [200, 200, 429] == found

    def test_files(self):
        """
        Chains and lists do not count, VLEKs do, even those that are refused.
        """
        with playing(limited=True) as simulated:
            files = statuses(simulated, path=file_path("crl"))
            vleks = statuses(simulated, path=VLEK)

        assert [200, 200, 200] == files
        assert [401, 429, 429] == vleks

    def test_routes(self):
        """
        But they can be made to.
        """
        limit = LimitPart(routes="amd-*")
        with playing(world_with(limit=limit), limited=True) as simulated:
            files = statuses(simulated, 1, path=file_path("cert_chain"))
            files += statuses(simulated, 1, path=file_path("crl"))
            vceks = statuses(simulated, 2)

        assert [200, 429] == files
        assert [200, 200] == vceks

    @pytest.mark.parametrize(
        ("limit", "limited"), [(LimitPart(requests=0), True), (None, False)]
    )
    def test_off(self, limit, limited):
        """
        It can be switched off, in the world or in a test.
        """
        world = world_with(limit=limit) if limit else None
        with playing(world, limited=limited) as simulated:
            assert [200, 200, 200] == statuses(simulated)

    def test_silent(self):
        """
        It need not say when to come again.
        """
        limit = LimitPart(retry_after=False)
        with playing(world_with(limit=limit), limited=True) as simulated:
            path = simulated.chip("milan-1").path
            ask(simulated.url, path)
            got = ask(simulated.url, path)

        assert 429 == got.status
        assert "retry-after" not in got

    def test_real(self):
        """
        It may be counted by real time: moving the clock does not help.
        """
        limit = LimitPart(clock="real", window="1h")
        with playing(world_with(limit=limit), limited=True) as simulated:
            first = statuses(simulated, 1)
            simulated.clock.advance(datetime.timedelta(days=1))
            second = statuses(simulated, 1)

        assert [200, 429] == first + second

    def test_back(self):
        """
        A clock that is moved back does not lock anybody out.
        """
        with playing(limited=True) as simulated:
            first = statuses(simulated, 1)
            simulated.clock.move_to(NOW - datetime.timedelta(days=1))
            second = statuses(simulated, 2)

        assert [200, 200, 429] == first + second
