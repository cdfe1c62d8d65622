"""
PCK certificates of large fleets, quickly: for benches and tests of scale.

For each TCB one certificate is issued in full.  It is the template of all
others of that TCB: serial number, PPID, platform instance ID and public key
are replaced in it, and the CA signs the result with its key.  So each verifies
for real.  What is not real: machines share a pool of keys, as one of their own
would double the time::

    for qe_id, pce_id, raw_tcb, der in make_fleet(Intel(), fmspc, 1000):
        ...
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from thim.intel.names import PckCa
from thim.simulate.certified import PckTcb
from thim.simulate.pck import (
    ISSUERS,
    Platform,
    derive_id,
    issue_pck_certificate,
)


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from thim.simulate.pki import Intel

#: A machine that is up to date in what *Intel* issues by default.
TCB: Final = PckTcb(b"\4" * 16, 11)
_ECDSA: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
#: What is replaced in a template.
_SERIAL: Final = b"serial number of one"
_PPID: Final = b"PPID of template"
_INSTANCE: Final = b"its instance ID."
#: The DER of ecdsa-with-SHA256.
_ALGORITHM: Final = bytes.fromhex("300A06082A8648CE3D040302")
_BIT_STRING: Final = 0x03
#: A SEQUENCE whose length takes two octets.
_HEAD: Final = bytes.fromhex("3082")


class FleetMember(NamedTuple):
    """A machine at one TCB, and its PCK certificate in DER."""

    qe_id: bytes
    pce_id: bytes
    raw_tcb: PckTcb
    certificate: bytes


def make_fleet(
    intel: Intel,
    fmspc: bytes,
    count: int,
    *,
    start: int = 0,
    ca: PckCa = PckCa.PLATFORM,
    pce_id: bytes = b"\0\0",
    raw_tcb: PckTcb = TCB,
    tcbs: Sequence[PckTcb] = (),
    keys: int = 1024,
) -> Iterator[FleetMember]:
    """
    Make *count* machines one after another, the same each time.

    Args:
        intel: Who issues their certificates.
        fmspc: Their family, 6 bytes.
        count: How many.
        start: The number of the first; fleets that are made in pieces do not
            overlap.
        ca: Which authority issues.
        pce_id: Their PCE ID, 2 bytes.
        raw_tcb: The TCB that they have.
        tcbs: The TCBs for which each has a certificate, in this order; by
            default *raw_tcb* alone.
        keys: How many keys they share.

    Raises:
        ParameterError: A value has another length.
    """
    pool = [_Key.of(intel.key(f"fleet/{i}")) for i in range(keys)]
    like = Platform(fmspc=fmspc, pce_id=pce_id, ca=ca)
    presses = [_Press(intel, like, tcb) for tcb in tcbs or (raw_tcb,)]
    for number in range(start, start + count):
        qe_id = fleet_qe_id(intel, number)
        for turn, press in enumerate(presses, number * len(presses)):
            certificate = press.stamp(qe_id, pool[turn % keys])
            yield FleetMember(qe_id, pce_id, raw_tcb, certificate)


def fleet_qe_id(intel: Intel, number: int) -> bytes:
    """
    Return the QE ID of a machine; PPID and instance ID are what a
    ``thim.simulate.pck.Platform`` has with it.
    """
    text = f"{intel.seed}/fleet/{number}"
    return hashlib.sha256(text.encode()).digest()[:16]


@dataclasses.dataclass(frozen=True, slots=True)
class _Key:
    """A public key: its point, and the identifier of that."""

    point: bytes
    identifier: bytes

    @classmethod
    def of(cls, key: ec.EllipticCurvePrivateKey) -> _Key:
        public = key.public_key()
        return cls(
            public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
            x509.SubjectKeyIdentifier.from_public_key(public).digest,
        )


class _Press:
    """What makes the certificates of one TCB of one family."""

    def __init__(self, intel: Intel, like: Platform, tcb: PckTcb) -> None:
        platform = dataclasses.replace(
            like,
            ppid=_PPID,
            platform_instance_id=_INSTANCE,
            cpusvn=tcb.cpusvn,
            components=tcb.cpusvn,
            pcesvn=tcb.pcesvn,
        )
        key = intel.key("fleet/template")
        template = issue_pck_certificate(
            intel, platform, serial=int.from_bytes(_SERIAL), key=key
        )
        own = _Key.of(key)
        marks = [_SERIAL, own.point, own.identifier, _PPID]
        if like.ca is PckCa.PLATFORM:
            marks.append(_INSTANCE)
        self._pieces = _cut(template.tbs_certificate_bytes, marks)
        self._signer = intel.key(ISSUERS[like.ca])
        self._prefix = f"{intel.seed}/fleet/serial/{tcb.tcbm}/".encode()

    def stamp(self, qe_id: bytes, key: _Key) -> bytes:
        """
        Make the certificate of the machine *qe_id* for *key*.
        """
        values = (
            _positive(hashlib.sha256(self._prefix + qe_id).digest()),
            key.point,
            key.identifier,
            derive_id("ppid", qe_id),
            derive_id("instance", qe_id),
        )
        first, *rest = self._pieces
        filled = (
            part for pair in zip(values, rest, strict=False) for part in pair
        )
        tbs = first + b"".join(filled)
        signature = b"\0" + self._signer.sign(tbs, _ECDSA)
        bits = bytes([_BIT_STRING, len(signature)]) + signature
        content = tbs + _ALGORITHM + bits
        return _HEAD + len(content).to_bytes(2, "big") + content


def _cut(tbs: bytes, marks: Iterable[bytes]) -> list[bytes]:
    """Cut *marks* out of *tbs*, in which each stands once, in this order."""
    pieces = []
    for mark in marks:
        piece, found, tbs = tbs.partition(mark)
        if not found or mark in tbs:
            msg = "the template of a certificate cannot be told apart"
            raise RuntimeError(msg)
        pieces.append(piece)
    return [*pieces, tbs]


def _positive(digest: bytes) -> bytes:
    # 20 octets that are neither negative nor begin with a zero.
    return bytes([0x40 | digest[0] & 0x3F]) + digest[1 : len(_SERIAL)]
