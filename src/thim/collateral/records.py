"""
The one kind of thing that thim keeps: a verified document of a vendor.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib

from typing import TYPE_CHECKING, Final

from thim.intel.names import EnclaveKind, PckCa, Tee


if TYPE_CHECKING:
    from datetime import datetime

INTEL: Final = "intel"
AMD: Final = "amd"


class Kind(enum.Enum):
    """What kind of collateral a record is."""

    TCB_INFO = "tcb-info"
    IDENTITY = "identity"
    PCK_CRL = "pck-crl"
    ROOT_CA_CRL = "root-ca-crl"
    TCB_EVALUATION_DATA_NUMBERS = "tcb-evaluation-data-numbers"
    #: The vendor's unsigned list: a hint of what to ask for, never a record.
    FMSPCS = "fmspcs"
    #: All PCK certificates of a platform: kept with it, never as a record.
    PCK_CERTIFICATES = "pck-certificates"
    #: AMD: an ASK or ASVK, and the ARK behind it.
    CERT_CHAIN = "cert-chain"
    #: AMD: the ARK's revocation list, as it is published for VCEKs or VLEKs.
    CRL = "crl"
    #: AMD: a chip's key at a TCB: kept by its name, never as a record.
    VCEK = "vcek"
    #: AMD: a provider's key at a TCB, kept as those are.
    VLEK = "vlek"


_HEX_KINDS: Final = frozenset({Kind.VCEK, Kind.VLEK})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CollateralKey:
    """
    The name of a document through all its versions.

    *subject* says whose document it is (``sgx:00906ED50000``, ``td-qe``,
    ``platform``), *structure* the version of its layout, 0 where there is but
    one.
    """

    kind: Kind
    subject: str
    structure: int = 0
    vendor: str = INTEL

    def __str__(self) -> str:
        return (
            f"{self.vendor}/{self.kind.value}/{self.subject}/{self.structure}"
        )

    @classmethod
    def from_name(cls, name: str) -> CollateralKey:
        """
        Read a key as it is written, an FMSPC or a chip in either case.

        Raises:
            ValueError: Not VENDOR/KIND/SUBJECT/STRUCTURE.
        """
        vendor, kind, subject, structure = name.split("/")
        first, colon, rest = subject.partition(":")
        is_hex = vendor == INTEL or Kind(kind) in _HEX_KINDS
        return cls(
            vendor=vendor,
            kind=Kind(kind),
            subject=f"{first}{colon}{rest.upper() if is_hex else rest}",
            structure=int(structure),
        )


def tcb_info_key(tee: Tee, fmspc: bytes, structure: int) -> CollateralKey:
    """
    Name the TCB info of *fmspc* (6 bytes) in the layout *structure*.
    """
    return CollateralKey(
        kind=Kind.TCB_INFO,
        subject=f"{tee.value.lower()}:{fmspc.hex().upper()}",
        structure=structure,
    )


def identity_key(kind: EnclaveKind) -> CollateralKey:
    """
    Name the identity of an enclave.
    """
    subject = kind.value.lower().replace("_", "-")
    return CollateralKey(kind=Kind.IDENTITY, subject=subject, structure=2)


def pck_crl_key(ca: PckCa) -> CollateralKey:
    """
    Name the revocation list of a PCK CA.
    """
    return CollateralKey(kind=Kind.PCK_CRL, subject=ca.value)


ROOT_CA_CRL: Final = CollateralKey(kind=Kind.ROOT_CA_CRL, subject="root")


def numbers_key(tee: Tee) -> CollateralKey:
    """
    Name the list of TCB evaluation data numbers of *tee*.
    """
    return CollateralKey(
        kind=Kind.TCB_EVALUATION_DATA_NUMBERS,
        subject=tee.value.lower(),
        structure=1,
    )


FMSPCS: Final = CollateralKey(kind=Kind.FMSPCS, subject="all")


def pck_certificates_key(qe_id: bytes, pce_id: bytes) -> CollateralKey:
    """
    Name the PCK certificates of a platform.
    """
    subject = f"{qe_id.hex().upper()}:{pce_id.hex().upper()}"
    return CollateralKey(kind=Kind.PCK_CERTIFICATES, subject=subject)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """
    What decides between two versions of one document.

    *signed_sha256* is the digest of the bytes that the vendor signed: the
    envelope around them, and a second valid signature, make no new document.
    """

    issued: datetime
    signed_sha256: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    A verified document: its very bytes, its chain, and where it came from.

    *body* is what the vendor sent (a CRL as DER), *issuer_chain* PEM from the
    signer to the root.  *evaluation_number* is None for kinds that have none.
    """

    key: CollateralKey
    evaluation_number: int | None
    body: bytes
    issuer_chain: bytes
    issued: datetime
    next_update: datetime | None
    signed_sha256: bytes
    source: str
    fetched: datetime
    verified: datetime

    @property
    def sha256(self) -> bytes:
        """
        The record's address: the SHA-256 digest of its body.
        """
        return hashlib.sha256(self.body).digest()

    @property
    def stamp(self) -> Stamp:
        """
        What decides between this record and another version.
        """
        return Stamp(issued=self.issued, signed_sha256=self.signed_sha256)

    @property
    def is_archive_only(self) -> bool:
        """
        Whether this may never be a head: a TCB info of version 1 names no
        evaluation number, so it belongs to no set that could be served.
        """
        return self.key.kind is Kind.TCB_INFO and (
            self.evaluation_number is None
        )
