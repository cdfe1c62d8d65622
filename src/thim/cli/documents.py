"""
How a document of a vendor's is named on the command line.
"""

from __future__ import annotations

import re

from typing import Final

from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import (
    amd_crl_key,
    cert_chain_key,
    chip_of,
    product_of,
    vcek_key,
)
from thim.collateral.records import (
    AMD,
    FMSPCS,
    INTEL,
    ROOT_CA_CRL,
    CollateralKey,
    Kind,
    identity_key,
    numbers_key,
    pck_crl_key,
)
from thim.collateral.targets import Target
from thim.errors import ParameterError, ThimError
from thim.intel.names import EnclaveKind, PckCa, Tee


#: What comes in the newest structure only, and once for all numbers.
_SINGLE: Final = frozenset(
    {
        ROOT_CA_CRL,
        FMSPCS,
        *map(numbers_key, Tee),
        *map(pck_crl_key, PckCa),
    }
)
_IDENTITIES: Final = frozenset(map(identity_key, EnclaveKind))
_TCB_INFO: Final = re.compile("(?:sgx|tdx):[0-9A-F]{12}")
#: The structure in which Intel's PCS v4 gives TCB infos.
_STRUCTURE: Final = 3


def parse_document(name: str) -> Target:
    """
    Read the *name* of a document that a vendor can be asked for.

    Raises:
        ParameterError: There can be no such document.
    """
    try:
        target = Target.from_name(name)
    except ValueError:
        raise _error(name) from None
    is_numbered = target.number is not None or target.update is not None
    if target.key.vendor == AMD and not is_numbered and _is_amd(target.key):
        return target
    if target.key in _SINGLE and not is_numbered:
        return target
    if _has_numbers(target.key) and (target.number or 0) >= 0:
        return target
    raise _error(name)


def _is_amd(key: CollateralKey) -> bool:
    try:
        if key.kind is Kind.VCEK:
            return vcek_key(chip_of(key)) == key
        product = product_of(key)
        keys = {
            make(kind, product)
            for make in (cert_chain_key, amd_crl_key)
            for kind in KeyKind
        }
    except ThimError:
        return False
    return key in keys


def _has_numbers(key: CollateralKey) -> bool:
    return key in _IDENTITIES or (
        (key.vendor, key.kind, key.structure)
        == (INTEL, Kind.TCB_INFO, _STRUCTURE)
        and _TCB_INFO.fullmatch(key.subject) is not None
    )


def _error(name: str) -> ParameterError:
    expected = (
        "expected VENDOR/KIND/SUBJECT/STRUCTURE[?number=N], as `thim "
        "collateral status` prints it"
    )
    return ParameterError("DOCUMENT", name, expected)
