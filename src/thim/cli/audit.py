"""
``thim audit``: what was decided, by whom, and evidence of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.completing import complete_tenants
from thim.cli.files import making_file, read_bounded
from thim.cli.options import (
    Config,
    Json,
    Store,
    configure,
    find_store,
    place_of,
)
from thim.cli.tables import write_table
from thim.errors import ParameterError, printable
from thim.http.prefixes import parse_instant
from thim.services.decided import Source, list_decided
from thim.store.audit_view import Filter
from thim.store.decision_file import find_decisions
from thim.store.decision_view import DecisionView
from thim.store.instants import to_stored
from thim.store.replica import Replica
from thim.store.up_to_date import bring_up_to_date
from thim.x509.chain import TrustAnchors, spki_sha256


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from thim.attestation.token import Signer
    from thim.services.decided import Decided
    from thim.services.evidence_check import Account
    from thim.services.evidence_export import Exported

app = typer.Typer(no_args_is_help=True)

_MOST: Final = 10_000
_MOST_JWKS: Final = 4 * 1024 * 1024
Tenant = Annotated[
    str | None,
    typer.Option(
        metavar="T",
        help="What concerns this tenant alone.",
        autocompletion=complete_tenants,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="INSTANT", help="Not before, such as 2026-11-02T09:00:00Z."
    ),
]
Until = Annotated[
    str | None, typer.Option(metavar="INSTANT", help="Before this one.")
]


@app.command("list")
def list_(
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    actor: Annotated[
        str | None, typer.Option(metavar="WHO", help="By this one alone.")
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="Of this action alone, as the list names it: token-create, "
            "tenant-enact, document, token, refusal, and so on.",
        ),
    ] = None,
    source: Annotated[
        list[Source] | None,
        typer.Option(
            help="event: what somebody decided; document: what came to be "
            "served; attestation: what was decided about evidence. Default: "
            "all.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=_MOST, help="At the most.")
    ] = 100,
    page: Annotated[
        int, typer.Option(metavar="N", min=1, max=_MOST, help="The next ones.")
    ] = 1,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    List what was decided, the newest first.
    """
    path = find_store(store, config)
    wanted = Filter(
        since=_instant("--since", since),
        until=_instant("--until", until),
        tenant=tenant,
        actor=actor,
        action=action,
    )
    with contextlib.closing(Replica(path)) as replica:
        found = list_decided(
            replica,
            DecisionView(find_decisions(path)),
            wanted,
            source or list(Source),
            limit=limit,
            page=page,
        )
    _write_list(found, as_json=as_json)


def _write_list(found: Iterable[Decided], *, as_json: bool) -> None:
    rows = [
        {
            "at": f"{one.at:%FT%TZ}",
            "actor": one.actor,
            "action": one.action,
            "tenant": one.tenant,
            "detail": one.detail,
            "source": one.source.value,
        }
        for one in found
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    titles = ("at", "actor", "action", "tenant", "detail")
    write_table(titles, [[row[t] or "-" for t in titles] for row in rows])


@app.command()
def export(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The pack; a new file."
        ),
    ],
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    unsigned: Annotated[
        bool,
        typer.Option("--unsigned", help="Without the service's signature."),
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Write an evidence pack: events, baselines, what was served and decided in a
    period, with every document, for one tenant or for all.

    `thim audit verify` checks it without a store. The key that signs
    attestation tokens signs it too.
    """
    from thim.cli.progress import working  # noqa: PLC0415 - loads rich
    from thim.services.evidence_export import (  # noqa: PLC0415 - rarely wanted
        Wanted,
        export_pack,
    )

    found = configure({"store": store}, config)
    place = place_of(found)
    now = place.clock()
    end = _instant("--until", until) or now
    if end > now:
        expected = f"expected no later than {now:%FT%TZ}"
        raise ParameterError("--until", f"{end:%FT%TZ}", expected)
    bring_up_to_date(place.store, found["ledger"].value)
    with contextlib.closing(Replica(place.store)) as replica:
        replica.check_anchors(place.anchors)
        key_file = None if unsigned else found["key_file"].value
        signer = _find_signer(replica, key_file, now, unsigned=unsigned)
        wanted = Wanted(
            tenant=tenant,
            since=_instant("--since", since),
            until=end,
            now=now,
            anchors=replica.all_anchors(place.anchors),
        )
        decisions = DecisionView(find_decisions(place.store))
        with working("Writing", as_json=as_json), making_file(output) as file:
            done = export_pack(replica, decisions, wanted, file, signer)
    _write_exported(done, output, as_json=as_json)


def _find_signer(
    replica: Replica, key_file: Path | None, now: datetime, *, unsigned: bool
) -> Signer | None:
    from thim.services.evidence_keys import (  # noqa: PLC0415 - rarely wanted
        open_signer,
    )

    if unsigned or key_file is None:
        return None
    return open_signer(replica, key_file, now)


def _write_exported(done: Exported, output: Path, *, as_json: bool) -> None:
    account = {
        "file": str(output),
        "since": f"{done.since:%FT%TZ}",
        "until": f"{done.until:%FT%TZ}",
        "sha256sums": done.sha256,
        "signed_by": done.kid,
        "events_head": done.head,
        "counts": done.counts,
    }
    if as_json:
        typer.echo(json.dumps(account, indent=2))
        return
    typer.echo(
        f"{output}: from {done.since:%FT%TZ} to {done.until:%FT%TZ}, "
        f"{done.counts['events']} events, {done.counts['decisions']} "
        f"decisions about evidence, {done.counts['documents']} documents"
    )
    signed = f"signed by {done.kid}" if done.kid else "nobody has signed it"
    typer.echo(f"{signed}; SHA256SUMS is {done.sha256}")
    typer.echo(f"the events' chain ends with {done.head}: keep that")


@app.command()
def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The evidence pack.")
    ],
    jwks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The service's keys as you kept them, from `/certs` or `thim "
            "signing export`. Default: those in the pack, which proves less.",
        ),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A root beside the vendors', PEM or DER, which the store's "
            "operator had added; may be given several times.",
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Check an evidence pack, without the store that it came from.

    Exit code 1 if anything is wrong with it.
    """
    from thim.cli.progress import working  # noqa: PLC0415 - loads rich
    from thim.services.evidence_check import (  # noqa: PLC0415 - loads SQLAlchemy
        check_pack,
    )

    anchors = _with_roots(place_of(configure({}, config)).anchors, root or [])
    keys = None if jwks is None else read_bounded(jwks, _MOST_JWKS)
    with working("Checking", as_json=as_json):
        account = check_pack(file, anchors, keys)
    _write_account(account, as_json=as_json)
    raise typer.Exit(0 if account.holds else 1)


def _with_roots(anchors: TrustAnchors, files: Sequence[Path]) -> TrustAnchors:
    from thim.services.trust import MOST_BYTES, parse_root  # noqa: PLC0415

    roots = [parse_root(read_bounded(file, MOST_BYTES)) for file in files]
    pins = frozenset(map(spki_sha256, roots))
    return TrustAnchors(spki_sha256=anchors.spki_sha256 | pins)


def _write_account(account: Account, *, as_json: bool) -> None:
    from thim.services.evidence_limits import (  # noqa: PLC0415
        CANNOT_PROVE,
    )

    manifest = account.manifest
    if as_json:
        rows = [
            {**dataclasses.asdict(check), "outcome": check.outcome.value}
            for check in account.checks
        ]
        whole = {
            "holds": account.holds,
            "tenant": manifest["tenant"],
            "since": manifest["since"],
            "until": manifest["until"],
            "checks": rows,
            "cannot_prove": CANNOT_PROVE,
        }
        typer.echo(json.dumps(whole, indent=2))
        return
    whose = manifest["tenant"] or "all tenants"
    about = f"{whose}, {manifest['since']} to {manifest['until']}"
    typer.echo(printable(about))
    for check in account.checks:
        detail = printable(check.detail)
        typer.echo(f"{check.outcome.value:6} {check.name}: {detail}")
    typer.echo("This does not prove:")
    for each in CANNOT_PROVE:
        typer.echo(f"  {each}")


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = parse_instant(text)
        to_stored(found)
    except (ParameterError, ValueError, OverflowError):
        expected = "expected an instant such as 2026-11-02T09:00:00Z"
        raise ParameterError(option, text, expected) from None
    return found
