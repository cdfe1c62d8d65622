"""
Verification collateral in the shape of Intel's PCS and PCCS.

Turns a path and its parameters into a query.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Final

from thim.collateral.records import (
    ROOT_CA_CRL,
    CollateralKey,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.errors import ParameterError
from thim.intel.names import EnclaveKind, Tee
from thim.intel.pcs import (
    find_distribution_point,
    parse_ca,
    parse_custom_parameter,
    parse_fmspc,
    parse_number,
    parse_update,
)
from thim.services.serve import Query


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thim.http.prefixes import Prefix


class Encoding(enum.Enum):
    """How a CRL is written."""

    DER = "der"
    PEM = "pem"
    HEX = "hex"


class Profile(enum.Enum):
    """Whose habits a listener follows where a request leaves it open."""

    PCCS = "pccs"
    THIM = "thim"
    PCS = "pcs"


_PROFILE_ENCODINGS: Final = {
    Profile.PCCS: Encoding.HEX,
    Profile.THIM: Encoding.DER,
    Profile.PCS: Encoding.PEM,
}
_STRUCTURES: Final = {"v2": (2, 3), "v3": (2, 3), "v4": (3, 2)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A request for collateral, its prefix and parameters taken apart.

    *version* is ``v2``, ``v3`` or ``v4``; *parameters* are those of the query,
    or of the body of one that *is_post*; *names* are the variable parts of the
    path.
    """

    prefix: Prefix
    version: str
    parameters: Mapping[str, str]
    is_post: bool = False
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)


def tcb_info_query(request: Request, tee: Tee) -> Query:
    """
    Read a request for a TCB info.

    Raises:
        ParameterError: A parameter that cannot be used.
    """
    fmspc = parse_fmspc(request.parameters)
    structures = _STRUCTURES[request.version] if tee is Tee.SGX else (3,)
    keys = [tcb_info_key(tee, fmspc, structure) for structure in structures]
    return _numbered_query(request, *keys)


def identity_query(request: Request, kind: EnclaveKind) -> Query:
    """
    Read a request for an enclave identity.

    Raises:
        ParameterError: A parameter that cannot be used.
    """
    return _numbered_query(request, identity_key(kind))


def numbers_query(request: Request, tee: Tee) -> Query:
    """
    Read a request for the list of evaluation numbers.
    """
    return _unnumbered_query(request, numbers_key(tee))


def crl_query(request: Request) -> Query:
    """
    Read a request for a CRL, by ``ca`` or by the distribution point ``uri``.

    Raises:
        ParameterError: Neither, or an unknown one.
    """
    uri = request.parameters.get("uri")
    if uri is not None:
        target = find_distribution_point(uri)
    else:
        ca = parse_ca(request.parameters)
        if ca is None:
            raise ParameterError("ca", "", "expected processor or platform")
        target = ca
    key = ROOT_CA_CRL if target is None else pck_crl_key(target)
    return _unnumbered_query(request, key)


def uri_query(request: Request) -> Query:
    """
    Read a request on the path ``crl``, which names its CRL by ``uri`` only.

    Raises:
        ParameterError: No ``uri``, or an unknown one.
    """
    if "uri" not in request.parameters:
        raise ParameterError("uri", "", "expected a CRL distribution point")
    return crl_query(request)


def root_crl_query(request: Request) -> Query:
    """
    Read a request for the root CA's CRL.
    """
    return _unnumbered_query(request, ROOT_CA_CRL)


def _numbered_query(request: Request, *keys: CollateralKey) -> Query:
    wish = dataclasses.replace(
        request.prefix.wish,
        update=parse_update(request.parameters),
        number=parse_number(request.parameters),
        custom_number=parse_custom_parameter(request.parameters),
    )
    return Query(keys=keys, wish=wish, at=request.prefix.at)


def _unnumbered_query(request: Request, key: CollateralKey) -> Query:
    return Query(keys=(key,), wish=request.prefix.wish, at=request.prefix.at)


def choose_encoding(
    parameters: Mapping[str, str], profile: Profile, *, is_crl_path: bool
) -> Encoding:
    """
    Choose how a CRL is written; the first rule that fits decides.

    1. ``encoding`` says so.
    2. ``api-version=2020-02-12-preview`` (Azure's client, SGX): PEM.
    3. ``api-version=2018-10-01-preview``, or the path ``crl``: DER.
    4. ``clientid`` is given (Azure's client, TDX): DER.
    5. The listener's *profile*.

    Raises:
        ParameterError: An unknown ``encoding``.
    """
    asked = parameters.get("encoding")
    if asked is not None:
        if asked.lower() not in {"der", "pem"}:
            raise ParameterError("encoding", asked, "expected der or pem")
        return Encoding(asked.lower())
    api_version = parameters.get("api-version")
    if api_version == "2020-02-12-preview":
        return Encoding.PEM
    if api_version == "2018-10-01-preview" or is_crl_path:
        return Encoding.DER
    if {"clientid", "clientId"} & parameters.keys():
        return Encoding.DER
    return _PROFILE_ENCODINGS[profile]
