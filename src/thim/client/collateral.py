"""
Collateral for the verification of quotes: one coherent set as one object.

It is what a verifier is given, and is itself verified by nobody here: a
program that trusts it without a verifier trusts whoever answered.
"""

from __future__ import annotations

import dataclasses
import datetime

from typing import TYPE_CHECKING, Final, TypedDict, cast

from thim.client.documents import (
    QUOTING_ENCLAVES,
    Part,
    want_identity,
    want_pck_crl,
    want_root_crl,
    want_tcb_info,
)
from thim.client.errors import MixedCollateralError
from thim.client.steps import Pause
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.quote_collateral import Documents
from thim.intel.signed import SignedJson


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.client.fetch import Fetcher, Wanted
    from thim.client.model import PlatformModel
    from thim.client.sources import Sources
    from thim.client.steps import Steps

#: Of ``sgx_ql_qve_collateral_t``: PCS version 3 or 4, CRLs in DER.
VERSION: Final = (3, 1)
_TEE_TYPES: Final = {Tee.SGX: 0x00, Tee.TDX: 0x81}
_POINTERS: Final = (
    "pck_crl_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "tcb_info_issuer_chain",
    "tcb_info",
    "qe_identity_issuer_chain",
    "qe_identity",
)
#: How often a set is asked for in which the numbers differ.
MOST_ROUNDS: Final = 3
_PAUSE: Final = 0.2


class QveCollateral(TypedDict):
    """
    The members of Intel's ``sgx_ql_qve_collateral_t``.

    As from Intel's own provider, each text and CRL ends in a NUL that its size
    counts.
    """

    version: int
    major_version: int
    minor_version: int
    tee_type: int
    pck_crl_issuer_chain: bytes
    pck_crl_issuer_chain_size: int
    root_ca_crl: bytes
    root_ca_crl_size: int
    pck_crl: bytes
    pck_crl_size: int
    tcb_info_issuer_chain: bytes
    tcb_info_issuer_chain_size: int
    tcb_info: bytes
    tcb_info_size: int
    qe_identity_issuer_chain: bytes
    qe_identity_issuer_chain_size: int
    qe_identity: bytes
    qe_identity_size: int


class DcapQvlCollateral(TypedDict):
    """The arguments of ``dcap_qvl.QuoteCollateralV3``."""

    pck_crl_issuer_chain: str
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VerificationCollateral:
    """
    What the verification of a quote needs, all of one evaluation number.

    Attributes:
        tee: Of which TEE quotes are verified with it.
        fmspc: Of which platforms, 6 bytes.
        ca: Which authority certifies their keys.
        tcb_info: The body as served: signed JSON and its signature.
        tcb_info_issuer_chain: In PEM, the signer first; so are the others.
        qe_identity: The quoting enclave's, as served.
        qe_identity_issuer_chain: In PEM.
        qve_identity: The quote verification enclave's, None unless asked for.
        qve_identity_issuer_chain: In PEM.
        pck_crl: In DER.
        pck_crl_issuer_chain: In PEM.
        root_ca_crl: In DER.
        tcb_evaluation_data_number: That of all of them.
        baseline: Which one thim answered under, None from another service.
        warnings: What the answers warned of, each behind its document's name.
        fetched: When the oldest of them came from the service.
        expires: The earliest of their ``nextUpdate``.
        is_stale: Whether one was kept for longer than its service allowed.
        version: That of ``sgx_ql_qve_collateral_t``: major and minor.
    """

    tee: Tee
    fmspc: bytes
    ca: PckCa
    tcb_info: bytes
    tcb_info_issuer_chain: bytes
    qe_identity: bytes
    qe_identity_issuer_chain: bytes
    qve_identity: bytes | None = None
    qve_identity_issuer_chain: bytes | None = None
    pck_crl: bytes
    pck_crl_issuer_chain: bytes
    root_ca_crl: bytes
    tcb_evaluation_data_number: int
    baseline: str | None
    warnings: tuple[str, ...]
    fetched: datetime.datetime
    expires: datetime.datetime
    is_stale: bool
    version: tuple[int, int] = VERSION

    def is_expired(self, now: datetime.datetime) -> bool:
        """
        Tell whether *now* is past the ``nextUpdate`` of a document.
        """
        return now > self.expires

    def to_quote_collateral_v3(self) -> QveCollateral:
        """
        Return the members of Intel's ``sgx_ql_qve_collateral_t``.
        """
        major, minor = self.version
        texts = {name: getattr(self, name) + b"\0" for name in _POINTERS}
        sizes = {f"{name}_size": len(text) for name, text in texts.items()}
        found = {
            "version": minor << 16 | major,
            "major_version": major,
            "minor_version": minor,
            "tee_type": _TEE_TYPES[self.tee],
            **texts,
            **sizes,
        }
        return cast("QveCollateral", found)

    def to_documents(self) -> Documents:
        """
        Return it as thim's own verifier takes it
        (``thim.client.attest.QuoteCheck``).
        """
        return Documents(
            tcb_info=self.tcb_info,
            tcb_info_chain=self.tcb_info_issuer_chain,
            identity=self.qe_identity,
            identity_chain=self.qe_identity_issuer_chain,
            pck_crl=self.pck_crl,
            root_ca_crl=self.root_ca_crl,
        )

    def to_dcap_qvl(self) -> DcapQvlCollateral:
        """
        Return the arguments of ``dcap_qvl.QuoteCollateralV3``.
        """
        tcb_info = SignedJson.from_json(self.tcb_info)
        qe_identity = SignedJson.from_json(self.qe_identity)
        return DcapQvlCollateral(
            pck_crl_issuer_chain=self.pck_crl_issuer_chain.decode("ascii"),
            root_ca_crl=self.root_ca_crl,
            pck_crl=self.pck_crl,
            tcb_info_issuer_chain=self.tcb_info_issuer_chain.decode("ascii"),
            tcb_info=tcb_info.signed.decode("utf-8"),
            tcb_info_signature=tcb_info.signature,
            qe_identity_issuer_chain=self.qe_identity_issuer_chain.decode(
                "ascii"
            ),
            qe_identity=qe_identity.signed.decode("utf-8"),
            qe_identity_signature=qe_identity.signature,
        )


def collect(
    sources: Sources,
    fetcher: Fetcher,
    model: PlatformModel,
    *,
    with_qve_identity: bool,
) -> Steps[VerificationCollateral]:
    """
    Get what the verification of quotes from *model* needs.

    CRLs belong to no number.  The others are asked for again, past the cache,
    where their numbers differ: a baseline moves between two requests, or
    between what is kept and what is new.

    Raises:
        ClientError: One cannot be had, or their numbers differ each time.
    """
    numbered = _want_numbered(sources, model, with_qve=with_qve_identity)
    crls = [want_pck_crl(sources, model.ca), want_root_crl(sources)]
    pck_crl, root_crl, *found = yield from fetcher.fetch([*crls, *numbered])
    for _ in range(MOST_ROUNDS - 1):
        if _is_coherent(found):
            break
        yield Pause(_PAUSE)
        found = yield from fetcher.fetch(numbered, from_cache=False)
    _check_coherent(numbered, found)
    names = [each.what for each in (*crls, *numbered)]
    return _build(model, names, (pck_crl, root_crl, *found))


def _want_numbered(
    sources: Sources, model: PlatformModel, *, with_qve: bool
) -> list[Wanted[Part]]:
    kinds = [QUOTING_ENCLAVES[model.tee]]
    if with_qve:
        kinds.append(EnclaveKind.QVE)
    identities = [want_identity(sources, kind) for kind in kinds]
    return [want_tcb_info(sources, model), *identities]


def _is_coherent(parts: Sequence[Part]) -> bool:
    return len({(part.number, part.baseline) for part in parts}) == 1


def _check_coherent(
    wanted: Sequence[Wanted[Part]], parts: Sequence[Part]
) -> None:
    if not _is_coherent(parts):
        told = ", ".join(
            f"{w.what}: {p.number} ({p.baseline or 'no baseline'})"
            for w, p in zip(wanted, parts, strict=True)
        )
        msg = f"evaluation numbers differ, also when asked again: {told}"
        raise MixedCollateralError(msg)


def _build(
    model: PlatformModel, names: Sequence[str], parts: Sequence[Part]
) -> VerificationCollateral:
    pck_crl, root_crl, tcb_info, qe_identity, *more = parts
    qve = more[0] if more else None
    assert tcb_info.number is not None  # noqa: S101 - versions 2 and 3
    return VerificationCollateral(
        tee=model.tee,
        fmspc=model.fmspc,
        ca=model.ca,
        tcb_info=tcb_info.body,
        tcb_info_issuer_chain=tcb_info.issuer_chain,
        qe_identity=qe_identity.body,
        qe_identity_issuer_chain=qe_identity.issuer_chain,
        qve_identity=qve.body if qve else None,
        qve_identity_issuer_chain=qve.issuer_chain if qve else None,
        pck_crl=pck_crl.body,
        pck_crl_issuer_chain=pck_crl.issuer_chain,
        root_ca_crl=root_crl.body,
        tcb_evaluation_data_number=tcb_info.number,
        baseline=tcb_info.baseline,
        warnings=tuple(
            f"{name}: {warning}"
            for name, part in zip(names, parts, strict=True)
            for warning in part.got.warnings
        ),
        fetched=min(part.got.fetched for part in parts),
        expires=min(part.expires for part in parts),
        is_stale=any(part.got.is_stale for part in parts),
    )
