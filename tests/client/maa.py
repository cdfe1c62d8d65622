"""
Real attestations of the corpus, as far as a relying party sees them.
"""

from __future__ import annotations

import datetime
import os

from pathlib import Path

import pytest

from thim.client.jws import read_jws
from thim.client.signer import Signer, read_signers


CORPUS = Path(os.environ.get("THIM_CORPUS", "../shared/corpus"))
FOLDER = CORPUS / "attestation" / "sgx-2021"
SHARED = "https://sharedwus.wus.attest.azure.net"


def read(path: str) -> bytes:
    """
    Return a file of the corpus; skip where there is none.
    """
    file = CORPUS / path
    if not file.is_file():
        pytest.skip(f"no corpus at {CORPUS}")
    return file.read_bytes()


def read_token(name: str) -> str:
    """
    Return a token of 2021.
    """
    return read(f"attestation/sgx-2021/{name}.jwt").decode("ascii").strip()


def shared_signers() -> tuple[Signer, ...]:
    """
    Return what the shared provider published in 2021.
    """
    return read_signers(read("attestation/sgx-2021/certs_sharedwus.json"))


def issued(token: str) -> datetime.datetime:
    """
    Return when *token* says that it was issued.
    """
    seconds = read_jws(token).payload["iat"]
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
