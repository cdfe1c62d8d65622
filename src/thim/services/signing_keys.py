"""
Signing keys are made here, with their evidence, and opened.

Everything here waits for the disk and for a prime number or two; it is for a
thread of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from thim.attestation.signing_key import SigningKey
from thim.attestation.token import KEY_SIZE, Signer, key_id
from thim.errors import OperatorError
from thim.services.key_evidence import find_key_evidence
from thim.services.secrets import provide_sealer
from thim.services.tsm import TSM
from thim.store.endorsement_view import EndorsementView
from thim.store.replica import Replica
from thim.store.seal import SealError
from thim.store.signing_key_view import secret_context


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.store.seal import Sealer
    from thim.x509.chain import TrustAnchors

_EXPONENT: Final = 65537


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SigningPlace:
    """
    Where signing keys are kept, with what they are sealed, and where the
    kernel speaks for this machine, if it is a TEE.
    """

    store: Path
    anchors: TrustAnchors
    key_file: Path | None
    tsm_root: Path = TSM


def make_signing_key(
    place: SigningPlace,
    is_needed: Callable[[Sequence[SigningKey]], bool],
    *,
    active_from: datetime,
    actor: str,
    now: datetime,
) -> SigningKey | None:
    """
    Make a key that signs from an instant on, unless by then it *is_needed* no
    more: another process was first.

    Raises:
        OperatorError: It cannot be sealed or kept.
    """
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy
    from thim.store.signing_keys import NewSigningKey  # noqa: PLC0415

    with Ledger(place.store, place.anchors) as ledger:
        sealer = provide_sealer(ledger, find_key_file(place))
        private = rsa.generate_private_key(_EXPONENT, KEY_SIZE)
        key = _describe(place, private.public_key(), active_from, actor, now)
        secret = private.private_bytes(
            Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
        )
        sealed = sealer.seal(secret, secret_context(key.kid))
        new = NewSigningKey(key=key, sealed=sealed)
        return key if ledger.signing_keys.add(new, is_needed) else None


def find_key_file(place: SigningPlace) -> Path:
    """
    Return the file of the key that seals.

    Raises:
        OperatorError: There is none.
    """
    if place.key_file is None:
        msg = "there is no key file to seal signing keys with"
        raise OperatorError(msg, reason="no-key")
    return place.key_file


def _describe(
    place: SigningPlace,
    public: rsa.RSAPublicKey,
    active_from: datetime,
    actor: str,
    now: datetime,
) -> SigningKey:
    with contextlib.closing(Replica(place.store)) as replica:
        known = EndorsementView(replica)
        evidence = find_key_evidence(place.tsm_root, public, known)
    return SigningKey(
        kid=key_id(public),
        spki=public.public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
        created=now,
        active_from=active_from,
        evidence=evidence,
        actor=actor,
    )


def open_signing_key(kid: str, sealed: bytes, sealer: Sealer) -> Signer:
    """
    Open the secret of the key *kid*.

    Raises:
        SealError: It cannot be opened, or is another key's.
    """
    secret = sealer.open(sealed, secret_context(kid))
    try:
        private = load_der_private_key(secret, None)
    except ValueError:
        private = None
    if isinstance(private, rsa.RSAPrivateKey):
        signer = Signer(private)
        if signer.kid == kid:
            return signer
    msg = f"signing key {kid}: what was sealed is not this key"
    raise SealError(msg)
