"""
Metrics of our own keys and certificates, and of the disk.
"""

from __future__ import annotations

import contextlib
import os

from typing import TYPE_CHECKING, Final

from thim.attestation.signing_key import find_coming, find_current, find_state
from thim.errors import MalformedError
from thim.http.metric_rows import gauge, gauges
from thim.store.decision_file import find_decisions
from thim.store.signing_key_view import SigningKeyView
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

    from thim.http.metric_rows import Row
    from thim.http.scrape import Scrape, StoreScrape

#: Far more than any chain has.
_MOST_BYTES: Final = 1024 * 1024


def signing_key_metrics(scrape: StoreScrape) -> Iterator[Metric]:
    """
    Make those of the keys that sign tokens.
    """
    keys, now = SigningKeyView(scrape.replica).all(), scrape.now
    states = [find_state(key, keys, now).value for key in keys]
    yield gauges(
        "signing_keys",
        "Keys that sign attestation tokens, by state.",
        ["state"],
        (([state], states.count(state)) for state in sorted(set(states))),
    )
    current, coming = find_current(keys, now), find_coming(keys, now)
    begun = None if current is None else current.active_from
    yield gauge(
        "signing_key_active_timestamp_seconds",
        "Since when the key signs that signs now.",
        None if begun is None else begun.timestamp(),
    )
    life = scrape.settings.attestation_key_life
    rotation = None if begun is None else begun + life
    if coming is not None:
        rotation = coming.active_from
    yield gauge(
        "signing_key_rotation_timestamp_seconds",
        "When the next one is to sign.",
        None if rotation is None else rotation.timestamp(),
    )


def certificate_metrics(scrape: Scrape) -> Iterator[Metric]:
    """
    Make those of the server's certificates.
    """
    rows: list[Row] = []
    for path in scrape.settings.tls_certificates:
        with contextlib.suppress(OSError, MalformedError):
            rows.append(([str(path)], _find_end(path)))
    yield gauges(
        "tls_certificate_expiry_timestamp_seconds",
        "When a certificate of the server's ends, as it is in its file.",
        ["file"],
        rows,
    )


def _find_end(path: Path) -> float:
    with path.open("rb") as opened:
        chain = parse_pem_chain(opened.read(_MOST_BYTES))
    return chain[0].not_valid_after_utc.timestamp()


def disk_metrics(scrape: Scrape) -> Iterator[Metric]:
    """
    Make those of the store's files and the disk that they are on.
    """
    store = scrape.settings.store
    decisions = find_decisions(store)
    yield gauges(
        "store_bytes",
        "The size of the store and of the decision records, with their logs.",
        ["file"],
        [
            (["store"], _weigh(store)),
            (["decisions"], _weigh(decisions)),
        ],
    )
    with contextlib.suppress(OSError):
        disk = os.statvfs(store.parent)
        yield gauge(
            "disk_free_bytes",
            "What is free on the store's disk for who is not root.",
            disk.f_bavail * disk.f_frsize,
        )
        yield gauge(
            "disk_size_bytes",
            "The size of the store's disk.",
            disk.f_blocks * disk.f_frsize,
        )


def _weigh(path: Path) -> int:
    return sum(map(_size, _with_log(path)))


def _with_log(path: Path) -> Sequence[Path]:
    return path, path.with_name(f"{path.name}-wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
