"""
A report as a client of the admin port asks for it.

The fields are those of ``SnpBody``, in hexadecimal digits; numbers are numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from msgspec import Meta

from thim.simulate.hcl import make_hcl_report
from thim.simulate.parts import Name
from thim.simulate.quote_request import from_hex, types_of
from thim.simulate.snp_body import SnpBody
from thim.simulate.snp_evidence import ReportOrder, SigningKey, make_report


if TYPE_CHECKING:
    from thim.simulate.amd import SimulatedAmd

UserData = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{128}\Z")]


class _Hcl(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """How a report is wrapped."""

    user_data: UserData = "00" * 64


class _Request(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    chip: Name
    signing_key: SigningKey = SigningKey.VCEK
    hcl: _Hcl | None = None

    def make(self, amd: SimulatedAmd) -> bytes:
        """
        Make what is asked for.
        """
        order = self.to_order()
        if self.hcl is None:
            return make_report(amd, order)
        user_data = bytes.fromhex(self.hcl.user_data)
        return make_hcl_report(amd, order, user_data=user_data)

    def to_order(self) -> ReportOrder:
        """
        Make an order of it.
        """
        written = msgspec.structs.asdict(self)
        return ReportOrder(
            chip=self.chip,
            signing_key=self.signing_key,
            fields={
                name: from_hex(written[name])
                for name in SnpBody.layout
                if written[name] is not None
            },
        )


#: What a client may ask.
ReportRequest: Final[Any] = msgspec.defstruct(
    "ReportRequest",
    types_of(SnpBody),
    bases=(_Request,),
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)
