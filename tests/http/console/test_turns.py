"""
How many pages are made at once.
"""

import asyncio

import pytest

from thim.http.console.guard import Console, ConsolePage
from thim.http.console.visit import SeeOther, Visit
from thim.services.tokens import Permission


async def ask(service, gate, visits, method):
    """
    Let so many ask for a page at once; return how many were being answered at
    most, and with which statuses.
    """
    running, most = 0, 0

    async def count(_visit):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return SeeOther("/console/")

    page = ConsolePage(Permission.READ, count)
    scope = {"method": method, "state": {"console": Console(service, gate)}}
    visit = Visit(scope=scope, session=None, principal=None, form={})
    asked = (page.show(visit) for _ in range(visits))
    statuses = {reply.status for reply in await asyncio.gather(*asked)}
    return most, statuses


@pytest.mark.parametrize(("method", "most"), [("GET", 4), ("POST", 50)])
def test_bounded(console, method, most):
    """
    However many ask at once, a few pages are made at a time, and all of them
    in the end.  Forms wait for nobody: evidence that is sent may wait for a
    vendor itself.
    """
    state = console.served.state
    found = asyncio.run(ask(state["service"], state["gate"], 50, method))

    assert (most, {303}) == found
