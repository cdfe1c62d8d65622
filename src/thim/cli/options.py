"""
Options that several commands share, and what they lead to.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.config import Configuration, load
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import (
    OperatorError,
    UnavailableError,
    UnwritableError,
    printable,
)
from thim.services.clock import FileClock, utc_now
from thim.services.vendors import VendorSettings


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from thim.x509.chain import TrustAnchors

Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The store: sqlite:///PATH or a path. Also THIM_STORE; default: "
        "an SQLite file in your data folder.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Configuration file, TOML. Also THIM_CONFIG; default: "
        "/etc/thim/thim.toml, or thim.toml in your data folder.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Write JSON instead of a table.")
]


_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


def configure(
    flags: Mapping[str, object], config: Path | None
) -> Configuration:
    """
    Gather the settings of this run.

    Raises:
        OperatorError: As ``cli.config.load``.
    """
    return load(flags, os.environ, config)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    A store, and what it takes to work on it.

    *clock* returns the current instant.
    """

    store: Path
    anchors: TrustAnchors
    clock: Callable[[], datetime]
    vendors: VendorSettings


def find_place(store: str | None, config: Path | None) -> Place:
    """
    Find the store that a command works on, and how.

    Raises:
        OperatorError: As ``cli.config.load``.
    """
    found = configure({"store": store}, config)
    freshen(found)
    return place_of(found)


def find_target(store: str | None, config: Path | None) -> Place:
    """
    Find the store that a command writes to by hand, and say which it is.

    Raises:
        OperatorError: As ``cli.config.load``.
    """
    return target_of(configure({"store": store}, config))


def target_of(found: Configuration, how: str = "into") -> Place:
    """
    Return the store that a command writes to by hand; say on standard error
    which it is, *how* it is used, and who named it.

    Raises:
        OperatorError: There is no such clock, or the store follows another
            ledger than the settings name.
    """
    place = place_of(found)
    origin = found["store"].origin
    sys.stderr.write(f"{how} {printable(str(place.store))} ({origin})\n")
    _check_ledger(found)
    return place


def _check_ledger(found: Configuration) -> None:
    """Refuse to write to another ledger than the settings name."""
    from thim.store.replica import Replica  # noqa: PLC0415 - not for --help

    store, named = found["store"].value, found["ledger"].value
    followed = None
    # What is wrong with the store itself, the command says.
    with (
        contextlib.suppress(OperatorError, UnavailableError),
        contextlib.closing(Replica(store)) as replica,
    ):
        followed = replica.ledger_address()
    if None not in {named, followed} and named != followed:
        msg = (
            f"store {store}: follows the ledger at {followed}, the setting "
            f"ledger names {named}; nothing was changed. If that is the "
            f"same ledger, `thim serve` goes over to it when it starts"
        )
        raise OperatorError(msg, reason="ledger-other")


def place_of(found: Configuration) -> Place:
    """
    Return the store that a configuration names, and how to work on it.

    Raises:
        OperatorError: There is no such clock.
    """
    roots = found["dangerous_test_anchors"].value
    return Place(
        store=found["store"].value,
        anchors=roots.anchors if roots else VENDOR_ROOTS,
        clock=find_clock(found),
        vendors=VendorSettings(
            upstreams=(
                *found["intel_upstreams"].value,
                *found["amd_upstreams"].value,
            ),
            mode=found["fill"].value,
            fmspcs=found["fmspcs"].value or frozenset(),
            asks_unknown=found["unknown_fmspcs"].value == "ask",
            wait=found["fill_wait"].value,
            key_file=found["key_file"].value,
            is_one_of_several=found["ledger"].value is not None,
            source_rate=max(
                1, found["fill_rate"].value // found["workers"].value
            ),
        ),
    )


def find_clock(found: Configuration) -> Callable[[], datetime]:
    """
    Return what says the current instant: the machine, unless the settings name
    a clock of a simulation.

    Raises:
        OperatorError: There is no such clock.
    """
    clock = found["dangerous_clock"].value
    return utc_now if clock is None else FileClock(clock)


def find_own_url(found: Configuration) -> str:
    """
    Return where the configuration has this service listen, as a client on this
    machine writes it.
    """
    listen = found["listen"].value
    host = _EVERYWHERE.get(listen.host, listen.host)
    shown = f"[{host}]" if ":" in host else host
    scheme = "http" if found["tls_cert"].value is None else "https"
    return f"{scheme}://{shown}:{listen.port}"


def find_store(store: str | None, config: Path | None) -> Path:
    """
    Return the store's file for a command that only reads it.

    Raises:
        OperatorError: As ``cli.config.load``.
    """
    found = configure({"store": store}, config)
    freshen(found)
    path: Path = found["store"].value
    return path


def freshen(found: Configuration) -> None:
    """
    See to it that what is read from the store, if that is a replica, is what
    the ledger has, or say on standard error why it may be old.
    """
    trouble = find_staleness(found)
    if trouble is not None:
        told = printable(str(trouble))
        sys.stderr.write(f"what follows may be old: {told}\n")


def find_staleness(found: Configuration) -> UnwritableError | None:
    """
    See to it that the store, if it is a replica that no service follows, has
    what the ledger has; return why it may be old, if it may.
    """
    from thim.store.lock import is_followed  # noqa: PLC0415 - not for --help
    from thim.store.up_to_date import bring_up_to_date  # noqa: PLC0415

    store = found["store"].value
    if not store.exists() or is_followed(store):
        return None
    # What is wrong with the store itself, the command says.
    with contextlib.suppress(OperatorError, UnavailableError):
        try:
            bring_up_to_date(store, found["ledger"].value)
        except UnwritableError as e:
            return e
    return None
