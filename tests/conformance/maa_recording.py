"""
A real enclave's evidence, the tokens that Azure Attestation gave for it in July
2021, and what it is verified with here.
"""

import base64
import datetime
import functools
import json

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.attestation.sent import held, submit
from tests.conftest import corpus_root
from thim.attestation.binding import check_binding
from thim.attestation.kind import AttestationType
from thim.attestation.maa_claims import list_claims, list_own_claims
from thim.attestation.maa_collateral import hash_documents
from thim.attestation.quote_submission import read_quote
from thim.intel.authorities import INTEL_SGX_ROOT
from thim.intel.quote_collateral import Collateral, Documents
from thim.intel.verify import QuoteVerifier


#: Tokens are of 2021-07-01.  Of the documents beside them the TCB info is the
#: one that was used; the identity is of some hours later, and the revocation
#: lists are of 2023 and 2024.  What is of the future is refused, so it must be
#: later than 2024-02-22, when the last of them was issued; and the lists must
#: not have ended, as the first does on 2024-03-23.
NOW = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)

SGX = AttestationType.SGX_ENCLAVE
OPEN = AttestationType.OPEN_ENCLAVE
EVIDENCE = {
    "oe": (OPEN, "oe_report.bin"),
    "sgx": (SGX, "quote.bin"),
}


def read(name):
    """
    Read a file of the recording.
    """
    return (corpus_root() / "attestation" / "sgx-2021" / name).read_bytes()


def list_tokens():
    """
    Name the tokens: how the evidence was sent, to whom, with what.
    """
    folder = corpus_root() / "attestation" / "sgx-2021"
    return sorted(each.stem for each in folder.glob("token_*.jwt"))


def decode(name):
    """
    Decode a token's claims; whether it is genuine is not asked.
    """
    payload = read(f"{name}.jwt").split(b".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + b"=="))


@functools.cache
def documents():
    """
    The documents beside the tokens.
    """
    crls = (x509.load_pem_x509_crl(read(f"crl_{each}.pem")) for each in "ab")
    root_ca_crl, pck_crl = (crl.public_bytes(Encoding.DER) for crl in crls)
    return Documents(
        tcb_info=read("tcb_info.json"),
        tcb_info_chain=read("tcb_info_issuer_chain.pem"),
        identity=read("qe_identity.json"),
        identity_chain=read("qe_identity_issuer_chain.pem"),
        pck_crl=pck_crl,
        root_ca_crl=root_ca_crl,
    )


@functools.cache
def verifier():
    """
    What verifies with them.
    """
    collateral = Collateral.from_documents(documents(), anchors=INTEL_SGX_ROOT)
    return QuoteVerifier(collateral, anchors=INTEL_SGX_ROOT)


def send(name):
    """
    Send what a token was given for.
    """
    _, form, _, what = name.split("_")
    kind, file = EVIDENCE[form]
    data_type = "Binary" if what == "binary" else "JSON"
    data = held(read("runtime_data.bin"), data_type)
    return submit(kind, read(file), runtimeData=data)


def verify(submission):
    """
    Verify what was sent, and that it speaks for its data.
    """
    evidence = read_quote(submission.type, submission.evidence)
    check_binding(evidence.quote.body, submission)
    return verifier().verify(evidence.quote, NOW)


def claim(name):
    """
    List what we say of what a token was given for.
    """
    submission = send(name)
    hashes = hash_documents(documents())
    verdict = verify(submission)
    own = list_own_claims(verdict, "azure")
    return list_claims(submission, verdict, hashes, own)
