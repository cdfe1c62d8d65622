"""
Collateral that is not Intel's, or not what it is said to be.
"""

import json

import pytest

from tests.http.administration import (
    AT,
    COUNTS,
    HEX,
    NOTHING,
    V4,
    certified,
    chain,
    named,
    upload,
    with_platform,
)
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.simulate.pki import Intel


PUT = f"{V4}/platformcollateral"
FORGER = Intel(seed="forger")


def forge_tcb(intel):
    """
    A TCB info with one digit changed.
    """
    info = json.loads(intel.tcb_info(fmspc=HEX))
    info["tcbInfo"]["tcbEvaluationDataNumber"] = 99
    return {"tcbinfos": [{"fmspc": HEX, "sgx_tcbinfo": info}]}


def forge_chain(_intel):
    """
    The chain of somebody else's Intel.
    """
    chains = upload(FORGER)["collaterals"]["certificates"]
    return {"certificates": chains}


FORGERIES = {
    "tcb": forge_tcb,
    "chain": forge_chain,
    "identity": lambda _: {"qeidentity": FORGER.identity().decode()},
    "crl": lambda _: {"pckcacrl": {"platformCrl": FORGER.pck_crl().hex()}},
    "root-crl": lambda _: {"rootcacrl": FORGER.root_crl().hex()},
    "pck": lambda _: {"pck_certs": [certified(FORGER, "one", AT)]},
    "no-pck": lambda intel: {
        "pck_certs": [
            {
                **named("one"),
                "enc_ppid": "",
                "certs": [
                    {
                        "tcb": {},
                        "tcbm": "00" * 18,
                        "cert": chain(intel.platform_ca),
                    }
                ],
            }
        ]
    },
    "leaf": lambda intel: {
        "certificates": {
            "SGX-PCK-Certificate-Issuer-Chain": {},
            "TCB-Info-Issuer-Chain": chain(FORGER.signer, intel.root),
        }
    },
}


class TestForged:
    @pytest.mark.parametrize("name", FORGERIES)
    def test_forged(self, pccs, intel, name):
        """
        One forged part, and nothing of the upload is kept; the part is in
        quarantine.
        """
        body = upload(intel, **FORGERIES[name](intel))
        got = pccs.send("PUT", PUT, body)

        assert 460 == got.status
        assert got.body.startswith(
            b"The integrity of the data can't be verified. "
        )
        assert NOTHING == pccs.rows(COUNTS)
        assert [(1,)] == pccs.rows("SELECT count(*) FROM quarantine")

    def test_whole(self, pccs):
        """
        Nor is anything of a whole PKI that is not Intel's.
        """
        got = pccs.send("PUT", PUT, with_platform(FORGER, AT))

        assert (460, "root-untrusted") == (got.status, got["thim-reason"])
        assert NOTHING == pccs.rows(COUNTS)

    def test_second_machine(self, pccs, intel):
        """
        Certificates of another machine than the one that the QE ID is known
        for are refused.
        """
        pccs.send("PUT", PUT, with_platform(intel, AT))
        before = pccs.rows(COUNTS)
        other = certified(intel, "one", AT, ppid=b"another PPID....")
        got = pccs.send("PUT", PUT, upload(intel, pck_certs=[other]))

        assert (460, "ppid-conflict") == (got.status, got["thim-reason"])
        assert before == pccs.rows(COUNTS)

    def test_fork(self, pccs, intel):
        """
        A second document of one issue date is refused.
        """
        pccs.send("PUT", PUT, upload(intel))
        other = intel.tcb_info(fmspc=HEX, changes={"extra": 1})
        infos = [{"fmspc": HEX, "sgx_tcbinfo": json.loads(other)}]
        got = pccs.send("PUT", PUT, upload(intel, tcbinfos=infos))

        assert (460, "fork") == (got.status, got["thim-reason"])

    def test_revoked(self, pccs, intel):
        """
        A signer that the root CRL beside it lists is not believed.
        """
        serial = intel.signer.serial_number
        crl = intel.root_crl(revoked=[serial]).hex()
        got = pccs.send("PUT", PUT, upload(intel, rootcacrl=crl))

        assert 460 == got.status
        assert NOTHING == pccs.rows(COUNTS)

    @pytest.mark.parametrize(
        "changes",
        [
            lambda intel: {
                "qeidentity": intel.identity(kind=EnclaveKind.QVE).decode()
            },
            lambda intel: {
                "pckcacrl": {
                    "platformCrl": intel.pck_crl(ca=PckCa.PROCESSOR).hex()
                }
            },
            lambda intel: {
                "tcbinfos": [
                    {
                        "fmspc": HEX,
                        "sgx_tcbinfo": json.loads(
                            intel.tcb_info(fmspc=HEX, tee=Tee.TDX)
                        ),
                    }
                ]
            },
            lambda intel: {
                "tcbinfos": [
                    {
                        "fmspc": "0" * 12,
                        "sgx_tcbinfo": json.loads(intel.tcb_info(fmspc=HEX)),
                    }
                ]
            },
        ],
    )
    def test_wrong_place(self, pccs, intel, changes):
        """
        A genuine document in another one's place is a mistake: a 400, and no
        case for quarantine.
        """
        got = pccs.send("PUT", PUT, upload(intel, **changes(intel)))

        assert (400, "wrong-subject") == (got.status, got["thim-reason"])
        assert NOTHING == pccs.rows(COUNTS)
        assert [(0,)] == pccs.rows("SELECT count(*) FROM quarantine")
