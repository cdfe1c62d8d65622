"""
A platform's PCK certificates, as upstreams give them.

Intel's PCS gives all of them, by the encrypted PPID, or by the platform
manifest for machines that are registered indirectly; another thim all that it
has, by the QE ID.  PCCS and Azure's THIM know no such request: they are asked
for the one certificate of a raw TCB.
"""

from __future__ import annotations

import dataclasses
import urllib.parse

from typing import TYPE_CHECKING, Final

import msgspec

from cryptography import x509

from thim.collateral.platforms import MOST_CERTIFICATES, NameKind
from thim.collateral.records import pck_certificates_key
from thim.errors import MalformedError
from thim.upstream.model import Request, Service
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.x509 import Certificate

    from thim.collateral.platforms import PlatformId
    from thim.collateral.records import CollateralKey
    from thim.intel.pck import PckTcbm
    from thim.upstream.model import Response, Upstream

_KEY_HEADER: Final = "ocp-apim-subscription-key"
_SGX: Final = "/sgx/certification/v4"
_CHAIN: Final = "sgx-pck-certificate-issuer-chain"
_NOT_AVAILABLE: Final = "Not available"
_AZURE: Final = {"clientid": "thim", "api-version": "2021-07-22-preview"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSecrets:
    """
    What a vendor wants to hear of a platform: its encrypted PPID (384 bytes)
    or its manifest, and the raw TCB that a certificate is wanted for.
    *is_vouched* when they come from somebody who may register platforms.
    """

    platform: PlatformId
    enc_ppid: bytes | None = dataclasses.field(default=None, repr=False)
    manifest: bytes | None = dataclasses.field(default=None, repr=False)
    raw_tcb: PckTcbm | None = None
    is_vouched: bool = False

    @property
    def names(self) -> Mapping[NameKind, bytes]:
        """By what Intel is asked: the manifest, if there is one."""
        if self.manifest is not None:
            return {NameKind.MANIFEST: self.manifest}
        if self.enc_ppid is not None:
            return {NameKind.ENCRYPTED_PPID: self.enc_ppid}
        return {}

    @property
    def platform_key(self) -> CollateralKey:
        """What is asked for."""
        return pck_certificates_key(self.platform.qe_id, self.platform.pce_id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckAnswer:
    """
    PCK certificates as they came, not verified, and their issuer chain.

    *unavailable* counts the TCBs for which there is none; *is_complete* when
    these are all that there are.
    """

    certificates: tuple[Certificate, ...]
    chain: tuple[Certificate, ...]
    unavailable: int
    is_complete: bool
    source: str


def knows_qe_ids(upstream: Upstream) -> bool:
    """
    Tell whether *upstream* can be asked for a platform without its secrets:
    caches can, Intel cannot.
    """
    return upstream.machines and upstream.service is not Service.PCS


def find_pck_request(
    upstream: Upstream, secrets: PlatformSecrets
) -> Request | None:
    """
    Write the request for a platform's certificates, None where this upstream
    cannot have them.
    """
    if upstream.service is Service.PCS:
        return _find_list(upstream, secrets)
    if upstream.service is Service.THIM:
        parameters = _name(secrets)
        return Request(url=_url(upstream, "pckcerts", parameters))
    return _find_single(upstream, secrets)


def _find_list(upstream: Upstream, secrets: PlatformSecrets) -> Request | None:
    pce_id = secrets.platform.pce_id.hex()
    headers = {_KEY_HEADER: upstream.api_key} if upstream.api_key else {}
    url = f"{upstream.url}{_SGX}/pckcerts"
    if secrets.manifest is not None:
        body = {"platformManifest": secrets.manifest.hex(), "pceid": pce_id}
        return Request(
            url=url,
            headers={**headers, "content-type": "application/json"},
            method="POST",
            body=msgspec.json.encode(body),
        )
    if secrets.enc_ppid is None:
        return None
    query = f"encrypted_ppid={secrets.enc_ppid.hex()}&pceid={pce_id}"
    return Request(url=f"{url}?{query}", headers=headers)


def _find_single(
    upstream: Upstream, secrets: PlatformSecrets
) -> Request | None:
    if secrets.raw_tcb is None:
        return None
    parameters = {
        **_name(secrets),
        "cpusvn": secrets.raw_tcb.cpusvn.hex(),
        "pcesvn": secrets.raw_tcb.pcesvn.to_bytes(2, "little").hex(),
    }
    if upstream.service is Service.AZURE:
        parameters |= _AZURE
    return Request(url=_url(upstream, "pckcert", parameters))


def _name(secrets: PlatformSecrets) -> dict[str, str]:
    parameters = {
        "qeid": secrets.platform.qe_id.hex(),
        "pceid": secrets.platform.pce_id.hex(),
    }
    if secrets.enc_ppid is not None:
        parameters["encrypted_ppid"] = secrets.enc_ppid.hex()
    return parameters


def _url(upstream: Upstream, name: str, parameters: Mapping[str, str]) -> str:
    query = urllib.parse.urlencode(parameters)
    return f"{upstream.url}{_SGX}/{name}?{query}"


class _Entry(msgspec.Struct):
    cert: str


class _Single(msgspec.Struct):
    cert: str = msgspec.field(name="pckCert")
    chain: str = msgspec.field(name="sgx-Pck-Certificate-Issuer-Chain")


def read_pck_answer(upstream: Upstream, response: Response) -> PckAnswer:
    """
    Take an answer apart.

    Raises:
        MalformedError: Not PCK certificates and their chain.
    """
    if upstream.service is Service.AZURE:
        return _read_azure(response)
    chain = _read_chain(response, response.headers.get(_CHAIN, ""))
    if upstream.service is Service.PCCS:
        return _single(response, response.body, chain)
    is_complete = upstream.service is Service.PCS
    return _read_list(response, chain, is_complete=is_complete)


def _read_list(
    response: Response, chain: tuple[Certificate, ...], *, is_complete: bool
) -> PckAnswer:
    try:
        entries = msgspec.json.decode(response.body, type=list[_Entry])
    except (msgspec.DecodeError, RecursionError) as e:
        raise _unexpected(response, f"no list of certificates ({e})") from e
    if not 0 < len(entries) <= MOST_CERTIFICATES:
        raise _unexpected(response, f"{len(entries)} certificates")
    there = [entry.cert for entry in entries if entry.cert != _NOT_AVAILABLE]
    return PckAnswer(
        certificates=tuple(_read_leaf(response, text) for text in there),
        chain=chain,
        unavailable=len(entries) - len(there),
        is_complete=is_complete,
        source=response.url,
    )


def _read_azure(response: Response) -> PckAnswer:
    try:
        single = msgspec.json.decode(response.body, type=_Single)
    except (msgspec.DecodeError, RecursionError) as e:
        raise _unexpected(response, f"no PCK certificate ({e})") from e
    chain = _read_chain(response, single.chain)
    return _single(response, single.cert.encode(), chain)


def _single(
    response: Response, pem: bytes, chain: tuple[Certificate, ...]
) -> PckAnswer:
    return PckAnswer(
        certificates=(_read_leaf(response, pem),),
        chain=chain,
        unavailable=0,
        is_complete=False,
        source=response.url,
    )


def _read_leaf(response: Response, pem: str | bytes) -> Certificate:
    if isinstance(pem, str):
        pem = urllib.parse.unquote_to_bytes(pem)
    found = parse_pem_chain(pem)
    if len(found) != 1:
        raise _unexpected(response, f"{len(found)} certificates in one")
    return found[0]


def _read_chain(response: Response, text: str) -> tuple[x509.Certificate, ...]:
    if not text:
        raise _unexpected(response, "certificates without their issuer chain")
    return parse_pem_chain(urllib.parse.unquote_to_bytes(text))


def _unexpected(response: Response, what: str) -> MalformedError:
    msg = f"{response.url}: {what}"
    return MalformedError(msg, reason="unexpected-answer")
