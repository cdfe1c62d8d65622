"""
The body of ``platformcollateral``, as pccsadmin's files have it.
"""

from __future__ import annotations

import functools
import json
import urllib.parse

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from msgspec import Meta

from thim.collateral.records import (
    ROOT_CA_CRL,
    identity_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.errors import MalformedError, ParameterError
from thim.http.bodies import decode
from thim.http.pccs_bodies import (
    Hex4,
    Hex12,
    Hex32,
    Hex36,
    Octets,
    digits,
    to_id,
    to_raw_tcb,
)
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.pcs import find_distribution_point
from thim.intel.signed import SignedJson
from thim.intel.strict_json import parse_strictly
from thim.services.claims import (
    CrlClaim,
    DocumentClaim,
    PckClaim,
    PlatformClaim,
    Upload,
)
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.x509 import Certificate

    from thim.collateral.platforms import PlatformId

_Maybe4 = Annotated[str, digits(4, may_be_empty=True)]
_Maybe32 = Annotated[str, digits(32, may_be_empty=True)]
_Maybe768 = Annotated[str, digits(768, may_be_empty=True)]


class _Platform(msgspec.Struct):
    qe_id: Hex32
    pce_id: Hex4
    cpu_svn: _Maybe32 = ""
    pce_svn: _Maybe4 = ""
    enc_ppid: _Maybe768 = ""
    platform_manifest: Octets | None = None


class _Cert(msgspec.Struct):
    tcb: dict[str, msgspec.Raw]
    tcbm: Hex36
    cert: str


class _PckCerts(msgspec.Struct):
    qe_id: Hex32
    pce_id: Hex4
    enc_ppid: _Maybe768
    certs: Annotated[list[_Cert], Meta(min_length=1)]
    platform_manifest: Octets | None = None


_ABSENT: Final = msgspec.Raw()


class _TcbInfos(msgspec.Struct):
    fmspc: Hex12
    tcbinfo: msgspec.Raw = _ABSENT
    tcbinfo_early: msgspec.Raw = _ABSENT
    sgx_tcbinfo: msgspec.Raw = _ABSENT
    sgx_tcbinfo_early: msgspec.Raw = _ABSENT
    tdx_tcbinfo: msgspec.Raw = _ABSENT
    tdx_tcbinfo_early: msgspec.Raw = _ABSENT


class _PckCaCrl(msgspec.Struct):
    processorCrl: Octets = ""  # noqa: N815 - as it is on the wire
    platformCrl: Octets = ""  # noqa: N815


class _PckChains(msgspec.Struct):
    processor: str = msgspec.field(default="", name="PROCESSOR")
    platform: str = msgspec.field(default="", name="PLATFORM")


class _Certificates(msgspec.Struct):
    pck: _PckChains = msgspec.field(name="SGX-PCK-Certificate-Issuer-Chain")
    tcb: str = msgspec.field(default="", name="TCB-Info-Issuer-Chain")
    sgx_tcb: str = msgspec.field(default="", name="SGX-TCB-Info-Issuer-Chain")
    identity: str = msgspec.field(
        default="", name="SGX-Enclave-Identity-Issuer-Chain"
    )


class _Collaterals(msgspec.Struct):
    pck_certs: list[_PckCerts]
    tcbinfos: list[_TcbInfos]
    certificates: _Certificates
    version: int | None = None
    pckcacrl: _PckCaCrl = msgspec.field(default_factory=_PckCaCrl)
    qeidentity: str = ""
    qeidentity_early: str = ""
    tdqeidentity: str = ""
    tdqeidentity_early: str = ""
    qveidentity: str = ""
    qveidentity_early: str = ""
    rootcacrl: Octets = ""
    rootcacrl_cdp: str = ""


class _Upload(msgspec.Struct):
    platforms: list[_Platform]
    collaterals: _Collaterals


def read_upload(raw: bytes, version: str) -> Upload:
    """
    Read the body of a PUT of collateral, as PCCS's *version* (``v3`` or
    ``v4``) writes it.

    Raises:
        MalformedError: It is none.
    """
    body = decode(raw, _Upload)
    collaterals = body.collaterals
    if version == "v4" and collaterals.version != _VERSION:
        got = str(collaterals.version)
        raise ParameterError("$.collaterals.version", got, "expected 4")
    return Upload(
        certificates=tuple(_certificates(collaterals.certificates)),
        crls=tuple(_crls(collaterals)),
        documents=tuple(_documents(collaterals, version)),
        platforms=tuple(_platforms(body)),
        fmspcs=frozenset(_selectable(collaterals.tcbinfos, version)),
    )


_VERSION: Final = 4


def _certificates(found: _Certificates) -> Iterator[Certificate]:
    chains = {
        "SGX-PCK-Certificate-Issuer-Chain.PROCESSOR": found.pck.processor,
        "SGX-PCK-Certificate-Issuer-Chain.PLATFORM": found.pck.platform,
        "TCB-Info-Issuer-Chain": found.tcb,
        "SGX-TCB-Info-Issuer-Chain": found.sgx_tcb,
        "SGX-Enclave-Identity-Issuer-Chain": found.identity,
    }
    for name, text in chains.items():
        if text:
            yield from _parse_pem(f"$.collaterals.certificates.{name}", text)


def _parse_pem(what: str, text: str) -> Sequence[Certificate]:
    try:
        return parse_pem_chain(urllib.parse.unquote_to_bytes(text))
    except MalformedError as e:
        msg = f"{what}: {e}"
        raise MalformedError(msg, reason=e.reason) from e


def _crls(found: _Collaterals) -> Iterator[CrlClaim]:
    if found.rootcacrl_cdp:
        _check_distribution_point(found.rootcacrl_cdp)
    claims = {
        "pckcacrl.processorCrl": (
            found.pckcacrl.processorCrl,
            pck_crl_key(PckCa.PROCESSOR),
        ),
        "pckcacrl.platformCrl": (
            found.pckcacrl.platformCrl,
            pck_crl_key(PckCa.PLATFORM),
        ),
        "rootcacrl": (found.rootcacrl, ROOT_CA_CRL),
    }
    for name, (text, key) in claims.items():
        if text:
            yield CrlClaim(
                what=f"$.collaterals.{name}",
                der=bytes.fromhex(text),
                expected=key,
            )


def _check_distribution_point(uri: str) -> None:
    try:
        ca = find_distribution_point(uri)
    except ParameterError:
        ca = PckCa.PLATFORM
    if ca is not None:
        name = "$.collaterals.rootcacrl_cdp"
        expected = "expected where Intel publishes its root CRL"
        raise ParameterError(name, uri, expected)


_IDENTITIES: Final = {
    "qeidentity": EnclaveKind.QE,
    "tdqeidentity": EnclaveKind.TD_QE,
    "qveidentity": EnclaveKind.QVE,
}
_TCB_INFOS: Final = {
    "v3": {"tcbinfo": Tee.SGX},
    "v4": {"sgx_tcbinfo": Tee.SGX, "tdx_tcbinfo": Tee.TDX},
}
_STRUCTURES: Final = (2, 3)


def _documents(found: _Collaterals, version: str) -> Iterator[DocumentClaim]:
    for i, infos in enumerate(found.tcbinfos):
        for name, tee, raw in _tcb_infos(infos, version):
            key = functools.partial(
                tcb_info_key, tee, bytes.fromhex(infos.fmspc)
            )
            what = f"$.collaterals.tcbinfos[{i}].{name}"
            yield DocumentClaim(
                what=what,
                forms=_forms(what, raw),
                expected=frozenset(map(key, _STRUCTURES)),
            )
    for field, kind in _IDENTITIES.items():
        for name in (field, f"{field}_early"):
            if text := getattr(found, name):
                what = f"$.collaterals.{name}"
                yield DocumentClaim(
                    what=what,
                    forms=_forms(what, text.encode()),
                    expected=frozenset({identity_key(kind)}),
                )


def _tcb_infos(
    found: _TcbInfos, version: str
) -> Iterator[tuple[str, Tee, bytes]]:
    for field, tee in _TCB_INFOS[version].items():
        for name in (field, f"{field}_early"):
            if raw := bytes(getattr(found, name)):
                yield name, tee, raw


def _selectable(found: Sequence[_TcbInfos], version: str) -> Iterator[bytes]:
    for infos in found:
        if any(tee is Tee.SGX for _, tee, _ in _tcb_infos(infos, version)):
            yield bytes.fromhex(infos.fmspc)


def _forms(what: str, raw: bytes) -> tuple[bytes, ...]:
    """
    Return the ways in which a document may have been signed that is written
    so: with these very bytes; or without the white space that tools put in
    when they parse and write it out again.
    """
    try:
        value = parse_strictly(raw)
        compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        forms = tuple(dict.fromkeys((raw, compact.encode())))
        for form in forms:
            SignedJson.from_json(form)
    except MalformedError as e:
        msg = f"{what}: {e}"
        raise MalformedError(msg, reason=e.reason) from e
    return forms


def _platforms(body: _Upload) -> Iterator[PlatformClaim]:
    seen: set[PlatformId] = set()
    for i, found in enumerate(body.collaterals.pck_certs):
        what = f"$.collaterals.pck_certs[{i}]"
        platform = to_id(found.qe_id, found.pce_id)
        if platform in seen:
            raise ParameterError(what, str(platform), "expected it once")
        seen.add(platform)
        # PCCS's rule: as they are written, letter for letter.
        named = [
            p
            for p in body.platforms
            if (p.qe_id, p.pce_id) == (found.qe_id, found.pce_id)
        ]
        yield PlatformClaim(
            what=what,
            id=platform,
            certificates=tuple(_certs(what, found.certs)),
            raw_tcbs=tuple(
                to_raw_tcb(p.cpu_svn, p.pce_svn, "$.platforms[].pce_svn")
                for p in named
                if p.cpu_svn and p.pce_svn
            ),
            enc_ppid=_last(p.enc_ppid for p in named),
            manifest=_last(p.platform_manifest for p in named),
        )


def _last(values: Iterator[str | None]) -> bytes | None:
    given = [bytes.fromhex(value) for value in values if value]
    return given[-1] if given and any(given[-1]) else None


_NOT_AVAILABLE: Final = "Not available"


def _certs(what: str, certs: Sequence[_Cert]) -> Iterator[PckClaim]:
    available = [
        (f"{what}.certs[{i}]", cert)
        for i, cert in enumerate(certs)
        if cert.cert != _NOT_AVAILABLE
    ]
    if not available:
        raise ParameterError(what, "none", "expected certificates in certs")
    for place, cert in available:
        chain = _parse_pem(f"{place}.cert", cert.cert)
        if len(chain) != 1:
            got = f"{len(chain)} certificates"
            raise ParameterError(place, got, "expected one in cert")
        yield PckClaim(
            what=place,
            certificate=chain[0],
            tcbm=bytes.fromhex(cert.tcbm),
            tcb=_tcb(f"{place}.tcb", cert.tcb),
        )


def _tcb(what: str, found: dict[str, msgspec.Raw]) -> dict[str, int]:
    """Read the SVNs; what else Intel writes beside them is passed over."""
    named = {k: v for k, v in found.items() if k.endswith("svn")}
    try:
        return {k: msgspec.json.decode(v, type=int) for k, v in named.items()}
    except msgspec.DecodeError as e:
        msg = f"{what}: {e}"
        raise MalformedError(msg, reason="body") from e
