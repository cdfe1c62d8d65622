"""
What is asked for in the tests, and how answers to it are changed.
"""

import datetime

from tests.client.fake import Said
from tests.http.conftest import FMSPC
from thim.client import PckCa, PlatformModel, Tee


METHOD = "verification_collateral"
SGX = PlatformModel(tee=Tee.SGX, fmspc=bytes.fromhex(FMSPC), ca=PckCa.PLATFORM)
TDX = PlatformModel(tee=Tee.TDX, fmspc=bytes.fromhex(FMSPC), ca=PckCa.PROCESSOR)
DAY = datetime.timedelta(days=1)
TCB, QE, CRL = "/sgx/certification/v4/tcb?", "/v4/qe/identity", "/v4/pckcrl"


def header(name, value):
    """
    A change of one header; None takes it away.
    """

    def change(said):
        kept = {k: v for k, v in said.headers.items() if k != name}
        return Said(
            said.status,
            kept if value is None else {**kept, name: value},
            said.body,
        )

    return change


def body(raw):
    """
    A change of the body.
    """
    return lambda said: Said(said.status, said.headers, raw)


def status(number, **headers):
    """
    A change to another status.
    """
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return lambda said: Said(number, named)
