import json

import pytest

from tests.conformance.corpus import Corpus, instant
from tests.conftest import corpus_root
from thim.errors import MalformedError
from thim.intel.names import PckCa
from thim.intel.pck import PckCertificate, SgxType
from thim.x509.chain import parse_pem_chain


ROOT = corpus_root()
CORPUS = (
    Corpus.read(ROOT)
    if (ROOT / "manifest.json").is_file()
    else Corpus(ROOT, {})
)


def vectors(*kinds):
    """
    Let a test run for each file of *kinds*.
    """
    entries = CORPUS.of(*kinds)
    return pytest.mark.parametrize(
        "entry", entries, ids=[entry["name"] for entry in entries]
    )


class TestCorpus:
    @vectors("intel-pck-cert")
    def test_certificate(self, entry):
        """
        Each of Intel's PCK certificates is read as the manifest has it.
        """
        (issued,) = parse_pem_chain(CORPUS.bytes(entry["name"]))

        found = PckCertificate.from_certificate(issued)

        assert bytes.fromhex(entry["fmspc"]) == found.fmspc
        assert bytes.fromhex(entry["pceid"]) == found.pce_id
        assert PckCa(entry["ca"]) is found.ca
        assert SgxType(entry["sgx_type"]) is found.sgx_type
        assert bytes.fromhex(entry["cpusvn"]) == found.cpusvn
        assert entry["pcesvn"] == found.pcesvn
        assert int(entry["serial"], 16) == found.serial_number
        assert instant(entry["valid_from"]) == found.not_before
        assert instant(entry["valid_to"]) == found.not_after
        assert (entry["config"] is None) == (found.cached_keys is None)

    @vectors("intel-pckcerts-response")
    def test_answer(self, entry):
        """
        So is each one in a recorded answer, for the TCBm that stands beside
        it; what Intel has no certificate for says so.
        """
        answer = json.loads(CORPUS.bytes(entry["name"]))
        rows = answer.get("pck_data", [answer])
        there = [row for row in rows if row["cert"] != "Not available"]

        ppids = set()
        for row in there:
            (issued,) = parse_pem_chain(row["cert"].encode())
            found = PckCertificate.from_certificate(issued)
            ppids.add(found.ppid)
            assert bytes.fromhex(entry["fmspc"]) == found.fmspc
            if "tcbm" in row:
                assert bytes.fromhex(row["tcbm"]) == found.tcbm.to_bytes()

        assert entry["pck_certs"] == len(there)
        assert 1 == len(ppids)

    def test_all(self, corpus):
        """
        They are 66 certificates and nine answers.
        """
        assert 66 == len(CORPUS.of("intel-pck-cert"))
        assert 9 == len(CORPUS.of("intel-pckcerts-response"))

    @pytest.mark.parametrize(
        ("name", "reason", "match"),
        [
            (
                "negative/cert-test-pki/intel-sgx-pck-certificate-08462da6.pem",
                "extension",
                r"^configuration \(.*\.7\) has tag 01, expected 30$",
            ),
            (
                "negative/cert-test-pki/intel-sgx-pck-certificate-148beae3.pem",
                "extension",
                r"^configuration \(.*\.7\) has tag 01, expected 30$",
            ),
            (
                "negative/cert-test-pki/intel-sgx-pck-platform-ca-02e9effd.pem",
                "certificate-subject",
                "^subject is 'Intel SGX PCK Platform CA', expected",
            ),
            (
                "negative/cert-test-pki/intel-sgx-tcb-signing-0c334876.pem",
                "certificate-subject",
                "^subject is 'Intel SGX TCB Signing', expected",
            ),
            (
                "intel/pck-cert-selection/pck0-sample.pem",
                "certificate-issuer",
                "^issuer is 'Intel SGX PCK Certificate', expected",
            ),
        ],
    )
    def test_refused(self, name, reason, match, corpus):
        """
        What follows no profile, or an old one, is refused by name.
        """
        (issued,) = parse_pem_chain((corpus / name).read_bytes())

        with pytest.raises(MalformedError, match=match) as e:
            PckCertificate.from_certificate(issued)

        assert reason == e.value.reason

    @pytest.mark.parametrize("name", ["pck-cert.pem", "pck-cert-2.pem"])
    def test_foreign_root(self, name, corpus):
        """
        One of another root reads well: whose it is, the chain decides.
        """
        raw = (corpus / "negative/intel-qvl-test-pki" / name).read_bytes()
        (issued,) = parse_pem_chain(raw)

        assert PckCa.PROCESSOR is PckCertificate.from_certificate(issued).ca
