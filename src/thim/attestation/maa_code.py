"""
The error codes of Azure Attestation that verifying evidence ends in.
"""

from __future__ import annotations

from typing import Final


INVALID_OPERATION: Final = "InvalidOperation"
INVALID_PARAMETER: Final = "InvalidParameter"
INVALID_QUOTE: Final = "InvalidQuote"
#: Not Azure's: it documents no code for what a retry may help.
SERVICE_UNAVAILABLE: Final = "ServiceUnavailable"
