"""
Certificates and UVM endorsements of our own, each part of which may be wrong.
"""

import base64
import datetime
import functools
import hashlib
import json
import math

from typing import Any

import cbor2

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


SINCE = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
UNTIL = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
SIGNED = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
NOW = datetime.datetime(2028, 1, 1, tzinfo=datetime.UTC)
EKU = x509.ObjectIdentifier("1.3.6.1.4.1.311.76.59.1.2")
MEASUREMENT = bytes(range(48))
CA = x509.BasicConstraints(ca=True, path_length=None)
NO_CA = x509.BasicConstraints(ca=False, path_length=None)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_ECDSA = {
    -7: hashes.SHA256(),
    -35: hashes.SHA384(),
    -36: hashes.SHA512(),
}
_PSS = {-37: hashes.SHA256(), -38: hashes.SHA384(), -39: hashes.SHA512()}


def usage(*names):
    """
    Make a key usage.
    """
    return x509.KeyUsage(**{each: each in names for each in _USAGES})


@functools.cache
def ec_key(name, curve=ec.SECP384R1):
    """
    The key of whoever is called *name*.
    """
    return ec.generate_private_key(curve())


@functools.cache
def rsa_key(bits=2048):
    """
    An RSA key.
    """
    return rsa.generate_private_key(65537, bits)


@functools.cache
def slow_key():
    """
    An RSA key whose public exponent is as long as it may be.
    """
    usual = rsa_key().private_numbers()
    p, q = usual.p, usual.q
    phi = (p - 1) * (q - 1)
    e = next(e for e in range(phi - 3, 0, -2) if math.gcd(e, phi) == 1)
    d = pow(e, -1, phi)
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(e, p * q),
    ).private_key()


def name_of(common_name, **more):
    """
    Make a name.
    """
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    for oid, value in more.items():
        attributes.append(x509.NameAttribute(getattr(NameOID, oid), value))
    return x509.Name(attributes)


def certify(
    subject,
    issuer,
    *,
    key=None,
    signer=None,
    extensions=(),
    critical=(),
    since=SINCE,
    until=UNTIL,
    digest=None,
):
    """
    Issue a certificate; keys go by the common names unless given.
    """
    whose = subject if isinstance(subject, x509.Name) else name_of(subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(name_of(issuer))
        .public_key((key or ec_key(subject)).public_key())
        .serial_number(7)
        .not_valid_before(since)
        .not_valid_after(until)
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    for each in critical:
        builder = builder.add_extension(each, critical=True)
    return builder.sign(signer or ec_key(issuer), digest or hashes.SHA384())


def a_leaf(**changes):
    """
    Certify a signer of endorsements, but for *changes*.
    """
    values = {
        "subject": name_of("Signer", ORGANIZATION_NAME="Ours & Co."),
        "issuer": "Middle",
        "key": ec_key("Signer"),
        "extensions": [x509.ExtendedKeyUsage([EKU])],
        "critical": [usage("digital_signature"), NO_CA],
    }
    return certify(**values | changes)


def a_middle(**changes):
    """
    Certify an intermediate, but for *changes*.
    """
    values = {
        "subject": "Middle",
        "issuer": "Root",
        "critical": [usage("key_cert_sign"), CA],
    }
    return certify(**values | changes)


def a_root(**changes):
    """
    Certify a root, but for *changes*.
    """
    values = {
        "subject": "Root",
        "issuer": "Root",
        "critical": [usage("key_cert_sign"), CA],
    }
    return certify(**values | changes)


@functools.cache
def a_chain():
    """
    A chain that holds.
    """
    return a_leaf(), a_middle(), a_root()


def fingerprint(certificate, digest="sha256"):
    """
    Write the digest of a certificate as a did:x509 does.
    """
    der = certificate.public_bytes(Encoding.DER)
    found = hashlib.new(digest, der).digest()
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()


def did_of(certificate, rest="::subject:CN:Signer", digest="sha256"):
    """
    Write a did:x509 with *certificate* as its authority.
    """
    return f"did:x509:0:{digest}:{fingerprint(certificate, digest)}{rest}"


def sign(protected, payload, key, algorithm=-35):
    """
    Sign as RFC 9052 says.
    """
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    if isinstance(key, rsa.RSAPrivateKey):
        digest = _PSS[algorithm]
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return key.sign(signed, pss, digest)
    size = (key.key_size + 7) // 8
    der = key.sign(signed, ec.ECDSA(_ECDSA[algorithm]))
    numbers = utils.decode_dss_signature(der)
    return b"".join(n.to_bytes(size, "big") for n in numbers)


def a_header(chain=None, **changes):
    """
    Make a protected header, but for *changes*: of numbers by ``_1``; None
    leaves one out.
    """
    chain = chain or a_chain()
    values: dict[str, Any] = {
        "_1": -35,
        "_3": "application/json",
        "_33": [each.public_bytes(Encoding.DER) for each in chain],
        "iss": did_of(chain[-1]),
        "feed": "a feed",
        "signingtime": cbor2.CBORTag(1, int(SIGNED.timestamp())),
        **changes,
    }
    return {
        int(label[1:]) if label.startswith("_") else label: value
        for label, value in values.items()
        if value is not None
    }


def a_payload(**changes):
    """
    Write what is said of a measurement, but for *changes*.
    """
    names = {"measurement": "launchmeasurement", "svn": "guestsvn"}
    values = {"measurement": MEASUREMENT.hex(), "svn": "7", **changes}
    return json.dumps(
        {
            f"x-ms-sevsnpvm-{names.get(name, name)}": value
            for name, value in values.items()
            if value is not None
        }
    ).encode()


def a_message(
    payload=None,
    *,
    header=None,
    key=None,
    algorithm=-35,
    unprotected=None,
    tag=18,
    **changes,
):
    """
    Write a signed message; *changes* are those of the header.
    """
    header = a_header(**changes) if header is None else header
    protected = header if isinstance(header, bytes) else cbor2.dumps(header)
    payload = a_payload() if payload is None else payload
    signature = sign(protected, payload, key or ec_key("Signer"), algorithm)
    parts = [protected, unprotected or {}, payload, signature]
    return cbor2.dumps(cbor2.CBORTag(tag, parts))
