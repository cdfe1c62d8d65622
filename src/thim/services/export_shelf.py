"""
What an archive answers with today, gathered to be written out in the layout of
another program.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final, TypeVar

from thim.amd.authorities import KeyKind
from thim.amd.tcb import ProductLine
from thim.baseline.select import Wish
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key
from thim.collateral.records import (
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.errors import ForbiddenError, NotFoundError, ParameterError
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.services.landscape import read_landscape
from thim.services.serve import Query, find_answer, list_fmspcs


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from thim.collateral.ports import Held
    from thim.collateral.records import CollateralKey
    from thim.services.reader import Reader

_T = TypeVar("_T")
#: As Intel's v4 has TCB infos.
_STRUCTURE: Final = 3
STANDARD: Final = "standard"
EARLY: Final = "early"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """
    Documents by what they are asked for with.

    Those of an evaluation number stand under ``standard`` (what answers who
    asks for nothing), ``early``, and each number that may be asked for.
    """

    tcb_infos: Mapping[tuple[Tee, str, str], Held]
    identities: Mapping[tuple[EnclaveKind, str], Held]
    pck_crls: Mapping[PckCa, Held]
    root_crl: Held | None
    numbers: Mapping[Tee, Held]
    chains: Mapping[tuple[KeyKind, ProductLine], Held]
    crls: Mapping[tuple[KeyKind, ProductLine], Held]

    @property
    def fmspcs(self) -> list[str]:
        """The FMSPCs of which there is a TCB info, each once."""
        return sorted({fmspc for _, fmspc, _ in self.tcb_infos})


def gather(
    reader: Reader, tenant: str, baseline: str | None, now: datetime
) -> Shelf:
    """
    Gather what *tenant* gets at *now*, by its own baseline or by another.

    Raises:
        NotFoundError: Nothing is known of the tenant or the baseline.
        ForbiddenError: The tenant may ask for no other baseline.
    """
    wish = Wish(tenant=tenant, baseline=baseline)
    with_fmspcs = list_fmspcs(reader, wish, None, now)
    known = sorted(read_landscape(reader).known)
    wishes = {
        STANDARD: wish,
        EARLY: dataclasses.replace(wish, update=Update.EARLY),
        **{str(n): dataclasses.replace(wish, number=n) for n in known},
    }
    find = _Finder(reader, wish, now)
    tcb_infos = {
        (tee, fmspc, which): held
        for fmspc, tee in with_fmspcs
        for which, each in wishes.items()
        if (held := find.find(_tcb_key(tee, fmspc), each))
    }
    identities = {
        (kind, which): held
        for kind in EnclaveKind
        for which, each in wishes.items()
        if (held := find.find(identity_key(kind), each))
    }
    lines = [(kind, product) for kind in KeyKind for product in ProductLine]
    return Shelf(
        tcb_infos=tcb_infos,
        identities=identities,
        pck_crls=dict(find.each((ca, pck_crl_key(ca)) for ca in PckCa)),
        root_crl=find.find(ROOT_CA_CRL, wish),
        numbers=dict(find.each((tee, numbers_key(tee)) for tee in Tee)),
        chains=dict(find.each((n, cert_chain_key(*n)) for n in lines)),
        crls=dict(find.each((n, amd_crl_key(*n)) for n in lines)),
    )


def _tcb_key(tee: Tee, fmspc: str) -> CollateralKey:
    return tcb_info_key(tee, bytes.fromhex(fmspc), _STRUCTURE)


class _Finder:
    def __init__(self, reader: Reader, wish: Wish, now: datetime) -> None:
        self._reader = reader
        self._wish = wish
        self._now = now

    def find(self, key: CollateralKey, wish: Wish) -> Held | None:
        query = Query(keys=(key,), wish=wish)
        try:
            return find_answer(self._reader, query, self._now).held
        except (NotFoundError, ForbiddenError, ParameterError):
            return None

    def each(
        self, names: Iterator[tuple[_T, CollateralKey]]
    ) -> Iterator[tuple[_T, Held]]:
        for name, key in names:
            if held := self.find(key, self._wish):
                yield name, held
