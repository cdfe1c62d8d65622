"""
Every genuine document of the corpus comes out as it went in.
"""

import shutil
import subprocess
import urllib.parse

import pytest

from tests.conformance.corpus import Corpus, instant
from tests.conftest import corpus_root


IDENTITY_PATHS = {
    "QE": "/sgx/certification/v4/qe/identity",
    "QVE": "/sgx/certification/v4/qve/identity",
    "QAE": "/sgx/certification/v4/qae/identity",
    "TD_QE": "/tdx/certification/v4/qe/identity",
}


def newest(entries, name):
    """
    The newest of *entries* for each *name*.
    """
    found = {}
    for entry in sorted(entries, key=lambda e: instant(e["valid_from"])):
        found[name(entry)] = entry
    return found


def tcb_infos():
    """
    The newest TCB info of each FMSPC, TEE, structure and number.
    """
    entries = [
        entry
        for entry in read().of("intel-tcb-info")
        if entry["tcb_evaluation_data_number"] is not None
    ]
    return newest(
        entries,
        lambda e: (
            e["tee"].lower(),
            e["fmspc"].upper(),
            e["version"],
            e["tcb_evaluation_data_number"],
        ),
    )


def identities():
    """
    The newest identity of each enclave and number.
    """
    return newest(
        read().of("intel-enclave-identity"),
        lambda e: (e["id"], e["tcb_evaluation_data_number"]),
    )


def read():
    """
    The corpus, or an empty one where it is absent.
    """
    root = corpus_root()
    return Corpus.read(root) if root.is_dir() else Corpus(root, {})


def spell(value):
    """
    Name a case after what it is about.
    """
    return "-".join(map(str, value)) if isinstance(value, tuple) else ""


def check(got, documents, entry, tmp_path):
    """
    The answer is the document, byte for byte; openssl verifies its chain.
    """
    assert 200 == got.status
    assert documents.bytes(entry["name"]) == got.body
    verify_chain(got, tmp_path)


def verify_chain(got, tmp_path):
    """
    Have openssl verify the chain in the answer's header.
    """
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: the chain was not verified")
    (chain,) = {v for k, v in got.headers if k.endswith("-issuer-chain")}
    end = "-----END CERTIFICATE-----\n"
    signer, root, rest = urllib.parse.unquote(chain).split(end)
    assert "" == rest
    for name, pem in (("signer", signer), ("root", root)):
        (tmp_path / f"{name}.pem").write_text(pem + end)
    subprocess.run(
        ["openssl", "verify", "-CAfile", "root.pem", "signer.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize(("name", "entry"), tcb_infos().items(), ids=spell)
def test_tcb_info(served, vendor_documents, name, entry, tmp_path):
    """
    Under its number, and in the API version that speaks its structure, the
    newest TCB info of an FMSPC is served byte for byte, with a chain that
    openssl verifies.
    """
    tee, fmspc, structure, number = name
    version = "v4" if structure == 3 else "v3"
    path = f"/{tee}/certification/{version}/tcb?fmspc={fmspc}"

    got = served.get(f"{path}&tcbEvaluationDataNumber={number}")

    check(got, vendor_documents, entry, tmp_path)
    assert got.body == served.get(f"/baseline/{number}{path}").body


@pytest.mark.parametrize(("name", "entry"), identities().items(), ids=spell)
def test_identity(served, vendor_documents, name, entry, tmp_path):
    """
    Under its number the newest identity of an enclave is served byte for
    byte, with a chain that openssl verifies.
    """
    kind, number = name
    got = served.get(f"{IDENTITY_PATHS[kind]}?tcbEvaluationDataNumber={number}")

    check(got, vendor_documents, entry, tmp_path)


@pytest.mark.parametrize("ca", ["platform", "processor"])
def test_pck_crl(served, vendor_documents, ca, tmp_path):
    """
    The newest CRL of a PCK CA is served, whatever the baseline.
    """
    issuer = f"Intel SGX PCK {ca.capitalize()} CA"
    crls = [
        e for e in vendor_documents.of("intel-crl") if e["issuer"] == issuer
    ]
    entry = max(crls, key=lambda e: instant(e["valid_from"]))
    path = f"/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"

    for prefix in ("", "/baseline/17"):
        got = served.get(f"{prefix}{path}")
        assert vendor_documents.bytes(entry["name"]) == got.body
    verify_chain(got, tmp_path)


@pytest.mark.parametrize(
    "entry", read().of("intel-crl"), ids=lambda e: e["name"]
)
def test_crl_at(served, vendor_documents, entry):
    """
    At its own instant each CRL of the corpus is served.
    """
    name = entry["issuer"].removeprefix("Intel SGX ")
    path = {
        "Root CA": "rootcacrl?",
        "PCK Platform CA": "pckcrl?ca=platform",
        "PCK Processor CA": "pckcrl?ca=processor",
    }[name]

    got = served.get(
        f"/at/{entry['valid_from']}/sgx/certification/v4/{path}&encoding=der"
    )

    assert vendor_documents.bytes(entry["name"]) == got.body


@pytest.mark.parametrize("tee", ["sgx", "tdx"])
def test_numbers(served, vendor_documents, tee, tmp_path):
    """
    The newest list of evaluation numbers is served byte for byte.
    """
    lists = [
        e
        for e in vendor_documents.of("intel-tcb-eval-numbers")
        if e["tee"].lower() == tee
    ]
    entry = max(lists, key=lambda e: instant(e["valid_from"]))

    got = served.get(f"/{tee}/certification/v4/tcbevaluationdatanumbers")

    assert vendor_documents.bytes(entry["name"]) == got.body
    verify_chain(got, tmp_path)
