"""
What is asked of the simulated vendors, and how it shall be made.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum

from typing import Final

from thim.amd.tcb import ProductLine
from thim.intel.names import EnclaveKind, PckCa, Tee


class Route(enum.Enum):
    """What is asked for, by the name that faults and records use."""

    TCB = "tcb"
    IDENTITY = "identity"
    NUMBERS = "tcbevaluationdatanumbers"
    PCK_CRL = "pckcrl"
    ROOT_CA_CRL = "rootcacrl"
    ROOT_CA = "rootca"
    FMSPCS = "fmspcs"
    PCKCERT = "pckcert"
    PCKCERTS = "pckcerts"
    REGISTRATION = "registration"
    OLD = "old"
    OTHER = "other"
    VCEK = "vcek"
    VLEK = "vlek"
    AMD_CHAIN = "amd-chain"
    AMD_CRL = "amd-crl"


#: The names of those that AMD answers.
AMD_ROUTES: Final = tuple(
    route.value
    for route in (Route.VCEK, Route.VLEK, Route.AMD_CHAIN, Route.AMD_CRL)
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One document, as far as a request names it.

    *fmspc* is in the case in which it was asked for: Intel signs it so.
    *platform* is the name of a machine in the world, *chip* that of a chip.
    *is_vlek* tells AMD's two chains apart, and its two addresses of a CRL.
    """

    route: Route
    tee: Tee | None = None
    enclave: EnclaveKind | None = None
    ca: PckCa | None = None
    fmspc: str | None = None
    number: int | None = None
    platform: str | None = None
    product: ProductLine | None = None
    chip: str | None = None
    is_vlek: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    A document to be made.

    Attributes:
        target: Which one.
        at: The instant as of which it is made.
        shift: By how much later than regularly it is issued.
        seed: Whose keys sign it.
        chain_seed: Whose certificates go with it.
        longer: By how much it lives longer than others do.
        other_subject: Whether it is about another subject.
        other_number: Whether it is of another number.
        late_signer: Whether its signer was not valid yet when it was issued.
        broken_signature: Whether a bit of its signature is wrong.
        other_ppid: Whether it says another PPID of the machine.
        unavailable: Whether there are no PCK certificates or VCEKs to be had.
        other_tcb: Whether a VCEK is for another TCB.
        other_key: Whether a VCEK has another key than the chip.
        reissued: Whether a VCEK is issued now, though there is one already.
    """

    target: Target
    at: datetime.datetime
    seed: str
    chain_seed: str
    shift: datetime.timedelta = datetime.timedelta()
    longer: datetime.timedelta = datetime.timedelta()
    other_subject: bool = False
    other_number: bool = False
    late_signer: bool = False
    broken_signature: bool = False
    other_ppid: bool = False
    unavailable: bool = False
    other_tcb: bool = False
    other_key: bool = False
    reissued: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """
    A document: its bytes (CRLs and certificates in DER) and its issuer chain
    in PEM, where there is one.
    """

    body: bytes
    chain: bytes | None = None
