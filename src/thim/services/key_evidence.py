"""
Evidence of the TEE that this machine is, over a signing key.
"""

from __future__ import annotations

import logging

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from thim.amd.cert_table import ARK, ASK, CertTable
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.report import Report
from thim.amd.verify import is_signed_by
from thim.attestation.signing_certificate import (
    KeyEvidence,
    write_snp_evidence,
    write_tdx_evidence,
)
from thim.attestation.token import digest_key
from thim.errors import MalformedError, OperatorError
from thim.intel.quote import Quote
from thim.services.snp_verification import list_names
from thim.services.tsm import DATA_SIZE, SNP, TDX, TsmAnswer, ask_tsm
from thim.x509.chain import parse_certificate, to_pem


if TYPE_CHECKING:
    from pathlib import Path

    from thim.store.endorsement_view import EndorsementView

_log: Final = logging.getLogger("thim.signing")


def find_key_evidence(
    root: Path, public: RSAPublicKey, keys: EndorsementView
) -> KeyEvidence | None:
    """
    Have the TEE of this machine speak for a *public* key, by the kernel's
    folder *root*; its VCEK may be among *keys*.  None where it is no TEE, or
    cannot: then nothing is said, and a log has why.
    """
    if not root.is_dir():
        return None
    data = digest_key(public).ljust(DATA_SIZE, b"\0")
    try:
        answer = ask_tsm(root, data)
        return _write(answer, data, keys)
    except (OperatorError, MalformedError) as e:
        _log.warning("a signing key has no evidence of this machine: %s", e)
        return None


def _write(
    answer: TsmAnswer, data: bytes, keys: EndorsementView
) -> KeyEvidence | None:
    if answer.provider == SNP:
        report = Report.from_bytes(answer.outblob)
        _check_same(data, report.report_data)
        chain = find_chain(report, answer.auxblob, keys)
        return write_snp_evidence(answer.outblob, chain)
    if answer.provider == TDX:
        quote = Quote(answer.outblob)
        _check_same(data, quote.body.report_data)
        return write_tdx_evidence(answer.outblob)
    msg = f"provider {answer.provider!r}, expected {SNP!r} or {TDX!r}"
    raise OperatorError(msg, reason="tsm")


def _check_same(asked: bytes, found: bytes) -> None:
    if asked != found:
        msg = f"report data {found.hex()}, asked for {asked.hex()}"
        raise OperatorError(msg, reason="tsm")


def find_chain(
    report: Report, table: bytes, keys: EndorsementView
) -> bytes | None:
    """
    Find the certificate of the key that signed *report*, and what it was
    issued by (PEM; VCEK, ASK, ARK): in the host's *table*, or among *keys*.
    """
    return _find_in_table(report, table) or _find_among(report, keys)


def _find_in_table(report: Report, raw: bytes) -> bytes | None:
    try:
        table = CertTable.from_bytes(raw)
        leaf = table.find_leaf(report.signing_key)
        ders = (leaf, table.find(ASK), table.find(ARK))
        found = [der for der in ders if der is not None]
        if leaf is None or len(found) < len(ders):
            return None
        # A host may have that of an older TCB.
        if not is_signed_by(report, EndorsementKey.from_der(leaf)):
            return None
        return to_pem(list(map(parse_certificate, found)))
    except MalformedError:
        return None


def _find_among(report: Report, keys: EndorsementView) -> bytes | None:
    for name in list_names(report):
        held = keys.find_vcek(name)
        if held is not None and is_signed_by(
            report, EndorsementKey.from_der(held.der)
        ):
            return to_pem([parse_certificate(held.der)]) + held.issuer_chain
    return None
