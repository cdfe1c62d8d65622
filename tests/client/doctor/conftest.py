import pytest

from tests.http.conftest import NOW, full_set, make_store, unnumbered
from tests.platforms import entry, tcbm
from tests.serving import serving
from thim.store.ledger import Ledger


@pytest.fixture(autouse=True)
def environment(direct):
    """
    No proxy between the test and its server.
    """


@pytest.fixture(scope="session")
def doctored(intel, tmp_path_factory):
    """
    A service with one number, and a platform that has a certificate.
    """
    path = tmp_path_factory.mktemp("doctor") / "thim.db"
    make_store(path, intel, [*unnumbered(intel), *full_set(intel, 19)])
    with Ledger(path, intel.anchors) as ledger:
        one = entry(intel, "one", tcbm(4, 4), raw=(tcbm(4, 4),))
        ledger.platforms.enter([one], NOW)
    with serving(path, lambda: NOW, anchors=intel.anchors) as running:
        yield running
