"""
The names that Intel gives to TEEs, enclaves, authorities and rhythms.
"""

from __future__ import annotations

import enum


class Tee(enum.Enum):
    """A trusted execution environment, as ``id`` of a TCB info spells it."""

    SGX = "SGX"
    TDX = "TDX"


class EnclaveKind(enum.Enum):
    """Whose identity it is: ``id`` of an enclave identity."""

    QE = "QE"
    QVE = "QVE"
    TD_QE = "TD_QE"
    QAE = "QAE"


class PckCa(enum.Enum):
    """Which authority issued a PCK certificate, as ``ca=`` spells it."""

    PROCESSOR = "processor"
    PLATFORM = "platform"


class Update(enum.Enum):
    """Intel's two rhythms of TCB recovery: the parameter ``update``."""

    EARLY = "early"
    STANDARD = "standard"
