"""
What collateral is for: a model of platform, and who vouches for it.
"""

from __future__ import annotations

import dataclasses

from typing import Final

from thim.client.errors import BadQuoteError
from thim.client.quote import read_pck_chain
from thim.errors import MalformedError
from thim.intel.names import PckCa, Tee
from thim.intel.pck import SUBJECT, PckCertificate
from thim.x509.chain import common_name, parse_pem_chain


_FMSPC_SIZE: Final = 6
_CHAIN: Final = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformModel:
    """
    A TEE on platforms of one *fmspc* (6 bytes) whose PCK certificates come
    from one *ca*: all that collateral for verification depends on.
    """

    tee: Tee
    fmspc: bytes
    ca: PckCa

    def __post_init__(self) -> None:
        if len(self.fmspc) != _FMSPC_SIZE:
            msg = f"fmspc has {len(self.fmspc)} bytes, expected 6"
            raise MalformedError(msg, reason="fmspc")

    @classmethod
    def from_quote(cls, quote: bytes) -> PlatformModel:
        """
        Read it from the PCK certificate in *quote*, of which nothing is
        verified.

        Raises:
            BadQuoteError: Not a quote, or one without that certificate.
        """
        quoted = read_pck_chain(quote)
        return cls.from_pck_chain(quoted.pem, tee=quoted.tee)

    @classmethod
    def from_pck_chain(cls, pem: bytes, *, tee: Tee) -> PlatformModel:
        """
        Read it from a PCK certificate and its two issuers, in any order.

        Raises:
            BadQuoteError: Not such a chain.
        """
        try:
            chain = parse_pem_chain(pem)
            leaves = [c for c in chain if common_name(c.subject) == SUBJECT]
            if len(chain) != _CHAIN or len(leaves) != 1:
                msg = f"{len(chain)} certificates, {len(leaves)} of a PCK"
                raise BadQuoteError(msg, reason="pck-chain")
            leaf = PckCertificate.from_certificate(leaves[0])
        except MalformedError as e:
            msg = f"PCK certificate chain: {e}"
            raise BadQuoteError(msg, reason="pck-chain") from e
        return cls(tee=tee, fmspc=leaf.fmspc, ca=leaf.ca)

    def __str__(self) -> str:
        fmspc = self.fmspc.hex().upper()
        return f"{self.tee.name}, FMSPC {fmspc}, {self.ca.value} CA"
