"""
The certificate of a signing key, and the evidence in it.

It is a function of the key, the issuer, the key's first instant and the
evidence: whoever makes it, and whenever, makes the same bytes.  It is
self-signed and proves nothing by itself; relying parties know the key by
``/certs``, and what made it by the evidence.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import hashlib
import json

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from thim.x509 import der_writer as der


if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

#: An Open Enclave report, as it is.
SGX_EVIDENCE: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.105.1")
#: JSON, and of what kind it is; each a UTF8String.
VM_EVIDENCE: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.105.1000.1")
VM_KIND: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.105.1000.2")

#: Longer than any key signs; Azure's last for 31 years.
LIFE: Final = datetime.timedelta(days=30 * 365)
_VERSION_3: Final = 2
_SERIAL_SIZE: Final = 16
#: sha256WithRSAEncryption (RFC 4055, 5).
_ALGORITHM: Final = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL)


class EvidenceKind(enum.Enum):
    """
    What evidence of a key is: an Open Enclave report; or JSON around a report
    of SEV-SNP, or around a quote of TDX (the last is ours: Azure documents no
    form for it).
    """

    SGX = "sgx"
    SNP = "sevsnpvm"
    TDX = "tdxvm"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvidence:
    """
    What the TEE says in which a key was made: *data* as the extension has it.
    """

    kind: EvidenceKind
    data: bytes


def write_snp_evidence(report: bytes, chain: bytes | None) -> KeyEvidence:
    """
    Write the evidence of a *report* and, if it is known, the *chain* of its
    VCEK (PEM; VCEK, ASK, ARK).
    """
    members = {"SnpReport": report}
    if chain is not None:
        members["VcekCertChain"] = chain
    return _write(EvidenceKind.SNP, members)


def write_tdx_evidence(quote: bytes) -> KeyEvidence:
    """
    Write the evidence of a *quote*.
    """
    return _write(EvidenceKind.TDX, {"TdxQuote": quote})


def _write(kind: EvidenceKind, members: dict[str, bytes]) -> KeyEvidence:
    spelled = {name: _spell(value) for name, value in members.items()}
    data = json.dumps(spelled, separators=(",", ":")).encode("ascii")
    return KeyEvidence(kind=kind, data=data)


def _spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def issue_signing_certificate(
    key: RSAPrivateKey,
    issuer: str,
    created: datetime.datetime,
    evidence: KeyEvidence | None = None,
) -> bytes:
    """
    Issue the certificate (DER) of *key* for tokens of *issuer*, valid for a
    `LIFE` from when the key was *created*.

    It is written here, and not by a library: X.520 allows a common name 64
    characters, which a URL may exceed, and relying parties compare all of it.
    """
    spki = key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    name = _name(issuer)
    content = der.sequence(
        der.explicit(0, der.integer(_VERSION_3)),
        der.integer(_serial(spki)),
        _ALGORITHM,
        name,
        der.sequence(der.time(created), der.time(created + LIFE)),
        name,
        spki,
        der.explicit(3, der.sequence(*_extensions(key, evidence))),
    )
    signature = key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    return der.sequence(content, _ALGORITHM, der.bit_string(signature))


def _name(issuer: str) -> bytes:
    common_name = der.sequence(der.oid("2.5.4.3"), der.utf8_string(issuer))
    return der.sequence(der.set_of(common_name))


def _serial(spki: bytes) -> int:
    # Positive, and always of one length.
    digest = hashlib.sha256(spki).digest()[:_SERIAL_SIZE]
    return int.from_bytes(digest) | 1 << (8 * _SERIAL_SIZE - 1)


def _extensions(
    key: RSAPrivateKey, evidence: KeyEvidence | None
) -> Iterator[bytes]:
    public = key.public_key()
    for known in (
        x509.BasicConstraints(ca=False, path_length=None),
        x509.SubjectKeyIdentifier.from_public_key(public),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(public),
    ):
        yield _extension(known.oid, known.public_bytes())
    if evidence is None:
        return
    if evidence.kind is EvidenceKind.SGX:
        yield _extension(SGX_EVIDENCE, evidence.data)
        return
    yield _extension(VM_EVIDENCE, der.utf8_string(evidence.data.decode()))
    yield _extension(VM_KIND, der.utf8_string(evidence.kind.value))


def _extension(oid: x509.ObjectIdentifier, value: bytes) -> bytes:
    # None of them is critical.
    return der.sequence(der.oid(oid.dotted_string), der.octet_string(value))
