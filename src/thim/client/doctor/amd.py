"""
What a service has of AMD's: chains, revocation lists, and the VCEK of a report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.amd.authorities import CaChain, KeyKind
from thim.amd.kds import ChipTcb, chain_path, crl_path, vcek_path
from thim.amd.verify import verify_evidence
from thim.client.doctor.model import Trouble
from thim.client.doctor.proof import Proven, spell_left, untrusted
from thim.client.doctor.remedies import find_name, remedy_of
from thim.client.findings import Level
from thim.client.steps import Answer, Ask, Failure, Request, Source
from thim.collateral.amd_intake import (
    AmdIntake,
    verify_amd_crl,
    verify_cert_chain,
)
from thim.errors import ThimError


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from thim.amd.report import Report
    from thim.amd.tcb import ProductLine
    from thim.client.doctor.questions import Wish
    from thim.client.steps import Outcome, Steps
    from thim.collateral.records import Record

_OK: Final = 200
_CHAIN: Final = "AMD's chain"
_CRL: Final = "AMD's CRL"
_VCEK: Final = "VCEK"
_FETCH: Final = (
    "On the service: `thim collateral prefetch`, `thim chip list`; AMD gives "
    "one certificate in ten seconds, so a new one takes a while."
)


def ask_amd(
    url: str, wish: Wish, product: ProductLine
) -> Steps[dict[str, Outcome]]:
    """
    Ask the service at *url* for what verifies reports of *product*, and for
    the VCEK of the report, if there is one.
    """
    paths = {
        _CHAIN: chain_path(KeyKind.VCEK, product),
        _CRL: crl_path(KeyKind.VCEK, product),
    }
    name = None if wish.report is None else name_key(wish.report, product)
    if name is not None:
        paths[_VCEK] = vcek_path(name)
    requests = tuple(
        Request(
            source=Source.SERVICE,
            url=f"{url}{path}",
            # A VCEK's path names the machine.
            shown=f"{url}/…" if what == _VCEK else f"{url}{path}",
            seconds=wish.seconds,
        )
        for what, path in paths.items()
    )
    outcomes = yield Ask(requests)
    return dict(zip(paths, outcomes, strict=True))


def name_key(report: Report, product: ProductLine) -> ChipTcb | None:
    """
    Name the VCEK of *report*; None where it does not say, or is signed by a
    VLEK, which comes from the host.
    """
    if report.signing_key is not KeyKind.VCEK:
        return None
    try:
        return ChipTcb(
            product=product,
            hw_id=report.chip_id[: product.hw_id_size],
            tcb=report.decode_tcbs(product).reported,
        )
    except ThimError:
        return None


def judge_amd(
    outcomes: Mapping[str, Outcome],
    wish: Wish,
    product: ProductLine,
    where: str,
) -> Iterator[Proven]:
    """
    Judge what came of `ask_amd`.
    """
    bodies: dict[str, bytes] = {}
    for what, outcome in outcomes.items():
        if isinstance(outcome, Answer) and outcome.status == _OK:
            bodies[what] = outcome.body
        else:
            yield _missing(f"{what} ({product.value})", outcome, where)
    chains = list(_prove_chain(bodies, wish, product, where))
    yield from (proven for proven, _ in chains)
    known = [chain for _, chain in chains if chain is not None]
    yield from _prove_crl(bodies, wish, product, known, where)
    yield from _prove_report(bodies, wish, where)


def _missing(what: str, outcome: Outcome, where: str) -> Proven:
    told = (
        outcome.message
        if isinstance(outcome, Failure)
        else f"status {outcome.status}"
    )
    cause, mend = remedy_of(outcome)
    trouble = Trouble(
        level=Level.ERROR,
        name=find_name(outcome),
        what=f"{what}: {told}",
        where=where,
        cause=cause,
        mend=_FETCH if what.startswith(_VCEK) else mend,
    )
    return Proven(fact=(what, told), troubles=(trouble,))


def _prove_chain(
    bodies: Mapping[str, bytes], wish: Wish, product: ProductLine, where: str
) -> Iterator[tuple[Proven, CaChain | None]]:
    if _CHAIN not in bodies:
        return
    what = f"{_CHAIN} ({product.value})"
    intake = AmdIntake(anchors=wish.anchors, chains=(), now=wish.now)
    try:
        record = verify_cert_chain(bodies[_CHAIN], intake, source="doctor")
        chain = CaChain.from_pem(bodies[_CHAIN])
    except ThimError as e:
        yield untrusted(what, e, where), None
        return
    yield _genuine(what, record, wish, where), chain


def _prove_crl(
    bodies: Mapping[str, bytes],
    wish: Wish,
    product: ProductLine,
    known: list[CaChain],
    where: str,
) -> Iterator[Proven]:
    if _CRL not in bodies:
        return
    what = f"{_CRL} ({product.value})"
    if not known:  # which is told already, and mends both
        yield Proven(fact=(what, f"cannot be judged without {_CHAIN}"))
        return
    intake = AmdIntake(anchors=wish.anchors, chains=known, now=wish.now)
    try:
        record = verify_amd_crl(
            bodies[_CRL], KeyKind.VCEK, intake, source="doctor"
        )
    except ThimError as e:
        yield untrusted(what, e, where)
        return
    yield _genuine(what, record, wish, where)


def _genuine(what: str, record: Record, wish: Wish, where: str) -> Proven:
    end = record.next_update or record.issued
    told = f"genuine, {spell_left(end, wish.now)}"
    if end > wish.now:
        return Proven(fact=(what, told), is_genuine=True)
    trouble = Trouble(
        level=Level.ERROR,
        name="expired",
        what=f"{what}: {told}",
        where=where,
        cause="The service, or AMD, has not refreshed it.",
        mend="On the service: `thim status`, `thim upstream check`.",
    )
    return Proven(fact=(what, told), troubles=(trouble,))


def _prove_report(
    bodies: Mapping[str, bytes], wish: Wish, where: str
) -> Iterator[Proven]:
    if wish.report is None or not {_CHAIN, _VCEK} <= bodies.keys():
        return
    verdict = verify_evidence(
        wish.report.raw,
        bodies[_VCEK],
        bodies[_CHAIN],
        bodies.get(_CRL),
        anchors=wish.anchors,
        now=wish.now,
    )
    if verdict.is_authentic:
        yield Proven(fact=("report", "authentic"), is_genuine=True)
        return
    why = "; ".join(each.detail for each in verdict.findings)
    trouble = Trouble(
        level=Level.ERROR,
        name="report-refused",
        what=f"report: not authentic: {why}",
        where=where,
        mend="`thim verify REPORT` names the step.",
    )
    yield Proven(fact=("report", "not authentic"), troubles=(trouble,))


def is_amd_alone(wish: Wish) -> bool:
    """
    Tell whether all that is named is AMD's, so that Intel's matters to nobody.
    """
    has_intel = bool(wish.models or wish.platforms or wish.with_tdx)
    return bool(wish.products) and not has_intel
