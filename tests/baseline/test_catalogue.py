import datetime

import pytest

from thim.baseline.catalogue import RELEASES, Release, find_release


class TestFindRelease:
    @pytest.mark.parametrize(
        ("number", "released", "linux", "windows"),
        [
            (10, datetime.date(2020, 11, 11), "2.9", "2.7.101.2"),
            (11, datetime.date(2021, 6, 9), "2.13.3", "2.13.100.2"),
            (12, datetime.date(2021, 11, 10), "2.13.3", "2.13.100.2"),
            (13, datetime.date(2022, 8, 9), "2.17", "2.16"),
            (14, datetime.date(2022, 11, 8), "2.17", "2.16"),
            (15, datetime.date(2023, 2, 14), "2.17", "2.16"),
        ],
    )
    def test_documented(self, number, released, linux, windows):
        """
        Of 10 to 15 the day of the release and the oldest PSW are documented.
        """
        expected = Release(
            number=number,
            released=released,
            minimum_psw_linux=linux,
            minimum_psw_windows=windows,
        )
        assert expected == find_release(number)

    @pytest.mark.parametrize("number", [0, 9, 16, 20])
    def test_others(self, number):
        """
        Of others nothing is.
        """
        assert find_release(number) is None

    def test_order(self):
        """
        The newer a number, the newer its release.
        """
        found = [(release.number, release.released) for release in RELEASES]

        assert sorted(found) == found
        assert list(range(10, 16)) == [number for number, _ in found]
