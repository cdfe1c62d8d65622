"""
What is taken for granted of a tenant, and what is not.
"""

import msgspec
import pytest

from thim.baseline.model import Overrides, Per
from thim.http.tenant_changes import TenantWanted


def wanted(**members):
    """
    Read what is wanted of a tenant.
    """
    return msgspec.convert({"reason": "x", **members}, TenantWanted)


def test_usual():
    """
    Nobody overrides a tenant's baseline, and each address is counted by
    itself, unless that is said.
    """
    made = wanted(quota={"requests": 1})

    assert (Overrides.NEVER, Per.SOURCE) == (made.overrides, made.quota.per)
    assert (None, [], {}, None, []) == (
        made.baseline,
        made.hosts,
        made.labels,
        made.attestation,
        made.policy_certificates,
    )


@pytest.mark.parametrize(
    "members",
    [
        {"reason": ""},
        {"reason": "x" * 501},
        {"baseline": "x" * 64},
        {"hosts": ["a.example"] * 65},
        {"labels": {str(n): "x" for n in range(33)}},
        {"policy_certificates": ["x"] * 65},
        {"quota": {"requests": 0}},
        {"quota": {"requests": 1_000_001}},
        {"quota": {"requests": 1, "each": "minute"}},
        {"quotas": None},
    ],
)
def test_refused(members):
    """
    More than there may be is refused before anything of it is looked at, and
    so is what nobody knows.
    """
    with pytest.raises(msgspec.ValidationError):
        wanted(**members)
