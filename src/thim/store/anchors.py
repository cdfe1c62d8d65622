"""
The root keys that count in a store: those that it is stamped with, and those
that the operator added.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import insert, select

from thim.store import schema
from thim.store.events import add_event
from thim.store.instants import to_stored
from thim.store.replica import spell_anchors
from thim.x509.chain import spki_sha256


if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.x509 import Certificate
    from sqlalchemy import Connection

    from thim.x509.chain import TrustAnchors


def stamp_anchors(connection: Connection, anchors: TrustAnchors) -> None:
    """
    Write down which root keys a new store's documents lead to.
    """
    connection.execute(
        insert(schema.settings).values(
            name="anchors", value=spell_anchors(anchors)
        )
    )


def read_added(connection: Connection) -> frozenset[bytes]:
    """
    Read the SHA-256 digests of the root keys that the operator added.
    """
    added = connection.scalars(select(schema.added_anchors.c.spki_sha256))
    return frozenset(added)


def add_anchor(
    connection: Connection,
    root: Certificate,
    *,
    vendor: str,
    actor: str,
    now: datetime,
) -> None:
    """
    Write down that *root*'s key is trusted from now on, and who said so.
    """
    pin = spki_sha256(root)
    der = root.public_bytes(Encoding.DER)
    connection.execute(
        insert(schema.added_anchors).values(
            spki_sha256=pin,
            vendor=vendor,
            der=der,
            added=to_stored(now),
            actor=actor,
        )
    )
    add_event(
        connection,
        "trust-add",
        f"{vendor} root with the key {pin.hex()}, certificate "
        f"{hashlib.sha256(der).hexdigest()}",
        actor=actor,
        now=now,
    )
