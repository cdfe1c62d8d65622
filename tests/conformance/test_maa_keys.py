"""
Azure's own keys, certificates and tokens, and ours beside them.
"""

import base64
import json

import pytest

from cryptography import x509

from tests.attestation.signing import ISSUER, NOW, PRIVATE
from thim.attestation.signing_certificate import (
    SGX_EVIDENCE,
    EvidenceKind,
    KeyEvidence,
    issue_signing_certificate,
)
from thim.attestation.token import Signer, digest_key, key_id, write_jwks
from thim.intel.open_enclave import open_report


@pytest.fixture
def keys(corpus):
    """
    The keys of a shared provider of Azure's, recorded in 2021.
    """
    raw = (corpus / "attestation/sgx-2021/certs_sharedwus.json").read_text()
    return json.loads(raw)["keys"]


@pytest.fixture
def attesting(keys):
    """
    Those that sign attestation tokens, with their certificates.
    """
    found = [
        (key, x509.load_der_x509_certificate(base64.b64decode(key["x5c"][0])))
        for key in keys
    ]
    return [
        (key, certificate)
        for key, certificate in found
        if certificate.subject == certificate.issuer
    ]


def shape(certificate):
    """
    Return the extensions of a certificate, and whether each is critical.
    """
    return [(each.oid, each.critical) for each in certificate.extensions]


def test_kid(attesting):
    """
    The formula of the key IDs is Azure's.
    """
    assert 2 == len(attesting)
    for key, certificate in attesting:
        assert key["kid"] == key_id(certificate.public_key())


def test_members(attesting):
    """
    An entry of the key set has the same members, in the same order.
    """
    ours = json.loads(write_jwks([("kid", b"der")]))["keys"]

    assert [list(key) for key, _ in attesting] == [list(ours[0])] * 2


def test_certificate(attesting):
    """
    A certificate with the evidence of an enclave has the same extensions, and
    its names have the same form.
    """
    evidence = KeyEvidence(kind=EvidenceKind.SGX, data=b"report")
    ours = x509.load_der_x509_certificate(
        issue_signing_certificate(PRIVATE, ISSUER, NOW, evidence)
    )
    for _, certificate in attesting:
        assert shape(certificate) == shape(ours)
        name = certificate.subject.rfc4514_string()
        assert name.startswith("CN=https://")
        assert certificate.signature_algorithm_oid == (
            ours.signature_algorithm_oid
        )


def test_evidence(attesting):
    """
    What evidence binds to the key is what our key IDs are made of.
    """
    for _, certificate in attesting:
        extension = certificate.extensions.get_extension_for_oid(SGX_EVIDENCE)
        quote = open_report(extension.value.value).quote
        digest = digest_key(certificate.public_key())

        assert digest + bytes(32) == quote.body.report_data


@pytest.mark.parametrize("name", ["sgx_aad_binary", "oe_aad_draft"])
def test_header(corpus, name):
    """
    The headers of signed tokens and of drafts are Azure's, byte for byte.
    """
    path = corpus / f"attestation/sgx-2021/token_{name}.jwt"
    head = path.read_text().partition(".")[0]
    theirs = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).decode()
    said = json.loads(theirs)
    issuer = said["jku"].removesuffix("/certs")
    signer = Signer(PRIVATE)
    write = signer.write_draft if "draft" in name else signer.sign
    ours = write(issuer, {}).partition(".")[0]
    ours = base64.urlsafe_b64decode(ours + "=" * (-len(ours) % 4)).decode()

    assert theirs == ours.replace(signer.kid, said["kid"])
