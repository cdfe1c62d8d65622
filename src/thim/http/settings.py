"""
What a serving process is told.
"""

from __future__ import annotations

import dataclasses

from datetime import timedelta
from typing import TYPE_CHECKING

from thim.attestation.signing_key import LIFE
from thim.collateral.anchors import VENDOR_ROOTS
from thim.http.door_settings import DoorSettings, RateSettings
from thim.http.limits import Limits
from thim.http.pcs import Profile
from thim.services.decisions import RETENTION
from thim.services.erasing import Retention
from thim.services.tsm import TSM
from thim.services.vendors import VendorSettings


if TYPE_CHECKING:
    from pathlib import Path

    from thim.collateral.records import Kind
    from thim.services.openid_settings import OpenIdSettings
    from thim.upstream.webhook import Webhook
    from thim.x509.chain import TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """
    What a serving process is told; it travels to each worker.

    With a *ledger* (an address) the *store* is a replica of it, and this node
    has a name among others. A store made for other *anchors* is refused.
    *max_age* is the policy in ``Cache-Control``; *old_api* whether PCS v2 and
    v3 are still answered; *supervisor* is the process without which a worker
    ends; *memo_bytes* bounds the memo of answers, 0 turns it off. *vendors*
    says whom to ask for what is missing or due; *refused_when_expired* are
    kinds of which nothing expired is served. *dangerous_clock* is a file that
    says what time it is (``services.clock.FileClock``). *key_file* holds the
    key with which the store's secrets are sealed. Where there is no TLS,
    tokens are taken from this machine only, or with
    *dangerous_plain_http_tokens* from everywhere. Below ``/metadata`` the
    ``Host`` is an address, localhost or one of *metadata_hosts* (lower case).
    *max_broken* is the share of a tenant's platforms (0 to 1) that a change of
    baseline may break. *attestation_url* is what the attestation service calls
    itself. *webhooks* are told of notices. One key signs tokens for an
    *attestation_key_life*; *tsm_root* is the kernel's folder for evidence of
    this machine. Decision records are kept for a *decision_retention*;
    *retention* says when other things are erased.
    *openid* is whose tokens are taken beside our own. *door* says what
    listeners there are, *rates* how often one caller may ask. *tallies* is a
    folder in which the workers share what they count; *tls_certificates* are
    the files of the server's certificates, to be watched for their end.
    """

    store: Path
    ledger: str | None = None
    node_name: str = "node"
    anchors: TrustAnchors = VENDOR_ROOTS
    profile: Profile = Profile.PCCS
    max_age: timedelta = timedelta(hours=24)
    old_api: bool = True
    max_broken: float = 0.01
    metadata_hosts: frozenset[str] = frozenset()
    vendors: VendorSettings = dataclasses.field(default_factory=VendorSettings)
    webhooks: tuple[Webhook, ...] = ()
    openid: OpenIdSettings | None = None
    attestation_url: str | None = None
    refused_when_expired: frozenset[Kind] = frozenset()
    dangerous_clock: Path | None = None
    key_file: Path | None = None
    dangerous_plain_http_tokens: bool = False
    attestation_key_life: timedelta = LIFE
    tsm_root: Path = TSM
    decision_retention: timedelta = RETENTION
    retention: Retention = dataclasses.field(default_factory=Retention)
    supervisor: int | None = None
    tallies: Path | None = None
    tls_certificates: tuple[Path, ...] = ()
    memo_bytes: int = 32 * 1024 * 1024
    limits: Limits = dataclasses.field(default_factory=Limits)
    door: DoorSettings = dataclasses.field(default_factory=DoorSettings)
    rates: RateSettings = dataclasses.field(default_factory=RateSettings)

    @property
    def is_dangerous(self) -> bool:
        """
        Whether documents are served that lead to other root keys than the
        vendor's.
        """
        return self.anchors != VENDOR_ROOTS
