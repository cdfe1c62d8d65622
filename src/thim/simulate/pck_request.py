"""
Requests for PCK certificates and for registration, taken apart.
"""

from __future__ import annotations

import dataclasses
import re

from typing import TYPE_CHECKING, Final

import msgspec

from thim.errors import ParameterError, shorten
from thim.simulate.certified import PckTcb
from thim.simulate.explain import MANIFEST
from thim.simulate.identifiers import (
    ENC_PPID_SIZE,
    MAX_MANIFEST_SIZE,
    MIN_MANIFEST_SIZE,
)
from thim.simulate.refusals import MediaTypeError


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thim.simulate.answers import Request

_HEX: Final = re.compile(r"[0-9a-fA-F]*", re.ASCII)
_MANIFEST: Final = re.compile(MANIFEST, re.ASCII)
_KEY_HEADER: Final = "ppid-encryption-key"
_KEY_TYPES: Final = ("RSA-2048", "RSA-3072")
_MOST: Final = 0xFFFF


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    Whose PCK certificates are wanted, and which.

    Attributes:
        pce_id: 2 bytes, as in the certificates.
        enc_ppid: The machine, encrypted; or
        manifest: its platform manifest.
        raw: At or beneath which TCB; None for all.
    """

    pce_id: bytes
    enc_ppid: bytes | None = None
    manifest: bytes | None = None
    raw: PckTcb | None = None

    @classmethod
    def from_request(cls, request: Request) -> Wanted:
        """
        Read a request, a GET by PPID or a POST by manifest.

        Raises:
            ParameterError: A parameter is missing or has another form.
            MediaTypeError: A POST of something else than JSON.
        """
        _check_key_type(request)
        if request.method == "GET":
            given: Mapping[str, str] = request.parameters
            enc_ppid = _parse_hex(given, "encrypted_ppid", ENC_PPID_SIZE)
            manifest = None
        else:
            given = _read_json(request)
            enc_ppid, manifest = None, _parse_manifest(given)
        return cls(
            enc_ppid=enc_ppid,
            manifest=manifest,
            raw=_parse_raw(given, request.path.rpartition("/")[2]),
            pce_id=_parse_hex(given, "pceid", 2),
        )


def _check_key_type(request: Request) -> None:
    got = request.headers.get(_KEY_HEADER, _KEY_TYPES[-1])
    if got.upper() not in _KEY_TYPES:
        expected = f"expected {' or '.join(_KEY_TYPES)}"
        raise ParameterError("PPID-Encryption-Key", got, expected)


def _parse_hex(given: Mapping[str, str], name: str, size: int) -> bytes:
    text = given.get(name, "")
    if len(text) == 2 * size and _HEX.fullmatch(text):
        return bytes.fromhex(text)
    expected = f"expected {2 * size} hexadecimal digits"
    raise ParameterError(name, _tell(text), expected)


def _tell(text: str) -> str:
    # What may be a secret is not repeated.
    return text if len(text) <= 40 else f"{len(text)} characters"


def _parse_manifest(given: Mapping[str, str]) -> bytes:
    text = given.get("platformManifest", "")
    if _MANIFEST.fullmatch(text):
        return bytes.fromhex(text)
    expected = "expected 16862 to 112884 hexadecimal digits"
    raise ParameterError("platformManifest", _tell(text), expected)


def read_manifest(request: Request) -> bytes:
    """
    Read a platform manifest that is the body of *request*.

    Raises:
        MediaTypeError: The body is said to be something else.
        ParameterError: It is too short or too long.
    """
    _check_media_type(request, "application/octet-stream")
    manifest = request.body or b""
    if MIN_MANIFEST_SIZE <= len(manifest) <= MAX_MANIFEST_SIZE:
        return manifest
    got = f"{len(manifest)} bytes"
    expected = f"expected {MIN_MANIFEST_SIZE} to {MAX_MANIFEST_SIZE}"
    raise ParameterError("body", got, expected)


def _parse_raw(given: Mapping[str, str], last: str) -> PckTcb | None:
    if last == "pckcerts":
        return None
    cpusvn = _parse_hex(given, "cpusvn", 16)
    if last == "config":
        return PckTcb(cpusvn, _MOST)
    pcesvn = _parse_hex(given, "pcesvn", 2)
    return PckTcb(cpusvn, int.from_bytes(pcesvn, "little"))


def _read_json(request: Request) -> dict[str, str]:
    _check_media_type(request, "application/json")
    body = request.body or b""
    try:
        written = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        expected = "expected a JSON object"
        raise ParameterError("body", f"{len(body)} bytes", expected) from None
    return {name: _text(name, value) for name, value in written.items()}


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise ParameterError(name, _tell(repr(value)), "expected text")


def _check_media_type(request: Request, wanted: str) -> None:
    got = request.headers.get("content-type", "")
    if got.partition(";")[0].strip().lower() != wanted:
        msg = f"Content-Type: got {shorten(got)}, expected {wanted}"
        raise MediaTypeError(msg)
