"""
Files of platforms: CSV of the PCK ID retrieval tool, and pccsadmin's JSON.

They are read as they come, never as a whole, in UTF-8 or as Windows writes it
(UTF-16).  CSV has one platform on a line, each value in hexadecimal digits::

    EncryptedPPID,PCE_ID(LE),CPUSVN,PCESVN(LE),QE_ID[,MANIFEST]

JSON is the list that ``pccsadmin get`` writes, or the object that ``pccsadmin
put`` takes: platforms, their certificates, and documents.
"""

from __future__ import annotations

import codecs
import contextlib
import itertools

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from thim.errors import MalformedError, ThimError
from thim.services.json_pieces import PieceError, split
from thim.services.platform_documents import find_documents
from thim.services.platform_sheets import Fields, Refused, Sheet, read_sheet


if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from thim.services.json_pieces import Piece

#: A line with the longest manifest has 257 thousand characters.
MAX_LINE: Final = 512 * 1024
#: TCB infos of all families that there are have a tenth of that.
MOST_DOCUMENTS: Final = 256 * 1024 * 1024
_CHUNK: Final = 256 * 1024
#: Chunks: where so much is blank, no JSON comes behind it.
_MOST_BLANK: Final = 8
_BOMS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_TITLES: Final = frozenset({"encryptedppid", "qe_id", "qeid", "enc_ppid"})
_LEAST_FIELDS: Final = 5
_MOST_FIELDS: Final = 6
_PLATFORMS: Final = ("platforms",)
_CERTIFICATES: Final = ("collaterals", "pck_certs")
_TCB_INFOS: Final = ("collaterals", "tcbinfos")
_OPENED: Final = frozenset(
    {(), _PLATFORMS, ("collaterals",), _CERTIFICATES, _TCB_INFOS}
)
_KNOWN: Final = frozenset({"platforms", "collaterals"})


def read_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """
    Read *stream* as UTF-8, whatever it is encoded in.
    """
    first = stream.read(_CHUNK)
    bom, encoding = next(
        ((b, e) for b, e in _BOMS.items() if first.startswith(b)), (b"", "")
    )
    rest = iter(lambda: stream.read(_CHUNK), b"")
    chunks = itertools.chain([first[len(bom) :]], rest)
    if not encoding.startswith("utf-16"):
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", final=True).encode()


def read_platforms(stream: BinaryIO) -> Iterator[Sheet | Refused]:
    """
    Read the platforms in a file.
    """
    chunks, is_json = _sniff(read_chunks(stream))
    yield from _read_json(chunks) if is_json else _read_csv(chunks)


def read_documents(
    stream: BinaryIO, most: int = MOST_DOCUMENTS
) -> Iterator[tuple[str, bytes]]:
    """
    Read the documents in a file, each with its name, *most* bytes at most;
    there are none in CSV, and none behind what is no JSON.

    Raises:
        MalformedError: More than anybody has.
    """
    chunks, is_json = _sniff(read_chunks(stream))
    size = 0
    with contextlib.suppress(PieceError):
        for piece in split(chunks, _OPENED) if is_json else ():
            for name, body in find_documents(piece):
                size += len(body)
                if size > most:
                    msg = f"documents of more than {most} bytes"
                    raise MalformedError(msg, reason="too-large")
                yield name, body


def _sniff(chunks: Iterator[bytes]) -> tuple[Iterator[bytes], bool]:
    """Tell whether it is JSON, by the first character that is not blank."""
    read: list[bytes] = []
    for chunk in chunks:
        read.append(chunk)
        text = chunk.lstrip()
        if text or len(read) == _MOST_BLANK:
            return itertools.chain(read, chunks), text[:1] in {b"{", b"["}
    return iter(read), False


def _read_csv(chunks: Iterator[bytes]) -> Iterator[Sheet | Refused]:
    """
    Read the platforms in CSV; a line with titles is passed over.
    """
    is_first = True
    for number, line in _lines(chunks):
        if isinstance(line, ThimError):
            yield Refused.because(number, line)
        elif fields := _cut(line):
            if not is_first or fields[0].lower() not in _TITLES:
                yield _read_line(number, fields)
            is_first = False


def _cut(line: str) -> list[str]:
    fields = [field.strip() for field in line.split(",")]
    while len(fields) > _LEAST_FIELDS and not fields[-1]:
        del fields[-1]
    return fields if any(fields) else []


def _find_separator(fields: list[str]) -> str | None:
    """Find what a line of one field was cut by elsewhere, if by anything."""
    counts = {mark: fields[0].count(mark) for mark in ";\t|"}
    enough = (mark for mark, n in counts.items() if n >= _LEAST_FIELDS - 1)
    return next(enough, None) if len(fields) == 1 else None


def _read_line(number: int, fields: list[str]) -> Sheet | Refused:
    if not _LEAST_FIELDS <= len(fields) <= _MOST_FIELDS:
        msg = f"{len(fields)} fields, expected 5, or 6 with a manifest"
        if mark := _find_separator(fields):
            msg += f"; it seems to be separated by {mark!r}, not by commas"
        return Refused.because(number, MalformedError(msg, reason="fields"))
    enc_ppid, pce_id, cpu_svn, pce_svn, qe_id, *manifest = fields
    texts = Fields(
        qe_id=qe_id,
        pce_id=pce_id,
        cpu_svn=cpu_svn,
        pce_svn=pce_svn,
        enc_ppid=enc_ppid,
        platform_manifest=manifest[0] if manifest else "",
    )
    return read_sheet(number, texts)


def _lines(chunks: Iterator[bytes]) -> Iterator[tuple[int, str | ThimError]]:
    """Cut into numbered lines; what is too long to be one is refused."""
    rest, number, is_skipping = b"", 1, False
    for chunk in itertools.chain(chunks, [b"\n"]):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if not is_skipping:
                too_long = len(line) > MAX_LINE
                text = line.decode("utf-8", "replace")
                yield number, _too_long() if too_long else text
            number, is_skipping = number + 1, False
        if len(rest) > MAX_LINE:
            if not is_skipping:  # said at once: it may go on for gigabytes
                yield number, _too_long()
            rest, is_skipping = b"", True


def _too_long() -> ThimError:
    msg = f"a line of more than {MAX_LINE} bytes"
    return MalformedError(msg, reason="too-large")


class _Platform(msgspec.Struct):
    qe_id: str
    pce_id: str
    cpu_svn: str | None = ""
    pce_svn: str | None = ""
    enc_ppid: str | None = ""
    platform_manifest: str | None = ""


class _Certificate(msgspec.Struct):
    cert: str


class _PckCerts(msgspec.Struct):
    qe_id: str
    pce_id: str
    certs: list[_Certificate]
    enc_ppid: str | None = ""
    platform_manifest: str | None = ""


_T = TypeVar("_T", _Platform, _PckCerts)


def _read_json(chunks: Iterator[bytes]) -> Iterator[Sheet | Refused]:
    """Read up to what is no JSON; behind it nothing can be told."""
    is_any = False
    line = 1
    try:
        for piece in split(chunks, _OPENED):
            is_any = is_any or not piece.path or piece.path[0] in _KNOWN
            line = piece.line
            if piece.path in _READERS:
                yield _READERS[piece.path](piece)
    except PieceError as e:
        yield Refused.because(e.line, e)
        return
    if not is_any:
        msg = "neither a list of platforms nor what `pccsadmin put` takes"
        error = MalformedError(msg, reason="unrecognised")
        yield Refused.because(line, error)


def _read_platform(piece: Piece) -> Sheet | Refused:
    found = _convert(piece, _Platform)
    if isinstance(found, Refused):
        return found
    return read_sheet(piece.line, _fields(found))


def _read_certificates(piece: Piece) -> Sheet | Refused:
    found = _convert(piece, _PckCerts)
    if isinstance(found, Refused):
        return found
    return read_sheet(
        piece.line, _fields(found), (each.cert for each in found.certs)
    )


def _convert(piece: Piece, kind: type[_T]) -> _T | Refused:
    try:
        return msgspec.json.decode(piece.raw, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:
        # Of values msgspec names the types only.
        error = MalformedError(str(e), reason="fields")
        return Refused.because(piece.line, error)


def _fields(found: _Platform | _PckCerts) -> Fields:
    return Fields(
        qe_id=found.qe_id,
        pce_id=found.pce_id,
        cpu_svn=getattr(found, "cpu_svn", "") or "",
        pce_svn=getattr(found, "pce_svn", "") or "",
        enc_ppid=found.enc_ppid or "",
        platform_manifest=found.platform_manifest or "",
    )


_READERS: Final = {
    (): _read_platform,
    _PLATFORMS: _read_platform,
    _CERTIFICATES: _read_certificates,
}
