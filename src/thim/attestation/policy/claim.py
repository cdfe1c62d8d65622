"""
The claims that a policy works on.

A claim has one value.  A set, as policies of version 1.2 have it, is several
claims of one type.
"""

from __future__ import annotations

import enum
import json

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Value: TypeAlias = bool | int | str

LEAST_INTEGER: Final = -(2**63)
MOST_INTEGER: Final = 2**63 - 1


class Issuer(enum.Enum):
    """
    Who says it.
    """

    SERVICE = "AttestationService"
    POLICY = "AttestationPolicy"
    CUSTOM = "CustomClaim"


class Claim(NamedTuple):
    """
    Something that is said about the evidence.

    A tuple, since so many are made for each token.

    Attributes:
        type: Its name.
        value: Its value.
        issuer: Who says it.
        read_only: It may be used, but neither it nor what is made of it may
            be issued.
    """

    type: str
    value: Value
    issuer: Issuer = Issuer.SERVICE
    read_only: bool = False


#: What policies call the types of values.
VALUE_TYPES: Final[dict[type, str]] = {
    str: "String",
    int: "Integer",
    bool: "Boolean",
}

#: What old policies call the claims of enclaves.
LEGACY_NAMES: Final = {
    "x-ms-sgx-is-debuggable": "$is-debuggable",
    "x-ms-sgx-product-id": "$product-id",
    "x-ms-sgx-mrsigner": "$sgx-mrsigner",
    "x-ms-sgx-mrenclave": "$sgx-mrenclave",
    "x-ms-sgx-svn": "$svn",
    "x-ms-attestation-type": "$tee",
}


def claims_of_service(
    claims: Mapping[str, Any], read_only: Collection[str] = ()
) -> list[Claim]:
    """
    Make what the service says into claims of a policy.

    A list of texts, numbers and truth values becomes one claim for each.  What
    else policies have no values for (objects, fractions, larger numbers) is
    given to them as JSON text; null is left out.

    Args:
        claims: What the service says, as it stands in the token.
        read_only: The names of those that may not be issued.
    """
    found = []
    for name, value in claims.items():
        is_read_only = name in read_only
        # Most are texts and truth values: these need no looking at.
        if value.__class__ is str or value.__class__ is bool:
            found.append(Claim(name, value, _SERVICE, is_read_only))
        else:
            found += [
                Claim(name, each, _SERVICE, is_read_only)
                for each in _values(value)
            ]
    return found


_SERVICE: Final = Issuer.SERVICE


def _values(value: Any) -> Sequence[Value]:  # noqa: ANN401 - whatever JSON has
    if value is None:
        return ()
    if is_value(value):
        return (value,)
    if isinstance(value, list | tuple) and all(map(is_value, value)):
        return value
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return (text,)


def is_value(value: object) -> bool:
    """
    Say whether a claim may have this value.
    """
    if isinstance(value, int):
        return LEAST_INTEGER <= value <= MOST_INTEGER
    return isinstance(value, str)


def with_legacy_names(claims: Sequence[Claim]) -> list[Claim]:
    """
    Return *claims* and, for SGX, those of them that old policies know by
    another name, such as ``$is-debuggable``.
    """
    legacy = [
        Claim(LEGACY_NAMES[each[0]], *each[1:])
        for each in claims
        if each[0] in LEGACY_NAMES
    ]
    return [*claims, *legacy]
