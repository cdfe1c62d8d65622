"""
From recognised bytes to a verified record: the one door into the store.

Each function takes the certificates that may form the issuer chain, the trust
anchors, the newest root CRL known and the instant, and either returns a record
or says why not.  A chain is judged at the document's own issue date, so that
old documents are as welcome as new ones.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Final

from thim.collateral.records import (
    ROOT_CA_CRL,
    CollateralKey,
    Record,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.intel.authorities import (
    Authority,
    authority_of,
    find_chains,
    verify_authority,
)
from thim.intel.identity import EnclaveIdentity
from thim.intel.names import PckCa
from thim.intel.numbers import NumberList
from thim.intel.signed import SignedJson, SignedKind, verify_signed
from thim.intel.tcb_info import TcbInfo
from thim.x509.chain import CLOCK_SKEW, common_name, is_issued_by, to_pem


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from thim.x509.chain import TrustAnchors
    from thim.x509.crl import Crl

Chain = tuple["Certificate", ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """
    What a document is judged by.

    *known* are the certificates from which a missing issuer chain is built,
    *root_crl* is the newest root CRL known.
    """

    anchors: TrustAnchors
    known: Sequence[Certificate]
    root_crl: Crl | None
    now: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    key: CollateralKey
    number: int | None
    issued: datetime
    next_update: datetime | None


def verify_document(
    document: SignedJson, intake: Intake, *, source: str
) -> Record:
    """
    Verify signed JSON and make it a record.

    Raises:
        MalformedError: It cannot be read.
        UntrustedError: It is not Intel's, or not yet valid.
    """
    facts = _read(document)
    _check_dates(facts, intake.now)
    chain = _choose_chain(
        Authority.TCB_SIGNING, facts.issued, document.is_signed_by, intake
    )
    verify_signed(
        document,
        chain,
        anchors=intake.anchors,
        at=facts.issued,
        root_crl=intake.root_crl,
    )
    return _record(facts, document.body, document.signed, chain, intake, source)


def _read(document: SignedJson) -> _Facts:
    return _READERS[document.kind](document.signed)


def _read_tcb_info(signed: bytes) -> _Facts:
    info = TcbInfo.from_json(signed)
    return _Facts(
        key=tcb_info_key(info.tee, info.fmspc, info.version),
        number=info.tcb_evaluation_data_number,
        issued=info.issue_date,
        next_update=info.next_update,
    )


def _read_identity(signed: bytes) -> _Facts:
    identity = EnclaveIdentity.from_json(signed)
    return _Facts(
        key=identity_key(identity.kind),
        number=identity.tcb_evaluation_data_number,
        issued=identity.issue_date,
        next_update=identity.next_update,
    )


def _read_numbers(signed: bytes) -> _Facts:
    numbers = NumberList.from_json(signed)
    return _Facts(
        key=numbers_key(numbers.tee),
        number=None,
        issued=numbers.issue_date,
        next_update=numbers.next_update,
    )


_READERS: Final[dict[SignedKind, Callable[[bytes], _Facts]]] = {
    SignedKind.TCB_INFO: _read_tcb_info,
    SignedKind.ENCLAVE_IDENTITY: _read_identity,
    SignedKind.TCB_EVALUATION_DATA_NUMBERS: _read_numbers,
}

_CRL_KEYS: Final = {
    Authority.ROOT: ROOT_CA_CRL,
    Authority.PCK_PROCESSOR: pck_crl_key(PckCa.PROCESSOR),
    Authority.PCK_PLATFORM: pck_crl_key(PckCa.PLATFORM),
}


def verify_crl(crl: Crl, intake: Intake, *, source: str) -> Record:
    """
    Verify a revocation list of the root CA or a PCK CA and make it a record.

    1. The issuer's common name is exactly one of the three (QVL A5).
    2. The issuer's chain holds at ``thisUpdate`` (QVL A2 to A7).
    3. The list is signed by that issuer.

    Raises:
        UntrustedError: It is not Intel's, or not yet valid.
    """
    try:
        authority = Authority(common_name(crl.issuer))
        key = _CRL_KEYS[authority]
    except (ValueError, KeyError):
        msg = f"CRL of {common_name(crl.issuer)!r}, not of an Intel CA"
        raise UntrustedError(msg, reason="unknown-issuer") from None
    facts = _Facts(
        key=key,
        number=None,
        issued=crl.this_update,
        next_update=crl.next_update,
    )
    _check_dates(facts, intake.now)
    chain = _choose_chain(authority, crl.this_update, crl.is_signed_by, intake)
    verify_authority(
        chain,
        expected=(authority,),
        anchors=intake.anchors,
        at=crl.this_update,
        root_crl=intake.root_crl,
    )
    crl.verify(chain[0])
    return _record(facts, crl.der, crl.signed, chain, intake, source)


def verify_ca_certificate(
    certificate: Certificate, intake: Intake
) -> Authority:
    """
    Verify that *certificate* is one of Intel's authorities, at the first
    instant at which it and its root were valid together.

    Raises:
        UntrustedError: It is not, or the root is not known yet.
    """
    authority = authority_of(certificate)
    if authority is None:
        name = common_name(certificate.subject)
        msg = f"certificate of {name!r}, which is not an Intel CA"
        raise UntrustedError(msg, reason=_foreign_reason(certificate))
    msg = f"{authority.value}: no root certificate known that signed it"
    why: ThimError = UntrustedError(msg, reason="no-issuer-chain")
    for chain in _chains_above(certificate, authority, intake.known):
        try:
            _verify_chain_of(chain, authority, intake)
        except ThimError as e:
            why = e
        else:
            return authority
    raise why


def _foreign_reason(certificate: Certificate) -> str:
    is_pck = common_name(certificate.subject) == "Intel SGX PCK Certificate"
    return "pck-certificate" if is_pck else "foreign-certificate"


def _chains_above(
    certificate: Certificate,
    authority: Authority,
    known: Sequence[Certificate],
) -> list[Chain]:
    if authority is Authority.ROOT:
        return [(certificate,)]
    roots = (c for c in known if authority_of(c) is Authority.ROOT)
    return [
        (certificate, root) for root in roots if is_issued_by(certificate, root)
    ]


def _verify_chain_of(
    chain: Chain, authority: Authority, intake: Intake
) -> None:
    at = max(c.not_valid_before_utc for c in chain)
    if at > intake.now + CLOCK_SKEW:
        msg = f"{authority.value}: not valid before {at:%FT%TZ}"
        raise UntrustedError(msg, reason="certificate-dates")
    verify_authority(
        chain,
        expected=(authority,),
        anchors=intake.anchors,
        at=at,
        root_crl=intake.root_crl,
    )


def _check_dates(facts: _Facts, now: datetime) -> None:
    if facts.issued > now + CLOCK_SKEW:
        msg = f"issued {facts.issued:%FT%TZ}, which is in the future"
        raise UntrustedError(msg, reason="not-yet-valid")
    if facts.next_update is not None and facts.next_update <= facts.issued:
        msg = (
            f"issued {facts.issued:%FT%TZ} but next update is "
            f"{facts.next_update:%FT%TZ}"
        )
        raise MalformedError(msg, reason="date")


def _choose_chain(
    authority: Authority,
    issued: datetime,
    is_signed_by: Callable[[Certificate], bool],
    intake: Intake,
) -> Chain:
    chains = find_chains(authority, intake.known, issued)
    # A key may have several certificates, of which one is revoked.
    chains.sort(key=lambda chain: _is_revoked(chain, intake.root_crl))
    for chain in chains:
        if is_signed_by(chain[0]) and is_issued_by(chain[0], chain[-1]):
            return chain
    if chains:
        msg = f"signature is not that of any {authority.value!r} known"
        raise UntrustedError(msg, reason="signature-invalid")
    msg = (
        f"no issuer chain: no certificate of {authority.value!r} and the root "
        f"known that was valid when the document was issued"
    )
    raise UntrustedError(msg, reason="no-issuer-chain")


def _is_revoked(chain: Chain, root_crl: Crl | None) -> bool:
    return root_crl is not None and chain[0].serial_number in root_crl.revoked


def _record(  # noqa: PLR0913, PLR0917 - the parts of a record, gathered once
    facts: _Facts,
    body: bytes,
    signed: bytes,
    chain: Chain,
    intake: Intake,
    source: str,
) -> Record:
    return Record(
        key=facts.key,
        evaluation_number=facts.number,
        body=body,
        issuer_chain=to_pem(chain),
        issued=facts.issued,
        next_update=facts.next_update,
        signed_sha256=hashlib.sha256(signed).digest(),
        source=source,
        fetched=intake.now,
        verified=intake.now,
    )
