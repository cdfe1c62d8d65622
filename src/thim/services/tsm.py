"""
Ask the kernel for evidence of the TEE that this machine is, by configfs
(Documentation/ABI/testing/configfs-tsm-report).

Who makes a folder there and writes 64 bytes into its ``inblob`` finds a report
or quote over them in its ``outblob``; a ``generation`` that moves on meanwhile
shows that somebody else has written to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError


if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where the kernel has it.
TSM: Final = Path("/sys/kernel/config/tsm/report")
DATA_SIZE: Final = 64
SNP: Final = "sev_guest"
TDX: Final = "tdx_guest"
#: The kernel needs no time to fill a folder; what plays it elsewhere does.
_PATIENCE: Final = 0.5
_PAUSE: Final = 0.005


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TsmAnswer:
    """
    What the kernel's *provider* has said: a report or quote, and what belongs
    to it (of SEV-SNP the host's certificates), which may be nothing.
    """

    provider: str
    outblob: bytes
    auxblob: bytes = b""


def ask_tsm(root: Path, data: bytes) -> TsmAnswer:
    """
    Ask for evidence over *data*, 64 bytes, by a folder of our own below
    *root*.

    Raises:
        OperatorError: There is none to be had.
    """
    with _entry(root) as entry:
        return read_entry(entry, data)


@contextlib.contextmanager
def _entry(root: Path) -> Iterator[Path]:
    entry = root / f"thim-{secrets.token_hex(4)}"
    try:
        entry.mkdir()
    except OSError as e:
        raise _unusable(root, e.strerror or str(e)) from e
    try:
        yield entry
    finally:
        with contextlib.suppress(OSError):
            entry.rmdir()


def read_entry(entry: Path, data: bytes) -> TsmAnswer:
    """
    Ask for evidence over *data* by the folder *entry*.

    Raises:
        OperatorError: It has none, or somebody else uses the folder.
    """
    try:
        (entry / "inblob").write_bytes(data)
        _wait_for(entry / "provider")
        provider = (entry / "provider").read_text("ascii").strip()
        before = (entry / "generation").read_bytes()
        outblob = (entry / "outblob").read_bytes()
        auxblob = _read_auxblob(entry)
        after = (entry / "generation").read_bytes()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else None
        raise _unusable(entry, why or str(e)) from e
    if before != after:
        raise _unusable(entry, "somebody else writes to it")
    return TsmAnswer(provider=provider, outblob=outblob, auxblob=auxblob)


def _wait_for(path: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not path.exists() and time.monotonic() < until:
        time.sleep(_PAUSE)


def _read_auxblob(entry: Path) -> bytes:
    # Not every provider has one, nor every host anything to put into it.
    try:
        return (entry / "auxblob").read_bytes()
    except OSError:
        return b""


def _unusable(path: Path, why: str) -> OperatorError:
    return OperatorError(f"{path}: {why}", reason="tsm")
