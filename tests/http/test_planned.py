"""
Numbers of plans, and how many have platforms judged at once.
"""

import pytest

from thim.errors import NotFoundError, UnavailableError
from thim.http.planned import judging, read_plan_id


@pytest.fixture
def service(served):
    """
    A service that judges nobody's platforms.
    """
    return served.state["service"]


class TestPlanId:
    @pytest.mark.parametrize("text", ["7", "007", "9" * 12])
    def test_number(self, text):
        """
        Plans have numbers of up to twelve digits.
        """
        assert int(text) == read_plan_id(text)

    @pytest.mark.parametrize(
        "text", ["", "x", "-1", "1 ", "\u0663", "\xb2", "9" * 13, "9" * 5000]
    )
    def test_none(self, text):
        """
        What is none is told as a plan that nobody made, in few words.
        """
        with pytest.raises(NotFoundError, match="no plan ") as caught:
            read_plan_id(text)

        assert "unknown-plan" == caught.value.reason
        assert len(str(caught.value)) < 100


class TestJudging:
    def test_two(self, service):
        """
        Two do at once, and the next is to come again; who is done, or fails,
        makes room.
        """
        with (
            judging(service),
            judging(service),
            pytest.raises(UnavailableError) as caught,
            judging(service),
        ):
            pass
        with pytest.raises(ZeroDivisionError), judging(service):
            raise ZeroDivisionError

        assert ("busy", 10) == (caught.value.reason, caught.value.retry_after)
        assert 0 == service.judging
