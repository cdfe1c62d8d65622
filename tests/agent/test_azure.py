"""
What the tools in Azure's confidential guests ask of the metadata service, as
they ask it, and what they do with the answers.
"""

import base64
import json
import re

import pytest

from tests.agent.standin import StandIn, standing_in
from thim.amd.verify import verify_evidence


HOST = {"Host": "169.254.169.254"}
#: Python's requests, by cvm-attestation-tools.
REQUESTS = {
    **HOST,
    "User-Agent": "python-requests/2.32.3",
    "Accept-Encoding": "gzip, deflate",
    "Accept": "*/*",
    "Connection": "keep-alive",
}
#: libcurl, by the guest attestation library in C++.
LIBCURL = {**HOST, "Accept": "*/*", "Metadata": "true"}
#: ureq, by az-snp-vtpm.
UREQ = {**HOST, "User-Agent": "ureq/2.9.1", "Accept": "*/*", "Metadata": "true"}
CERTIFICATION = "/metadata/THIM/amd/certification"
LOCATION = "/metadata/instance/compute/location"
VM_ID = "/metadata/instance/compute/vmId"


@pytest.fixture
def other():
    """
    A quoting service, which answers with what it is asked.
    """
    with standing_in(StandIn()) as running:
        yield running


@pytest.fixture
def agent(bench, other):
    """
    An agent of a host in a region, with a chip and a quoting service.
    """
    return bench.agent(
        chip=bench.report(),
        location="westeurope",
        vm_id="b7098c9b-4b8a-4fbd-9b3b-1d4cf3d7a2ae",
        quote_service=f"{other.url}/quote",
    )


def is_authentic(bench, got) -> bool:
    """
    Verify the guest's report with the chain as the tools put it together: the
    two texts one after the other.
    """
    text = got["vcekCert"] + got["certificateChain"]
    blocks = re.findall(
        "-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n",
        text,
        re.DOTALL,
    )
    assert "".join(blocks) == text
    leaf, *chain = blocks
    return verify_evidence(
        bench.report().path.read_bytes(),
        leaf.encode(),
        "".join(chain).encode(),
        None,
        anchors=bench.vendor.anchors,
        now=bench.vendor.clock(),
    ).is_authentic


class TestPythonTools:
    def test_region(self, bench, agent):
        """
        The region comes as bare text.
        """
        got = bench.ask(
            agent,
            f"{LOCATION}?api-version=2021-01-01&format=text",
            headers={**REQUESTS, "Metadata": "true"},
        )

        assert (200, b"westeurope") == (got.status, got.body)

    def test_certificates(self, bench, agent):
        """
        The certificates come as one object, also where the request claims to
        bring JSON.
        """
        got = bench.ask(
            agent,
            CERTIFICATION,
            headers={
                **REQUESTS,
                "Content-Type": "application/json",
                "Metadata": "true",
            },
        )

        assert 200 == got.status
        assert is_authentic(bench, got.json)

    def test_quote(self, bench, agent):
        """
        A TD report is passed on without any metadata header, in base64 for
        URLs.
        """
        report = base64.urlsafe_b64encode(bytes(range(256)) * 4).decode()
        body = json.dumps({"report": report}).encode()
        got = bench.ask(
            agent,
            "/acc/tdquote",
            headers={**REQUESTS, "Content-Type": "application/json"},
            method="POST",
            body=body,
        )

        assert 200 == got.status
        assert body.decode() == got.json["body"]


class TestNativeTools:
    def test_vm_id(self, bench, agent):
        """
        The machine's ID comes as bare text.
        """
        got = bench.ask(
            agent,
            f"{VM_ID}?api-version=2019-03-11&format=text",
            headers=LIBCURL,
        )

        assert (200, b"b7098c9b-4b8a-4fbd-9b3b-1d4cf3d7a2ae") == (
            got.status,
            got.body,
        )

    @pytest.mark.parametrize("headers", [LIBCURL, UREQ], ids=["c++", "rust"])
    def test_certificates(self, bench, agent, headers):
        """
        They take the keys as they are spelt.
        """
        got = bench.ask(agent, CERTIFICATION, headers=headers)

        assert 200 == got.status
        assert is_authentic(bench, got.json)

    def test_for_good(self, bench, agent):
        """
        A renewal of the vTPM's certificate is not to be had: an empty 404,
        after which they give up.
        """
        got = bench.ask(
            agent,
            "/metadata/THIM/tvm/certificate/renew?api-version=2023-07-01",
            headers=LIBCURL,
            method="POST",
            body=b"-----BEGIN%20CERTIFICATE",
        )

        assert (404, b"") == (got.status, got.body)

    def test_region_of_dcap(self, bench, agent):
        """
        Azure's DCAP client reads the region out of the whole object.
        """
        got = bench.ask(
            agent,
            "/metadata/instance?api-version=2021-02-01",
            headers={**HOST, "Accept": "*/*", "metadata": "true"},
        )

        assert "westeurope" == got.json["compute"]["location"]
