"""
The bodies of PCCS's administration routes, read strictly.

What is wrong is named as JSON paths are: ``$.platforms[0].pce_id``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from msgspec import Meta

from thim.collateral.platforms import PlatformId
from thim.errors import ParameterError
from thim.http.bodies import decode
from thim.intel.pck import PckTcbm
from thim.services.pck import is_swapped
from thim.services.registrations import Wanted


def digits(count: int, *, may_be_empty: bool = False) -> Meta:
    """
    Return that a text is *count* hexadecimal digits.
    """
    one = f"[0-9a-fA-F]{{{count}}}"
    return Meta(pattern=rf"^(?:{one})?\Z" if may_be_empty else rf"^{one}\Z")


Hex4 = Annotated[str, digits(4)]
Hex12 = Annotated[str, digits(12)]
Hex32 = Annotated[str, digits(32)]
Hex36 = Annotated[str, digits(36)]
Octets = Annotated[str, Meta(pattern=r"^(?:[0-9a-fA-F]{2})*\Z")]


class _Registration(msgspec.Struct):
    qe_id: Hex32
    pce_id: Hex4
    cpu_svn: Annotated[str, digits(32)] | None = None
    pce_svn: Annotated[str, digits(4)] | None = None
    enc_ppid: Annotated[str, digits(768)] | None = None
    platform_manifest: Octets | None = None


class PolicyBody(msgspec.Struct):
    """
    What ``appraisalpolicy`` is given.
    """

    is_default: bool
    fmspc: Hex12
    policy: str


def read_policy(raw: bytes) -> PolicyBody:
    """
    Read the body of a PUT of a policy.

    Raises:
        MalformedError: It is none.
    """
    return decode(raw, PolicyBody)


def read_registration(raw: bytes) -> Wanted:
    """
    Read the body of a POST of a platform.

    Raises:
        MalformedError: It is none.
    """
    body = decode(raw, _Registration)
    platform = to_id(body.qe_id, body.pce_id)
    if body.platform_manifest:
        manifest = bytes.fromhex(body.platform_manifest)
        return Wanted(id=platform, manifest=manifest)
    for name in ("cpu_svn", "pce_svn", "enc_ppid"):
        if getattr(body, name) is None:
            expected = "expected it, where there is no platform_manifest"
            raise ParameterError("$." + name, "", expected)
    enc_ppid = bytes.fromhex(body.enc_ppid or "")
    if not any(enc_ppid):
        expected = "expected an encrypted PPID"
        raise ParameterError("$.enc_ppid", "zeros", expected)
    return Wanted(
        id=platform,
        raw_tcb=to_raw_tcb(body.cpu_svn or "", body.pce_svn or ""),
        enc_ppid=enc_ppid,
    )


def to_id(qe_id: str, pce_id: str) -> PlatformId:
    """
    Make an ID of digits.
    """
    return PlatformId(bytes.fromhex(qe_id), bytes.fromhex(pce_id))


def to_raw_tcb(cpu_svn: str, pce_svn: str, where: str = "$.pce_svn") -> PckTcbm:
    """
    Make a raw TCB of digits; the lower byte of *pce_svn* comes first.

    Raises:
        ParameterError: The higher one does, it seems; *where* names it.
    """
    raw_tcb = PckTcbm.from_bytes(bytes.fromhex(cpu_svn + pce_svn))
    if is_swapped(raw_tcb.pcesvn):
        swapped = pce_svn[2:] + pce_svn[:2]
        expected = f"expected the lower byte first: {swapped}?"
        raise ParameterError(where, pce_svn, expected)
    return raw_tcb
