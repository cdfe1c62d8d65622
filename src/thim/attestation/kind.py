"""
What is attested, as Azure Attestation names it in its paths.
"""

from __future__ import annotations

import enum

from typing import Final

from thim.errors import NotFoundError


class AttestationType(enum.Enum):
    """
    A kind of attestation; each has its own policy.

    The last two have policies, but no tokens here.
    """

    SGX_ENCLAVE = "SgxEnclave"
    OPEN_ENCLAVE = "OpenEnclave"
    SEV_SNP_VM = "SevSnpVm"
    TDX_VM = "TdxVm"
    TPM = "Tpm"
    AZURE_GUEST = "AzureGuest"


#: Of which there are tokens.
ATTESTED: Final = frozenset(AttestationType) - {
    AttestationType.TPM,
    AttestationType.AZURE_GUEST,
}
_BY_NAME: Final = {each.value.lower(): each for each in AttestationType}


def find_type(text: str) -> AttestationType:
    """
    Return the type that *text* names, in any letter case, as Azure's samples
    write it.

    Raises:
        NotFoundError: It names none.
    """
    found = _BY_NAME.get(text.lower()) if text.isascii() else None
    if found is None:
        known = ", ".join(each.value for each in AttestationType)
        msg = f"attestation type {text[:40]!r} is none of {known}"
        raise NotFoundError(msg, reason="unknown-attestation-type")
    return found
