import datetime
import urllib.parse

import pytest

from tests.client.doctor.looking import (
    changed,
    facts,
    look,
    make_wish,
    names,
    target,
)
from tests.client.fake import Said, faking, nobody, replaying
from tests.client.wishes import CRL, QE, SGX, TCB, TDX, body, header, status
from tests.http.conftest import FMSPC, ISSUED
from tests.platforms import platform_id, tcbm
from thim.client.doctor.model import Kind
from thim.client.sources import PckQuestion
from thim.collateral.anchors import VENDOR_ROOTS
from thim.intel.pck import PckCertificate
from thim.intel.quote import Quote
from thim.simulate.pck import Platform
from thim.simulate.pki import Intel
from thim.simulate.quote import make_tdx_quote_v4
from thim.x509.chain import parse_pem_chain


IMDS = "/metadata/THIM/sgx/certification/v4/"
IDENTITY = f"/sgx/certification{QE}"
DAY = datetime.timedelta(days=1)
TCB_INFO = f"TCB info (SGX, {FMSPC})"


def question(who="one"):
    """
    Ask for the certificate of a platform.
    """
    return PckQuestion(
        qe_id=platform_id(who).qe_id, raw_tcb=tcbm(4, 4), pce_id=b"\0\0"
    )


class TestWell:
    def test_all(self, doctored, intel):
        """
        Of a service that is well nothing is found, and each document is told
        of: genuine, how long it lasts, number, baseline, signer.
        """
        found = look(make_wish(intel, models=(SGX, TDX)), target(doctored.url))
        told = facts(found)

        assert [] == names(found)
        assert "number 19, baseline default" in told[TCB_INFO]
        assert "(17.5 days left)" in told[TCB_INFO]
        assert "signed by 'Intel SGX TCB Signing'" in told["TD_QE identity"]
        assert told["CRL of the root CA"].startswith("genuine, issued 2026-08")
        assert told["clock"].endswith("the service's")

    def test_once(self, doctored, intel):
        """
        A service that several clients are told to ask is asked once.
        """
        paths = ("", "/", "/sgx/certification/v4/", "/tdx/certification")
        listed = [target(doctored.url + path, by=path) for path in paths]
        found = look(make_wish(intel), *listed)

        assert 1 == len(found.sections)
        assert "; /; /sgx/" in facts(found)["asked by"]

    def test_platform(self, doctored, intel):
        """
        The certificate of a platform is verified; its FMSPC is asked for then.
        """
        wish = make_wish(intel, platforms=(("line 1", question()),))
        found = look(wish, target(doctored.url))
        told = facts(found)

        assert "genuine, FMSPC 00606A000000" in told["PCK certificate (line 1)"]
        assert "status 404" in told["TCB info (SGX, 00606A000000)"]

    def test_quote(self, doctored, intel):
        """
        A quote is verified with what comes.
        """
        raw = make_tdx_quote_v4(intel, Platform(fmspc=TDX.fmspc, ca=TDX.ca))
        wish = make_wish(
            intel, models=(TDX,), cas=frozenset({TDX.ca}), quote=Quote(raw)
        )
        found = look(wish, target(doctored.url))
        spoilt = bytearray(raw)
        spoilt[200] ^= 1
        wish = make_wish(intel, models=(TDX,), quote=Quote(bytes(spoilt)))
        refused = look(wish, target(doctored.url))

        assert facts(found)["quote"].startswith("authentic, ")
        assert ("error", "quote-refused") in names(refused)


class TestMissing:
    def test_platform(self, doctored, intel):
        """
        A platform that the service does not know is an error that says what
        mends it, without the ID of the machine.
        """
        wish = make_wish(intel, platforms=(("line 1", question("two")),))
        (trouble,) = look(wish, target(doctored.url)).troubles

        assert "status-404: PCK certificate (line 1)" == trouble.what
        assert "thim platform import" in trouble.mend
        assert platform_id("two").qe_id.hex() not in str(trouble).lower()

    @pytest.mark.parametrize(
        ("number", "mend"),
        [
            (401, "network"),
            (403, "network"),
            (410, "v4"),
            (429, "collateral_rate"),
            (500, "log"),
            (503, "thim upstream check"),
            (302, "address"),
        ],
    )
    def test_status(self, doctored, intel, number, mend):
        """
        Each status has its cause and mend; several documents are one finding.
        """
        paths = {CRL: status(number)}
        found = changed(doctored, make_wish(intel), paths=paths)
        (trouble,) = found.troubles

        assert "CRL of the PROCESSOR CA, CRL of the PLATFORM CA" in (
            trouble.what.replace("processor", "PROCESSOR").replace(
                "platform", "PLATFORM"
            )
        )
        assert mend in trouble.mend
        assert trouble.cause

    def test_no_tdx(self, doctored, intel):
        """
        That there is no TDX matters only to who asks for it.
        """
        paths = {"/tdx/": status(404)}
        without = changed(doctored, make_wish(intel), paths=paths)
        wish = make_wish(intel, models=(TDX,))

        assert [] == names(without)
        assert [("error", "status-404")] == names(
            changed(doctored, wish, paths=paths)
        )

    def test_nobody(self, intel):
        """
        Where nobody listens no question is asked.
        """
        found = look(make_wish(intel), target(nobody()))

        assert [("error", "refused")] == names(found)
        assert "QE identity" not in facts(found)


class TestBad:
    @pytest.mark.parametrize(
        ("path", "change", "name"),
        [
            (TCB, body(b"<html>"), "json"),
            (TCB, header("tcb-info-issuer-chain", "x"), "malformed"),
            (QE, header("sgx-enclave-identity-issuer-chain", "x"), "malformed"),
            (CRL, body(b"\x30\x82\x01\x01x"), "crl"),
        ],
    )
    def test_unreadable(self, doctored, intel, path, change, name):
        """
        What is not what was asked for is an error.
        """
        wish = make_wish(intel, models=(SGX,))
        found = changed(doctored, wish, paths={path: change})

        assert {("error", name)} == set(names(found))
        assert "unreadable" in facts(found).values()

    def test_forged(self, doctored, intel):
        """
        A document that was changed on the way is not genuine.
        """

        def spoil(said):
            return body(said.body.replace(b'"UpToDate"', b'"Revoked"'))(said)

        wish = make_wish(intel, models=(SGX,))
        found = changed(doctored, wish, paths={TCB: spoil})

        assert [("error", "signature-invalid")] == names(found)
        assert "NOT genuine" == facts(found)[TCB_INFO]
        assert "changed on the way" in found.troubles[0].cause

    def test_other_roots(self, doctored):
        """
        What is signed under other roots is believed by nobody.
        """
        wish = make_wish(Intel(), anchors=VENDOR_ROOTS)
        found = look(wish, target(doctored.url))

        assert {("error", "root-untrusted")} == set(names(found))
        assert "simulation" in found.troubles[0].cause

    def test_mixed(self, pcs_served, intel):
        """
        Documents of two numbers are an error: no verifier may mix them.
        """

        def other(_):
            got = pcs_served.get(f"/baseline/20{IDENTITY}")
            kept = {k: v for k, v in got.headers if k.startswith("sgx-")}
            return Said(200, kept, got.body)

        wish = make_wish(intel, models=(SGX,))
        found = changed(pcs_served, wish, paths={IDENTITY: other})

        assert ("error", "mixed") in names(found)

    @pytest.mark.parametrize("is_forged", [False, True])
    def test_revoked(self, doctored, intel, is_forged):
        """
        A platform that Intel has revoked is an error; a list that is not
        Intel's revokes nobody.
        """
        parameters = urllib.parse.urlencode(question().parameters())
        got = doctored.get(f"{IMDS}pckcert?{parameters}", {"metadata": "true"})
        (leaf,) = parse_pem_chain(got.json["pckCert"].encode())
        crl = intel.pck_crl(
            ca=PckCertificate.from_certificate(leaf).ca,
            issued=ISSUED,
            revoked=[leaf.serial_number],
        )
        forged = crl[:-1] + bytes([crl[-1] ^ is_forged])
        wish = make_wish(intel, platforms=(("line 1", question()),))
        found = changed(doctored, wish, paths={CRL: body(forged)})

        assert is_forged is (("error", "pck-revoked") not in names(found))
        told = facts(found)["PCK certificate (line 1)"]
        assert ("genuine" if is_forged else "REVOKED") == told.partition(",")[0]


class TestTargets:
    @pytest.mark.parametrize(
        "url", ["thim.example", "https://a b/", "http://["]
    )
    def test_no_url(self, intel, url):
        """
        What is no URL is an error, and asked by nobody.
        """
        assert [("error", "bad-url")] == names(
            look(make_wish(intel), target(url))
        )

    def test_user(self, doctored, intel):
        """
        A user and password in a URL are warned of, and not sent.
        """
        with faking(replaying(doctored, {})) as fake:
            url = fake.url.replace("://", "://bob:hunter2@")
            found = look(make_wish(intel), target(url))
            sent = str(fake.headers)

        assert [("warning", "user-in-url")] == names(found)
        assert "authorization" not in sent
        assert "hunter2" not in str(found)

    def test_agent(self, doctored, intel):
        """
        Of an agent any answer will do.
        """
        agent = target(f"{doctored.url}{IMDS}", Kind.AGENT)
        silent = target(f"{nobody()}/metadata/", Kind.AGENT)

        assert (
            "thim answers, 400" in facts(look(make_wish(intel), agent))["agent"]
        )
        assert [("warning", "agent-silent")] == names(
            look(make_wish(intel), silent)
        )
