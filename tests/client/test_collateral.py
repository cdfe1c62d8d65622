import ctypes
import datetime
import json

import dcap_qvl
import pytest

from tests.client.fake import Said, faking, nobody, replaying
from tests.client.wishes import (
    CRL,
    METHOD,
    QE,
    SGX,
    TCB,
    TDX,
    body,
    header,
    status,
)
from tests.conformance.corpus import Corpus, instant
from tests.http.conftest import FMSPC, NOW
from tests.new_store import new_store
from tests.serving import serving
from thim.client import (
    BadAnswerError,
    CollateralNotFoundError,
    CollateralUnavailableError,
    PckCa,
    PlatformModel,
    RequestRefusedError,
    Tee,
)
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.ingest import ingest
from thim.simulate.pck import Platform
from thim.simulate.quote import make_tdx_quote_v4
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


class TestSet:
    @pytest.mark.parametrize("model", [SGX, TDX])
    def test_all(self, ask, pcs_served, intel, model):
        """
        One object holds everything, as it was served, of one number.
        """
        got = ask(
            pcs_served.url, METHOD, model, options={"with_qve_identity": True}
        )

        chain = to_pem([intel.signer, intel.root])
        ca = {
            PckCa.PLATFORM: intel.platform_ca,
            PckCa.PROCESSOR: intel.processor_ca,
        }[model.ca]
        tee = model.tee.value.lower()
        path = f"/{tee}/certification/v4"
        served = pcs_served.get(f"{path}/tcb?fmspc={FMSPC}").body
        identity = pcs_served.get(f"{path}/qe/identity").body
        crl = f"/sgx/certification/v4/pckcrl?ca={model.ca.value}&encoding=der"
        assert (model.tee, model.fmspc, model.ca) == (
            got.tee,
            got.fmspc,
            got.ca,
        )
        assert (served, identity) == (got.tcb_info, got.qe_identity)
        assert b'"id":"QVE"' in got.qve_identity
        assert pcs_served.get(crl).body == got.pck_crl
        assert chain == got.tcb_info_issuer_chain
        assert chain == got.qe_identity_issuer_chain
        assert chain == got.qve_identity_issuer_chain
        assert to_pem([ca, intel.root]) == got.pck_crl_issuer_chain
        assert got.root_ca_crl[:1] == b"\x30"
        assert (19, "default") == (
            got.tcb_evaluation_data_number,
            got.baseline,
        )
        assert ((), NOW, False) == (got.warnings, got.fetched, got.is_stale)

    def test_qve_unless_asked(self, ask, pcs_served):
        """
        The identity of the quote verification enclave is asked for on demand.
        """
        got = ask(pcs_served.url, METHOD, SGX)

        assert got.qve_identity is None
        assert got.qve_identity_issuer_chain is None

    def test_quote(self, ask, pcs_served, intel):
        """
        A quote stands for its platform's model.
        """
        platform = Platform(fmspc=bytes.fromhex(FMSPC), ca=PckCa.PROCESSOR)
        quote = make_tdx_quote_v4(intel, platform)

        assert ask(pcs_served.url, METHOD, TDX) == ask(
            pcs_served.url, METHOD, quote
        )

    @pytest.mark.parametrize(
        ("prefix", "number", "baseline"),
        [
            ("/baseline/20", 20, "20"),
            ("/baseline/early", 22, "early"),
            ("/sgx/certification/v4/", 19, "default"),
            ("/baseline/22/sgx/certification/v4/", 22, "22"),
        ],
    )
    def test_prefix(self, ask, pcs_served, prefix, number, baseline):
        """
        A prefix in the URL chooses the baseline; what PCCS writes behind the
        base is taken off.
        """
        got = ask(pcs_served.url + prefix, METHOD, SGX)

        assert (number, baseline) == (
            got.tcb_evaluation_data_number,
            got.baseline,
        )

    def test_expires(self, ask, pcs_served):
        """
        It expires with the first of its documents.
        """
        got = ask(pcs_served.url, METHOD, SGX)

        assert got.expires == min(
            instant(json.loads(raw)[name]["nextUpdate"])
            for raw, name in (
                (got.tcb_info, "tcbInfo"),
                (got.qe_identity, "enclaveIdentity"),
            )
        )
        assert not got.is_expired(got.expires)
        assert got.is_expired(got.expires + datetime.timedelta(seconds=1))

    def test_warnings(self, ask, pcs_served):
        """
        What an answer warns of is kept behind its document's name.
        """
        got = ask(f"{pcs_served.url}/at/2026-08-25", METHOD, SGX)

        assert len(got.warnings) == 4
        assert any("TCB info" in w and "as of" in w for w in got.warnings)

    def test_other_service(self, ask, pcs_served):
        """
        Another service says no baseline, gives CRLs as text, and one of two
        names to the chain of a TCB info.
        """
        crls = {
            path: pcs_served.get(f"/sgx/certification/v4/{path}").body
            for path in ("pckcrl?ca=platform", "rootcacrl?encoding=pem")
        }
        assert crls["pckcrl?ca=platform"][:4] == b"3082"
        changes = {
            "/v4/": header("thim-baseline", None),
            TCB: header("tcb-info-issuer-chain", None),
            CRL: body(crls["pckcrl?ca=platform"]),
            "rootcacrl": body(crls["rootcacrl?encoding=pem"]),
        }
        with faking(replaying(pcs_served, changes)) as fake:
            found = ask(fake.url, METHOD, SGX)
        other = ask(pcs_served.url, METHOD, SGX)

        # Of two changes to one path the last counts.
        assert other.pck_crl == found.pck_crl
        assert other.root_ca_crl == found.root_ca_crl
        assert found.tcb_info_issuer_chain == other.tcb_info_issuer_chain

    def test_clientid(self, ask, pcs_served):
        """
        The service is told who asks, if there is something to tell.
        """
        with faking(replaying(pcs_served, {})) as fake:
            ask(fake.url, METHOD, SGX, clientid="me")
            assert all("clientid=me" in path for path in fake.asked)
            fake.asked.clear()
            ask(fake.url, METHOD, SGX)
            assert not any("clientid" in path for path in fake.asked)
            assert len(fake.asked) == 4


class TestForms:
    def test_intel(self, pcs_served, ask):
        """
        The members are those of Intel's structure, sizes with their NUL.
        """
        got = ask(pcs_served.url, METHOD, TDX).to_quote_collateral_v3()

        assert 0x00010003 == got["version"]
        assert (3, 1) == (got["major_version"], got["minor_version"])
        assert 0x81 == got["tee_type"]
        sizes = [name for name in got if name.endswith("_size")]
        assert 7 == len(sizes)
        for name in sizes:
            value = got[name.removesuffix("_size")]
            assert got[name] == len(value)
            assert value.endswith(b"\0")
        text = ctypes.create_string_buffer(got["tcb_info"])
        assert text.value == got["tcb_info"][:-1]

    def test_dcap_qvl(self, pcs_served, ask):
        """
        The arguments are those of dcap-qvl's object.
        """
        got = ask(pcs_served.url, METHOD, SGX)
        made = dcap_qvl.QuoteCollateralV3(**got.to_dcap_qvl())

        assert got.root_ca_crl == made.root_ca_crl
        assert 19 == json.loads(made.tcb_info)["tcbEvaluationDataNumber"]
        assert 64 == len(made.qe_identity_signature)


class TestRefused:
    """What is not what was asked for."""

    @pytest.mark.parametrize(
        ("path", "change", "reason"),
        [
            (TCB, body(b""), "json"),
            (TCB, body(b"{}"), "fields"),
            (TCB, header("tcb-info-issuer-chain", "x"), "malformed"),
            (
                QE,
                header("sgx-enclave-identity-issuer-chain", None),
                "issuer-chain",
            ),
            (CRL, header("sgx-pck-crl-issuer-chain", None), "issuer-chain"),
            (CRL, body(b"x"), "unrecognised"),
            ("rootcacrl", body(b"3082"), "crl"),
            (TCB, status(302, location="/x"), "redirect"),
            (TCB, header("content-encoding", "br"), "encoded"),
            (TCB, status(204), "status-204"),
        ],
    )
    def test_unreadable(self, ask, pcs_served, path, change, reason):
        """
        An answer that cannot be read is an error that names it.
        """
        with (
            faking(replaying(pcs_served, {path: change})) as fake,
            pytest.raises(BadAnswerError) as e,
        ):
            ask(fake.url, METHOD, SGX)

        assert reason == e.value.reason
        assert len(e.value.attempts) == 4

    def other(self, ask, served, path, instead):
        """
        Why the answer to another question is refused.
        """
        script = replaying(served, {})
        with (
            faking(lambda p: script(instead if path in p else p)) as fake,
            pytest.raises(BadAnswerError) as e,
        ):
            ask(fake.url, METHOD, SGX)
        return e.value.reason

    @pytest.mark.parametrize(
        ("path", "instead", "reason"),
        [
            (TCB, f"/tdx/certification/v4/tcb?fmspc={FMSPC}", "other-tee"),
            (TCB, "/sgx/certification/v4/qe/identity", "other-document"),
            (QE, "/sgx/certification/v4/qve/identity", "other-id"),
            (QE, "/tdx/certification/v4/qe/identity", "other-id"),
            (
                CRL,
                "/sgx/certification/v4/pckcrl?ca=processor&encoding=der",
                "other-issuer",
            ),
            (CRL, "/sgx/certification/v4/rootcacrl", "other-issuer"),
            (
                "rootcacrl",
                "/sgx/certification/v4/pckcrl?ca=platform",
                "other-issuer",
            ),
        ],
    )
    def test_other(self, ask, pcs_served, path, instead, reason):
        """
        So is the right answer to another question.
        """
        assert reason == self.other(ask, pcs_served, path, instead)

    def test_other_fmspc(self, ask, pcs_served, intel):
        """
        So is another platform's TCB info.
        """
        other = intel.tcb_info(fmspc="00606A000000", tee=Tee.SGX, number=19)
        with (
            faking(replaying(pcs_served, {TCB: body(other)})) as fake,
            pytest.raises(BadAnswerError, match="fmspc is '00606a000000'") as e,
        ):
            ask(fake.url, METHOD, SGX)
        assert "other-fmspc" == e.value.reason

    def test_two_crls(self, ask, pcs_served):
        """
        So is more than one CRL.
        """
        path = "/sgx/certification/v4/{}&encoding=pem"
        pem = pcs_served.get(path.format("pckcrl?ca=platform")).body
        with (
            faking(replaying(pcs_served, {CRL: body(pem + pem)})) as fake,
            pytest.raises(BadAnswerError, match="2 CRLs in the answer"),
        ):
            ask(fake.url, METHOD, SGX)


class TestErrors:
    def test_unknown(self, ask, pcs_served):
        """
        A document that the service does not have is not found, for the reason
        that it gives.
        """
        model = PlatformModel(tee=Tee.SGX, fmspc=b"123456", ca=PckCa.PLATFORM)

        with pytest.raises(CollateralNotFoundError) as e:
            ask(pcs_served.url, METHOD, model)
        assert "unknown-document" == e.value.reason
        assert "TCB info (SGX, 313233343536)" in str(e.value)
        assert "status 404, unknown-document" in str(e.value)
        assert {"service"} == {a.source for a in e.value.attempts}

    @pytest.mark.parametrize("number", [404, 410, 461, 462])
    def test_not_found(self, ask, pcs_served, number):
        """
        PCCS's own statuses and Intel's for what was withdrawn mean the same.
        """
        with (
            faking(replaying(pcs_served, {TCB: status(number)})) as fake,
            pytest.raises(CollateralNotFoundError) as e,
        ):
            ask(fake.url, METHOD, SGX)
        assert f"status-{number}" == e.value.reason

    @pytest.mark.parametrize("number", [400, 401, 403, 414])
    def test_refused(self, ask, pcs_served, number):
        """
        What the caller did wrong is said in the service's words, made fit to
        print.
        """

        def change(said):
            return Said(number, {"thim-reason": "x y"}, b"wrong\x1b[1m")

        with (
            faking(replaying(pcs_served, {TCB: change})) as fake,
            pytest.raises(RequestRefusedError, match=r"wrong\\+x1b") as e,
        ):
            ask(fake.url, METHOD, SGX)
        assert f"status-{number}" == e.value.reason

    @pytest.mark.parametrize("number", [429, 500, 502, 504])
    def test_unavailable(self, ask, pcs_served, number):
        """
        What may pass says when, if the service did, and is not asked again.
        """
        change = status(number, retry_after="7")
        with (
            faking(replaying(pcs_served, {TCB: change})) as fake,
            pytest.raises(CollateralUnavailableError) as e,
        ):
            ask(fake.url, METHOD, SGX)
        assert 7 == e.value.retry_after
        assert 1 == sum(TCB in path for path in fake.asked)

    def test_nobody(self, ask):
        """
        Where nobody listens, nothing is available.
        """
        with pytest.raises(CollateralUnavailableError) as e:
            ask(nobody(), METHOD, SGX, timeout=0.3)
        assert e.value.reason in {"unreachable", "timeout"}
        assert e.value.retry_after is None


def verdicts(documents, *kinds):
    """
    Of each kind of quote one with a verdict that all members have a part in.
    """
    for kind in kinds:
        yield next(
            (quote["name"], verdict)
            for quote in documents.of(kind)
            for verdict in quote.get("verdicts", [])
            if verdict.get("status")
            and verdict["eval_numbers_match"]
            and all(
                (documents.root / verdict[name]).is_file() for name in MEMBERS
            )
        )


MEMBERS = ("tcb_info", "qe_identity", "pck_crl", "root_ca_crl")


@pytest.mark.parametrize("kind", ["quote-sgx-v3", "quote-tdx-v4"])
def test_real_quote(ask, corpus, tmp_path, kind):
    """
    A real quote verifies with what came through the client, at an instant at
    which all of it was valid, to the status that is known for it.
    """
    documents = Corpus.read(corpus)
    ((name, verdict),) = verdicts(documents, kind)
    at = instant(verdict["now"])
    new_store(tmp_path / "thim.db", VENDOR_ROOTS)
    names = [
        *(verdict[member] for member in MEMBERS),
        *(e["name"] for e in documents.of("intel-ca-cert")),
    ]
    with Ledger(tmp_path / "thim.db", VENDOR_ROOTS) as ledger:
        files = [(each, documents.bytes(each)) for each in names]
        list(ingest(files, ledger=ledger, now=at))
    raw = documents.bytes(name)

    with serving(tmp_path / "thim.db", lambda: at) as served:
        got = ask(served.url, METHOD, raw, clock=lambda: at)

    collateral = dcap_qvl.QuoteCollateralV3(**got.to_dcap_qvl())
    verified = dcap_qvl.verify(raw, collateral, verdict["now_unix"])
    assert verdict["status"] == verified.status
    assert not got.is_expired(at)
