"""
UVM endorsements: what the maker of a guest's firmware says of its launch
measurement.

A message in COSE, signed under a chain that the message brings along and that
its issuer, a did:x509, names.  It proves who says so; whether anybody should
believe them is for the operator's list (``thim.attestation.compliance``).

The signer's certificates live for a year, guests longer: they are judged at
the instant at which the message says that it was signed, and without one their
dates are not judged.  A time stamp beside the message is not read.  A release
of which nobody should make use any more is retired by its SVN.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re

from datetime import UTC, datetime
from typing import Final, NoReturn

import cbor2

from thim.attestation.cose import CONTENT_TYPE, Sign1
from thim.attestation.did_x509 import DidX509, verify_path
from thim.errors import MalformedError, UntrustedError, shorten
from thim.intel.strict_json import parse_strictly
from thim.x509.chain import CLOCK_SKEW


_JSON: Final = "application/json"
_LAST: Final = 253_402_300_799  # the end of the year 9999
_MEASUREMENT: Final = "x-ms-sevsnpvm-launchmeasurement"
_SVN: Final = "x-ms-sevsnpvm-guestsvn"
_HEX: Final = re.compile(r"[0-9a-fA-F]{96}", re.ASCII)
_MOST_SVN: Final = 10**18
_NUMBER: Final = re.compile(r"\d{1,18}", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UvmEndorsement:
    """
    A verified endorsement.

    Attributes:
        issuer: Who says so: a did:x509 that the signer's chain fulfils.
        feed: The issuer's name for this line of releases.
        svn: The release's security version number, which is not the report's
            GUEST_SVN; None where the message gives none.
        measurement: The launch measurement, 48 bytes.
        signed: When it was signed, as the signer says; None where not said.
        sha256: The digest of the message.
    """

    issuer: str
    feed: str
    svn: int | None
    measurement: bytes
    signed: datetime | None
    sha256: bytes


def verify_uvm_endorsement(
    raw: bytes, measurement: bytes, now: datetime
) -> UvmEndorsement | None:
    """
    Verify that the message *raw* endorses *measurement*, as of the instant
    *now*; None where its content is not JSON, of which nothing is known here.

    1. It is a message, signed by the first certificate of its chain.
    2. The chain is a path, at the instant of signing if there is one, which
       is not to come.
    3. Its issuer names that chain.
    4. Its payload has the launch measurement.

    Raises:
        MalformedError, UntrustedError: As ``thim.attestation.cose`` and
            ``thim.attestation.did_x509``, or with the reason
            ``uvm-signing-time``, ``uvm-payload`` or ``uvm-measurement``.
    """
    message = Sign1.from_bytes(raw)
    if message.protected.get(CONTENT_TYPE) != _JSON:
        return None
    message.verify()
    signed = _read_signing_time(message, now)
    verify_path(message.chain, signed)
    issuer = message.text("iss")
    DidX509.parse(issuer).verify(message.chain)
    found, svn = _read_payload(message.payload)
    if found != measurement:
        msg = (
            f"UVM endorsement: of the launch measurement {found.hex()}, the "
            f"report has {measurement.hex()}"
        )
        raise UntrustedError(msg, reason="uvm-measurement")
    return UvmEndorsement(
        issuer=issuer,
        feed=message.text("feed"),
        svn=svn,
        measurement=found,
        signed=signed,
        sha256=hashlib.sha256(raw).digest(),
    )


def _read_signing_time(message: Sign1, now: datetime) -> datetime | None:
    if "signingtime" not in message.protected:
        return None
    match message.protected["signingtime"]:
        case cbor2.CBORTag(tag=1, value=int(seconds)) if 0 <= seconds <= _LAST:
            signed = datetime.fromtimestamp(seconds, UTC)
        case value:
            msg = f"UVM endorsement: signingtime is {shorten(value)}"
            raise MalformedError(msg, reason="uvm-signing-time")
    if signed > now + CLOCK_SKEW:
        msg = f"UVM endorsement: signed at {signed:%FT%TZ}, which is to come"
        raise UntrustedError(msg, reason="uvm-signing-time")
    return signed


def _read_payload(payload: bytes) -> tuple[bytes, int | None]:
    try:
        value = parse_strictly(payload)
    except MalformedError as e:
        _refuse(str(e))
    if not isinstance(value, dict):
        _refuse("the payload is no JSON object")
    text = value.get(_MEASUREMENT)
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        _refuse(f"{_MEASUREMENT} is {shorten(text)}, expected 96 digits")
    return bytes.fromhex(text), _read_svn(value.get(_SVN))


def _read_svn(value: object) -> int | None:
    # Written as text, so far.
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    if type(value) is int and 0 <= value < _MOST_SVN:
        return value
    if value is not None:
        _refuse(f"{_SVN} is {shorten(value)}, expected a number")
    return None


def _refuse(message: str) -> NoReturn:
    msg = f"UVM endorsement: {message}"
    raise MalformedError(msg, reason="uvm-payload")
