"""
Signing desks for tests, on a machine that is no TEE.
"""

import asyncio
import contextlib

import pytest

from tests.attestation.signing import ISSUER, NOW
from tests.services.made import INTEL
from thim.services.signing import SigningDesk
from thim.services.signing_keys import SigningPlace
from thim.store.replica import Replica
from thim.store.signing_key_view import SigningKeyView


@pytest.fixture
def place(store, tmp_path):
    """
    Where keys are made: on a machine that is no TEE.
    """
    return SigningPlace(
        store=store,
        anchors=INTEL.anchors,
        key_file=tmp_path / "thim.key",
        tsm_root=tmp_path / "none",
    )


@pytest.fixture
def view(replica):
    """
    The signing keys of the store.
    """
    return SigningKeyView(replica)


@contextlib.contextmanager
def desks(place, number=1):
    """
    Open so many desks, as in so many processes.
    """
    with contextlib.ExitStack() as stack:
        replicas = [
            stack.enter_context(contextlib.closing(Replica(place.store)))
            for _ in range(number)
        ]
        yield [SigningDesk(replica, place, lambda: NOW) for replica in replicas]


@pytest.fixture
def desk(place):
    """
    A desk.
    """
    with desks(place) as (opened,):
        yield opened


def at_desk(work):
    """
    Run *work* on an event loop.
    """
    return asyncio.run(work)


def provide(desk, now=NOW):
    """
    Return the key that signs.
    """
    return at_desk(desk.provide(now)).kid


def published(desk, now=NOW):
    """
    Return by what the published keys are known.
    """
    return [kid for kid, _ in at_desk(desk.list_certificates(ISSUER, now))]


def revoke(ledger, kid, now=NOW):
    """
    Revoke a key.
    """
    return ledger.signing_keys.revoke(kid, actor="me", now=now)
