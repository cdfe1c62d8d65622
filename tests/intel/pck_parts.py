"""
PCK certificates put together by hand, so that any part can be wrong.

The DER is written here once more and not by ``thim.simulate``: the parser
shall not share a mistake with it.
"""

import functools
import hashlib

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.x509.der import children, sequence
from thim.errors import MalformedError
from thim.intel.pck import PckCertificate
from thim.simulate.pki import ISSUED, SIGNER_UNTIL, subject_name


OID = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
BASE = bytes.fromhex("2A864886F84D010D01")
SUBJECT = "Intel SGX PCK Certificate"
PROCESSOR = "Intel SGX PCK Processor CA"
PLATFORM = "Intel SGX PCK Platform CA"

PPID = bytes.fromhex("C0FFEE00112233445566778899AABBCC")
INSTANCE = bytes.fromhex("BADC0DE0112233445566778899AABBCC")
FMSPC = bytes.fromhex("00806F050000")
PCE_ID = bytes.fromhex("0A0B")
#: From 128 on, an INTEGER needs a zero in front.
CPUSVN = bytes([4, 3, 0, 127, 128, 255, *range(20, 30)])
PCESVN = 0x89AB


def tlv(tag, content):
    """
    Write one value of less than 65536 octets.
    """
    size = len(content)
    if size < 0x80:
        length = bytes([size])
    elif size < 0x100:
        length = bytes([0x81, size])
    else:
        length = bytes([0x82]) + size.to_bytes(2)
    return bytes([tag]) + length + content


def octets(value):
    """
    Write an OCTET STRING.
    """
    return tlv(4, value)


def integer(value, tag=2):
    """
    Write an INTEGER, or an ENUMERATED.
    """
    size = value.bit_length() // 8 + 1
    return tlv(tag, value.to_bytes(size, signed=True))


def boolean(value):
    """
    Write a BOOLEAN.
    """
    return tlv(1, b"\xff" if value else b"\0")


def pair(arcs, value):
    """
    Write a pair, its OID below that of the extension.
    """
    return tlv(0x30, tlv(6, BASE + bytes(arcs)) + value)


class Parts:
    """
    The pairs of an SGX extension, in DER, to be changed at will.

    The pair with the last arc *n* is at *n* - 1.
    """

    def __init__(self, ca=PLATFORM):
        self.ca = ca
        self.tcb = [pair([2, i], integer(n)) for i, n in enumerate(CPUSVN, 1)]
        self.tcb += [
            pair([2, 17], integer(PCESVN)),
            pair([2, 18], octets(CPUSVN)),
        ]
        self.configuration = [
            pair([7, 1], boolean(True)),
            pair([7, 2], boolean(False)),
            pair([7, 3], boolean(True)),
        ]
        self.top = [
            pair([1], octets(PPID)),
            b"",
            pair([3], octets(PCE_ID)),
            pair([4], octets(FMSPC)),
            pair([5], integer(2, tag=10)),
        ]
        if ca == PLATFORM:
            self.top += [pair([6], octets(INSTANCE)), b""]

    def to_der(self):
        """
        Join the pairs; where one is empty, the sequence below is put.
        """
        whole = list(self.top)
        if b"" in whole:
            whole[whole.index(b"")] = pair([2], tlv(0x30, b"".join(self.tcb)))
        if b"" in whole:
            content = b"".join(self.configuration)
            whole[whole.index(b"")] = pair([7], tlv(0x30, content))
        return tlv(0x30, b"".join(whole))


@functools.cache
def _key():
    secret = hashlib.sha256(b"pck parts").digest()
    return ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())


def certificate(extension, *, subject=SUBJECT, issuer=PLATFORM):
    """
    Issue a certificate with *extension* as its SGX extension, unless None.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name(subject))
        .issuer_name(subject_name(issuer))
        .public_key(_key().public_key())
        .serial_number(0x5E71A1)
        .not_valid_before(ISSUED)
        .not_valid_after(SIGNER_UNTIL)
    )
    if extension is not None:
        unknown = x509.UnrecognizedExtension(OID, extension)
        builder = builder.add_extension(unknown, critical=False)
    return builder.sign(_key(), hashes.SHA256())


def with_extension_twice(issued):
    """
    Repeat the one extension of *issued*; no builder would.
    """
    tbs, *signature = children(issued.public_bytes(Encoding.DER))
    *fields, wrapped = children(tbs)
    (extensions,) = children(wrapped)
    doubled = sequence(sequence(*children(extensions) * 2))
    der = sequence(
        sequence(*fields, b"\xa3" + doubled[1:]),
        *signature,
    )
    return x509.load_der_x509_certificate(der)


def as_version_1(issued):
    """
    Take away what X.509 v1 does not have: the version, and extensions.
    """
    tbs, *signature = children(issued.public_bytes(Encoding.DER))
    _, *fields, _ = children(tbs)
    return x509.load_der_x509_certificate(
        sequence(sequence(*fields), *signature)
    )


def read(parts):
    """
    Read a certificate with *parts* as its SGX extension.
    """
    return PckCertificate.from_certificate(
        certificate(parts.to_der(), issuer=parts.ca)
    )


def refused(parts, match):
    """
    Check that *parts* are refused, with a message that fits *match*.
    """
    with pytest.raises(MalformedError, match=match) as e:
        read(parts)
    assert "extension" == e.value.reason
