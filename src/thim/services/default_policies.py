"""
The policies that are in force where nobody has set one.
"""

from __future__ import annotations

from typing import Final

from thim.attestation.kind import AttestationType


# SEAM: thim.attestation.policy.defaults.DEFAULT_POLICIES.
_ENCLAVES: Final = (
    "version= 1.0;authorizationrules{=> permit();};issuancerules{"
    'c:[type=="x-ms-sgx-is-debuggable"] => '
    'issue(type="is-debuggable", value=c.value);'
    'c:[type=="x-ms-sgx-mrsigner"] => '
    'issue(type="sgx-mrsigner", value=c.value);'
    'c:[type=="x-ms-sgx-mrenclave"] => '
    'issue(type="sgx-mrenclave", value=c.value);'
    'c:[type=="x-ms-sgx-product-id"] => '
    'issue(type="product-id", value=c.value);'
    'c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);'
    'c:[type=="x-ms-attestation-type"] => issue(type="tee", value=c.value);};'
)
_MACHINES: Final = "version= 1.0;authorizationrules{=> permit();};"
_DEFAULTS: Final = {
    AttestationType.SGX_ENCLAVE: _ENCLAVES,
    AttestationType.OPEN_ENCLAVE: _ENCLAVES,
    AttestationType.SEV_SNP_VM: _MACHINES,
    AttestationType.TDX_VM: _MACHINES,
}


def find_default_policy(kind: AttestationType) -> str | None:
    """
    Return the policy of that *kind* of attestation where none was set; None
    where there is no attestation until one is.
    """
    return _DEFAULTS.get(kind)
