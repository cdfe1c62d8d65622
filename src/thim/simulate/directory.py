"""
The machines of a world by the names that requests have for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.errors import NotFoundError
from thim.simulate.identifiers import (
    MANIFEST_HEADER,
    enc_ppid_of,
    manifest_of,
)
from thim.simulate.refusals import CodedError


if TYPE_CHECKING:
    from thim.simulate.pck_request import Wanted
    from thim.simulate.platform_part import PlatformPart
    from thim.simulate.world import World


class Directory:
    """
    The machines of *world*.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        parts = world.platforms
        self._by_enc_ppid = {enc_ppid_of(part): part for part in parts}
        self._by_manifest = {
            manifest: part for part in parts if (manifest := manifest_of(part))
        }

    def find(self, wanted: Wanted) -> PlatformPart:
        """
        Return the machine that *wanted* names.

        Raises:
            NotFoundError: There is none.
            CodedError: A manifest that is none.
        """
        if wanted.manifest is not None:
            part = self.find_by_manifest(wanted.manifest)
        else:
            part = self._by_enc_ppid.get(wanted.enc_ppid or b"")
        if part is None or bytes.fromhex(part.pce_id) != wanted.pce_id:
            msg = "no platform of this PPID or manifest, and PCE ID"
            raise NotFoundError(msg)
        return part

    def find_by_manifest(self, manifest: bytes) -> PlatformPart | None:
        """
        Return the machine of *manifest*, None where it is unknown.

        Raises:
            CodedError: It is no manifest.
        """
        part = self._by_manifest.get(manifest)
        if part is None and not manifest.startswith(MANIFEST_HEADER):
            code = "InvalidPlatformManifest"
            raise CodedError(code, "this is no platform manifest")
        return part
