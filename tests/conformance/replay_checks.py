"""
What clients do with an answer: take the chain out of a header, decode a CRL,
and verify, by nothing but the vendor's root.
"""

from __future__ import annotations

import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.conformance.replay import Answer
from tests.conformance.replay_calls import DER, HEX, JSON, Call
from tests.conformance.replay_programs import NOW, Vendor, structure_2
from thim.collateral.intake import Intake, verify_crl, verify_document
from thim.collateral.records import Record
from thim.intel.signed import SignedJson
from thim.x509.chain import parse_pem_chain, verify_chain
from thim.x509.crl import Crl


CONTENT_TYPES = {
    "json": "application/json",
    "der": "application/pkix-crl",
    "pem": "application/x-pem-file",
    "hex": "text/plain; charset=utf-8",
}
#: What differs between two answers with the same document.
OWN = frozenset({"date", "request-id"})


def chain_in(value: str) -> tuple[x509.Certificate, ...]:
    """
    Decode a chain as it stands in a header.
    """
    return parse_pem_chain(urllib.parse.unquote_to_bytes(value))


def signed_for(vendor: Vendor, call: Call) -> bytes:
    """
    What the vendor has signed for *call*.
    """
    kind, _, rest = call.vendor.partition("/")
    if kind == "structure-2":
        fmspc, number = rest.split("/")
        return structure_2(fmspc, int(number))
    got = vendor.get(call.vendor)
    assert 200 == got.status, got
    return got.body


def decode(call: Call, answer: Answer) -> bytes:
    """
    Undo the form in which a document is asked for.
    """
    if call.form in {JSON, DER}:
        return answer.body
    if call.form == HEX:
        return bytes.fromhex(answer.body.decode("ascii"))
    crl = x509.load_pem_x509_crl(answer.body)
    return crl.public_bytes(Encoding.DER)


def verify(vendor: Vendor, call: Call, answer: Answer) -> Record:
    """
    Verify a document by the chain beside it and the vendor's root.
    """
    chain = chain_in(answer[call.chains[0]])
    intake = Intake(anchors=vendor.anchors, known=chain, root_crl=None, now=NOW)
    body = decode(call, answer)
    if call.form == JSON:
        document = SignedJson.from_json(body)
        return verify_document(document, intake, source="test")
    return verify_crl(Crl.from_der(body), intake, source="test")


def verify_leaf(vendor: Vendor, pem: bytes, chain: str) -> x509.Certificate:
    """
    Verify a PCK certificate by the chain beside it and the vendor's root.
    """
    (leaf,) = x509.load_pem_x509_certificates(pem)
    verify_chain(
        (leaf, *chain_in(chain)), anchors=vendor.anchors, at=NOW, root_crl=None
    )
    return leaf


def faults_in_chain(value: str) -> list[str]:
    """
    What clients would stumble over in the value of a chain's header.
    """
    pem = urllib.parse.unquote_to_bytes(value)
    signer, root = parse_pem_chain(pem)
    end = b"-----END CERTIFICATE-----\n"
    rules = {
        "ends in %0A": value.endswith("%0A"),
        "is percent-encoded": not set(value) & set(" +/=\n\r"),
        "writes a space as %20": "BEGIN%20CERTIFICATE" in value,
        "has two certificates": 2 == pem.count(b"BEGIN CERTIFICATE"),
        "has nothing behind them": pem.endswith(end),
        "has the root second": root.issuer == root.subject == signer.issuer,
        "has the signer first": signer.subject != signer.issuer,
    }
    return [rule for rule, is_kept in rules.items() if not is_kept]


def without_own(answer: Answer) -> list[tuple[str, str]]:
    """
    The header but for what differs each time.
    """
    return [(k, v) for k, v in answer.headers if k not in OWN]
