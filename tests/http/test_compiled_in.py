"""
Clients with compiled-in host names, sent here by DNS: what they connect to has
the certificate of the name, and answers as the vendor would.
"""

from __future__ import annotations

import contextlib
import json
import subprocess

import pytest

from tests.amd_vendor import amd_settings
from tests.http.certified import Authority
from tests.http.doors import behind
from tests.needs import needs_curl
from tests.new_store import new_store
from tests.simulate.chips import playing
from tests.vendors import ICE
from thim.amd.authorities import CaChain
from thim.http.door_settings import DoorSettings
from thim.http.live_tls import TlsFiles


NAMES = (
    "kdsintf.amd.com",
    "api.trustedservices.intel.com",
    "certificates.trustedservices.intel.com",
    "global.acccache.azure.net",
)


@pytest.fixture(scope="module")
def sent_here(tmp_path_factory):
    """
    A service that has a certificate for each name, its port and their CA.
    """
    folder = tmp_path_factory.mktemp("compiled-in")
    ca = Authority(folder)
    certificates = [ca.issue(f"c{n}", name) for n, name in enumerate(NAMES)]
    own = ca.issue("own", "thim.test")
    files = TlsFiles(certificates=(own, *certificates))
    with playing() as vendor:
        new_store(folder / "thim.db", vendor.anchors)
        with behind(
            folder / "thim.db",
            door=DoorSettings(tls=files),
            clock=vendor.clock,
            anchors=vendor.anchors,
            vendors=amd_settings(vendor),
        ) as service:
            yield service.main.port, ca.path


def curl(sent_here, name, path, *options):
    """
    Ask for *path* by a vendor's name, as a client does that knows no other.
    """
    port, ca = sent_here
    place = f"{name}:{port}"
    command = ["curl", "-sSi", "--cacert", str(ca), *options]
    command += ["--resolve", f"{place}:127.0.0.1", f"https://{place}{path}"]
    got = subprocess.run(command, check=True, capture_output=True, timeout=60)
    head, _, body = got.stdout.partition(b"\r\n\r\n")
    return head.decode().lower(), body


@needs_curl
class TestCurl:
    def test_amd(self, sent_here):
        """
        AMD's key server has the chain of its keys.
        """
        path = "/vcek/v1/Milan/cert_chain"
        head, body = curl(sent_here, "kdsintf.amd.com", path)

        assert " 200 " in head.partition("\r\n")[0] + " "
        assert "milan" in str(CaChain.from_pem(body).product).lower()

    def test_intel(self, sent_here):
        """
        Intel's PCS has TCB info, with the chain that signs it.
        """
        path = f"/sgx/certification/v4/tcb?fmspc={ICE}"
        head, body = curl(sent_here, "api.trustedservices.intel.com", path)

        assert "\r\ntcb-info-issuer-chain: " in head
        assert ICE == json.loads(body)["tcbInfo"]["fmspc"]

    def test_intel_static(self, sent_here):
        """
        Intel's other host has the root's CRL in DER.
        """
        name = "certificates.trustedservices.intel.com"
        head, body = curl(sent_here, name, "/IntelSGXRootCA.der")

        assert "\r\ncontent-type: application/pkix-crl" in head
        assert body.startswith(b"\x30\x82")

    def test_azure(self, sent_here):
        """
        Azure's cache has the same TCB info as Intel.
        """
        path = f"/sgx/certification/v4/tcb?fmspc={ICE}"
        head, body = curl(sent_here, "global.acccache.azure.net", path)

        assert "\r\ntcb-info-issuer-chain: " in head
        assert ICE == json.loads(body)["tcbInfo"]["fmspc"]


@needs_curl
def test_other_trust(sent_here, tmp_path):
    """
    A client that does not know the CA asks for nothing.
    """
    port, _ = sent_here
    other = Authority(tmp_path).path
    with contextlib.suppress(subprocess.CalledProcessError):
        curl((port, other), "kdsintf.amd.com", "/vcek/v1/Milan/cert_chain")
        pytest.fail("it was trusted")
