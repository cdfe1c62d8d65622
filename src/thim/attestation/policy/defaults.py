"""
The policies of providers that have set none.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from thim.attestation.kind import AttestationType


#: Azure's of 2021, byte for byte: its hash stands in recorded tokens.
_SGX: Final = (
    "version= 1.0;"
    "authorizationrules{=> permit();};"
    "issuancerules{"
    'c:[type=="x-ms-sgx-is-debuggable"] => '
    'issue(type="is-debuggable", value=c.value);'
    'c:[type=="x-ms-sgx-mrsigner"] => '
    'issue(type="sgx-mrsigner", value=c.value);'
    'c:[type=="x-ms-sgx-mrenclave"] => '
    'issue(type="sgx-mrenclave", value=c.value);'
    'c:[type=="x-ms-sgx-product-id"] => '
    'issue(type="product-id", value=c.value);'
    'c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);'
    'c:[type=="x-ms-attestation-type"] => issue(type="tee", value=c.value);'
    "};"
)
#: Azure's for SEV-SNP, byte for byte; what it has for TDX is not known.
_PERMIT: Final = "version= 1.0;authorizationrules{=> permit();};"

#: Types that are not here have no policy until one is set.
DEFAULT_POLICIES: Final = MappingProxyType(
    {
        AttestationType.SGX_ENCLAVE: _SGX,
        AttestationType.OPEN_ENCLAVE: _SGX,
        AttestationType.SEV_SNP_VM: _PERMIT,
        AttestationType.TDX_VM: _PERMIT,
    }
)
