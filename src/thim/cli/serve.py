"""
``thim serve``: the service.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
import uvicorn

from uvicorn.supervisors import Multiprocess

from thim.baseline.provider_definition import parse_issuer
from thim.cli.checks import certificate_files, check_settings, pki_files
from thim.cli.config import Configuration
from thim.cli.listening import make_door, make_rates
from thim.cli.logs import find_logging
from thim.cli.options import Config, Place, Store, configure, place_of
from thim.cli.scratch import scratch_folder
from thim.cli.values import Address
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import OperatorError, ParameterError
from thim.http.app import AppFactory
from thim.http.door import Accepted
from thim.http.door_settings import DoorSettings
from thim.http.settings import HttpSettings
from thim.services.clock import utc_now
from thim.services.erasing import Retention
from thim.services.renewal import Renewer
from thim.services.secrets import check_key
from thim.store.lock import sharing
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator

_log: Final = logging.getLogger("uvicorn.error")
_BACKLOG: Final = 2048
_KEEP_ALIVE: Final = 60
#: Beside connections: the store, its log, vendors.
_OTHER_FILES: Final = 512
_SHUTDOWN: Final = 10
#: Seconds after which a worker that says nothing is killed: on a busy machine
#: one takes long to start, and its callers would be hung up on.
_SILENT: Final = 60
#: How the folders are called in which workers share what they count.
_METRICS: Final = "thim-metrics-"


def serve(
    config: Config = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Default: 127.0.0.1:8080."),
    ] = None,
    tls_cert: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Certificate chain, PEM."),
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its private key, PEM.")
    ] = None,
    store: Store = None,
    fill: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="When vendors are asked: lazy (default), registered, offline.",
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="The same as --fill offline."),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes. Default: 1.")
    ] = None,
) -> None:
    """
    Serve collateral.

    The default store is made on the first run; one that is named must be
    there (`thim db init`).
    """
    if offline and fill not in {None, "offline"}:
        raise ParameterError("--offline", str(fill), "expected no other --fill")
    flags = {
        "listen": listen,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "store": store,
        "fill": "offline" if offline else fill,
        "workers": workers,
    }
    found = configure(flags, config)
    place = place_of(found)
    with _renewing(found):
        check_settings(found)
        _provide_store(found, place, config)
        # Each worker shares the store as well; this is for between them.
        with sharing(place.store):
            _run(found, place)


@contextlib.contextmanager
def _renewing(found: Configuration) -> Iterator[None]:
    """
    Renew the server's certificate whenever it is time, if it is of a CA of
    ours.
    """
    files, ended = pki_files(found), threading.Event()
    if files is not None:
        renewer = Renewer(files, utc_now)
        renewer.look()
        renewer.start(ended)
    try:
        yield
    finally:
        ended.set()


def _provide_store(
    found: Configuration, place: Place, config: Path | None
) -> None:
    path, address = place.store, found["ledger"].value
    if address is not None:
        # Who has one file needs none of this.
        from thim.store.founding import provide_replica  # noqa: PLC0415

        provide_replica(path, address)
    elif found["store"].origin == "default" and not path.exists():
        # In a process of its own: a server has no use for the migrations.
        command = [sys.executable, "-m", "thim", "db", "init"]
        command += ["--store", str(path)]
        command += ["--config", str(config)] if config else []
        subprocess.run(command, check=False)  # noqa: S603
    with contextlib.closing(Replica(path)) as replica:
        replica.check()
        replica.check_anchors(place.anchors)
        check_key(replica, found["key_file"].value)


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


def _run(found: Configuration, place: Place) -> None:
    # uvicorn passes on the signal that has ended it, but not with workers.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    address: Address = found["listen"].value
    own: Address | None = found["admin_listen"].value
    _open_more_files(found["max_connections"].value)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(_listen(address))]
        door = make_door(found, certificate_files(found))
        if own is not None:
            listener = stack.enter_context(_listen(own))
            listeners.append(listener)
            bound = listener.getsockname()[:2]
            door = dataclasses.replace(door, admin=bound)
            own = dataclasses.replace(own, port=bound[1])
        port = listeners[0].getsockname()[1]
        address = dataclasses.replace(address, port=port)
        tallies = stack.enter_context(_sharing(found))
        config = _uvicorn_config(found, place, address, door, tallies)
        _introduce(place, address, own, door)
        if config.workers > 1:
            Multiprocess(config, sockets=listeners).run()
        else:
            uvicorn.Server(config).run(sockets=listeners)


def _introduce(
    place: Place, address: Address, own: Address | None, door: DoorSettings
) -> None:
    scheme = "http" if door.tls is None else "https"
    _log.info("thim serves on %s://%s from %s", scheme, address, place.store)
    if own is not None:
        _log.info("admin API and metrics on %s://%s", scheme, own)
    if place.anchors != VENDOR_ROOTS:
        _log.warning("test anchors: nothing that is served can be trusted")


def _open_more_files(connections: int) -> None:
    """
    Raise the limit of open files as far as may be needed and is allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        _log.warning(
            "max_connections is %d, and this user may open %d files: raise "
            "LimitNOFILE, or ulimit -n",
            connections,
            hard,
        )
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(address: Address) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.create_server(
            (address.host, address.port), family=family, backlog=_BACKLOG
        )
    except OSError as e:
        msg = f"cannot listen on {address}: {e.strerror or e}"
        raise OperatorError(msg, reason="listen") from e
    listener.set_inheritable(True)
    return listener


@contextlib.contextmanager
def _sharing(found: Configuration) -> Iterator[Path | None]:
    """
    Provide a folder in which several workers share what they count.
    """
    if found["workers"].value == 1:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder(_METRICS))
        except OSError:  # where nothing but the store may be written
            beside = found["store"].value.parent
            folder = stack.enter_context(scratch_folder(_METRICS, beside))
        yield folder


def _uvicorn_config(
    found: Configuration,
    place: Place,
    address: Address,
    door: DoorSettings,
    tallies: Path | None,
) -> uvicorn.Config:
    url = found["attestation_url"].value or _find_url(
        address, is_tls=door.tls is not None
    )
    settings = dataclasses.replace(
        _http_settings(found, place),
        attestation_url=url,
        door=door,
        tallies=tallies,
        tls_certificates=_certificates(door),
    )
    return uvicorn.Config(
        AppFactory(settings),
        factory=True,
        interface="asgi3",
        lifespan="on",
        loop="uvloop",
        http=Accepted,
        ws="none",
        log_config=find_logging(
            found["log_format"].value,
            found["log_level"].value,
            found["node_name"].value or socket.gethostname(),
        ),
        workers=found["workers"].value,
        access_log=found["access_log"].value,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_SHUTDOWN,
        timeout_worker_healthcheck=_SILENT,
    )


def _certificates(door: DoorSettings) -> tuple[Path, ...]:
    both = [tls for tls in (door.tls, door.admin_tls) if tls is not None]
    files = (each.cert for tls in both for each in tls.certificates)
    return tuple(dict.fromkeys(files))


def _find_url(address: Address, *, is_tls: bool) -> str | None:
    # Of tokens in the clear nobody but this machine would know whose they are.
    text = f"{'https' if is_tls else 'http'}://{address}".lower()
    try:
        is_anywhere = ipaddress.ip_address(address.host).is_unspecified
    except ValueError:
        is_anywhere = False
    try:
        return None if is_anywhere else parse_issuer(text)
    except ParameterError:
        return None


def _http_settings(found: Configuration, place: Place) -> HttpSettings:
    return HttpSettings(
        store=place.store,
        ledger=found["ledger"].value,
        node_name=found["node_name"].value or socket.gethostname(),
        anchors=place.anchors,
        vendors=place.vendors,
        webhooks=found["webhooks"].value,
        openid=found["openid"].value,
        refused_when_expired=found["expired"].value.refused,
        dangerous_clock=found["dangerous_clock"].value,
        key_file=found["key_file"].value,
        dangerous_plain_http_tokens=found["dangerous_plain_http_tokens"].value,
        profile=found["profile"].value,
        max_age=found["max_age"].value,
        max_broken=found["max_broken"].value,
        old_api=found["old_api"].value == "serve",
        metadata_hosts=found["metadata_hosts"].value or frozenset(),
        attestation_key_life=found["attestation_key_life"].value,
        tsm_root=found["tsm_root"].value,
        decision_retention=found["decision_retention"].value,
        retention=Retention(
            sightings=found["sighting_retention"].value,
            machines=found["machine_retention"].value,
        ),
        supervisor=os.getpid() if found["workers"].value > 1 else None,
        memo_bytes=found["memo_bytes"].value,
        rates=make_rates(found),
    )
