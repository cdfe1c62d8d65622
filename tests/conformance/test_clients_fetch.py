"""
``pccsadmin fetch``, and the PCS client tool that it became, over TLS: they take
thim for Intel's PCS, and make the file that a machine room without a network is
filled from.
"""

import json
import urllib.parse

import pytest

from tests.conformance.replay_calls import SGX
from tests.conformance.replay_checks import faults_in_chain, verify_leaf
from tests.conformance.replay_machines import COFFEE_LAKE, ICE_LAKE, pcs_client


@pytest.fixture(params=["", "/baseline/20"])
def base(request):
    """
    The base URL that the tool is given.
    """
    return f"{request.param}{SGX}/v4"


def by_ppid(vendor, machine):
    """
    The query for a machine of one package.
    """
    encrypted_ppid = vendor.machine(machine.name)["enc_ppid"]
    return f"encrypted_ppid={encrypted_ppid}&pceid={machine.pceid}"


def by_manifest(vendor, machine, **more):
    """
    The body for one of several packages, as Python writes it.
    """
    manifest = vendor.machine(machine.name)["manifest"]
    body = {"pceid": machine.pceid, "platformManifest": manifest, **more}
    return json.dumps(body).encode()


def check(got, machine, vendor):
    """
    Check what the tool looks at: headers, and each certificate's chain.
    """
    chain = got["sgx-pck-certificate-issuer-chain"]
    available = [line for line in got.json if line["cert"] != "Not available"]

    assert (200, "application/json") == (got.status, got["content-type"])
    assert machine.fmspc == got["sgx-fmspc"]
    assert "request-id" in got
    assert [] == faults_in_chain(chain)
    for line in available:
        pem = urllib.parse.unquote_to_bytes(line["cert"])
        verify_leaf(vendor, pem, chain)
    return available


def test_encrypted_ppid(knowing, vendor, base):
    """
    All certificates of a machine that is known by its encrypted PPID, as the
    vendor lists them.
    """
    query = by_ppid(vendor, COFFEE_LAKE)
    got = knowing.ask(pcs_client(f"{base}/pckcerts?{query}"))
    theirs = vendor.get(f"{SGX}/v4/pckcerts?{query}")

    expected = [
        {**line, "tcbm": line["tcbm"].upper()}
        for line in theirs.json
        if line["cert"] != "Not available"
    ]
    assert expected == check(got, COFFEE_LAKE, vendor)


def test_manifest(knowing, vendor, base):
    """
    All certificates of one that was registered by its manifest.
    """
    body = by_manifest(vendor, ICE_LAKE)
    got = knowing.ask(pcs_client(f"{base}/pckcerts", body))

    tcbms = {line["tcbm"] for line in check(got, ICE_LAKE, vendor)}
    assert ICE_LAKE.tcbm in tcbms


def test_one(knowing, vendor, base):
    """
    The one certificate for a raw TCB, as PCS gives it.
    """
    raw = {"cpusvn": ICE_LAKE.cpusvn, "pcesvn": ICE_LAKE.pcesvn}
    body = by_manifest(vendor, ICE_LAKE, **raw)
    query = by_ppid(vendor, COFFEE_LAKE)
    query += f"&cpusvn={COFFEE_LAKE.cpusvn}&pcesvn={COFFEE_LAKE.pcesvn}"
    for machine, request in (
        (ICE_LAKE, pcs_client(f"{base}/pckcert", body)),
        (COFFEE_LAKE, pcs_client(f"{base}/pckcert?{query}")),
    ):
        got = knowing.ask(request)

        assert (200, machine.tcbm.upper()) == (got.status, got["sgx-tcbm"])
        chain = got["sgx-pck-certificate-issuer-chain"]
        verify_leaf(vendor, got.body, chain)


@pytest.mark.parametrize(
    ("target", "body", "reason"),
    [
        (
            f"pckcerts?encrypted_ppid={'5C' * 384}&pceid=0000",
            None,
            "unknown-encrypted-ppid",
        ),
        (
            "pckcerts",
            b'{"pceid": "0000", "platformManifest": "00ff"}',
            "unknown-manifest",
        ),
    ],
)
def test_unknown(knowing, base, target, body, reason):
    """
    A machine that nobody registered is a 404 that says so, which the tool
    prints.
    """
    got = knowing.ask(pcs_client(f"{base}/{target}", body))

    assert (404, reason) == (got.status, got["thim-reason"])
    assert got.body.startswith(b"No cache data for this platform.")
