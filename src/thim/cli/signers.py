"""
How the keys are written whose bundles and requests count.
"""

from __future__ import annotations

import dataclasses
import re

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError


if TYPE_CHECKING:
    from pathlib import Path

    from thim.collateral.bundle_keys import PublicKey

_FINGERPRINT: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
#: A key's line has 106.
_MOST_BYTES: Final = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Signer:
    """
    Somebody whose files count: the digest of the key, and the key itself where
    a file of it was named.
    """

    digest: bytes
    key: PublicKey | None = None

    def __str__(self) -> str:
        return self.digest.hex()


def parse_signers(value: object) -> tuple[Signer, ...]:
    """
    Take a list of fingerprints and files, or in one text with commas between
    them.
    """
    if value == "none":
        return ()
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list):
        listed = [None]
    return tuple(map(parse_signer, listed))


def parse_signer(value: object) -> Signer:
    """
    Take a fingerprint, or the path of a file with a public key in it.
    """
    from thim.cli.values import parse_file  # noqa: PLC0415 - which loads more

    if isinstance(value, str) and _FINGERPRINT.fullmatch(value.strip()):
        return Signer(bytes.fromhex(value.strip()))
    msg = "expected fingerprints of 64 hexadecimal digits, or files of keys"
    try:
        key = read_public_key(parse_file(value))
    except ValueError as e:
        why = f"{msg}: {value}: {e}"
        raise ValueError(why) from None
    return Signer(key.digest, key)


def read_public_key(path: Path) -> PublicKey:
    """
    Read the key in the file *path*.

    Raises:
        ValueError: There is none in it.
    """
    from thim.collateral.bundle_keys import (  # noqa: PLC0415
        PublicKey,
    )

    try:
        with path.open("rb") as file:
            return PublicKey.from_text(file.read(_MOST_BYTES).decode("utf-8"))
    except OSError as e:
        msg = f"expected a file that can be read: {e.strerror}"
        raise ValueError(msg) from None
    except (UnicodeDecodeError, MalformedError) as e:
        raise ValueError(str(e)) from None
