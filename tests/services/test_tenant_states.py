import contextlib
import datetime

import pytest

from tests.new_store import new_store
from tests.services.made import INTEL, NOW
from tests.services.made import fill as put
from tests.tenants import Decisions
from thim.services.status import Level
from thim.services.tenant_states import find_tenant_concerns, list_states
from thim.store.ledger import Ledger
from thim.store.replica import Replica


DAY = datetime.timedelta(days=1)


@pytest.fixture
def path(tmp_path):
    """
    An empty store.
    """
    path = tmp_path / "thim.db"
    new_store(path, INTEL.anchors)
    return path


def fill(path, *numbers):
    """
    Take a document of each of *numbers* in, and the list of numbers.
    """
    with Ledger(path, INTEL.anchors) as ledger:
        identities = [INTEL.identity(number=n) for n in numbers]
        put(ledger, INTEL.numbers(), *identities)


@contextlib.contextmanager
def reading(path):
    """
    Read a store.
    """
    with contextlib.closing(Replica(path)) as replica:
        yield replica


class TestListStates:
    def test_withdrawn(self, path):
        """
        A number that the vendor has withdrawn is not signed any more; one that
        it signs is.
        """
        fill(path, 10, 19)
        decided = Decisions().tenant("old", "10").tenant("new", "19")
        decided.write(path, INTEL.anchors)

        with reading(path) as replica:
            states = {s.tenant: s for s in list_states(replica, NOW)}

        assert (10, False) == (states["old"].number, states["old"].is_signing)
        assert (19, True) == (states["new"].number, states["new"].is_signing)

    def test_nowhere(self, path):
        """
        A tenant whose rule comes to nothing stands nowhere, and it is said why.
        """
        fill(path, 19)
        decided = Decisions().baseline("mine", "lag: 9 events")
        decided.tenant("acme", "mine").write(path, INTEL.anchors)

        with reading(path) as replica:
            (state,) = (
                s for s in list_states(replica, NOW) if s.tenant == "acme"
            )

        assert state.number is None
        assert "lag: 9 events, comes to no number" in str(state.trouble)


class TestConcerns:
    def test_nothing_archived(self, path):
        """
        An empty archive is said already.
        """
        Decisions().tenant("acme", "19").write(path, INTEL.anchors)

        with reading(path) as replica:
            assert [] == list(find_tenant_concerns(replica, NOW))

    def test_without_number(self, path):
        """
        A tenant that stands nowhere wants somebody to act now.
        """
        fill(path, 19)
        decided = Decisions().baseline("mine", "lag: 9 events")
        decided.tenant("acme", "mine").write(path, INTEL.anchors)

        with reading(path) as replica:
            (concern,) = find_tenant_concerns(replica, NOW)

        assert (Level.NOW, "tenant-without-number") == (
            concern.level,
            concern.reason,
        )
        assert concern.detail.startswith("tenant acme: baseline mine, lag")

    def test_same_trouble(self, path):
        """
        Tenants with the same trouble are one concern, which names some.
        """
        fill(path, 19)
        decided = Decisions()
        for name in ("acme", "bank", "care", "data", "ease"):
            decided.tenant(name, "99")
        decided.write(path, INTEL.anchors)

        with reading(path) as replica:
            (concern,) = find_tenant_concerns(replica, NOW)

        assert concern.detail.startswith(
            "tenants acme, bank, care and 2 more: nothing is known of TCB"
        )

    def test_approval(self, path):
        """
        A promotion that waits for somebody is a concern; one that waits for a
        date is none.
        """
        fill(path, 19)
        decided = Decisions().baseline(
            "mine", "standard", hold="until-approved"
        )
        decided.baseline("later", "standard", hold="14d")
        for name, effective in (("mine", None), ("later", NOW + DAY)):
            decided.promotion(name, 18, effective=NOW - DAY)
            decided.promotion(name, 19, effective=effective)
        decided.write(path, INTEL.anchors)

        with reading(path) as replica:
            (concern,) = find_tenant_concerns(replica, NOW)

        assert "promotion-pending" == concern.reason
        assert "baseline mine waits to be approved" in concern.detail
