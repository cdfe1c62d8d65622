"""
A small world in which quotes are verified: our own Intel, a machine, quotes
that can be taken apart and signed again, and documents for them.
"""

import dataclasses
import datetime
import functools
import hashlib
import struct

from collections.abc import Callable, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding

from tests.simulate.quotes import Parts, take_apart
from tests.x509.der import children, sequence
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.quote import Quote
from thim.intel.quote_collateral import Collateral, Documents
from thim.intel.steps import Step
from thim.intel.verify import QuoteVerifier
from thim.simulate.documents import ISSUED, LIFETIME
from thim.simulate.pck import Platform, pck_chain, pck_key
from thim.simulate.pki import Intel
from thim.simulate.quote import (
    QuotingEnclave,
    SgxBody,
    TdBody,
    TdBody15,
    attestation_key,
    make_sgx_quote_v3,
    make_tdx_quote_v4,
    make_tdx_quote_v5,
)
from thim.x509.chain import to_pem


INTEL = Intel()
STRANGER = Intel("stranger")
PLATFORM = Platform()
#: Another machine of the same family.
NEIGHBOUR = Platform(qe_id=b"\x0b" * 16)
NOW = ISSUED + datetime.timedelta(days=1)
END = ISSUED + LIFETIME
SECOND = datetime.timedelta(seconds=1)
#: Of P-256.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KINDS = ("v3", "v4", "v5")
TDX_KINDS = ("v4", "v5")

#: How changes of a quote are found out.
QUOTE = Step.QUOTE_SIGNATURE, "quote-signature"
REPORT = Step.QE_REPORT, "qe-report-signature"
BINDING = Step.ATTESTATION_KEY, "attestation-key-binding"
CHAIN = Step.PCK_CHAIN, "pck-chain"

_MAKERS: Mapping[str, tuple[Callable[..., bytes], type[Any]]] = {
    "v3": (make_sgx_quote_v3, SgxBody),
    "v4": (make_tdx_quote_v4, TdBody),
    "v5": (make_tdx_quote_v5, TdBody15),
}
_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def make(kind, platform=PLATFORM, body=None, *, intel=INTEL, **kwargs):
    """
    Make a quote of a *kind*: SGX, TD 1.0 or TD 1.5.
    """
    maker, body_class = _MAKERS[kind]
    return maker(intel, platform, body or body_class(), **kwargs)


def make_td(kind, platform=PLATFORM, **fields):
    """
    Make a quote of a TD whose body has some *fields* of its own.
    """
    return make(kind, platform, _MAKERS[kind][1](**fields))


@functools.cache
def good(kind):
    """
    A quote that verifies, and whose TCB is up to date.
    """
    return make(kind)


def parts_of(kind):
    """
    Take that quote apart.
    """
    return take_apart(good(kind))


def chain_pem(platform=PLATFORM, intel=INTEL, leaf=None):
    """
    Write the PCK chain of *platform*: leaf, CA, root.
    """
    return to_pem(pck_chain(intel, platform, leaf))


# Joining and signing again.


def join(parts: Parts) -> bytes:
    """
    Put a quote together with all lengths right.
    """
    nested = (
        parts.qe_report
        + parts.qe_signature
        + struct.pack("<H", len(parts.authentication_data))
        + parts.authentication_data
        + struct.pack("<HI", parts.kind, len(parts.certification_data))
        + parts.certification_data
    )
    if parts.header[0] > 3:
        nested = struct.pack("<HI", 6, len(nested)) + nested
    data = parts.signature + parts.key + nested
    signed = parts.header + parts.descriptor + parts.body
    return signed + struct.pack("<I", len(data)) + data


def to_signature(r, s):
    """
    Write a raw signature.
    """
    return r.to_bytes(32) + s.to_bytes(32)


def from_signature(raw):
    """
    Read a raw signature.
    """
    return int.from_bytes(raw[:32]), int.from_bytes(raw[32:])


def sign(key, signed):
    """
    Make a raw signature over *signed*.
    """
    return to_signature(*utils.decode_dss_signature(key.sign(signed, _ECDSA)))


def to_point(key):
    """
    Write the public half of *key* as x and y.
    """
    public = key.public_key().public_numbers()
    return public.x.to_bytes(32) + public.y.to_bytes(32)


def sign_quote(parts, key=None):
    """
    Let the attestation key sign the quote again.
    """
    key = key or attestation_key(INTEL, PLATFORM, QuotingEnclave())
    parts.signature = sign(key, parts.signed)
    return parts


def sign_report(parts, platform=PLATFORM):
    """
    Let the PCK of *platform* sign the QE's report again.
    """
    parts.qe_signature = sign(pck_key(INTEL, platform), parts.qe_report)
    return parts


def bind(parts, platform=PLATFORM):
    """
    Let the QE vouch for the key and the authentication data that are there.
    """
    digest = hashlib.sha256(parts.key + parts.authentication_data).digest()
    report = parts.qe_report
    parts.qe_report = report[:320] + digest + report[352:]
    return sign_report(parts, platform)


def flip(raw, at, bit=7):
    """
    Flip one bit of the byte *at*.
    """
    at %= len(raw)
    return raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]


def tampered(certificate):
    """
    Flip a bit of the last number in a certificate's signature.
    """
    der = flip(certificate.public_bytes(Encoding.DER), -1, 0)
    return x509.load_der_x509_certificate(der)


def without_extension(certificate, oid):
    """
    Leave out the extension *oid* (DER), and with that break the signature.
    """
    tbs, *signature = children(certificate.public_bytes(Encoding.DER))
    *fields, wrapped = children(tbs)
    (extensions,) = children(wrapped)
    kept = [e for e in children(extensions) if children(e)[0] != oid]
    rest = sequence(sequence(*kept))
    der = sequence(sequence(*fields, b"\xa3" + rest[1:]), *signature)
    return x509.load_der_x509_certificate(der)


#: Parts that may be changed: how, and where that fails.
CHANGES = {
    "user data": ("header", lambda old: flip(old, -1), QUOTE),
    "report data": ("body", lambda old: flip(old, -1), QUOTE),
    "signature": ("signature", lambda old: flip(old, 0), QUOTE),
    "key": ("key", lambda old: flip(old, 0), BINDING),
    "other key": ("key", lambda _: to_point(INTEL.key("other")), BINDING),
    "QE report": ("qe_report", lambda old: flip(old, 64), REPORT),
    "QE signature": ("qe_signature", lambda old: flip(old, 0), REPORT),
    "data": ("authentication_data", lambda old: flip(old, 0), BINDING),
    "no data": ("authentication_data", lambda _: b"", BINDING),
    "more data": ("authentication_data", lambda old: old + b"\0", BINDING),
    "neighbour": (
        "certification_data",
        lambda _: chain_pem(NEIGHBOUR),
        REPORT,
    ),
    "stranger": (
        "certification_data",
        lambda _: chain_pem(intel=STRANGER),
        (Step.PCK_CHAIN, "root-untrusted"),
    ),
    "two NULs": ("certification_data", lambda old: old + b"\0", CHAIN),
}


# Collateral and verdicts.


def documents(kind, *, tcb_info=None, identity=None, **replaced):
    """
    What quotes of a *kind* are verified with, with other documents in place
    of some; the TCB info and the identity may also be given by what changes.
    """
    is_sgx = kind == "v3"
    if not isinstance(tcb_info, bytes):
        tee = Tee.SGX if is_sgx else Tee.TDX
        tcb_info = INTEL.tcb_info(tee=tee, changes=tcb_info)
    if not isinstance(identity, bytes):
        enclave = EnclaveKind.QE if is_sgx else EnclaveKind.TD_QE
        identity = INTEL.identity(kind=enclave, changes=identity)
    chain = to_pem([INTEL.signer, INTEL.root])
    ours = Documents(
        tcb_info=tcb_info,
        tcb_info_chain=chain,
        identity=identity,
        identity_chain=chain,
        pck_crl=INTEL.pck_crl(ca=PckCa.PLATFORM),
        root_ca_crl=INTEL.root_crl(),
    )
    return dataclasses.replace(ours, **replaced)


def collateral(kind, **changes):
    """
    Verify such documents.
    """
    return _collateral(documents(kind, **changes))


@functools.cache
def _collateral(given):
    return Collateral.from_documents(given, anchors=INTEL.anchors)


def verifier(kind, memory=None, **changes):
    """
    Return a verifier that has seen nothing yet.
    """
    return QuoteVerifier(
        collateral(kind, **changes), anchors=INTEL.anchors, memory=memory
    )


def verify(kind, raw=None, now=NOW, pck_chain=b"", **changes):
    """
    Verify a quote, the good one by default, with such documents.
    """
    quote = Quote(good(kind) if raw is None else raw)
    return verifier(kind, **changes).verify(quote, now, pck_chain)


def why(verdict):
    """
    Say where a verdict's quote failed, and why; None if it is authentic.
    """
    if verdict.failure is None:
        assert verdict.is_authentic
        return None
    assert not verdict.is_authentic
    assert not verdict.is_acceptable
    assert verdict.tcb_status is None
    assert (verdict.failure,) == verdict.findings
    return verdict.failure.step, verdict.failure.reason
