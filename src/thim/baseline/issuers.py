"""
Whose an issuer is: the names of providers must not be in each other's way.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from thim.baseline.model import ROOT
from thim.baseline.provider import find_host_name
from thim.errors import ParameterError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.baseline.model import Tenant

_PARAMETER: Final = "attestation.issuer"
_USUAL_PORTS: Final = {"https": 443, "http": 80}
#: A path that means the same to everybody.
_PATH: Final = re.compile(r"(/(?!\.{1,2}(/|\Z))[a-z0-9._~-]+)*", re.ASCII)


def check_issuer(tenant: Tenant, others: Sequence[Tenant]) -> None:
    """
    Check the issuer and the host names of *tenant* against those of the
    *others* that there are.

    1. Its issuer's path has plain parts only.
    2. The issuer is not another's, nor above or below one; but a tenant's may
       be at ``/tenant/`` and its own name below the root's.
    3. Another's host name is not in its issuer, nor is the host name of
       another's issuer one of its own.

    Raises:
        ParameterError: Not so.
    """
    issuer = tenant.provider.issuer
    if issuer is not None and not _PATH.fullmatch(urlsplit(issuer).path):
        expected = "expected a path of a-z, 0-9, '.', '_', '~' and '-'"
        raise ParameterError(_PARAMETER, issuer, expected)
    for other in others:
        if other.name != tenant.name:
            _check_pair(tenant, other)
            _check_hosts(tenant, other)


def _check_pair(tenant: Tenant, other: Tenant) -> None:
    mine, theirs = tenant.provider.issuer, other.provider.issuer
    if mine is None or theirs is None or not overlap(mine, theirs):
        return
    if _is_own_place(tenant, other) or _is_own_place(other, tenant):
        return
    expected = (
        f"expected another: it is the issuer of tenant {other.name}, or above "
        f"or below that"
    )
    raise ParameterError(_PARAMETER, mine, expected)


def _is_own_place(tenant: Tenant, root: Tenant) -> bool:
    own = f"{root.provider.issuer}/tenant/{tenant.name}"
    return root.name == ROOT.name and tenant.provider.issuer == own


def _check_hosts(tenant: Tenant, other: Tenant) -> None:
    mine, theirs = tenant.provider.issuer, other.provider.issuer
    if mine is not None and find_host_name(mine) in other.hosts:
        expected = f"expected another host: it is one of tenant {other.name}"
        raise ParameterError(_PARAMETER, mine, expected)
    if theirs is not None and find_host_name(theirs) in tenant.hosts:
        expected = f"expected another: tenant {other.name} issues tokens there"
        raise ParameterError("host", find_host_name(theirs), expected)


def overlap(one: str, other: str) -> bool:
    """
    Tell whether two issuers are the same, or one is below the other.
    """
    origin, parts = _split(one)
    other_origin, other_parts = _split(other)
    shared = min(len(parts), len(other_parts))
    return origin == other_origin and parts[:shared] == other_parts[:shared]


def _split(issuer: str) -> tuple[tuple[str, int | None], list[str]]:
    url = urlsplit(issuer)
    # With https and http there are two services behind one name, but people
    # read the name.
    port = url.port or _USUAL_PORTS.get(url.scheme)
    return (find_host_name(issuer), port), url.path.split("/")[1:]
