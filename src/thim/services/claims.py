"""
What PCCS's administration tool brings, and what each part of it is said to be.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.x509 import Certificate

    from thim.collateral.platforms import PlatformId
    from thim.collateral.records import CollateralKey
    from thim.intel.pck import PckTcbm


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DocumentClaim:
    """
    A document, and which it is said to be: one of *expected*.

    *what* is its place in the upload, *forms* how it may have been written
    when it was signed: the first that holds is kept.
    """

    what: str
    forms: tuple[bytes, ...]
    expected: frozenset[CollateralKey]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CrlClaim:
    """
    A revocation list (DER), and which it is said to be.
    """

    what: str
    der: bytes
    expected: CollateralKey


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckClaim:
    """
    A PCK certificate, and what it is said to be for: *tcbm* (18 bytes) and
    *tcb*, Intel's names of components and their values.
    """

    what: str
    certificate: Certificate
    tcbm: bytes
    tcb: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformClaim:
    """
    A platform with all its PCK certificates.
    """

    what: str
    id: PlatformId
    certificates: tuple[PckClaim, ...]
    raw_tcbs: tuple[PckTcbm, ...] = ()
    enc_ppid: bytes | None = dataclasses.field(default=None, repr=False)
    manifest: bytes | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """
    All that is brought at once, nothing of it verified.

    *fmspcs* are those (6 bytes) of which it has an SGX TCB info.
    """

    certificates: tuple[Certificate, ...]
    crls: tuple[CrlClaim, ...]
    documents: tuple[DocumentClaim, ...]
    platforms: tuple[PlatformClaim, ...]
    fmspcs: frozenset[bytes]

    def __str__(self) -> str:
        certificates = sum(len(p.certificates) for p in self.platforms)
        return (
            f"{len(self.documents)} documents, {len(self.crls)} CRLs, "
            f"{len(self.platforms)} platforms with {certificates} PCK "
            f"certificates"
        )
