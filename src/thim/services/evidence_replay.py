"""
Rebuild what a pack says that the store had, and work out anew what it had to
answer with.
"""

from __future__ import annotations

import contextlib
import hashlib

from typing import TYPE_CHECKING, Any

from thim.baseline.decided import Definition, Enactment, Promotion
from thim.baseline.definition import Kind
from thim.collateral.records import CollateralKey, Record
from thim.errors import MalformedError
from thim.services.evidence_rows import read_instant, served_row, span_row
from thim.services.evidence_spans import Spans
from thim.store.evidence_view import EvidenceView
from thim.store.replica import Replica
from thim.store.scratch import Scratch


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from thim.services.evidence_pack import PackReader
    from thim.services.evidence_spans import Span
    from thim.x509.chain import TrustAnchors


def rebuild(pack: PackReader, path: Path, anchors: TrustAnchors) -> None:
    """
    Make a store in *path* of what *pack* says.

    Raises:
        MalformedError: It says what cannot be.
        OperatorError: The store cannot be made.
    """
    scratch = Scratch(path, anchors)
    try:
        _each(pack, "definitions", lambda r: _add_definition(scratch, r))
        _each(pack, "enactments", lambda r: _add_enactment(scratch, r))
        _each(pack, "promotions", lambda r: _add_promotion(scratch, r))
        _each(pack, "channels", lambda r: _add_channel(scratch, r))
        _each(pack, "documents", lambda r: _add_document(scratch, pack, r))
    finally:
        scratch.close()


def _each(
    pack: PackReader, name: str, take: Callable[[Mapping[str, Any]], None]
) -> None:
    for i, row in enumerate(pack.lines(f"{name}.jsonl"), 1):
        try:
            take(row)
        except (KeyError, ValueError, TypeError, AttributeError) as e:
            msg = f"{name}.jsonl, line {i}: {type(e).__name__}: {e}"
            raise MalformedError(msg, reason="evidence-pack") from e


def _add_definition(scratch: Scratch, row: Mapping[str, Any]) -> None:
    scratch.add_definition(
        Definition(
            kind=Kind(row["kind"]),
            name=row["name"],
            version=row["version"],
            body=row["body"],
            author=row["author"],
            reason=row["reason"],
            created=read_instant(row["created"]),
        )
    )


def _add_enactment(scratch: Scratch, row: Mapping[str, Any]) -> None:
    scratch.add_enactment(
        Enactment(
            kind=Kind(row["kind"]),
            name=row["name"],
            sequence=row["sequence"],
            version=row["version"],
            tenant=row["tenant"],
            effective=read_instant(row["effective"]),
            decided=read_instant(row["decided"]),
            actor=row["actor"],
            reason=row["reason"],
            plan=row["plan"],
        )
    )


def _add_promotion(scratch: Scratch, row: Mapping[str, Any]) -> None:
    effective = row["effective"]
    scratch.add_promotion(
        Promotion(
            baseline=row["baseline"],
            version=row["version"],
            sequence=row["sequence"],
            number=row["number"],
            noticed=read_instant(row["noticed"]),
            effective=None if effective is None else read_instant(effective),
            actor=row["actor"],
            reason=row["reason"],
        )
    )


def _add_channel(scratch: Scratch, row: Mapping[str, Any]) -> None:
    scratch.add_channel(
        row["channel"],
        row["number"],
        read_instant(row["seen"]),
        row["source"],
    )


def _add_document(
    scratch: Scratch, pack: PackReader, row: Mapping[str, Any]
) -> None:
    record = read_record(pack, row)
    sha256 = bytes.fromhex(row["sha256"])
    scratch.add_record(record, sha256, map(read_instant, row["moved"]))


def read_record(pack: PackReader, row: Mapping[str, Any]) -> Record:
    """
    Read a document, its bytes and its chain.

    Raises:
        MalformedError: They are not in the pack, or not what they are said to
            be.
        KeyError, ValueError, TypeError: The row makes no sense.
    """
    sha256, chain = bytes.fromhex(row["sha256"]), bytes.fromhex(row["chain"])
    pem = pack.read(f"chains/{chain.hex()}.pem")
    if hashlib.sha256(pem).digest() != chain:
        msg = f"chains/{chain.hex()}.pem is another chain"
        raise MalformedError(msg, reason="evidence-pack")
    next_update = row["next_update"]
    return Record(
        key=CollateralKey.from_name(row["document"]),
        evaluation_number=row["number"],
        body=pack.read(f"documents/{sha256.hex()}"),
        issuer_chain=pem,
        issued=read_instant(row["issued"]),
        next_update=None if next_update is None else read_instant(next_update),
        signed_sha256=bytes.fromhex(row["signed_sha256"]),
        source=row["source"],
        fetched=read_instant(row["fetched"]),
        verified=read_instant(row["verified"]),
    )


def find_spans(
    path: Path, tenants: Iterable[str], since: datetime, until: datetime
) -> list[Span]:
    """
    Work out which numbers answered *tenants*, by the store in *path*.
    """
    with contextlib.closing(Replica(path)) as replica:
        spans = Spans(replica, until)
        return [s for tenant in tenants for s in spans.find(tenant, since)]


def find_served(path: Path, spans: Iterable[Span]) -> Iterator[dict[str, Any]]:
    """
    Work out which documents were served in *spans*, as rows of a pack.
    """
    with contextlib.closing(Replica(path)) as replica:
        view = EvidenceView(replica)
        for span in spans:
            if span.baseline is None:
                continue
            for each in view.served(span.number, span.since, span.until):
                yield served_row(each, span.tenant)


def spell_spans(spans: Iterable[Span]) -> Iterator[dict[str, Any]]:
    """
    Write *spans* as rows of a pack.
    """
    yield from map(span_row, spans)
