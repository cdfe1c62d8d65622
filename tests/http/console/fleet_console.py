"""
A console over a store with a small fleet, tenants, and tokens of theirs.
"""

from __future__ import annotations

import contextlib
import json

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.http.admin_api import Api, serving_admin
from tests.http.console.visitor import Visitor
from tests.platforms import NOW
from thim.services.judging import FleetJudge
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger
from thim.store.replica import Replica


HOUR = timedelta(hours=1)


@contextlib.contextmanager
def serving_fleet(intel: Intel, folder: Path, **settings: Any) -> Iterator[Api]:
    """
    Serve the fleet of the admin API's tests.
    """
    settings = {"key_file": folder / "key", **settings}
    with serving_admin(intel, folder, **settings) as api:
        yield api


def visit(api: Api, who: str = "reader") -> Visitor:
    """
    Log *who* in.
    """
    visitor = Visitor(api.served)
    visitor.log_in(api.tokens[who])
    return visitor


def work_out(api: Api, intel: Intel) -> None:
    """
    Work out how the fleet stands, as the service does it from time to time.
    """
    with contextlib.closing(Replica(api.store)) as replica:
        found = FleetJudge(replica, NOW).outlooks()
    with Ledger(api.store, intel.anchors) as ledger:
        assert ledger.outlooks.claim(NOW, NOW + HOUR, NOW - HOUR)
        bodies = {name: json.dumps(body) for name, body in found.items()}
        ledger.outlooks.put(bodies, NOW)
