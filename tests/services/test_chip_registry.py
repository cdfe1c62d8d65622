import contextlib
import datetime

import pytest

from tests.amd_vendor import amd_settings, name_of, path_of
from tests.simulate.chips import playing
from tests.vendors import await_so, facing
from thim.errors import ParameterError
from thim.services.chip_registry import ChipRegistry, Registered, Told
from thim.store.ledger import Ledger
from thim.store.replica import Replica


#: A revocation list of the simulation's has expired by then, and nothing else.
_LATER = datetime.timedelta(days=500)
#: By then the VCEK has, too.
_YEARS_LATER = datetime.timedelta(days=8 * 365)


@pytest.fixture(scope="module")
def vendor():
    """
    An AMD at a standing clock that does not count requests.
    """
    with playing() as running:
        yield running


@pytest.fixture
def register(vendor, tmp_path):
    """
    Register a chip whose VCEK is in the store, with a report of it, after the
    revocation list in the store has expired.
    """
    path = tmp_path / "thim.db"
    with facing(vendor, path, amd_settings(vendor)) as served:
        await_so(lambda: served.get(path_of(vendor, "milan-1")).status == 200)
    name = name_of(vendor.intel.world, "milan-1")

    def run(report: bytes, later=_LATER) -> Registered:
        now = vendor.clock() + later
        with (
            Ledger(path, vendor.anchors) as ledger,
            contextlib.closing(Replica(path)) as replica,
        ):
            registry = ChipRegistry(ledger, replica, now)
            told = Told(name=name, report=report)
            return registry.register(told, actor="host-1", is_agent=True)

    return run


class TestExpiredList:
    def test_declared(self, vendor, register):
        """
        A genuine report confirms nothing under a list that has expired.
        """
        expected = Registered(is_confirmed=False, reason="crl-expired")
        assert expected == register(vendor.report("milan-1"))

    def test_vcek_too(self, vendor, register):
        """
        Nor does it while the VCEK that we have is expired.
        """
        found = register(vendor.report("milan-1"), _YEARS_LATER)
        assert not found.is_confirmed
        assert "leaf-expired" in found.reason

    @pytest.mark.parametrize("later", [_LATER, _YEARS_LATER])
    def test_forged(self, vendor, register, later):
        """
        A forged report is refused all the same.
        """
        forged = bytearray(vendor.report("milan-1"))
        forged[0x50] ^= 1
        with pytest.raises(ParameterError, match="report-signature"):
            register(bytes(forged), later)
