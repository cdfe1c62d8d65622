"""
What is checked when a tenant's attestation side is decided.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Final

from cryptography import x509

from thim.attestation.policy_signer import STRONG_BITS, check_key, to_der
from thim.baseline.issuers import check_issuer
from thim.baseline.provider import TrustModel
from thim.errors import MalformedError, ParameterError, ThimError
from thim.services.attestation_policies import read_effective
from thim.x509.chain import parse_certificate


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.baseline.model import Tenant
    from thim.store.attestation_policies import AttestationPolicies

_PEM: Final = re.compile(
    r"\s*-----BEGIN CERTIFICATE-----[^-]{1,24000}-----END CERTIFICATE-----\s*"
)


def check_provider(
    tenant: Tenant, others: Sequence[Tenant], policies: AttestationPolicies
) -> None:
    """
    Check the attestation side of *tenant* against those of the *others*, and
    against what is stored for it.

    1. Its issuer is nobody else's (``baseline.issuers``).
    2. Where it is isolated there is a policy certificate, and each policy in
       force is signed with one: else somebody's would stay who may set none.

    Raises:
        ParameterError: Not so.
    """
    check_issuer(tenant, others)
    if tenant.provider.trust is not TrustModel.ISOLATED:
        return
    known = policies.certificates(tenant.name)
    if not known:
        expected = "expected a policy certificate beside it: nobody could sign"
        raise ParameterError("attestation.trust", "isolated", expected)
    for kind, jws in policies.policies(tenant.name).items():
        signer = read_effective(jws).signer
        if signer is None or not signer.is_one_of(known):
            expected = (
                f"expected the policy for {kind} to be reset first: it is not "
                f"signed with a policy certificate"
            )
            raise ParameterError("attestation.trust", "isolated", expected)


def read_policy_certificate(pem: str, parameter: str) -> bytes:
    """
    Read one policy certificate in PEM; return it in DER.

    Raises:
        ParameterError: It is none, or its key is too weak.
    """
    shown = pem.strip()[:40]
    if not _PEM.fullmatch(pem):
        expected = "expected one certificate in PEM"
        raise ParameterError(parameter, shown, expected)
    try:
        der = to_der(x509.load_pem_x509_certificate(pem.encode()))
        check_key(parse_certificate(der), STRONG_BITS)
    except (ValueError, x509.InvalidVersion, MalformedError) as e:
        expected = "expected one certificate in PEM"
        raise ParameterError(parameter, shown, expected) from e
    except ThimError as e:
        raise ParameterError(parameter, shown, f"expected another: {e}") from e
    return der
