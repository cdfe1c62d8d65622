"""
Collateral that pccsadmin puts: all of it is kept, or nothing.
"""

import datetime
import json

import pytest

from tests.http.administration import (
    AT,
    COUNTS,
    HEX,
    NOTHING,
    V3,
    V4,
    pckcert,
    to_body,
    upload,
    with_platform,
)
from tests.platforms import NOW
from thim.simulate.pki import ISSUED


PUT = f"{V4}/platformcollateral"
DAY = datetime.timedelta(days=1)


class TestTaken:
    def test_answer(self, pccs, intel):
        """
        Everything that the tool's file holds is taken, and served to the byte.
        """
        got = pccs.send("PUT", PUT, with_platform(intel, AT))
        tcb = pccs.served.get(f"{V4}/tcb?fmspc={HEX}")

        assert (200, b"Operation successful.") == (got.status, got.body)
        assert "text/html; charset=utf-8" == got["content-type"]
        assert "thim-left-out" not in got
        assert intel.tcb_info(fmspc=HEX) == tcb.body
        assert [(8, 4, 1, 1, 1)] == pccs.rows(COUNTS)

    @pytest.mark.parametrize(
        "write",
        [
            to_body,
            lambda body: json.dumps(body, separators=(",", ":")).encode(),
            lambda body: json.dumps(body, indent=2).encode(),
        ],
    )
    def test_white_space(self, pccs, intel, write):
        """
        However the file was written out again, it is what Intel signed that
        is kept.
        """
        got = pccs.send("PUT", PUT, write(upload(intel)))
        tcb = pccs.served.get(f"{V4}/tcb?fmspc={HEX}")

        assert 200 == got.status
        assert intel.tcb_info(fmspc=HEX) == tcb.body

    def test_signed_white_space(self, pccs, intel):
        """
        A document that was signed with white space in it is taken as it is.
        """
        signed = json.dumps(
            json.loads(intel.tcb_info(fmspc=HEX))["tcbInfo"], indent=1
        )
        odd = intel.sign("tcbInfo", signed.encode())
        body = json.dumps(upload(intel, tcbinfos=["HERE"])).replace(
            '"HERE"', f'{{"fmspc":"{HEX}","sgx_tcbinfo":{odd.decode()}}}'
        )
        got = pccs.send("PUT", PUT, body.encode())

        assert 200 == got.status
        assert odd == pccs.served.get(f"{V4}/tcb?fmspc={HEX}").body

    @pytest.mark.parametrize("structure", [2, 3])
    def test_v3(self, pccs, intel, structure):
        """
        A v3 body is taken too, and selected by with either layout.
        """
        info = intel.tcb_info(fmspc=HEX, structure=structure)
        infos = [{"fmspc": HEX, "tcbinfo": json.loads(info)}]
        body = with_platform(intel, AT, tcbinfos=infos)
        del body["collaterals"]["version"]
        chains = body["collaterals"]["certificates"]
        chains["SGX-TCB-Info-Issuer-Chain"] = chains.pop(
            "TCB-Info-Issuer-Chain"
        )
        got = pccs.send("PUT", f"{V3}/platformcollateral", body)

        assert 200 == got.status
        assert 200 == pckcert(pccs, AT).status

    def test_early(self, pccs, intel):
        """
        What is called early is a document of its number like any other.
        """
        early = {
            "sgx_tcbinfo_early": json.loads(
                intel.tcb_info(fmspc=HEX, number=18)
            )
        }
        infos = [{**upload(intel)["collaterals"]["tcbinfos"][0], **early}]
        body = upload(
            intel,
            tcbinfos=infos,
            qeidentity_early=intel.identity(number=18).decode(),
        )
        pccs.send("PUT", PUT, body)
        got = pccs.served.get(f"/baseline/18{V4}/tcb?fmspc={HEX}")

        assert "18" == got["thim-evaluation-number"]

    def test_older(self, pccs, intel):
        """
        Older documents than those that are there go into the archive, and
        nothing else changes.
        """
        pccs.send("PUT", PUT, upload(intel))
        old = intel.tcb_info(fmspc=HEX, issued=ISSUED - DAY, next_update=NOW)
        infos = [{"fmspc": HEX, "sgx_tcbinfo": json.loads(old)}]
        got = pccs.send("PUT", PUT, upload(intel, tcbinfos=infos))
        tcb = pccs.served.get(f"{V4}/tcb?fmspc={HEX}")

        assert 200 == got.status
        assert intel.tcb_info(fmspc=HEX) == tcb.body
        assert [(9,)] == pccs.rows("SELECT count(*) FROM records")

    def test_again(self, pccs, intel):
        """
        The same once more changes nothing.
        """
        statuses = [pccs.send("PUT", PUT, upload(intel)).status for _ in "ab"]

        assert [200, 200] == statuses
        assert [(8,)] == pccs.rows("SELECT count(*) FROM records")

    @pytest.mark.parametrize("known", [True, False])
    def test_both_cases(self, pccs, intel, known):
        """
        Intel signs an FMSPC in the case in which it was asked for, and the
        tool asks in both: that is one statement, of which the first counts.
        """
        if known:
            pccs.send("PUT", PUT, upload(intel))
        infos = [
            {
                "fmspc": fmspc,
                "sgx_tcbinfo": json.loads(intel.tcb_info(fmspc=fmspc)),
            }
            for fmspc in (HEX, HEX.lower())[int(known) :]
        ]
        got = pccs.send("PUT", PUT, upload(intel, tcbinfos=infos))
        tcb = pccs.served.get(f"{V4}/tcb?fmspc={HEX}")

        assert 200 == got.status
        assert intel.tcb_info(fmspc=HEX) == tcb.body

    def test_unknown_ca(self, pccs, intel):
        """
        A CRL of a CA whose certificate neither came with it nor is known is
        left out, since it cannot be verified: the tool sends both CRLs, but
        only the chains of the CAs that it has met.
        """
        chains = upload(intel)["collaterals"]["certificates"]
        pck = chains["SGX-PCK-Certificate-Issuer-Chain"]
        del pck["PROCESSOR"]
        got = pccs.send("PUT", PUT, upload(intel, certificates=chains))

        assert (200, "$.collaterals.pckcacrl.processorCrl") == (
            got.status,
            got["thim-left-out"],
        )
        assert [("platform",)] == pccs.rows(
            "SELECT subject FROM series WHERE kind = 'pck-crl'"
        )


class TestBody:
    @pytest.mark.parametrize(
        "missing", ["pck_certs", "tcbinfos", "certificates", "version"]
    )
    def test_missing(self, pccs, intel, missing):
        """
        What PCCS's schema demands is demanded.
        """
        body = upload(intel)
        del body["collaterals"][missing]
        got = pccs.send("PUT", PUT, body)

        assert 400 == got.status
        assert missing.encode() in got.body

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"version": 3}, b"version"),
            ({"rootcacrl": "0"}, b"rootcacrl"),
            ({"rootcacrl_cdp": "https://example.com/x.crl"}, b"rootcacrl_cdp"),
            ({"qeidentity": "{"}, b"qeidentity"),
            ({"qeidentity": {}}, b"qeidentity"),
            ({"tcbinfos": [{"fmspc": "x"}]}, b"tcbinfos[0].fmspc"),
            (
                {"tcbinfos": [{"fmspc": HEX, "sgx_tcbinfo": "text"}]},
                b"tcbinfos[0].sgx_tcbinfo",
            ),
            (
                {"certificates": {"SGX-PCK-Certificate-Issuer-Chain": "x"}},
                b"SGX-PCK-Certificate-Issuer-Chain",
            ),
            (
                {
                    "certificates": {
                        "SGX-PCK-Certificate-Issuer-Chain": {"PLATFORM": "x"}
                    }
                },
                b"SGX-PCK-Certificate-Issuer-Chain.PLATFORM",
            ),
        ],
    )
    def test_malformed(self, pccs, intel, changes, name):
        """
        What cannot be read is a 400 that names it.
        """
        got = pccs.send("PUT", PUT, upload(intel, **changes))

        assert 400 == got.status
        assert name in got.body
        assert NOTHING == pccs.rows(COUNTS)

    def test_empty(self, pccs, intel):
        """
        Empty texts stand for nothing, as in the tool's files.
        """
        empty = dict.fromkeys(
            ("qeidentity", "tdqeidentity", "qveidentity", "rootcacrl"), ""
        )

        assert 200 == pccs.send("PUT", PUT, upload(intel, **empty)).status

    def test_audited(self, pccs, intel):
        """
        It is written down who has put what.
        """
        pccs.send("PUT", PUT, with_platform(intel, AT))

        assert [("collateral-put", "admin")] == pccs.events()
