"""
Faults on demand: what they hit, and how often.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import threading

from typing import TYPE_CHECKING, Annotated

import msgspec

from msgspec import Meta

from thim.amd.tcb import ProductLine
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.simulate.parts import Hex6, Name


if TYPE_CHECKING:
    from thim.simulate.answers import Answer
    from thim.simulate.orders import Order, Target


class Fault(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
):
    """
    Something that goes wrong with the requests that it matches.

    Attributes:
        route: Which routes, as a shell pattern: ``tcb``, ``*crl``, ``*``.
        tee, enclave, ca, fmspc, number, platform, product, chip: Only
            requests that name this one.
        count: How many requests it hits; None: until it is removed.
    """

    route: Annotated[str, Meta(min_length=1, max_length=100)] = "*"
    tee: Tee | None = None
    enclave: EnclaveKind | None = None
    ca: PckCa | None = None
    fmspc: Hex6 | None = None
    number: int | None = None
    platform: Name | None = None
    product: ProductLine | None = None
    chip: Name | None = None
    count: Annotated[int, Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        # In Python the names of the enumerations will do as well.
        for name, kind in (
            ("tee", Tee),
            ("enclave", EnclaveKind),
            ("ca", PckCa),
            ("product", ProductLine),
        ):
            if (value := getattr(self, name)) is not None:
                msgspec.structs.force_setattr(self, name, kind(value))

    def matches(self, target: Target) -> bool:
        """
        Tell whether it hits a request for *target*.
        """
        fmspc = self.fmspc and self.fmspc.upper()
        return fnmatch.fnmatchcase(target.route.value, self.route) and all(
            wanted in {None, got}
            for wanted, got in (
                (self.tee, target.tee),
                (self.enclave, target.enclave),
                (self.ca, target.ca),
                (fmspc, target.fmspc and target.fmspc.upper()),
                (self.number, target.number),
                (self.platform, target.platform),
                (self.product, target.product),
                (self.chip, target.chip),
            )
        )

    def reorder(self, order: Order) -> Order:
        """
        Have another document made than the one that was ordered.
        """
        return order

    def alter(self, answer: Answer) -> Answer:
        """
        Spoil an answer.
        """
        return answer


@dataclasses.dataclass(slots=True, kw_only=True)
class Standing:
    """
    A fault that has been set; *hits* counts the requests that it met.
    """

    id: int
    fault: Fault
    hits: int = 0

    @property
    def is_spent(self) -> bool:
        """
        Whether it has hit as many requests as it should.
        """
        return self.fault.count is not None and self.hits >= self.fault.count


class Faults:
    """
    The faults that are set, in their order; safe for several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._standing: dict[int, Standing] = {}

    def add(self, fault: Fault) -> int:
        """
        Set *fault* and return its id.
        """
        with self._lock:
            number = next(self._ids)
            self._standing[number] = Standing(id=number, fault=fault)
            return number

    def remove(self, number: int) -> bool:
        """
        Remove the fault with that id; tell whether it was there.
        """
        with self._lock:
            return self._standing.pop(number, None) is not None

    def clear(self) -> None:
        """
        Remove them all.
        """
        with self._lock:
            self._standing.clear()

    def standing(self) -> list[Standing]:
        """
        Return those that are set, spent ones included.
        """
        with self._lock:
            return [dataclasses.replace(s) for s in self._standing.values()]

    def take(self, target: Target) -> list[Fault]:
        """
        Return the faults that hit a request for *target*, and count it.
        """
        with self._lock:
            hitting = [
                standing
                for standing in self._standing.values()
                if not standing.is_spent and standing.fault.matches(target)
            ]
            for standing in hitting:
                standing.hits += 1
            return [standing.fault for standing in hitting]
