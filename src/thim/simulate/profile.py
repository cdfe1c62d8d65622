"""
What stands in Intel's certificates (SGX PCK Certificate and CRL Profile
Specification).
"""

from __future__ import annotations

from typing import Final

from cryptography import x509


_POINT: Final = (
    "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
)


def subject_name(common_name: str) -> x509.Name:
    """
    Write *common_name* into a full name of Intel's.
    """
    oid = x509.NameOID
    return x509.Name(
        [
            x509.NameAttribute(oid.COMMON_NAME, common_name),
            x509.NameAttribute(oid.ORGANIZATION_NAME, "Intel Corporation"),
            x509.NameAttribute(oid.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(oid.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(oid.COUNTRY_NAME, "US"),
        ]
    )


def distribution_points() -> x509.CRLDistributionPoints:
    """
    Name where the root CRL is to be had.
    """
    uri = x509.UniformResourceIdentifier(_POINT)
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint([uri], None, None, None)]
    )


def key_usage(is_ca: bool) -> x509.KeyUsage:
    """
    Say what a CA's key, or a signer's, is for.
    """
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=not is_ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def basic_constraints(is_ca: bool) -> x509.BasicConstraints:
    """
    Say whether it is a CA.
    """
    return x509.BasicConstraints(ca=is_ca, path_length=None)
