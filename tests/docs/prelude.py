"""
What notes on Python begin with, as ``prelude.sh`` is for the shell: what an
example has from the lines before it that it does not repeat.
"""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.client import Client, VerificationCollateral


#: What is imported here is not there for an example: it imports what it uses.
__all__ = [
    "a_client",
    "a_machine",
    "ask_for_tcb",
    "let_dcap_qvl_trust",
    "read",
    "some_collateral",
    "utc_now",
]
#: Where the service of `a_tls_service` answers, and the simulation behind it.
SERVICE: Final = "https://thim.example:8443"
SIMULATION: Final = "http://127.0.0.1:8182"


def read(name: str) -> bytes:
    """
    Return what is in a file of the page's.
    """
    return Path(name).read_bytes()


def utc_now() -> datetime:
    """
    Return the instant, which is the simulation's unless it was moved.
    """
    return datetime.now(UTC)


def a_client() -> Client:
    """
    Return a client of the page's service.
    """
    return Client(SERVICE)


def some_collateral() -> VerificationCollateral:
    """
    Return the collateral of the page's quote.
    """
    with a_client() as client:
        return client.verification_collateral(read("quote.bin"))


def let_dcap_qvl_trust(name: str) -> None:
    """
    Have dcap-qvl, which knows Intel's root only, verify by the root in the
    file *name*.
    """
    import dcap_qvl  # noqa: PLC0415 - slow

    certificate = x509.load_pem_x509_certificate(read(name))
    root = certificate.public_bytes(Encoding.DER)
    verify = dcap_qvl.verify_with_root_ca
    dcap_qvl.verify = lambda quote, collateral, now: verify(
        quote, collateral, root, now
    )


def a_machine() -> tuple[bytes, bytes, int, bytes]:
    """
    Return the QE ID, CPUSVN, PCESVN and PCE ID of a machine that the page's
    service knows.
    """
    told = json.loads(_ask(f"{SIMULATION}/platforms/ice-1"))
    tcb = told["raw_tcbs"][0]
    names = (told["qe_id"], tcb["cpusvn"], told["pce_id"])
    qe_id, cpusvn, pce_id = map(bytes.fromhex, names)
    wanted = (qe_id, cpusvn, tcb["pcesvn"], pce_id)
    with Client(SERVICE, cache=None) as client:
        client.pck_certificate(*wanted, bytes.fromhex(told["enc_ppid"]))
    return wanted


def ask_for_tcb(url: str, _: object) -> None:
    """
    Ask a simulation for a TCB info, which it refuses.
    """
    with contextlib.suppress(urllib.error.HTTPError):
        _ask(f"{url}/sgx/certification/v4/tcb?fmspc=00906ED50000")


def _ask(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own
        return bytes(answer.read())
