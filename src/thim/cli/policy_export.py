"""
``thim policy export``: all attestation policies that are in force, as text.
"""

from __future__ import annotations

import contextlib

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thim.attestation.policy_jws import read_stored_jws
from thim.cli.completing import complete_tenants
from thim.cli.options import Config, Json, Store, find_place
from thim.cli.showing import write_done
from thim.services.export_folder import write_folder
from thim.store.attestation_view import AttestationView
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.store.attestation_view import StoredPolicy


def export(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder.")
    ],
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Of this tenant alone.",
            autocompletion=complete_tenants,
        ),
    ] = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Write the policies that are in force to DIR/TENANT/TYPE.txt, and each as it
    was set, with its signature, to TYPE.jws.

    `thim policy check` reads the text; default policies are not written.
    """
    place = find_place(store, config)
    with contextlib.closing(Replica(place.store)) as replica:
        newest = {
            (policy.tenant, policy.kind): policy
            for policy in AttestationView(replica).policies()
        }
    chosen = [
        policy
        for (whose, _), policy in sorted(newest.items())
        if tenant in {None, whose} and policy.jws is not None
    ]
    write_folder(folder, _list_files(chosen))
    count = "1 policy" if len(chosen) == 1 else f"{len(chosen)} policies"
    write_done(
        {"folder": str(folder), "policies": len(chosen)},
        f"{folder}: {count}",
        as_json=as_json,
    )


def _list_files(policies: list[StoredPolicy]) -> Iterator[tuple[str, bytes]]:
    for policy in policies:
        jws = policy.jws or b""
        name = f"{policy.tenant}/{policy.kind}"
        yield f"{name}.jws", jws
        yield f"{name}.txt", (read_stored_jws(jws).text or "").encode()
