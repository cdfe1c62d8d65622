"""
What a serving process is told of its listeners, and how often it may be asked.

Apart from what is told, since each command reads the configuration.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thim.http.live_tls import TlsFiles


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """
    What a serving process is told of its listeners.

    *admin* is the address (host and port, as bound) of the listener for
    operators, if there is one.  *tls* and *admin_tls* are None for plain HTTP.
    With *agents_show_certificates*, a token of an agent counts beside a
    client's certificate only.  Each listener has at most *most_connections* in
    one process, and *most_from_one* of them from one source other than this
    machine.
    """

    admin: tuple[str, int] | None = None
    tls: TlsFiles | None = None
    admin_tls: TlsFiles | None = None
    agents_show_certificates: bool = False
    most_connections: int = 10_000
    most_from_one: int = 2_000


class Family(enum.Enum):
    """What is limited apart from one another."""

    COLLATERAL = "collateral"
    ATTESTATION = "attestation"
    ADMIN = "admin"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """
    Requests of one caller in a minute, by family; None for no limit.
    """

    collateral: int | None = None
    attestation: int | None = None
    admin: int | None = None

    @property
    def is_any(self) -> bool:
        """
        Whether there is a limit at all.
        """
        return any(rate is not None for rate in self.by_family.values())

    @property
    def by_family(self) -> Mapping[Family, int | None]:
        """
        The same as a table.
        """
        return {family: getattr(self, family.value) for family in Family}
