from tests.attestation.signing import DAY, HOUR, NOW
from tests.services.signing_desks import desk, place, provide, revoke, view
from thim.attestation.signing_key import LEAD, LIFE
from thim.services.key_concerns import find_key_concerns
from thim.services.status import Level


__all__ = ["desk", "place", "view"]


def levels(replica, now):
    """
    Return how urgent each concern is.
    """
    return [c.level for c in find_key_concerns(replica, now, LIFE)]


class TestFindKeyConcerns:
    def test_none_needed(self, replica):
        """
        Where nobody has needed a key there is nothing to say.
        """
        assert [] == levels(replica, NOW)

    def test_well(self, desk, replica):
        """
        A key that signs, and is not to be followed yet, is no concern; nor
        is the hour in which the next one is made.
        """
        provide(desk)

        assert [] == levels(replica, NOW)
        assert [] == levels(replica, NOW + LIFE - LEAD)

    def test_late(self, desk, replica):
        """
        That the next key is not made is to be looked at soon; once it should
        sign, now.
        """
        kid = provide(desk)
        late = NOW + LIFE - LEAD + 2 * HOUR
        (concern,) = find_key_concerns(replica, late, LIFE)

        assert "signing-key" == concern.reason
        assert kid in concern.detail
        assert Level.SOON is concern.level
        assert [Level.NOW] == levels(replica, NOW + LIFE)

    def test_revoked(self, desk, ledger, replica):
        """
        Where the key was revoked and none has come in its place no token is
        issued.
        """
        revoke(ledger, provide(desk))

        assert [Level.NOW] == levels(replica, NOW + DAY)
