"""
The PCK chain of a quote: which platform made it, and whether Intel says so.

Steps 2 to 4 of ``thim.intel.steps``.  Quotes hold the chain in PEM, some with
one NUL behind it.  Its order means nothing, as for QVL: the certificates are
told apart by their names.
"""

from __future__ import annotations

import dataclasses
import re

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError, UntrustedError
from thim.intel.authorities import Authority, authority_of, check_extensions
from thim.intel.pck import PckCertificate
from thim.intel.steps import Step, at, fail
from thim.x509.chain import (
    common_name,
    parse_pem_chain,
    verify_chain,
    verify_unrevoked,
)
from thim.x509.ecdsa import p256_key


if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePublicKey,
    )
    from cryptography.x509 import Certificate

    from thim.x509.chain import TrustAnchors
    from thim.x509.crl import Crl

_CERTIFICATES: Final = 3
_PEM: Final = re.compile(
    rb"(?:-----BEGIN CERTIFICATE-----\r?\n(?:[A-Za-z0-9+/=]{1,76}\r?\n)+"
    rb"-----END CERTIFICATE-----(?:\r?\n)?){1,8}\0?"
)
_CAS: Final = (Authority.PCK_PROCESSOR, Authority.PCK_PLATFORM)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckChain:
    """
    A PCK certificate that Intel vouches for.

    Attributes:
        pck: What the certificate says.
        key: The PCK.
        authorities: The CA and the root.
        not_before: The first instant at which the whole chain is valid.
        not_after: The last one.
    """

    pck: PckCertificate
    key: EllipticCurvePublicKey
    authorities: tuple[Certificate, Certificate]
    not_before: datetime
    not_after: datetime

    def holds(self, now: datetime) -> bool:
        """
        Tell whether all certificates are valid at *now*.
        """
        return self.not_before <= now <= self.not_after


def verify_pck_chain(
    pem: bytes,
    *,
    pck_crl: Crl,
    root_ca_crl: Crl,
    anchors: TrustAnchors,
    now: datetime,
) -> PckChain:
    """
    Verify the chain *pem*: PCK certificate, CA and root, in any order.

    Raises:
        StepError: It does not hold (steps 2 to 4).
    """
    chain = verify_signed_chain(pem, anchors=anchors, now=now)
    ca, root = chain.authorities
    with at(Step.CRLS):
        root_ca_crl.verify(root)
        pck_crl.verify(ca)
    with at(Step.REVOCATION):
        verify_unrevoked(chain.authorities, root_ca_crl)
    if chain.pck.serial_number in pck_crl.revoked:
        raise fail(
            Step.REVOCATION,
            "pck-revoked",
            f"the PCK certificate is revoked by the PCK CRL of "
            f"{pck_crl.this_update:%FT%TZ}",
            "PCK certificate",
            f"serial number {chain.pck.serial_number:x}",
        )
    return chain


def verify_signed_chain(
    pem: bytes, *, anchors: TrustAnchors, now: datetime
) -> PckChain:
    """
    Take step 2 alone: whether anything in the chain is revoked is not asked.

    Raises:
        StepError: It does not hold.
    """
    with at(Step.PCK_CHAIN):
        chain = _read(pem)
        pck = PckCertificate.from_certificate(chain[0])
        for certificate in chain:
            check_extensions(certificate)
        verify_chain(chain, anchors=anchors, at=now, root_crl=None)
        key = p256_key(chain[0])
    return PckChain(
        pck=pck,
        key=key,
        authorities=chain[1:],
        not_before=max(each.not_valid_before_utc for each in chain),
        not_after=min(each.not_valid_after_utc for each in chain),
    )


def read_pck(pem: bytes) -> PckCertificate:
    """
    Read whose chain *pem* claims to be; nothing is verified.

    Raises:
        StepError: It cannot be read (step 2).
    """
    with at(Step.PCK_CHAIN):
        return PckCertificate.from_certificate(_read(pem)[0])


def _read(pem: bytes) -> tuple[Certificate, Certificate, Certificate]:
    if not _PEM.fullmatch(pem):
        msg = "the PCK chain is not PEM certificates alone (and one NUL)"
        raise MalformedError(msg, reason="pck-chain")
    found = parse_pem_chain(pem.removesuffix(b"\0"))
    if len(found) != _CERTIFICATES:
        msg = f"the PCK chain has {len(found)} certificates, expected 3"
        raise MalformedError(msg, reason="pck-chain")
    roots = [c for c in found if authority_of(c) is Authority.ROOT]
    cas = [c for c in found if authority_of(c) in _CAS]
    leaves = [c for c in found if c not in roots and c not in cas]
    if not len(roots) == len(cas) == len(leaves) == 1:
        names = sorted(common_name(c.subject) for c in found)
        msg = (
            f"the PCK chain is made of {names}, expected a PCK certificate, "
            f"its CA and the root"
        )
        raise UntrustedError(msg, reason="pck-chain")
    return leaves[0], cas[0], roots[0]
