"""
What a document proves of another: revocation lists, and quotes.
"""

from tests.client.doctor.looking import (
    changed,
    facts,
    look,
    make_wish,
    names,
    target,
)
from tests.client.doctor.test_site import TCB_INFO, question
from tests.client.wishes import CRL, SGX, TDX, body, status
from tests.http.conftest import ISSUED
from thim.intel.quote import Quote
from thim.simulate.pck import Platform
from thim.simulate.quote import make_tdx_quote_v4


class TestRootCrl:
    def test_signer(self, doctored, intel):
        """
        What a signer has signed whom the root has revoked is an error.
        """
        crl = intel.root_crl(
            issued=ISSUED, revoked=[intel.signer.serial_number]
        )
        wish = make_wish(intel, models=(SGX,))
        found = changed(doctored, wish, paths={"rootcacrl": body(crl)})

        assert {("error", "revoked")} == set(names(found))
        assert "NOT genuine" == facts(found)[TCB_INFO]
        assert "Intel has revoked" in found.troubles[0].cause

    def test_pck_ca(self, doctored, intel):
        """
        So is the certificate of a platform whose CA the root has revoked.
        """
        crl = intel.root_crl(
            issued=ISSUED, revoked=[intel.platform_ca.serial_number]
        )
        wish = make_wish(intel, platforms=(("line 1", question()),))
        found = changed(doctored, wish, paths={"rootcacrl": body(crl)})

        assert "NOT genuine" == facts(found)["PCK certificate (line 1)"]
        assert ("error", "revoked") in names(found)
        assert ("error", "no-issuer-chain") not in names(found)

    def test_forged(self, doctored, intel):
        """
        A list that is not the root's revokes nobody.
        """
        crl = intel.root_crl(
            issued=ISSUED, revoked=[intel.signer.serial_number]
        )
        forged = crl[:-1] + bytes([crl[-1] ^ 1])
        wish = make_wish(intel, models=(SGX,))
        found = changed(doctored, wish, paths={"rootcacrl": body(forged)})

        assert 1 == len(found.troubles)
        assert facts(found)[TCB_INFO].startswith("genuine")
        assert "NOT genuine" == facts(found)["CRL of the root CA"]


class TestQuote:
    def test_missing(self, doctored, intel):
        """
        Without all that it needs a quote is not verified.
        """
        raw = make_tdx_quote_v4(intel, Platform(fmspc=TDX.fmspc, ca=TDX.ca))
        wish = make_wish(intel, models=(TDX,), quote=Quote(raw))
        found = changed(doctored, wish, paths={CRL: status(404)})

        assert [("error", "status-404")] == names(found)
        assert "quote" not in facts(found)

    def test_behind(self, doctored, intel):
        """
        A quote of a platform that is behind is authentic, and warned of.
        """
        platform = Platform(fmspc=TDX.fmspc, ca=TDX.ca, pcesvn=0)
        raw = make_tdx_quote_v4(intel, platform)
        wish = make_wish(intel, models=(TDX,), quote=Quote(raw))
        found = look(wish, target(doctored.url))

        assert ("warning", "tcb-behind") in names(found)
        assert facts(found)["quote"].startswith("authentic, ")
