"""
How long a value must be, and how large a number may be.
"""

from __future__ import annotations

from thim.errors import ParameterError


def check_size(parameter: str, value: bytes, size: int) -> None:
    """
    Refuse *value* unless it has *size* bytes.

    Raises:
        ParameterError: It has not.
    """
    if len(value) != size:
        got = value.hex().upper()
        raise ParameterError(
            parameter, got, f"{len(value)} bytes, expected {size}"
        )


def check_number(parameter: str, value: int, size: int) -> None:
    """
    Refuse *value* unless it is a number without sign in *size* bytes.

    Raises:
        ParameterError: It is not.
    """
    most = 2 ** (8 * size) - 1
    if not 0 <= value <= most:
        raise ParameterError(parameter, str(value), f"expected 0 to {most}")
