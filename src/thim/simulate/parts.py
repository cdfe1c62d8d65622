"""
What the parts of a world file are made of: the fields that several share.
"""

from __future__ import annotations

import datetime

from typing import Annotated

import msgspec

from msgspec import Meta

from thim.simulate.explain import CSP_ID, DURATION, HW_ID, MANIFEST


Instant = Annotated[datetime.datetime, Meta(tz=True)]
Duration = Annotated[str, Meta(pattern=DURATION)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Serial = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{1,40}\Z")]
Hex2 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{4}\Z")]
Hex4 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}\Z")]
Hex6 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{12}\Z")]
Hex16 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{32}\Z")]
Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z")]
Hex384 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{768}\Z")]
Manifest = Annotated[str, Meta(pattern=MANIFEST)]
HwId = Annotated[str, Meta(pattern=HW_ID)]
CspId = Annotated[str, Meta(pattern=CSP_ID)]


class Part(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A part of the world; a field that it does not have is an error."""
