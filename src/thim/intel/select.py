"""
Which PCK certificate a platform gets for its TCB: Intel's selection.

A platform has one certificate for each TCB that Intel has ranked; it needs the
best one that its raw TCB reaches, for its quotes are signed with a key that is
derived from that very TCB.  The rules are those of Intel's C++ library
(``PCKCertSelectionLib/pck_sorter.cpp``), not those of PCCS, which inserts too
early and can so answer with a lower TCB.

Sorting depends on the certificates and the TCB info alone.  Whoever has many
raw TCBs of one platform sorts once and finds often; platforms with equal
``tcbm`` in equal order have equal orders.
"""

from __future__ import annotations

import itertools

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from thim.errors import MalformedError
from thim.intel.names import Tee
from thim.intel.pck import PckCertificate, PckTcbm
from thim.intel.tcb_info import TcbInfo


class HasTcbm(Protocol):
    """
    A PCK certificate, or what stands for one: all that selection looks at.
    """

    @property
    def tcbm(self) -> PckTcbm:
        """The TCB that the certificate was made for."""


C = TypeVar("C", bound=HasTcbm)


def select_pck_certificate(
    certificates: Sequence[PckCertificate],
    raw_tcb: PckTcbm,
    *,
    pce_id: bytes,
    tcb_info: TcbInfo,
) -> PckCertificate | None:
    """
    Select the certificate of a platform at *raw_tcb*, None if none fits.

    Args:
        certificates: All of one platform, in the order in which Intel gave
            them: it matters among those that cannot be compared.
        raw_tcb: The platform's own TCB.
        pce_id: The PCE that was asked for, 2 bytes.
        tcb_info: The SGX TCB info of the platform's FMSPC.

    Raises:
        MalformedError: The arguments do not belong together; the reasons are
            those of *check_certificates*.
        ValueError: The TCB info is one of TDX.
    """
    check_certificates(certificates, pce_id=pce_id, tcb_info=tcb_info)
    return find_for(sort_certificates(certificates, tcb_info), raw_tcb)


def check_certificates(
    certificates: Sequence[PckCertificate],
    *,
    pce_id: bytes,
    tcb_info: TcbInfo,
) -> None:
    """
    Check that *certificates* are one platform's, and *tcb_info* is for it.

    Raises:
        MalformedError: With the reason ``version``, ``tcb-levels`` or
            ``tcb-info-pce-id`` for the TCB info; ``certificate-pce-id``,
            ``certificate-fmspc`` or ``certificate-ppid`` for a certificate.
    """
    _check_tcb_info(tcb_info, pce_id)
    for i, certificate in enumerate(certificates, 1):
        what = f"PCK certificate {i} of {len(certificates)}"
        _check_equal(certificate.pce_id, pce_id, what, "pce-id")
        _check_equal(certificate.fmspc, tcb_info.fmspc, what, "fmspc")
        if certificate.ppid != certificates[0].ppid:
            msg = f"{what} has another PPID than the first"
            raise MalformedError(msg, reason="certificate-ppid")


def _check_tcb_info(tcb_info: TcbInfo, pce_id: bytes) -> None:
    if tcb_info.pce_id is None:
        msg = f"tcbInfo version is {tcb_info.version}, expected 2 or 3"
        raise MalformedError(msg, reason="version")
    if not tcb_info.levels:
        msg = "tcbLevels is empty"
        raise MalformedError(msg, reason="tcb-levels")
    if tcb_info.pce_id != pce_id:
        msg = f"tcbInfo pceId is {_hex(tcb_info.pce_id)}, not {_hex(pce_id)}"
        raise MalformedError(msg, reason="tcb-info-pce-id")


def _check_equal(found: bytes, expected: bytes, what: str, field: str) -> None:
    if found != expected:
        msg = f"{what}: {field} is {_hex(found)}, expected {_hex(expected)}"
        raise MalformedError(msg, reason=f"certificate-{field}")


def _hex(value: bytes) -> str:
    return value.hex().upper()


def sort_certificates(
    certificates: Iterable[C], tcb_info: TcbInfo
) -> tuple[C, ...]:
    """
    Put *certificates* into the order in which *find_for* tries them.

    1. Each one goes, in the order given, to the first TCB level that it
       reaches; a level that it cannot be compared with is passed over.  The
       TCB info's own order of levels is kept.
    2. Within the level it is put before the first one that it reaches, at
       that one's position among all, or else at the end.
    3. The levels follow one another; those that reach none come last.

    Raises:
        ValueError: The TCB info is one of TDX: its levels ask for more than
            a certificate has.
    """
    return sort_by_floors(certificates, list_floors(tcb_info))


def list_floors(tcb_info: TcbInfo) -> tuple[PckTcbm, ...]:
    """
    List what the levels of *tcb_info* ask for, in its order.

    Raises:
        ValueError: The TCB info is one of TDX.
    """
    if tcb_info.tee is not Tee.SGX:
        msg = f"PCK certificates are not selected by {tcb_info.tee.name}"
        raise ValueError(msg)
    return tuple(
        PckTcbm(cpusvn=level.tcb.sgx, pcesvn=level.tcb.pcesvn)
        for level in tcb_info.levels
    )


def sort_by_floors(
    certificates: Iterable[C], floors: Sequence[PckTcbm]
) -> tuple[C, ...]:
    """
    Do what *sort_certificates* does, for levels that ask for *floors*.
    """
    buckets: list[list[C]] = [[] for _ in (*floors, None)]
    for certificate in certificates:
        bucket = buckets[_first_met(certificate.tcbm, floors)]
        position = _first_met(certificate.tcbm, [c.tcbm for c in bucket])
        bucket.insert(position, certificate)
    return tuple(itertools.chain.from_iterable(buckets))


def _first_met(tcbm: PckTcbm, floors: Sequence[PckTcbm]) -> int:
    for i, floor in enumerate(floors):
        if tcbm.meets(floor):
            return i
    return len(floors)


def find_for(ordered: Iterable[C], raw_tcb: PckTcbm) -> C | None:
    """
    Return the first of *ordered*, sorted certificates, that *raw_tcb* reaches.
    """
    return next((c for c in ordered if raw_tcb.meets(c.tcbm)), None)
