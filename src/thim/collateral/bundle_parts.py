"""
What bundles and requests for them hold.

Every document stands there as its vendor signed it; what is said beside it
only helps to read it, and counts for nothing.
"""

from __future__ import annotations

import datetime
import enum

from typing import Annotated, Final, TypeAlias

import msgspec

from msgspec import Meta

from thim.collateral.bundle_keys import PUBLIC_SIZE
from thim.collateral.platforms import MOST_CERTIFICATES


#: No document is larger (``intel.recognise``), ...
MOST_DOCUMENT: Final = 4 * 1024 * 1024
#: ... no PCK certificate or VCEK, ...
MOST_CERTIFICATE: Final = 8 * 1024
#: ... and no manifest, with what sealing adds.
MOST_SEALED: Final = 129 * 1024
#: So many parts lie together at most.
MOST_PARTS: Final = 65_536
#: Of one platform; far more than firmware has releases.
MOST_RAW_TCBS: Final = 1024
#: So much of a digest names what is there already.
DIGEST_SIZE: Final = 16
_MOST_DIGESTS: Final = 1024 * 1024
_MOST_FMSPCS: Final = 10_000
_MOST_SIGNERS: Final = 1000

_Key = Annotated[bytes, Meta(min_length=PUBLIC_SIZE, max_length=PUBLIC_SIZE)]
_Sha256 = Annotated[bytes, Meta(min_length=32, max_length=32)]
_QeId = Annotated[bytes, Meta(min_length=16, max_length=16)]
_PceId = Annotated[bytes, Meta(min_length=2, max_length=2)]
_RawTcb = Annotated[bytes, Meta(min_length=18, max_length=18)]
_Tcb = Annotated[bytes, Meta(min_length=8, max_length=8)]
_HwId = Annotated[bytes, Meta(min_length=8, max_length=64)]
_EncPpid = Annotated[bytes, Meta(min_length=384, max_length=384)]
_Digest = Annotated[bytes, Meta(min_length=DIGEST_SIZE, max_length=DIGEST_SIZE)]
_Name = Annotated[str, Meta(max_length=256)]
_Fmspc = Annotated[str, Meta(pattern=r"^[0-9A-F]{12}\Z")]
#: No bundle has a higher number.
MOST_COUNTER: Final = 2**53
_Counter = Annotated[int, Meta(ge=1, le=MOST_COUNTER)]
_Instant = Annotated[datetime.datetime, Meta(tz=True)]
_ZERO: Final = datetime.timedelta()
_Certificate = Annotated[bytes, Meta(max_length=MOST_CERTIFICATE)]
_RawTcbs = Annotated[list[_RawTcb], Meta(max_length=MOST_RAW_TCBS)]


def _check_utc(name: str, instant: datetime.datetime) -> None:
    """
    Check that *instant* is in UTC: in another zone it may be in a year that
    cannot be written down.

    Raises:
        ValueError: It is not; *name* is what it is called.
    """
    if instant.utcoffset() != _ZERO:
        msg = f"{name}: expected an instant in UTC"
        raise ValueError(msg)


class FileKind(enum.Enum):
    """What a file is, by its first word."""

    BUNDLE = "thim-bundle"
    REQUEST = "thim-request"


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """
    One bundle: its number among those of its signer, and its file's digest.
    """

    counter: _Counter
    sha256: _Sha256

    def __str__(self) -> str:
        return f"{self.counter} ({self.sha256.hex()[:16]}…)"


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """
    The last bundle of *signer* (the digest of the key) that was imported.
    """

    signer: _Sha256
    bundle: Which


class BundleHeader(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a bundle says of itself.

    *base* is the bundle that must have been imported before, None where this
    one is complete.  *request* is the digest of the file that asked for it.
    """

    created: _Instant
    signer: _Key
    counter: _Counter
    program: _Name
    base: Which | None = None
    request: _Sha256 | None = None

    def __post_init__(self) -> None:
        _check_utc("created", self.created)


class RequestHeader(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a request says of itself.

    *recipient* is for whose key manifests are sealed; *fmspcs* (upper-case
    hex) are those in use, *imported* what came in before.
    """

    created: _Instant
    signer: _Key
    program: _Name
    recipient: _Key | None = None
    fmspcs: Annotated[list[_Fmspc], Meta(max_length=_MOST_FMSPCS)] = []
    imported: Annotated[list[Imported], Meta(max_length=_MOST_SIGNERS)] = []

    def __post_init__(self) -> None:
        _check_utc("created", self.created)


Header: TypeAlias = BundleHeader | RequestHeader


class Footer(msgspec.Struct, frozen=True, kw_only=True):
    """
    How many parts of each kind there were.
    """

    counts: dict[_Name, int]


class _Part(msgspec.Struct, frozen=True, array_like=True):
    pass


class AuthorityPart(_Part, tag="authority", frozen=True):
    """The certificate of one of Intel's CAs, DER."""

    der: _Certificate


class DocumentPart(_Part, tag="document", frozen=True):
    """A document: its key as it is written, and the vendor's bytes."""

    name: _Name
    body: Annotated[bytes, Meta(max_length=MOST_DOCUMENT)]


class ChannelPart(_Part, tag="channel", frozen=True):
    """
    To which number ``early`` or ``standard`` was *seen* to point.

    Nobody signs that: it counts only beside a verified document of the number.
    """

    name: _Name
    number: Annotated[int, Meta(ge=0, le=2**31)]
    seen: _Instant

    def __post_init__(self) -> None:
        _check_utc("seen", self.seen)


class PckPart(_Part, tag="pck", frozen=True):
    """A platform's PCK certificates, DER, and the raw TCBs they are for."""

    qe_id: _QeId
    pce_id: _PceId
    raw_tcbs: _RawTcbs
    certificates: Annotated[
        list[_Certificate], Meta(max_length=MOST_CERTIFICATES)
    ]


class EndorsementKeyPart(_Part, tag="endorsement-key", frozen=True):
    """A VCEK or VLEK, DER."""

    der: _Certificate


class PlatformPart(_Part, tag="platform", frozen=True):
    """
    A platform whose certificates are wanted.

    *sealed* is its manifest, sealed for the recipient; *held* the digest of
    the certificates that are there.
    """

    qe_id: _QeId
    pce_id: _PceId
    raw_tcbs: _RawTcbs
    enc_ppid: _EncPpid | None
    sealed: Annotated[bytes, Meta(max_length=MOST_SEALED)] | None
    held: _Digest | None


class ChipPart(_Part, tag="chip", frozen=True):
    """A chip and a TCB whose VCEK is wanted."""

    product: _Name
    hw_id: _HwId
    tcb: _Tcb


class HeldPart(_Part, tag="held", frozen=True):
    """The digests of documents that are there, one behind the other."""

    digests: Annotated[bytes, Meta(max_length=_MOST_DIGESTS)]


BundlePart: TypeAlias = (
    AuthorityPart | DocumentPart | ChannelPart | PckPart | EndorsementKeyPart
)
RequestPart: TypeAlias = PlatformPart | ChipPart | HeldPart
Part: TypeAlias = BundlePart | RequestPart

PARTS: Final = {
    FileKind.BUNDLE: Annotated[list[BundlePart], Meta(max_length=MOST_PARTS)],
    FileKind.REQUEST: Annotated[list[RequestPart], Meta(max_length=MOST_PARTS)],
}
