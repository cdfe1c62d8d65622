"""
What the agent keeps on disk: each file whole or not at all, and verified anew
when it is read.

The folder is nobody else's (0700), its files too (0600).  A file that does not
hold is as good as none: it is named in the log, and fetched again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.agent.certification import REFUSED, Certification, read_crl
from thim.errors import OperatorError
from thim.services.secrets import replace


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.amd.authorities import CaChain
    from thim.amd.crl import Crl
    from thim.amd.kds import ChipTcb
    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger(__name__)
_FOLDER: Final = 0o700
_OTHERS: Final = 0o077
_OWN_NAMES: Final = re.compile(
    r"token|pck|lost\+found|vcek-.*\.pem|crl-.*\.der|.*\.json|\..*\.new"
)
_MOST_BYTES: Final = 64 * 1024
#: Answers with PCK certificates: those of so many guests and TCBs.
MOST_PCK: Final = 256


class Cache:
    """
    The files in *folder*, which is made if it is not there.

    Raises:
        OperatorError: The folder cannot be made or is somebody else's.
    """

    def __init__(self, folder: Path, anchors: TrustAnchors) -> None:
        self._folder = folder
        self._pck = folder / "pck"
        self._anchors = anchors
        for each in (folder, self._pck):
            _make_private(each)
            _sweep(each)

    @property
    def token(self) -> Path:
        """Where the agent's own token is, unless told otherwise."""
        return self._folder / "token"

    # AMD's

    def load(
        self, names: Sequence[ChipTcb], now: datetime
    ) -> Certification | None:
        """
        Return the certificates of the VCEK that has one of *names*, if they
        are there and hold at *now*.
        """
        path = self._vcek_path(names[0])
        pem = _read(path)
        if pem is None:
            return None
        try:
            held = Certification.from_pem(pem)
            held.verify(names, anchors=self._anchors, now=now)
        except REFUSED as e:
            _log.warning("%s is not used: %s", path, e)
            return None
        return held

    def keep(self, held: Certification, names: Sequence[ChipTcb]) -> bool:
        """
        Keep *held*, which was verified for *names*; tell whether that worked.
        """
        return _write(self._vcek_path(names[0]), held.to_pem())

    def drop_others(self, names: Sequence[ChipTcb]) -> None:
        """
        Remove the certificates of all chips and TCBs but *names*.
        """
        own = self._vcek_path(names[0])
        for path in self._folder.glob("vcek-*.pem"):
            if path != own:
                _remove(path)

    def _vcek_path(self, name: ChipTcb) -> Path:
        # The same whichever product line it is taken for.
        chip = hashlib.sha256(name.hw_id).hexdigest()[:16]
        return self._folder / f"vcek-{chip}-{name.tcb.tcbm}.pem"

    def load_crl(self, chain: CaChain) -> Crl | None:
        """
        Return the revocation list of *chain*'s ARK that was kept last, if it
        is genuine; it may have expired.
        """
        path = self._crl_path(chain)
        der = _read(path)
        if der is None:
            return None
        try:
            return read_crl(der, chain, now=None)
        except REFUSED as e:
            _log.warning("%s is not used: %s", path, e)
            return None

    def keep_crl(self, crl: Crl, chain: CaChain) -> None:
        """
        Keep *crl*, which was verified.
        """
        _write(self._crl_path(chain), crl.der)

    def _crl_path(self, chain: CaChain) -> Path:
        return self._folder / f"crl-{chain.product.value}.der"

    # Intel's: answers as the service gave them

    def load_answer(self, name: str) -> bytes | None:
        """
        Return what was kept under *name*, as it lies there.
        """
        return _read(self._answer_path(name))

    def keep_answer(self, name: str, body: bytes) -> None:
        """
        Keep *body* under *name*; what was kept longest ago gives way.
        """
        path = self._answer_path(name)
        if not path.exists():
            self._make_room()
        _write(path, body)

    def _make_room(self) -> None:
        found = [
            (path.stat().st_mtime_ns, path) for path in self._pck.glob("*.json")
        ]
        for _, path in sorted(found)[: max(0, len(found) - MOST_PCK + 1)]:
            _remove(path)

    def _answer_path(self, name: str) -> Path:
        digest = hashlib.sha256(name.encode()).hexdigest()
        return self._pck / f"{digest}.json"


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid != os.geteuid():
            msg = f"state {folder}: belongs to another user"
            raise OperatorError(msg, reason="state")
        if found.st_mode & _OTHERS:
            _check_is_own(folder)
            folder.chmod(_FOLDER)
    except OSError as e:
        msg = f"state {folder}: {e.strerror or e}"
        raise OperatorError(msg, reason="state") from e


def _check_is_own(folder: Path) -> None:
    # Others' files are there for others: a mistake, such as /tmp.
    for path in folder.iterdir():
        if not _OWN_NAMES.fullmatch(path.name):
            msg = (
                f"state {folder}: has {path.name!r}, and others may look into "
                f"it; expected a folder of the agent's own"
            )
            raise OperatorError(msg, reason="state")


def _sweep(folder: Path) -> None:
    # What a process that was killed had begun to write.
    for path in folder.glob(".*.new"):
        _remove(path)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as e:
        _log.warning("%s cannot be read: %s", path, e.strerror)
        return None


def _write(path: Path, content: bytes) -> bool:
    # Without a disk the agent answers from memory.
    try:
        replace(path, content)
    except OSError as e:
        _log.warning("%s cannot be written: %s", path, e.strerror)
        return False
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
