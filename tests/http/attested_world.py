"""
The simulated vendors' world as a store has it that serves attestations.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.amd_vendor import amd_settings
from tests.http.attesting import URL, Attested
from tests.serving import Served, serving
from tests.tenants import Decisions
from tests.vendors import (
    COFFEE,
    DAY,
    ICE,
    NOW,
    SAPPHIRE,
    SGX,
    TDX,
    facing,
    standing,
)
from thim.services.ingest import Outcome, ingest
from thim.services.signing_keys import SigningPlace, make_signing_key
from thim.services.tokens import Role, make_token
from thim.simulate.amd_pki import to_pem as ark_to_pem
from thim.simulate.server import Simulated
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


#: When the vendor still signed number 17.
SIGNED_17 = datetime.datetime(2026, 3, 1, 9, tzinfo=datetime.UTC)
#: acme cannot be talked out of its baseline, lab can.
TENANTS: Mapping[str, Any] = {
    "acme": {"baseline": "18"},
    "lab": {"baseline": "18", "overrides": "allowed"},
    "newest": {"baseline": "20"},
}
_KEY = bytes(range(32))
STRICT = {"Milan": {"snp": {"spl": 25, "source": "a test"}}}
#: A chip whose key is in the store.
KNOWN = "milan-2"
#: A day and some hours after the documents of `NOW` have ended.
LATER = NOW + 31 * DAY
CRLS = (
    f"{SGX}/pckcrl?ca=platform&encoding=der",
    f"{SGX}/pckcrl?ca=processor&encoding=der",
    "/IntelSGXRootCA.der",
)
_COMMON = (
    f"{SGX}/tcbevaluationdatanumbers",
    f"{TDX}/tcbevaluationdatanumbers",
    *CRLS,
    *(
        f"/vcek/v1/{product}/{name}"
        for product in ("Milan", "Genoa", "Turin")
        for name in ("cert_chain", "crl")
    ),
)


def _paths(number: int | None = None) -> list[str]:
    which = f"tcbEvaluationDataNumber={number}" if number else ""
    return [
        *(
            f"{tee}/tcb?fmspc={fmspc}&{which}".rstrip("&")
            for tee, fmspc in (
                (SGX, COFFEE),
                (SGX, ICE),
                (SGX, SAPPHIRE),
                (TDX, SAPPHIRE),
            )
        ),
        *(f"{tee}/qe/identity?{which}".rstrip("?") for tee in (SGX, TDX)),
    ]


#: TCB info and identities.
OTHERS = tuple(_paths(18))


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """
    The vendors at `NOW`, the store of a service that asked them for all that
    their machines need, and a token of who may set policies; *later* is what
    the vendors say when all of that has ended, by its path.
    """

    vendor: Simulated
    store: bytes
    token: str
    later: Mapping[str, bytes]


def make_world(vendor: Simulated, folder: Path) -> World:
    """
    Have everything fetched, once.
    """
    store = folder / "thim.db"
    vendor.amd.limiter.is_on = False
    vendor.clock.move_to(SIGNED_17)
    old = [_download(vendor, path) for path in _paths(17)]
    vendor.clock.move_to(LATER)
    later = {path: _download(vendor, path) for path in (*CRLS, *OTHERS)}
    vendor.clock.move_to(NOW)
    with facing(vendor, store, amd_settings(vendor)) as served:
        _fetch(served, *_COMMON)
        for number in (18, 20):
            below = f"/baseline/{number}"
            _fetch(served, *(f"{below}{path}" for path in _paths()))
    take(vendor, store, [*old, ark_to_pem(vendor.chip(KNOWN).vcek)])
    tenants = Decisions()
    for name, members in TENANTS.items():
        tenants.tenant(name, **members)
    tenants.baseline("firm", "number: 20", floor=18)
    tenants.baseline("strict", "number: 18", amd=STRICT)
    tenants.write(store, vendor.anchors)
    return World(vendor, *equip(vendor, store), later)


def _download(vendor: Simulated, path: str) -> bytes:
    port = int(vendor.url.rpartition(":")[2])
    got = Served(port).get(path)
    assert 200 == got.status, (path, got)
    return got.body


def take(
    vendor: Simulated,
    store: Path,
    bodies: Iterable[bytes],
    now: datetime.datetime = NOW,
) -> None:
    """
    Take in what the vendor has signed.
    """
    chain = to_pem(vendor.intel.pki.certificates)
    files = [("chain", chain), *((f"{i}", b) for i, b in enumerate(bodies))]
    with Ledger(store, vendor.anchors) as ledger:
        for result in ingest(files, ledger=ledger, now=now):
            assert result.outcome is not Outcome.REFUSED, result


def _fetch(served: Served, *paths: str) -> None:
    for path in paths:
        got = served.get(path)
        assert 200 == got.status, (path, got)


def equip(vendor: Simulated, store: Path) -> tuple[bytes, str]:
    """
    Give a store a key that signs tokens, and an administrator their token.
    """
    key_file = store.with_name("thim.key")
    _write_key(key_file)
    place = SigningPlace(store=store, anchors=vendor.anchors, key_file=key_file)
    make_signing_key(
        place, lambda _: True, active_from=NOW, actor="test", now=NOW
    )
    with Ledger(store, vendor.anchors) as ledger:
        text, kept = make_token("admin", Role.ADMIN, actor="root", now=NOW)
        ledger.tokens.add(kept)
        ledger.checkpoint()
    return store.read_bytes(), text


def _write_key(key_file: Path) -> None:
    key_file.write_bytes(_KEY)
    key_file.chmod(0o600)


@contextlib.contextmanager
def attesting(
    world: World,
    folder: Path,
    at: datetime.datetime = NOW,
    **settings: Any,
) -> Iterator[Attested]:
    """
    Serve a copy of the store, by a clock of its own that stands still.
    """
    store, key_file = folder / "thim.db", folder / "thim.key"
    store.write_bytes(world.store)
    store.chmod(0o600)
    _write_key(key_file)
    clock, vendor = standing(at), world.vendor
    told = {
        "attestation_url": URL,
        "key_file": key_file,
        "dangerous_plain_http_tokens": True,
        **settings,
    }
    with serving(store, clock, anchors=vendor.anchors, **told) as served:
        yield Attested(vendor, served, store, clock, world.token)
