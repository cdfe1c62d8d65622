"""
Platforms: machines, what is registered of them, and their PCK certificates.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError
from thim.intel.pck import PckTcbm
from thim.intel.select import list_floors
from thim.intel.signed import SignedJson
from thim.intel.tcb_info import TcbInfo


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from thim.intel.names import PckCa
    from thim.intel.pck import PckCertificate

_QE_ID: Final = 16
_PCE_ID: Final = 2
#: A platform changes its TCB some times a year; who asks with more made them
#: up.
MOST_RAW_TCBS: Final = 64
#: One for each TCB level that the platform reaches.
MOST_CERTIFICATES: Final = 512


class RegisteredBy(enum.Enum):
    """
    What a platform was registered by, and so what a vendor is asked with.
    """

    ENCRYPTED_PPID = "encrypted-ppid"
    MANIFEST = "manifest"
    #: Its certificates were brought along; no vendor can be asked.
    CERTIFICATES = "certificates"


class NameKind(enum.IntEnum):
    """
    By what a platform is named by who does not know its QE ID.
    """

    ENCRYPTED_PPID = 0
    MANIFEST = 1


class Voucher(enum.IntEnum):
    """
    Who stands behind a QE ID's being this platform: nobody signs it.

    ANYBODY asked with an encrypted PPID; somebody who may has REGISTERED it,
    while its certificates are still those from before; they are PROVEN when
    they came from, or by what was given by, somebody who may.
    """

    ANYBODY = 0
    REGISTERED = 1
    PROVEN = 2


class RegistrationState(enum.Enum):
    """
    What became of a registration.
    """

    NEW = "new"
    NOT_AVAILABLE = "not-available"
    DONE = "done"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class PlatformId:
    """
    How a platform is asked for: *qe_id*, 16 bytes, and *pce_id*, 2 bytes in
    the order in which they stand on the wire (little-endian).

    Raises:
        MalformedError: Another length.
    """

    qe_id: bytes
    pce_id: bytes

    def __post_init__(self) -> None:
        sizes = {"qe_id": _QE_ID, "pce_id": _PCE_ID}
        for name, size in sizes.items():
            got = len(getattr(self, name))
            if got != size:
                msg = f"{name}: got {got} bytes, expected {size}"
                raise MalformedError(msg, reason="platform-id")

    def __str__(self) -> str:
        return f"{self.qe_id.hex().upper()}:{self.pce_id.hex().upper()}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckRecord:
    """
    A verified PCK certificate: what it says, its PEM, and its issuer chain
    (PEM: the PCK CA, then the root).
    """

    certificate: PckCertificate
    pem: bytes
    issuer_chain: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    What is to be known of a platform from now on.

    *enc_ppid* (384 bytes) and *manifest* (sealed) are kept if they are given,
    and *certificates* too: all that the vendor has if *is_complete*, so that
    those from before are superseded.  *names* are the digests of what it is
    named by; certificates, if there are any, came by that.  *is_vouched* when
    somebody who may says so, not just anybody who asks; *is_anew* when what is
    known of it came from anybody, and counts no more.  *is_registration* when
    somebody registers it, and not the vendor was asked again: one that was
    retired is in service again then.
    """

    id: PlatformId
    is_vouched: bool = True
    is_anew: bool = False
    is_registration: bool = True
    registered_by: RegisteredBy
    raw_tcbs: tuple[PckTcbm, ...] = ()
    enc_ppid: bytes | None = dataclasses.field(default=None, repr=False)
    manifest: bytes | None = dataclasses.field(default=None, repr=False)
    names: Mapping[NameKind, bytes] = dataclasses.field(default_factory=dict)
    certificates: tuple[PckRecord, ...] = ()
    is_complete: bool = False
    name: str | None = None
    labels: Mapping[str, str] | None = None


def digest_name(kind: NameKind, secret: bytes, pce_id: bytes) -> bytes:
    """
    Return by what a platform is found that somebody names by a *secret* of
    this *kind* and its *pce_id*: 16 bytes of a SHA-256.
    """
    return hashlib.sha256(bytes([kind]) + pce_id + secret).digest()[:16]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownAs:
    """
    What a platform is known as: one of its current certificates (PEM), if it
    has any, who stands behind it, and whether it was retired.
    """

    certificate: bytes | None
    voucher: Voucher
    is_retired: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """
    A platform as it is known.

    *row* is its number in the store, *voucher* says who stands behind it.
    *raw_tcbs* are those that it was registered with, *noted_raw_tcbs* those
    that somebody asked with.  *fmspc*, *ca* and *cached_keys* are those of its
    certificates, None before there are any.  *looked* is when the vendor last
    gave its certificates, *last_seen* when it last asked for one.
    *replaced_by* is the number of the platform that took its place.
    """

    row: int
    id: PlatformId
    registered_by: RegisteredBy
    registered: datetime
    raw_tcbs: tuple[PckTcbm, ...]
    noted_raw_tcbs: tuple[PckTcbm, ...] = ()
    voucher: Voucher = Voucher.PROVEN
    fmspc: bytes | None = None
    ca: PckCa | None = None
    cached_keys: bool | None = None
    name: str | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    looked: datetime | None = None
    last_seen: datetime | None = None
    retired: datetime | None = None
    replaced_by: int | None = None

    @property
    def seen_raw_tcbs(self) -> tuple[PckTcbm, ...]:
        """
        All of its raw TCBs, each once.
        """
        every = (*self.raw_tcbs, *self.noted_raw_tcbs)
        return tuple(dict.fromkeys(every))

    def __str__(self) -> str:
        return f"{self.name} ({self.id})" if self.name else str(self.id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldPck:
    """
    A PCK certificate as it lies in the store.

    *row* is its number, *issuer_chain* PEM, and *serial* the end of its
    serial number (63 bits).  *is_revoked* when the PCK CRL lists it,
    *is_signer_revoked* when the root CRL lists the CA.
    """

    row: int
    serial: int
    tcbm: PckTcbm
    pem: bytes
    issuer_chain: bytes
    fmspc: bytes
    ca: PckCa
    not_after: datetime
    is_revoked: bool
    is_signer_revoked: bool = False


def read_floors(tcb_info: bytes) -> tuple[PckTcbm, ...]:
    """
    Read the floors of the levels of a verified *tcb_info*.

    Raises:
        MalformedError: It is none.
    """
    signed = SignedJson.from_json(tcb_info).signed
    return list_floors(TcbInfo.from_json(signed))


def digest_floors(tcb_info: bytes) -> bytes:
    """
    Return the SHA-256 of what certificates are selected by in *tcb_info*: it
    is issued anew each day, and stays the same in this.

    Raises:
        MalformedError: It is none.
    """
    floors = (floor.to_bytes() for floor in read_floors(tcb_info))
    return hashlib.sha256(b"".join(floors)).digest()
