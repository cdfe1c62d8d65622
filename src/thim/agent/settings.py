"""
What an agent is told.
"""

from __future__ import annotations

import dataclasses

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from thim.collateral.anchors import VENDOR_ROOTS


if TYPE_CHECKING:
    from thim.agent.chip import Chip
    from thim.agent.networks import Network
    from thim.x509.chain import TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """
    What an agent is told.

    Attributes:
        service: The base URL of a thim, without a slash at the end.
        host: The address to listen on, ...
        port: ... and the port.
        state: The folder of its cache.
        name: By which the service knows this host.
        chip: How to learn which chip this is; None where there is none.
        ca_file: Certificates (PEM) that the service's TLS chain may end in,
            instead of the system's.
        client_cert: A certificate chain (PEM) to be shown to the service, ...
        client_key: ... and its key.
        token_file: Where the agent's token is, or is put; None: in *state*.
        enrol_token_file: A one-time token to get it with.
        networks: Which may ask; None: link-local ones and those of the
            interface.
        hosts: Names (lower case) by which it may be asked, besides addresses.
        interface: Where to add the address if it is not there; None: nowhere.
        pass_through: The base URL of another metadata service that answers
            everything else.
        location: The text of ``/metadata/instance/compute/location``.
        vm_id: That of ``vmId``.
        quote_service: The URL to which TD reports are passed.
        refresh: How often the chip is read again.
        anchors: The root keys to trust.
        dangerous_clock: A file that says what time it is.
        log_format: How it logs: "text" or "json".
        log_level: The least that it logs.
    """

    service: str
    host: str
    port: int
    state: Path
    name: str
    chip: Chip | None = None
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    token_file: Path | None = None
    enrol_token_file: Path | None = None
    networks: tuple[Network, ...] | None = None
    hosts: frozenset[str] = frozenset()
    interface: str | None = None
    pass_through: str | None = None
    location: str | None = None
    vm_id: str | None = None
    quote_service: str | None = None
    refresh: timedelta = timedelta(hours=1)
    anchors: TrustAnchors = VENDOR_ROOTS
    dangerous_clock: Path | None = None
    log_format: str = "text"
    log_level: str = "info"

    @property
    def is_dangerous(self) -> bool:
        """
        Whether certificates are served that lead to other root keys than the
        vendors'.
        """
        return self.anchors != VENDOR_ROOTS
