"""
Check a store's signing keys again: their names, and with the sealing key their
secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.attestation.token import key_id, read_public_key
from thim.errors import OperatorError, ThimError
from thim.services.finding import Finding
from thim.services.secrets import open_sealer
from thim.services.signing_keys import open_signing_key
from thim.store.signing_key_view import SigningKeyView


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from thim.attestation.signing_key import SigningKey
    from thim.store.replica import Replica
    from thim.store.seal import Sealer


def check_signing_keys(
    replica: Replica, key_file: Path | None
) -> Iterator[Finding]:
    """
    Check the signing keys in *replica*; their secrets are opened with the key
    in *key_file*, if one is given.

    1. The rows can be read.
    2. A key's ID is that of its public key.
    3. The secret of each that was not revoked can be opened, and is this key's.
    """
    view = SigningKeyView(replica)
    try:
        keys = view.all()
    except ThimError as e:
        yield Finding(record="signing keys", reason=e.reason, detail=str(e))
        return
    for key in keys:
        yield from _check_name(key)
    living = [key for key in keys if key.revoked is None]
    if key_file is None or not living:
        return
    try:
        sealer = open_sealer(replica, key_file)
    except OperatorError as e:
        yield Finding(record="signing keys", reason=e.reason, detail=str(e))
        return
    for key in living:
        yield from _check_secret(key, view.find_sealed(key.kid), sealer)


def _check_name(key: SigningKey) -> Iterator[Finding]:
    try:
        expected = key_id(read_public_key(key.spki))
    except ThimError as e:
        yield _finding(key, e.reason, str(e))
        return
    if key.kid != expected:
        detail = f"its public key is that of {expected}"
        yield _finding(key, "column", detail)


def _check_secret(
    key: SigningKey, sealed: bytes | None, sealer: Sealer
) -> Iterator[Finding]:
    try:
        open_signing_key(key.kid, sealed or b"", sealer)
    except ThimError as e:
        yield _finding(key, e.reason, str(e))


def _finding(key: SigningKey, reason: str, detail: str) -> Finding:
    return Finding(
        record=f"signing key {key.kid}", reason=reason, detail=detail
    )
