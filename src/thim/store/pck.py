"""
The replica's PCK certificates and platforms: what a node answers from.
"""

from __future__ import annotations

import dataclasses
import json

from typing import TYPE_CHECKING, Any, Final

from thim.collateral.platforms import (
    HeldPck,
    Platform,
    PlatformId,
    RegisteredBy,
    Voucher,
    read_floors,
)
from thim.intel.names import PckCa
from thim.intel.pck import PckTcbm
from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored
from thim.store.numbers import PLACES, answer_key, split_raw_tcbs
from thim.store.packing import Packer


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from thim.store.replica import Replica

_CERTIFICATE: Final = """
    c.id, c.family_id, c.tcbm, c.serial, c.not_after, c.is_revoked,
    c.dictionary_id, c.body
"""
_ANSWER: Final = f"""
    SELECT a.digest, {_CERTIFICATE}
      FROM pck_answers a JOIN pck_certificates c ON c.id = a.certificate_id
     WHERE a.key = ?
"""  # noqa: S608 - constants only
#: What the fast path reads: an answer that needs no more to be said than all
#: others of its family, and will not soon.
PLAIN_ANSWER: Final = """
    SELECT c.id, c.family_id, c.tcbm, c.serial, c.dictionary_id, c.body
      FROM pck_answers a JOIN pck_certificates c ON c.id = a.certificate_id
     WHERE a.key = ? AND a.digest = ? AND c.not_after > ? AND c.is_revoked = 0
"""
_CERTIFICATES: Final = f"""
    SELECT {_CERTIFICATE}
      FROM pck_certificates c
     WHERE c.id >= ? AND c.id < ? AND c.is_current = 1
     ORDER BY c.id
"""  # noqa: S608
_FAMILIES: Final = """
    SELECT f.id, f.fmspc, f.ca, i.pem, i.revoked
      FROM pck_families f JOIN issuer_chains i ON i.id = f.chain_id
"""
_DICTIONARIES: Final = "SELECT id, body FROM dictionaries"
#: What `read_platform` reads.
PLATFORM_COLUMNS: Final = """
    id, qe_id, pce_id, registered_by, registered, raw_tcbs,
    (SELECT n.raw_tcbs FROM noted_raw_tcbs n WHERE n.platform_id = id),
    voucher, fmspc,
    ca, cached_keys, name, labels, looked, last_seen, retired, replaced_by
"""
_PLATFORM: Final = f"""
    SELECT {PLATFORM_COLUMNS} FROM platforms WHERE qe_id = ? AND pce_id = ?
"""  # noqa: S608
_PLATFORM_BY_NAME: Final = f"""
    SELECT {PLATFORM_COLUMNS} FROM platforms WHERE name = ?
"""  # noqa: S608
_PLATFORMS: Final = f"""
    SELECT {PLATFORM_COLUMNS} FROM platforms
     WHERE id > ? ORDER BY id LIMIT ?
"""  # noqa: S608
_NUMBERS: Final = "SELECT id FROM platforms WHERE id > ? ORDER BY id LIMIT ?"
_PLATFORM_BY_ROW: Final = f"""
    SELECT {PLATFORM_COLUMNS} FROM platforms WHERE id = ?
"""  # noqa: S608
_PLATFORMS_BY_QE_ID: Final = f"""
    SELECT {PLATFORM_COLUMNS} FROM platforms WHERE qe_id = ? ORDER BY id
"""  # noqa: S608
_SELECTED: Final = f"""
    SELECT {PLATFORM_COLUMNS} FROM platforms
     WHERE id > ?1 AND (retired IS NOT NULL) = ?2
       AND (?3 IS NULL OR fmspc = ?3)
       AND (?4 IS NULL OR coalesce(last_seen, registered) < ?4)
     ORDER BY id LIMIT ?5
"""  # noqa: S608
_SECRETS: Final = """
    SELECT enc_ppid IS NOT NULL, manifest IS NOT NULL
      FROM platform_secrets WHERE platform_id = ?
"""
_STRANGERS: Final = """
    SELECT qe_id, pce_id, first_seen, last_seen, count
      FROM strangers s
     WHERE NOT EXISTS (SELECT 1 FROM platforms p
                        WHERE p.qe_id = s.qe_id AND p.pce_id = s.pce_id)
     ORDER BY last_seen DESC, qe_id, pce_id
"""
_SELECTIONS: Final = "SELECT fmspc, floors FROM pck_selections"
_TCB_INFO: Final = """
    SELECT r.body
      FROM heads h
      JOIN series s ON s.id = h.series_id
      JOIN records r ON r.id = h.record_id
     WHERE s.vendor = 'intel' AND s.kind = 'tcb-info' AND s.subject = ?
       AND s.structure IN (2, 3)
     ORDER BY s.evaluation_number DESC, s.structure DESC LIMIT 1
"""
_PAGE: Final = 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """
    What many PCK certificates have in common.

    *issuer_chain* is PEM; *is_revoked* when the root CRL lists a CA in it.
    """

    fmspc: bytes
    ca: PckCa
    issuer_chain: bytes
    is_revoked: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """
    Who asks for a PCK certificate and is not known here.
    """

    id: PlatformId
    first_seen: datetime
    last_seen: datetime
    count: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    Which platforms are listed: retired ones or those in service; of one
    FMSPC; with these labels; who did not ask since *unseen_since*, and did
    not register since then either.
    """

    is_retired: bool = False
    fmspc: bytes | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unseen_since: datetime | None = None

    def has(self, platform: Platform) -> bool:
        """
        Tell whether *platform* has the labels.
        """
        return self.labels.items() <= platform.labels.items()


class PckReader:
    """
    Reads platforms and their PCK certificates from *replica*.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def find_answer(
        self, platform: PlatformId, raw_tcb: PckTcbm
    ) -> HeldPck | None:
        """
        Find the certificate that was selected for a platform at *raw_tcb*.
        """
        key, digest = answer_key(
            platform.qe_id, platform.pce_id, raw_tcb.to_bytes()
        )
        row = self._replica.first(_ANSWER, (key,))
        if not row or row[0] != digest:
            return None
        return self._held(row[1:])

    def find_platform(self, platform: PlatformId) -> Platform | None:
        """
        Find a platform by how it is asked for.
        """
        row = self._replica.first(_PLATFORM, (platform.qe_id, platform.pce_id))
        return read_platform(row) if row else None

    def find_by_name(self, name: str) -> Platform | None:
        """
        Find a platform by its name.
        """
        row = self._replica.first(_PLATFORM_BY_NAME, (name,))
        return read_platform(row) if row else None

    def platforms(self) -> Iterator[Platform]:
        """
        Go through all platforms, a page at a time.
        """
        last = 0
        while page := self._replica.rows(_PLATFORMS, (last, _PAGE)):
            yield from map(read_platform, page)
            last = page[-1][0]

    def numbers(self) -> Iterator[int]:
        """
        Go through the numbers of all platforms, a page at a time.
        """
        last = 0
        while page := self._replica.rows(_NUMBERS, (last, _PAGE)):
            yield from (row for (row,) in page)
            last = page[-1][0]

    def find_by_row(self, row: int) -> Platform | None:
        """
        Find a platform by its number.
        """
        found = self._replica.first(_PLATFORM_BY_ROW, (row,))
        return read_platform(found) if found else None

    def find_by_qe_id(self, qe_id: bytes) -> Sequence[Platform]:
        """
        Find the platforms with a QE ID (16 bytes), one for each PCE ID.
        """
        return [
            read_platform(row)
            for row in self._replica.rows(_PLATFORMS_BY_QE_ID, (qe_id,))
        ]

    def select(self, wanted: Wanted) -> Iterator[Platform]:
        """
        Go through the *wanted* platforms, a page at a time.
        """
        since = wanted.unseen_since and to_stored(wanted.unseen_since)
        values = (int(wanted.is_retired), wanted.fmspc, since, _PAGE)
        last = 0
        while page := self._replica.rows(_SELECTED, (last, *values)):
            yield from filter(wanted.has, map(read_platform, page))
            last = page[-1][0]

    def has_secrets(self, platform: Platform) -> tuple[bool, bool]:
        """
        Tell whether an encrypted PPID of *platform* is known, and a manifest.
        """
        row = self._replica.first(_SECRETS, (platform.row,))
        return (bool(row[0]), bool(row[1])) if row else (False, False)

    def strangers(self) -> Sequence[Stranger]:
        """
        Return who asks and is not known, those that asked last first.
        """
        with making_sense():
            return [
                Stranger(
                    id=PlatformId(qe_id, pce_id),
                    first_seen=from_stored(first),
                    last_seen=from_stored(last),
                    count=count,
                )
                for qe_id, pce_id, first, last, count in self._replica.rows(
                    _STRANGERS
                )
            ]

    def certificates(self, platform: Platform) -> Sequence[HeldPck]:
        """
        Return the current certificates of *platform*, in the vendor's order.
        """
        first = platform.row * PLACES
        rows = self._replica.rows(_CERTIFICATES, (first, first + PLACES))
        return [self._held(row) for row in rows]

    def floors(self, fmspc: bytes) -> tuple[PckTcbm, ...]:
        """
        Return the floors of the TCB levels by which certificates of *fmspc*
        are selected, none where no TCB info is known.
        """
        newest = self.find_tcb_info(fmspc)
        with making_sense():
            return () if newest is None else read_floors(newest)

    def find_tcb_info(self, fmspc: bytes) -> bytes | None:
        """
        Return the SGX TCB info of *fmspc* that certificates are selected by:
        of the highest number, in the newest layout.
        """
        subject = f"sgx:{fmspc.hex().upper()}"
        row = self._replica.first(_TCB_INFO, (subject,))
        return row[0] if row else None

    def selections(self) -> dict[bytes, bytes]:
        """
        Return for each FMSPC the digest of the TCB levels by which all of its
        answers are selected.
        """
        return dict(self._replica.rows(_SELECTIONS))

    def families(self) -> Mapping[int, Family]:
        """
        Return what certificates have in common, by its number.
        """
        return self._replica.remember("pck-families", self._read_families)

    def _read_families(self) -> dict[int, Family]:
        rows = self._replica.rows(_FAMILIES)
        with making_sense():
            return {
                number: Family(
                    fmspc=fmspc,
                    ca=PckCa(ca),
                    issuer_chain=pem,
                    is_revoked=bool(revoked),
                )
                for number, fmspc, ca, pem, revoked in rows
            }

    def packer(self) -> Packer:
        """
        Return what unpacks the certificates.
        """
        return self._replica.remember("pck-packer", self._read_packer)

    def _read_packer(self) -> Packer:
        return Packer(dict(self._replica.rows(_DICTIONARIES)))

    def _held(self, row: Sequence[Any]) -> HeldPck:
        number, family_id, tcbm, serial, *rest = row
        not_after, is_revoked, dictionary, body = rest
        with making_sense():
            family = self.families()[family_id]
            return HeldPck(
                row=number,
                serial=serial,
                tcbm=PckTcbm.from_bytes(tcbm),
                pem=self.packer().unpack(dictionary, body),
                issuer_chain=family.issuer_chain,
                fmspc=family.fmspc,
                ca=family.ca,
                not_after=from_stored(not_after),
                is_revoked=bool(is_revoked),
                is_signer_revoked=family.is_revoked,
            )


def read_platform(row: Sequence[Any]) -> Platform:
    """
    Read a row of `PLATFORM_COLUMNS`.

    Raises:
        UnavailableError: It makes no sense.
    """
    number, qe_id, pce_id, registered_by, registered, *rest = row
    raw_tcbs, noted, voucher, fmspc, ca, cached_keys, name, labels, *rest = rest
    *instants, replaced_by = rest
    looked, last_seen, retired = map(_instant, instants)
    with making_sense():
        return Platform(
            row=number,
            id=PlatformId(qe_id, pce_id),
            registered_by=RegisteredBy(registered_by),
            registered=from_stored(registered),
            raw_tcbs=_raw_tcbs(raw_tcbs),
            noted_raw_tcbs=_raw_tcbs(noted or b""),
            voucher=Voucher(voucher),
            fmspc=fmspc,
            ca=None if ca is None else PckCa(ca),
            cached_keys=None if cached_keys is None else bool(cached_keys),
            name=name,
            labels=json.loads(labels) if labels else {},
            looked=looked,
            last_seen=last_seen,
            retired=retired,
            replaced_by=replaced_by,
        )


def _raw_tcbs(packed: bytes) -> tuple[PckTcbm, ...]:
    return tuple(map(PckTcbm.from_bytes, split_raw_tcbs(packed)))


def _instant(stored: int | None) -> datetime | None:
    return None if stored is None else from_stored(stored)
