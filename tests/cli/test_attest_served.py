"""
The command against the service itself, each a process of its own.
"""

import json

import pytest

from tests.conformance.program import running
from thim.simulate.evidence import QuoteKind


@pytest.fixture
def attest(world, monkeypatch):
    """
    Run the command with the world's evidence, for a running service.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    sim = world.sim
    settings = {"THIM_CONFIG": str(sim.config), "THIM_FILL": "lazy"}
    with running(sim.store, **settings) as (served, _):
        usual = ("--url", served.url, "--config", sim.config)
        yield lambda *more: world.thim("attest", *more, *usual)


@pytest.mark.parametrize(
    ("kind", "machine", "claim"),
    [
        (QuoteKind.SGX_V3, "ice-1", "x-ms-sgx-mrenclave"),
        (QuoteKind.TDX_V4, "sapphire-1", "tdx_mrtd"),
    ],
)
def test_quotes(world, attest, kind, machine, claim):
    """
    A quote becomes a token, which holds: signed, by whom the service says it
    is, of the type and with the nonce.
    """
    file = world.quote(kind, machine)

    run = attest(file, "--claims", "--nonce", "n-1")

    assert (0, "") == (run.code, run.err)
    assert "n-1" == run.json["nonce"]
    assert claim in run.json


def test_report(world, attest):
    """
    So does an SEV-SNP report, whose key the service finds itself.
    """
    run = attest(world.report(), "--json")

    assert (0, True) == (run.code, run.json["verified"])
    kind = run.json["claims"]["x-ms-attestation-type"]
    assert "sevsnpvm" == kind


def test_draft(world, attest, tmp_path):
    """
    A draft that denies says so, and ends in 1.
    """
    policy = tmp_path / "policy.txt"
    policy.write_text("version= 1.0;authorizationrules{=> deny();};")
    file = world.quote(QuoteKind.SGX_V3, "ice-1")

    run = attest(file, "--draft", policy, "--json")

    assert 1 == run.code
    assert "PolicyEvaluationError" == run.json["error"]["code"]


def test_below(world, attest):
    """
    A TCB below the baseline ends in 1, and the component is named.
    """
    run = attest(world.quote(QuoteKind.SGX_V3, "ice-2"))

    assert (1, "") == (run.code, run.text)
    assert "does not meet the Azure baseline requirements" in run.err


def test_forged(world, attest):
    """
    A quote that was changed ends in 2.
    """
    raw = bytearray(world.quote(QuoteKind.SGX_V3, "ice-1").read_bytes())
    raw[48 + 64] ^= 1

    run = attest(world.write(bytes(raw)))

    assert 2 == run.code
    assert "InvalidQuote" in run.err


def test_runtime(world, attest, tmp_path):
    """
    Data that the evidence is not bound to end in 2.
    """
    data = tmp_path / "runtime.json"
    data.write_text(json.dumps({"keys": []}))

    run = attest(world.quote(QuoteKind.SGX_V3, "ice-1"), "--runtime-json", data)

    assert 2 == run.code
