"""
``thim bundle``: carry vendors' documents into closed sites.
"""

from __future__ import annotations

import contextlib
import json
import sys

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.actor import os_user
from thim.cli.options import (
    Config,
    Json,
    Place,
    Store,
    configure,
    place_of,
    target_of,
)
from thim.cli.signers import Signer, read_public_key
from thim.errors import OperatorError, ParameterError


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.amd.tcb import TcbVersion
    from thim.cli.config import Configuration
    from thim.collateral.bundle_keys import PublicKey
    from thim.services.bundle_export import Request
    from thim.services.bundle_files import Signers
    from thim.services.bundle_request import Site
    from thim.store.ledger import Ledger

app = typer.Typer(
    help="Carry vendors' documents into closed sites, in signed files.",
    no_args_is_help=True,
)
key_app = typer.Typer(
    help="The key that bundles and requests are signed with.",
    no_args_is_help=True,
)
app.add_typer(key_app, name="key")

_DIGITS: Final = 64

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Where to; a file that is there is never overwritten.",
    ),
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="The bundle.")]
Trust = Annotated[
    str | None,
    typer.Option(
        "--trust",
        metavar="FINGERPRINT",
        help="Have also this signer count, at first contact: what `thim "
        "bundle key show` prints there, told by another way than the file.",
    ),
]


@key_app.command("new")
def new(store: Store = None, config: Config = None) -> None:
    """
    Make a key, where there is none yet; keep the file to yourself.
    """
    from thim.services.bundle_files import make_key  # noqa: PLC0415

    path = configure({"store": store}, config)["bundle_key"].value
    key = make_key(path)
    typer.echo(f"A new key is in {path}: keep a copy of it elsewhere.")
    _show(key.public)


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
    if as_json:
        shown = {"fingerprint": public.fingerprint, "key": public.text}
        typer.echo(json.dumps(shown, indent=2))
    else:
        _show(public)


def _show(public: PublicKey) -> None:
    typer.echo(f"fingerprint {public.fingerprint}")
    typer.echo(public.text)


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
    tcbs: Annotated[
        list[str] | None,
        typer.Option(
            "--tcb",
            metavar="PRODUCT:TCB",
            help="For each chip of that product line also this TCB: that of "
            "the next firmware, before it is rolled out. May be repeated.",
        ),
    ] = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Write down what this site has and wants, for whoever makes the bundle.

    Platforms with what Intel asks of them, the VCEKs that are wanted, FMSPCs,
    and the digests of what is here.
    """
    from thim.cli.prefetch import parse_product_tcb  # noqa: PLC0415
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
    from thim.services.bundle_export import Exporter  # noqa: PLC0415

    _check_options(
        request_file, since, fetch=fetch, machines=not without_machines
    )
    found = configure({"store": store}, config)
    with _site(found, "from") as site:
        with _open_request(request_file, site, found, trust) as asked:
            if fetch and asked is not None:
                _fetch(place_of(found), asked, site)
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
        signers = _find_signers(found, site.ledger, trust)
        yield Request(file=file, seal=file.verify(FileKind.REQUEST, signers))


def _fetch(place: Place, asked: Request, site: Site) -> None:
    import asyncio  # noqa: PLC0415

    from thim.cli.bundle_view import say_step  # noqa: PLC0415
    from thim.cli.quiet import quiet  # noqa: PLC0415
    from thim.services.bundle_fetch import RequestFetch  # noqa: PLC0415
    from thim.services.secrets import provide_sealer  # noqa: PLC0415
    from thim.services.side import facing_vendors  # noqa: PLC0415

    if not place.vendors.is_on:
        msg = "--fetch: fill = offline, or no upstream: no vendor is ever asked"
        raise OperatorError(msg, reason="offline")
    key_file = place.vendors.key_file or place.store.with_name("thim.key")

    async def run() -> None:
        async with facing_vendors(
            place.store, place.anchors, place.vendors, place.clock
        ) as side:
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


@app.command("import")
def import_(
    file: File,
    trust: Trust = None,
    older: Annotated[
        bool,
        typer.Option(
            "--older",
            help="Take it in though a newer one of its signer was imported.",
        ),
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Take a bundle in: its signature says that it is whole, and each document
    is verified for itself.

    Exit code 1 if something in it does not hold; the rest is kept.
    """
    from thim.cli.bundle_view import (  # noqa: PLC0415
        say_already,
        write_imported,
    )
    from thim.collateral.bundle_parts import FileKind  # noqa: PLC0415
    from thim.services.bundle_files import SignedFile  # noqa: PLC0415
    from thim.services.bundle_import import (  # noqa: PLC0415
        BundleImport,
        check_order,
    )
    from thim.services.bundle_until import find_until  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415

    found = configure({"store": store}, config)
    place = target_of(found)
    now = place.clock()
    with SignedFile(file) as opened, Ledger(place.store, place.anchors) as into:
        signers = _find_signers(found, into, trust)
        seal = opened.verify(FileKind.BUNDLE, signers)
        if not check_order(into, seal, is_older_fine=older):
            say_already(seal, as_json=as_json)
            return
        taking = BundleImport(into, seal, now)
        _run(taking.take(opened.parts(seal)))
        until = find_until(place.store, place.vendors, now)
        taking.note(until.at, os_user())
    write_imported(seal, taking.report, until, now, as_json=as_json)
    raise typer.Exit(1 if taking.report.refused_count else 0)


@app.command()
def verify(
    file: File,
    trust: Trust = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Do all that an import does, on a store that is thrown away.

    Works without any store; where there is one it also says whether the bundle
    is newer than what was imported there. What contradicts documents that are
    there shows on import only. Exit code 1 if something does not hold.
    """
    import tempfile  # noqa: PLC0415

    from thim.cli.bundle_view import write_verified  # noqa: PLC0415
    from thim.collateral.bundle_parts import FileKind  # noqa: PLC0415
    from thim.services.bundle_files import SignedFile  # noqa: PLC0415
    from thim.services.bundle_import import (  # noqa: PLC0415
        BundleImport,
        judge_order,
    )
    from thim.services.bundle_until import find_until  # noqa: PLC0415
    from thim.store.create import create_store  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415

    found = configure({"store": store}, config)
    place = place_of(found)
    now = place.clock()
    with SignedFile(file) as opened, _maybe_ledger(place) as own:
        signers = _find_signers(found, own, trust)
        seal = opened.verify(FileKind.BUNDLE, signers)
        order = judge_order(own, seal)
        anchors = place.anchors if own is None else own.anchors()
        with tempfile.TemporaryDirectory(prefix="thim-bundle-") as folder:
            scratch = Path(folder) / "thim.db"
            create_store(scratch, anchors)
            with Ledger(scratch, anchors) as into:
                taking = BundleImport(into, seal, now, is_trial=True)
                _run(taking.take(opened.parts(seal)))
            until = find_until(scratch, place.vendors, now)
    write_verified(seal, taking.report, until, order, now, as_json=as_json)
    is_fine = not taking.report.refused_count and order.is_fine
    raise typer.Exit(0 if is_fine else 1)


@app.command("list")
def list_(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    List the bundles that were made here, and those that were imported.
    """
    from thim.cli.bundle_view import write_bundles  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415

    place = place_of(configure({"store": store}, config))
    with Ledger(place.store, place.anchors) as ledger:
        write_bundles(ledger.bundles.all(), as_json=as_json)


@contextlib.contextmanager
def _site(found: Configuration, how: str) -> Iterator[Site]:
    from thim.services.bundle_files import read_key  # noqa: PLC0415
    from thim.services.bundle_request import Site  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415
    from thim.store.replica import Replica  # noqa: PLC0415

    place = target_of(found, how)
    key = read_key(found["bundle_key"].value)
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


@contextlib.contextmanager
def _maybe_ledger(place: Place) -> Iterator[Ledger | None]:
    from thim.store.ledger import Ledger  # noqa: PLC0415

    if not place.store.exists():
        yield None
        return
    with Ledger(place.store, place.anchors) as ledger:
        yield ledger


def _find_signers(
    found: Configuration, ledger: Ledger | None, trust: str | None
) -> Signers:
    from thim.services.bundle_files import Signers  # noqa: PLC0415

    named: Sequence[Signer] | None = found["bundle_signers"].value
    if named is not None:
        digests = {signer.digest for signer in named}
    else:
        digests = set() if ledger is None else set(ledger.bundles.signers())
    if trust is not None:
        digests.add(_parse_trust(trust))
    hint = "`--trust` with this fingerprint has it count, or bundle_signers"
    return Signers(digests=digests, hint=hint)


def _parse_trust(text: str) -> bytes:
    with contextlib.suppress(ValueError):
        if len(text.strip()) == _DIGITS:
            return bytes.fromhex(text.strip())
    expected = "expected a fingerprint of 64 hexadecimal digits"
    raise ParameterError("--trust", text, expected)


def _run(reports: Iterator[object]) -> None:
    """Take a bundle in, and show on a terminal how far it is."""
    is_shown = sys.stderr.isatty()
    for report in reports:
        if is_shown:
            sys.stderr.write(f"\r{report}\033[K")
    if is_shown:
        sys.stderr.write("\r\033[K")
