"""
Make a bundle: everything that a closed site needs, in one signed file.

Documents that name no machine always go along, each of every number and date.
Of machines a bundle has what a request names, or all where there is none.
"""

from __future__ import annotations

import base64
import dataclasses
import re

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.bundle_file import write_file
from thim.collateral.bundle_parts import (
    DIGEST_SIZE,
    MOST_RAW_TCBS,
    AuthorityPart,
    BundleHeader,
    ChannelPart,
    ChipPart,
    DocumentPart,
    EndorsementKeyPart,
    FileKind,
    HeldPart,
    PckPart,
    PlatformPart,
    RequestHeader,
    Which,
)
from thim.collateral.platforms import PlatformId
from thim.errors import MalformedError, NotFoundError
from thim.services.bundle_files import write_signed
from thim.services.bundle_request import (
    PROGRAM,
    digest_certificates,
    spell_counts,
)
from thim.store.bundle_view import BundleView
from thim.store.bundles import Direction, KnownBundle
from thim.store.pck import PckReader, Wanted


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.collateral.bundle_file import Seal
    from thim.collateral.bundle_parts import BundlePart, Part
    from thim.collateral.platforms import HeldPck, Platform
    from thim.services.bundle_files import SignedFile
    from thim.services.bundle_request import Site
    from thim.store.bundle_view import Listed, ListedKey

#: An import writes its first instant beside all of its platforms.
_SLACK: Final = timedelta(days=1)
_CHAINS: Final = "amd/cert-chain/"
_KEYS: Final = "endorsement_keys"
_PEM: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A request that was verified: its *file*, and its *seal*.
    """

    file: SignedFile
    seal: Seal

    @property
    def header(self) -> RequestHeader:
        """
        What it says of itself.

        Raises:
            MalformedError: It is none.
        """
        header = self.seal.header
        if not isinstance(header, RequestHeader):
            msg = "a bundle, expected a request"
            raise MalformedError(msg, reason="bundle-format")
        return header

    def parts(self) -> Iterator[Part]:
        """
        Go through what is in it.
        """
        for block in self.file.parts(self.seal):
            yield from block


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """
    A bundle that was made: how much there is in it of what, and what the
    request wants and is *missing*.
    """

    which: Which
    base: Which | None
    size: int
    counts: Counter[str]
    missing: Counter[str]


class Exporter:
    """
    Makes bundles at *site*.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._view = BundleView(site.replica)
        self._reader = PckReader(site.replica)

    def export(
        self,
        path: Path,
        *,
        request: Request | None = None,
        since: int | None = None,
        counter: int | None = None,
        machines: bool = True,
    ) -> Exported:
        """
        Write a bundle to *path*: for *request*, or of everything; only what is
        new *since* a bundle that was made here, if that is given.  Its number
        is *counter*, or the next.  Without *machines* there is nothing in it
        by which one is named.

        Raises:
            NotFoundError: No such bundle was made here.
            MalformedError: The request is not what it should be.
            ConflictError: One of this number or a higher one was made here.
            OperatorError: The file cannot be written.
        """
        base = self._find_base(request, since)
        header = BundleHeader(
            created=self._site.now,
            signer=self._site.key.public.raw,
            counter=counter or self._next_counter(),
            program=PROGRAM,
            base=None
            if base is None
            else Which(counter=base.counter, sha256=base.sha256),
            request=None if request is None else request.seal.sha256,
        )
        with self._site.replica.snapshot():
            work = _Work(self._view, self._reader, request, base, machines)
            return self._write(path, header, work)

    def _write(self, path: Path, header: BundleHeader, work: _Work) -> Exported:
        reach = self._view.reach()
        if not work.machines:
            del reach[_KEYS]  # and so a delta to it has all of them
        sizes: list[tuple[bytes, int]] = []

        def note(digest: bytes, size: int) -> None:
            sizes.append((digest, size))
            which = Which(counter=header.counter, sha256=digest)
            self._note(which, header, work, reach)

        counted = _count(work.list_parts(), work.counts)
        pieces = write_file(FileKind.BUNDLE, header, counted, self._site.key)
        write_signed(path, pieces, note)
        (digest, size) = sizes[0]
        return Exported(
            which=Which(counter=header.counter, sha256=digest),
            base=header.base,
            size=size,
            counts=work.counts,
            missing=work.missing,
        )

    def _note(
        self,
        which: Which,
        header: BundleHeader,
        work: _Work,
        reach: dict[str, int],
    ) -> None:
        site = self._site
        base = "complete" if header.base is None else f"delta to {header.base}"
        asked = f"request {header.request.hex()}" if header.request else "all"
        detail = (
            f"bundle {which.counter} {which.sha256.hex()}, {base}, for "
            f"{asked}: {spell_counts(work.counts)}"
        )
        with site.ledger.all_or_none():
            site.ledger.bundles.add(
                KnownBundle(
                    direction=Direction.OUT,
                    signer=site.key.public.digest,
                    counter=which.counter,
                    sha256=which.sha256,
                    created=site.now,
                    at=site.now,
                    actor=site.actor,
                    reach=reach,
                )
            )
            site.ledger.events.add(
                "bundle-export", detail, actor=site.actor, now=site.now
            )

    def _next_counter(self) -> int:
        signer = self._site.key.public.digest
        last = self._site.ledger.bundles.last(Direction.OUT, signer)
        return 1 if last is None else last.counter + 1

    def _find_base(
        self, request: Request | None, since: int | None
    ) -> KnownBundle | None:
        signer = self._site.key.public.digest
        bundles = self._site.ledger.bundles
        if since is not None:
            found = bundles.find(Direction.OUT, signer, since)
            if not found:
                msg = f"bundle {since}: none of this number was made here"
                raise NotFoundError(msg, reason="bundle-base")
            return found[-1]
        for each in () if request is None else request.header.imported:
            if each.signer == signer:
                known = bundles.find(Direction.OUT, signer, each.bundle.counter)
                same = (k for k in known if k.sha256 == each.bundle.sha256)
                # One that this store does not know is no base: all goes along.
                return next(same, None)
        return None


class _Work:
    """
    Lists what goes into one bundle, and counts it and what is missing.
    """

    def __init__(
        self,
        view: BundleView,
        reader: PckReader,
        request: Request | None,
        base: KnownBundle | None,
        machines: bool,  # noqa: FBT001 - of a private class
    ) -> None:
        self.machines = machines
        self._view = view
        self._reader = reader
        self._request = request
        self._reach = base.reach if base and not request else {}
        has_machines = _KEYS in self._reach
        self._since = base.created - _SLACK if base and has_machines else None
        is_delta = base is not None and request is not None
        self._held = _read_held(request) if request and is_delta else set()
        self._is_delta = is_delta
        self.counts: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()

    def list_parts(self) -> Iterator[BundlePart]:
        """
        List the parts, those first by which others are verified.
        """
        for der in self._view.authorities():
            yield AuthorityPart(der=der)
        for document in self._view.documents():
            if self._is_wanted(document):
                body = self._view.body(document)
                yield DocumentPart(name=document.name, body=body)
        for name, number, seen in self._view.channels():
            yield ChannelPart(name=name, number=number, seen=seen)
        if self._request is not None:
            yield from self._list_requested(self._request)
        elif self.machines:
            yield from self._list_all()

    def _is_wanted(self, document: Listed) -> bool:
        if document.name.startswith(_CHAINS):
            return True  # few, and nothing of AMD's holds without
        is_new = document.row > self._reach.get("records", 0)
        return is_new and document.sha256[:DIGEST_SIZE] not in self._held

    def _list_all(self) -> Iterator[BundlePart]:
        for platform in self._reader.select(Wanted()):
            if self._since is None or _is_since(platform, self._since):
                certificates = self._reader.certificates(platform)
                if certificates:
                    yield _pck_part(platform, certificates)
        after = self._reach.get(_KEYS, 0)
        for key in self._view.endorsement_keys(after):
            yield EndorsementKeyPart(der=key.der)

    def _list_requested(self, request: Request) -> Iterator[BundlePart]:
        for part in request.parts():
            if isinstance(part, PlatformPart):
                yield from self._find_platform(part)
        for key in self._view.vleks():
            yield from self._key_part(key)
        for part in request.parts():
            if isinstance(part, ChipPart):
                found = self._view.vceks_of(part.product, part.hw_id, part.tcb)
                self.missing["VCEKs"] += not found
                for key in found:
                    yield from self._key_part(key)
        self._miss_fmspcs(request.header.fmspcs)

    def _find_platform(self, part: PlatformPart) -> Iterator[PckPart]:
        platform = self._reader.find_platform(
            PlatformId(part.qe_id, part.pce_id)
        )
        found = self._reader.certificates(platform) if platform else ()
        self.missing["platforms' certificates"] += not found
        is_held = self._is_delta and part.held == digest_certificates(found)
        if platform is not None and found and not is_held:
            yield _pck_part(platform, found)

    def _key_part(self, key: ListedKey) -> Iterator[EndorsementKeyPart]:
        if key.sha256[:DIGEST_SIZE] not in self._held:
            yield EndorsementKeyPart(der=key.der)

    def _miss_fmspcs(self, wanted: Iterable[str]) -> None:
        names = {document.name for document in self._view.documents()}
        served = {name.split("/")[2].partition(":")[2] for name in names}
        self.missing["FMSPCs"] += len(set(wanted) - served)


def _read_held(request: Request) -> set[bytes]:
    held: set[bytes] = set()
    for part in request.parts():
        if isinstance(part, HeldPart):
            digests = part.digests
            held.update(
                digests[i : i + DIGEST_SIZE]
                for i in range(0, len(digests), DIGEST_SIZE)
            )
    return held


def _is_since(platform: Platform, since: datetime) -> bool:
    return platform.looked is None or platform.looked >= since


def _pck_part(platform: Platform, found: Sequence[HeldPck]) -> PckPart:
    return PckPart(
        qe_id=platform.id.qe_id,
        pce_id=platform.id.pce_id,
        raw_tcbs=[tcb.to_bytes() for tcb in platform.raw_tcbs[:MOST_RAW_TCBS]],
        certificates=[_to_der(held.pem) for held in found],
    )


def _to_der(pem: bytes) -> bytes:
    match = _PEM.search(pem)
    return base64.b64decode(match[1]) if match else b""


_WHAT: Final = {
    AuthorityPart: "certificates",
    DocumentPart: "documents",
    ChannelPart: "channels",
    PckPart: "platforms",
    EndorsementKeyPart: "endorsement keys",
}


def _count(
    parts: Iterable[BundlePart], counts: Counter[str]
) -> Iterator[BundlePart]:
    for part in parts:
        counts[_WHAT[type(part)]] += 1
        yield part
