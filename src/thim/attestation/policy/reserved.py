"""
Names that no policy may give: those of the service, of JWTs, and our own.

Names are compared without regard to letter case, since some readers of tokens
do so too.  What is issued has a name of printable ASCII characters, so that no
other character can look like one of these.
"""

from __future__ import annotations

import functools
import re

from typing import TYPE_CHECKING, Final

from thim.attestation.kind import AttestationType
from thim.attestation.maa_claims import NAMES
from thim.attestation.maa_snp_claims import SNP_NAMES
from thim.attestation.policy.errors import PolicySyntaxError
from thim.attestation.policy.syntax import Literal, Verb


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from thim.attestation.policy.parse import Policy
    from thim.attestation.policy.syntax import Rule

#: Of RFC 7519 and 7800, and those that Azure Attestation has or had.
_NAMES: Final = frozenset(
    {
        "__proto__",
        "acr",
        "act",
        "amr",
        "aud",
        "azp",
        "cnf",
        "dbgstat",
        "exp",
        "iat",
        "intuse",
        "iss",
        "jti",
        "nbf",
        "nonce",
        "policy_hash",
        "policy_signer",
        "rp_data",
        "sub",
        "ver",
    }
)
_PREFIXES: Final = (
    "$",
    "aas-",
    "attester_",
    "eat_",
    "maa-",
    "tdx_",
    "x-ms-",
    "x-thim-",
)
_ACCEPTABLE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_LONGEST: Final = 256
_MOST_KNOWN: Final = 1024


def is_acceptable(name: str) -> bool:
    """
    Say whether a claim of this *name* may stand in a token.
    """
    return len(name) <= _LONGEST and _has_good_characters(name)


@functools.lru_cache(maxsize=1024)
def _has_good_characters(name: str) -> bool:
    return _ACCEPTABLE.fullmatch(name) is not None


class Reserved:
    """
    The reserved names: those that always are, and *names*.
    """

    __slots__ = ("_free", "_names")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(each.lower() for each in names)
        self._free: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Say whether *name* is reserved, in whichever letter case."""
        if name in self._free:
            return False
        lower = name.lower()
        if lower in self._names or lower in _NAMES:
            return True
        if lower.startswith(_PREFIXES):
            return True
        # Policies issue the same few names again and again.
        if len(self._free) < _MOST_KNOWN and len(name) <= _LONGEST:
            self._free.add(name)
        return False


_OF_TYPE: Final[Mapping[AttestationType, Collection[str]]] = {
    **NAMES,
    AttestationType.SEV_SNP_VM: SNP_NAMES,
    AttestationType.TPM: ("aikValidated", "events", "pcrs", "tpmVersion"),
}


def reserved_for(
    type_: AttestationType | None, names: Iterable[str] = ()
) -> Reserved:
    """
    Return what is reserved in policies for *type_*, if it is known, and
    *names*.
    """
    own = () if type_ is None else _OF_TYPE.get(type_, ())
    return Reserved((*own, *names))


def check_reserved(policy: Policy, reserved: Reserved) -> None:
    """
    Check that no rule adds or issues a claim whose name, as it is written
    out, is reserved or cannot stand in a token.

    Raises:
        PolicySyntaxError: One does.
    """
    for written in policy.sections:
        for rule in written.rules:
            _check(rule, reserved)


def _check(rule: Rule, reserved: Reserved) -> None:
    name = rule.action.find("type")
    if rule.action.verb == Verb.ISSUE_PROPERTY.value:
        return
    if not isinstance(name, Literal):
        return
    if str(name.value) in reserved:
        expected = "expected a name that is not the service's own"
        reason = "policy-reserved-name"
    elif rule.action.verb == Verb.ISSUE.value and not is_acceptable(
        str(name.value)
    ):
        expected = "expected a name of 1 to 256 printable ASCII characters"
        reason = "policy-name"
    else:
        return
    raise PolicySyntaxError(
        name.place,
        str(name.value),
        expected,
        ["section", "claimRule", "action"],
        reason=reason,
    )
