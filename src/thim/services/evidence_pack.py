"""
Evidence packs as files: a ZIP archive with digests of all that is in it, and a
signature over those.

* ``SHA256SUMS`` has a line for each other file but the signature, as
  ``sha256sum`` writes it.
* ``SHA256SUMS.jws`` signs it: a JSON web signature (RS256) whose payload says
  the digest of ``SHA256SUMS``, and of what the pack is evidence.
* The same content is the same file, byte for byte.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import re
import zipfile
import zlib

from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from thim.errors import MalformedError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from thim.attestation.token import Signer

FORMAT: Final = "thim-evidence-pack/1"
TYPE: Final = "thim-evidence-pack+jws"
SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = "SHA256SUMS.jws"
MANIFEST: Final = "manifest.json"
#: Of a file that is read as a whole, and of a line of the others.
MOST_FILE: Final = 64 * 1024 * 1024
MOST_LINE: Final = 4 * 1024 * 1024
MOST_SUMS: Final = 512 * 1024 * 1024
#: What a pack may come to unpacked: as many bytes, or so many times its own
#: size, which is far more than rows of JSON shrink.
MOST_SMALL: Final = 1024 * 1024 * 1024
MOST_GROWTH: Final = 200
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o100644
_UNIX: Final = 3
_CHUNK: Final = 1024 * 1024
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_NAME: Final = re.compile(
    r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][\w.-]*)*"
)
_SUM: Final = re.compile(r"([0-9a-f]{64})  (.{1,300})")


class PackWriter:
    """
    Writes a pack into an open *file*, one file in it after the other.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._sums: dict[str, str] = {}

    def add(self, name: str, content: bytes) -> None:
        """
        Put a file in.
        """
        self._put(name, [content])

    def add_json(self, name: str, value: object) -> None:
        """
        Put a JSON document in.
        """
        text = json.dumps(value, indent=2, ensure_ascii=True)
        self.add(name, f"{text}\n".encode())

    def add_lines(self, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """
        Put a file in with a JSON object on each line; return how many.
        """
        count = 0

        def lines() -> Iterator[bytes]:
            nonlocal count
            for row in rows:
                count += 1
                yield f"{write_line(row)}\n".encode()

        self._put(name, lines())
        return count

    def close(self, signer: Signer | None, claims: Mapping[str, Any]) -> str:
        """
        Put the digests in, and if there is a *signer* a signature over them
        and what the *claims* say; return the digest of the digests.
        """
        text = "".join(f"{d}  {name}\n" for name, d in self._sums.items())
        sums = text.encode()
        digest = hashlib.sha256(sums).hexdigest()
        self._put(SUMS, [sums])
        if signer is not None:
            jws = sign(signer, {**claims, "sha256": digest})
            self._put(SIGNATURE, [jws.encode()])
        self._zip.close()
        return digest

    def _put(self, name: str, chunks: Iterable[bytes]) -> None:
        info = zipfile.ZipInfo(name, _DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = _UNIX
        info.external_attr = _MODE << 16
        digest = hashlib.sha256()
        with self._zip.open(info, "w", force_zip64=True) as entry:
            for chunk in chunks:
                digest.update(chunk)
                entry.write(chunk)
        self._sums[name] = digest.hexdigest()


def write_line(row: Mapping[str, Any]) -> str:
    """
    Write a row as packs have it.
    """
    return json.dumps(row, separators=(",", ":"), ensure_ascii=True)


def sign(signer: Signer, payload: Mapping[str, Any]) -> str:
    """
    Return the signature over *payload*, which says by its type that it is no
    token.
    """
    header = {"alg": "RS256", "kid": signer.kid, "typ": TYPE}
    parts = [_encode(write_line(part).encode()) for part in (header, payload)]
    signed = ".".join(parts)
    raw = signer.private_key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{_encode(raw)}"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclasses.dataclass(frozen=True, slots=True)
class Sums:
    """What ``SHA256SUMS`` says, and its own digest."""

    by_name: Mapping[str, str]
    sha256: str


class PackReader:
    """
    Reads the pack in *path*.

    Raises:
        MalformedError: It is none.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (
            zipfile.BadZipFile,
            OSError,
            ValueError,
            NotImplementedError,  # of a later version of the format
        ) as e:
            _refuse(str(e))
        names = self._zip.namelist()
        for info in self._zip.infolist():
            if not _NAME.fullmatch(info.filename):
                _refuse(f"a file is called {info.filename[:80]!r}")
            if info.compress_type not in _METHODS:
                _refuse(f"{info.filename} is not compressed as packs are")
        if len(set(names)) != len(names):
            _refuse("two files have one name")
        unpacked = sum(info.file_size for info in self._zip.infolist())
        if unpacked > max(MOST_SMALL, MOST_GROWTH * path.stat().st_size):
            _refuse(f"unpacked it would have {unpacked} bytes")
        self.names = frozenset(names)

    def close(self) -> None:
        """
        Close the file.
        """
        self._zip.close()

    def read(self, name: str, most: int = MOST_FILE) -> bytes:
        """
        Return the bytes of a file.

        Raises:
            MalformedError: There is none, or it is too large.
        """
        with self._open(name) as entry:
            content = entry.read(most + 1)
        if len(content) > most:
            _refuse(f"{name} has more than {most} bytes")
        return content

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """
        Read the JSON objects of a file.

        Raises:
            MalformedError: There is none, or a line is no object.
        """
        with self._open(name) as entry:
            while line := entry.readline(MOST_LINE):
                try:
                    row = json.loads(line)
                except ValueError as e:
                    _refuse(f"{name}: {e}")
                if not isinstance(row, dict):
                    _refuse(f"{name}: a line is no JSON object")
                yield row

    def sums(self) -> Sums:
        """
        Read ``SHA256SUMS``.

        Raises:
            MalformedError: It is not in that form.
        """
        raw = self.read(SUMS, MOST_SUMS)
        found: dict[str, str] = {}
        for line in raw.decode("ascii", "replace").splitlines():
            match = _SUM.fullmatch(line)
            if match is None or not _NAME.fullmatch(match[2]):
                _refuse(f"{SUMS} has the line {line[:120]!r}")
            if match[2] in found:
                _refuse(f"{SUMS} has the line {line[:120]!r}")
            found[match[2]] = match[1]
        return Sums(found, hashlib.sha256(raw).hexdigest())

    def digest(self, name: str) -> str:
        """
        Return the digest of a file.

        Raises:
            MalformedError: It cannot be read.
        """
        digest = hashlib.sha256()
        with self._open(name) as entry:
            while chunk := entry.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._zip.open(name) as entry:
                yield entry
        except KeyError:
            _refuse(f"there is no {name}")
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,  # zipfile's, of what it does not know
            RuntimeError,  # zipfile's, of an entry with a password
        ) as e:
            _refuse(f"{name}: {e}")


def _refuse(why: str) -> NoReturn:
    msg = f"no evidence pack: {why}"
    raise MalformedError(msg, reason="evidence-pack")
