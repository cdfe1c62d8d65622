"""
Check a store's platforms again: each PCK certificate that is current, what is
written beside it, and which one answers.

Sealed secrets are not looked at: that takes the key.
"""

from __future__ import annotations

import contextlib
import datetime
import functools

from typing import TYPE_CHECKING, Final

from thim.collateral.intake import Intake
from thim.collateral.pck_intake import PckVerifier, parse_pck_pem
from thim.collateral.platforms import digest_floors, read_floors
from thim.errors import ThimError
from thim.intel.select import find_for, sort_by_floors
from thim.services.finding import Finding
from thim.store.numbers import SERIAL_MASK
from thim.store.pck import PckReader
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.collateral.platforms import HeldPck, Platform
    from thim.intel.pck import PckCertificate
    from thim.store.replica import Replica
    from thim.x509.chain import TrustAnchors

#: Whether a certificate had begun was asked when it came in.
_ANY_TIME: Final = datetime.datetime(9000, 1, 1, tzinfo=datetime.UTC)
_digest = functools.lru_cache(maxsize=64)(digest_floors)
_floors = functools.lru_cache(maxsize=64)(read_floors)


class PlatformAudit:
    """
    Checks the platforms in *replica*; *count* of them were looked at.
    """

    def __init__(self, replica: Replica, anchors: TrustAnchors) -> None:
        self.count = 0
        self._replica = replica
        self._reader = PckReader(replica)
        self._anchors = anchors
        self._verifiers: dict[bytes, PckVerifier] = {}

    def findings(self) -> Iterator[Finding]:
        """
        Check one platform after the other, each as it is at one instant.

        1. Its row, and those of its certificates, can be read.
        2. Each certificate verifies under the chain that is stored with it.
        3. What is written beside it is what it says; all are of one PPID, and
           of the platform's FMSPC and CA.
        4. For each raw TCB the answer is what Intel's algorithm selects, unless
           a new TCB info is still being worked in.
        """
        for row in self._reader.numbers():
            self.count += 1
            with self._snapshot():
                try:
                    yield from self._check(row)
                except ThimError as e:
                    yield _finding(str(row), e.reason, str(e))

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        self._replica.rows("BEGIN")
        try:
            yield
        finally:
            self._replica.rows("COMMIT")

    def _check(self, row: int) -> Iterator[Finding]:
        platform = self._reader.find_by_row(row)
        if platform is None:  # deleted by whoever does such things
            return
        name = f"{row} ({platform.id})"
        held = self._reader.certificates(platform)
        read = [self._verify(one) for one in held]
        for one, certificate in zip(held, read, strict=True):
            if _columns(one) != _expected(certificate):
                yield _finding(name, "column", f"certificate {one.row}")
        if len({certificate.ppid for certificate in read}) > 1:
            yield _finding(name, "ppid-conflict", "certificates of two PPIDs")
        about = {(one.fmspc, one.ca) for one in held}
        if held and (platform.fmspc, platform.ca) not in about:
            detail = "FMSPC and CA are not those of its certificates"
            yield _finding(name, "column", detail)
        yield from self._check_answers(name, platform, held)

    def _verify(self, held: HeldPck) -> PckCertificate:
        chain = held.issuer_chain
        if chain not in self._verifiers:
            self._verifiers[chain] = PckVerifier(
                Intake(
                    anchors=self._anchors,
                    known=parse_pem_chain(chain),
                    root_crl=None,
                    now=_ANY_TIME,
                )
            )
        certificate = parse_pck_pem(held.pem)
        return self._verifiers[chain].verify(certificate).certificate

    def _check_answers(
        self, name: str, platform: Platform, held: Sequence[HeldPck]
    ) -> Iterator[Finding]:
        newest = platform.fmspc and self._reader.find_tcb_info(platform.fmspc)
        if newest and not self._is_selected(platform, newest):
            return
        ordered = sort_by_floors(held, _floors(newest) if newest else ())
        for raw in platform.seen_raw_tcbs:
            best = find_for(ordered, raw)
            found = self._reader.find_answer(platform.id, raw)
            if (best and best.row) != (found and found.row):
                detail = (
                    f"at {raw.to_bytes().hex()}: certificate "
                    f"{found and found.row}, expected {best and best.row}"
                )
                yield _finding(name, "answer", detail)

    def _is_selected(self, platform: Platform, newest: bytes) -> bool:
        selected = self._reader.selections()
        return selected.get(platform.fmspc or b"") == _digest(newest)


def _columns(held: HeldPck) -> tuple[object, ...]:
    return held.fmspc, held.ca, held.tcbm, held.serial, held.not_after


def _expected(read: PckCertificate) -> tuple[object, ...]:
    serial = read.serial_number & SERIAL_MASK
    return read.fmspc, read.ca, read.tcbm, serial, read.not_after


def _finding(name: str, reason: str, detail: str) -> Finding:
    return Finding(record=f"platform {name}", reason=reason, detail=detail)
