"""
Take platforms in: what somebody brings of them, and their PCK certificates.

Certificates are verified; that they are those of this QE ID is not signed by
anybody.  So the first PPID that a QE ID is seen with counts: certificates with
another one are quarantined, not taken.  But what anybody at all had asked for
gives way to what somebody brings who may.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from thim.collateral.freshness import next_look
from thim.collateral.platforms import (
    Entry,
    KnownAs,
    NameKind,
    PckRecord,
    PlatformId,
    RegisteredBy,
    Voucher,
    digest_name,
)
from thim.collateral.records import Kind
from thim.collateral.targets import pck_target
from thim.errors import (
    ForbiddenError,
    MalformedError,
    OperatorError,
    ThimError,
    UntrustedError,
)
from thim.intel.pck import PckCertificate
from thim.services.door import Door
from thim.services.outcome import describe
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from thim.collateral.pck_intake import PckVerifier
    from thim.intel.pck import PckTcbm
    from thim.store.ledger import Ledger
    from thim.store.seal import Sealer


#: Why what anybody asked for is not taken.
MEANWHILE: Final = "registered-meanwhile"
#: Certificates that are another machine's.
PPID_CONFLICT: Final = "ppid-conflict"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """
    What somebody brings of a platform, nothing of it verified.

    *is_vouched* when it is somebody who may register platforms, not just
    anybody who asks; *is_registration* unless the vendor was asked again.

    *certificates* are all that the vendor has, if *is_complete*; a
    `PckRecord` was verified already.  *source* says where they come from, and
    *asked_by* by which of its secrets they were asked for, which are not kept
    for that.
    """

    id: PlatformId
    source: str
    raw_tcbs: tuple[PckTcbm, ...] = ()
    enc_ppid: bytes | None = dataclasses.field(default=None, repr=False)
    manifest: bytes | None = dataclasses.field(default=None, repr=False)
    certificates: tuple[Certificate | PckRecord, ...] = dataclasses.field(
        default=(), repr=False
    )
    is_complete: bool = False
    asked_by: Mapping[NameKind, bytes] = dataclasses.field(
        default_factory=dict, repr=False
    )
    is_vouched: bool = True
    is_registration: bool = True
    name: str | None = None
    labels: Mapping[str, str] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """
    What became of it: *row* is the platform's number in the store, None where
    it was refused, for *reason* and *detail*.  *is_new* where it was not known
    before.
    """

    id: PlatformId
    row: int | None = None
    is_new: bool = False
    reason: str | None = None
    detail: str | None = None


class Registrar:
    """
    Takes platforms into *ledger*, as of *now*; *sealer* seals manifests.
    """

    def __init__(
        self, ledger: Ledger, now: datetime, sealer: Sealer | None = None
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._sealer = sealer
        self._door = Door(ledger, now)
        self._verifier = self._door.pck_verifier()

    @property
    def verifier(self) -> PckVerifier:
        """
        Return what verifies certificates here.
        """
        return self._verifier

    def take(self, brought: Sequence[Brought]) -> list[Taken]:
        """
        Take each of *brought* in or refuse it by name; what one of them holds
        stops no other.

        Raises:
            OperatorError: The store cannot be written, or there is a manifest
                and no key to seal it with.
        """
        taken: list[Taken] = []
        for batch in _without_twins(brought):
            taken += self._take_batch(batch)
        return taken

    def _take_batch(self, batch: Sequence[Brought]) -> list[Taken]:
        # Nobody else says meanwhile what is known.
        with self._ledger.all_or_none():
            known = self._ledger.platforms.look_up([b.id for b in batch])
            judged = [self._judge(b, known.get(b.id)) for b in batch]
            entries = [one for one in judged if isinstance(one, Entry)]
            taken = self._enter(entries, known)
        entered = {one.id: one for one in taken}
        return [
            entered[one.id] if isinstance(one, Entry) else one for one in judged
        ]

    def _enter(
        self, entries: Sequence[Entry], known: Mapping[PlatformId, KnownAs]
    ) -> list[Taken]:
        if not entries:
            return []
        try:
            with self._ledger.all_or_none():
                rows = self._ledger.platforms.enter(entries, self._now)
                self._follow_up(entries, rows, known)
        except MalformedError as e:
            if len(entries) == 1:
                return [_refusal(entries[0].id, e)]
            middle = len(entries) // 2
            return [
                *self._enter(entries[:middle], known),
                *self._enter(entries[middle:], known),
            ]
        return [
            Taken(id=entry.id, row=row, is_new=entry.id not in known)
            for entry, row in zip(entries, rows, strict=True)
        ]

    def _follow_up(
        self,
        entries: Sequence[Entry],
        rows: Sequence[int],
        known: Mapping[PlatformId, KnownAs],
    ) -> None:
        """
        Settle who waited for certificates, and have them asked for: at once
        where there are none, and in a month where they have just been brought.
        """
        came = [
            row
            for entry, row in zip(entries, rows, strict=True)
            if entry.certificates
        ]
        self._ledger.registrations.settle(came, self._now)
        wanted = [e.id for e in entries if _is_wanting(e, known.get(e.id))]
        agenda = self._ledger.agenda
        agenda.hasten(map(pck_target, wanted), self._now)
        brought = [e for e in entries if e.certificates and e.is_registration]
        # They are kept fresh where a vendor can be asked.
        agenda.hasten(
            [pck_target(e.id) for e in brought if _is_askable(e)], self._now
        )
        agenda.reschedule(
            {pck_target(e.id): _next_look(e.id, self._now) for e in brought}
        )

    def _judge(self, brought: Brought, known: KnownAs | None) -> Entry | Taken:
        try:
            return self._make_entry(brought, known)
        except OperatorError:
            raise
        except ThimError as e:
            is_genuine = isinstance(e, ForbiddenError)
            if brought.certificates and not is_genuine:
                pem = b"".join(map(_pem, brought.certificates))
                self._door.quarantine(brought.source, e, pem)
            return _refusal(brought.id, e)

    def _make_entry(self, brought: Brought, known: KnownAs | None) -> Entry:
        _check_meanwhile(brought, known)
        records = tuple(map(self._verify, brought.certificates))
        _check_together(brought.id, records)
        is_other = bool(records) and _is_other(records[0], known)
        if is_other and not _outdoes(brought, known):
            msg = f"platform {brought.id}: known with another PPID"
            raise UntrustedError(msg, reason=PPID_CONFLICT)
        return Entry(
            id=brought.id,
            registered_by=_registered_by(brought),
            raw_tcbs=brought.raw_tcbs,
            enc_ppid=brought.enc_ppid,
            manifest=self._seal(brought),
            names=_name(brought),
            certificates=records,
            is_complete=brought.is_complete or is_other,
            is_vouched=brought.is_vouched,
            is_anew=_is_anew(
                brought, known, is_same=bool(records) and not is_other
            ),
            is_registration=brought.is_registration,
            name=brought.name,
            labels=brought.labels,
        )

    def _verify(self, certificate: Certificate | PckRecord) -> PckRecord:
        if isinstance(certificate, PckRecord):
            return certificate
        return self._verifier.verify(certificate)

    def _seal(self, brought: Brought) -> bytes | None:
        if brought.manifest is None:
            return None
        if self._sealer is None:
            msg = f"platform {brought.id}: no key to seal its manifest with"
            raise OperatorError(msg, reason="no-key")
        context = manifest_context(brought.id)
        return self._sealer.seal(brought.manifest, context)


def manifest_context(platform: PlatformId) -> bytes:
    """
    Say what a platform's manifest is sealed as.
    """
    return f"platform-manifest:{platform}".encode("ascii")


def _check_meanwhile(brought: Brought, known: KnownAs | None) -> None:
    """
    Check that nobody registered the platform while it was asked for because
    anybody wanted it: that was by what anybody sent along.
    """
    is_ours = known is not None and known.voucher > Voucher.ANYBODY
    if is_ours and not brought.is_vouched:
        msg = f"platform {brought.id}: it was registered meanwhile"
        raise ForbiddenError(msg, reason=MEANWHILE)


def _name(brought: Brought) -> dict[NameKind, bytes]:
    given = dict(brought.asked_by)
    if brought.is_vouched and brought.enc_ppid is not None:
        given[NameKind.ENCRYPTED_PPID] = brought.enc_ppid
    if brought.is_vouched and brought.manifest is not None:
        given[NameKind.MANIFEST] = brought.manifest
    pce_id = brought.id.pce_id
    return {
        kind: digest_name(kind, secret, pce_id)
        for kind, secret in given.items()
    }


def _pem(certificate: Certificate | PckRecord) -> bytes:
    if isinstance(certificate, PckRecord):
        return certificate.pem
    return certificate.public_bytes(Encoding.PEM)


def _registered_by(brought: Brought) -> RegisteredBy:
    if brought.manifest is not None:
        return RegisteredBy.MANIFEST
    if brought.enc_ppid is not None:
        return RegisteredBy.ENCRYPTED_PPID
    return RegisteredBy.CERTIFICATES


def _check_together(platform: PlatformId, records: Sequence[PckRecord]) -> None:
    """
    Check that *records* are of one machine.
    """
    certificates = [record.certificate for record in records]
    for certificate in certificates:
        if certificate.pce_id != platform.pce_id:
            msg = (
                f"platform {platform}: a certificate has the PCE ID "
                f"{certificate.pce_id.hex().upper()}"
            )
            raise MalformedError(msg, reason="pce-id")
    if len({certificate.ppid for certificate in certificates}) > 1:
        msg = f"platform {platform}: certificates of more than one PPID"
        raise UntrustedError(msg, reason=PPID_CONFLICT)
    if len({(one.fmspc, one.ca) for one in certificates}) > 1:
        msg = f"platform {platform}: certificates of more than one FMSPC or CA"
        raise MalformedError(msg, reason="fmspc-conflict")


def _is_other(record: PckRecord, known: KnownAs | None) -> bool:
    """Tell whether *record* is of another machine than is known."""
    if known is None or known.certificate in {None, record.pem}:
        return False
    leaf = parse_pem_chain(known.certificate or b"")[0]
    before = PckCertificate.from_certificate(leaf)
    return before.ppid != record.certificate.ppid


def _is_wanting(entry: Entry, known: KnownAs | None) -> bool:
    """
    Tell whether a vendor is to be asked for the certificates of *entry*, which
    somebody has just registered.
    """
    is_known = known is not None and known.certificate is not None
    has_some = bool(entry.certificates) or (is_known and not entry.is_anew)
    return _is_askable(entry) and not has_some


def _is_askable(entry: Entry) -> bool:
    """
    Tell whether *entry* is a registration, and has what a vendor is asked by.
    """
    is_ours = entry.is_vouched and entry.is_registration
    has_secret = entry.enc_ppid is not None or entry.manifest is not None
    return is_ours and has_secret


def _next_look(platform: PlatformId, now: datetime) -> datetime:
    # Those that were brought together are not all due together: a QE ID is as
    # good as drawn.
    draw = int.from_bytes(platform.qe_id[:4]) / 2**32
    return next_look(Kind.PCK_CERTIFICATES, None, now, draw)


def _is_anew(brought: Brought, known: KnownAs | None, *, is_same: bool) -> bool:
    """
    Tell whether what is known came from anybody, or is of a platform that was
    retired, and is to be forgotten: it may be another machine's, unless
    certificates tell that it *is_same*.
    """
    if known is None or is_same or not brought.is_vouched:
        return False
    is_back = known.is_retired and brought.is_registration
    return is_back or known.voucher is Voucher.ANYBODY


def _outdoes(brought: Brought, known: KnownAs | None) -> bool:
    """
    Tell whether *brought* counts more than what is known: that came from
    anybody, or is of a platform that was retired, and this from somebody who
    may.
    """
    if known is None or not brought.is_vouched:
        return brought.is_vouched
    is_back = known.is_retired and brought.is_registration
    return is_back or known.voucher < Voucher.PROVEN


def _refusal(platform: PlatformId, error: ThimError) -> Taken:
    return Taken(id=platform, reason=error.reason, detail=describe(error))


def _without_twins(brought: Sequence[Brought]) -> Iterable[list[Brought]]:
    """Cut into batches in which no platform comes twice."""
    batch: dict[PlatformId, Brought] = {}
    for one in brought:
        if one.id in batch:
            yield list(batch.values())
            batch = {}
        batch[one.id] = one
    if batch:
        yield list(batch.values())
