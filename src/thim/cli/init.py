"""
``thim init``: day zero.

Everything is made in one run or nothing is.  The first file, the admin's
token, is also the lock: of two runs at once one finds it there.
"""

from __future__ import annotations

import contextlib
import os
import ssl

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.actor import os_user
from thim.cli.hosts import Names, find_hosts
from thim.cli.layout import Layout, find_places
from thim.cli.options import Json
from thim.cli.showing import write_json
from thim.cli.trusting import how_to_trust
from thim.cli.values import parse_file, parse_listen
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import OperatorError, ParameterError
from thim.http.certificate import CertificateFiles
from thim.services.clock import utc_now
from thim.services.pki import make_ca, make_server, to_key_pem
from thim.services.secrets import (
    PUBLIC,
    SECRET,
    check_key,
    load_or_make_key,
    write_new,
)
from thim.services.tokens import Role, make_token
from thim.store.location import parse_location
from thim.store.replica import Replica
from thim.x509.chain import to_pem
from thim.x509.issue import spell_hosts


if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.x509 import Certificate

    from thim.cli.values import Address
    from thim.store.token_view import StoredToken


def init(
    name: Names = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where keys and certificates go. Default: /var/lib/thim for "
            "root, else your data folder.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The configuration to write. Default: thim.toml in the "
            "folder; for root without --folder /etc/thim/thim.toml.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The store, which may be there already. Also THIM_STORE; "
            "default: thim.db in the folder.",
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Where the service listens."),
    ] = "127.0.0.1:8080",
    tls_cert: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Your own certificate chain, PEM: there is no private CA "
            "then.",
        ),
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its private key, PEM.")
    ] = None,
    as_json: Json = False,
) -> None:
    """
    Set thim up: configuration, keys, a private CA, the first admin token.

    Nothing that is there already is changed.
    """
    provided = _provided(tls_cert, tls_key)
    if provided is not None and name:
        expected = "expected none: the names are in --tls-cert"
        raise ParameterError("--name", ", ".join(name), expected)
    folder, config = find_places(folder, config)
    named = store or os.environ.get("THIM_STORE")
    layout = Layout(
        folder=folder,
        config=config,
        store=parse_location(named) if named else folder / "thim.db",
        listen=_listen(listen),
        provided=provided,
        hosts=[] if provided else find_hosts(name or []),
    )
    layout.check_is_new()
    _check_store(layout)
    ca = _make(layout)
    if as_json:
        write_json(layout.to_json())
    else:
        typer.echo("\n".join(_report(layout, ca)))


def _listen(text: str) -> Address:
    try:
        return parse_listen(text)
    except ValueError as e:
        raise ParameterError("--listen", text, str(e)) from None


def _provided(cert: str | None, key: str | None) -> CertificateFiles | None:
    if cert is None and key is None:
        return None
    cert_file, key_file = _file("--tls-cert", cert), _file("--tls-key", key)
    if cert_file is None or key_file is None:
        missing = "--tls-cert" if cert is None else "--tls-key"
        msg = f"{missing} is missing: a certificate and its key go together"
        raise OperatorError(msg, reason="config-tls")
    files = CertificateFiles(cert=cert_file, key=key_file, is_ours=False)
    files.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), utc_now())
    return files


def _file(option: str, text: str | None) -> Path | None:
    try:
        return None if text is None else parse_file(text).absolute()
    except ValueError as e:
        raise ParameterError(option, str(text), str(e)) from None


def _check_store(layout: Layout) -> None:
    if os.path.lexists(layout.store):
        with contextlib.closing(Replica(layout.store)) as replica:
            replica.check_anchors(VENDOR_ROOTS)
            check_key(replica, layout.key)


class _Making:
    """
    What a run has made, in case it has to be taken back.
    """

    def __init__(self) -> None:
        self._made: list[Path] = []

    def folder(self, path: Path, mode: int) -> None:
        """
        Make a folder, and those above it, where there is none.
        """
        if path.is_dir():
            return
        self.folder(path.parent, 0o755)
        try:
            path.mkdir(mode)
        except FileExistsError:
            if not path.is_dir():
                raise
            return  # another run was faster: it is that one's to take back
        self._made.append(path)

    def file(self, path: Path, content: bytes, mode: int = SECRET) -> None:
        """
        Write a file that is not there.
        """
        write_new(path, content, mode)
        self._made.append(path)

    def store(self, path: Path) -> None:
        """
        Make the store, unless there is one.
        """
        from thim.store.create import (  # noqa: PLC0415 - loads Alembic
            create_store,
        )

        if not path.exists():
            create_store(path, VENDOR_ROOTS)
            beside = (path.with_name(path.name + s) for s in ("-wal", "-shm"))
            self._made += [*beside, path]

    def key(self, path: Path) -> None:
        """
        Make the sealing key, unless there is one.
        """
        is_new = not os.path.lexists(path)
        load_or_make_key(path)
        self._made += [path] if is_new else []

    def undo(self) -> None:
        """
        Remove what was made, as far as that is possible.
        """
        for path in reversed(self._made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()


@contextlib.contextmanager
def _making(layout: Layout) -> Iterator[_Making]:
    making = _Making()
    try:
        yield making
    except OSError as e:
        making.undo()
        layout.check_is_new()  # was somebody else faster? It says so.
        msg = f"{e.filename}: {e.strerror}; nothing was changed"
        raise OperatorError(msg, reason="init-unwritable") from e
    except BaseException:
        making.undo()
        raise


def _make(layout: Layout) -> Certificate | None:
    now = utc_now()
    text, kept = make_token("first admin", Role.ADMIN, actor=os_user(), now=now)
    with _making(layout) as making:
        making.folder(layout.folder, 0o700)
        making.folder(layout.config.parent, 0o755)
        making.folder(layout.store.parent, 0o700)
        making.file(layout.token, f"{text}\n".encode())
        ca = None if layout.provided else _make_pki(layout, making)
        making.store(layout.store)
        making.key(layout.key)
        making.file(layout.config, _encode(layout.to_toml()), PUBLIC)
        # Last, because it cannot be taken back.
        _add_token(layout.store, kept)
    return ca


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        msg = "expected paths in UTF-8: a configuration holds no others"
        raise OperatorError(msg, reason="init-path") from None


def _make_pki(layout: Layout, making: _Making) -> Certificate:
    now, files = utc_now(), layout.pki
    ca = make_ca(layout.hosts, now)
    server, key = make_server(ca, layout.hosts, now)
    making.file(files.ca_key, to_key_pem(ca.key))
    making.file(files.ca_cert, to_pem([ca.certificate]), PUBLIC)
    making.file(files.key, key)
    making.file(files.cert, to_pem([server]), PUBLIC)
    return ca.certificate


def _add_token(store: Path, kept: StoredToken) -> None:
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    with Ledger(store, VENDOR_ROOTS) as ledger:
        ledger.tokens.add(kept)


def _report(layout: Layout, ca: Certificate | None) -> Iterator[str]:
    yield f"configuration  {layout.config}"
    yield f"store          {layout.store}"
    yield f"sealing key    {layout.key}"
    yield "               (keep a copy elsewhere: secrets in the store are"
    yield "               lost without it)"
    yield f"admin token    {layout.token}"
    if ca is not None:
        pki = layout.pki
        yield f"private CA     {pki.ca_cert}, its key {pki.ca_key}"
        yield f"certificate    {pki.cert}, its key {pki.key},"
        yield f"               for {spell_hosts(layout.hosts)};"
        yield "               the service renews it"
    yield f"Intel API key  none; the last lines of {layout.config}"
    yield "               say where it goes"
    yield ""
    yield f"Start it:      thim serve --config {layout.config}"
    yield f"It listens on  https://{layout.listen} (the setting `listen`)"
    if layout.url is not None:
        yield f"Its tokens say {layout.url} (`attestation_url`)"
    if ca is not None:
        yield ""
        yield how_to_trust(ca, layout.pki.ca_cert)
