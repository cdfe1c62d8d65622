"""
Enclave identities: which quoting enclave may quote, and at which version.

Version 2 only; the rules are those of Intel's QVL (``EnclaveIdentityV2.cpp``),
with ``QAE`` besides.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

import msgspec

from thim.errors import MalformedError
from thim.intel.fields import IsvSvn, Number, parse_date, parse_hex
from thim.intel.levels import IsvLevelJson, parse_isv_levels
from thim.intel.names import EnclaveKind
from thim.intel.strict_json import convert, parse_strictly


if TYPE_CHECKING:
    from datetime import datetime

    from thim.intel.tcb import IsvLevel

_VERSION: Final = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveIdentity:
    """
    An enclave identity, read but not verified; *levels* in its own order.

    Byte strings are in memory order: *miscselect* 4 bytes, *attributes* 16,
    *mrsigner* 32.
    """

    kind: EnclaveKind
    version: int
    issue_date: datetime
    next_update: datetime
    tcb_evaluation_data_number: int
    miscselect: bytes
    miscselect_mask: bytes
    attributes: bytes
    attributes_mask: bytes
    mrsigner: bytes
    isvprodid: int
    levels: tuple[IsvLevel, ...]

    @classmethod
    def from_json(cls, signed: bytes) -> EnclaveIdentity:
        """
        Read *signed*, the exact bytes of the member ``enclaveIdentity``.

        Raises:
            MalformedError: Not an enclave identity of version 2.
        """
        json = convert(parse_strictly(signed), _Json, "enclaveIdentity")
        if json.version != _VERSION:
            msg = f"enclaveIdentity version is {json.version}, expected 2"
            raise MalformedError(msg, reason="version")
        return cls(
            kind=_parse_kind(json.id),
            version=json.version,
            issue_date=parse_date(json.issue_date, "issueDate"),
            next_update=parse_date(json.next_update, "nextUpdate"),
            tcb_evaluation_data_number=json.tcb_evaluation_data_number,
            miscselect=parse_hex(json.miscselect, 4, "miscselect"),
            miscselect_mask=parse_hex(
                json.miscselect_mask, 4, "miscselectMask"
            ),
            attributes=parse_hex(json.attributes, 16, "attributes"),
            attributes_mask=parse_hex(
                json.attributes_mask, 16, "attributesMask"
            ),
            mrsigner=parse_hex(json.mrsigner, 32, "mrsigner"),
            isvprodid=json.isvprodid,
            levels=parse_isv_levels(json.tcb_levels),
        )


class _Json(msgspec.Struct, rename="camel"):
    id: str
    version: int
    issue_date: str
    next_update: str
    tcb_evaluation_data_number: Number
    miscselect: str
    miscselect_mask: str
    attributes: str
    attributes_mask: str
    mrsigner: str
    isvprodid: IsvSvn
    tcb_levels: list[IsvLevelJson]


def _parse_kind(text: str) -> EnclaveKind:
    try:
        return EnclaveKind(text)
    except ValueError:
        expected = [kind.value for kind in EnclaveKind]
        msg = f"enclaveIdentity id is {text[:20]!r}, expected {expected}"
        raise MalformedError(msg, reason="id") from None
