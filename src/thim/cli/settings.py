"""
Every setting of the service: how it is read, and what it is when nobody says.
"""

from __future__ import annotations

import dataclasses
import re

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.cli.listening import (
    parse_certificates,
    parse_own_listener,
    parse_rate,
)
from thim.cli.openid import parse_openid
from thim.cli.signers import parse_signers
from thim.cli.upstreams import parse_amd_upstreams, parse_intel_upstreams
from thim.cli.values import (
    duration,
    one_of,
    parse_anchors,
    parse_boolean,
    parse_duration,
    parse_expired,
    parse_file,
    parse_fill,
    parse_fmspcs,
    parse_hosts,
    parse_ledger,
    parse_listen,
    parse_name,
    parse_path,
    parse_profile,
    parse_retention,
    parse_share,
    parse_store,
    parse_url,
    whole_number,
)
from thim.cli.webhooks import parse_webhooks
from thim.services.tsm import TSM


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_FILE: Final = Path("/etc/thim/thim.toml")
#: Where keys are that nobody names, beside the store.
_BESIDE_STORE: Final = {"key_file": "thim.key", "bundle_key": "bundle.key"}
#: The table of the agent's settings, which are not the service's.
AGENT: Final = "agent"
#: User and password in a URL, which no error repeats.
_USER: Final = re.compile(r"//[^/@\s]*@")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """
    One setting: how its value is read, and what it is when nobody says.

    *default* is in the written form, None for "not set".  Errors do not quote
    a value that *may_hold_secrets*.
    """

    parse: Callable[[object], object]
    default: str | None
    meaning: str
    may_hold_secrets: bool = False


SETTINGS: Final[Mapping[str, Setting]] = {
    "store": Setting(
        parse=parse_store,
        default=None,
        meaning="sqlite:///PATH or a path; default: in the data folder",
    ),
    "ledger": Setting(
        parse=parse_ledger,
        default=None,
        meaning="postgresql://USER@HOST/DATABASE: the ledger that several "
        "nodes share, of which the store is a replica; default: the store is "
        "the ledger",
        may_hold_secrets=True,
    ),
    "node_name": Setting(
        parse=parse_name,
        default=None,
        meaning="what this node is called among those of a ledger; default: "
        "the host's name",
    ),
    "listen": Setting(
        parse=parse_listen, default="127.0.0.1:8080", meaning="HOST:PORT"
    ),
    "tls_cert": Setting(
        parse=parse_path, default=None, meaning="PEM chain of the server"
    ),
    "tls_key": Setting(
        parse=parse_path, default=None, meaning="its private key, PEM"
    ),
    "tls_certificates": Setting(
        parse=parse_certificates,
        default="none",
        meaning="further certificates, as tables; a client gets the one that "
        "has the name it asks for (SNI), or else that of tls_cert",
    ),
    "tls_ca_cert": Setting(
        parse=parse_path,
        default=None,
        meaning="PEM certificate of a private CA: with it and its key the "
        "server's certificate is renewed in time",
    ),
    "tls_ca_key": Setting(
        parse=parse_path, default=None, meaning="the CA's private key, PEM"
    ),
    "tls_client_ca": Setting(
        parse=parse_file,
        default=None,
        meaning="PEM certificates of CAs: their clients may show certificates",
    ),
    "tls_clients": Setting(
        parse=one_of("agents", "all"),
        default="agents",
        meaning="who has to show one of tls_client_ca: agents, beside their "
        "tokens; or all who connect to listen",
    ),
    "tls_client_crl": Setting(
        parse=parse_file,
        default=None,
        meaning="PEM revocation lists, one of each CA of clients",
    ),
    "admin_listen": Setting(
        parse=parse_own_listener,
        default=None,
        meaning="HOST:PORT for the admin API and /metrics alone, or same for "
        "one listener; default: same, or 127.0.0.1:8081 with a ledger",
    ),
    "admin_tls_client_ca": Setting(
        parse=parse_file,
        default=None,
        meaning="PEM certificates of CAs: who connects to admin_listen has to "
        "show a certificate of one of them",
    ),
    "key_file": Setting(
        parse=parse_path,
        default=None,
        meaning="the key with which secrets in the store are sealed; "
        "default: thim.key beside the store",
    ),
    "bundle_key": Setting(
        parse=parse_path,
        default=None,
        meaning="the key with which bundles and requests for them are signed; "
        "default: bundle.key beside the store",
    ),
    "bundle_signers": Setting(
        parse=parse_signers,
        default=None,
        meaning="whose bundles and requests count: fingerprints, or files of "
        "public keys; default: whose bundles were imported before",
    ),
    "workers": Setting(
        parse=whole_number(1, 256), default="1", meaning="processes"
    ),
    "fill": Setting(
        parse=parse_fill,
        default="lazy",
        meaning="when the vendors are asked: lazy (for what is asked of us, "
        "and from then on ahead of expiry), registered (only for what "
        "platforms need), offline (never)",
    ),
    "intel_upstreams": Setting(
        parse=parse_intel_upstreams,
        default="https://api.trustedservices.intel.com",
        meaning="whom to ask for Intel's documents, in this order",
        may_hold_secrets=True,
    ),
    "amd_upstreams": Setting(
        parse=parse_amd_upstreams,
        default="https://kdsintf.amd.com",
        meaning="whom to ask for AMD's documents, in this order; AMD's own is "
        "asked once in 10.5 s at most",
        may_hold_secrets=True,
    ),
    "webhooks": Setting(
        parse=parse_webhooks,
        default="none",
        meaning="whom to tell of notices, as tables",
        may_hold_secrets=True,
    ),
    "openid": Setting(
        parse=parse_openid,
        default="none",
        meaning="whose OpenID tokens are taken beside our own, as a table",
    ),
    "fmspcs": Setting(
        parse=parse_fmspcs,
        default=None,
        meaning="FMSPCs that are kept fresh from the start",
    ),
    "unknown_fmspcs": Setting(
        parse=one_of("refuse", "ask"),
        default="refuse",
        meaning="whether a caller may have the vendors asked for an FMSPC "
        "that neither the archive nor the vendor's list names",
    ),
    "fill_wait": Setting(
        parse=duration("0s", "1m"),
        default="2500ms",
        meaning="the longest that a caller waits for a vendor",
    ),
    "fill_rate": Setting(
        parse=whole_number(1, 1_000_000),
        default="60",
        meaning="how often in a minute one address may have vendors asked",
    ),
    "collateral_rate": Setting(
        parse=parse_rate,
        default="none",
        meaning="how often in a minute one caller may ask for collateral; "
        "with a limit no answer is remembered",
    ),
    "attestation_rate": Setting(
        parse=parse_rate,
        default="none",
        meaning="the same for attestation and its policies",
    ),
    "admin_rate": Setting(
        parse=parse_rate,
        default="6000",
        meaning="the same for the admin API and PCCS's administration",
    ),
    "max_connections": Setting(
        parse=whole_number(16, 1_000_000),
        default="10000",
        meaning="open connections of each listener in each process",
    ),
    "max_connections_per_source": Setting(
        parse=whole_number(1, 1_000_000),
        default="2000",
        meaning="how many of them one other machine may have",
    ),
    "expired": Setting(
        parse=parse_expired,
        default="flag",
        meaning="expired documents: flag them, or refuse them (503); one "
        "rule, or a table by kind",
    ),
    "profile": Setting(
        parse=parse_profile,
        default="pccs",
        meaning="CRL encoding where a request leaves it open: "
        "pccs (hex), thim (DER), pcs (PEM)",
    ),
    "metadata_hosts": Setting(
        parse=parse_hosts,
        default=None,
        meaning="names by which guests may ask for /metadata; addresses and "
        "localhost always may",
    ),
    "max_broken": Setting(
        parse=parse_share,
        default="1%",
        meaning="the share of a tenant's platforms that a change of baseline "
        "may break unless it is forced",
    ),
    "max_age": Setting(
        parse=parse_duration,
        default="24h",
        meaning="the most that Cache-Control allows",
    ),
    "attestation_url": Setting(
        parse=parse_url,
        default=None,
        meaning="what the attestation service calls itself in tokens; "
        "default: where it listens, unless that is every address",
    ),
    "old_api": Setting(
        parse=one_of("serve", "gone"),
        default="serve",
        meaning="answer PCS v2 and v3, or say 410",
    ),
    "memo_bytes": Setting(
        parse=whole_number(0, 2**40),
        default=str(32 * 1024 * 1024),
        meaning="memory for remembered answers, 0 for none",
    ),
    "attestation_key_life": Setting(
        parse=duration("2d", "3650d"),
        default="90d",
        meaning="how long one key signs attestation tokens",
    ),
    "tsm_root": Setting(
        parse=parse_path,
        default=str(TSM),
        meaning="the kernel's folder for evidence of this machine, if it is a "
        "TEE: new signing keys get some",
    ),
    "decision_retention": Setting(
        parse=duration("1d", "36500d"),
        default="400d",
        meaning="how long the records of issued attestation tokens are kept",
    ),
    "sighting_retention": Setting(
        parse=duration("1h", "30d"),
        default="30d",
        meaning="how long it is kept who has asked: clients' addresses, and "
        "machines that are not known",
    ),
    "machine_retention": Setting(
        parse=parse_retention,
        default="none",
        meaning="how long it is kept what is known of machines that have "
        "left: platforms and chips since they were retired, others since "
        "evidence or an inventory last told of them; none for ever",
    ),
    "access_log": Setting(
        parse=parse_boolean, default="false", meaning="a line for each request"
    ),
    "log_format": Setting(
        parse=one_of("text", "json"),
        default="text",
        meaning="lines for people (text), or for a collector (json)",
    ),
    "log_level": Setting(
        parse=one_of("debug", "info", "warning", "error"),
        default="info",
        meaning="the least that is logged: debug, info, warning, error",
    ),
    "dangerous_plain_http_tokens": Setting(
        parse=parse_boolean,
        default="false",
        meaning="take tokens over plain HTTP from other machines too: "
        "whoever is on the way can read them",
    ),
    "dangerous_test_anchors": Setting(
        parse=parse_anchors,
        default=None,
        meaning="PEM file of other roots than the vendor's, for trying out; "
        "a store made with them is marked for ever",
    ),
    "dangerous_clock": Setting(
        parse=parse_file,
        default=None,
        meaning="file that says what time it is; only with test anchors",
    ),
}
