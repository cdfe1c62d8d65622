"""
Upstreams of each kind, which nobody asks.
"""

import dataclasses

from thim.collateral.records import AMD
from thim.upstream.model import Service, Upstream


KDS = Upstream(
    vendor=AMD,
    service=Service.KDS,
    url="https://kds.example",
    static_url="https://kds.example",
)
#: As of AMD's, whatever they are.
SERVICES = {
    service: dataclasses.replace(KDS, service=service) for service in Service
}
THIM = SERVICES[Service.THIM]
