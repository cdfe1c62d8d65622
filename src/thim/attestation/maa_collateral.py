"""
The digests of collateral in tokens, as Azure Attestation makes them.

Azure's verifier takes its documents as C strings, and so a NUL belongs to each
of them.  What it hashes as "CRL" nobody has shown; both its values are equal,
so it is one that both signed documents have in common.  Here it is the list of
the root CA, which is the one that speaks of their signer.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.intel.authorities import Authority, authority_of
from thim.x509.chain import parse_pem_chain, to_pem


if TYPE_CHECKING:
    from thim.intel.quote_collateral import Documents


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CollateralHashes:
    """
    The digests of one set of documents, in hexadecimal digits; they can be
    kept for as long as the documents are used.

    Attributes:
        tcb_info: Of the TCB info.
        tcb_info_certs: Of its issuer chain.
        identity: Of the QE's identity.
        identity_certs: Of its issuer chain.
        crl: Of the root CA's revocation list.
    """

    tcb_info: str
    tcb_info_certs: str
    identity: str
    identity_certs: str
    crl: str

    def with_quote(self, sent: bytes) -> dict[str, str]:
        """
        Return the claim about collateral for a quote, of which *sent* are the
        very bytes, header and all.
        """
        return {
            "qeidcertshash": self.identity_certs,
            "qeidcrlhash": self.crl,
            "qeidhash": self.identity,
            "quotehash": hashlib.sha256(sent).hexdigest(),
            "tcbinfocertshash": self.tcb_info_certs,
            "tcbinfocrlhash": self.crl,
            "tcbinfohash": self.tcb_info,
        }


def hash_documents(documents: Documents) -> CollateralHashes:
    """
    Hash *documents*, which were verified before.
    """
    return CollateralHashes(
        tcb_info=_hash(documents.tcb_info),
        tcb_info_certs=_hash(_normalise_chain(documents.tcb_info_chain)),
        identity=_hash(documents.identity),
        identity_certs=_hash(_normalise_chain(documents.identity_chain)),
        crl=_hash(_write_crl(documents.root_ca_crl)),
    )


def _hash(text: bytes) -> str:
    return hashlib.sha256(text + b"\0").hexdigest()


def _normalise_chain(pem: bytes) -> bytes:
    """Write signer and root in this order, in lines of 64 ending in LF."""
    chain = parse_pem_chain(pem)
    return to_pem(
        sorted(chain, key=lambda each: authority_of(each) is Authority.ROOT)
    )


def _write_crl(der: bytes) -> bytes:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
