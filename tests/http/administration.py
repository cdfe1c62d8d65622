"""
PCCS's tools: what they send, and a service to send it to.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import urllib.parse

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from tests.new_store import new_store
from tests.platforms import FMSPC, NOW, issue, platform_id, tcbm
from tests.serving import Got, Served, serving
from thim.collateral.platforms import Entry
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.pck import PckCertificate, PckTcbm
from thim.services.ingest import ingest
from thim.services.tokens import Role, make_token
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.x509.chain import to_pem


_EMPTY: dict[Intel, bytes] = {}
V3, V4 = "/sgx/certification/v3", "/sgx/certification/v4"
LOW, AT, HIGH = tcbm(1, 1), tcbm(4, 4), tcbm(9, 9)
HEX = FMSPC.hex().upper()
MANIFEST = "AbCd" * 100
PLATFORMS = f"{V4}/platforms"
#: What an upload leaves in the store, and what it leaves when it is refused.
COUNTS = (
    "SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM "
    "certificates), (SELECT count(*) FROM platforms), (SELECT count(*) FROM "
    "pck_certificates), (SELECT count(*) FROM events WHERE action = "
    "'collateral-put')"
)
NOTHING = [(0, 0, 0, 0, 0)]


@dataclasses.dataclass(frozen=True, slots=True)
class Administered:
    """
    A running service, its store, and tokens for it by role.
    """

    served: Served
    store: Path
    tokens: Mapping[str, str]

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: str | None = "admin",
        **headers: str,
    ) -> Got:
        """
        Send a request as PCCS's tools do, with the token that *role* has in
        the header that it belongs into.
        """
        sent = {"content-type": "application/json"}
        if role is not None:
            name = "user-token" if role == "registrar" else "admin-token"
            sent[name] = self.tokens[role]
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        raw = body if isinstance(body, bytes | None) else to_body(body)
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.served.port, timeout=20
        )
        with contextlib.closing(connection):
            connection.request(method, path, raw, sent)
            answer = connection.getresponse()
            content = answer.read()
        pairs = [(k.lower(), v) for k, v in answer.getheaders()]
        return Got(answer.status, pairs, content, answer.version)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """
        Ask the store.
        """
        with contextlib.closing(Replica(self.store)) as replica:
            return list(replica.rows(query))

    def events(self) -> list[tuple[str, str]]:
        """
        What was written down, and of whom.
        """
        return [
            (action, actor.partition("(")[2].rstrip(")"))
            for action, actor in self.rows("SELECT action, actor FROM events")
            if not action.startswith("token-")
        ]


def to_body(value: object) -> bytes:
    """
    Write JSON as Python's tools do: with a space behind commas and colons.
    """
    return json.dumps(value).encode()


@contextlib.contextmanager
def administered(
    intel: Intel, folder: Path, **settings: Any
) -> Iterator[Administered]:
    """
    Serve a new store with a token of each role.
    """
    path = folder / "thim.db"
    if intel not in _EMPTY:  # a migration takes longer than most tests
        new_store(path, intel.anchors)
        _EMPTY[intel] = path.read_bytes()
    path.write_bytes(_EMPTY[intel])
    tokens = {}
    with Ledger(path, intel.anchors) as ledger:
        for role in Role:
            text, kept = make_token(role.value, role, actor="root", now=NOW)
            ledger.tokens.add(kept)
            tokens[role.value] = text
    settings = {"key_file": folder / "key", **settings}
    clock = settings.pop("clock", lambda: NOW)
    with serving(path, clock, anchors=intel.anchors, **settings) as served:
        yield Administered(served, path, tokens)


def named(who: str) -> dict[str, str]:
    """
    How a platform is named.
    """
    platform = platform_id(who)
    return {
        "qe_id": platform.qe_id.hex().upper(),
        "pce_id": platform.pce_id.hex().upper(),
    }


def svns(raw: PckTcbm) -> dict[str, str]:
    """
    A raw TCB as it is sent.
    """
    digits = raw.to_bytes().hex().upper()
    return {"cpu_svn": digits[:32], "pce_svn": digits[32:]}


def registration(who: str, raw: PckTcbm, **changes: Any) -> dict[str, Any]:
    """
    What the PCK ID retrieval tool sends of a platform of one package.
    """
    return {
        "enc_ppid": "AB" * 384,
        **named(who),
        **svns(raw),
        "platform_manifest": "",
        **changes,
    }


def by_manifest(who: str = "one", manifest: str = MANIFEST) -> dict[str, str]:
    """
    What the tool sends of a platform of several packages.
    """
    return {**named(who), "platform_manifest": manifest}


def register(
    pccs: Administered, body: object, query: str = "", base: str = V4
) -> Got:
    """
    Register a platform.
    """
    return pccs.send("POST", f"{base}/platforms{query}", body, role="registrar")


def listed(pccs: Administered, source: str = "reg") -> Any:
    """
    The platforms of a source.
    """
    got = pccs.send("GET", f"{PLATFORMS}?source={source}")
    assert 200 == got.status
    return got.json


def enter(pccs: Administered, intel: Intel, *entries: Entry) -> None:
    """
    Take platforms with certificates in.
    """
    with Ledger(pccs.store, intel.anchors) as ledger:
        files = [
            ("ca.pem", to_pem(intel.certificates)),
            ("tcb", intel.tcb_info(fmspc=HEX)),
        ]
        list(ingest(files, ledger=ledger, now=NOW))
        ledger.platforms.enter(entries, NOW)


def pckcert(pccs: Administered, raw: PckTcbm) -> Got:
    """
    The answer to a platform that asks for its certificate.
    """
    query = {
        "qeid": named("one")["qe_id"],
        "pceid": "0000",
        "cpusvn": svns(raw)["cpu_svn"],
        "pcesvn": svns(raw)["pce_svn"],
    }
    text = "&".join(f"{k}={v}" for k, v in query.items())
    return pccs.served.get(f"{V4}/pckcert?{text}")


def platform(who: str, raw: PckTcbm | None, **changes: Any) -> dict[str, Any]:
    """
    A platform as pccsadmin gets it.
    """
    at = {"cpu_svn": "", "pce_svn": ""} if raw is None else svns(raw)
    return {
        **named(who),
        **at,
        "platform_manifest": "",
        "enc_ppid": "ab" * 384,
        **changes,
    }


def certified(intel: Intel, who: str, *at: PckTcbm, **more: Any) -> Any:
    """
    A platform's certificates as PCS gives them.
    """
    certs = []
    for one in at:
        certificate = issue(intel, who, one, **more)
        read = PckCertificate.from_certificate(certificate)
        tcb = {
            f"sgxtcbcomp{i:02}svn": svn for i, svn in enumerate(read.cpusvn, 1)
        }
        pem = certificate.public_bytes(Encoding.PEM).decode()
        certs.append(
            {
                "tcb": {**tcb, "pcesvn": read.pcesvn},
                "tcbm": read.tcbm.to_bytes().hex().upper(),
                "cert": urllib.parse.quote(pem),
            }
        )
    return {**named(who), "enc_ppid": "ab" * 384, "certs": certs}


def chain(*certificates: Any) -> str:
    """
    A chain as it stands in a header.
    """
    return urllib.parse.quote(to_pem(certificates))


def upload(intel: Intel, **changes: Any) -> dict[str, Any]:
    """
    What pccsadmin's ``fetch`` writes, without platforms.
    """
    signer = chain(intel.signer, intel.root)
    collaterals = {
        "version": 4,
        "pck_certs": [],
        "tcbinfos": [
            {
                "fmspc": HEX,
                "sgx_tcbinfo": json.loads(intel.tcb_info(fmspc=HEX)),
                "tdx_tcbinfo": json.loads(
                    intel.tcb_info(fmspc=HEX, tee=Tee.TDX)
                ),
            }
        ],
        "pckcacrl": {
            "processorCrl": intel.pck_crl(ca=PckCa.PROCESSOR).hex(),
            "platformCrl": intel.pck_crl(ca=PckCa.PLATFORM).hex(),
        },
        "qeidentity": intel.identity().decode(),
        "tdqeidentity": intel.identity(kind=EnclaveKind.TD_QE).decode(),
        "qveidentity": intel.identity(kind=EnclaveKind.QVE).decode(),
        "certificates": {
            "SGX-PCK-Certificate-Issuer-Chain": {
                "PROCESSOR": chain(intel.processor_ca, intel.root),
                "PLATFORM": chain(intel.platform_ca, intel.root),
            },
            "TCB-Info-Issuer-Chain": signer,
            "SGX-Enclave-Identity-Issuer-Chain": signer,
        },
        "rootcacrl_cdp": "https://certificates.trustedservices.intel.com/"
        "IntelSGXRootCA.der",
        "rootcacrl": intel.root_crl().hex(),
        **changes,
    }
    return {"platforms": [], "collaterals": collaterals}


def with_platform(
    intel: Intel, *raw: PckTcbm, at: Any = (AT,), **changes: Any
) -> dict[str, Any]:
    """
    An upload with one platform.
    """
    body = upload(intel, pck_certs=[certified(intel, "one", *at)], **changes)
    body["platforms"] = [platform("one", each) for each in raw]
    return body
