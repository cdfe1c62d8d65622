"""
What is asked of a service: what a client would ask, and no more.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.client.certificate import want_certificate
from thim.client.documents import (
    Part,
    want_identity,
    want_pck_crl,
    want_root_crl,
    want_tcb_info,
)
from thim.client.fetch import D, Wanted
from thim.client.steps import Ask
from thim.intel.names import EnclaveKind, PckCa, Tee


if TYPE_CHECKING:
    from datetime import datetime

    from thim.amd.report import Report
    from thim.amd.tcb import ProductLine
    from thim.client.certificate import PckCertificateAnswer
    from thim.client.model import PlatformModel
    from thim.client.sources import PckQuestion, Sources
    from thim.client.steps import Outcome, Steps
    from thim.intel.quote import Quote
    from thim.x509.chain import TrustAnchors

_INTEL: Final = "https://api.trustedservices.intel.com"
_INTEL_ROOT_CRL: Final = (
    "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What is to be looked at.

    Attributes:
        now: The instant at which documents are judged.
        clock: What this machine's clock says.
        anchors: The vendors' roots.
        seconds: How long each step may take.
        models: Of which platforms the TCB infos are asked for.
        cas: Whose CRLs; both where it is empty.
        platforms: Names of platforms, and what they ask PCK certificates by.
        with_tdx: Whether those are asked for TDX too.
        quote: One to be verified with what comes; of the first model.
        products: Of which of AMD's product lines chain and CRL are asked for.
        report: An SEV-SNP report, to be verified with what comes.
    """

    now: datetime
    clock: datetime
    anchors: TrustAnchors
    seconds: float
    models: tuple[PlatformModel, ...] = ()
    cas: frozenset[PckCa] = frozenset()
    platforms: tuple[tuple[str, PckQuestion], ...] = ()
    with_tdx: bool = False
    quote: Quote | None = None
    products: tuple[ProductLine, ...] = ()
    report: Report | None = None


def want_certificates(
    sources: Sources, wish: Wish
) -> list[Wanted[PckCertificateAnswer]]:
    """
    Want the PCK certificates of the platforms that are named.
    """
    return [
        dataclasses.replace(
            _limit(want_certificate(sources, question), wish),
            what=f"PCK certificate ({name})",
        )
        for name, question in wish.platforms
    ]


def want_documents(sources: Sources, wish: Wish) -> list[Wanted[Part]]:
    """
    Want the collateral: the root CRL first.
    """
    wanted = [
        _want_root_crl(sources),
        *(want_pck_crl(sources, ca) for ca in PckCa if _is_wanted(ca, wish)),
        want_identity(sources, EnclaveKind.QE),
        want_identity(sources, EnclaveKind.TD_QE),
        *(want_tcb_info(sources, model) for model in wish.models),
    ]
    return [_limit(each, wish) for each in wanted]


def _is_wanted(ca: PckCa, wish: Wish) -> bool:
    return not wish.cas or ca in wish.cas


def _want_root_crl(sources: Sources) -> Wanted[Part]:
    wanted = want_root_crl(sources)
    if sources.url != _INTEL:
        return wanted
    # Intel keeps it elsewhere.
    request = dataclasses.replace(
        wanted.request, url=_INTEL_ROOT_CRL, shown=_INTEL_ROOT_CRL
    )
    return dataclasses.replace(wanted, request=request)


def _limit(wanted: Wanted[D], wish: Wish) -> Wanted[D]:
    # One attempt: that a second one would do is no good news either.
    request = dataclasses.replace(wanted.request, seconds=wish.seconds)
    return dataclasses.replace(wanted, request=request)


def is_about_tdx(what: str, wish: Wish) -> bool:
    """
    Tell whether *what* was wanted for TDX alone, of which nobody asked.
    """
    has_tdx = any(model.tee is Tee.TDX for model in wish.models)
    is_asked = has_tdx or wish.with_tdx
    return what.startswith(EnclaveKind.TD_QE.value) and not is_asked


def ask(
    wanted: list[Wanted[Part]] | list[Wanted[PckCertificateAnswer]],
) -> Steps[tuple[Outcome, ...]]:
    """
    Ask for all that is *wanted*, at once.
    """
    if not wanted:
        return ()
    outcomes: tuple[Outcome, ...] = yield Ask(tuple(w.request for w in wanted))
    return outcomes
