"""
Take signed documents of ``thim.simulate.pki`` apart, change and join them.
"""

import json

from collections.abc import Callable
from typing import Any

from thim.simulate.pki import to_json


def inner(body: bytes) -> bytes:
    """
    Return the signed member of *body*, as its exact bytes.
    """
    return body[body.index(b":") + 1 : body.rindex(b',"signature"')]


def edited(body: bytes, edit: Callable[[Any], object]) -> bytes:
    """
    Return the signed member of *body* after *edit* has changed it.
    """
    value = json.loads(inner(body))
    edit(value)
    return to_json(value)
