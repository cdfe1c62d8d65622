"""
PCK certificates: the platforms of a simulated Intel, and who vouches for them.

A PCK certificate ties a platform, its TCB and a key together.  The names, the
extensions and the SGX extension are those of Intel's "SGX PCK Certificate and
CRL Profile Specification"::

    platform = Platform(fmspc=bytes.fromhex("00906ED50000"))
    leaf = issue_pck_certificate(intel, platform)
    pem = to_pem(pck_chain(intel, platform))

As in ``thim.simulate.pki``, equal arguments make equal bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from thim.intel.authorities import Authority
from thim.intel.names import PckCa
from thim.intel.pck import SGX_EXTENSION, SUBJECT, SgxType
from thim.simulate.bounds import check_number, check_size
from thim.simulate.pki import SIGNER_UNTIL, SINCE, subject_name


if TYPE_CHECKING:
    import datetime

    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric import ec

    from thim.simulate.pki import Intel

_FMSPC: Final = bytes.fromhex("00606A000000")
_QE_ID: Final = bytes.fromhex("5EED0000000000000000000000000001")
_POINT: Final = (
    "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl"
    "?ca={}&encoding=der"
)


#: What a platform is unless it says otherwise, and who issues for it.
_TYPES: Final = {
    PckCa.PROCESSOR: SgxType.STANDARD,
    PckCa.PLATFORM: SgxType.SCALABLE,
}
ISSUERS: Final = {
    PckCa.PROCESSOR: Authority.PCK_PROCESSOR,
    PckCa.PLATFORM: Authority.PCK_PLATFORM,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """
    A machine at one TCB.

    By default it is up to date in the TCB infos that *Intel* issues by
    default.

    Attributes:
        fmspc: Its family, 6 bytes.
        pce_id: 2 bytes.
        qe_id: 16 bytes; they stand in the header of its quotes.
        ppid: 16 bytes, made from *qe_id* unless given.
        ca: Which authority issues for it.
        cpusvn: 16 bytes.
        components: The SVNs of the 16 SGX components, one byte each; the
            bytes of *cpusvn* unless given.
        pcesvn: 0 to 65535.
        sgx_type: Unless given, what the *ca* has for the most part.
        platform_instance_id: 16 bytes, made from *qe_id* unless given.  Like
            the flags, it is in certificates of the platform CA only.
        dynamic_platform: Whether packages can be added.
        cached_keys: Whether Intel keeps the platform's root keys.
        smt_enabled: Whether a core runs two threads.

    Raises:
        ParameterError: A value has another length or is out of range.
    """

    fmspc: bytes = _FMSPC
    pce_id: bytes = b"\0\0"
    qe_id: bytes = _QE_ID
    ppid: bytes = b""
    ca: PckCa = PckCa.PLATFORM
    cpusvn: bytes = b"\4" * 16
    components: bytes = b""
    pcesvn: int = 11
    sgx_type: SgxType | None = None
    platform_instance_id: bytes = b""
    dynamic_platform: bool = True
    cached_keys: bool = True
    smt_enabled: bool = True

    def __post_init__(self) -> None:
        self._provide("ppid", derive_id("ppid", self.qe_id))
        self._provide("components", self.cpusvn)
        self._provide("platform_instance_id", derive_id("instance", self.qe_id))
        for name, size in _SIZES.items():
            check_size(name, getattr(self, name), size)
        check_number("pcesvn", self.pcesvn, 2)

    def _provide(self, name: str, value: bytes) -> None:
        if not getattr(self, name):
            object.__setattr__(self, name, value)


_SIZES: Final = {
    "fmspc": 6,
    "pce_id": 2,
    "qe_id": 16,
    "ppid": 16,
    "cpusvn": 16,
    "components": 16,
    "platform_instance_id": 16,
}


def derive_id(what: str, qe_id: bytes) -> bytes:
    """
    Return the ``ppid`` or ``instance`` that a machine has by default.
    """
    return hashlib.sha256(f"{what}/".encode() + qe_id).digest()[:16]


def pck_key(intel: Intel, platform: Platform) -> ec.EllipticCurvePrivateKey:
    """
    Return the provisioning certification key of *platform* at its TCB.
    """
    return intel.key(_name(platform))


def _name(platform: Platform) -> str:
    # The PCE makes another key for each TCB.
    parts = (platform.ppid, platform.pce_id, platform.cpusvn)
    spelled = "/".join(part.hex() for part in parts)
    return f"{SUBJECT}/{spelled}/{platform.pcesvn}"


def pck_chain(
    intel: Intel,
    platform: Platform,
    leaf: x509.Certificate | None = None,
) -> tuple[x509.Certificate, x509.Certificate, x509.Certificate]:
    """
    Return the chain of *platform*: leaf, intermediate, root.

    *leaf* is the certificate that is issued by default unless it is given.
    """
    issuers = {
        PckCa.PROCESSOR: intel.processor_ca,
        PckCa.PLATFORM: intel.platform_ca,
    }
    leaf = leaf or issue_pck_certificate(intel, platform)
    return leaf, issuers[platform.ca], intel.root


def issue_pck_certificate(
    intel: Intel,
    platform: Platform,
    *,
    since: datetime.datetime = SINCE,
    until: datetime.datetime = SIGNER_UNTIL,
    serial: int | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    signer: ec.EllipticCurvePrivateKey | None = None,
) -> x509.Certificate:
    """
    Issue the PCK certificate of *platform* at its TCB.

    Args:
        intel: Who issues it.
        platform: Who it is for, and by which CA.
        since: The first instant of its validity.
        until: The last one; by default both are the CA's, that a moved clock
            finds it valid (Intel gives seven years).
        serial: Its serial number; one of its own by default.
        key: The key it is for, unless the platform's at its TCB.
        signer: The key that signs, unless the CA's.
    """
    if serial is None:
        serial = pck_serial(intel, platform, since)
    public = (key or pck_key(intel, platform)).public_key()
    issuer = ISSUERS[platform.ca]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name(SUBJECT))
        .issuer_name(subject_name(issuer.value))
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(since)
        .not_valid_after(until)
    )
    signer = signer or intel.key(issuer)
    for extension, critical in [
        *_extensions(public, signer.public_key(), platform.ca),
        (_sgx_extension(platform), False),
    ]:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)


def pck_serial(
    intel: Intel, platform: Platform, since: datetime.datetime = SINCE
) -> int:
    """
    Return the serial number of the certificate of *platform* that is issued
    by default.
    """
    # One issued anew has a number of its own, and so has one of a platform
    # whose keys were not kept then.
    kind = f"{platform.ca.value}/{since.timestamp()}"
    if not platform.cached_keys:
        kind += "/keys not cached"
    text = f"{intel.seed}/serial/{_name(platform)}/{kind}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:19])


def _extensions(
    public: ec.EllipticCurvePublicKey,
    issuer: ec.EllipticCurvePublicKey,
    ca: PckCa,
) -> list[tuple[x509.ExtensionType, bool]]:
    uri = x509.UniformResourceIdentifier(_POINT.format(ca.value))
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer)
    return [
        (identifier, False),
        (
            x509.CRLDistributionPoints(
                [x509.DistributionPoint([uri], None, None, None)]
            ),
            False,
        ),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (_USAGE, True),
        (x509.BasicConstraints(ca=False, path_length=None), True),
    ]


_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=True,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


# The SGX extension is a SEQUENCE of (OID, value) pairs.  cryptography's own
# ASN.1 writer knows no ENUMERATED and no SEQUENCE of differing values.

_BOOLEAN: Final = 0x01
_INTEGER: Final = 0x02
_OCTET_STRING: Final = 0x04
_OID: Final = 0x06
_ENUMERATED: Final = 0x0A
_SEQUENCE: Final = 0x30
#: The content octets of 1.2.840.113741.1.13.1.
_BASE: Final = bytes.fromhex("2A864886F84D010D01")


def _sgx_extension(platform: Platform) -> x509.UnrecognizedExtension:
    sgx_type = platform.sgx_type or _TYPES[platform.ca]
    pairs = [
        _pair([1], _octets(platform.ppid)),
        _pair([2], _tcb(platform)),
        _pair([3], _octets(platform.pce_id)),
        _pair([4], _octets(platform.fmspc)),
        _pair([5], _der(_ENUMERATED, bytes([sgx_type.value]))),
    ]
    if platform.ca is PckCa.PLATFORM:
        pairs += [
            _pair([6], _octets(platform.platform_instance_id)),
            _pair([7], _configuration(platform)),
        ]
    return x509.UnrecognizedExtension(SGX_EXTENSION, _sequence(pairs))


def _tcb(platform: Platform) -> bytes:
    numbers = [*platform.components, platform.pcesvn]
    return _sequence(
        [
            *(_pair([2, i], _integer(n)) for i, n in enumerate(numbers, 1)),
            _pair([2, 18], _octets(platform.cpusvn)),
        ]
    )


def _configuration(platform: Platform) -> bytes:
    flags = (
        platform.dynamic_platform,
        platform.cached_keys,
        platform.smt_enabled,
    )
    return _sequence(
        _pair([7, i], _der(_BOOLEAN, b"\xff" if flag else b"\0"))
        for i, flag in enumerate(flags, 1)
    )


def _pair(arcs: list[int], value: bytes) -> bytes:
    # Arcs below 128 are one octet each.
    return _sequence([_der(_OID, _BASE + bytes(arcs)), value])


def _sequence(parts: Iterable[bytes]) -> bytes:
    return _der(_SEQUENCE, b"".join(parts))


def _octets(value: bytes) -> bytes:
    return _der(_OCTET_STRING, value)


def _integer(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
