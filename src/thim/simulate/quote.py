"""
Quotes that verify: SGX v3, TDX v4 and v5, as a simulated platform makes them.

Three signatures hold a quote together.  The platform's PCK signs the report
of the quoting enclave; that report's REPORTDATA is the SHA-256 of the
attestation key and the authentication data; the attestation key signs header,
body descriptor (v5) and body::

    quote = make_tdx_quote_v5(intel, platform, TdBody15(report_data=nonce))

The layouts are those of Intel's ``sgx_quote_3.h``, ``sgx_quote_4.h`` and
``sgx_quote_5.h``.  As in ``thim.simulate.pki``, equal arguments make equal
bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from thim.errors import ParameterError
from thim.simulate.pck import pck_chain, pck_key
from thim.simulate.quote_body import (
    QuotingEnclave,
    SgxBody,
    TdBody,
    TdBody15,
)
from thim.x509.chain import to_pem


if TYPE_CHECKING:
    from thim.simulate.pck import Platform
    from thim.simulate.pki import Intel

__all__ = [
    "QuotingEnclave",
    "SgxBody",
    "TdBody",
    "TdBody15",
    "attestation_key",
    "make_sgx_quote_v3",
    "make_tdx_quote_v4",
    "make_tdx_quote_v5",
]

_ECDSA_P256: Final = 2
_SGX: Final = 0x00
_TDX: Final = 0x81
_VENDOR: Final = bytes.fromhex("939A7233F79C4CA9940A0DB3957F0607")
#: Certification data types.
PCK_CHAIN: Final = 5
_QE_REPORT: Final = 6
_ECDSA: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)

_SGX_BODY: Final = SgxBody()
_TD_BODY: Final = TdBody()
_TD_BODY_15: Final = TdBody15()
_QUOTING_ENCLAVE: Final = QuotingEnclave()


def make_sgx_quote_v3(
    intel: Intel,
    platform: Platform,
    body: SgxBody = _SGX_BODY,
    *,
    quoting_enclave: QuotingEnclave = _QUOTING_ENCLAVE,
    certification_data: bytes | None = None,
    certification_type: int = PCK_CHAIN,
) -> bytes:
    """
    Make a quote of an SGX enclave.

    Args:
        intel: Who vouches for the platform.
        platform: Where the enclave runs.
        body: What the enclave is, and what it says.
        quoting_enclave: Who quotes it.
        certification_data: What stands where the PCK chain does.  By default
            it is that chain in PEM, leaf first, and behind it a NUL, as in
            most real quotes.
        certification_type: What type they are said to have: 5 is a chain, 1
            to 3 name a certificate.
    """
    if body.cpusvn is None:
        body = dataclasses.replace(body, cpusvn=platform.cpusvn)
    svns = (quoting_enclave.isvsvn, platform.pcesvn)
    signed = _header(platform, 3, _SGX, *svns) + body.to_bytes()
    quoter = _Quoter(
        intel, platform, quoting_enclave, certification_data, certification_type
    )
    return _sized(signed, quoter.sign(signed) + quoter.certify())


def make_tdx_quote_v4(
    intel: Intel,
    platform: Platform,
    body: TdBody = _TD_BODY,
    *,
    quoting_enclave: QuotingEnclave = _QUOTING_ENCLAVE,
    certification_data: bytes | None = None,
    certification_type: int = PCK_CHAIN,
) -> bytes:
    """
    Make a quote of a trust domain in version 4; the arguments are as in
    *make_sgx_quote_v3*.

    Raises:
        ParameterError: *body* is of TDX 1.5, for which version 4 has no room.
    """
    if type(body) is not TdBody:
        raise ParameterError("body", type(body).__name__, "expected TdBody")
    signed = _header(platform, 4, _TDX) + body.to_bytes()
    quoter = _Quoter(
        intel, platform, quoting_enclave, certification_data, certification_type
    )
    return _sized(signed, quoter.sign(signed) + quoter.certify_inside())


def make_tdx_quote_v5(
    intel: Intel,
    platform: Platform,
    body: TdBody = _TD_BODY_15,
    *,
    quoting_enclave: QuotingEnclave = _QUOTING_ENCLAVE,
    certification_data: bytes | None = None,
    certification_type: int = PCK_CHAIN,
) -> bytes:
    """
    Make a quote of a trust domain in version 5, with a *body* of TDX 1.0 or
    1.5; the arguments are as in *make_sgx_quote_v3*.
    """
    descriptor = struct.pack("<HI", body.kind, body.size)
    signed = _header(platform, 5, _TDX) + descriptor + body.to_bytes()
    quoter = _Quoter(
        intel, platform, quoting_enclave, certification_data, certification_type
    )
    return _sized(signed, quoter.sign(signed) + quoter.certify_inside())


def attestation_key(
    intel: Intel, platform: Platform, quoting_enclave: QuotingEnclave
) -> ec.EllipticCurvePrivateKey:
    """
    Return the key with which *quoting_enclave* signs quotes on *platform*.
    """
    # An enclave's keys are sealed to itself and to the machine.
    enclave = quoting_enclave.mrenclave.hex()
    return intel.key(f"attestation key/{platform.qe_id.hex()}/{enclave}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Quoter:
    """
    A quoting enclave on a platform.
    """

    intel: Intel
    platform: Platform
    enclave: QuotingEnclave
    certification_data: bytes | None
    certification_type: int

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """
        The attestation key.
        """
        return attestation_key(self.intel, self.platform, self.enclave)

    def sign(self, signed: bytes) -> bytes:
        """
        Return the signature over *signed*, and the key that it is by.
        """
        return _signature(self.key, signed) + _point(self.key)

    def certify(self) -> bytes:
        """
        Return what ties the attestation key to the PCK, and that to Intel.
        """
        data = self.enclave.authentication_data
        digest = hashlib.sha256(_point(self.key) + data).digest()
        report = self.enclave.report(
            cpusvn=self.platform.cpusvn, report_data=digest + bytes(32)
        ).to_bytes()
        signature = _signature(pck_key(self.intel, self.platform), report)
        authentication = struct.pack("<H", len(data)) + data
        return report + signature + authentication + self._certificates()

    def certify_inside(self) -> bytes:
        """
        Return the same as certification data of their own type.
        """
        return _certification(_QE_REPORT, self.certify())

    def _certificates(self) -> bytes:
        data = self.certification_data
        if data is None:
            data = to_pem(pck_chain(self.intel, self.platform)) + b"\0"
        return _certification(self.certification_type, data)


def _header(
    platform: Platform,
    version: int,
    tee: int,
    qe_svn: int = 0,
    pce_svn: int = 0,
) -> bytes:
    # The SVNs are reserved from version 4 on.
    return struct.pack(
        "<HHIHH16s16s4x",
        version,
        _ECDSA_P256,
        tee,
        qe_svn,
        pce_svn,
        _VENDOR,
        platform.qe_id,
    )


def _sized(signed: bytes, signature_data: bytes) -> bytes:
    return signed + struct.pack("<I", len(signature_data)) + signature_data


def _certification(kind: int, data: bytes) -> bytes:
    return struct.pack("<HI", kind, len(data)) + data


def _signature(key: ec.EllipticCurvePrivateKey, signed: bytes) -> bytes:
    r, s = utils.decode_dss_signature(key.sign(signed, _ECDSA))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    public = key.public_key().public_numbers()
    return public.x.to_bytes(32, "big") + public.y.to_bytes(32, "big")
