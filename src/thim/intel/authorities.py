"""
Intel's certification authorities: the pinned root key, and the chains below.

The hierarchy is that of Intel's "SGX PCK Certificate and CRL Profile
Specification": the SGX Root CA issues the TCB Signing certificate and two PCK
CAs.  An authority is recognised by its exact common name; the name proves
nothing, the chain to the pinned key does.
"""

from __future__ import annotations

import enum

from typing import TYPE_CHECKING, Final

from cryptography import x509

from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import (
    EXTENSION_ERRORS,
    TrustAnchors,
    common_name,
    verify_chain,
)


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from thim.x509.crl import Crl

#: The Intel SGX Root CA's key.  Intel publishes the certificate as
#: ``Intel_SGX_Provisioning_Certification_RootCA.cer``.
INTEL_SGX_ROOT: Final = TrustAnchors(
    spki_sha256=frozenset(
        {
            bytes.fromhex(
                "a0af031289f5d5d4132f9186068a7fc1"
                "3628633ba235777472e29b6b6c67a49e"
            )
        }
    )
)


class Authority(enum.Enum):
    """An Intel CA or signer, by its exact common name."""

    ROOT = "Intel SGX Root CA"
    TCB_SIGNING = "Intel SGX TCB Signing"
    PCK_PROCESSOR = "Intel SGX PCK Processor CA"
    PCK_PLATFORM = "Intel SGX PCK Platform CA"


_REQUIRED_EXTENSIONS: Final = (
    x509.AuthorityKeyIdentifier,
    x509.CRLDistributionPoints,
    x509.SubjectKeyIdentifier,
    x509.KeyUsage,
    x509.BasicConstraints,
)


def authority_of(certificate: x509.Certificate) -> Authority | None:
    """
    Return which authority *certificate* names itself, or None.
    """
    try:
        return Authority(common_name(certificate.subject))
    except ValueError:
        return None


def verify_authority(
    chain: Sequence[x509.Certificate],
    *,
    expected: Iterable[Authority],
    anchors: TrustAnchors,
    at: datetime,
    root_crl: Crl | None,
) -> None:
    """
    Verify that *chain* is one of the *expected* authorities' at *at*.

    1. The chain is the authority's certificate and the root (QVL B2), or the
       root alone where the root is expected.
    2. Each certificate carries the five extensions that Intel's profile
       demands (QVL ``REQUIRED_X509_EXTENSIONS``).
    3. The chain holds (``thim.x509.chain.verify_chain``; QVL A2 to A7, B2 to
       B4, B6).

    Raises:
        MalformedError: An extension is missing.
        UntrustedError: The chain is not such an authority's.
    """
    names = [authority_of(certificate) for certificate in chain]
    wanted = set(expected)
    if not any(names == _chain_of(authority) for authority in wanted):
        msg = (
            f"issuer chain is {_spell(chain)}, expected "
            f"{' or '.join(sorted(a.value for a in wanted))} and its root"
        )
        raise UntrustedError(msg, reason="wrong-issuer-chain")
    for certificate in chain:
        check_extensions(certificate)
    verify_chain(chain, anchors=anchors, at=at, root_crl=root_crl)


def _chain_of(authority: Authority) -> list[Authority]:
    if authority is Authority.ROOT:
        return [authority]
    return [authority, Authority.ROOT]


def _spell(chain: Sequence[x509.Certificate]) -> str:
    return repr([common_name(certificate.subject) for certificate in chain])


def check_extensions(certificate: x509.Certificate) -> None:
    """
    Check that the five extensions are there that Intel's profile demands of
    every certificate (QVL ``REQUIRED_X509_EXTENSIONS``).

    Raises:
        MalformedError: One is missing, or bad.
    """
    for kind in _REQUIRED_EXTENSIONS:
        try:
            certificate.extensions.get_extension_for_class(kind)
        except EXTENSION_ERRORS:
            name = common_name(certificate.subject)
            msg = f"{name}: extension {kind.oid.dotted_string} missing or bad"
            raise MalformedError(msg, reason="certificate-extensions") from None


def find_chains(
    authority: Authority,
    known: Iterable[x509.Certificate],
    at: datetime,
) -> list[tuple[x509.Certificate, ...]]:
    """
    Build the chains of *authority* that *known* certificates allow at *at*.

    The certificates that last longest come first: a document is kept for
    ever, and its chain should verify for as long as it can.  The chains are
    plausible by name and date only: verify what you choose.
    """
    valid = sorted(
        (c for c in known if _is_valid(c, at)),
        key=lambda c: (c.not_valid_after_utc, c.not_valid_before_utc),
        reverse=True,
    )
    roots = [c for c in valid if authority_of(c) is Authority.ROOT]
    if authority is Authority.ROOT:
        return [(root,) for root in roots]
    signers = [c for c in valid if authority_of(c) is authority]
    return [(signer, root) for signer in signers for root in roots]


def _is_valid(certificate: x509.Certificate, at: datetime) -> bool:
    first = certificate.not_valid_before_utc
    return first <= at <= certificate.not_valid_after_utc
