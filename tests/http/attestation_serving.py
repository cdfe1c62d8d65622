"""
Attestation providers as those who manage them have them: served on a real
socket, with tokens for everybody, and a key that signs the answers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import socket
import threading
import time

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn

from joserfc import jws
from joserfc.jwk import RSAKey
from starlette.routing import Route, Router

from tests.http.admin_api import Api, add_tokens, fill_fleet
from tests.new_store import new_store
from tests.platforms import NOW
from tests.policy_signers import rsa_key
from tests.serving import Got, Served
from thim.http.app import create_app
from thim.http.attestation_admin import attestation_admin_routes
from thim.http.attestation_context import AttestationContext
from thim.http.attestation_preview import attestation_preview_routes
from thim.http.connection import LimitedHttpProtocol
from thim.http.endpoints import Prefixed
from thim.http.settings import HttpSettings
from thim.services.deciding import Decision, deciding
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger


URL = "https://attest.example"
V = "api-version=2020-10-01"
_MADE: dict[Intel, tuple[bytes, dict[str, str]]] = {}


def sign(issuer: str, claims: Mapping[str, Any]) -> str:
    """
    Sign an answer.
    """
    key = RSAKey.import_key(rsa_key("service"))
    header = {"alg": "RS256", "jku": f"{issuer}/certs", "typ": "JWT"}
    content = json.dumps(claims, sort_keys=True)
    return jws.serialize_compact(header, content, key)


def read(token: str) -> dict[str, Any]:
    """
    Read an answer whose signature holds.
    """
    key = RSAKey.import_key(rsa_key("service"))
    found = jws.deserialize_compact(token, key)
    claims: dict[str, Any] = json.loads(found.payload)
    return claims


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

    def claims(self, path: str, who: str = "admin", **more: Any) -> Any:
        """
        Ask for a token and read it.
        """
        got = self.ask(path, who, **more)
        assert 200 == got.status, got.body
        return read(got.json["token"])

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
    store: Path, intel: Intel, name: str, *pems: bytes, **more: Any
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
        _MADE[intel] = store.read_bytes(), tokens
    content, tokens = _MADE[intel]
    store.write_bytes(content)
    store.chmod(0o600)
    settings.setdefault("attestation_url", URL)
    app = _make_app(
        HttpSettings(store=store, anchors=intel.anchors, **settings)
    )
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="on",
        http=LimitedHttpProtocol,
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            served = Served(listener.getsockname()[1], server.lifespan.state)
            yield Api(served, store, tokens)
        finally:
            server.should_exit = True
            thread.join(10)


def _make_app(settings: HttpSettings) -> Any:
    app = create_app(settings, _now)
    usual: Any = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> Any:
        async with usual(app) as state:
            service = state["service"]
            yield {**state, "attestation": AttestationContext(service, sign)}

    app.router.lifespan_context = lifespan
    routes = [*attestation_admin_routes(), *attestation_preview_routes()]
    prefixed = Prefixed(Router(routes, redirect_slashes=False))
    app.router.routes[:0] = [
        *routes,
        *(
            Route(f"/{name}/{{rest:path}}", prefixed)
            for name in ("tenant", "baseline", "at")
        ),
    ]
    return app


def _now() -> datetime.datetime:
    return NOW
