"""
Evidence of enclaves and trust domains becomes tokens: what they say, and what
was sent for them.
"""

import base64
import hashlib
import json

import pytest

from tests.http.attesting import (
    URL,
    b64,
    detail_in,
    error_in,
    header_in,
    held,
    message_in,
    oe_report,
)
from tests.vendors import NOW


EIGHT_HOURS = 28_800
#: SHA-256 of the default policies' texts, as Azure's tokens have them.
SGX_DEFAULT = "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw"
TDX_DEFAULT = "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco"
#: INIT, MODE64BIT and KSS; with DEBUG instead of KSS.
KSS = bytes.fromhex("8500000000000000E700000000000000")
DEBUG = bytes.fromhex("0700000000000000E700000000000000")
DATA = b'{"b": [1, {"z": 1, "a": null}], "a": "\xc3\xa9"}'
DIGEST = hashlib.sha256(DATA).digest()
BOUND = DIGEST + b"\xaa" * 32
MISMATCH = (
    "The specified quote was invalid because it does not match the data sent "
    "along"
)


class TestToken:
    def test_header(self, attested):
        """
        A token's header has four members, and nothing else.
        """
        token = attested.sgx().json["token"]

        header = header_in(token)
        assert {
            "alg": "RS256",
            "jku": f"{URL}/certs",
            "kid": header["kid"],
            "typ": "JWT",
        } == header
        assert 32 == len(base64.b64decode(header["kid"], validate=True))

    def test_always(self, attested):
        """
        Whatever was attested, a token says who issued it, when, and by which
        policy; it holds for eight hours.
        """
        claims = attested.claims(attested.sgx())

        issued = int(NOW.timestamp())
        assert {
            "iss": URL,
            "iat": issued,
            "nbf": issued,
            "exp": issued + EIGHT_HOURS,
            "x-ms-ver": "1.0",
            "x-ms-policy-hash": SGX_DEFAULT,
        }.items() <= claims.items()

    def test_order(self, attested):
        """
        Claims stand in the order of their names.
        """
        names = list(attested.claims(attested.sgx()))

        assert sorted(names) == names

    def test_unique(self, attested):
        """
        No two tokens have the same ID, be they for the same evidence.
        """
        quote = attested.quote()
        found = {attested.claims(attested.sgx(quote))["jti"] for _ in "123"}

        assert 3 == len(found)
        assert {64} == {len(bytes.fromhex(each)) * 2 for each in found}

    def test_recorded(self, attester):
        """
        Each token leaves one record.
        """
        quote = attester.quote()
        claims = attester.claims(attester.sgx(quote))

        (record,) = attester.decisions()
        assert claims["jti"] == record.jti
        assert hashlib.sha256(quote).digest() == record.evidence_sha256
        assert claims["x-ms-policy-hash"] == record.policy_hash
        assert claims["x-thim-documents"] == record.documents
        assert ("default", 18) == (record.baseline, record.evaluation_number)


class TestSgx:
    def test_claims(self, attested):
        """
        What an enclave's report says is in its token, and its default policy
        repeats it by the old names.
        """
        quote = attested.quote(
            isvprodid=7, isvsvn=9, report_data=bytes(range(64))
        )
        claims = attested.claims(attested.sgx(quote))

        assert "sgx" == claims["x-ms-attestation-type"] == claims["tee"]
        assert 7 == claims["x-ms-sgx-product-id"] == claims["product-id"]
        assert 9 == claims["x-ms-sgx-svn"] == claims["svn"]
        assert bytes(range(64)).hex() == claims["x-ms-sgx-report-data"]
        assert quote[48 + 64 : 48 + 96].hex() == claims["x-ms-sgx-mrenclave"]
        assert claims["x-ms-sgx-mrenclave"] == claims["sgx-mrenclave"]
        assert claims["x-ms-sgx-mrsigner"] == claims["sgx-mrsigner"]
        assert claims["x-ms-sgx-is-debuggable"] is False
        assert "x-ms-sgx-config-id" not in claims

    def test_collateral(self, attested):
        """
        The digests of collateral stand there twice.
        """
        quote = attested.quote()
        claims = attested.claims(attested.sgx(quote))

        digests = claims["x-ms-sgx-collateral"]
        assert digests == claims["maa-attestationcollateral"]
        assert hashlib.sha256(quote).hexdigest() == digests["quotehash"]
        assert 7 == len(digests)

    def test_ours(self, attested):
        """
        Our own claims say which baseline has decided, and how.
        """
        claims = attested.claims(attested.sgx())

        assert "default" == claims["x-thim-baseline"]
        assert 18 == claims["x-thim-evaluation-number"]
        assert "UpToDate" == claims["x-thim-tcb-status"]
        assert ["test-anchors"] == claims["x-thim-dangerous"]
        assert {"tcb-info", "identity", "pck-crl", "root-ca-crl"} == set(
            claims["x-thim-documents"]
        )
        assert "x-thim-accepted-expired" not in claims

    def test_debug(self, attested):
        """
        Debug enclaves pass unless a policy forbids them.
        """
        got = attested.sgx(attested.quote(attributes=DEBUG))

        assert attested.claims(got)["x-ms-sgx-is-debuggable"] is True

    def test_kss(self, attested):
        """
        An enclave with KSS has four claims more.
        """
        quote = attested.quote(
            attributes=KSS,
            configid=b"\1" * 64,
            configsvn=5,
            isvextprodid=b"\2" * 16,
            isvfamilyid=b"\3" * 16,
        )
        claims = attested.claims(attested.sgx(quote))

        assert "01" * 64 == claims["x-ms-sgx-config-id"]
        assert 5 == claims["x-ms-sgx-config-svn"]
        assert "02" * 16 == claims["x-ms-sgx-isv-extended-product-id"]
        assert "03" * 16 == claims["x-ms-sgx-isv-family-id"]

    @pytest.mark.parametrize("kind", ["OpenEnclave", "SgxEnclave"])
    def test_open_enclave(self, attested, kind):
        """
        Open Enclave's header may be there or not, and its digest is that of
        what was sent.
        """
        member = "report" if kind == "OpenEnclave" else "quote"
        quote = attested.quote()
        for sent in (quote, oe_report(quote)):
            claims = attested.claims(attested.post(kind, {member: b64(sent)}))

            digest = hashlib.sha256(sent).hexdigest()
            assert digest == claims["x-ms-sgx-collateral"]["quotehash"]
            assert "sgx" == claims["x-ms-attestation-type"]

    @pytest.mark.parametrize("name", ["sgxenclave", "SGXENCLAVE"])
    def test_letter_case(self, attested, name):
        """
        A type's name may be written in any letter case.
        """
        got = attested.post(name, {"quote": b64(attested.quote())})

        assert 200 == got.status

    @pytest.mark.parametrize(
        "encode",
        [
            base64.b64encode,
            base64.urlsafe_b64encode,
            lambda raw: base64.b64encode(raw).rstrip(b"="),
            lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"="),
        ],
    )
    def test_base64(self, attested, encode):
        """
        Base64 is read in either alphabet, with padding or without.
        """
        quote = attested.quote()
        got = attested.post("SgxEnclave", {"quote": encode(quote).decode()})

        assert 200 == got.status


class TestRuntimeData:
    def test_binary(self, attested):
        """
        Bytes are repeated in three claims.
        """
        quote = attested.quote(report_data=BOUND)
        claims = attested.claims(attested.sgx(quote, runtimeData=held(DATA)))

        names = ("x-ms-sgx-ehd", "maa-ehd", "aas-ehd")
        assert {b64(DATA)} == {claims[name] for name in names}
        assert "x-ms-runtime" not in claims

    def test_json(self, attested):
        """
        JSON becomes one claim, with its keys in order.
        """
        quote = attested.quote(report_data=BOUND)
        sent = held(DATA, "JSON")
        claims = attested.claims(attested.sgx(quote, runtimeData=sent))

        expected = '{"a":"é","b":[1,{"a":null,"z":1}]}'
        text = json.dumps(
            claims["x-ms-runtime"], ensure_ascii=False, separators=(",", ":")
        )
        assert expected == text
        assert not [name for name in claims if "ehd" in name]

    @pytest.mark.parametrize("absent", [None, {}, {"data": ""}, {"data": None}])
    def test_absent(self, attested, absent):
        """
        What is null or empty was not sent.
        """
        got = attested.sgx(
            runtimeData=absent,
            initTimeData=absent,
            draftPolicyForAttestation=None,
            nonce=None,
        )

        claims = attested.claims(got)
        assert {"nonce", "x-ms-runtime", "aas-ehd"}.isdisjoint(claims)

    def test_unbound(self, attested):
        """
        Data that the evidence does not speak for are refused.
        """
        got = attested.sgx(runtimeData=held(DATA))

        assert (400, "InvalidParameter", "runtime-data") == error_in(got)
        assert MISMATCH == message_in(got)
        assert DIGEST.hex() in detail_in(got)

    def test_unbound_json(self, attested):
        """
        JSON is bound by its bytes, and not by what they say.
        """
        quote = attested.quote(report_data=BOUND)
        other = json.dumps(json.loads(DATA)).encode()
        got = attested.sgx(quote, runtimeData=held(other, "JSON"))

        assert (400, "InvalidParameter", "runtime-data") == error_in(got)

    @pytest.mark.parametrize(
        "data", [b"[1]", b'"a"', b'{"a":1,"a":2}', b'{"a":}', b"\xff"]
    )
    def test_not_json(self, attested, data):
        """
        What should be a JSON object and is none is refused.
        """
        got = attested.sgx(runtimeData=held(data, "JSON"))

        assert (400, "InvalidParameter", "submission") == error_in(got)
        assert "runtimeData.data" in detail_in(got)


class TestInitTimeData:
    def test_sgx(self, attested):
        """
        An enclave with KSS has their digest in its CONFIGID.
        """
        quote = attested.quote(attributes=KSS, configid=DIGEST.ljust(64, b"\0"))
        sent = held(DATA, "JSON")
        claims = attested.claims(attested.sgx(quote, initTimeData=sent))

        assert json.loads(DATA) == claims["x-ms-inittime"]

    def test_without_kss(self, attested):
        """
        Without KSS there is none.
        """
        got = attested.sgx(initTimeData=held(DATA))

        assert (400, "InvalidParameter", "init-time-data") == error_in(got)
        assert "KSS" in detail_in(got)

    def test_tdx(self, attested):
        """
        A trust domain has it in MRCONFIGID.
        """
        quote = attested.quote(
            "sapphire-1", "tdx-v4", mrconfigid=DIGEST.ljust(48, b"\0")
        )
        sent = held(DATA, "JSON")
        claims = attested.claims(attested.tdx(quote, initTimeData=sent))

        assert json.loads(DATA) == claims["x-ms-inittime"]

    def test_unbound(self, attested):
        """
        Others are refused.
        """
        got = attested.tdx(initTimeData=held(DATA))

        assert (400, "InvalidParameter", "init-time-data") == error_in(got)


class TestNonce:
    @pytest.mark.parametrize("nonce", ["n-1", 'é"\\ \u2028', "x" * 1024])
    def test_repeated(self, attested, nonce):
        """
        A nonce is repeated as it was sent.
        """
        assert nonce == attested.claims(attested.sgx(nonce=nonce))["nonce"]

    @pytest.mark.parametrize("nonce", ["x" * 1025, 7, ["a"]])
    def test_refused(self, attested, nonce):
        """
        One that is too long, or no text, is refused.
        """
        got = attested.sgx(nonce=nonce)

        assert (400, "InvalidParameter", "submission") == error_in(got)


class TestTdx:
    @pytest.mark.parametrize("kind", ["tdx-v4", "tdx-v5"])
    def test_claims(self, attested, kind):
        """
        A trust domain's token has its registers, and its status.
        """
        quote = attested.quote(
            "sapphire-1", kind, mrtd=b"\5" * 48, report_data=BOUND
        )
        sent = held(DATA, "JSON")
        claims = attested.claims(attested.tdx(quote, runtimeData=sent))

        assert "tdxvm" == claims["x-ms-attestation-type"]
        assert "05" * 48 == claims["tdx_mrtd"]
        assert BOUND.hex() == claims["tdx_report_data"]
        assert json.loads(DATA) == claims["x-ms-runtime"]
        assert "UpToDate" == claims["attester_tcb_status"]
        assert TDX_DEFAULT == claims["x-ms-policy-hash"]
        assert "x-ms-compliance-status" not in claims

    def test_status(self, attested):
        """
        Unlike an enclave, one that is out of date gets a token that says so.
        """
        quote = attested.quote("sapphire-2", "tdx-v4")
        old = attested.post("TdxVm", {"quote": b64(quote)})
        assert "UpToDate" == attested.claims(old)["attester_tcb_status"]

        got = attested.tdx(quote, prefix="/tenant/newest")
        claims = attested.claims(got, "/tenant/newest")
        assert "OutOfDate" == claims["attester_tcb_status"]
        assert "OutOfDate" == claims["x-thim-tcb-status"]
        assert "INTEL-SA-01192" in claims["x-thim-advisories"]

    def test_no_draft(self, attested):
        """
        Trust domains take no drafts.
        """
        got = attested.tdx(draftPolicyForAttestation="version=1.0;")

        assert (400, "InvalidParameter", "submission") == error_in(got)
        assert "draftPolicyForAttestation" in detail_in(got)
