"""
The form of requests for PCK certificates: all their bytes but the values.
"""

from __future__ import annotations

import operator

from binascii import unhexlify
from typing import TYPE_CHECKING, Final

from thim.http.pck import Shape, choose_shape
from thim.http.query import parse_query
from thim.http.tallies import Meter


if TYPE_CHECKING:
    from collections.abc import Collection

#: Each value's name and digits, in the order in which they make a key.
_VALUES: Final = {b"qeid": 32, b"pceid": 4, b"cpusvn": 32, b"pcesvn": 4}
_ENC_PPID: Final = b"encrypted_ppid"
_ENC_PPID_DIGITS: Final = 768


class Form:
    """
    What the requests of one client have in common.

    Args:
        raw: One of them, a whole plain GET.
        places: Where its values begin, by their names.
        shape: How it is answered.
        meter: Where its answers are counted.
    """

    def __init__(
        self,
        raw: bytes,
        places: dict[bytes, slice],
        shape: Shape,
        meter: Meter,
    ) -> None:
        self.meter = meter
        self.is_json = shape is Shape.JSON
        self.values = operator.itemgetter(*(places[n] for n in _VALUES))
        self.enc_ppid = places.get(_ENC_PPID)
        holes = sorted((s.start, s.stop) for s in places.values())
        edges = [0, *(edge for hole in holes for edge in hole), len(raw)]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        self.rest = operator.itemgetter(*(slice(*pair) for pair in pairs))
        self.expected = self.rest(raw)

    def read(self, raw: bytes) -> bytes | None:
        """
        Return the values in *raw*, 36 bytes, or None if it is of another form.
        """
        if self.rest(raw) != self.expected:
            return None
        try:
            values = unhexlify(b"".join(self.values(raw)))
            if self.enc_ppid is not None:
                unhexlify(raw[self.enc_ppid])
        except ValueError:
            return None
        return None if _is_odd(values) else values


def _is_odd(values: bytes) -> bool:
    """Tell whether the PCESVN at the end looks swapped (``services.pck``)."""
    return values[-2] == 0 and values[-1] != 0


def find_form(
    raw: bytes, paths: Collection[bytes], meter: Meter | None = None
) -> Form | None:
    """
    Take *raw*, a whole plain GET, apart; None if it is nothing for here.
    Answers to its form are counted in *meter*.
    """
    target = raw[len(b"GET ") : raw.index(b" HTTP/1.1\r\n")]
    path, _, query = target.partition(b"?")
    if path not in paths or b"%" in query:
        return None
    places: dict[bytes, slice] = {}
    at = len(b"GET ") + len(path) + 1
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name in places:
            return None
        begin = at + len(name) + 1
        places[name] = slice(begin, begin + len(value))
        at += len(pair) + 1
    sizes = {name: s.stop - s.start for name, s in places.items()}
    if any(sizes.get(name) != digits for name, digits in _VALUES.items()):
        return None
    if sizes.get(_ENC_PPID, _ENC_PPID_DIGITS) != _ENC_PPID_DIGITS:
        return None
    holes = {n: s for n, s in places.items() if n in _VALUES or n == _ENC_PPID}
    shape = choose_shape(parse_query(query))
    return Form(raw, holes, shape, meter or Meter())
