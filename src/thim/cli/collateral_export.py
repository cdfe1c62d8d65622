"""
``thim collateral export``: the archive in another program's layout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thim.baseline.model import ROOT
from thim.cli.completing import complete_baselines, complete_tenants
from thim.cli.options import Config, Json, Store, configure, freshen, place_of
from thim.cli.showing import write_done
from thim.errors import ParameterError
from thim.services.collateral_export import Layout, Wish, export_collateral


def export(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder.")
    ],
    layout: Annotated[
        Layout,
        typer.Option(
            help="pcs: Intel's PCS v4, as files for a web server; kds: AMD's "
            "KDS, so too; pccsadmin: the file that Intel's `pccsadmin put` "
            "takes, with all platforms; trustee: what CoCo's Trustee reads "
            "without a network.",
        ),
    ],
    tenant: Annotated[
        str,
        typer.Option(
            metavar="T",
            help="As this tenant gets it.",
            autocompletion=complete_tenants,
        ),
    ] = ROOT.name,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="B",
            help="By this baseline, not its own.",
            autocompletion=complete_baselines,
        ),
    ] = None,
    manifests: Annotated[
        bool,
        typer.Option(
            "--manifests",
            help="With platform manifests in the clear, for pccsadmin.",
        ),
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Write the archive out in the layout of another program.
    """
    from thim.cli.progress import working  # noqa: PLC0415 - loads rich

    if manifests and layout is not Layout.PCCSADMIN:
        expected = "expected with --layout pccsadmin alone"
        raise ParameterError("--manifests", layout.value, expected)
    found = configure({"store": store}, config)
    place = place_of(found)
    freshen(found)
    wish = Wish(
        layout=layout,
        tenant=tenant,
        baseline=baseline,
        key_file=found["key_file"].value if manifests else None,
    )
    with working("Writing", as_json=as_json):
        count = export_collateral(place.store, wish, folder, place.clock())
    files = "1 file" if count == 1 else f"{count} files"
    write_done(
        {"folder": str(folder), "layout": layout.value, "files": count},
        f"{folder}: {files} in the layout {layout.value}",
        as_json=as_json,
    )
