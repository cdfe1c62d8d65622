"""
What each client asks for to verify a quote: the exact requests, and what the
vendor has signed for them.

The hosts, paths, queries, their order and their case are those of the clients'
own sources; a name says who asks, on which API version, for what.
"""

from __future__ import annotations

import base64
import dataclasses
import urllib.parse

from collections.abc import Iterator
from typing import Final

from tests.conformance.replay import (
    GLOBAL,
    LOCAL,
    OTHER_REGIONAL,
    PCS,
    REGIONAL,
    STATIC,
    Request,
    go,
    libcurl,
    rust,
)
from tests.conformance.replay_programs import STRUCTURE_2


COFFEE: Final = "00906EA10000"
ICE: Final = "00606A000000"
SAPPHIRE: Final = "00806F050000"
#: The number in force, the one that Azure's clients choose, and the newest.
IN_FORCE: Final = 16
CHOSEN: Final = 14
NEWEST: Final = 22
SGX, TDX = "/sgx/certification", "/tdx/certification"
_STATIC: Final = f"https://{STATIC}"
_API: Final = f"https://{PCS}/sgx/certification"

TCB_CHAINS: Final = ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain")
IDENTITY_CHAIN: Final = ("sgx-enclave-identity-issuer-chain",)
CRL_CHAIN: Final = ("sgx-pck-crl-issuer-chain",)
NUMBERS_CHAIN: Final = ("tcb-evaluation-data-numbers-issuer-chain",)

JSON, DER, PEM, HEX = "json", "der", "pem", "hex"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    A request for collateral, and what must come of it.

    *vendor* is the path at which the vendor has the very document, or
    ``structure-2/FMSPC/number``; *form* is how it must be written, and
    *chains* are the headers with its issuer chain.
    """

    name: str
    request: Request
    vendor: str
    form: str
    chains: tuple[str, ...]


def tcb(version: str, fmspc: str, number: int, tee: str = SGX) -> str:
    """
    Where the vendor has a TCB info.
    """
    if version in {"v2", "v3"} and tee == SGX and fmspc in STRUCTURE_2:
        return f"structure-2/{fmspc}/{number}"
    query = f"fmspc={fmspc}&tcbEvaluationDataNumber={number}"
    return f"{tee}/v4/tcb?{query}"


def identity(kind: str, number: int, tee: str = SGX) -> str:
    """
    Where the vendor has an identity.
    """
    return f"{tee}/v4/{kind}/identity?tcbEvaluationDataNumber={number}"


def pck_crl(ca: str) -> str:
    """
    Where the vendor has the CRL of a PCK CA.
    """
    return f"{SGX}/v4/pckcrl?ca={ca}&encoding=der"


ROOT_CRL: Final = "/IntelSGXRootCA.der"

# Azure's DCAP client.

CLIENT_ID: Final = "clientid=production_client"
_2018: Final = f"{CLIENT_ID}&api-version=2018-10-01-preview"
_2020: Final = f"{CLIENT_ID}&api-version=2020-02-12-preview"
#: It sends base64 as it is, and the text's NUL with it.
CUSTOM: Final = base64.b64encode(
    f"tcbEvaluationDataNumber={CHOSEN};region=us central\0".encode()
).decode()
#: The same with plus signs.
CUSTOM_PLUS: Final = base64.b64encode(
    f"region=>>>>>>;tcbEvaluationDataNumber={CHOSEN}\0".encode()
).decode()
#: libcurl has encoded these, which are encoded already and in small letters.
_AZURE_CRLS: Final = {
    "https%253a%252f%252fcertificates.trustedservices.intel.com"
    "%252fintelsgxpckprocessor.crl": pck_crl("processor"),
    "https%253a%252f%252fapi.trustedservices.intel.com%252fsgx"
    "%252fcertification%252fv3%252fpckcrl%253fca%253dplatform"
    "%2526encoding%253dpem": pck_crl("platform"),
    "https%253a%252f%252fcertificates.trustedservices.intel.com"
    "%252fintelsgxrootca.crl": ROOT_CRL,
}
#: The distribution points of real certificates.
_POINTS: Final = {
    f"{_STATIC}/IntelSGXRootCA.crl": ROOT_CRL,
    f"{_STATIC}/IntelSGXRootCA.der": ROOT_CRL,
    f"{_STATIC}/IntelSGXPCKProcessor.crl": pck_crl("processor"),
    f"{_API}/v1/pckcrl?ca=processor": pck_crl("processor"),
    f"{_API}/v3/pckcrl?ca=processor&encoding=der": pck_crl("processor"),
    f"{_API}/v4/pckcrl?ca=platform&encoding=der": pck_crl("platform"),
}


def _azure_sgx(version: str) -> Iterator[Call]:
    base = f"{SGX}/{version}"
    name = f"azure-{version}"
    customs = {"": ("", IN_FORCE)}
    for how, text in (("-custom", CUSTOM), ("-custom-plus", CUSTOM_PLUS)):
        customs[how] = (f"customParameter={text}&", CHOSEN)
    for how, (custom, number) in customs.items():
        for fmspc in (COFFEE, ICE) if how != "-custom-plus" else (COFFEE,):
            query = f"fmspc={fmspc.lower()}&{custom}{_2018}"
            yield _call(
                f"{name}-tcb-{fmspc}{how}",
                libcurl(GLOBAL, f"{base}/tcb?{query}"),
                tcb(version, fmspc, number),
                TCB_CHAINS,
            )
        yield _call(
            f"{name}-qe{how}",
            libcurl(GLOBAL, f"{base}/qe/identity?{custom}{_2018}"),
            identity("qe", number),
            IDENTITY_CHAIN,
        )
    yield _call(
        f"{name}-qve",
        libcurl(GLOBAL, f"{base}/qve/identity?{_2018}"),
        identity("qve", IN_FORCE),
        IDENTITY_CHAIN,
    )
    for n, (uri, vendor) in enumerate(_AZURE_CRLS.items()):
        target = f"{base}/pckcrl?uri={uri}&{_2020}"
        yield _crl(f"{name}-crl-{n}", libcurl(GLOBAL, target), vendor, PEM)
    for n, (point, vendor) in enumerate(_POINTS.items()):
        uri = urllib.parse.quote(point, safe="")
        target = f"{base}/pckcrl?uri={uri}&{_2018}"
        kind = "Content-Type:application/json"
        request = libcurl(GLOBAL, target, kind)
        yield _crl(f"{name}-revocation-{n}", request, vendor, DER)


def _azure_tdx() -> Iterator[Call]:
    base = f"{SGX}/v4"
    for ca in ("processor", "platform"):
        target = f"{base}/pckcrl?ca={ca}&{CLIENT_ID}"
        request = libcurl(REGIONAL, target)
        yield _crl(f"azure-tdx-crl-{ca}", request, pck_crl(ca), DER)
    request = libcurl(REGIONAL, f"{base}/rootcacrl?{CLIENT_ID}")
    yield _crl("azure-tdx-root-crl", request, ROOT_CRL, DER)
    query = f"fmspc={SAPPHIRE.lower()}&{_2018}"
    yield _call(
        "azure-tdx-tcb",
        libcurl(REGIONAL, f"{TDX}/v4/tcb?{query}"),
        tcb("v4", SAPPHIRE, IN_FORCE, TDX),
        TCB_CHAINS,
    )
    yield _call(
        "azure-tdx-qe",
        libcurl(REGIONAL, f"{TDX}/v4/qe/identity?{_2018}"),
        identity("qe", IN_FORCE, TDX),
        IDENTITY_CHAIN,
    )


# Intel's QCNL.

#: It escapes what base64 has beside letters and digits.
_ESCAPED: Final = CUSTOM_PLUS.replace("+", "%2B").replace("=", "%3D")
_ROOT_POINT: Final = f"{_STATIC}/IntelSGXRootCA.der"


def _qcnl(version: str, api: str, update: str, custom: str) -> Iterator[Call]:
    base = f"{SGX}/{version}"
    how = "-custom" if custom else ""
    name = f"qcnl-{version}-api-{api}-{update}{how}"
    number = NEWEST if update == "early" else IN_FORCE
    number = CHOSEN if custom else number
    more = f"&customParameter={custom}" if custom else ""
    tees = [("sgx", SGX, ICE)]
    tees += [("tdx", TDX, SAPPHIRE)] if version == "v4" else []
    for tee, root, fmspc in tees:
        query = f"fmspc={fmspc}&update={update}{more}"
        yield _call(
            f"{name}-{tee}-tcb",
            libcurl(GLOBAL, f"{root}/{version}/tcb?{query}"),
            tcb(version, fmspc, number, root),
            TCB_CHAINS,
        )
        target = f"{root}/{version}/qe/identity?update={update}{more}"
        yield _call(
            f"{name}-{tee}-qe",
            libcurl(GLOBAL, target),
            identity("qe", number, root),
            IDENTITY_CHAIN,
        )
    yield _call(
        f"{name}-qve",
        libcurl(GLOBAL, f"{base}/qve/identity?update={update}{more}"),
        identity("qve", number),
        IDENTITY_CHAIN,
    )
    if update == "early":
        return  # CRLs are asked for in the same way
    form = DER if api == "3.1" else HEX
    encoding = "&encoding=der" if api == "3.1" else ""
    for ca in ("processor", "platform"):
        target = f"{base}/pckcrl?ca={ca}{encoding}{more}"
        request = libcurl(GLOBAL, target)
        yield _crl(f"{name}-crl-{ca}", request, pck_crl(ca), form)
    if api == "3.1":
        target = f"{base}/crl?uri={_ROOT_POINT}{more}"
    else:
        target = f"{base}/rootcacrl{more.replace('&', '?')}"
    yield _crl(f"{name}-root-crl", libcurl(GLOBAL, target), ROOT_CRL, form)


# Those that know Intel's own service: go-tdx-guest, MigTD, Fortanix's, curl.


def _go_tdx_guest() -> Iterator[Call]:
    yield _call(
        "go-tdx-guest-tcb",
        go(PCS, f"{TDX}/v4/tcb?fmspc={SAPPHIRE.lower()}"),
        tcb("v4", SAPPHIRE, IN_FORCE, TDX),
        TCB_CHAINS,
    )
    yield _call(
        "go-tdx-guest-qe",
        go(PCS, f"{TDX}/v4/qe/identity"),
        identity("qe", IN_FORCE, TDX),
        IDENTITY_CHAIN,
    )
    for ca in ("processor", "platform"):
        request = go(PCS, f"{SGX}/v4/pckcrl?ca={ca}&encoding=der")
        yield _crl(f"go-tdx-guest-crl-{ca}", request, pck_crl(ca), DER)
    request = go(STATIC, ROOT_CRL)
    yield _crl("go-tdx-guest-root-crl", request, ROOT_CRL, DER)


def _migtd() -> Iterator[Call]:
    yield _call(
        "migtd-tcb",
        rust(OTHER_REGIONAL, f"{TDX}/v4/tcb?fmspc={SAPPHIRE}"),
        tcb("v4", SAPPHIRE, IN_FORCE, TDX),
        TCB_CHAINS,
    )
    yield _call(
        "migtd-qe",
        rust(OTHER_REGIONAL, f"{TDX}/v4/qe/identity"),
        identity("qe", IN_FORCE, TDX),
        IDENTITY_CHAIN,
    )
    target = f"{SGX}/v4/pckcrl?ca=platform&encoding=der"
    request = rust(OTHER_REGIONAL, target)
    yield _crl("migtd-crl", request, pck_crl("platform"), DER)


def _fortanix() -> Iterator[Call]:
    base = f"{SGX}/v4"
    for wish, number in (
        ("", IN_FORCE),
        ("update=early", NEWEST),
        (f"tcbEvaluationDataNumber={CHOSEN}", CHOSEN),
    ):
        name = f"fortanix-{wish.partition('=')[0] or 'bare'}"
        more = f"&{wish}" if wish else ""
        yield _call(
            f"{name}-tcb",
            rust(GLOBAL, f"{base}/tcb?fmspc={ICE.lower()}{more}"),
            tcb("v4", ICE, number),
            TCB_CHAINS,
        )
        for kind in ("qe", "qve"):
            target = f"{base}/{kind}/identity{more.replace('&', '?')}"
            yield _call(
                f"{name}-{kind}",
                rust(GLOBAL, target),
                identity(kind, number),
                IDENTITY_CHAIN,
            )
    for tee, root in (("sgx", SGX), ("tdx", TDX)):
        target = f"{root}/v4/tcbevaluationdatanumbers"
        name, request = f"fortanix-{tee}-numbers", rust(GLOBAL, target)
        yield _call(name, request, target, NUMBERS_CHAIN)
    for ca in ("processor", "platform"):
        target = f"{base}/pckcrl?ca={ca}"
        request = rust(GLOBAL, target)
        yield _crl(f"fortanix-pccs-crl-{ca}", request, pck_crl(ca), HEX)
        request = rust(PCS, f"{target}&encoding=pem")
        yield _crl(f"fortanix-intel-crl-{ca}", request, pck_crl(ca), PEM)
    request = rust(GLOBAL, f"{base}/rootcacrl")
    yield _crl("fortanix-pccs-root-crl", request, ROOT_CRL, HEX)
    request = rust(STATIC, "/IntelSGXRootCA.crl")
    yield _crl("fortanix-intel-root-crl", request, ROOT_CRL, DER)


def _curl() -> Iterator[Call]:
    agent, key = "User-Agent: curl/8.14.1", "Ocp-Apim-Subscription-Key: 00"
    for name, headers in (("curl", [agent]), ("curl-key", [agent, key])):
        for kind in ("qae", "qe"):
            yield _call(
                f"{name}-{kind}",
                libcurl(PCS, f"{SGX}/v4/{kind}/identity", *headers),
                identity(kind, IN_FORCE),
                IDENTITY_CHAIN,
            )


def _call(
    name: str, request: Request, vendor: str, chains: tuple[str, ...]
) -> Call:
    return Call(
        name=name, request=request, vendor=vendor, form=JSON, chains=chains
    )


def _crl(name: str, request: Request, vendor: str, form: str) -> Call:
    return Call(
        name=name, request=request, vendor=vendor, form=form, chains=CRL_CHAIN
    )


def _all() -> Iterator[Call]:
    for version in ("v2", "v3", "v4"):
        yield from _azure_sgx(version)
    yield from _azure_tdx()
    for version in ("v3", "v4"):
        for api in ("3.0", "3.1"):
            yield from _qcnl(version, api, "standard", "")
            yield from _qcnl(version, api, "early", "")
            yield from _qcnl(version, api, "standard", _ESCAPED)
    yield from _go_tdx_guest()
    yield from _migtd()
    yield from _fortanix()
    yield from _curl()


CALLS: Final = {call.name: call for call in _all()}
#: What depends on the listener's profile: a bare CRL.
BARE: Final = {
    "migtd-old": rust(OTHER_REGIONAL, f"{SGX}/v3/pckcrl?ca=platform"),
    "migtd-test": rust(OTHER_REGIONAL, f"{SGX}/v4/pckcrl?ca=platform"),
    "curl": libcurl(PCS, f"{SGX}/v4/pckcrl?ca=platform"),
    "qcnl": libcurl(LOCAL, f"{SGX}/v4/pckcrl?ca=platform"),
}
