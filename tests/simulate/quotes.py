"""
The kinds of quotes, and a reader of them by the offsets that Intel's headers
give.
"""

import dataclasses

from collections.abc import Callable, Mapping
from typing import Any, Final

from thim.simulate.pck import Platform
from thim.simulate.pki import Intel
from thim.simulate.quote import (
    SgxBody,
    TdBody,
    TdBody15,
    make_sgx_quote_v3,
    make_tdx_quote_v4,
    make_tdx_quote_v5,
)


INTEL = Intel()
PLATFORM = Platform(
    qe_id=bytes(range(16)), cpusvn=bytes(range(4, 20)), pcesvn=0x1234
)
#: Each kind of quote: how it is made, and with which body.
KINDS: Final[Mapping[str, tuple[Callable[..., bytes], type[Any]]]] = {
    "v3": (make_sgx_quote_v3, SgxBody),
    "v4": (make_tdx_quote_v4, TdBody),
    "v5, TD 1.0": (make_tdx_quote_v5, TdBody),
    "v5, TD 1.5": (make_tdx_quote_v5, TdBody15),
}
TDX_KINDS = ["v4", "v5, TD 1.0", "v5, TD 1.5"]


@dataclasses.dataclass
class Parts:
    """
    A quote, taken apart.
    """

    header: bytes
    descriptor: bytes
    body: bytes
    signature: bytes
    key: bytes
    qe_report: bytes
    qe_signature: bytes
    authentication_data: bytes
    kind: int
    certification_data: bytes

    @property
    def signed(self):
        """
        What the quote signature covers.
        """
        return self.header + self.descriptor + self.body


def number(raw, at, size):
    """
    Read an integer of *size* bytes.
    """
    assert len(raw) >= at + size
    return int.from_bytes(raw[at : at + size], "little")


def take_apart(quote):
    """
    Read *quote*, whose lengths must be exact.
    """
    version = number(quote, 0, 2)
    start = 54 if version == 5 else 48
    sizes = {3: 384, 4: 584, 5: number(quote, 50, 4)}
    end = start + sizes[version]
    data = quote[end + 4 :]
    assert number(quote, end, 4) == len(data)
    rest = data[128:]
    if version > 3:
        assert 6 == number(rest, 0, 2)
        assert number(rest, 2, 4) == len(rest) - 6
        rest = rest[6:]
    size = number(rest, 448, 2)
    last = rest[450 + size :]
    assert number(last, 2, 4) == len(last) - 6
    return Parts(
        header=quote[:48],
        descriptor=quote[48:start],
        body=quote[start:end],
        signature=data[:64],
        key=data[64:128],
        qe_report=rest[:384],
        qe_signature=rest[384:448],
        authentication_data=rest[450 : 450 + size],
        kind=number(last, 0, 2),
        certification_data=last[6:],
    )


def make(kind, platform=PLATFORM, body=None, **kwargs):
    """
    Make a quote of one of KINDS.
    """
    function, body_class = KINDS[kind]
    return function(INTEL, platform, body or body_class(), **kwargs)
