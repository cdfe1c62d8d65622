"""
The file of a bundle or of a request for one.

It is read twice: first as a whole for its seal, with nothing unpacked, then
for what is in it.  From the first byte to the last::

    thim-bundle 1 LF                what it is, and the version of this layout
    length, header                  JSON
    length, block …                 parts (msgpack), compressed (zstd)
    0, length, footer               JSON: how many parts of each kind
    signature                       64 bytes

Lengths are four bytes, the highest first.  Ed25519 signs the SHA-256 of all
before the signature, so no byte can be changed, left out, added or moved.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import zstandard

from thim.collateral.bundle_keys import PublicKey
from thim.collateral.bundle_parts import (
    MOST_DOCUMENT,
    MOST_PARTS,
    PARTS,
    BundleHeader,
    FileKind,
    Footer,
    Header,
    Part,
    RequestHeader,
)
from thim.errors import MalformedError, printable


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from thim.collateral.bundle_keys import SecretKey

T = TypeVar("T")

VERSION: Final = 1
_SIGNED_AS: Final = b"thim bundle signature 1\0"
_MOST_LINE: Final = 64
_MOST_HEADER: Final = 1024 * 1024
_MOST_FOOTER: Final = 64 * 1024
#: A block is ended when it has so much; the last part may be a document.
_BLOCK: Final = 1024 * 1024
_MOST_UNPACKED: Final = _BLOCK + MOST_DOCUMENT + 64 * 1024
_MOST_BLOCK: Final = _MOST_UNPACKED + 64 * 1024
_SIGNATURE: Final = 64
_LENGTH: Final = 4
_PIECE: Final = 256 * 1024
_LEVEL: Final = 9


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """
    What the first reading has shown: the file is whole, and *signer*'s.

    *sha256* is the digest of the whole file.
    """

    kind: FileKind
    header: Header
    signer: PublicKey
    counts: dict[str, int]
    sha256: bytes
    size: int


def write_file(
    kind: FileKind, header: Header, parts: Iterable[Part], key: SecretKey
) -> Iterator[bytes]:
    """
    Write a file piece by piece; what is equal gives equal bytes.
    """
    digest = hashlib.sha256()
    for piece in _unsigned(kind, header, parts):
        digest.update(piece)
        yield piece
    yield key.sign(_SIGNED_AS + digest.digest())


def _unsigned(
    kind: FileKind, header: Header, parts: Iterable[Part]
) -> Iterator[bytes]:
    yield f"{kind.value} {VERSION}\n".encode("ascii")
    yield _framed(_json(header))
    counts: collections.Counter[str] = collections.Counter()
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    for block in _blocks(parts, counts):
        yield _framed(compressor.compress(block))
    yield (0).to_bytes(_LENGTH)
    yield _framed(_json(Footer(counts=counts)))


def _blocks(
    parts: Iterable[Part], counts: collections.Counter[str]
) -> Iterator[bytes]:
    packer = msgspec.msgpack.Encoder()
    waiting: list[msgspec.Raw] = []
    size = 0
    for part in parts:
        raw = packer.encode(part)
        counts[_tag(part)] += 1
        waiting.append(msgspec.Raw(raw))
        size += len(raw)
        if size >= _BLOCK or len(waiting) == MOST_PARTS:
            yield packer.encode(waiting)
            waiting, size = [], 0
    if waiting:
        yield packer.encode(waiting)


def _tag(part: Part) -> str:
    return str(type(part).__struct_config__.tag)


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH) + content


class _Source:
    """Reads exactly what is asked for through *read*, and digests it."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.digest = hashlib.sha256()
        self.size = 0

    def take(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = self._read(min(size, _PIECE))
            if not piece:
                msg = f"cut off behind {self.size} bytes"
                raise MalformedError(msg, reason="bundle-cut-off")
            self.digest.update(piece)
            self.size += len(piece)
            size -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def take_framed(self, what: str, most: int) -> bytes:
        return self.take(self.take_length(what, most))

    def take_length(self, what: str, most: int) -> int:
        length = int.from_bytes(self.take(_LENGTH))
        if length > most:
            msg = f"{what}: {length} bytes, expected at most {most}"
            raise MalformedError(msg, reason="bundle-limit")
        return length

    def skip(self, size: int) -> None:
        while size:
            size -= len(self.take(min(size, _PIECE)))

    def check_end(self) -> None:
        if self._read(1):
            msg = f"something follows behind the signature, byte {self.size}"
            raise MalformedError(msg, reason="bundle-trailing")


def read_seal(read: Callable[[int], bytes]) -> Seal:
    """
    Read a whole file for its seal; *read* returns so many bytes at most.

    Whose key signed it is for the caller to judge.

    Raises:
        MalformedError: It is no such file, of another version, or not whole.
        UntrustedError: The signature is not that of the key it names.
    """
    source = _Source(read)
    kind, header = _read_begin(source)
    while length := source.take_length("block", _MOST_BLOCK):
        source.skip(length)
    counts = _read_footer(source)
    signed = _SIGNED_AS + source.digest.digest()
    signature = source.take(_SIGNATURE)
    source.check_end()
    signer = PublicKey(header.signer)
    signer.verify(signature, signed)
    return Seal(
        kind=kind,
        header=header,
        signer=signer,
        counts=counts,
        sha256=source.digest.digest(),
        size=source.size,
    )


def _read_begin(source: _Source) -> tuple[FileKind, Header]:
    kind = _read_line(source)
    raw = source.take_framed("header", _MOST_HEADER)
    if kind is FileKind.BUNDLE:
        return kind, _decode_json(raw, BundleHeader, "header")
    return kind, _decode_json(raw, RequestHeader, "header")


def _read_line(source: _Source) -> FileKind:
    line = b""
    while not line.endswith(b"\n") and len(line) < _MOST_LINE:
        line += source.take(1)
    name, _, version = line.decode("ascii", "replace").strip().partition(" ")
    try:
        kind = FileKind(name)
    except ValueError:
        msg = "no bundle and no request for one"
        raise MalformedError(msg, reason="bundle-format") from None
    if version != str(VERSION):
        msg = (
            f"{name} of version {printable(version)}, this program reads "
            f"version {VERSION}"
        )
        raise MalformedError(msg, reason="bundle-version")
    return kind


def _read_footer(source: _Source) -> dict[str, int]:
    raw = source.take_framed("footer", _MOST_FOOTER)
    return _decode_json(raw, Footer, "footer").counts


def _decode_json(raw: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:
        msg = f"{what}: {e}"
        raise MalformedError(msg, reason="bundle-format") from None


def read_parts(
    read: Callable[[int], bytes], seal: Seal
) -> Iterator[list[Part]]:
    """
    Read the parts of a file whose *seal* was read before, some at a time.

    Raises:
        MalformedError: It was changed since, or its signer wrote what is no
            such file.
    """
    source = _Source(read)
    kind, _ = _read_begin(source)
    counts: collections.Counter[str] = collections.Counter()
    while length := source.take_length("block", _MOST_BLOCK):
        if source.size + length > seal.size:
            raise _changed()
        parts = _unpack(source.take(length), kind)
        counts.update(map(_tag, parts))
        yield parts
    said = _read_footer(source)
    source.take(_SIGNATURE)
    source.check_end()
    if source.digest.digest() != seal.sha256:
        raise _changed()
    if said != counts:
        msg = f"it has {_spell(counts)}, and says {_spell(said)}"
        raise MalformedError(msg, reason="bundle-counts")


def _changed() -> MalformedError:
    msg = "changed while it was read"
    return MalformedError(msg, reason="bundle-changed")


def _unpack(block: bytes, kind: FileKind) -> list[Part]:
    raw = _decompress(block)
    try:
        parts: list[Part] = msgspec.msgpack.decode(raw, type=PARTS[kind])
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:
        msg = f"block: {e}"
        raise MalformedError(msg, reason="bundle-format") from None
    return parts


def _decompress(block: bytes) -> bytes:
    try:
        size = zstandard.frame_content_size(block)
        if not 0 <= size <= _MOST_UNPACKED:
            msg = f"block of {size} bytes, expected at most {_MOST_UNPACKED}"
            raise MalformedError(msg, reason="bundle-limit")
        return zstandard.ZstdDecompressor().decompress(
            block, allow_extra_data=False
        )
    except zstandard.ZstdError as e:
        msg = f"block: {e}"
        raise MalformedError(msg, reason="bundle-format") from None


def _spell(counts: dict[str, int]) -> str:
    each = (f"{n} {printable(tag)}" for tag, n in sorted(counts.items()))
    return ", ".join(each) or "nothing"
