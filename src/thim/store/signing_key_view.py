"""
Signing keys as they are read: all that is known of them, and apart from that
their sealed secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.signing_certificate import EvidenceKind, KeyEvidence
from thim.attestation.signing_key import SigningKey
from thim.store.file import making_sense
from thim.store.instants import from_stored


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.store.file import StoreFile

_ALL: Final = """
    SELECT kid, spki, created, active_from, revoked, evidence_kind, evidence,
           actor
      FROM signing_keys ORDER BY active_from, created, kid
"""
_SEALED: Final = "SELECT sealed FROM signing_keys WHERE kid = ?"


def secret_context(kid: str) -> bytes:
    """
    Return with what context the secret of a signing key is sealed.
    """
    return f"signing_keys/{kid}".encode()


class SigningKeyView:
    """
    The signing keys of a store, through a *replica* of it.
    """

    def __init__(self, replica: StoreFile) -> None:
        self._replica = replica

    def all(self) -> Sequence[SigningKey]:
        """
        Return every key that there ever was, in the order in which they sign.

        Raises:
            UnavailableError: The store cannot be read.
        """
        return self._replica.remember("signing-keys", self._read)

    def _read(self) -> Sequence[SigningKey]:
        with making_sense():
            return tuple(map(read_signing_key, self._replica.rows(_ALL)))

    def find_sealed(self, kid: str) -> bytes | None:
        """
        Return the sealed private key (PKCS #8); None if there is none, or none
        any more.

        Raises:
            UnavailableError: The store cannot be read.
        """
        row = self._replica.first(_SEALED, (kid,))
        return (row[0] or None) if row else None


def read_signing_key(row: tuple[Any, ...]) -> SigningKey:
    """
    Read a row of all columns but the secret.

    Raises:
        ValueError: It makes no sense.
    """
    kid, spki, created, active_from, revoked, kind, evidence, actor = row
    return SigningKey(
        kid=kid,
        spki=spki,
        created=from_stored(created),
        active_from=from_stored(active_from),
        revoked=None if revoked is None else from_stored(revoked),
        evidence=None
        if kind is None
        else KeyEvidence(kind=EvidenceKind(kind), data=evidence),
        actor=actor,
    )
