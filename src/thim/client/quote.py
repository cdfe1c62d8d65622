"""
Where in a quote the PCK certificate chain is.

Versions 3, 4 and 5 (Intel's ``sgx_quote_3.h``, ``sgx_quote_4.h`` and
``sgx_quote_5.h``).  This reads no more than a client needs to know what to ask
for; it is no verifier, and gives way to one that reads all of a quote.

Every length is checked against what is there, and nothing may follow.
"""

from __future__ import annotations

import dataclasses

from typing import Final, NoReturn

from thim.client.errors import BadQuoteError
from thim.intel.names import Tee


_ECDSA_P256: Final = 2
_TEES: Final = {0x00: Tee.SGX, 0x81: Tee.TDX}
_HEADER_REST: Final = 40
_SGX_BODY: Final = 384
_TD_BODY: Final = 584
#: Version 5: type of the body, and its size.
_BODIES: Final = {
    1: (Tee.SGX, _SGX_BODY),
    2: (Tee.TDX, _TD_BODY),
    3: (Tee.TDX, 648),
    4: (Tee.TDX, 885),
}
_SIGNATURE_AND_KEY: Final = 128
_QE_REPORT_AND_SIGNATURE: Final = 448
_PCK_CHAIN: Final = 5
_QE_CERTIFICATION: Final = 6
_KINDS: Final = {
    1: "a PPID in clear",
    2: "an encrypted PPID (RSA-2048)",
    3: "an encrypted PPID (RSA-3072)",
    4: "a PCK certificate without its chain",
    6: "QE report certification data",
    7: "a platform manifest",
}
_V3, _V4, _V5 = 3, 4, 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuotedChain:
    """
    The PCK certificate chain in a quote, as PEM, read and not verified.
    """

    version: int
    tee: Tee
    pem: bytes


def read_pck_chain(quote: bytes) -> QuotedChain:
    """
    Find the PCK certificate chain in *quote*.

    Raises:
        BadQuoteError: Not a quote of ECDSA P-256, or with the reason
            ``certification-type`` one that carries no chain.
    """
    reader = _Reader(bytes(quote))
    version, tee = _read_header(reader)
    reader.take(_read_body_size(reader, version, tee), "the body")
    signed = reader.sized("the signature data")
    reader.end("the quote")
    signed.take(_SIGNATURE_AND_KEY, "signature and key")
    if version != _V3:
        signed = _read_outer(signed)
    return QuotedChain(version=version, tee=tee, pem=_read_chain(signed))


def _read_header(reader: _Reader) -> tuple[int, Tee]:
    version = reader.number(2, "the version")
    if version not in {_V3, _V4, _V5}:
        _refuse(f"quote version is {version}, expected 3, 4 or 5", "version")
    kind = reader.number(2, "the key type")
    if kind != _ECDSA_P256:
        _refuse(f"attestation key type is {kind}, expected 2", "key-type")
    tee = _TEES.get(reader.number(4, "the TEE type"))
    if tee is None or (version == _V3 and tee is not Tee.SGX):
        _refuse("TEE type is not one of this version", "tee")
    reader.take(_HEADER_REST, "the header")
    return version, tee


def _read_body_size(reader: _Reader, version: int, tee: Tee) -> int:
    if version != _V5:
        return _SGX_BODY if tee is Tee.SGX else _TD_BODY
    kind = reader.number(2, "the body's type")
    size = reader.number(4, "the body's size")
    if _BODIES.get(kind) != (tee, size):
        _refuse(f"body of type {kind} with {size} bytes in {tee.name}", "body")
    return size


def _read_outer(signed: _Reader) -> _Reader:
    kind = signed.number(2, "the certification data")
    if kind != _QE_CERTIFICATION:
        _refuse(f"outer certification data have type {kind}, not 6", "outer")
    inner = signed.sized("the certification data")
    signed.end("the certification data")
    return inner


def _read_chain(signed: _Reader) -> bytes:
    signed.take(_QE_REPORT_AND_SIGNATURE, "the QE report")
    signed.take(
        signed.number(2, "the authentication data"), "the authentication data"
    )
    kind = signed.number(2, "the certification data")
    data = signed.sized("the certification data")
    signed.end("the certification data")
    if kind != _PCK_CHAIN:
        what = _KINDS.get(kind, "what is not known")
        _refuse(
            f"the quote carries {what} (certification data type {kind}) and "
            "no PCK certificate chain: give a PlatformModel instead",
            "certification-type",
        )
    # Most quotes have one NUL behind the last line.
    return data.rest().removesuffix(b"\0")


class _Reader:
    """Bytes that are taken from the front, little-endian."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, size: int, what: str) -> bytes:
        """
        Take *size* bytes.
        """
        left = len(self._raw) - self._at
        if size > left:
            _refuse(f"{what}: {size} bytes expected, {left} left", "cut-off")
        self._at += size
        return self._raw[self._at - size : self._at]

    def number(self, size: int, what: str) -> int:
        """
        Take an unsigned number of *size* bytes.
        """
        return int.from_bytes(self.take(size, what), "little")

    def sized(self, what: str) -> _Reader:
        """
        Take what follows its own length of four bytes.
        """
        return _Reader(self.take(self.number(4, what), what))

    def rest(self) -> bytes:
        """
        Take all that is left.
        """
        return self.take(len(self._raw) - self._at, "the rest")

    def end(self, what: str) -> None:
        """
        Refuse anything behind *what*.
        """
        if more := len(self._raw) - self._at:
            _refuse(f"{more} bytes behind {what}", "trailing")


def _refuse(message: str, reason: str) -> NoReturn:
    raise BadQuoteError(message, reason=reason)
