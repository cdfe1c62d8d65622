import pytest

from thim.agent.waiting import back_off


class TestBackOff:
    @pytest.mark.parametrize(
        ("failures", "expected"),
        [(0, 2), (1, 2), (2, 4), (3, 8), (8, 256), (9, 300), (100, 300)],
    )
    def test_doubles(self, failures, expected):
        """
        Each failure in a row doubles the wait, up to five minutes.
        """
        assert expected == back_off(failures, None, 0)

    def test_spread(self):
        """
        A draw makes it shorter by up to 30 %.
        """
        assert 1.4 == pytest.approx(back_off(1, None, 1))

    def test_as_asked(self):
        """
        What the service asks for is kept, and spread behind that.
        """
        assert 600 == back_off(1, 600, 0)
        assert 780 == pytest.approx(back_off(1, 600, 1))
        assert 300 == back_off(20, 1, 0)
