"""
Ask for a bundle: what a closed site has, and what it wants.

Manifests are sealed for the key of whoever is to answer, and for nobody else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import itertools

from collections import Counter
from typing import TYPE_CHECKING, Final

from thim.amd.kds import ChipTcb
from thim.collateral.amd_keys import chip_of, is_vcek
from thim.collateral.bundle_file import write_file
from thim.collateral.bundle_parts import (
    DIGEST_SIZE,
    MOST_RAW_TCBS,
    ChipPart,
    FileKind,
    HeldPart,
    Imported,
    PlatformPart,
    RequestHeader,
    Which,
)
from thim.collateral.freshness import is_expired
from thim.errors import OperatorError
from thim.services.bundle_files import write_signed
from thim.services.register import manifest_context
from thim.store.bundle_view import BundleView
from thim.store.bundles import Direction
from thim.store.chip_queue_view import ChipQueueView
from thim.store.chip_view import ChipView
from thim.store.endorsement_view import EndorsementView
from thim.store.pck import PckReader, Wanted
from thim.store.secret_view import find_secrets


if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from datetime import datetime
    from pathlib import Path

    from thim.amd.tcb import TcbVersion
    from thim.collateral.bundle_keys import PublicKey, SecretKey
    from thim.collateral.bundle_parts import RequestPart
    from thim.collateral.platforms import HeldPck, Platform
    from thim.store.ledger import Ledger
    from thim.store.replica import Replica
    from thim.store.seal import Sealer

PROGRAM: Final = f"thim {importlib.metadata.version('thim')}"
_DIGESTS_IN_ONE: Final = 16_384


def sealed_as(qe_id: bytes, pce_id: bytes) -> bytes:
    """
    Say as what a platform's manifest is sealed for a recipient.
    """
    return b"thim bundle request 1: manifest of " + qe_id + pce_id


def digest_certificates(certificates: Sequence[HeldPck]) -> bytes | None:
    """
    Return the digest of a platform's certificates, None where it has none.
    """
    if not certificates:
        return None
    pems = sorted(held.pem for held in certificates)
    return hashlib.sha256(b"".join(pems)).digest()[:DIGEST_SIZE]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    A store as it is read and written for bundles, by *actor* at *now*; *key*
    signs.
    """

    ledger: Ledger
    replica: Replica
    key: SecretKey
    actor: str
    now: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """
    What goes into a request beside what the store says.

    *recipient* opens the manifests, which *open_sealer* opens here; it is
    None where none are to go along.  For each chip also the VCEKs at *tcbs*
    are wanted; *fmspcs* (upper-case hex) in any case.
    """

    recipient: PublicKey | None
    open_sealer: Callable[[], Sealer]
    tcbs: Sequence[TcbVersion] = ()
    fmspcs: frozenset[str] = frozenset()


def write_request(path: Path, asking: Asking, site: Site) -> Counter[str]:
    """
    Write a request to *path*; return how many platforms, manifests and VCEKs
    it names.

    Raises:
        OperatorError: A manifest cannot be opened, or the file not be written.
    """
    counts: Counter[str] = Counter()

    def note(digest: bytes, size: int) -> None:
        detail = f"{digest.hex()}, {size} bytes: {spell_counts(counts)}"
        site.ledger.events.add(
            "bundle-request", detail, actor=site.actor, now=site.now
        )

    with site.replica.snapshot():
        header = _make_header(asking, site)
        parts = _list_parts(asking, site, is_delta=bool(header.imported))
        counted = _count(parts, counts)
        pieces = write_file(FileKind.REQUEST, header, counted, site.key)
        write_signed(path, pieces, note)
    return counts


def spell_counts(counts: Mapping[str, int]) -> str:
    """
    Write how much there is of what.
    """
    each = (f"{n} {what}" for what, n in sorted(counts.items()) if n)
    return ", ".join(each) or "nothing"


def _make_header(asking: Asking, site: Site) -> RequestHeader:
    fmspcs = asking.fmspcs.union(site.replica.platform_fmspcs())
    recipient = asking.recipient
    return RequestHeader(
        created=site.now,
        signer=site.key.public.raw,
        program=PROGRAM,
        recipient=None if recipient is None else recipient.raw,
        fmspcs=sorted(fmspcs),
        imported=list(_list_imported(site.ledger)),
    )


def _list_imported(ledger: Ledger) -> Iterator[Imported]:
    for signer in ledger.bundles.signers():
        last = ledger.bundles.last(Direction.IN, signer)
        if last is not None:
            which = Which(counter=last.counter, sha256=last.sha256)
            yield Imported(signer=signer, bundle=which)


def _count(
    parts: Iterable[RequestPart], counts: Counter[str]
) -> Iterator[RequestPart]:
    for part in parts:
        if isinstance(part, PlatformPart):
            counts["platforms"] += 1
            counts["manifests"] += part.sealed is not None
        elif isinstance(part, ChipPart):
            counts["VCEKs"] += 1
        yield part


def _list_parts(
    asking: Asking, site: Site, *, is_delta: bool
) -> Iterator[RequestPart]:
    replica = site.replica
    if is_delta:
        yield from _list_held(replica)
    yield from _list_platforms(asking, replica)
    for name in list_wanted_vceks(replica, asking.tcbs, site.now):
        yield ChipPart(
            product=name.product.value,
            hw_id=name.hw_id,
            tcb=name.tcb.to_bytes(),
        )


def _list_held(replica: Replica) -> Iterator[HeldPart]:
    view = BundleView(replica)
    vleks = (key.sha256 for key in view.vleks())
    digests = itertools.chain(view.digests(), vleks)
    while page := list(itertools.islice(digests, _DIGESTS_IN_ONE)):
        yield HeldPart(digests=b"".join(d[:DIGEST_SIZE] for d in page))


def _list_platforms(asking: Asking, replica: Replica) -> Iterator[PlatformPart]:
    reader = PckReader(replica)
    opener: Sealer | None = None
    for platform in reader.select(Wanted()):
        enc_ppid, manifest = find_secrets(replica, platform.row)
        if manifest is not None and opener is None:
            _check_recipient(asking, platform)
            opener = asking.open_sealer()
        sealed = None
        if manifest is not None and opener is not None:
            sealed = _seal_anew(asking, platform, manifest, opener)
        yield PlatformPart(
            qe_id=platform.id.qe_id,
            pce_id=platform.id.pce_id,
            raw_tcbs=[
                tcb.to_bytes() for tcb in platform.seen_raw_tcbs[:MOST_RAW_TCBS]
            ],
            enc_ppid=enc_ppid,
            sealed=sealed,
            held=digest_certificates(reader.certificates(platform)),
        )


def _check_recipient(asking: Asking, platform: Platform) -> None:
    if asking.recipient is None:
        msg = (
            f"platform {platform.id} has a manifest: expected --to with the "
            f"key of whoever makes the bundle, which it is sealed for"
        )
        raise OperatorError(msg, reason="bundle-recipient")


def _seal_anew(
    asking: Asking, platform: Platform, manifest: bytes, opener: Sealer
) -> bytes | None:
    if asking.recipient is None:
        return None
    plain = opener.open(manifest, manifest_context(platform.id))
    context = sealed_as(platform.id.qe_id, platform.id.pce_id)
    return asking.recipient.seal(plain, context)


def list_wanted_vceks(
    replica: Replica, tcbs: Sequence[TcbVersion], now: datetime
) -> Iterator[ChipTcb]:
    """
    List the VCEKs that are wanted and not there, or expired: those that are
    waited for; of each registered chip at its own TCB, and at those which
    others of its product line are ahead with; and of each chip at *tcbs*, the
    next firmware's.
    """
    seen: set[ChipTcb] = set()
    view = EndorsementView(replica)
    for name in _list_named(replica, view, tcbs):
        if name not in seen:
            seen.add(name)
            held = view.find_vcek(name)
            if held is None or is_expired(held.not_after, now):
                yield name


def _list_named(
    replica: Replica, view: EndorsementView, tcbs: Sequence[TcbVersion]
) -> Iterator[ChipTcb]:
    for target in ChipQueueView(replica).all():
        if is_vcek(target):
            yield chip_of(target.key)
    known = ChipView(replica).all()
    chips = [one.chip for one in known if one.retired is None]
    told = sorted({c.tcb for c in chips}, key=lambda tcb: tcb.tcbm)
    for chip in chips:
        for tcb in (chip.tcb, *_ahead(chip.tcb, told)):
            yield ChipTcb(product=chip.product, hw_id=chip.hw_id, tcb=tcb)
    retired = {
        (one.chip.product, one.chip.hw_id) for one in known if one.retired
    }
    named = dict.fromkeys((c.product, c.hw_id) for c in chips)
    held = (one for one in view.chips() if one not in retired)
    for product, hw_id in {**named, **dict.fromkeys(held)}:
        for tcb in tcbs:
            if tcb.product is product:
                yield ChipTcb(product=product, hw_id=hw_id, tcb=tcb)


def _ahead(own: TcbVersion, told: Iterable[TcbVersion]) -> Iterator[TcbVersion]:
    """List the TCBs that are in no part below one's *own*."""
    for tcb in told:
        if tcb.product is own.product and not tcb.shortfalls(own):
            yield tcb
