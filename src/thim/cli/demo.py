"""
``thim demo``: everything on this machine, with something to look at.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.scratch import scratch_folder
from thim.errors import OperatorError, printable


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.simulate.demo.run import Shown

#: Seconds between two looks whether the service is there.
_LOOK: Final = 0.2


def demo(
    listen: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Where the service answers."),
    ] = "127.0.0.1:8080",
    machines: Annotated[
        int,
        typer.Option(metavar="N", min=20, max=20_000, help="Of the fleet."),
    ] = 2000,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A new or empty folder for all of it, which stays. Default: "
            "one that is removed at the end.",
        ),
    ] = None,
) -> None:
    """
    Show thim at work: simulated vendors, a service, a fleet, tenants, a TCB
    recovery in preparation, live traffic.

    Nothing leaves this machine, and no other store is touched.  Ctrl-C or
    SIGTERM ends it, or that the terminal is closed, with exit code 0.
    """
    from thim.simulate.demo.progress import Progress  # noqa: PLC0415 - slow
    from thim.simulate.demo.run import showing  # noqa: PLC0415
    from thim.simulate.listen import open_loopback  # noqa: PLC0415

    # Now, and not after half a minute.
    open_loopback(listen).close()
    with _until_told() as ended, _folder(keep) as folder:

        def pulse() -> None:
            if ended.is_set():
                raise typer.Exit

        progress = Progress(tell=_tell_step, pulse=pulse)
        where = printable(str(folder))
        _tell(f"Making a demo of {machines} machines in {where}:")
        with showing(folder, machines, listen, progress) as shown:
            typer.echo("\n".join(_introduce(shown, keep)))
            sys.stdout.flush()
            _wait(shown, ended)


@contextlib.contextmanager
def _until_told() -> Iterator[threading.Event]:
    """
    Set an event when it shall end: nothing is torn out of what it does.
    """
    ended = threading.Event()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
        numbers.append(signal.SIGHUP)
    before = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in numbers
    }
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _tell_step(line: str) -> None:
    _tell(f"  {line}")


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        if keep is not None:
            yield _keep(keep)
            return
        try:
            folder = stack.enter_context(scratch_folder("thim-demo-"))
        except OSError as e:
            msg = f"no folder for temporary files: {e.strerror or e}"
            raise OperatorError(msg, reason="demo-folder") from e
        yield folder


def _keep(keep: Path) -> Path:
    try:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_empty = next(keep.iterdir(), None) is None
    except OSError as e:
        msg = f"--keep {printable(str(keep))}: {e.strerror}"
        raise OperatorError(msg, reason="demo-folder") from e
    if not is_empty:
        msg = f"--keep {printable(str(keep))}: there is something in it already"
        raise OperatorError(msg, reason="demo-folder")
    return keep.absolute()


def _wait(shown: Shown, ended: threading.Event) -> None:
    from thim.simulate.demo.run import last_words  # noqa: PLC0415

    while not ended.wait(_LOOK):
        code = shown.service.process.poll()
        if code is not None:
            words = printable(last_words(shown.demo))
            msg = f"the service has ended, with exit code {code}: {words}"
            raise OperatorError(msg, reason="demo-service")


def _introduce(shown: Shown, keep: Path | None) -> Iterator[str]:
    made, url = shown.demo, shown.service.url
    # As it was called: it may not be on the PATH.
    called = Path(sys.argv[0])
    thim = str(called) if called.name == "thim" else "thim"
    yield ""
    yield f"Console        {url}/console/"
    yield f"Admin token    {made.admin_token}"
    yield f"Reader token   {made.reader_token}"
    yield f"Vendors' side  {shown.stage.vendors.admin_url} (clock, faults)"
    yield f"Folder         {made.folder}"
    yield ""
    yield "Three tenants stand on three baselines.  Intel has published another"
    yield "number, the baseline prod waits to follow the vendor, and plan"
    yield f"{made.plan} would move two tenants to the new number.  Have a look:"
    yield ""
    yield f"  export THIM_CONFIG={made.config}"
    yield f"  {thim} status"
    yield f"  {thim} baseline list"
    yield f"  {thim} fleet what-if --tenant health --baseline 22"
    yield f"  {thim} collateral refused"
    yield f"  {thim} decision list"
    yield ""
    end = "ends it" if keep else "ends it and removes the folder"
    yield f"Ctrl-C {end}."
