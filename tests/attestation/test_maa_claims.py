"""
What tokens say of enclaves and TDs.
"""

import base64
import dataclasses
import json
import struct

import pytest

from tests.attestation.sent import held, submit
from tests.intel.levels_made import HARDENING, level, tcb_info
from tests.intel.quotes_made import documents, good, make, make_td, verify
from thim.attestation.kind import AttestationType
from thim.attestation.maa_claims import (
    COMMON_NAMES,
    NAMES,
    OWN_NAMES,
    list_claims,
    list_own_claims,
)
from thim.attestation.maa_collateral import hash_documents
from thim.simulate.quote import SgxBody


SGX = AttestationType.SGX_ENCLAVE
TDX = AttestationType.TDX_VM
KSS = bytes.fromhex("8500000000000000E700000000000000")
DEBUG = bytes.fromhex("0700000000000000E700000000000000")
DATA = b'{"b":{"z":1,"a":[2,1]},"a":"\xc3\xbc"}'
EHD = ["aas-ehd", "maa-ehd", "x-ms-sgx-ehd"]
KSS_CLAIMS = {
    "x-ms-sgx-config-id",
    "x-ms-sgx-config-svn",
    "x-ms-sgx-isv-extended-product-id",
    "x-ms-sgx-isv-family-id",
}
_DOCUMENTS = {kind: documents(kind) for kind in ("v3", "v4", "v5")}


def claim(
    version="v3",
    raw=None,
    *,
    changes=None,
    members=None,
    compliance=None,
    **given,
):
    """
    List the claims of a quote, the good one by default, that was sent with
    *members*; *changes* are those of the TCB info.
    """
    raw = raw or good(version)
    kind = SGX if version == "v3" else TDX
    verdict = verify(version, raw, tcb_info=changes)
    return list_claims(
        submit(kind, raw, **(members or {})),
        verdict,
        hash_documents(_DOCUMENTS[version]),
        list_own_claims(verdict, **{"baseline": "default", **given}),
        compliance,
    )


def claim_enclave(**fields):
    """
    List the claims of an enclave whose body has some *fields*.
    """
    return claim(raw=make("v3", body=SgxBody(**fields)))


def claim_td(version="v4", **fields):
    """
    List the claims of a TD whose body has some *fields*.
    """
    return claim(version, make_td(version, **fields))


class TestSgx:
    def test_plain(self):
        """
        Without data an enclave has Azure's claims and ours, and no others.
        """
        body = good("v3")[48 : 48 + 384]
        found = claim()

        assert {
            "x-ms-attestation-type": "sgx",
            "x-ms-sgx-is-debuggable": False,
            "x-ms-sgx-mrenclave": body[64:96].hex(),
            "x-ms-sgx-mrsigner": body[128:160].hex(),
            "x-ms-sgx-product-id": 1,
            "x-ms-sgx-report-data": body[320:].hex(),
            "x-ms-sgx-svn": 1,
        } == {
            name: value
            for name, value in found.items()
            if name not in OWN_NAMES and "collateral" not in name
        }

    def test_numbers(self):
        """
        Product ID and SVN are numbers of two bytes, the lower one first.
        """
        found = claim_enclave(isvprodid=0xABCD, isvsvn=0x1234)

        assert (0xABCD, 0x1234) == (
            found["x-ms-sgx-product-id"],
            found["x-ms-sgx-svn"],
        )

    def test_debug(self):
        """
        A debug enclave is told as one.
        """
        found = claim_enclave(attributes=DEBUG)
        assert found["x-ms-sgx-is-debuggable"] is True

    def test_collateral(self):
        """
        The digests of the collateral stand there twice.
        """
        found = claim()

        expected = hash_documents(_DOCUMENTS["v3"]).with_quote(good("v3"))
        assert expected == found["x-ms-sgx-collateral"]
        assert expected == found["maa-attestationcollateral"]

    def test_header_counts(self):
        """
        The quote is hashed with Open Enclave's header, if it was sent so.
        """
        report = struct.pack("<IIQ", 1, 2, len(good("v3"))) + good("v3")
        hashes = hash_documents(_DOCUMENTS["v3"])
        found = list_claims(
            submit(AttestationType.OPEN_ENCLAVE, report),
            verify("v3"),
            hashes,
            list_own_claims(verify("v3"), "default"),
        )

        expected = hashes.with_quote(report)
        assert expected == found["x-ms-sgx-collateral"]
        assert "sgx" == found["x-ms-attestation-type"]

    def test_binary_data(self):
        """
        Runtime data that are bytes stand there three times, in base64url
        without padding.
        """
        found = claim(members={"runtimeData": held(b"\xfb\xff\xfe!")})

        assert ["-__-IQ"] * 3 == [found[name] for name in EHD]
        assert "x-ms-runtime" not in found

    def test_json_data(self):
        """
        Runtime data that are JSON are an object with its keys in order, and no
        held data.
        """
        found = claim(members={"runtimeData": held(DATA, "JSON")})

        expected = '{"a": "ü", "b": {"a": [2, 1], "z": 1}}'
        assert expected == json.dumps(found["x-ms-runtime"], ensure_ascii=False)
        assert not {*EHD} & {*found}

    def test_no_kss(self):
        """
        Without KSS nothing is said of what only KSS gives a meaning.
        """
        found = claim_enclave(configid=b"\1" * 64, isvfamilyid=b"\2" * 16)
        assert not KSS_CLAIMS & {*found}

    def test_kss(self):
        """
        With KSS there are four claims more, in memory order.
        """
        found = claim_enclave(
            attributes=KSS,
            configid=bytes(range(64)),
            configsvn=0x0102,
            isvextprodid=bytes(range(16)),
            isvfamilyid=bytes(range(16, 32)),
        )
        assert {
            "x-ms-sgx-config-id": bytes(range(64)).hex(),
            "x-ms-sgx-config-svn": 0x0102,
            "x-ms-sgx-isv-extended-product-id": bytes(range(16)).hex(),
            "x-ms-sgx-isv-family-id": bytes(range(16, 32)).hex(),
        } == {name: found[name] for name in KSS_CLAIMS}


class TestTdx:
    @pytest.mark.parametrize("version", ["v4", "v5"])
    def test_fields(self, version):
        """
        Each register is its bytes in memory order, in both versions.
        """
        ids = {
            "mrtd": b"\1" * 48,
            "mrconfigid": b"\2" * 48,
            "mrowner": b"\3" * 48,
            "mrownerconfig": b"\4" * 48,
            "mrseam": b"\5" * 48,
            "report_data": bytes(range(64)),
            "xfam": bytes.fromhex("E718060000000000"),
        }
        rtmrs = tuple(bytes([each]) * 48 for each in range(6, 10))
        found = claim_td(version, **ids, rtmrs=rtmrs)

        expected = {f"tdx_{name}": value.hex() for name, value in ids.items()}
        expected |= {f"tdx_rtmr{i}": rtmrs[i].hex() for i in range(4)}
        assert expected == {name: found[name] for name in expected}

    def test_constants(self):
        """
        The profile, what the token is for and the type are always the same.
        """
        found = claim_td()

        assert (
            "tdxvm",
            "https://aka.ms/maa-eat-profile-tdxvm",
            "generic",
        ) == (
            found["x-ms-attestation-type"],
            found["eat_profile"],
            found["intuse"],
        )

    def test_module(self):
        """
        The TDX module is told by what the TD was launched under.
        """
        svn = bytes([5, 1]) + b"\5" * 14
        found = claim_td(tee_tcb_svn=svn)

        assert (5, svn.hex(), "00" * 48, "00" * 8) == (
            found["tdx_seamsvn"],
            found["tdx_tee_tcb_svn"],
            found["tdx_mrsignerseam"],
            found["tdx_seam_attributes"],
        )

    @pytest.mark.parametrize(
        ("bit", "name"),
        [
            (0, "debug"),
            (28, "septve_disable"),
            (30, "protection_keys"),
            (31, "key_locker"),
            (63, "perfmon"),
        ],
    )
    def test_attributes(self, bit, name):
        """
        Each attribute is a claim of its own, beside their digits.
        """
        raw = (1 << bit).to_bytes(8, "little")
        found = claim_td(td_attributes=raw)

        assert raw.hex() == found["tdx_td_attributes"]
        assert [f"tdx_td_attributes_{name}"] == [
            each for each, value in found.items() if value is True
        ]
        assert ("enabled" if bit == 0 else "disabled") == found["dbgstat"]

    def test_any_door_to_the_host(self):
        """
        Whatever else opens a TD to its host is debugging, too.
        """
        found = claim_td(td_attributes=b"\x80" + bytes(7))

        assert "enabled" == found["dbgstat"]
        assert found["tdx_td_attributes_debug"] is False

    def test_status(self):
        """
        The TCB status is a claim, whatever it is.
        """
        for status in ("UpToDate", "OutOfDate", HARDENING):
            changes = tcb_info("v4", [level(status)])
            found = claim("v4", changes=changes)
            assert status == found["attester_tcb_status"]

    def test_compliance(self):
        """
        A compliance status is there if somebody vouches for it, else not.
        """
        assert "x-ms-compliance-status" not in claim("v4")
        found = claim("v4", compliance="azure-compliant-cvm")
        assert "azure-compliant-cvm" == found["x-ms-compliance-status"]

    def test_binary_data(self):
        """
        Runtime data that are bytes are in the report data alone.
        """
        found = claim("v4", members={"runtimeData": held(DATA)})
        assert claim("v4") == found


class TestCommon:
    @pytest.mark.parametrize("version", ["v3", "v4"])
    def test_nonce_and_data(self, version):
        """
        The nonce is repeated, and data that are JSON are objects.
        """
        data = held(b'{"b":1,"a":2}', "JSON")
        members = {"nonce": "n", "runtimeData": data, "initTimeData": data}
        found = claim(version, members=members)

        expected = {"a": 2, "b": 1}
        assert ("n", expected, expected) == (
            found["nonce"],
            found["x-ms-runtime"],
            found["x-ms-inittime"],
        )

    @pytest.mark.parametrize("version", ["v3", "v4"])
    def test_binary_init_time(self, version):
        """
        Init-time data that are bytes are not repeated.
        """
        found = claim(version, members={"initTimeData": held(b"data")})
        assert claim(version) == found

    @pytest.mark.parametrize("version", ["v3", "v4", "v5"])
    def test_reserved(self, version):
        """
        All that can be claimed is reserved: no policy may issue it.
        """
        data = held(b"{}", "JSON")
        fields = {"attributes": KSS} if version == "v3" else {}
        raw = make("v3", body=SgxBody(**fields)) if fields else good(version)
        found = set()
        for runtime in (data, held(b"data")):
            found |= {
                *claim(
                    version,
                    raw,
                    members={
                        "nonce": "n",
                        "runtimeData": runtime,
                        "initTimeData": data,
                    },
                    accepted_expired=["identity"],
                    dangerous=["accept-expired"],
                    compliance="azure-compliant-cvm",
                )
            }

        assert NAMES[SGX if version == "v3" else TDX] == found
        assert found > COMMON_NAMES

    def test_no_name_of_a_policy(self):
        """
        What default policies issue is not claimed here.
        """
        names = {"is-debuggable", "product-id", "sgx-mrenclave", "svn", "tee"}
        assert not names & {*claim()}


class TestOwn:
    def test_all(self):
        """
        Our claims say by what the quote was judged, and what came of it.
        """
        changes = tcb_info("v3", [level(HARDENING, advisories=["B", "A"])])
        found = claim(changes=changes)

        verdict = verify("v3", tcb_info=changes)
        assert verdict.collateral is not None
        assert {
            "x-thim-advisories": ["A", "B"],
            "x-thim-baseline": "default",
            "x-thim-documents": {
                used.name: used.sha256.hex() for used in verdict.collateral.used
            },
            "x-thim-evaluation-number": 17,
            "x-thim-tcb-date": "2024-01-01T00:00:00Z",
            "x-thim-tcb-status": HARDENING,
        } == {name: value for name, value in found.items() if name in OWN_NAMES}

    def test_documents(self):
        """
        The four documents are named.
        """
        assert ["identity", "pck-crl", "root-ca-crl", "tcb-info"] == sorted(
            claim()["x-thim-documents"]
        )

    def test_only_where_true(self):
        """
        What was accepted expired and what is dangerous stand there only if
        there is something to say.
        """
        found = claim(
            accepted_expired=("tcb-info",), dangerous=("test-anchors",)
        )

        assert (["tcb-info"], ["test-anchors"]) == (
            found["x-thim-accepted-expired"],
            found["x-thim-dangerous"],
        )
        names = {"x-thim-accepted-expired", "x-thim-dangerous"}
        assert not names & {*claim()}

    def test_is_json(self):
        """
        All of it can be written as JSON.
        """
        found = claim("v4", members={"runtimeData": held(DATA, "JSON")})
        assert found == json.loads(json.dumps(found))


def test_held_data_is_what_was_sent():
    """
    Held data are those sent, whatever the alphabet they were sent in.
    """
    raw = bytes(range(250, 256)) * 3
    text = base64.b64encode(raw).decode()
    members = {"runtimeData": {"data": text, "dataType": "Binary"}}
    found = claim(members=members)["x-ms-sgx-ehd"]

    assert raw == base64.urlsafe_b64decode(found + "=" * (-len(found) % 4))
    assert not {*"+/="} & {*found}


def test_documents_are_shared():
    """
    Digests of documents do not depend on the quote.
    """
    hashes = hash_documents(_DOCUMENTS["v3"])
    one, other = hashes.with_quote(b"one"), hashes.with_quote(b"other")

    assert {"quotehash"} == {name for name in one if one[name] != other[name]}
    assert dataclasses.is_dataclass(hashes)
