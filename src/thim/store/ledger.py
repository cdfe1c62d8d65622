"""
The ledger: the one place where records are kept and heads are moved.

Guarantees:

* What ``add`` has returned for is on the disk.
* A record is never changed or deleted; only its issuer chain is replaced,
  when a certificate in it was revoked and another for the same key came.
* A head is only ever moved to a newer record of its series, by
  compare-and-swap.
* No call holds a transaction while it waits for anything but the disk.
"""

from __future__ import annotations

import contextlib
import hashlib

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import func, insert, select

from thim.amd.authorities import CaChain
from thim.collateral.records import ROOT_CA_CRL, Kind
from thim.collateral.transition import Transition
from thim.intel.names import PckCa
from thim.store import archive, notes, schema
from thim.store.agenda import Agenda
from thim.store.anchors import add_anchor, read_added
from thim.store.attestation_policies import AttestationPolicies
from thim.store.base import checkpoint, find_damage, find_ledger, open_base
from thim.store.bundles import Bundles
from thim.store.certificates import mark_revoked
from thim.store.change_plans import ChangePlans
from thim.store.chip_queue import ChipQueue
from thim.store.chips import ChipTable
from thim.store.client_numbers import ClientNumbers
from thim.store.definitions import Definitions
from thim.store.deliveries import Notices
from thim.store.endorsements import Endorsements
from thim.store.erasure import Erasure
from thim.store.events import Events
from thim.store.fleet_tcbs import FleetTcbs
from thim.store.instants import to_stored
from thim.store.keys import Keys
from thim.store.outlooks import Outlooks
from thim.store.platform_secrets import PlatformSecretsTable
from thim.store.platforms import Platforms
from thim.store.policies import Policies
from thim.store.registrations import Registrations
from thim.store.selections import Selections
from thim.store.signing_keys import SigningKeys
from thim.store.strangers import Strangers
from thim.store.tokens import Tokens
from thim.x509.chain import TrustAnchors, parse_certificate, spki_sha256
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from cryptography.x509 import Certificate
    from sqlalchemy import Connection

    from thim.collateral.records import CollateralKey, Record
    from thim.intel.authorities import Authority
    from thim.intel.names import Update
    from thim.store.archive import Damaged, Stored


class Ledger:
    """
    A store opened for writing; close it, or use it in a ``with``.

    Raises:
        OperatorError: No store in *path*, one of another schema, or one made
            for other trust *anchors*.
        UnwritableError: It is a replica that is being made anew.
    """

    def __init__(self, path: Path, anchors: TrustAnchors) -> None:
        self._base = open_base(path, find_ledger(path, anchors))
        self._path = path
        self._stamped = anchors
        self._whole: Connection | None = None
        self.agenda = Agenda(self._transaction)
        self.platforms = Platforms(self._transaction)
        self.secrets = PlatformSecretsTable(self._transaction)
        self.selections = Selections(self._transaction)
        self.strangers = Strangers(self._transaction)
        self.tokens = Tokens(self._transaction)
        self.keys = Keys(self._transaction)
        self.registrations = Registrations(self._transaction)
        self.policies = Policies(self._transaction)
        self.attestation_policies = AttestationPolicies(self._transaction)
        self.chips = ChipQueue(self._transaction)
        self.chip_table = ChipTable(self._transaction)
        self.endorsements = Endorsements(self._transaction)
        self.events = Events(self._transaction)
        self.definitions = Definitions(self._transaction)
        self.plans = ChangePlans(self._transaction)
        self.fleet_tcbs = FleetTcbs(self._transaction)
        self.outlooks = Outlooks(self._transaction)
        self.notices = Notices(self._transaction)
        self.client_numbers = ClientNumbers(self._transaction)
        self.signing_keys = SigningKeys(self._transaction)
        self.bundles = Bundles(self._transaction)
        self.erasure = Erasure(self._transaction)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The store's file."""
        return self._path

    def close(self) -> None:
        """
        Close the store.
        """
        self._base.close()

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """
        Keep everything that is done within, or on an error none of it.

        Others wait to write for as long, so it is for one thread that waits
        for nobody.
        """
        with self._transaction() as connection:
            around, self._whole = self._whole, connection
            try:
                yield
            finally:
                self._whole = around

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._whole is not None:
            with self._whole.begin_nested():
                yield self._whole
            return
        with self._base.transaction() as connection:
            yield connection

    def checkpoint(self) -> None:
        """
        Write what is in SQLite's log back into the file, and begin the log
        anew: under readers who come and go it would grow for ever.
        """
        checkpoint(self._path)

    def add(self, record: Record) -> Transition:
        """
        Take *record* into its series and say what it was to it.

        *newer* is archived and becomes the head, *older* is archived, *equal*
        changes nothing, and a *fork* is left out.
        """
        with self._transaction() as connection:
            verdict = archive.add_record(connection, record)
            is_pck_crl = record.key.kind is Kind.PCK_CRL
            if is_pck_crl and verdict is Transition.NEWER:
                ca = PckCa(record.key.subject)
                mark_revoked(connection, ca, record.body)
            return verdict

    def add_certificate(
        self,
        certificate: Certificate,
        authority: Authority,
        *,
        source: str,
        now: datetime,
    ) -> bool:
        """
        Remember a verified *certificate*; return whether it was new.
        """
        der = certificate.public_bytes(Encoding.DER)
        row = {
            "sha256": hashlib.sha256(der).digest(),
            "authority": authority.value,
            "der": der,
            "source": source,
            "added": to_stored(now),
        }
        table = schema.certificates
        with self._transaction() as connection:
            known = connection.scalar(
                select(func.count()).where(table.c.sha256 == row["sha256"])
            )
            if not known:
                connection.execute(insert(table).values(row))
        return not known

    def certificates(self) -> list[Certificate]:
        """
        Return the verified certificates of all authorities.
        """
        with self._transaction() as connection:
            ders = connection.scalars(select(schema.certificates.c.der)).all()
        return [parse_certificate(der) for der in ders]

    def amd_chains(self, *, revoked: bool = False) -> list[CaChain]:
        """
        Return AMD's chains, those that are not revoked or those that are, the
        newest first.
        """
        with self._transaction() as connection:
            pems = archive.read_amd_chains(connection, revoked=revoked)
        return list(map(CaChain.from_pem, pems))

    def root_crl(self) -> Crl | None:
        """
        Return the newest root CRL, if there is one.
        """
        with self._transaction() as connection:
            body = archive.find_head_body(connection, ROOT_CA_CRL)
        return None if body is None else Crl.from_der(body)

    def anchors(self) -> TrustAnchors:
        """
        Return the root keys that count here: those that the store is stamped
        with, and those that the operator added.
        """
        with self._transaction() as connection:
            added = read_added(connection)
        return TrustAnchors(spki_sha256=self._stamped.spki_sha256 | added)

    def add_anchor(
        self, root: Certificate, *, vendor: str, actor: str, now: datetime
    ) -> bool:
        """
        Trust *root*'s key from now on; return whether that is new.
        """
        if spki_sha256(root) in self.anchors().spki_sha256:
            return False
        with self._transaction() as connection:
            add_anchor(connection, root, vendor=vendor, actor=actor, now=now)
        return True

    def note_backup(self, now: datetime) -> None:
        """
        Write down that a backup was made.
        """
        with self._transaction() as connection:
            notes.put_setting(connection, "backup", f"{now:%FT%TZ}")

    def count(self, name: str, label: str, now: datetime) -> None:
        """
        Count once more that something was noticed.
        """
        with self._transaction() as connection:
            notes.count(connection, name, label, now)

    def quarantine(
        self,
        body: bytes,
        *,
        source: str,
        reason: str,
        detail: str,
        now: datetime,
    ) -> None:
        """
        Keep what was refused and count it, and forget the oldest beyond the
        bound.
        """
        with self._transaction() as connection:
            notes.count(connection, "refused", reason, now)
            notes.add_to_quarantine(
                connection,
                body=body,
                source=source,
                reason=reason,
                detail=detail,
                now=now,
            )

    def newest(self, key: CollateralKey, number: int | None) -> datetime | None:
        """
        Return the issue date of the newest document of *key* and *number*.
        """
        with self._transaction() as connection:
            return archive.find_newest(connection, key, number)

    def head_body(self, key: CollateralKey) -> bytes | None:
        """
        Return the newest body of *key*, a kind without numbers.
        """
        with self._transaction() as connection:
            return archive.find_head_body(connection, key)

    def observe_channel(
        self,
        update: Update,
        number: int,
        *,
        source: str,
        seen: datetime,
        overrules: Sequence[str] = (),
    ) -> bool:
        """
        Write down that a channel was *seen* to point to *number*, if that is
        news.

        No signature says where a channel points to, so it never goes back:
        whoever says less than was seen before is not believed, and False is
        returned; unless that was seen at one of the base URLs that this
        *source* overrules.
        """
        table = schema.channels
        with self._transaction() as connection:
            row = connection.execute(
                select(table.c.evaluation_number, table.c.source)
                .where(table.c.name == update.value)
                .order_by(table.c.id.desc())
                .limit(1)
            ).first()
            last = None if row is None else row.evaluation_number
            is_overruled = row is not None and any(
                row.source.startswith(f"{base}/") for base in overrules
            )
            is_back = last is not None and number < last
            if number != last and (is_overruled or not is_back):
                connection.execute(
                    insert(table).values(
                        name=update.value,
                        evaluation_number=number,
                        seen=to_stored(seen),
                        source=source,
                    )
                )
        return is_overruled or not is_back

    def integrity_problems(self) -> list[str]:
        """
        Return what SQLite's own checks find wrong with the file.
        """
        return find_damage(self._path)

    def unreadable_tables(self) -> Mapping[str, str]:
        """
        Return why each table that a server cannot read is damaged, by its name.

        Raises:
            UnwritableError: The server is away.
        """
        return self._base.find_unreadable()

    def chains(self) -> Sequence[tuple[bytes, bool]]:
        """
        Return each issuer chain (PEM) and whether it is marked as revoked.
        """
        with self._transaction() as connection:
            return archive.read_chains(connection)

    def stored(self) -> Iterator[Stored | Damaged]:
        """
        Read every record back, oldest row first.
        """
        last = 0
        while page := self._page(last):
            yield from page
            last = page[-1].id

    def _page(self, after: int) -> Sequence[Stored | Damaged]:
        with self._transaction() as connection:
            return archive.read_page(connection, after)
