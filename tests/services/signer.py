"""
Say which key signs, and have it made if there is none.
"""

import asyncio
import contextlib
import sys

from pathlib import Path

from tests.attestation.signing import NOW
from thim.services.signing import SigningDesk
from thim.services.signing_keys import SigningPlace
from thim.store.replica import Replica
from thim.x509.chain import TrustAnchors


async def provide(store: Path, key_file: Path, pins: str) -> str:
    """
    Return the ID of the key.
    """
    anchors = frozenset(map(bytes.fromhex, pins.split()))
    with contextlib.closing(Replica(store)) as replica:
        place = SigningPlace(
            store=store,
            anchors=TrustAnchors(spki_sha256=anchors),
            key_file=key_file,
        )
        desk = SigningDesk(replica, place, lambda: NOW)
        return (await desk.provide(NOW)).kid


if __name__ == "__main__":
    store, key_file, pins = sys.argv[1:]
    sys.stdout.write(
        f"{asyncio.run(provide(Path(store), Path(key_file), pins))}\n"
    )
