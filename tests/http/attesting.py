"""
Machines of the simulated vendors that have themselves attested, at a service
on a real socket.
"""

from __future__ import annotations

import base64
import dataclasses
import json

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import RSAKey

from tests.http.attestation_serving import define
from tests.policy_signers import policy, unsigned
from tests.serving import Got, Served
from tests.vendors import NOW, await_so
from thim.services.deciding import Decision as Made
from thim.services.deciding import deciding
from thim.simulate.clock import Clock
from thim.simulate.server import Simulated
from thim.store.decision_file import Decision, find_decisions
from thim.store.decision_view import DecisionView
from thim.store.ledger import Ledger


URL = "https://attest.example"
HOST = "attest.example"
V = "2025-06-01"
OLD = "2018-09-01-preview"
ACME = "/tenant/acme"


def b64(raw: bytes) -> str:
    """
    Write base64url without padding.
    """
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def held(data: bytes, kind: str = "Binary") -> dict[str, str]:
    """
    Write data that evidence speaks for.
    """
    return {"data": b64(data), "dataType": kind}


def oe_report(quote: bytes) -> bytes:
    """
    Put Open Enclave's header before a quote.
    """
    head = (1).to_bytes(4, "little") + (2).to_bytes(4, "little")
    return head + len(quote).to_bytes(8, "little") + quote


def claims_in(token: str) -> dict[str, Any]:
    """
    Read what a token says, whoever signed it.
    """
    _, body, _ = token.split(".")
    claims: dict[str, Any] = json.loads(_decode(body))
    return claims


def header_in(token: str) -> dict[str, Any]:
    """
    Read a token's header.
    """
    header: dict[str, Any] = json.loads(
        _decode(token.split(".", maxsplit=1)[0])
    )
    return header


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def error_in(got: Got) -> tuple[int, str, str]:
    """
    Read status, code and our reason of a refusal; the form is that of all.
    """
    assert set(got.json) == {"error"}, got.json
    error = got.json["error"]
    assert set(error) == {"code", "message", "innererror"}
    assert set(error["innererror"]) == {"code", "message"}
    assert error["code"] == got["x-ms-error-code"]
    return got.status, error["code"], error["innererror"]["code"]


def message_in(got: Got) -> str:
    """
    Read Azure's sentence in a refusal.
    """
    message: str = got.json["error"]["message"]
    return message


def detail_in(got: Got) -> str:
    """
    Read what we say beside it.
    """
    detail: str = got.json["error"]["innererror"]["message"]
    return detail


@dataclasses.dataclass(frozen=True, slots=True)
class Attested:
    """
    The service as those see it who have evidence.
    """

    vendor: Simulated
    served: Served
    store: Path
    clock: Clock
    token: str = ""

    def quote(
        self,
        machine: str = "ice-1",
        kind: str = "sgx-v3",
        *,
        raw_tcb: int = 0,
        **fields: Any,
    ) -> bytes:
        """
        Have a machine make a quote.
        """
        return self.vendor.quote(machine, kind, raw_tcb=raw_tcb, **fields)

    def post(
        self,
        kind: str,
        body: object,
        *,
        version: str | None = V,
        prefix: str = "",
        path: str | None = None,
        **headers: str,
    ) -> Got:
        """
        Send something to be attested.
        """
        sent = {"Host": HOST, "Content-Type": "application/json"}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        query = "" if version is None else f"?api-version={version}"
        target = path or f"{prefix}/attest/{kind}"
        return self.served.get(f"{target}{query}", sent, "POST", raw)

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        **headers: str,
    ) -> Got:
        """
        Ask for anything else.
        """
        sent = {"Host": HOST, **headers}
        return self.served.get(path, sent, method, body)

    def sgx(
        self, quote: bytes | None = None, prefix: str = "", **members: Any
    ) -> Got:
        """
        Send a quote for an SGX enclave.
        """
        sent = self.quote() if quote is None else quote
        body = {"quote": b64(sent), **members}
        return self.post("SgxEnclave", body, prefix=prefix)

    def tdx(
        self, quote: bytes | None = None, prefix: str = "", **members: Any
    ) -> Got:
        """
        Send a TD's quote.
        """
        sent = self.quote("sapphire-1", "tdx-v4") if quote is None else quote
        body = {"quote": b64(sent), **members}
        return self.post("TdxVm", body, prefix=prefix)

    def verify(self, token: str, prefix: str = "") -> dict[str, Any]:
        """
        Verify a token as relying parties do, and return what it says.
        """
        keys = self.ask(f"{prefix}/certs").json["keys"]
        kid = header_in(token)["kid"]
        (found,) = [key for key in keys if key["kid"] == kid]
        der = base64.b64decode(found["x5c"][0], validate=True)
        certificate = x509.load_der_x509_certificate(der)
        spki = certificate.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        checked = jws.deserialize_compact(token, RSAKey.import_key(spki))
        claims: dict[str, Any] = json.loads(checked.payload)
        assert certificate.subject == certificate.issuer
        assert f"CN={claims['iss']}" == certificate.subject.rfc4514_string()
        return claims

    def claims(self, got: Got, prefix: str = "") -> dict[str, Any]:
        """
        Read an answer that is a token which holds.
        """
        assert 200 == got.status, got.body
        assert ["token"] == list(got.json)
        return self.verify(got.json["token"], prefix)

    def set_policy(
        self,
        text: str,
        kind: str = "SgxEnclave",
        tenant: str = "acme",
        jws: bytes | None = None,
    ) -> Got:
        """
        Set the policy of a tenant, by default in a token that nobody signs.
        """
        return self.served.get(
            f"/tenant/{tenant}/policies/{kind}?api-version={V}",
            {
                "Host": HOST,
                "Content-Type": "text/plain",
                "Authorization": f"Bearer {self.token}",
            },
            "PUT",
            jws or unsigned(policy(text)),
        )

    def define(
        self,
        tenant: str = "acme",
        certificates: Sequence[bytes] = (),
        **provider: Any,
    ) -> None:
        """
        Change a tenant's attestation side.
        """
        define(self.store, self.vendor, tenant, *certificates, **provider)

    def change(self, tenant: str, **members: Any) -> None:
        """
        Change a tenant, whatever its new baseline breaks.
        """
        with (
            Ledger(self.store, self.vendor.anchors) as ledger,
            deciding(ledger) as decider,
        ):
            made = Made(actor="root", reason="test", now=NOW)
            current = decider.book.find_tenant(tenant, NOW, NOW)
            changed = dataclasses.replace(current, **members)
            decider.change_tenant(changed, made, seen=current.version)

    def decisions(self, **which: Any) -> list[Decision]:
        """
        Read what is on record, the newest first.
        """
        view = DecisionView(find_decisions(self.store))
        return list(view.list(**which))

    def await_decisions(self, count: int, **which: Any) -> list[Decision]:
        """
        Wait until so many are on record: refusals are written while nobody
        waits for them.
        """
        what = f"{count} records"
        await_so(lambda: len(self.decisions(**which)) >= count, what)
        return self.decisions(**which)
