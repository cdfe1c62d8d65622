"""
Which machines are registered with the simulated Intel, and how.

A machine of one package needs no registration.  One of several is known to
Intel directly, after it sent its platform manifest once, or indirectly, by
the manifest that goes with each request; the first way it comes by decides.
"""

from __future__ import annotations

import enum

from typing import TYPE_CHECKING

from thim.simulate.refusals import CodedError


if TYPE_CHECKING:
    from thim.simulate.platform_part import PlatformPart


class _Way(enum.Enum):
    DIRECT = enum.auto()
    INDIRECT = enum.auto()


class Registry:
    """
    The machines that have come by since the beginning.
    """

    def __init__(self) -> None:
        self._ways: dict[str, _Way] = {}

    def is_direct(self, part: PlatformPart) -> bool:
        """
        Tell whether Intel knows a machine by its PPID alone.
        """
        way = self._ways.get(part.name)
        return not part.has_packages or part.registered or way is _Way.DIRECT

    def keeps_keys(self, part: PlatformPart) -> bool:
        """
        Tell whether Intel keeps the keys of a machine.
        """
        if part.has_packages:
            return self.is_direct(part)
        return part.cached_keys is not False

    def register(self, part: PlatformPart) -> None:
        """
        Register a machine directly, once more if need be.

        Raises:
            CodedError: Its keys must not be kept.
        """
        if not part.registered:
            way = (
                _Way.INDIRECT
                if part.cached_keys is False
                else self._ways.setdefault(part.name, _Way.DIRECT)
            )
            if way is not _Way.DIRECT:
                code = "CachedKeysPolicyViolation"
                raise CodedError(code, "the platform's keys are not kept")

    def register_indirectly(self, part: PlatformPart) -> None:
        """
        Note that a machine has shown its manifest, unless it is registered.
        """
        self._ways.setdefault(part.name, _Way.INDIRECT)
