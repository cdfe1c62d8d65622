"""
Ask a simulation as any client would, and judge what it says.
"""

import contextlib
import dataclasses
import datetime
import http.client
import json
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.serving import Got, Served
from thim.collateral.intake import Intake, verify_crl, verify_document
from thim.collateral.records import Record
from thim.intel.signed import SignedJson
from thim.simulate.server import Simulated
from thim.x509.chain import parse_pem_chain
from thim.x509.crl import Crl


SGX = "/sgx/certification/v4"
TDX = "/tdx/certification/v4"
ICE = "00606A000000"
SAPPHIRE = "00806F050000"
GRANITE = "00A06D080000"
#: The instant at which the tests play, unless they move the clock.
NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
MIDNIGHT = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
CHAIN_HEADERS = (
    "tcb-info-issuer-chain",
    "sgx-enclave-identity-issuer-chain",
    "tcb-evaluation-data-numbers-issuer-chain",
    "sgx-pck-crl-issuer-chain",
    "sgx-pck-certificate-issuer-chain",
)


def ask(url, path, *, headers=None, method="GET") -> Got:
    """
    Ask once, on a connection of its own.
    """
    port = urllib.parse.urlsplit(url).port
    return Served(port).get(path, headers, method)


def send(url, path, body, *, kind="application/json", method="POST") -> Got:
    """
    Send a body, as JSON unless it is bytes.
    """
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    headers = {"Content-Type": kind} if kind else {}
    port = urllib.parse.urlsplit(url).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    return Got(
        status=answer.status,
        headers=[(k.lower(), v) for k, v in answer.getheaders()],
        body=content,
        version=answer.version,
    )


def tcb(fmspc, **parameters) -> str:
    """
    Return the path of a TCB info for SGX.
    """
    return f"{SGX}/tcb?" + urllib.parse.urlencode(
        {"fmspc": fmspc, **parameters}
    )


def chain_of(got: Got) -> tuple[x509.Certificate, ...]:
    """
    Return the certificates of the issuer chain header.
    """
    (name,) = [n for n in CHAIN_HEADERS if n in got]
    return parse_pem_chain(urllib.parse.unquote(got[name]).encode())


def judge(simulated: Simulated, got: Got, **changes) -> Record:
    """
    Verify signed JSON by nothing but its own chain and the trust anchors.
    """
    document = SignedJson.from_json(got.body)
    intake = _intake(simulated, chain_of(got), changes)
    return verify_document(document, intake, source="test")


def judge_crl(simulated: Simulated, der, chain, **changes) -> Record:
    """
    Verify a revocation list in the same way.
    """
    intake = _intake(simulated, chain, changes)
    return verify_crl(Crl.from_der(der), intake, source="test")


def crl_der(got: Got) -> bytes:
    """
    Return a CRL in PEM as DER.
    """
    return x509.load_pem_x509_crl(got.body).public_bytes(Encoding.DER)


def revoked(der: bytes) -> set[int]:
    """
    Return the serial numbers that a CRL lists.
    """
    return set(Crl.from_der(der).revoked)


def _intake(simulated, chain, changes):
    intake = Intake(
        anchors=simulated.anchors,
        known=chain,
        root_crl=None,
        now=simulated.clock(),
    )
    return dataclasses.replace(intake, **changes)


def inner(got: Got):
    """
    Return the signed member of a body as JSON.
    """
    document = SignedJson.from_json(got.body)
    return json.loads(document.signed)
