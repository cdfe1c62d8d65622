"""
What PCCS and its tools leave behind, filled by our own Intel.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import urllib.parse

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.platforms import FMSPC, issue, platform_id, tcbm
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.pck import PckTcbm
from thim.simulate.pki import Intel
from thim.x509.chain import to_pem


LOW, AT = tcbm(1, 1), tcbm(4, 4)
ENC_PPID = bytes(range(1, 97)) * 4
MANIFEST = b"a manifest in clear" * 10


def spell(at: PckTcbm) -> tuple[str, str]:
    """
    Return CPUSVN and PCESVN as the tools write them.
    """
    return at.cpusvn.hex(), at.pcesvn.to_bytes(2, "little").hex()


def csv_line(who: str, at: PckTcbm = AT, enc_ppid: bytes = ENC_PPID) -> str:
    """
    Return a line of the PCK ID retrieval tool.
    """
    one = platform_id(who)
    cpu_svn, pce_svn = spell(at)
    ids = one.pce_id.hex(), cpu_svn, pce_svn, one.qe_id.hex()
    return ",".join((enc_ppid.hex(), *ids))


def registered(who: str, at: PckTcbm = AT, **changes: Any) -> dict[str, Any]:
    """
    Return a platform as ``pccsadmin get`` writes it.
    """
    one = platform_id(who)
    cpu_svn, pce_svn = spell(at)
    return {
        "qe_id": one.qe_id.hex(),
        "pce_id": one.pce_id.hex(),
        "cpu_svn": cpu_svn,
        "pce_svn": pce_svn,
        "platform_manifest": None,
        "enc_ppid": ENC_PPID.hex(),
        **changes,
    }


def quoted(chain: Sequence[x509.Certificate]) -> str:
    """
    Return PEM as PCCS keeps it.
    """
    return urllib.parse.quote(to_pem(chain).decode())


def with_certificates(
    intel: Intel, who: str, *at: PckTcbm, **changes: Any
) -> dict[str, Any]:
    """
    Return a platform's certificates as ``pccsadmin put`` takes them.
    """
    one = platform_id(who)
    return {
        "qe_id": one.qe_id.hex(),
        "pce_id": one.pce_id.hex(),
        "enc_ppid": "",
        "certs": [
            {
                "tcb": {},
                "tcbm": each.to_bytes().hex(),
                "cert": quoted([issue(intel, who, each)]),
            }
            for each in at
        ],
        **changes,
    }


def collaterals(
    intel: Intel,
    platforms: Sequence[dict[str, Any]],
    certificates: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """
    Return what ``pccsadmin put`` takes, documents too.
    """
    root, platform_ca = intel.root, intel.platform_ca
    return {
        "platforms": list(platforms),
        "collaterals": {
            "version": 4,
            "pck_certs": list(certificates),
            "tcbinfos": [
                {
                    "fmspc": FMSPC.hex(),
                    "sgx_tcbinfo": json.loads(intel.tcb_info()),
                    "sgx_tcbinfo_early": None,
                }
            ],
            "pckcacrl": {"platformCrl": intel.pck_crl().hex()},
            "qeidentity": intel.identity().decode(),
            "certificates": {
                "SGX-PCK-Certificate-Issuer-Chain": {
                    "PLATFORM": quoted([platform_ca, root])
                },
                "SGX-Enclave-Identity-Issuer-Chain": quoted(
                    [intel.signer, root]
                ),
            },
            "rootcacrl": intel.root_crl().hex(),
        },
    }


_TABLES = """
CREATE TABLE pcs_certificates (id INTEGER PRIMARY KEY, cert TEXT, crl BLOB);
CREATE TABLE pck_crl (ca TEXT PRIMARY KEY, pck_crl BLOB,
                      root_cert_id INTEGER, intmd_cert_id INTEGER);
CREATE TABLE crl_cache (cdp_url TEXT PRIMARY KEY, crl BLOB);
CREATE TABLE fmspc_tcbs (fmspc TEXT, type INTEGER, version INTEGER,
                         update_type TEXT, tcbinfo BLOB,
                         PRIMARY KEY (fmspc, type, version, update_type));
CREATE TABLE enclave_identities (id INTEGER, version INTEGER,
                                 update_type TEXT, identity BLOB,
                                 PRIMARY KEY (id, version, update_type));
CREATE TABLE platforms (qe_id TEXT, pce_id TEXT, platform_manifest BLOB,
                        enc_ppid BLOB, fmspc TEXT, ca TEXT,
                        created_time TEXT, PRIMARY KEY (qe_id, pce_id));
CREATE TABLE pck_cert (qe_id TEXT, pce_id TEXT, tcbm TEXT, pck_cert BLOB,
                       PRIMARY KEY (qe_id, pce_id, tcbm));
CREATE TABLE platform_tcbs (qe_id TEXT, pce_id TEXT, cpu_svn TEXT,
                            pce_svn TEXT, tcbm TEXT,
                            PRIMARY KEY (qe_id, pce_id, cpu_svn, pce_svn));
CREATE TABLE platforms_registered (qe_id TEXT, pce_id TEXT, cpu_svn TEXT,
                                   pce_svn TEXT, enc_ppid TEXT,
                                   platform_manifest TEXT, state INTEGER,
                                   PRIMARY KEY (qe_id, pce_id, cpu_svn,
                                                pce_svn));
CREATE TABLE appraisal_policies (id TEXT PRIMARY KEY, type INTEGER,
                                 policy TEXT, is_default INTEGER, fmspc TEXT);
"""


class Pccs:
    """
    The database of a PCCS in *path*, of version 1.27 by its tables.
    """

    def __init__(self, path: Path, tables: str = _TABLES) -> None:
        self.path = path
        with self.opened() as db:
            db.executescript(tables)

    @contextlib.contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """
        Open it, and keep what is changed within.
        """
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            yield db
            db.commit()

    def put(self, table: str, **values: Any) -> None:
        """
        Add a row.
        """
        marks = ", ".join("?" * len(values))
        with self.opened() as db:
            names = ", ".join(values)
            db.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
                tuple(values.values()),
            )

    def put_documents(self, intel: Intel) -> None:
        """
        Add what *intel* has signed: CAs, CRLs, TCB infos, identities.
        """
        chains = (
            intel.root,
            intel.processor_ca,
            intel.signer,
            intel.platform_ca,
        )
        for i, certificate in enumerate(chains, 1):
            crl = intel.root_crl() if i == 1 else None
            self.put(
                "pcs_certificates", id=i, cert=quoted([certificate]), crl=crl
            )
        for ca in PckCa:
            crl = intel.pck_crl(ca=ca)
            self.put("pck_crl", ca=ca.value.upper(), pck_crl=crl)
        self.put("crl_cache", cdp_url="https://x", crl=intel.root_crl())
        for i, tee in enumerate(Tee):
            for n, update in enumerate(("STANDARD", "EARLY")):
                self.put(
                    "fmspc_tcbs",
                    fmspc=FMSPC.hex().upper(),
                    type=i,
                    version=4,
                    update_type=update,
                    tcbinfo=intel.tcb_info(tee=tee, number=17 + n),
                )
        identities = (EnclaveKind.QE, EnclaveKind.QVE, EnclaveKind.TD_QE)
        for i, kind in enumerate(identities, 1):
            self.put(
                "enclave_identities",
                id=i,
                version=4,
                update_type="STANDARD",
                identity=intel.identity(kind=kind),
            )

    def put_platform(
        self, intel: Intel, who: str, *at: PckTcbm, **changes: Any
    ) -> None:
        """
        Add a platform with certificates for the TCBs *at*, seen at `AT`.
        """
        ids = self.ids(who)
        values = {"enc_ppid": ENC_PPID, "platform_manifest": None, **changes}
        self.put("platforms", **ids, **values)
        self.put_certificates(intel, who, *at)
        cpu_svn, pce_svn = spell(AT)
        self.put("platform_tcbs", **ids, cpu_svn=cpu_svn, pce_svn=pce_svn)

    def put_certificates(self, intel: Intel, who: str, *at: PckTcbm) -> None:
        """
        Add certificates of a platform.
        """
        for each in at:
            pem = issue(intel, who, each).public_bytes(Encoding.PEM)
            tcb = each.to_bytes().hex()
            self.put("pck_cert", **self.ids(who), tcbm=tcb, pck_cert=pem)

    def ids(self, who: str) -> dict[str, str]:
        """
        Return the columns that name a platform.
        """
        one = platform_id(who)
        return {
            "qe_id": one.qe_id.hex().upper(),
            "pce_id": one.pce_id.hex().upper(),
        }
