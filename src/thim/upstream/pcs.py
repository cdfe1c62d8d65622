"""
Intel's documents by the routes of Intel's PCS v4, and as PCCS, Azure's THIM
and another thim have them.

A request names exactly the document that is wanted.  What comes back is taken
apart here and believed nowhere: whoever takes it in verifies it.
"""

from __future__ import annotations

import base64
import dataclasses
import re
import urllib.parse

from typing import TYPE_CHECKING, Final

import msgspec

from thim.collateral.records import Kind
from thim.errors import MalformedError
from thim.intel.recognise import recognise
from thim.upstream.model import Request, Service
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.x509 import Certificate

    from thim.collateral.targets import Target
    from thim.intel.signed import SignedJson
    from thim.upstream.model import Response, Upstream
    from thim.x509.crl import Crl

_KEY_HEADER: Final = "ocp-apim-subscription-key"
_SGX: Final = "/sgx/certification/v4"
_TDX: Final = "/tdx/certification/v4"
_IDENTITIES: Final = {
    "qe": f"{_SGX}/qe/identity",
    "qve": f"{_SGX}/qve/identity",
    "qae": f"{_SGX}/qae/identity",
    "td-qe": f"{_TDX}/qe/identity",
}
_CHAIN_HEADERS: Final = {
    Kind.TCB_INFO: ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"),
    Kind.IDENTITY: ("sgx-enclave-identity-issuer-chain",),
    Kind.PCK_CRL: ("sgx-pck-crl-issuer-chain",),
    # A thim sends a PCK CA's chain with the root CRL, which did not sign it.
    Kind.ROOT_CA_CRL: (),
    Kind.TCB_EVALUATION_DATA_NUMBERS: (
        "tcb-evaluation-data-numbers-issuer-chain",
    ),
}
_NUMBERED: Final = frozenset({Kind.TCB_INFO, Kind.IDENTITY})
_FMSPC: Final = re.compile("[0-9a-fA-F]{12}")
_SUBJECTS: Final = {
    Kind.TCB_INFO: re.compile("(?:sgx|tdx):[0-9A-F]{12}"),
    Kind.IDENTITY: re.compile("|".join(_IDENTITIES)),
    Kind.PCK_CRL: re.compile("processor|platform"),
    Kind.ROOT_CA_CRL: re.compile("root"),
    Kind.TCB_EVALUATION_DATA_NUMBERS: re.compile("sgx|tdx"),
    Kind.FMSPCS: re.compile("all"),
}
_MOST_HINTS: Final = 10_000
_PLATFORM_SIZE: Final = 16
_AZURE: Final = {"clientid": "thim", "api-version": "2018-10-01-preview"}

Place = tuple[str, dict[str, str]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    A document as it came, taken apart and not verified.

    *chain* are the certificates that came with it, none where none did.
    """

    document: SignedJson | Crl
    chain: tuple[Certificate, ...]
    body: bytes
    source: str


def find_request(upstream: Upstream, target: Target) -> Request | None:
    """
    Write the request for *target*, None where this upstream cannot have it.
    """
    find_place = _PLACES.get(upstream.service, _nowhere)
    place = find_place(upstream, target)
    if place is None or not _exists(target):
        return None
    path, parameters = place
    is_static = path.startswith("/Intel")
    base = upstream.static_url if is_static else upstream.url
    query = urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote)
    key = None if is_static else upstream.api_key
    return Request(
        url=f"{base}{path}" + (f"?{query}" if query else ""),
        headers={_KEY_HEADER: key} if key else {},
    )


def _exists(target: Target) -> bool:
    """Tell whether there can be such a document at all."""
    return _SUBJECTS[target.key.kind].fullmatch(target.key.subject) is not None


def _place(target: Target) -> Place:
    """Say where Intel's v4 has a document, but for its number."""
    key = target.key
    tee, _, fmspc = key.subject.partition(":")
    base = _TDX if tee == "tdx" else _SGX
    places: Mapping[Kind, Place] = {
        Kind.TCB_INFO: (f"{base}/tcb", {"fmspc": fmspc}),
        Kind.IDENTITY: (_IDENTITIES.get(key.subject, ""), {}),
        Kind.PCK_CRL: (
            f"{_SGX}/pckcrl",
            {"ca": key.subject, "encoding": "der"},
        ),
        Kind.ROOT_CA_CRL: (f"{_SGX}/rootcacrl", {}),
        Kind.FMSPCS: (f"{_SGX}/fmspcs", {}),
        Kind.TCB_EVALUATION_DATA_NUMBERS: (
            f"{base}/tcbevaluationdatanumbers",
            {},
        ),
    }
    return places[key.kind]


def _number(target: Target) -> dict[str, str]:
    if target.number is not None:
        return {"tcbEvaluationDataNumber": str(target.number)}
    if target.update is not None:
        return {"update": target.update.value}
    return {}


def _pcs(_upstream: Upstream, target: Target) -> Place:
    if target.key.kind is Kind.ROOT_CA_CRL:
        return "/IntelSGXRootCA.der", {}
    path, parameters = _place(target)
    return path, {**parameters, **_number(target)}


def _pccs(_upstream: Upstream, target: Target) -> Place | None:
    # PCCS knows neither number lists nor fmspcs.  It overlooks a number and
    # gives another, which is seen when the answer is taken in.
    if target.key.kind in {Kind.TCB_EVALUATION_DATA_NUMBERS, Kind.FMSPCS}:
        return None
    path, parameters = _place(target)
    if target.key.kind is Kind.ROOT_CA_CRL:
        return path, parameters
    return path, {**parameters, **_number(target)}


def _thim(_upstream: Upstream, target: Target) -> Place:
    # There update=standard means the baseline in force: a channel is asked
    # for below a prefix.
    path, parameters = _place(target)
    if target.update is not None:
        return f"/baseline/{target.update.value}{path}", parameters
    return path, {**parameters, **_number(target)}


def _azure(upstream: Upstream, target: Target) -> Place | None:
    if target.update is not None:  # it has a baseline of its own
        return None
    if target.key.kind in {Kind.TCB_EVALUATION_DATA_NUMBERS, Kind.FMSPCS}:
        return None
    path, parameters = _place(target)
    parameters |= _AZURE
    if target.number is not None:
        parameters["customParameter"] = _custom(target.number, upstream.region)
    return path, parameters


def _nowhere(_upstream: Upstream, _target: Target) -> None:
    """Say where a service of another vendor has it."""


def _custom(number: int, region: str | None) -> str:
    text = f"tcbEvaluationDataNumber={number}"
    if region:
        text += f";region={region}"
    return base64.b64encode(f"{text}\0".encode()).decode("ascii")


_PLACES: Final[Mapping[Service, Callable[[Upstream, Target], Place | None]]] = {
    Service.PCS: _pcs,
    Service.PCCS: _pccs,
    Service.THIM: _thim,
    Service.AZURE: _azure,
}


def read_answer(target: Target, response: Response) -> Answer:
    """
    Take the answer to *target* apart.

    Raises:
        MalformedError: Not exactly one document, or a chain that is none.
    """
    found = recognise(response.body)
    documents: list[SignedJson | Crl] = [*found.signed, *found.crls]
    if len(found.problems) == 1 and not (documents or found.certificates):
        raise found.problems[0]
    if len(documents) != 1 or found.certificates or found.problems:
        msg = f"{response.url}: expected one document and nothing else"
        raise MalformedError(msg, reason="unexpected-answer")
    return Answer(
        document=documents[0],
        chain=_read_chain(target, response),
        body=response.body,
        source=response.url,
    )


def _read_chain(target: Target, response: Response) -> tuple[Certificate, ...]:
    for name in _CHAIN_HEADERS[target.key.kind]:
        if text := response.headers.get(name):
            return parse_pem_chain(urllib.parse.unquote_to_bytes(text))
    return ()


def is_channel_vouched(upstream: Upstream, response: Response) -> bool:
    """
    Tell whether the answer to a channel is what the vendor said of it: another
    thim may have inferred it, and says so.
    """
    return upstream.service is not Service.THIM or (
        "inferred" not in response.headers.get("thim-baseline", "inferred")
    )


class _Hint(msgspec.Struct):
    fmspc: str
    platform: str = "unknown"


def read_hints(response: Response) -> dict[str, str]:
    """
    Read the vendor's list of FMSPCs: FMSPC (upper-case hex) to platform.

    Raises:
        MalformedError: Not such a list.
    """
    try:
        hints = msgspec.json.decode(response.body, type=list[_Hint])
    except (msgspec.DecodeError, RecursionError) as e:
        msg = f"{response.url}: not a list of FMSPCs ({e})"
        raise MalformedError(msg, reason="unexpected-answer") from e
    if not 0 < len(hints) <= _MOST_HINTS or not all(
        _FMSPC.fullmatch(hint.fmspc) for hint in hints
    ):
        msg = f"{response.url}: not a list of 1 to {_MOST_HINTS} FMSPCs"
        raise MalformedError(msg, reason="unexpected-answer")
    return {hint.fmspc.upper(): _printable(hint.platform) for hint in hints}


def _printable(platform: str) -> str:
    cut = platform[:_PLATFORM_SIZE]
    return cut if cut.isascii() and cut.isprintable() else "unknown"
