"""
What an inventory (CSV) or evidence says of machines' TCBs.

CSV has a line of titles; of these columns each may be missing but ``qe_id`` and
``fmspc``::

    name,qe_id,pce_id,fmspc,cpusvn,pcesvn,tee_tcb_svn,qe_svn,td_qe_svn

``qe_id`` (32 digits), ``pce_id`` (4), ``fmspc`` (12), ``cpusvn`` and
``tee_tcb_svn`` (32) are hexadecimal, ``pcesvn`` and the ISVSVNs decimal.
CPUSVN and PCESVN are those of the platform's PCK certificate.
"""

from __future__ import annotations

import csv
import dataclasses
import io

from typing import TYPE_CHECKING, Final

from thim.attestation.evidence import (
    MAX_SIZE,
    QuoteEvidence,
    decode_text,
    parse_evidence,
)
from thim.collateral.fleet_tcbs import FleetTcb, Origin, stand_in
from thim.collateral.platforms import PlatformId
from thim.errors import MalformedError, ThimError, UntrustedError, shorten
from thim.intel.names import Tee
from thim.intel.pck_chain import read_pck
from thim.intel.report_body import SgxReportBody, Td15Body
from thim.intel.steps import StepError
from thim.services.verification import find_forgery


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import Self

    from thim.attestation.evidence import Evidence
    from thim.intel.report_body import ReportBody
    from thim.x509.chain import TrustAnchors

_COLUMNS: Final = (
    "name",
    "qe_id",
    "pce_id",
    "fmspc",
    "cpusvn",
    "pcesvn",
    "tee_tcb_svn",
    "qe_svn",
    "td_qe_svn",
)
_NEEDED: Final = ("qe_id", "fmspc")
_SIZES: Final = {
    "qe_id": 16,
    "pce_id": 2,
    "fmspc": 6,
    "cpusvn": 16,
    "tee_tcb_svn": 16,
}
_MOST_NAME: Final = 200
_MOST_DIGITS: Final = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """
    What cannot be read, on a *line* if it has one, and why.
    """

    line: int
    reason: str
    detail: str


def read_inventory(
    source: str, text: str, now: datetime
) -> Iterator[FleetTcb | Unread]:
    """
    Read the CSV *text* of *source*.

    Raises:
        MalformedError: Its line of titles is none.
    """
    lines = _Lines(text)
    reader = csv.DictReader(lines, strict=True)
    reader.fieldnames = _read_titles(reader)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            yield Unread(line=lines.number, reason="csv", detail=str(e))
            continue
        try:
            yield _read_line(f"{source}:{lines.number}", fields, now)
        except MalformedError as e:
            yield Unread(line=lines.number, reason=e.reason, detail=str(e))


class _Lines:
    """The lines of a text, and the *number* of the one that was read last."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text)
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1  # csv does not count what it refuses
        return line


def _read_titles(reader: csv.DictReader[str]) -> list[str]:
    try:
        names = [title.strip() for title in reader.fieldnames or ()]
    except csv.Error as e:
        msg = f"titles: {e}"
        raise MalformedError(msg, reason="csv-titles") from e
    unknown = [name for name in names if name not in _COLUMNS]
    missing = [name for name in _NEEDED if name not in names]
    if unknown or missing or len(set(names)) != len(names):
        msg = (
            f"titles: got {shorten(','.join(names))}, expected "
            f"{','.join(_NEEDED)} and any of {','.join(_COLUMNS)}, each once"
        )
        raise MalformedError(msg, reason="csv-titles")
    return names


def _read_line(
    source: str, fields: Mapping[str, str | None], now: datetime
) -> FleetTcb:
    if None in fields or None in fields.values():
        msg = "another number of values than of titles"
        raise MalformedError(msg, reason="csv-values")
    values = {k: (v or "").strip() for k, v in fields.items()}
    octets = {name: _unhex(name, values.get(name, "")) for name in _SIZES}
    qe_id, fmspc = octets["qe_id"], octets["fmspc"]
    if qe_id is None or fmspc is None:
        missing = "qe_id" if qe_id is None else "fmspc"
        msg = f"{missing}: nothing, expected {2 * _SIZES[missing]} digits"
        raise MalformedError(msg, reason="csv-values")
    if not any(qe_id):
        # All that have none would be one machine.
        msg = "qe_id: got zeros, expected that of a machine"
        raise MalformedError(msg, reason="csv-values")
    return FleetTcb(
        id=PlatformId(qe_id, octets["pce_id"] or bytes(2)),
        name=_read_name(values.get("name", "")),
        fmspc=fmspc,
        components=octets["cpusvn"],
        pcesvn=_read_svn("pcesvn", values.get("pcesvn", "")),
        tee_tcb_svn=octets["tee_tcb_svn"],
        qe_svn=_read_svn("qe_svn", values.get("qe_svn", "")),
        td_qe_svn=_read_svn("td_qe_svn", values.get("td_qe_svn", "")),
        origin=Origin.IMPORTED,
        source=source,
        seen=now,
    )


def _unhex(name: str, text: str) -> bytes | None:
    if not text:
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != _SIZES[name] or len(text) != 2 * _SIZES[name]:
        msg = (
            f"{name}: got {shorten(text, 40)}, expected {2 * _SIZES[name]} "
            f"hexadecimal digits"
        )
        raise MalformedError(msg, reason="csv-values")
    return found


def _read_svn(name: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
        msg = f"{name}: got {shorten(text, 40)}, expected 0 to 65535"
        raise MalformedError(msg, reason="csv-values")
    return int(text)


def _read_name(text: str) -> str | None:
    if len(text) > _MOST_NAME or not text.isprintable():
        msg = f"name: got {shorten(text, 40)}, expected {_MOST_NAME} letters"
        raise MalformedError(msg, reason="csv-values")
    return text or None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """
    Where evidence is from, what its machine is called, and when it came.
    """

    source: str
    name: str | None
    now: datetime


def read_evidence(told: Told, raw: bytes, anchors: TrustAnchors) -> FleetTcb:
    """
    Read what *raw* evidence says of its machine.

    Raises:
        MalformedError: It is no quote, or does not bring its PCK certificate.
        UntrustedError: It is forged.
    """
    if len(raw) > MAX_SIZE:
        msg = f"more than {MAX_SIZE} bytes"
        raise MalformedError(msg, reason="too-large")
    return read_quote(told, parse_evidence(decode_text(raw)), anchors)


def read_quote(
    told: Told, evidence: Evidence, anchors: TrustAnchors
) -> FleetTcb:
    """
    Read what a quote says of its machine.

    Raises:
        MalformedError, UntrustedError: As `read_evidence`.
    """
    if not isinstance(evidence, QuoteEvidence) or evidence.quote.pck_name:
        msg = "no SGX or TDX quote that brings its PCK certificate"
        raise MalformedError(msg, reason="no-quote")
    forgery = find_forgery(evidence, told.now, anchors)
    if forgery is not None and forgery.verdict.failure is not None:
        raise UntrustedError(forgery.verdict.failure.detail, reason="forged")
    quote = evidence.quote
    try:
        pck = read_pck(quote.certification_data)
    except StepError as e:
        raise MalformedError(str(e), reason="pck-chain") from e
    qe_id = quote.qe_id if any(quote.qe_id) else stand_in(pck.ppid)
    qe_svn, is_tdx = quote.qe_report.isvsvn, quote.tee is Tee.TDX
    return FleetTcb(
        id=PlatformId(qe_id, pck.pce_id),
        name=told.name,
        fmspc=pck.fmspc,
        components=pck.components,
        pcesvn=pck.pcesvn,
        tee_tcb_svn=_tee_tcb_svn(quote.body),
        qe_svn=None if is_tdx else qe_svn,
        td_qe_svn=qe_svn if is_tdx else None,
        origin=Origin.ATTESTED,
        source=told.source,
        seen=told.now,
    )


def _tee_tcb_svn(body: ReportBody) -> bytes | None:
    if isinstance(body, SgxReportBody):
        return None
    if isinstance(body, Td15Body):
        return body.tee_tcb_svn_2
    return body.tee_tcb_svn


def explain(error: ThimError) -> Unread:
    """
    Say why a whole file cannot be read.
    """
    return Unread(line=0, reason=error.reason, detail=str(error))
