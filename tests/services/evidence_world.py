"""
A store of which evidence packs are made: two tenants, a number that moves,
policies, tokens, and what was decided about evidence.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import json
import zipfile

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.new_store import new_store
from tests.services.made import INTEL, fill
from tests.store.decisions import decision
from tests.tenants import Decisions
from thim.attestation.policy_jws import write_unsigned
from thim.attestation.token import Signer
from thim.intel.names import EnclaveKind, Tee, Update
from thim.services.evidence_check import Account, check_pack
from thim.services.evidence_export import Exported, Wanted, export_pack
from thim.services.tokens import Role, make_token
from thim.store.decision_file import DecisionFile, find_decisions
from thim.store.decision_view import DecisionView
from thim.store.ledger import Ledger
from thim.store.replica import Replica


FMSPC = "00606A000000"
START = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)
KEY = rsa.generate_private_key(65537, 2048)
SIGNER = Signer(KEY)
EVENTS = {
    number: datetime.datetime(2025, month, 11, tzinfo=datetime.UTC)
    for number, month in ((17, 1), (18, 3))
}
POLICY = "version= 1.0;authorizationrules{=> permit();};issuancerules{};"


def day(n: float) -> datetime.datetime:
    """
    Return the instant *n* days after the start.
    """
    return START + datetime.timedelta(days=n)


def full_set(number: int, issued: datetime.datetime) -> list[bytes]:
    """
    Issue all documents of a number.
    """
    common: dict[str, Any] = {"number": number, "issued": issued}
    return [
        *(INTEL.tcb_info(fmspc=FMSPC, tee=tee, **common) for tee in Tee),
        *(INTEL.identity(kind=kind, **common) for kind in EnclaveKind),
    ]


def lists(numbers: Mapping[int, Any], issued: datetime.datetime) -> list[bytes]:
    """
    Issue both lists of numbers.
    """
    return [
        INTEL.numbers(numbers=dict(numbers), tee=t, issued=issued) for t in Tee
    ]


def make_world(folder: Path, decisions: Decisions | None = None) -> Path:
    """
    Make the store in *folder*, with *decisions* in the place of `decide`'s.

    ``standard`` moves from 17 to 18 on day 10; tenant acme follows it by a
    baseline of its own, bank stays at 17.
    """
    store = folder / "thim.db"
    new_store(store, INTEL.anchors)
    with Ledger(store, INTEL.anchors) as ledger:
        fill(ledger, INTEL.root_crl(), INTEL.pck_crl(), now=day(0))
        fill(ledger, *lists(EVENTS, day(-1)), now=day(0))
        for number in EVENTS:
            fill(ledger, *full_set(number, day(-1)), now=day(0))
        fill(ledger, *full_set(18, day(11)), now=day(12))
        fill(ledger, *lists(EVENTS, day(14)), now=day(15))
        for n, number in ((0, 17), (10, 18)):
            ledger.observe_channel(
                Update.STANDARD, number, source="test", seen=day(n)
            )
        for give in (give_token, give_policy):
            for tenant in ("acme", "bank"):
                give(ledger, tenant)
    (decisions or decide()).write(store, INTEL.anchors)
    digest = hashlib.sha256(full_set(17, day(-1))[0]).hexdigest()
    rows = [
        decision(n, tenant=tenant, at=day(n), documents={"tcb": digest})
        for n, tenant in enumerate(("acme", "bank") * 2, 1)
    ]
    with contextlib.closing(DecisionFile(find_decisions(store))) as file:
        file.write(rows)
    return store


def give_token(ledger: Ledger, tenant: str) -> None:
    """
    Give a tenant a token.
    """
    _, token = make_token(
        f"{tenant}-desk", Role.READER, actor="root", now=day(1), tenant=tenant
    )
    ledger.tokens.add(token)


def give_policy(ledger: Ledger, tenant: str) -> None:
    """
    Give a tenant a policy.
    """
    ledger.attestation_policies.put(
        tenant,
        "SgxEnclave",
        write_unsigned(f"{POLICY} // of {tenant}"),
        actor=f"{tenant}-admin",
        at=day(2),
    )


def decide() -> Decisions:
    """
    Decide about baselines and tenants.
    """
    return (
        Decisions()
        .baseline("acme-line", "standard", floor=17)
        .baseline("bank-line", "17")
        .tenant("acme", "acme-line")
        .tenant("bank", "bank-line")
    )


def export(
    store: Path,
    path: Path,
    tenant: str | None = None,
    signer: Signer | None = SIGNER,
    since: float | None = 0,
    until: float = 20,
) -> Exported:
    """
    Write a pack of *store* into *path*.
    """
    wanted = Wanted(
        tenant=tenant,
        since=None if since is None else day(since),
        until=day(until),
        now=day(30),
        anchors=INTEL.anchors,
    )
    decisions = DecisionView(find_decisions(store))
    with contextlib.closing(Replica(store)) as replica, path.open("wb") as file:
        return export_pack(replica, decisions, wanted, file, signer)


def check(path: Path, jwks: bytes | None = None) -> Account:
    """
    Check a pack.
    """
    return check_pack(path, INTEL.anchors, jwks)


def outcomes(account: Account) -> dict[str, str]:
    """
    Return what came of each check.
    """
    return {c.name: c.outcome.value for c in account.checks}


def read(path: Path) -> dict[str, bytes]:
    """
    Return the files of a pack.
    """
    with zipfile.ZipFile(path) as pack:
        return {name: pack.read(name) for name in pack.namelist()}


def rows(path: Path, name: str) -> list[dict[str, Any]]:
    """
    Return the rows of one of its files.
    """
    lines = read(path)[f"{name}.jsonl"].splitlines()
    return [json.loads(line) for line in lines]


def forge(
    path: Path, change: Callable[[dict[str, bytes]], None], new: Path
) -> Path:
    """
    Write another pack in which something was *change*d, with all digests
    right and signed by whoever forged it.
    """
    files = read(path)
    change(files)
    for name in ("SHA256SUMS", "SHA256SUMS.jws"):
        files.pop(name, None)
    text = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in files.items()
    )
    write_zip(new, {**files, "SHA256SUMS": text.encode()})
    return new


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """
    Write a ZIP archive.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as pack:
        for name, content in files.items():
            pack.writestr(name, content)
    path.write_bytes(buffer.getvalue())
