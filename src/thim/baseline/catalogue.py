"""
What Azure's documentation says of the TCB evaluation data numbers by which it
lets its customers attest.

Source: "Custom TCB baseline enforcement for SGX attestation",
learn.microsoft.com/azure/attestation/custom-tcb-baseline-enforcement, as dated
2024-01-30, and for 10 and 11 the example of ``tcbbaselines`` in the REST
reference of 2025-06-01, which has the later of two dates: the page writes the
day of the TCB recovery event here and the day after, the TCB date, there.
"""

from __future__ import annotations

import dataclasses
import datetime

from typing import Final


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """
    One documented number: the day of its TCB release, and the oldest platform
    software (PSW) that passes.
    """

    number: int
    released: datetime.date
    minimum_psw_linux: str
    minimum_psw_windows: str


#: In the order of their numbers.
RELEASES: Final = (
    Release(
        number=10,
        released=datetime.date(2020, 11, 11),
        minimum_psw_linux="2.9",
        minimum_psw_windows="2.7.101.2",
    ),
    Release(
        number=11,
        released=datetime.date(2021, 6, 9),
        minimum_psw_linux="2.13.3",
        minimum_psw_windows="2.13.100.2",
    ),
    Release(
        number=12,
        released=datetime.date(2021, 11, 10),
        minimum_psw_linux="2.13.3",
        minimum_psw_windows="2.13.100.2",
    ),
    Release(
        number=13,
        released=datetime.date(2022, 8, 9),
        minimum_psw_linux="2.17",
        minimum_psw_windows="2.16",
    ),
    Release(
        number=14,
        released=datetime.date(2022, 11, 8),
        minimum_psw_linux="2.17",
        minimum_psw_windows="2.16",
    ),
    Release(
        number=15,
        released=datetime.date(2023, 2, 14),
        minimum_psw_linux="2.17",
        minimum_psw_windows="2.16",
    ),
)
_BY_NUMBER: Final = {release.number: release for release in RELEASES}


def find_release(number: int) -> Release | None:
    """
    Return what is documented of *number*, None if nothing is.
    """
    return _BY_NUMBER.get(number)
