"""
Attestation providers as those who manage them have them: served on a real
socket, with tokens for everybody.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import RSAKey

from tests.http.admin_api import Api, add_tokens, fill_fleet
from tests.new_store import new_store
from tests.platforms import NOW
from tests.serving import Got, serving
from thim.services.deciding import Decision, deciding
from thim.services.signing_keys import SigningPlace, make_signing_key
from thim.simulate.pki import Intel
from thim.simulate.server import Simulated
from thim.store.ledger import Ledger


URL = "https://attest.example"
V = "api-version=2020-10-01"
#: What seals in all of the stores.
_KEY = bytes(range(32))
_MADE: dict[Intel, tuple[bytes, dict[str, str]]] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class Provider:
    """
    The provider of a *tenant*, as somebody manages it.
    """

    api: Api
    tenant: str

    def ask(
        self,
        path: str,
        who: str | None = "admin",
        *,
        method: str = "GET",
        body: bytes | None = None,
        **headers: str,
    ) -> Got:
        """
        Ask below the provider's prefix, with the token of *who*.
        """
        sent = {"Host": "attest.example"}
        if body is not None:
            sent["content-type"] = "text/plain"
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        if who is not None:
            sent["authorization"] = f"Bearer {self.api.tokens[who]}"
        prefix = "" if self.tenant == "root" else f"/tenant/{self.tenant}"
        return self.api.served.get(f"{prefix}{path}", sent, method, body)

    def read(self, token: str) -> dict[str, Any]:
        """
        Read an answer whose signature holds by the provider's ``/certs``.
        """
        got = self.ask("/certs", None)
        (key,) = got.json["keys"]
        der = base64.b64decode(key["x5c"][0])
        pem = x509.load_der_x509_certificate(der).public_key()
        spki = pem.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        found = jws.deserialize_compact(token, RSAKey.import_key(spki))
        assert key["kid"] == found.headers()["kid"]
        claims: dict[str, Any] = json.loads(found.payload)
        return claims

    def claims(self, path: str, who: str = "admin", **more: Any) -> Any:
        """
        Ask for a token and read it.
        """
        got = self.ask(path, who, **more)
        assert 200 == got.status, got.body
        return self.read(got.json["token"])

    def put(self, raw: bytes, who: str = "admin", **headers: str) -> Got:
        """
        Set the policy of SGX enclaves.
        """
        path = f"/policies/SgxEnclave?{V}"
        return self.ask(path, who, method="PUT", body=raw, **headers)

    def reset(self, raw: bytes, who: str = "admin") -> Got:
        """
        Reset it.
        """
        path = f"/policies/SgxEnclave:reset?{V}"
        return self.ask(path, who, method="POST", body=raw)

    def policy(self) -> str:
        """
        Return the policy of SGX enclaves as it is in force.
        """
        found = self.claims(f"/policies/SgxEnclave?{V}")["x-ms-policy"]
        assert isinstance(found, str)
        return found


def define(
    store: Path, intel: Intel | Simulated, name: str, *pems: bytes, **more: Any
) -> None:
    """
    Change a tenant's attestation side, with policy certificates (DER).
    """
    with Ledger(store, intel.anchors) as ledger, deciding(ledger) as decider:
        made = Decision(actor="root", reason="test", now=NOW)
        current = decider.book.find_tenant(name, NOW, NOW)
        provider = dataclasses.replace(current.provider, **more)
        changed = dataclasses.replace(current, provider=provider)
        decider.change_tenant(
            changed, made, seen=current.version, certificates=pems
        )


@contextlib.contextmanager
def serving_providers(
    intel: Intel, folder: Path, **settings: Any
) -> Iterator[Api]:
    """
    Serve a new store with the tenants acme, lab and all.
    """
    store = folder / "thim.db"
    if intel not in _MADE:
        new_store(store, intel.anchors)
        fill_fleet(store, intel)
        tokens = add_tokens(store, intel)
        _add_signing_key(intel, store)
        _MADE[intel] = store.read_bytes(), tokens
    content, tokens = _MADE[intel]
    store.write_bytes(content)
    store.chmod(0o600)
    key_file = folder / "thim.key"
    key_file.write_bytes(_KEY)
    key_file.chmod(0o600)
    settings = {"attestation_url": URL, "key_file": key_file, **settings}
    clock = settings.pop("clock", lambda: NOW)
    with serving(
        store, clock, is_fast=False, anchors=intel.anchors, **settings
    ) as served:
        yield Api(served, store, tokens)


def _add_signing_key(intel: Intel, store: Path) -> None:
    key_file = store.with_name("thim.key")
    key_file.write_bytes(_KEY)
    key_file.chmod(0o600)
    place = SigningPlace(store=store, anchors=intel.anchors, key_file=key_file)
    make_signing_key(
        place, lambda _: True, active_from=NOW, actor="test", now=NOW
    )
