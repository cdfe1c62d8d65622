"""
Intel's signed JSON: the object, the exact bytes, the signature.

TCB info, enclave identities and lists of evaluation numbers share one form
(PCS API v4, "TCB Info", "Enclave Identity")::

    {"tcbInfo":{...},"signature":"<128 hex digits>"}

The signature covers the bytes of the inner object as they stand in the body.
Intel's own QVL parses and writes the object out again before it verifies, and
so forgives white space; we verify the very bytes, as dcap-qvl and
go-tdx-guest do.
"""

from __future__ import annotations

import dataclasses
import enum
import re

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError, UntrustedError
from thim.intel.authorities import Authority, verify_authority
from thim.intel.strict_json import members
from thim.x509.ecdsa import SIGNATURE_SIZE, is_p256_signature, p256_key


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from thim.x509.chain import TrustAnchors
    from thim.x509.crl import Crl

_SIGNATURE: Final = re.compile(
    rb'"([0-9a-fA-F]{%d})"' % (2 * SIGNATURE_SIZE), re.ASCII
)


class SignedKind(enum.Enum):
    """What is signed, by the name of the signed member."""

    TCB_INFO = "tcbInfo"
    ENCLAVE_IDENTITY = "enclaveIdentity"
    TCB_EVALUATION_DATA_NUMBERS = "tcbEvaluationDataNumbers"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignedJson:
    """
    A body of signed JSON, taken apart but not verified.

    *signed* is the exact slice of *body* that the *signature* (r and s,
    big-endian, 64 bytes) covers; *body* is Intel's envelope around both.
    """

    kind: SignedKind
    body: bytes
    signed: bytes
    signature: bytes

    @classmethod
    def from_json(cls, body: bytes) -> SignedJson:
        """
        Take *body* apart.

        Raises:
            MalformedError: Not exactly one known signed member and its
                signature.
        """
        found = members(body)
        kinds = [kind for kind in SignedKind if kind.value in found]
        if len(kinds) != 1 or set(found) != {kinds[0].value, "signature"}:
            msg = (
                f"members are {sorted(found)[:6]}, expected one of "
                f"{[kind.value for kind in SignedKind]} and signature"
            )
            raise MalformedError(msg, reason=_missing(found, kinds))
        kind, signed = kinds[0], found[kinds[0].value]
        signature = _parse_signature(found["signature"])
        return cls(
            kind=kind,
            body=_wrap(kind, signed, signature),
            signed=signed,
            signature=signature,
        )

    def is_signed_by(self, certificate: Certificate) -> bool:
        """
        Tell whether *certificate*'s key made the signature.
        """
        try:
            key = p256_key(certificate)
        except UntrustedError:
            return False
        return is_p256_signature(key, self.signature, self.signed)


def _wrap(kind: SignedKind, signed: bytes, signature: bytes) -> bytes:
    # Nothing signs the envelope, so it is kept in the one form in which Intel
    # writes it: nobody can put another around a genuine document.
    return b'{"%b":%b,"signature":"%b"}' % (
        kind.value.encode("ascii"),
        signed,
        signature.hex().encode("ascii"),
    )


def _missing(found: dict[str, bytes], kinds: list[SignedKind]) -> str:
    if len(kinds) == 1 and "signature" not in found:
        return "unsigned"
    return "fields"


def _parse_signature(raw: bytes) -> bytes:
    match = _SIGNATURE.fullmatch(raw)
    if match is None:
        msg = f"signature is not {2 * SIGNATURE_SIZE} hexadecimal digits"
        raise MalformedError(msg, reason="signature-format")
    return bytes.fromhex(match[1].decode("ascii"))


def verify_signed(
    document: SignedJson,
    chain: Sequence[Certificate],
    *,
    anchors: TrustAnchors,
    at: datetime,
    root_crl: Crl | None,
) -> None:
    """
    Verify *document* under *chain* as of *at*, its own issue date.

    The steps are B2 to B6 of Intel's quote verification for TCB info, and the
    same for enclave identities (C2 to C6):

    1. The chain is TCB Signing and root, and the root's key is pinned.
    2. Signer and root are within their dates at *at*.
    3. The signer is not revoked by *root_crl*, the newest known.
    4. The signature over the exact bytes is the signer's.

    Whether the document is still valid (B8) is the caller's question.

    Raises:
        MalformedError: A certificate lacks what Intel's profile demands.
        UntrustedError: A step does not hold.
    """
    verify_authority(
        chain,
        expected=(Authority.TCB_SIGNING,),
        anchors=anchors,
        at=at,
        root_crl=root_crl,
    )
    if not document.is_signed_by(chain[0]):
        msg = f"{document.kind.value}: signature over the body does not hold"
        raise UntrustedError(msg, reason="signature-invalid")
