"""
Where a store is: ``--store``, ``THIM_STORE``, or the user's data folder.
"""

from __future__ import annotations

import os

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError


if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEME: Final = "sqlite:///"


def parse_location(text: str) -> Path:
    """
    Read *text*, a path or a URL ``sqlite:///PATH``, as the file it names.

    An absolute path takes four slashes in a URL (``sqlite:////var/…``).

    Raises:
        OperatorError: Empty, or a scheme that this release cannot store in.
    """
    scheme, separator, _ = text.partition("://")
    if text.startswith(_SCHEME):
        text = text.removeprefix(_SCHEME)
    elif separator:
        # What follows may have a password in it.
        msg = f"store: scheme {scheme!r}, expected sqlite:///PATH"
        raise OperatorError(msg, reason="store-url")
    if not text or "\0" in text:
        msg = "store: the path is empty"
        raise OperatorError(msg, reason="store-url")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as e:
        msg = f"store {text!r}: {e}"
        raise OperatorError(msg, reason="store-url") from e


def default_location(environment: Mapping[str, str]) -> Path:
    """
    Return the default store's file in the user's data folder
    (XDG Base Directory Specification).
    """
    base = environment.get("XDG_DATA_HOME", "")
    if not os.path.isabs(base):  # noqa: PTH117 - the specification's rule
        base = str(Path.home() / ".local" / "share")
    return Path(base) / "thim" / "thim.db"
