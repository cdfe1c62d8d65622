"""
The four documents that a quote is verified with, verified themselves.

They are verified once and then serve for as long as they are the newest: what
the clock may change about them is told by `Collateral.expired`.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from thim.errors import MalformedError
from thim.intel.authorities import Authority, authority_of
from thim.intel.evaluation import highest_first
from thim.intel.identity import EnclaveIdentity
from thim.intel.names import EnclaveKind, Tee
from thim.intel.signed import SignedJson, SignedKind, verify_signed
from thim.intel.steps import Step, at, fail
from thim.intel.tcb_info import TcbInfo, TdxModule
from thim.intel.tcb_table import TcbTable
from thim.x509.chain import (
    CLOCK_SKEW,
    parse_pem_chain,
    verify_unrevoked,
)
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography.x509 import Certificate

    from thim.intel.tcb import IsvLevel
    from thim.x509.chain import TrustAnchors

#: The reason where a document is of the future: the clock is wrong, or it is.
NOT_YET_ISSUED: Final = "not-yet-issued"
#: TDX modules by their version, each with its levels, highest first.
Modules: TypeAlias = "dict[int, tuple[TdxModule, tuple[IsvLevel, ...]]]"

#: The quoting enclave of each TEE.
QUOTING: Final = {Tee.SGX: EnclaveKind.QE, Tee.TDX: EnclaveKind.TD_QE}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """
    What a quote is verified with, as it comes from anywhere.

    Attributes:
        tcb_info: PCS's answer, JSON.
        tcb_info_chain: Its issuer chain, PEM: TCB Signing and root.
        identity: PCS's answer, JSON: of QE or TD QE.
        identity_chain: Its issuer chain.
        pck_crl: The list of the PCK CA, DER.
        root_ca_crl: The list of the root CA, DER.
    """

    tcb_info: bytes
    tcb_info_chain: bytes
    identity: bytes
    identity_chain: bytes
    pck_crl: bytes
    root_ca_crl: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """
    A document that decided a verdict.

    Attributes:
        name: ``tcb-info``, ``identity``, ``pck-crl`` or ``root-ca-crl``.
        sha256: Of its bytes.
        evaluation_number: The TCB evaluation data number; None for a CRL.
        issued: When it was issued.
        ends: Its next update, or the end of its issuer chain if that is
            earlier; still valid at that very instant, as in QVL.
        step: The step that it is verified in.
    """

    name: str
    sha256: bytes
    evaluation_number: int | None
    issued: datetime
    ends: datetime
    step: Step

    @property
    def is_crl(self) -> bool:
        """Whether it is a revocation list."""
        return self.evaluation_number is None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """
    Four documents of which each is genuine.

    The CRLs are proven by the chain of each quote: see ``thim.intel.verify``.

    Attributes:
        tcb_info: The TCB info.
        tcb_info_signed: The very bytes that Intel signed of it.
        table: Its levels.
        identity: The identity of the quoting enclave.
        identity_levels: Its levels, highest first.
        modules: The TDX modules by their version, each with its levels.
        pck_crl: The list of the PCK CA.
        root_ca_crl: The list of the root CA.
        used: What the four are, for a verdict.
        since: From when on they count: the last one's issue date, less what
            clocks may differ by.
        ends: When the first of them ends.
    """

    tcb_info: TcbInfo
    tcb_info_signed: bytes = dataclasses.field(repr=False)
    table: TcbTable = dataclasses.field(repr=False)
    identity: EnclaveIdentity
    identity_levels: tuple[IsvLevel, ...] = dataclasses.field(repr=False)
    modules: Modules = dataclasses.field(repr=False)
    pck_crl: Crl
    root_ca_crl: Crl
    used: tuple[Used, ...]
    since: datetime = dataclasses.field(init=False)
    ends: datetime = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        issued = max(used.issued for used in self.used)
        object.__setattr__(self, "since", issued - CLOCK_SKEW)
        object.__setattr__(self, "ends", min(used.ends for used in self.used))

    @classmethod
    def from_documents(
        cls, documents: Documents, *, anchors: TrustAnchors
    ) -> Collateral:
        """
        Verify *documents*, each signed one as of its own issue date.

        Raises:
            StepError: A document is not what it should be (steps 3 to 6).
        """
        with at(Step.CRLS):
            root_ca_crl = Crl.from_der(documents.root_ca_crl)
            pck_crl = Crl.from_der(documents.pck_crl)
        info = _Signed(
            "tcb-info",
            Step.TCB_INFO,
            SignedKind.TCB_INFO,
            documents.tcb_info,
            documents.tcb_info_chain,
        )
        tcb_info, signed, used_info = info.verify(
            _read_tcb_info, root_ca_crl, anchors
        )
        document = _Signed(
            "identity",
            Step.IDENTITY,
            SignedKind.ENCLAVE_IDENTITY,
            documents.identity,
            documents.identity_chain,
        )
        identity, _, used_identity = document.verify(
            EnclaveIdentity.from_json, root_ca_crl, anchors
        )
        _verify_kind(identity, tcb_info.tee)
        return cls(
            tcb_info=tcb_info,
            tcb_info_signed=signed,
            table=TcbTable(tcb_info.levels),
            identity=identity,
            identity_levels=highest_first(identity.levels),
            modules=list_modules(tcb_info),
            pck_crl=pck_crl,
            root_ca_crl=root_ca_crl,
            used=(
                used_info,
                used_identity,
                _use_crl("pck-crl", pck_crl),
                _use_crl("root-ca-crl", root_ca_crl),
            ),
        )

    @property
    def tee(self) -> Tee:
        """What the TCB info is for."""
        return self.tcb_info.tee

    @property
    def evaluation_number(self) -> int | None:
        """The TCB info's TCB evaluation data number."""
        return self.tcb_info.tcb_evaluation_data_number

    def module_levels(self, version: int) -> tuple[IsvLevel, ...]:
        """
        Return the levels of the TDX module of *version*, highest first.
        """
        found = self.modules.get(version)
        return found[1] if found else ()

    def expired(self, now: datetime) -> tuple[Used, ...]:
        """
        Return which of the documents are past their end at *now*.
        """
        return tuple(used for used in self.used if now > used.ends)

    def verify_issued(self, now: datetime) -> None:
        """
        Verify that none of the documents is of the future, as far as clocks
        agree.

        Raises:
            StepError: One is.
        """
        if now >= self.since:
            return
        for used in self.used:
            if used.issued > now + CLOCK_SKEW:
                issued = f"{used.issued:%FT%TZ}"
                msg = f"{used.name} is of {issued}, after {now:%FT%TZ}"
                raise fail(used.step, NOT_YET_ISSUED, msg, used.name, issued)


_Read = TypeVar("_Read", TcbInfo, EnclaveIdentity)


class _Signed(NamedTuple):
    """A signed document as it came."""

    name: str
    step: Step
    kind: SignedKind
    body: bytes
    chain: bytes

    def verify(
        self,
        parse: Callable[[bytes], _Read],
        root_ca_crl: Crl,
        anchors: TrustAnchors,
    ) -> tuple[_Read, bytes, Used]:
        """
        Verify the document as of its own issue date; return what it says, the
        bytes that Intel signed, and what it is.
        """
        with at(self.step):
            document = SignedJson.from_json(self.body)
            if document.kind is not self.kind:
                msg = f"{document.kind.value}, expected {self.kind.value}"
                raise MalformedError(msg, reason="kind")
            read = parse(document.signed)
            issued = read.issue_date
            chain = _in_order(parse_pem_chain(self.chain))
            verify_signed(
                document, chain, anchors=anchors, at=issued, root_crl=None
            )
            with at(Step.CRLS):
                root_ca_crl.verify(chain[-1])
            verify_unrevoked(chain, root_ca_crl)
        ends = [each.not_valid_after_utc for each in chain]
        used = Used(
            name=self.name,
            sha256=hashlib.sha256(self.body).digest(),
            evaluation_number=read.tcb_evaluation_data_number,
            issued=issued,
            ends=min(_next_update(read), *ends),
            step=self.step,
        )
        return read, document.signed, used


def _next_update(read: TcbInfo | EnclaveIdentity) -> datetime:
    return read.next_update or read.issue_date


def _read_tcb_info(signed: bytes) -> TcbInfo:
    tcb_info = TcbInfo.from_json(signed)
    if tcb_info.next_update is None:
        msg = "tcbInfo version is 1, expected 2 or 3"
        raise MalformedError(msg, reason="version")
    return tcb_info


def _verify_kind(identity: EnclaveIdentity, tee: Tee) -> None:
    """Take step D9 of QVL, which is the same for all quotes of a TEE."""
    kind = QUOTING[tee]
    if identity.kind is not kind:
        raise fail(
            Step.QE_IDENTITY,
            "qe-id",
            f"the identity is that of {identity.kind.value}, for "
            f"{tee.value} it must be that of {kind.value}",
            "QE identity id",
            identity.kind.value,
            kind.value,
        )


def _in_order(chain: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    return tuple(
        sorted(chain, key=lambda each: authority_of(each) is Authority.ROOT)
    )


def _use_crl(name: str, crl: Crl) -> Used:
    return Used(
        name=name,
        sha256=hashlib.sha256(crl.der).digest(),
        evaluation_number=None,
        issued=crl.this_update,
        ends=crl.next_update,
        step=Step.CRLS,
    )


def list_modules(tcb_info: TcbInfo) -> Modules:
    """
    Return the TDX modules by their version, and their levels.
    """
    if tcb_info.tdx_module is None:
        return {}
    versions = {f"TDX_{version:02X}": version for version in range(1, 0x100)}
    found: Modules = {0: (tcb_info.tdx_module, ())}
    for module in tcb_info.tdx_module_identities:
        version = versions.get(module.id.upper())
        if version is not None and version not in found:
            found[version] = module, highest_first(module.levels)
    return found
