"""
What the upper floors ask of a store.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Protocol, TypeVar


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from thim.amd.authorities import KeyKind
    from thim.amd.tcb import ProductLine
    from thim.collateral.records import CollateralKey
    from thim.intel.names import Tee, Update


T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """
    A record as it is read back for serving.

    *issuer_chain* is PEM; *fetched* is when these bytes reached us.
    """

    key: CollateralKey
    evaluation_number: int | None
    body: bytes
    issuer_chain: bytes
    issued: datetime
    next_update: datetime | None
    sha256: bytes
    fetched: datetime


class CollateralReader(Protocol):
    """
    Reads verified collateral; never waits for anything but the local disk.

    Inside ``snapshot`` all answers are of one generation.  A document whose
    signer is revoked by the newest root CRL is not found.
    """

    def snapshot(self) -> AbstractContextManager[None]:
        """
        Hold the store still for the reads inside.
        """

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """
        Return what *make* makes, made once in each generation of the store.
        """

    def find(
        self,
        key: CollateralKey,
        number: int | None = None,
        at: datetime | None = None,
    ) -> Held | None:
        """
        Find the head of *key* and *number*, or what was current at *at*.
        """

    def begin(
        self, key: CollateralKey, number: int | None = None
    ) -> datetime | None:
        """
        Return the first issue date that the archive has.
        """

    def numbers(self, at: datetime | None = None) -> frozenset[int]:
        """
        Return each evaluation number of which some document is archived.
        """

    def channels(self, at: datetime | None = None) -> Mapping[Update, int]:
        """
        Return what the vendor's channels were last seen to point to.
        """

    def fmspcs(self, at: datetime | None = None) -> Sequence[tuple[str, Tee]]:
        """
        Return each FMSPC (upper-case hex) and TEE with a verified TCB info.
        """

    def platform_fmspcs(self) -> Sequence[str]:
        """
        Return each FMSPC (upper-case hex) that a known platform has.
        """

    def amd_chains(self) -> Collection[tuple[KeyKind, ProductLine]]:
        """
        Return of which keys and product lines there is a chain of AMD's.
        """

    def awaited_products(self) -> Collection[ProductLine]:
        """
        Return the product lines of the VCEKs that are waited for.
        """
