"""
Chips of the default world, what they ask the simulated AMD, and how to judge
what it says.
"""

import contextlib
import dataclasses
import datetime

import msgspec

from tests.simulate.asking import NOW, ask
from thim.amd.authorities import CaChain
from thim.amd.crl import Crl, verify_crl, verify_unrevoked
from thim.amd.endorsement_key import EndorsementKey, verify_endorsement_key
from thim.amd.tcb import ProductLine
from thim.simulate.amd_part import AmdPart
from thim.simulate.clock import Clock
from thim.simulate.server import simulating
from thim.simulate.world import World, default_world


CHIPS = tuple(chip.name for chip in default_world().chips)
SECRET = {"CSP-Secret": "default-provider"}
VLEK = "/vlek/v1/Milan/cert?blSPL=3&teeSPL=0&snpSPL=21&ucodeSPL=209"
#: A few seconds before the second ASK of Genoa begins, and its first CRL.
BEFORE = datetime.datetime(2022, 10, 31, 13, 33, tzinfo=datetime.UTC)
AFTER = datetime.datetime(2022, 10, 31, 13, 35, tzinfo=datetime.UTC)


def world_with(**changes) -> World:
    """
    Return the default world with an AMD that is changed.
    """
    world = default_world()
    amd = msgspec.structs.replace(world.amd or AmdPart(), **changes)
    return msgspec.structs.replace(world, amd=amd)


@contextlib.contextmanager
def playing(world=None, at=NOW, *, limited=False):
    """
    Play a world at an instant, with or without a limit.
    """
    with simulating(world, Clock(at, frozen=True)) as running:
        running.amd.limiter.is_on = limited
        yield running


def file_path(what, product=ProductLine.MILAN, kind="vcek") -> str:
    """
    Return the path of a ``cert_chain`` or ``crl``.
    """
    return f"/{kind}/v1/{product.value}/{what}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collateral:
    """
    What AMD has for one key, read.
    """

    key: EndorsementKey
    chain: CaChain
    crl: Crl

    def verify(self, simulated) -> None:
        """
        Verify all of it under the simulation's anchors at its instant.
        """
        now = simulated.clock()
        anchors = simulated.anchors
        verify_endorsement_key(self.key, self.chain, anchors=anchors, at=now)
        verify_crl(self.crl, self.chain.ark, now=now)
        verify_unrevoked(self.chain, self.crl)


def fetch(simulated, path, headers=None) -> Collateral:
    """
    Ask for the certificate at *path*, and for the chain and list of its
    product line.
    """
    _, kind, _, product, _ = path.split("/")
    product = ProductLine(product)
    got = ask(simulated.url, path, headers=headers)
    chain = ask(simulated.url, file_path("cert_chain", product, kind))
    crl = ask(simulated.url, file_path("crl", product, kind))
    assert [200] * 3 == [got.status, chain.status, crl.status]
    return Collateral(
        key=EndorsementKey.from_der(got.body),
        chain=CaChain.from_pem(chain.body),
        crl=Crl.from_der(crl.body),
    )
