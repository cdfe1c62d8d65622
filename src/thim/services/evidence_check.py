"""
Check an evidence pack, without the store that it came from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import itertools
import json
import tempfile

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thim.attestation.policy_jws import read_stored_jws
from thim.errors import MalformedError, ThimError
from thim.services.audit import check_record
from thim.services.audit_amd import AmdAudit
from thim.services.evidence_keys import find_signer
from thim.services.evidence_pack import (
    FORMAT,
    MANIFEST,
    SIGNATURE,
    SUMS,
    PackReader,
)
from thim.services.evidence_replay import (
    find_served,
    find_spans,
    rebuild,
    spell_spans,
)
from thim.services.evidence_rows import read_instant
from thim.store.archive import Damaged
from thim.store.event_chain import digest_content, digest_link
from thim.store.ledger import Ledger


if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from thim.store.archive import Stored
    from thim.x509.chain import TrustAnchors

_SHOWN: Final = 5
_DIGITS: Final = 64
_MISSING: Final = object()


class Outcome(enum.Enum):
    """What came of a check."""

    HOLDS = "holds"
    FAILS = "fails"
    #: Nothing is wrong, and nothing is proven.
    OPEN = "open"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked, and what came of it."""

    name: str
    outcome: Outcome
    detail: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    What was checked of a pack; *manifest* is what it says it is.
    """

    manifest: Mapping[str, Any]
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong with it."""
        return all(c.outcome is not Outcome.FAILS for c in self.checks)


def check_pack(
    path: Path, anchors: TrustAnchors, jwks: bytes | None = None
) -> Account:
    """
    Check the pack in *path*: vendors' documents under *anchors*, and the
    signature by the keys in *jwks*, or by those in the pack itself.

    1. Each file is the one that was packed, and there is none beside.
    2. The signature over that holds.
    3. Each event follows from the one before.
    4. Each document of a vendor verifies, as on the day on which it was taken
       in, and is what is written beside it.
    5. Which numbers answered follows from what was decided and known.
    6. Which documents were served follows from that.
    7. The signatures of policies hold.
    8. What decided about evidence is in the pack.

    Raises:
        MalformedError: It is no pack of this format.
        OperatorError: There is no room for what is worked out.
    """
    with contextlib.closing(PackReader(path)) as pack:
        manifest = read_manifest(pack)
        return Account(
            manifest=manifest,
            checks=tuple(_check_all(pack, manifest, anchors, jwks)),
        )


def read_manifest(pack: PackReader) -> Mapping[str, Any]:
    """
    Read what a pack says it is.

    Raises:
        MalformedError: It is none of this format.
    """
    try:
        manifest = json.loads(pack.read(MANIFEST))
        is_one = manifest["format"] == FORMAT
        span = [read_instant(manifest[name]) for name in ("since", "until")]
        bytes.fromhex(manifest["events"]["before"] + manifest["events"]["head"])
        is_one &= span[0] < span[1] and isinstance(manifest["tenants"], list)
        is_one &= isinstance(manifest["tenant"], str | None)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
    ) as e:
        msg = f"no evidence pack: {MANIFEST}: {type(e).__name__}: {e}"
        raise MalformedError(msg, reason="evidence-pack") from e
    if not is_one:
        msg = f"no evidence pack of the format {FORMAT}"
        raise MalformedError(msg, reason="evidence-pack")
    return manifest  # type: ignore[no-any-return]


def _check_all(
    pack: PackReader,
    manifest: Mapping[str, Any],
    anchors: TrustAnchors,
    jwks: bytes | None,
) -> Iterator[Check]:
    yield _judge("files", _check_files(pack), f"{len(pack.names)} files")
    yield _check_signature(pack, manifest, jwks)
    said = manifest["events"]
    yield _try("events", lambda: _check_events(pack, said))
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "pack.db"
        try:
            rebuild(pack, store, anchors)
        except MalformedError as e:
            yield Check(name="documents", outcome=Outcome.FAILS, detail=str(e))
        else:
            yield _check_documents(store, anchors)
            yield from _check_served(pack, manifest, store)
    yield _try("policies", lambda: _check_policies(pack))
    yield _try("decisions", lambda: _check_decisions(pack))


def _try(name: str, check: Callable[[], Check]) -> Check:
    """Let what cannot be read be a finding, and not the end of all checks."""
    try:
        return check()
    except MalformedError as e:
        return Check(name=name, outcome=Outcome.FAILS, detail=str(e))


def _judge(name: str, wrong: Iterable[str], what: str) -> Check:
    """Say that all of *what* holds, or what is *wrong* first of all."""
    iterator = iter(wrong)
    found = list(itertools.islice(iterator, _SHOWN))
    if not found:
        return Check(name=name, outcome=Outcome.HOLDS, detail=what)
    more = sum(1 for _ in iterator)
    detail = "; ".join(found) + (f"; and {more} more" if more else "")
    return Check(name=name, outcome=Outcome.FAILS, detail=detail)


def _check_files(pack: PackReader) -> Iterator[str]:
    expected = pack.sums().by_name
    for name in sorted(pack.names - expected.keys() - {SUMS, SIGNATURE}):
        yield f"{name} is not in {SUMS}"
    for name, digest in expected.items():
        if name not in pack.names:
            yield f"{name} is missing"
        elif _digest(pack, name) != digest:
            yield f"{name} was changed"


def _digest(pack: PackReader, name: str) -> str | None:
    try:
        return pack.digest(name)
    except MalformedError:
        return None


def _check_signature(
    pack: PackReader, manifest: Mapping[str, Any], jwks: bytes | None
) -> Check:
    if SIGNATURE not in pack.names:
        detail = "nobody has signed this pack"
        return Check(name="signature", outcome=Outcome.OPEN, detail=detail)
    try:
        whose = "the keys given" if jwks else "the pack's own keys"
        keys = pack.read("jwks.json") if jwks is None else jwks
        kid, payload = find_signer(pack.read(SIGNATURE), keys)
    except ThimError as e:
        return Check(name="signature", outcome=Outcome.FAILS, detail=str(e))
    claims: dict[str, Any] = {"sha256": pack.sums().sha256}
    for name in ("tenant", "since", "until", "made"):
        claims[name] = manifest.get(name)
    wrong = [
        f"it is for another {name}"
        for name, value in claims.items()
        if payload.get(name, _MISSING) != value
    ]
    if not wrong and jwks is None:
        detail = (
            f"by {kid}, a key of the pack itself: compare it with one that "
            f"you kept (--jwks)"
        )
        return Check(name="signature", outcome=Outcome.OPEN, detail=detail)
    return _judge("signature", wrong, f"by {kid}, one of {whose}")


def _check_events(pack: PackReader, said: Mapping[str, Any]) -> Check:
    counts = {"shown": 0, "withheld": 0}
    end = [bytes.fromhex(said["before"])]

    def breaks() -> Iterator[str]:
        last = 0
        for row in pack.lines("events.jsonl"):
            try:
                counts["shown" if "text" in row else "withheld"] += 1
                content = _content(row)
                digest = bytes.fromhex(row["digest"] or "")
                is_next = row["id"] > last
                last = row["id"]
            except (KeyError, ValueError, TypeError) as e:
                yield f"an event cannot be read: {type(e).__name__}: {e}"
                return
            if not is_next or digest_link(end[0], content) != digest:
                yield f"event {last} does not follow from the one before"
            end[0] = digest
        if counts["shown"] + counts["withheld"] and (
            end[0].hex() != said["head"]
        ):
            yield "the last event is not the one that the manifest names"

    check = _judge("events", breaks(), "")
    if check.outcome is Outcome.FAILS:
        return check
    detail = (
        f"{counts['shown']} events, and {counts['withheld']} of which only "
        f"the digests are here; the chain's head is {end[0].hex()}"
    )
    return dataclasses.replace(check, detail=detail)


def _content(row: Mapping[str, Any]) -> bytes:
    if "text" in row:
        return digest_content(bytes.fromhex(row["salt"] or ""), row["text"])
    return bytes.fromhex(row["content"])


def _check_documents(store: Path, anchors: TrustAnchors) -> Check:
    count = 0

    def wrong() -> Iterator[str]:
        nonlocal count
        with Ledger(store, anchors) as ledger:
            amd = AmdAudit(ledger, anchors)
            for stored in ledger.stored():
                count += 1
                yield from _describe(stored, anchors, amd)

    check = _judge("documents", wrong(), "")
    if check.outcome is Outcome.FAILS:
        return check
    detail = f"{count} documents lead to the vendors' roots"
    return dataclasses.replace(check, detail=detail)


def _describe(
    stored: Stored | Damaged, anchors: TrustAnchors, amd: AmdAudit
) -> Iterator[str]:
    if isinstance(stored, Damaged):
        yield f"record {stored.id}: {stored.detail}"
        return
    for finding in check_record(stored, anchors, amd):
        yield f"{stored.record.key}: {finding.reason}: {finding.detail}"


def _check_served(
    pack: PackReader, manifest: Mapping[str, Any], store: Path
) -> Iterator[Check]:
    since, until = (read_instant(manifest[n]) for n in ("since", "until"))
    try:
        spans = find_spans(store, manifest["tenants"], since, until)
    except (ThimError, TypeError) as e:
        yield Check(name="numbers", outcome=Outcome.FAILS, detail=str(e))
        return
    what = f"{len(spans)} spans follow from what was decided and known"
    numbers = _compare(pack.lines("numbers.jsonl"), spell_spans(spans))
    yield _try("numbers", lambda: _judge("numbers", numbers, what))
    whole = "which documents were served follows from that"
    served = _compare(pack.lines("served.jsonl"), find_served(store, spans))
    yield _try("served", lambda: _judge("served", served, whole))


def _compare(
    said: Iterable[Mapping[str, Any]], found: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    for i, (one, other) in enumerate(itertools.zip_longest(said, found), 1):
        if one != other:
            yield f"line {i} says {one}, and it follows {other}"
            return


def _check_policies(pack: PackReader) -> Check:
    count = 0

    def wrong() -> Iterator[str]:
        nonlocal count
        for row in pack.lines("policies.jsonl"):
            count += 1
            name = row.get("file")
            if name is None:
                continue
            try:
                read_stored_jws(pack.read(str(name)))
            except ThimError as e:
                yield f"{name}: {e}"

    check = _judge("policies", wrong(), "")
    if check.outcome is Outcome.FAILS:
        return check
    detail = f"{count} policies; each signature that there is holds"
    return dataclasses.replace(check, detail=detail)


def _check_decisions(pack: PackReader) -> Check:
    there = {
        name.rpartition("/")[2][:_DIGITS]
        for name in pack.names
        if name.startswith(("documents/", "chains/"))
    }
    count, absent = 0, 0
    for row in pack.lines("decisions.jsonl"):
        count += 1
        documents = row.get("documents")
        values: Sequence[str] = (
            list(documents.values()) if isinstance(documents, dict) else []
        )
        absent += any(digest not in there for digest in values)
    detail = f"{count} decisions about evidence"
    if not absent:
        return Check(name="decisions", outcome=Outcome.HOLDS, detail=detail)
    detail += (
        f"; for {absent} of them a document is not here: a chip's own key is "
        f"on record by its digest alone"
    )
    return Check(name="decisions", outcome=Outcome.OPEN, detail=detail)
