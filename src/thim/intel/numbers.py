"""
The signed lists of TCB evaluation data numbers that Intel supports.

PCS API v4, ``tcbevaluationdatanumbers``, in the form in which the service
answers: the array is ``tcbEvalNumbers`` and the signature a sibling (Intel's
specification summary says otherwise).
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

import msgspec

from thim.errors import MalformedError
from thim.intel.fields import Number, parse_date
from thim.intel.names import Tee
from thim.intel.strict_json import convert, parse_strictly


if TYPE_CHECKING:
    from datetime import datetime

_VERSION: Final = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationNumber:
    """
    One TCB evaluation data number and the TCB recovery event behind it.
    """

    number: int
    recovery_event: datetime
    tcb_date: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NumberList:
    """
    A list of supported evaluation numbers of one TEE, not verified.
    """

    tee: Tee
    version: int
    issue_date: datetime
    next_update: datetime
    numbers: tuple[EvaluationNumber, ...]

    @classmethod
    def from_json(cls, signed: bytes) -> NumberList:
        """
        Read *signed*, the bytes of the member ``tcbEvaluationDataNumbers``.

        Raises:
            MalformedError: Not such a list, empty, or a number twice.
        """
        what = "tcbEvaluationDataNumbers"
        json = convert(parse_strictly(signed), _Json, what)
        if json.version != _VERSION or json.id not in {t.value for t in Tee}:
            msg = f"{what} is {json.id[:20]!r} version {json.version}"
            raise MalformedError(msg, reason="version")
        numbers = tuple(_parse_number(entry) for entry in json.tcb_eval_numbers)
        if not numbers or len({n.number for n in numbers}) != len(numbers):
            msg = f"{what}: no numbers, or one of them twice"
            raise MalformedError(msg, reason="fields")
        return cls(
            tee=Tee(json.id),
            version=json.version,
            issue_date=parse_date(json.issue_date, "issueDate"),
            next_update=parse_date(json.next_update, "nextUpdate"),
            numbers=numbers,
        )


class _NumberJson(msgspec.Struct, rename="camel"):
    tcb_evaluation_data_number: Number
    tcb_recovery_event_date: str
    tcb_date: str


class _Json(msgspec.Struct, rename="camel"):
    id: str
    version: int
    issue_date: str
    next_update: str
    tcb_eval_numbers: list[_NumberJson]


def _parse_number(json: _NumberJson) -> EvaluationNumber:
    return EvaluationNumber(
        number=json.tcb_evaluation_data_number,
        recovery_event=parse_date(
            json.tcb_recovery_event_date, "tcbRecoveryEventDate"
        ),
        tcb_date=parse_date(json.tcb_date, "tcbDate"),
    )
