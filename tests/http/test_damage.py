"""
What is told of a damaged store, and how often.
"""

import pytest

from thim.errors import NotFoundError, UnavailableError
from thim.http.damage import DamageLog


DAMAGED = UnavailableError("x is damaged", reason="store-damaged")


@pytest.mark.parametrize(
    ("is_replica", "advice"),
    [(False, "thim db restore"), (True, "makes its replica anew")],
)
def test_advice(caplog, is_replica, advice):
    """
    A store is to be restored; a replica is made anew by its node.
    """
    DamageLog(is_replica=is_replica).note(DAMAGED)

    (message,) = caplog.messages
    assert "x is damaged" in message
    assert advice in message
    assert is_replica is ("restore" not in message)


def test_once(caplog):
    """
    It is told once, and not for each request; what is no damage never.
    """
    log = DamageLog()
    log.note(NotFoundError("nobody has it"))
    log.note(DAMAGED)
    log.note(DAMAGED)

    assert 1 == len(caplog.messages)
