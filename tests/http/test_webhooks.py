import asyncio

from tests.http.conftest import NOW
from tests.new_store import new_store
from tests.serving import serving
from tests.upstream.receiver import receiving
from tests.vendors import await_so
from thim.store.ledger import Ledger


def test_service_tells(intel, tmp_path):
    """
    A service with webhooks tells them what is noticed.
    """
    path = tmp_path / "thim.db"
    new_store(path, intel.anchors)
    with Ledger(path, intel.anchors) as ledger:
        ledger.notices.add("number", "22", "{}", NOW, ["here"])

    async def scenario():
        async with receiving() as got:
            with serving(
                path, lambda: NOW, anchors=intel.anchors, webhooks=(got.hook(),)
            ):
                await asyncio.to_thread(await_so, lambda: got.posts)
            return got.posts[0]

    assert "22" == asyncio.run(scenario()).json["subject"]
