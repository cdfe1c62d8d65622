"""
What files say of platforms, read but not verified.

The texts are those of Intel's tools: hexadecimal digits of either case, PCE ID
and PCESVN with the lower byte first.  No message repeats an encrypted PPID or
a manifest.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import MOST_CERTIFICATES, PlatformId
from thim.errors import MalformedError, shorten
from thim.intel.pck import PckTcbm
from thim.services.pck import is_swapped


if TYPE_CHECKING:
    from collections.abc import Iterable

    from thim.errors import ThimError

_HEX: Final = re.compile(r"[0-9a-fA-F]*", re.ASCII)
_ENC_PPID_SIZE: Final = 384
#: The longest that is known has 56442 bytes.
MOST_MANIFEST: Final = 128 * 1024
#: What PCCS and PCS write in the place of a certificate.
_NO_CERTIFICATE: Final = "Not available"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """
    What stands of a platform on *line*; *pems* are its certificates.

    *where* names the row, where *line* says nothing to people.
    """

    line: int
    id: PlatformId
    where: str = ""
    raw_tcbs: tuple[PckTcbm, ...] = ()
    enc_ppid: bytes | None = dataclasses.field(default=None, repr=False)
    manifest: bytes | None = dataclasses.field(default=None, repr=False)
    pems: tuple[bytes, ...] = dataclasses.field(default=(), repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """
    What cannot be read on *line*; *where* as a `Sheet` has it.
    """

    line: int
    reason: str
    detail: str
    platform: PlatformId | None = None
    where: str = ""

    @classmethod
    def because(
        cls, line: int, error: ThimError, platform: PlatformId | None = None
    ) -> Refused:
        """
        Refuse what stands on *line* for an *error*.
        """
        detail = str(error)
        return cls(
            line=line, reason=error.reason, detail=detail, platform=platform
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """
    The texts of one platform, as the tools name them; what is not given is
    empty.
    """

    qe_id: str
    pce_id: str
    cpu_svn: str = ""
    pce_svn: str = ""
    enc_ppid: str = dataclasses.field(default="", repr=False)
    platform_manifest: str = dataclasses.field(default="", repr=False)


def read_sheet(
    line: int, fields: Fields, certificates: Iterable[str] = ()
) -> Sheet | Refused:
    """
    Read what stands of one platform on *line*, and its *certificates* (PEM,
    as it is or percent-encoded).
    """
    platform = None
    try:
        platform = read_id(fields.qe_id, fields.pce_id)
        return Sheet(
            line=line,
            id=platform,
            raw_tcbs=read_raw_tcb(fields.cpu_svn, fields.pce_svn),
            enc_ppid=_read_enc_ppid(fields.enc_ppid),
            manifest=_read_manifest(fields.platform_manifest),
            pems=_read_certificates(certificates),
        )
    except MalformedError as e:
        return Refused.because(line, e, platform)


def read_id(qe_id: str, pce_id: str) -> PlatformId:
    """
    Read by what a platform is asked for.

    Raises:
        MalformedError: Not 32 and four digits.
    """
    return PlatformId(
        _unhex("QE ID", qe_id, 16, "platform-id"),
        _unhex("PCE ID", pce_id, 2, "platform-id"),
    )


def read_raw_tcb(cpu_svn: str, pce_svn: str) -> tuple[PckTcbm, ...]:
    """
    Read the one TCB of a platform; none where both texts are empty.

    Raises:
        MalformedError: Not 32 and four digits, or PCESVN with its bytes the
            other way round.
    """
    if not cpu_svn.strip() and not pce_svn.strip():
        return ()
    cpusvn = _unhex("CPUSVN", cpu_svn, 16, "raw-tcb")
    pcesvn = _unhex("PCESVN", pce_svn, 2, "raw-tcb")
    found = PckTcbm.from_bytes(cpusvn + pcesvn)
    if is_swapped(found.pcesvn):
        msg = (
            f"PCESVN {pcesvn.hex().upper()} is {found.pcesvn}; is it "
            f"{found.pcesvn >> 8}? Its lower byte comes first"
        )
        raise MalformedError(msg, reason="pcesvn-byte-order")
    return (found,)


def _unhex(what: str, text: str, size: int, reason: str) -> bytes:
    digits = _digits(text)
    if len(digits) != 2 * size or not _HEX.fullmatch(digits):
        msg = (
            f"{what}: got {shorten(text, 40)}, expected {2 * size} "
            f"hexadecimal digits"
        )
        raise MalformedError(msg, reason=reason)
    return bytes.fromhex(digits)


def _unhex_secret(what: str, text: str, reason: str) -> bytes:
    digits = _digits(text)
    if len(digits) % 2 or not _HEX.fullmatch(digits):
        msg = f"{what}: {len(digits)} characters that are not hexadecimal"
        raise MalformedError(msg, reason=reason)
    return bytes.fromhex(digits)


def _digits(text: str) -> str:
    digits = text.strip().strip('"')
    return digits[2:] if digits[:2] in {"0x", "0X"} else digits


def _read_enc_ppid(text: str) -> bytes | None:
    found = _unhex_secret("encrypted PPID", text, "enc-ppid")
    if found and len(found) != _ENC_PPID_SIZE:
        msg = f"encrypted PPID: {len(found)} bytes, expected {_ENC_PPID_SIZE}"
        raise MalformedError(msg, reason="enc-ppid")
    return found if any(found) else None


def _read_manifest(text: str) -> bytes | None:
    found = _unhex_secret("platform manifest", text, "manifest")
    if len(found) > MOST_MANIFEST:
        msg = (
            f"platform manifest: {len(found)} bytes, expected at most "
            f"{MOST_MANIFEST}"
        )
        raise MalformedError(msg, reason="manifest")
    return found or None


def _read_certificates(texts: Iterable[str]) -> tuple[bytes, ...]:
    pems = tuple(
        unquote(text)
        for text in texts
        if text.strip() not in {"", _NO_CERTIFICATE}
    )
    if len(pems) > MOST_CERTIFICATES:
        msg = f"{len(pems)} certificates, expected at most {MOST_CERTIFICATES}"
        raise MalformedError(msg, reason="pck-certificates")
    return pems


def unquote(text: str) -> bytes:
    """
    Take the percent-encoding from PEM, if it has any.
    """
    # The library's takes ten times as long, and there may be a million.
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return urllib.parse.unquote_to_bytes(text)


#: All that PEM has to escape.
_ESCAPES: Final = {"%0A": "\n", "%20": " ", "%2B": "+", "%2F": "/", "%3D": "="}
