"""
The two machines of the test suite of Azure's client, how each client asks for
their PCK certificates, and how Intel's tool registers them.
"""

from __future__ import annotations

import dataclasses

from collections.abc import Iterator
from typing import Final

from tests.conformance.replay import (
    GLOBAL,
    LOCAL,
    PCS,
    Request,
    libcurl,
    rust,
    with_body,
)


THIM: Final = "api-version=2021-07-22-preview"
CLIENT_ID: Final = "clientid=production_client"
#: What QCNL sends of a machine that gave it no encrypted PPID.
NO_PPID: Final = "0" * 768


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """
    What a machine sends of itself, in small letters, and the TCB of the
    certificate that is the best for it.
    """

    name: str
    qe_id: str
    cpusvn: str
    pcesvn: str
    tcbm: str
    fmspc: str
    ca: str
    pceid: str = "0000"


COFFEE_LAKE: Final = Machine(
    name="coffee-lake",
    qe_id="00fbe6733336eaf7a4e3d8b966a82e64",
    cpusvn="04040204ff8000000000000000000000",
    pcesvn="0600",
    tcbm="040402040180000000000000000000000500",
    fmspc="00906EA10000",
    ca="processor",
)
ICE_LAKE: Final = Machine(
    name="ice-lake",
    qe_id="0fe321faa31e76da3eaad827ab690719",
    cpusvn="04040308ffff00000000000000000000",
    pcesvn="0a00",
    tcbm="04040303FFFF000000000000000000000A00",
    fmspc="00606A000000",
    ca="platform",
)
#: One that is in no world.
STRANGER: Final = Machine(
    name="stranger",
    qe_id="ffffffffffffffffffffffffffffffff",
    cpusvn="04040308ffff00000000000000000000",
    pcesvn="0a00",
    tcbm="",
    fmspc="00606A000000",
    ca="platform",
)
#: Another, which is registered all the same.
UNAVAILABLE: Final = dataclasses.replace(STRANGER, qe_id="ee" * 16)
MACHINES: Final = (COFFEE_LAKE, ICE_LAKE)


def azure_query(machine: Machine, encrypted_ppid: str = "") -> str:
    """
    The query of Azure's client.
    """
    own = f"encrypted_ppid={encrypted_ppid}&" if encrypted_ppid else ""
    return (
        f"qeid={machine.qe_id}&cpusvn={machine.cpusvn}&"
        f"pcesvn={machine.pcesvn}&pceid={machine.pceid}&"
        f"{own}{CLIENT_ID}&{THIM}"
    )


def azure_primary(version: str, query: str) -> Request:
    """
    How Azure's client asks the host agent first.
    """
    path = f"/metadata/THIM/sgx/certification/{version}/pckcert"
    return libcurl(LOCAL, f"{path}?{query}", "metadata:true")


def azure_secondary(version: str, query: str) -> Request:
    """
    How it asks the global service then.
    """
    target = f"/sgx/certification/{version}/pckcert?{query}"
    return libcurl(GLOBAL, target, "Content-Type:application/json")


def qcnl_query(machine: Machine, more: str = f"&{THIM}") -> str:
    """
    The query of QCNL, which writes digits in capitals, behind which it puts
    the parameters of its ``custom_request_options``.
    """
    return (
        f"qeid={machine.qe_id.upper()}&encrypted_ppid={NO_PPID}&"
        f"cpusvn={machine.cpusvn.upper()}&pcesvn={machine.pcesvn.upper()}&"
        f"pceid={machine.pceid}{more}"
    )


def json_requests(machine: Machine) -> Iterator[tuple[str, Request]]:
    """
    The requests that are answered by Azure's JSON object, by who makes them.
    """
    for version in ("v2", "v3", "v4"):
        for how, own in (("", ""), ("-zeros", NO_PPID)):
            query = azure_query(machine, own)
            name = f"azure-{version}"
            yield f"{name}-primary{how}", azure_primary(version, query)
            yield f"{name}-secondary{how}", azure_secondary(version, query)
    for version in ("v3", "v4"):
        query = qcnl_query(machine)
        target = f"/sgx/certification/{version}/pckcert?{query}"
        header = "metadata: true"
        local = libcurl(LOCAL, f"/metadata/THIM{target}", header)
        yield f"qcnl-{version}-local", local
        yield f"qcnl-{version}-pccs", libcurl(GLOBAL, target, header)
    target = f"/sgx/certification/v4/pckcert?{azure_query(machine)}"
    yield "fortanix-azure", rust(GLOBAL, target)


def pem_requests(machine: Machine) -> Iterator[tuple[str, Request]]:
    """
    The requests that are answered as PCCS and PCS do.
    """
    for version in ("v3", "v4"):
        query = qcnl_query(machine, "")
        target = f"/sgx/certification/{version}/pckcert?{query}"
        yield f"qcnl-{version}-bare", libcurl(LOCAL, target)
    query = azure_query(machine).partition(f"&{CLIENT_ID}")[0]
    target = f"/sgx/certification/v4/pckcert?{query}"
    key = "Ocp-Apim-Subscription-Key: 00"
    yield "curl-key", libcurl(PCS, target, key)


def retrieval_tool(
    body: str, token: str, version: str = "v4", update: str = ""
) -> Request:
    """
    How Intel's PCK ID retrieval tool registers a platform, by libcurl.
    """
    raw = body.encode("ascii")
    headers = [
        f"Host: {LOCAL}",
        "Accept: */*",
        "Content-Type: application/json",
        f"user-token: {token}",
        f"Content-Length: {len(raw)}",
    ]
    line = f"POST /sgx/certification/{version}/platforms{update}"
    return with_body(LOCAL, line, headers, raw)


def manifest_body(machine: Machine, manifest: str) -> str:
    """
    What that tool writes with ``-platform_id``, its spaces as they are.
    """
    return (
        f'{{"pce_id": "{machine.pceid}" ,"qe_id": "{machine.qe_id.upper()}" '
        f',"platform_manifest": "{manifest}" }}'
    )


def enclave_body(machine: Machine, encrypted_ppid: str, manifest: str) -> str:
    """
    What that tool writes when it could ask its enclaves.
    """
    return (
        f'{{"enc_ppid": "{encrypted_ppid}" ,"pce_id": "{machine.pceid}" '
        f',"cpu_svn": "{machine.cpusvn.upper()}" '
        f',"pce_svn": "{machine.pcesvn.upper()}" '
        f',"qe_id": "{machine.qe_id.upper()}" '
        f',"platform_manifest": "{manifest}" }}'
    )


def python_requests(
    method: str, target: str, token: str, body: bytes | None = None
) -> Request:
    """
    How pccsadmin asks, by requests.
    """
    headers = [
        f"Host: {LOCAL}",
        "user-agent: pccsadmin/0.1",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
    ]
    if body is not None:
        headers.append("Content-Type: application/json")
    headers.append(f"admin-token: {token}")
    if method != "GET":
        headers.append(f"Content-Length: {len(body or b'')}")
    target = f"/sgx/certification/v4/{target}"
    return with_body(LOCAL, f"{method} {target}", headers, body or b"")


def pcs_client(target: str, body: bytes | None = None) -> Request:
    """
    How ``pccsadmin fetch``, and the PCS client tool that it became, ask whom
    they take for Intel's PCS.
    """
    headers = [
        f"Host: {LOCAL}",
        "User-Agent: python-requests/2.32.3",
        "Accept-Encoding: gzip, deflate",
        f"Accept: {'*/*' if body is None else 'text/plain'}",
        "Connection: keep-alive",
        "Ocp-Apim-Subscription-Key: 00112233445566778899aabbccddeeff",
    ]
    if body is not None:
        headers.append("Content-type: application/json")
        headers.append(f"Content-Length: {len(body)}")
    method = "GET" if body is None else "POST"
    return with_body(LOCAL, f"{method} {target}", headers, body or b"")
