"""
``thim tenant``: whom we serve, and by which baseline.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from thim.baseline.definition import Kind, parse_host
from thim.baseline.model import (
    DEFAULT,
    Overrides,
    Per,
    Quota,
    Tenant,
)
from thim.cli.actor import os_user
from thim.cli.completing import complete_baselines, complete_tenants
from thim.cli.options import (
    Config,
    Json,
    Place,
    Store,
    find_place,
    find_target,
)
from thim.cli.showing import say, write_done
from thim.cli.tables import write_table
from thim.errors import ParameterError
from thim.services.platform_admin import parse_labels
from thim.services.tenant_views import describe_tenant
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from thim.services.deciding import Decider, Decision

app = typer.Typer(no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The tenant.", autocompletion=complete_tenants
    ),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="HOST", help="A host name that is theirs."),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="KEY=VALUE",
        help="Their platforms are those with this label; without any, all.",
    ),
]
Requests = Annotated[
    int | None,
    typer.Option(
        "--quota",
        metavar="N",
        min=0,
        max=1_000_000,
        help="Requests in a minute for each source or token; 0: no quota.",
    ),
]
By = Annotated[
    Per | None,
    typer.Option("--quota-per", help="What a quota is for; default: source."),
]
Reason = Annotated[
    str, typer.Option(metavar="TEXT", help="Why, for the history.")
]


@app.command()
def create(
    name: Name,
    baseline: Annotated[
        str,
        typer.Option(
            metavar="B",
            help="The baseline in force for them.",
            autocompletion=complete_baselines,
        ),
    ] = DEFAULT.name,
    overrides: Annotated[
        Overrides,
        typer.Option(
            help="allowed: their callers may ask for other numbers; never: "
            "the baseline is a minimum.",
        ),
    ] = Overrides.NEVER,
    host: Hosts = None,
    label: Labels = None,
    quota: Requests = None,
    quota_per: By = None,
    reason: Reason = "",
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Create a tenant.
    """
    tenant = Tenant(
        name=name,
        baseline=baseline,
        overrides=overrides,
        hosts=_read_hosts(host or []),
        labels=_read_labels(label or []),
        quota=_read_quota(None, quota, quota_per),
    )
    with deciding_about_tenants(store, config, reason or "created") as (
        decider,
        decision,
    ):
        made = decider.create_tenant(tenant, decision)
    write_done(
        {"tenant": name, "version": made.version},
        f"Tenant {name} is there, at baseline {baseline}.",
        as_json=as_json,
    )


@app.command("set")
def set_(
    name: Name,
    overrides: Annotated[
        Overrides | None,
        typer.Option(help="Whether callers may ask for other numbers."),
    ] = None,
    host: Hosts = None,
    no_hosts: Annotated[
        bool, typer.Option("--no-hosts", help="No host name is theirs.")
    ] = False,
    label: Labels = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="All platforms are theirs.")
    ] = False,
    quota: Requests = None,
    quota_per: By = None,
    if_version: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only if it is at this version still."),
    ] = None,
    reason: Reason = "",
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Change a tenant: hosts and labels that are given take the place of all from
    before, and what is not given stays.  The root is the tenant `root`.

    Their baseline is changed by a plan: `thim baseline plan B --tenant NAME`.
    """
    changes: dict[str, Any] = {}
    if overrides is not None:
        changes["overrides"] = overrides
    if host or no_hosts:
        changes["hosts"] = _read_hosts(host or [])
    if label or no_labels:
        changes["labels"] = _read_labels(label or [])
    with deciding_about_tenants(store, config, reason or "changed") as (
        decider,
        decision,
    ):
        now = decision.now
        current = decider.book.find_tenant(name, now, now)
        changes["quota"] = _read_quota(current.quota, quota, quota_per)
        changed = dataclasses.replace(current, **changes)
        if changed == current:
            raise ParameterError("NAME", name, "expected something to change")
        seen = current.version if if_version is None else if_version
        changed = decider.change_tenant(changed, decision, seen=seen)
    write_changed(changed, as_json=as_json)


def write_changed(tenant: Tenant, *, as_json: bool) -> None:
    """
    Print which version of a tenant is in force now.
    """
    write_done(
        {"tenant": tenant.name, "version": tenant.version},
        f"Tenant {tenant.name} is at version {tenant.version}.",
        as_json=as_json,
    )


@app.command()
def delete(
    name: Name,
    reason: Reason = "",
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Delete a tenant: its path and host names are unknown from now on, its
    tokens are revoked, its past stays.
    """
    with deciding_about_tenants(store, config, reason or "deleted") as (
        decider,
        decision,
    ):
        decider.delete_tenant(name, decision)
    write_done(
        {"tenant": name, "version": None},
        f"There is no tenant {name} any more.",
        as_json=as_json,
    )


@app.command("list")
def list_(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    List the tenants, and at which number each stands.
    """
    place = find_place(store, config)
    now = place.clock()
    with _reading(place) as replica:
        tenants = replica.book().tenants(now)
        rows = [describe_tenant(replica, tenant, now) for tenant in tenants]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    write_table(
        [title.replace("_", " ") for title in _COLUMNS],
        [[_spell(row[title]) for title in _COLUMNS] for row in rows],
    )


_COLUMNS: Final = (
    "name",
    "baseline",
    "number",
    "overrides",
    "hosts",
    "labels",
    "quota",
    "version",
)


@app.command()
def show(
    name: Name,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show a tenant, and who has decided what about it.
    """
    place = find_place(store, config)
    now = place.clock()
    with _reading(place) as replica:
        tenant = replica.book().find_tenant(name, now, now)
        row = describe_tenant(replica, tenant, now)
        history = [
            {
                "version": decision.version,
                "effective": f"{decision.effective:%FT%TZ}",
                "decided": f"{decision.decided:%FT%TZ}",
                "actor": decision.actor,
                "reason": decision.reason,
            }
            for decision in replica.book().enactments(Kind.TENANT, name)
        ]
    if as_json:
        typer.echo(json.dumps({**row, "history": history}, indent=2))
        return
    attestation = row.pop("attestation")
    for title, value in {**row, **attestation}.items():
        say(f"{title.replace('_', ' '):20}{_spell(value)}")
    for line in history:
        text = (
            f"version {line['version']} since {line['effective']}, by "
            f"{line['actor']}: {line['reason']}"
        )
        say(text)


def _spell(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{key}={each}" for key, each in value.items()]
    if isinstance(value, list):
        return ", ".join(map(_spell_one, value)) or "-"
    return "-" if value is None else str(value)


def _spell_one(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    ways = " ".join(f"{k}={v}" for k, v in value.items() if k != "status")
    return f"{value['status']} ({ways})"


def _read_hosts(texts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parse_host(text, "--host") for text in texts))


def _read_labels(texts: list[str]) -> Mapping[str, str]:
    labels = parse_labels(texts)
    for key, value in labels.items():
        if value is None:
            expected = "expected a value, since platforms are told by it"
            raise ParameterError("--label", f"{key}=", expected)
    return {key: value for key, value in labels.items() if value is not None}


def _read_quota(
    current: Quota | None, requests: int | None, per: Per | None
) -> Quota | None:
    if requests == 0:
        return None
    if requests is None and per is None:
        return current
    if requests is None and current is None:
        expected = "expected --quota beside it"
        raise ParameterError("--quota-per", str(per and per.value), expected)
    usual = current or Quota(requests=0)
    return Quota(requests=requests or usual.requests, per=per or usual.per)


@contextlib.contextmanager
def _reading(place: Place) -> Iterator[Replica]:
    with contextlib.closing(Replica(place.store)) as replica:
        yield replica


@contextlib.contextmanager
def deciding_about_tenants(
    store: str | None, config: Path | None, reason: str
) -> Iterator[tuple[Decider, Decision]]:
    """
    Open the store to decide about tenants, as who runs the command.
    """
    from thim.services.deciding import (  # noqa: PLC0415 - loads SQLAlchemy
        Decision,
        deciding,
    )
    from thim.store.ledger import Ledger  # noqa: PLC0415

    place = find_target(store, config)
    with (
        Ledger(place.store, place.anchors) as ledger,
        deciding(ledger) as decider,
    ):
        # Only now: what others have decided meanwhile is in force by then.
        now = place.clock()
        yield decider, Decision(actor=os_user(), reason=reason, now=now)
