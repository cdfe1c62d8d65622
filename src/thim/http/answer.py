"""
Verification collateral on the wire, in the shape of Intel's PCS and PCCS: the
headers and bodies that real clients need (``docs/compatibility.md`` has the
list).
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
import urllib.parse

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from thim.baseline.model import ROOT
from thim.collateral.freshness import (
    State,
    max_age,
    max_age_changes,
    stale_after,
)
from thim.collateral.records import Kind
from thim.errors import ParameterError
from thim.http.pcs import Encoding
from thim.http.reply import Reply
from thim.intel.names import Tee


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from thim.collateral.ports import Held
    from thim.services.serve import Answer

Header = tuple[bytes, bytes]

_JSON: Final = b"application/json"
_CONTENT_TYPES: Final[Mapping[Encoding | Kind, bytes]] = {
    Kind.CERT_CHAIN: b"application/x-pem-file",
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
_PLATFORMS: Final = ("all", "client", "E3", "E5")


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
    content_type = _CONTENT_TYPES.get(encoding or held.key.kind, _JSON)
    changes = max_age_changes(held.next_update, now, policy)
    rule_ends = answer.choice.until if answer.choice and not at else None
    return Reply(
        status=200,
        headers=(
            (b"content-type", content_type),
            *_chain_headers(answer),
            *cache_headers(body, max_age(held.next_update, now, policy)),
            *_thim_headers(answer, at),
            *_warning_headers(answer, at),
        ),
        body=body,
        aged_since=held.fetched.timestamp() if _is_old(answer) else None,
        until=_earliest(changes, _stales(held, now), rule_ends),
    )


def _is_old(answer: Answer) -> bool:
    return answer.state in {State.STALE, State.EXPIRED}


def _stales(held: Held, now: datetime) -> datetime | None:
    if held.next_update is None:
        return None
    after = stale_after(held.issued, held.next_update)
    return after if after > now else None


def _earliest(*instants: datetime | None) -> float:
    return min(
        (i.timestamp() for i in instants if i is not None),
        default=float("inf"),
    )


def _chain_headers(answer: Answer) -> list[Header]:
    chain = encode_chain(answer.issuer_chain)
    names = _CHAIN_HEADERS.get(answer.held.key.kind, ())
    return [(name, chain) for name in names]


def encode_chain(pem: bytes) -> bytes:
    """
    Percent-encode a PEM chain for a header; it ends in ``%0A``.
    """
    return urllib.parse.quote(pem, safe="").encode("ascii")


def cache_headers(body: bytes, seconds: int) -> list[Header]:
    """
    Say for how many *seconds* a *body* may be kept, and which one it is.
    """
    digest = hashlib.sha256(body).hexdigest()
    return [
        (b"cache-control", b"max-age=%d" % seconds),
        (b"etag", f'"{digest[:32]}"'.encode("ascii")),
    ]


def _thim_headers(answer: Answer, at: datetime | None) -> list[Header]:
    choice = answer.choice
    inferred = "; inferred" if choice and choice.inferred else ""
    headers = {
        **_tenant_header(answer),
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


def _tenant_header(answer: Answer) -> dict[str, str]:
    is_root = answer.tenant == ROOT.name
    return {} if is_root else {"thim-tenant": answer.tenant}


def _warning_headers(answer: Answer, at: datetime | None) -> list[Header]:
    held, choice = answer.held, answer.choice
    texts = [
        _age_warning(held, answer.state),
        f'299 - "{choice.warning}"' if choice and choice.warning else "",
        f'299 - "number {choice.number} is withdrawn by the vendor"'
        if choice and choice.is_withdrawn
        else "",
        f'299 - "TCB info structure {held.key.structure}"'
        if answer.is_other_layout
        else "",
        f'299 - "as of {at:%FT%TZ}, revocation included"' if at else "",
    ]
    warning = ", ".join(text for text in texts if text)
    return [(b"warning", warning.encode("ascii"))] if warning else []


def _age_warning(held: Held, state: State) -> str:
    if held.next_update is None:
        return ""
    if state is State.EXPIRED:
        return f'110 - "expired {held.next_update:%FT%TZ}"'
    if state is State.STALE:
        after = stale_after(held.issued, held.next_update)
        return f'110 - "stale since {after:%FT%TZ}"'
    return ""


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
            *cache_headers(body, int(policy.total_seconds())),
            *_as_of_headers(at),
        ),
        body=body,
        until=float("inf"),
    )
