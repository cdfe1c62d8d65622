"""
Evidence of the chips of a world: SEV-SNP reports as a genuine machine gives
them, signed by its VCEK or VLEK.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError, ParameterError
from thim.simulate.amd_part import hw_id_of
from thim.simulate.amd_pki import Endorsed
from thim.simulate.chip import CHIP_ID_SIZE
from thim.simulate.snp_body import SnpBody, write_signature


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thim.simulate.amd import SimulatedAmd
    from thim.simulate.amd_part import ChipPart

_ECDSA: Final = ec.ECDSA(hashes.SHA384(), deterministic_signing=True)
_UNSIGNED: Final = write_signature(0, 0)
_AUTHOR_KEY_EN: Final = 1
_SIGNING_KEY: Final = 2
#: The builds of firmware 1.55 that make reports of the older versions.
_BUILDS: Final = {2: 24, 3: 40}
_NEW_BUILDS: Final = {ProductLine.TURIN: 65}
_NEW_BUILD: Final = 49
_MIT_VECTORS: Final = {ProductLine.TURIN: 0x3F}
_MIT_VECTOR: Final = 0xB


class SigningKey(enum.Enum):
    """Which key signs a report."""

    VCEK = "vcek"
    VLEK = "vlek"
    NONE = "none"

    @property
    def number(self) -> int:
        """
        How a report says it.
        """
        return {"vcek": 0, "vlek": 1, "none": 7}[self.value]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReportOrder:
    """
    A report to be made.

    Attributes:
        chip: The name of the chip in the world.
        signing_key: Which key signs it; with none the signature is zeros.
        fields: What the report says, by the names of the fields of
            ``SnpBody``; the rest is as a genuine machine has it.
    """

    chip: str
    signing_key: SigningKey = SigningKey.VCEK
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def make_report(amd: SimulatedAmd, order: ReportOrder) -> bytes:
    """
    Make a report as the chip would.

    The key is that of its ``reported_tcb``, if that is a TCB version at all.

    Raises:
        ParameterError: There is no such chip, it has no VLEK, or a field
            cannot be used.
    """
    part = amd.chip_named(order.chip)
    body = _make_body(amd, part, order)
    signed = body.to_bytes()
    if order.signing_key is SigningKey.NONE:
        return signed + _UNSIGNED
    endorsed = _find_endorsed(amd, part, order, body)
    key = amd.pki.endorsement_key(endorsed)
    return signed + write_signature(
        *utils.decode_dss_signature(key.sign(signed, _ECDSA))
    )


def _find_endorsed(
    amd: SimulatedAmd, part: ChipPart, order: ReportOrder, body: SnpBody
) -> Endorsed:
    try:
        tcb = TcbVersion.from_bytes(body.reported_tcb, part.product)
    except MalformedError:
        tcb = part.tcb_called("reported")
    if order.signing_key is SigningKey.VCEK:
        return amd.vcek_of(part, tcb)
    if part.csp_id is None:
        expected = f"but {part.name} has no VLEK"
        raise ParameterError("signing_key", "vlek", expected)
    return Endorsed(tcb=tcb, csp_id=part.csp_id)


def _make_body(
    amd: SimulatedAmd, part: ChipPart, order: ReportOrder
) -> SnpBody:
    fields = order.fields
    if unknown := sorted(fields.keys() - SnpBody.layout.keys()):
        expected = f"expected one of {', '.join(SnpBody.layout)}"
        raise ParameterError("field", unknown[0], expected)
    version = fields.get("version", SnpBody().version)
    author = any(fields.get("author_key_digest", b""))
    genuine: dict[str, Any] = {
        "flags": order.signing_key.number << _SIGNING_KEY
        | (_AUTHOR_KEY_EN if author else 0),
        **_tcbs(part),
        **_version_fields(part, version),
    }
    if order.signing_key is SigningKey.VCEK:
        hw_id = hw_id_of(amd.world, part)
        genuine["chip_id"] = hw_id.ljust(CHIP_ID_SIZE, b"\0")
    return SnpBody(**{**genuine, **fields})


def _tcbs(part: ChipPart) -> dict[str, bytes]:
    names = ("reported", "committed", "current", "launch")
    return {f"{n}_tcb": part.tcb_called(n).to_bytes() for n in names}


def _version_fields(part: ChipPart, version: int) -> dict[str, Any]:
    """Return what a report of *version* has, and others have not."""
    new = _NEW_BUILDS.get(part.product, _NEW_BUILD)
    firmware = bytes([_BUILDS.get(version, new), 55, 1, 0])
    found: dict[str, Any] = {
        "current_version": firmware,
        "committed_version": firmware,
    }
    if version < 3:
        return {**found, "platform_info": 1}
    found["cpuid_fam_id"] = part.processor.family
    found["cpuid_mod_id"] = part.processor.model
    found["cpuid_step"] = part.processor.stepping
    if version >= 5:
        vector = _MIT_VECTORS.get(part.product, _MIT_VECTOR)
        found["launch_mit_vector"] = vector
        found["current_mit_vector"] = vector
    return found
