"""
All PCK certificates of a platform, as Intel's PCS gives them.
"""

from __future__ import annotations

import hashlib
import urllib.parse

from typing import TYPE_CHECKING, Any, Final

import msgspec

from thim.collateral.freshness import max_age
from thim.http.answer import encode_chain
from thim.http.pck import CA_TYPES
from thim.http.pck_asked import find_asked
from thim.http.prefixes import check_pinned
from thim.http.reply import Reply
from thim.intel.pcs import parse_encrypted_ppid
from thim.services.pck import PckListQuery


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from thim.collateral.platforms import HeldPck
    from thim.http.pcs import Request
    from thim.http.service import Service
    from thim.intel.pck import PckTcbm

_REVOKED: Final = b'299 - "%d of them revoked by the PCK CRL"'


def answer_pckcerts(request: Request, service: Service) -> Reply:
    """
    Answer a request on ``pckcerts``.
    """
    check_pinned(request.prefix, "PCK certificates")
    enc_ppid = parse_encrypted_ppid(request.parameters)
    query = PckListQuery(
        platform=find_asked(request, service), enc_ppid=enc_ppid
    )
    held = service.list_pcks(query)
    policy = service.settings.max_age
    return service.mark(_write(held, service.clock(), policy))


def _write(held: Sequence[HeldPck], now: datetime, policy: timedelta) -> Reply:
    first = held[0]
    # One header holds one chain.
    held = [one for one in held if one.issuer_chain == first.issuer_chain]
    ends = min(one.not_after for one in held)
    body = msgspec.json.encode([_line(one) for one in held])
    chain = encode_chain(first.issuer_chain)
    digest = hashlib.sha256(chain + body).hexdigest()[:32].encode("ascii")
    revoked = sum(one.is_revoked for one in held)
    warnings = [(b"warning", _REVOKED % revoked)] if revoked else []
    return Reply(
        status=200,
        headers=(
            (b"content-type", b"application/json"),
            (b"sgx-pck-certificate-issuer-chain", chain),
            (b"sgx-fmspc", first.fmspc.hex().upper().encode("ascii")),
            (b"sgx-pck-certificate-ca-type", CA_TYPES[first.ca]),
            (b"cache-control", b"max-age=%d" % max_age(ends, now, policy)),
            (b"etag", b'"%b"' % digest),
            *warnings,
        ),
        body=body,
    )


def _line(held: HeldPck) -> dict[str, Any]:
    return {
        "tcb": _spell(held.tcbm),
        "tcbm": held.tcbm.to_bytes().hex().upper(),
        "cert": urllib.parse.quote(held.pem, safe=""),
    }


def _spell(tcbm: PckTcbm) -> dict[str, int]:
    components = {
        f"sgxtcbcomp{i:02}svn": svn for i, svn in enumerate(tcbm.cpusvn, 1)
    }
    return {**components, "pcesvn": tcbm.pcesvn}
