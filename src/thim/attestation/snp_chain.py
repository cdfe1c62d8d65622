"""
The chain that a sender gives with an SEV-SNP report: the key that signed it,
and what AMD issued that key under.

Clients send PEM as their host gave it to them, so the order of certificates
and the white space in it do not matter: each certificate says what it is.
Reading proves nothing; the chain is verified afterwards.
"""

from __future__ import annotations

import base64
import dataclasses
import re

from typing import Final

from cryptography import x509

from thim.amd.authorities import CaChain, recognise_ca
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.frame import parse_certificate
from thim.errors import MalformedError


MAX_PEM_SIZE: Final = 32 * 1024
#: The key, its intermediate, the root.
_MOST: Final = 3
_AUTHORITIES: Final = 2
_BLOCK: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----"
)
#: A C string may come with its end.
_BLANKS: Final = b" \t\r\n\0"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedKey:
    """
    A VCEK or VLEK that came with a report, and the *chain* above it; None
    where only the key itself was sent.
    """

    leaf: EndorsementKey
    chain: CaChain | None


def read_submitted_key(pem: bytes) -> SubmittedKey | None:
    """
    Read *pem*: a VCEK or VLEK, alone or with its intermediate and its root.
    None where there is nothing in it.

    Raises:
        MalformedError: Something else; reasons as in ``thim.amd.frame``,
            ``thim.amd.endorsement_key`` and ``thim.amd.authorities``.
    """
    authorities: list[x509.Certificate] = []
    leaves: list[bytes] = []
    blocks = _read_blocks(pem)
    for der in blocks:
        certificate = parse_certificate(der)
        if recognise_ca(certificate) is None:
            leaves.append(der)
        else:
            authorities.append(certificate)
    if not blocks:
        return None
    if len(leaves) != 1 or len(authorities) not in {0, _AUTHORITIES}:
        msg = (
            f"{len(leaves)} VCEKs or VLEKs and {len(authorities)} authorities, "
            "expected one key, alone or with its intermediate and ARK"
        )
        raise MalformedError(msg, reason="certificate-chain")
    leaf = EndorsementKey.from_der(leaves[0])
    chain = _read_chain(authorities) if authorities else None
    return SubmittedKey(leaf=leaf, chain=chain)


def _read_blocks(pem: bytes) -> list[bytes]:
    if len(pem) > MAX_PEM_SIZE:
        msg = f"{len(pem)} bytes, expected at most {MAX_PEM_SIZE}"
        raise MalformedError(msg, reason="too-large")
    blocks = _BLOCK.findall(pem)
    if _BLOCK.sub(b"", pem).strip(_BLANKS) or len(blocks) > _MOST:
        msg = f"expected up to {_MOST} certificates in PEM, and nothing else"
        raise MalformedError(msg, reason="certificate-malformed")
    try:
        return [
            base64.b64decode(b"".join(block.split()), validate=True)
            for block in blocks
        ]
    except ValueError as e:
        msg = f"not PEM: {e}"
        raise MalformedError(msg, reason="certificate-malformed") from e


def _read_chain(authorities: list[x509.Certificate]) -> CaChain:
    first, second = authorities
    if _is_root(first):
        first, second = second, first
    return CaChain.from_certificates(first, second)


def _is_root(authority: x509.Certificate) -> bool:
    match recognise_ca(authority):
        case (_, None):
            return True
    return False
