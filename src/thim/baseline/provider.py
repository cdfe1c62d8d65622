"""
A tenant's attestation side: under which name its tokens are issued, who may
say what its policies are, and what evidence is good enough.
"""

from __future__ import annotations

import dataclasses
import enum

from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from thim.intel.tcb import ACCEPTABLE_STATUSES, TcbStatus


class TrustModel(enum.Enum):
    """
    Who may change policies: whoever has a token for it (``aad``), who signs
    with a certificate of the tenant's as well (``isolated``), or nobody
    (``shared``: the default policies are in force).
    """

    AAD = "aad"
    ISOLATED = "isolated"
    SHARED = "shared"


class ExpiredRule(enum.Enum):
    """
    What documents past their ``nextUpdate`` may decide: nothing; TCB info and
    identities of a number that the vendor has withdrawn, as in Azure; or all,
    which is for tests.
    """

    REFUSE = "refuse"
    ARCHIVED_ONLY = "archived-only"
    ACCEPT = "accept"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compliance:
    """
    What the operator vouches for: evidence with this launch *measurement* (48
    bytes), with this *id_key_digest* (48 bytes), or with a UVM endorsement of
    this issuer (a did:x509) and feed, of *uvm_svn* at least where that is
    given, has the compliance *status*.
    """

    status: str
    measurement: bytes | None = None
    id_key_digest: bytes | None = None
    uvm_issuer: str | None = None
    uvm_feed: str | None = None
    uvm_svn: int | None = None


#: A TD's status is a claim, so that policies can test it: all but revoked
#: platforms get a token.
TDX_STATUSES: Final = frozenset(TcbStatus) - {TcbStatus.REVOKED}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """
    The attestation side of a tenant.

    Attributes:
        trust: Who may change its policies.
        issuer: The URL in its tokens, without a slash at the end; None for one
            below the service's own.
        expired: What expired documents may decide.
        crl_grace: For how long an expired revocation list still decides.
        sgx_statuses: With what TCB statuses enclaves get a token.
        tdx_statuses: With what TCB statuses TDs get a token.
        compliance: What makes for a compliance status, the first one counts.
    """

    trust: TrustModel = TrustModel.AAD
    issuer: str | None = None
    expired: ExpiredRule = ExpiredRule.ARCHIVED_ONLY
    crl_grace: timedelta = timedelta(0)
    sgx_statuses: frozenset[TcbStatus] = ACCEPTABLE_STATUSES
    tdx_statuses: frozenset[TcbStatus] = TDX_STATUSES
    compliance: tuple[Compliance, ...] = ()

    def own_host(self) -> str | None:
        """
        Return the host name at which nobody else issues tokens, where there is
        one.
        """
        # Below a path there is room for others.
        if self.issuer is None or urlsplit(self.issuer).path:
            return None
        return find_host_name(self.issuer)


AAD: Final = Provider()
#: Of everybody who names no tenant.
SHARED: Final = Provider(trust=TrustModel.SHARED)


def find_host_name(issuer: str) -> str:
    """
    Return the host name in the URL of an *issuer*, as a ``Host`` header has
    it: an address of version 6 in brackets, and no port.
    """
    name = urlsplit(issuer).hostname or ""
    return f"[{name}]" if ":" in name else name
