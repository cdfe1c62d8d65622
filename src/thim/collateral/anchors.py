"""
The vendors' root keys that thim ships.
"""

from __future__ import annotations

from typing import Final

from thim.amd.authorities import AMD_ROOTS
from thim.intel.authorities import INTEL_SGX_ROOT
from thim.x509.chain import TrustAnchors


#: One set for all vendors: a root counts by its name and its key, and no name
#: is that of two vendors.
VENDOR_ROOTS: Final = TrustAnchors(
    spki_sha256=INTEL_SGX_ROOT.spki_sha256 | AMD_ROOTS.spki_sha256
)
