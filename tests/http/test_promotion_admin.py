"""
The admin API's promotions: what waits for somebody to approve it.
"""

import pytest

from tests.http.admin_api import serving_admin
from tests.tenants import Decisions


REASON = {"reason": "the canaries are well"}


@pytest.fixture
def waiting(intel, tmp_path):
    """
    A service whose baseline ``steady`` stands at 17 and waits for approval of
    18; nobody has it.
    """
    decided = Decisions().baseline("steady", "standard", hold="until-approved")
    with serving_admin(intel, tmp_path) as running:
        decided.promotion("steady", 17).promotion("steady", 18, None).write(
            running.store, intel.anchors
        )
        yield running


def number_of(api):
    """
    Tell where the baseline stands.
    """
    return api.ask("/baselines/steady").json["number"]


def test_approved(waiting):
    """
    Who approves it has the baseline stand there at once.
    """
    before = number_of(waiting)
    got = waiting.post("/baselines/steady/approve", REASON)

    assert (200, 18) == (got.status, got.json["number"])
    assert (17, 18) == (before, number_of(waiting))


def test_taken_back(waiting):
    """
    It can be taken back, to where it stood before.
    """
    waiting.post("/baselines/steady/approve", REASON)
    got = waiting.post("/baselines/steady/rollback", REASON)

    assert (200, 17) == (got.status, got.json["number"])
    assert 17 == number_of(waiting)


def test_reader(waiting):
    """
    Who may only look approves nothing.
    """
    got = waiting.post("/baselines/steady/approve", REASON, "reader")

    assert 403 == got.status
    assert 17 == number_of(waiting)
