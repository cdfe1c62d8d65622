"""
The admin API as its users have it: tokens of every role, of tenants and of
nobody's, and a small fleet.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.fleet_tcbs import tell
from tests.new_store import new_store
from tests.platforms import FMSPC, NOW, entry
from tests.services.made import fill
from tests.services.test_fleet import GOOD, SHORT, TDX, documents
from tests.serving import Got, Served, serving
from tests.tenants import Decisions
from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.chips import Chip
from thim.services.tokens import Role, make_token
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger
from thim.store.replica import Replica


ADMIN = "/admin/v1"
TENANTS = ("acme", "lab")
_MADE: dict[Intel, tuple[bytes, dict[str, str]]] = {}
#: What decisions leave in a store.
_COUNTS = """
    SELECT (SELECT count(*) FROM definitions),
           (SELECT count(*) FROM enactments), (SELECT count(*) FROM plans),
           (SELECT count(*) FROM promotions)
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Api:
    """
    A running service, its store, and tokens: by role, and by ``TENANT/ROLE``.
    """

    served: Served
    store: Path
    tokens: Mapping[str, str]

    def ask(
        self,
        path: str,
        who: str | None = "admin",
        *,
        method: str = "GET",
        body: object = None,
        **headers: str,
    ) -> Got:
        """
        Ask below ``/admin/v1``, with the token of *who*.
        """
        sent = {k.replace("_", "-"): v for k, v in headers.items()}
        if who is not None:
            sent["authorization"] = f"Bearer {self.tokens[who]}"
        raw = body if isinstance(body, bytes | None) else to_json(body)
        if raw is not None:
            sent.setdefault("content-type", "application/json")
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.served.port, timeout=60
        )
        with contextlib.closing(connection):
            connection.request(method, f"{ADMIN}{path}", raw, sent)
            answer = connection.getresponse()
            content = answer.read()
        pairs = [(k.lower(), v) for k, v in answer.getheaders()]
        return Got(answer.status, pairs, content, answer.version)

    def put(self, path: str, body: object, who: str = "admin", **h: str) -> Got:
        """
        Put *body* there.
        """
        return self.ask(path, who, method="PUT", body=body, **h)

    def post(self, path: str, body: object, who: str = "admin") -> Got:
        """
        Post *body* there.
        """
        return self.ask(path, who, method="POST", body=body)

    def counts(self) -> tuple[int, ...]:
        """
        Count what was ever decided.
        """
        with contextlib.closing(Replica(self.store)) as replica:
            return replica.first(_COUNTS)


def to_json(value: object) -> bytes:
    """
    Write a body.
    """
    return json.dumps(value).encode()


def fill_fleet(store: Path, intel: Intel) -> None:
    """
    Put two numbers into *store*, and platforms: two of acme's, one of lab's,
    and nobody's chip; all of them are those of the tenant ``all``.
    """
    entries = [
        entry(intel, who, raw_tcb, raw=(raw_tcb,), name=who, labels=labels)
        for who, raw_tcb, labels in (
            ("acme-good", GOOD, {"of": "acme"}),
            ("acme-short", SHORT, {"of": "acme"}),
            ("lab-td", GOOD, {"of": "lab"}),
        )
    ]
    with Ledger(store, intel.anchors) as ledger:
        fill(
            ledger,
            *documents(intel, 17, sgx=3),
            *documents(intel, 18, sgx=4, qe=9, module=6),
            now=NOW,
        )
        ledger.platforms.enter(entries, NOW)
        tcb = TcbVersion(product=ProductLine.MILAN, snp=8)
        chip = Chip(
            product=ProductLine.MILAN, hw_id=b"\1" * 64, tcb=tcb, name="chip-1"
        )
        ledger.chip_table.put(chip, actor="agent-1", now=NOW)
    svns = {"tee_tcb_svn": TDX, "qe_svn": 8, "td_qe_svn": 9}
    tell(store, entries[2].id.qe_id, FMSPC, NOW, **svns)
    decisions = Decisions().tenant("all", "17")
    for tenant in TENANTS:
        decisions.tenant(tenant, "17", labels={"of": tenant})
    decisions.write(store, intel.anchors)


def add_tokens(store: Path, intel: Intel) -> dict[str, str]:
    """
    Make a token of each role, and of each role that a tenant may have.
    """
    tokens = {}
    with Ledger(store, intel.anchors) as ledger:
        for tenant in (None, *TENANTS):
            for role in Role:
                who = f"{tenant}/{role.value}" if tenant else role.value
                text, kept = make_token(
                    who, role, actor="root", now=NOW, tenant=tenant
                )
                ledger.tokens.add(kept)
                tokens[who] = text
    return tokens


@contextlib.contextmanager
def serving_admin(intel: Intel, folder: Path, **settings: Any) -> Iterator[Api]:
    """
    Serve a new store with all of that.
    """
    store = folder / "thim.db"
    if intel not in _MADE:  # which takes longer than most tests
        new_store(store, intel.anchors)
        fill_fleet(store, intel)
        tokens = add_tokens(store, intel)
        _MADE[intel] = store.read_bytes(), tokens
    content, tokens = _MADE[intel]
    store.write_bytes(content)
    store.chmod(0o600)
    clock = settings.pop("clock", lambda: NOW)
    with serving(store, clock, anchors=intel.anchors, **settings) as served:
        yield Api(served, store, tokens)
