"""
``thim bundle``: carry vendors' documents into closed sites.
"""

from __future__ import annotations

import contextlib
import json

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.actor import os_user
from thim.cli.bundle_trust import Trust, find_signers
from thim.cli.chip_tcbs import Tcbs, parse_product_tcb
from thim.cli.facing import check_is_on, facing
from thim.cli.options import (
    Config,
    Json,
    Place,
    Store,
    configure,
    place_of,
    target_of,
)
from thim.cli.showing import write_done
from thim.cli.signers import Signer, read_public_key
from thim.errors import OperatorError, ParameterError


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.amd.tcb import TcbVersion
    from thim.cli.config import Configuration
    from thim.collateral.bundle_keys import PublicKey
    from thim.services.bundle_export import Request
    from thim.services.bundle_request import Site

app = typer.Typer(no_args_is_help=True)
key_app = typer.Typer(
    help="The key that bundles and requests are signed with.",
    no_args_is_help=True,
)
app.add_typer(key_app, name="key")

#: That of `collateral.bundle_parts`, which takes long to load.
_MOST_COUNTER: Final = 2**53

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Where to; a file that is there is never overwritten.",
    ),
]


@key_app.command("create")
def create(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    Make a key, where there is none yet; keep the file to yourself.
    """
    from thim.services.bundle_files import make_key  # noqa: PLC0415

    path = configure({"store": store}, config)["bundle_key"].value
    key = make_key(path)
    if not as_json:
        typer.echo(f"A new key is in {path}: keep a copy of it elsewhere.")
    _show(key.public, as_json=as_json)


@key_app.command("show")
def show(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    Print the public key, for the other side, and its fingerprint.
    """
    from thim.services.bundle_files import read_key  # noqa: PLC0415

    found = configure({"store": store}, config)
    public = read_key(found["bundle_key"].value).public
    _show(public, as_json=as_json)


def _show(public: PublicKey, *, as_json: bool) -> None:
    write_done(
        {"fingerprint": public.fingerprint, "key": public.text},
        f"fingerprint {public.fingerprint}",
        public.text,
        as_json=as_json,
    )


@app.command()
def request(
    output: Output,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE",
            help="The public key of whoever makes the bundle: platforms' "
            "manifests are sealed for it. Default: the one file that "
            "bundle_signers names.",
        ),
    ] = None,
    tcbs: Tcbs = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Write down what this site has and wants, for whoever makes the bundle.

    Platforms with what Intel asks of them, the VCEKs that are wanted, FMSPCs,
    and the digests of what is here.
    """
    from thim.services.bundle_request import (  # noqa: PLC0415
        Asking,
        spell_counts,
        write_request,
    )
    from thim.services.secrets import open_sealer  # noqa: PLC0415

    found = configure({"store": store}, config)
    recipient = _find_recipient(found, to)
    wanted: list[TcbVersion] = list(map(parse_product_tcb, tcbs or []))
    with _site(found, "from") as site:
        key_file: Path = found["key_file"].value
        asking = Asking(
            recipient=recipient,
            open_sealer=lambda: open_sealer(site.replica, key_file),
            tcbs=wanted,
            fmspcs=found["fmspcs"].value or frozenset(),
        )
        counts = write_request(output, asking, site)
    if as_json:
        typer.echo(json.dumps({"file": str(output), **counts}, indent=2))
    else:
        typer.echo(f"{output}: {spell_counts(counts)}")


def _find_recipient(
    found: Configuration, path: Path | None
) -> PublicKey | None:
    if path is not None:
        try:
            return read_public_key(path)
        except ValueError as e:
            raise ParameterError("--to", str(path), str(e)) from None
    named: tuple[Signer, ...] = found["bundle_signers"].value or ()
    keys = [signer.key for signer in named if signer.key is not None]
    return keys[0] if len(keys) == 1 else None


@app.command()
def export(
    output: Output,
    request_file: Annotated[
        Path | None,
        typer.Option(
            "--request",
            metavar="FILE",
            help="What `thim bundle request` wrote there: of machines only "
            "those go along, and what that site has stays behind. Default: "
            "everything.",
        ),
    ] = None,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch",
            help="First ask the vendors for what the request wants and is "
            "missing; its platforms are registered here.",
        ),
    ] = False,
    since: Annotated[
        int | None,
        typer.Option(
            "--since",
            metavar="COUNTER",
            min=1,
            max=_MOST_COUNTER,
            help="Without a request: only what is new since that bundle.",
        ),
    ] = None,
    without_machines: Annotated[
        bool,
        typer.Option(
            "--without-machines",
            help="Without a request: only documents that name no machine, for "
            "a site that is not to learn which there are here.",
        ),
    ] = False,
    counter: Annotated[
        int | None,
        typer.Option(
            "--counter",
            metavar="COUNTER",
            min=1,
            max=_MOST_COUNTER,
            help="The bundle's number, after a store was restored that did "
            "not know of the last ones. Default: the next.",
        ),
    ] = None,
    trust: Trust = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Make a bundle: documents of every number and date, chains, lists and
    machines' certificates, in one signed file.

    Nobody is asked for anything, except with --fetch. Exit code 1 if something
    that the request wants is missing.
    """
    from thim.cli.bundle_view import write_exported  # noqa: PLC0415
    from thim.cli.progress import working  # noqa: PLC0415 - loads rich
    from thim.services.bundle_export import Exporter  # noqa: PLC0415
    from thim.services.bundle_files import check_free  # noqa: PLC0415

    _check_options(
        request_file, since, fetch=fetch, machines=not without_machines
    )
    check_free(output)  # and not only after hours of fetching
    found = configure({"store": store}, config)
    with _site(found, "from") as site:
        with _open_request(request_file, site, found, trust) as asked:
            if fetch and asked is not None:
                _fetch(place_of(found), asked, site)
            with working("Writing", as_json=as_json):
                made = Exporter(site).export(
                    output,
                    request=asked,
                    since=since,
                    counter=counter,
                    machines=not without_machines,
                )
        write_exported(output, made, as_json=as_json)
    raise typer.Exit(1 if made.missing.total() else 0)


def _check_options(
    request_file: Path | None,
    since: int | None,
    *,
    fetch: bool,
    machines: bool,
) -> None:
    if request_file is None and fetch:
        msg = "--fetch: expected --request beside it, which says for what"
        raise OperatorError(msg, reason="bundle-options")
    if request_file is not None and since is not None:
        msg = "--since: expected no --request, which says itself what is there"
        raise OperatorError(msg, reason="bundle-options")
    if request_file is not None and not machines:
        msg = "--without-machines: expected no --request, which names machines"
        raise OperatorError(msg, reason="bundle-options")


@contextlib.contextmanager
def _open_request(
    path: Path | None, site: Site, found: Configuration, trust: str | None
) -> Iterator[Request | None]:
    from thim.collateral.bundle_parts import FileKind  # noqa: PLC0415
    from thim.services.bundle_export import Request  # noqa: PLC0415
    from thim.services.bundle_files import SignedFile  # noqa: PLC0415

    if path is None:
        yield None
        return
    with SignedFile(path) as file:
        signers = find_signers(found, site.ledger, trust)
        yield Request(file=file, seal=file.verify(FileKind.REQUEST, signers))


def _fetch(place: Place, asked: Request, site: Site) -> None:
    import asyncio  # noqa: PLC0415

    from thim.cli.bundle_view import say_step  # noqa: PLC0415
    from thim.cli.quiet import quiet  # noqa: PLC0415
    from thim.services.bundle_fetch import RequestFetch  # noqa: PLC0415
    from thim.services.secrets import provide_sealer  # noqa: PLC0415

    check_is_on(place, "--fetch: fill = offline, or no upstream")
    key_file = place.vendors.key_file or place.store.with_name("thim.key")

    async def run() -> None:
        async with facing(place) as side:
            fetching = RequestFetch(
                side,
                asked,
                site.key,
                lambda: provide_sealer(side.ledger, key_file),
            )
            async for step in fetching.run():
                say_step(step)

    with quiet():
        asyncio.run(run())


@contextlib.contextmanager
def _site(found: Configuration, how: str) -> Iterator[Site]:
    from thim.services.bundle_files import read_key  # noqa: PLC0415
    from thim.services.bundle_request import Site  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415
    from thim.store.replica import Replica  # noqa: PLC0415
    from thim.store.up_to_date import bring_up_to_date  # noqa: PLC0415

    place = target_of(found, how)
    key = read_key(found["bundle_key"].value)
    bring_up_to_date(place.store)
    with (
        Ledger(place.store, place.anchors) as ledger,
        contextlib.closing(Replica(place.store)) as replica,
    ):
        yield Site(
            ledger=ledger,
            replica=replica,
            key=key,
            actor=os_user(),
            now=place.clock(),
        )
