"""
Verification collateral in the shape of Intel's PCS and PCCS.

Turns a path and its parameters into a query, and an answer into the headers
and the body that real clients need (``docs/compatibility.md`` has the list).
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import textwrap
import urllib.parse

from typing import TYPE_CHECKING, Final

import msgspec

from thim.baseline.select import Wish
from thim.collateral.freshness import max_age, max_age_changes
from thim.collateral.records import (
    ROOT_CA_CRL,
    CollateralKey,
    Kind,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.errors import ParameterError
from thim.http.reply import Reply
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
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from thim.http.prefixes import Prefix
    from thim.services.serve import Answer

Header = tuple[bytes, bytes]


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
_CONTENT_TYPES: Final = {
    Encoding.DER: b"application/pkix-crl",
    Encoding.PEM: b"application/x-pem-file",
    Encoding.HEX: b"text/plain; charset=utf-8",
}
_CHAIN_HEADERS: Final = {
    Kind.TCB_INFO: (b"tcb-info-issuer-chain", b"sgx-tcb-info-issuer-chain"),
    Kind.IDENTITY: (b"sgx-enclave-identity-issuer-chain",),
    Kind.PCK_CRL: (b"sgx-pck-crl-issuer-chain",),
    Kind.ROOT_CA_CRL: (b"sgx-pck-crl-issuer-chain",),
    Kind.TCB_EVALUATION_DATA_NUMBERS: (
        b"tcb-evaluation-data-numbers-issuer-chain",
    ),
}
_STRUCTURES: Final = {"v2": (2, 3), "v3": (2, 3), "v4": (3, 2)}
_PLATFORMS: Final = ("all", "client", "E3", "E5")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A request for collateral, its prefix and parameters taken apart.

    *version* is ``v2``, ``v3`` or ``v4``.
    """

    prefix: Prefix
    version: str
    parameters: Mapping[str, str]


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
    wish = Wish(
        baseline=request.prefix.baseline,
        update=parse_update(request.parameters),
        number=parse_number(request.parameters),
        custom_number=parse_custom_parameter(request.parameters),
    )
    return Query(keys=keys, wish=wish, at=request.prefix.at)


def _unnumbered_query(request: Request, key: CollateralKey) -> Query:
    wish = Wish(baseline=request.prefix.baseline)
    return Query(keys=(key,), wish=wish, at=request.prefix.at)


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


def encode_crl(der: bytes, encoding: Encoding) -> bytes:
    """
    Write a CRL as DER, as a PEM block, or as lower-case hexadecimal text.
    """
    if encoding is Encoding.DER:
        return der
    if encoding is Encoding.HEX:
        return der.hex().encode("ascii")
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), 64)
    return "\n".join(
        ["-----BEGIN X509 CRL-----", *lines, "-----END X509 CRL-----", ""]
    ).encode("ascii")


def write_answer(
    answer: Answer,
    *,
    encoding: Encoding | None,
    now: datetime,
    policy: timedelta,
    at: datetime | None,
) -> Reply:
    """
    Write *answer* for the wire; *encoding* is set for CRLs.
    """
    held = answer.held
    body = encode_crl(held.body, encoding) if encoding else held.body
    content_type = _CONTENT_TYPES[encoding] if encoding else b"application/json"
    changes = max_age_changes(held.next_update, now, policy)
    rule_ends = answer.choice.until if answer.choice and not at else None
    return Reply(
        status=200,
        headers=(
            (b"content-type", content_type),
            *_chain_headers(answer),
            *_cache_headers(body, max_age(held.next_update, now, policy)),
            *_thim_headers(answer, at),
            *_warning_headers(answer, at),
        ),
        body=body,
        aged_since=held.fetched.timestamp() if answer.is_expired else None,
        until=_earliest(changes, rule_ends),
    )


def _earliest(*instants: datetime | None) -> float:
    return min(
        (i.timestamp() for i in instants if i is not None),
        default=float("inf"),
    )


def _chain_headers(answer: Answer) -> list[Header]:
    chain = encode_chain(answer.issuer_chain)
    return [(name, chain) for name in _CHAIN_HEADERS[answer.held.key.kind]]


def encode_chain(pem: bytes) -> bytes:
    """
    Percent-encode a PEM chain for a header; it ends in ``%0A``.
    """
    return urllib.parse.quote(pem, safe="").encode("ascii")


def _cache_headers(body: bytes, seconds: int) -> list[Header]:
    digest = hashlib.sha256(body).hexdigest()
    return [
        (b"cache-control", b"max-age=%d" % seconds),
        (b"etag", f'"{digest[:32]}"'.encode("ascii")),
    ]


def _thim_headers(answer: Answer, at: datetime | None) -> list[Header]:
    choice = answer.choice
    inferred = "; inferred" if choice and choice.inferred else ""
    headers = {
        "thim-baseline": f"{answer.baseline}{inferred}",
        "thim-digest": f"sha-256={answer.held.sha256.hex()}",
    }
    if choice:
        headers["thim-evaluation-number"] = str(choice.number)
    if at is not None:
        headers["thim-as-of"] = f"{at:%FT%TZ}"
    if answer.has_gap:
        headers["thim-coverage"] = "gap"
    return [(k.encode("ascii"), v.encode("ascii")) for k, v in headers.items()]


def _warning_headers(answer: Answer, at: datetime | None) -> list[Header]:
    held, choice = answer.held, answer.choice
    texts = [
        f'110 - "expired {held.next_update:%FT%TZ}"'
        if answer.is_expired
        else "",
        f'299 - "{choice.warning}"' if choice and choice.warning else "",
        f'299 - "TCB info structure {held.key.structure}"'
        if answer.is_other_layout
        else "",
        f'299 - "as of {at:%FT%TZ}, revocation included"' if at else "",
    ]
    warning = ", ".join(text for text in texts if text)
    return [(b"warning", warning.encode("ascii"))] if warning else []


def _as_of_headers(at: datetime | None) -> list[Header]:
    if at is None:
        return []
    instant = f"{at:%FT%TZ}"
    return [
        (b"thim-as-of", instant.encode("ascii")),
        (b"warning", f'299 - "as of {instant}"'.encode("ascii")),
    ]


def write_fmspcs(
    fmspcs: Sequence[tuple[str, Tee]],
    parameters: Mapping[str, str],
    policy: timedelta,
    at: datetime | None,
) -> Reply:
    """
    Write the list of FMSPCs with a verified TCB info.

    Which platform an FMSPC belongs to stands in no signed document; one with
    a TDX TCB info is an ``E5``, of the others it is not known.

    Raises:
        ParameterError: An unknown ``platform``.
    """
    wanted = parameters.get("platform", "all")
    if wanted not in _PLATFORMS:
        expected = f"expected one of {', '.join(_PLATFORMS)}"
        raise ParameterError("platform", wanted, expected)
    with_tdx = {fmspc for fmspc, tee in fmspcs if tee is Tee.TDX}
    entries = [
        {
            "fmspc": fmspc,
            "platform": "E5" if fmspc in with_tdx else "unknown",
        }
        for fmspc in sorted({fmspc for fmspc, _ in fmspcs})
    ]
    body = msgspec.json.encode(
        [e for e in entries if wanted in {"all", e["platform"]}]
    )
    return Reply(
        status=200,
        headers=(
            (b"content-type", b"application/json"),
            *_cache_headers(body, int(policy.total_seconds())),
            *_as_of_headers(at),
        ),
        body=body,
        until=float("inf"),
    )
