"""
What there is to be had from the simulated Intel at an instant.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.errors import NotFoundError, ParameterError
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.simulate.orders import Route, Target


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.simulate.world import NumberPart, World


class GoneError(NotFoundError):
    """
    It was there and has been withdrawn.
    """

    default_reason = "gone"


def find_number(
    world: World, update: Update | None, number: int | None, at: datetime
) -> int:
    """
    Return the evaluation number that is asked for by *update* (None means
    standard) or by *number*.

    Raises:
        ParameterError: Both are given.
        GoneError: The number has been withdrawn, or is older than the world.
        NotFoundError: It is not listed yet, or there is no such number.
    """
    if number is None:
        return _followed(world, update or Update.STANDARD, at)
    if update is not None:
        expected = "expected no update together with a number"
        raise ParameterError("update", update.value, expected)
    if _is_gone(world, number, at):
        msg = f"number {number} has been withdrawn"
        raise GoneError(msg)
    if not any(n.number == number for n in _served(world, at)):
        msg = f"number {number} is not known"
        raise NotFoundError(msg)
    return number


def _followed(world: World, update: Update, at: datetime) -> int:
    since = [(_since(n, update), n.number) for n in _served(world, at)]
    reached = [(s, number) for s, number in since if s and s <= at]
    if not reached:
        msg = f"no number is {update.value} yet"
        raise NotFoundError(msg)
    return max(reached)[1]


def _since(number: NumberPart, update: Update) -> datetime | None:
    if update is Update.STANDARD:
        return number.standard
    return number.early or number.since


def _served(world: World, at: datetime) -> list[NumberPart]:
    return [n for n in world.intel.numbers if n.is_served(at)]


def _is_gone(world: World, number: int, at: datetime) -> bool:
    numbers = world.intel.numbers
    if number < min(n.number for n in numbers):
        return True
    return any(
        n.number == number and n.withdrawn is not None and n.withdrawn <= at
        for n in numbers
    )


def exists(world: World, target: Target) -> bool:
    """
    Tell whether *target* exists under the number that it names.
    """
    number = target.number or 0
    if target.route is Route.TCB:
        fmspc = world.find_fmspc(target.fmspc or "")
        return bool(
            fmspc and target.tee in fmspc.tees and fmspc.levels_in(number)
        )
    if target.route is Route.IDENTITY and target.enclave:
        enclave = world.find_enclave(target.enclave)
        return bool(enclave and enclave.levels_in(number))
    return True


def other_subject(world: World, target: Target) -> Target:
    """
    Return a document of the same kind and number about something else, or
    *target* itself where there is none.
    """
    for other in (*_neighbours(world, target), *_others(world, target)):
        if other != target and exists(world, other):
            return other
    return target


def _neighbours(world: World, target: Target) -> Iterator[Target]:
    replace = dataclasses.replace
    match target.route:
        case Route.TCB:
            for fmspc in world.intel.fmspcs:
                if fmspc.fmspc.upper() != (target.fmspc or "").upper():
                    yield replace(target, fmspc=fmspc.fmspc)
        case Route.IDENTITY:
            for kind in EnclaveKind:
                yield replace(target, enclave=kind)
        case Route.NUMBERS:
            for tee in Tee:
                yield replace(target, tee=tee)
        case Route.PCK_CRL | Route.ROOT_CA_CRL:
            for ca in PckCa:
                yield replace(target, route=Route.PCK_CRL, ca=ca)


def _others(world: World, target: Target) -> Iterator[Target]:
    """Yield the other machines, those of the same family first."""
    if target.platform is None:
        return
    family = (target.fmspc or "").upper()
    for part in sorted(
        world.platforms, key=lambda p: p.fmspc.upper() != family
    ):
        yield dataclasses.replace(target, platform=part.name)


def other_number(world: World, target: Target, at: datetime) -> Target:
    """
    Return the same document of another number that is served at *at*, or
    *target* itself where there is none.
    """
    for number in _served(world, at):
        other = dataclasses.replace(target, number=number.number)
        if target.number not in {None, number.number} and exists(world, other):
            return other
    return target
