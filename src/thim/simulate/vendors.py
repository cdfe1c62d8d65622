"""
The vendors on one port: Intel, and AMD where the world has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.simulate.kds import Kds
from thim.simulate.pcs import Pcs


if TYPE_CHECKING:
    from thim.simulate.answers import Answer, Request
    from thim.simulate.simulation import Simulation


class Vendors:
    """
    Requests in, answers out: each from whom it is for.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._kds = Kds(simulation)
        self._pcs = Pcs(simulation)

    def respond(self, request: Request) -> Answer:
        """
        Answer *request*.
        """
        if self._kds.answers(request):
            return self._kds.respond(request)
        return self._pcs.respond(request)
