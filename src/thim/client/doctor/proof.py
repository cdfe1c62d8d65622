"""
Whether what came is genuine and in its time: each document by its own chain.
"""

from __future__ import annotations

import dataclasses

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.client.doctor.model import Trouble
from thim.client.doctor.remedies import remedy_of_untrusted
from thim.client.findings import Level
from thim.collateral.intake import Intake, verify_crl, verify_document
from thim.collateral.pck_intake import PckVerifier, parse_pck_pem
from thim.errors import ThimError
from thim.intel.quote_collateral import Collateral, Documents
from thim.intel.signed import SignedJson
from thim.intel.verify import QuoteVerifier
from thim.x509.chain import common_name, parse_pem_chain
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from thim.client.certificate import PckCertificateAnswer
    from thim.client.doctor.questions import Wish
    from thim.client.documents import Part
    from thim.intel.verdict import Verdict

ROOT_CRL: Final = "CRL of the root CA"
_SOON: Final = timedelta(days=7)
_NOW: Final = timedelta(days=1)
_FRESH: Final = (
    "On the service: `thim status`, `thim upstream check`; or a baseline that "
    "Intel still signs (`thim baseline status`)."
)
_VERIFY: Final = "`thim verify QUOTE` names the step and what mends it."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """
    What was found of one document: a *fact* for people, and its troubles.
    """

    fact: tuple[str, str]
    troubles: tuple[Trouble, ...] = ()
    is_genuine: bool = False


def prove_all(
    parts: Mapping[str, Part], wish: Wish, where: str
) -> Iterator[Proven]:
    """
    Verify *parts*, by what they are; the root CRL first, which the others
    are held against.
    """
    known = [c for part in parts.values() for c in _chain(part)]
    root = parts.get(ROOT_CRL)
    root_crl = None
    if root is not None:
        proven = prove(ROOT_CRL, root, _intake(wish, known, None), where)
        if proven.is_genuine:
            root_crl = Crl.from_der(root.body)
        yield proven
    for what, part in parts.items():
        if what != ROOT_CRL:
            intake = _intake(wish, _chain(part), root_crl)
            yield prove(what, part, intake, where)
    yield from _compare_numbers(parts, where)


def _chain(part: Part) -> tuple[Certificate, ...]:
    return parse_pem_chain(part.issuer_chain) if part.issuer_chain else ()


def _intake(
    wish: Wish, known: Sequence[Certificate], root_crl: Crl | None
) -> Intake:
    return Intake(
        anchors=wish.anchors, known=known, root_crl=root_crl, now=wish.now
    )


def prove(what: str, part: Part, intake: Intake, where: str) -> Proven:
    """
    Verify one *part*, and whether *now* is within its time.
    """
    if not intake.known:
        return Proven(fact=(what, "came, but no chain to verify it by"))
    try:
        if part.number is None:
            crl = Crl.from_der(part.body)
            record = verify_crl(crl, intake, source="doctor")
        else:
            document = SignedJson.from_json(part.body)
            record = verify_document(document, intake, source="doctor")
    except ThimError as e:
        return untrusted(what, e, where)
    issued = f"issued {record.issued:%FT%TZ}"
    left = spell_left(part.expires, intake.now)
    signer = common_name(parse_pem_chain(record.issuer_chain)[0].subject)
    told = ["genuine", issued, left, *_describe(part), f"signed by {signer!r}"]
    return Proven(
        fact=(what, ", ".join(told)),
        troubles=tuple(_judge_time(what, part, intake.now, where)),
        is_genuine=True,
    )


def untrusted(what: str, error: ThimError, where: str) -> Proven:
    """
    Say that a document does not hold for an *error*.
    """
    cause, mend = remedy_of_untrusted(error.reason)
    trouble = Trouble(
        level=Level.ERROR,
        name=error.reason,
        what=f"{what}: {error}",
        where=where,
        cause=cause,
        mend=mend,
    )
    return Proven(fact=(what, "NOT genuine"), troubles=(trouble,))


def spell_left(end: datetime, now: datetime) -> str:
    """
    Say when something ends, and how many days that is from *now*.
    """
    days = (end - now).total_seconds() / 86400
    when = f"{days:.1f} days left" if days > 0 else f"past by {-days:.1f} days"
    return f"to {end:%FT%TZ} ({when})"


def _describe(part: Part) -> Iterator[str]:
    if part.number is not None:
        yield f"number {part.number}"
        if part.baseline is not None:
            yield f"baseline {part.baseline}"
    yield from (f"warns {warning}" for warning in part.got.warnings)


def _judge_time(
    what: str, part: Part, now: datetime, where: str
) -> Iterator[Trouble]:
    left = part.expires - now
    if left >= _SOON:
        return
    is_over = left < timedelta(0)
    is_flagged = is_over and bool(part.got.warnings)
    level = Level.ERROR if left < _NOW and not is_flagged else Level.WARNING
    yield Trouble(
        level=level,
        name="stale" if is_flagged else "expired" if is_over else "ends-soon",
        what=f"{what}: {spell_left(part.expires, now)}",
        where=where,
        cause=(
            "The baseline's number is one that Intel no longer signs, and the "
            "service says so; verifiers that look at nextUpdate refuse it."
            if is_flagged
            else "The service, or its vendor, has not refreshed it."
        ),
        mend=_FRESH,
    )


def _compare_numbers(parts: Mapping[str, Part], where: str) -> Iterator[Proven]:
    numbers = {w: p.number for w, p in parts.items() if p.number is not None}
    if len(set(numbers.values())) <= 1:
        return
    told = ", ".join(f"{what} {number}" for what, number in numbers.items())
    trouble = Trouble(
        level=Level.ERROR,
        name="mixed",
        what=f"documents of several evaluation numbers: {told}",
        where=where,
        cause="The service takes each document as it comes, or a cache in "
        "between keeps old ones.",
        mend="A verifier must not mix them; clear caches, mend the service.",
    )
    yield Proven(fact=("set", "MIXED numbers"), troubles=(trouble,))


def prove_certificate(
    what: str,
    answer: PckCertificateAnswer,
    parts: Mapping[str, Part],
    wish: Wish,
    where: str,
) -> Proven:
    """
    Verify a PCK certificate, also against the CRLs among *parts*, which are
    genuine.
    """
    root = parts.get(ROOT_CRL)
    try:
        root_crl = None if root is None else Crl.from_der(root.body)
        known = parse_pem_chain(answer.issuer_chain)
        verifier = PckVerifier(_intake(wish, known, root_crl))
        record = verifier.verify(parse_pck_pem(answer.certificate))
    except ThimError as e:
        return untrusted(what, e, where)
    revoked = _find_revoked(answer, parts)
    if record.certificate.serial_number in revoked:
        trouble = Trouble(
            level=Level.ERROR,
            name="pck-revoked",
            what=f"{what}: revoked by Intel",
            where=where,
            cause="The keys of this machine may be known.",
            mend="Trust nothing from it.",
        )
        return Proven(fact=(what, "REVOKED"), troubles=(trouble,))
    left = spell_left(answer.expires, wish.now)
    told = (
        f"genuine, FMSPC {answer.fmspc.hex().upper()}, {answer.ca.value} CA, "
        f"for PCESVN {answer.tcbm.pcesvn}, {left}"
    )
    return Proven(fact=(what, told), is_genuine=True)


def _find_revoked(
    answer: PckCertificateAnswer, parts: Mapping[str, Part]
) -> frozenset[int]:
    part = parts.get(f"CRL of the {answer.ca.value} CA")
    return Crl.from_der(part.body).revoked if part else frozenset()


def prove_quote(
    parts: Mapping[str, Part], wish: Wish, where: str
) -> Proven | None:
    """
    Verify the quote with what came; None where something of that is missing.
    """
    documents = _collect(parts, wish)
    quote = wish.quote
    if quote is None or documents is None:
        return None
    try:
        collateral = Collateral.from_documents(documents, anchors=wish.anchors)
        verifier = QuoteVerifier(collateral, anchors=wish.anchors)
        verdict = verifier.verify(quote, wish.now)
    except ThimError as e:
        return untrusted("quote", e, where)
    if verdict.failure is not None:
        told, level = f"not authentic: {verdict.failure.detail}", Level.ERROR
    elif verdict.is_acceptable:
        return Proven(fact=("quote", _spell(verdict)), is_genuine=True)
    else:
        told, level = _spell(verdict), Level.WARNING
    name = "quote-refused" if level is Level.ERROR else "tcb-behind"
    trouble = Trouble(
        level=level, name=name, what=f"quote: {told}", where=where, mend=_VERIFY
    )
    return Proven(fact=("quote", told), troubles=(trouble,))


def _spell(verdict: Verdict) -> str:
    status = verdict.tcb_status
    return f"authentic, {status.value if status else 'no TCB level'}"


def _collect(parts: Mapping[str, Part], wish: Wish) -> Documents | None:
    if wish.quote is None:
        return None
    model = wish.models[0]
    tdx = "TD_" if wish.quote.tee is not model.tee.SGX else ""
    names = (
        f"TCB info ({model.tee.name}, {model.fmspc.hex().upper()})",
        f"{tdx}QE identity",
        f"CRL of the {model.ca.value} CA",
        ROOT_CRL,
    )
    if not all(name in parts for name in names):
        return None
    tcb_info, identity, pck_crl, root_crl = (parts[name] for name in names)
    return Documents(
        tcb_info=tcb_info.body,
        tcb_info_chain=tcb_info.issuer_chain,
        identity=identity.body,
        identity_chain=identity.issuer_chain,
        pck_crl=pck_crl.body,
        root_ca_crl=root_crl.body,
    )
