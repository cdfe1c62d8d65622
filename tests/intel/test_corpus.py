"""
The vendors' real documents, and real defects, each by the name of its file.

Where a file comes from, and what was found out about it, stands in the
corpus's manifest.  A document is judged at its own issue date: no clock.
"""

import collections
import contextlib
import dataclasses
import datetime
import hashlib

import pytest

from tests.conformance.corpus import Corpus, instant
from tests.conftest import corpus_root
from thim.collateral.intake import (
    Intake,
    verify_ca_certificate,
    verify_crl,
    verify_document,
)
from thim.errors import ThimError
from thim.intel.authorities import INTEL_SGX_ROOT, Authority, authority_of
from thim.intel.recognise import Recognised, recognise
from thim.x509.chain import (
    TrustAnchors,
    parse_pem_chain,
    spki_sha256,
)


ROOT = corpus_root()
CORPUS = (
    Corpus.read(ROOT)
    if (ROOT / "manifest.json").is_file()
    else Corpus(ROOT, {})
)
#: After all that is in the corpus.
LATER = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
TEST_PKI = "negative/intel-qvl-test-pki"


def vectors(*kinds):
    """
    Let a test run for each file of *kinds*.
    """
    entries = CORPUS.of(*kinds)
    return pytest.mark.parametrize(
        "entry", entries, ids=[entry["name"] for entry in entries]
    )


def read(name):
    """
    Recognise what is in a file of the corpus.
    """
    return recognise(CORPUS.bytes(name))


def read_if_readable(name):
    """
    Recognise what is in a file, nothing where it is refused as a whole.
    """
    with contextlib.suppress(ThimError):
        return read(name)
    return Recognised()


@pytest.fixture(scope="session")
def certificates(corpus):
    """
    Intel's CA certificates in the corpus.
    """
    return tuple(
        certificate
        for entry in CORPUS.of("intel-ca-cert")
        for certificate in read(entry["name"]).certificates
    )


@pytest.fixture(scope="session")
def root_crl(corpus):
    """
    The newest of Intel's root CRLs in the corpus.
    """
    newest = max(
        (e for e in CORPUS.of("intel-crl") if "Root" in e["issuer"]),
        key=lambda e: instant(e["valid_from"]),
    )
    return read(newest["name"]).crls[0]


@pytest.fixture
def intake(certificates, root_crl):
    """
    Intel's own anchors, long after everything.
    """
    return Intake(
        anchors=INTEL_SGX_ROOT,
        known=certificates,
        root_crl=root_crl,
        now=LATER,
    )


def records(found, intake):
    """
    Verify all documents *found* in a file and return the records.
    """
    for document in found.signed:
        with contextlib.suppress(ThimError):
            yield verify_document(document, intake, source="corpus")
    for crl in found.crls:
        with contextlib.suppress(ThimError):
            yield verify_crl(crl, intake, source="corpus")


def check(entry, intake, key):
    """
    Check that the file's one document is a record as the manifest has it.
    """
    found = read(entry["name"])

    (record,) = records(found, intake)

    assert key == str(record.key)
    assert entry.get("tcb_evaluation_data_number") == record.evaluation_number
    assert instant(entry["valid_from"]) == record.issued
    if entry["valid_to"] is None:
        assert record.next_update is None
    else:
        assert instant(entry["valid_to"]) == record.next_update
    assert () == found.problems
    return record


class TestGenuine:
    @vectors("intel-tcb-info")
    def test_tcb_info(self, entry, intake):
        """
        Each TCB info verifies down to Intel's root, whatever its age.
        """
        tee, fmspc = entry["tee"].lower(), entry["fmspc"].upper()
        key = f"intel/tcb-info/{tee}:{fmspc}/{entry['version']}"

        record = check(entry, intake, key)

        assert entry["sha256"] == record.sha256.hex()

    @vectors("intel-enclave-identity")
    def test_identity(self, entry, intake):
        """
        So does each enclave identity.
        """
        subject = entry["id"].lower().replace("_", "-")

        record = check(entry, intake, f"intel/identity/{subject}/2")

        assert entry["sha256"] == record.sha256.hex()

    @vectors("intel-tcb-eval-numbers")
    def test_numbers(self, entry, intake):
        """
        And each list of evaluation numbers, which has no number itself.
        """
        tee = entry["tee"].lower()

        check(entry, intake, f"intel/tcb-evaluation-data-numbers/{tee}/1")

    @vectors("intel-crl")
    def test_crl(self, entry, intake):
        """
        And each revocation list.
        """
        key = {
            "Intel SGX Root CA": "intel/root-ca-crl/root/0",
            "Intel SGX PCK Processor CA": "intel/pck-crl/processor/0",
            "Intel SGX PCK Platform CA": "intel/pck-crl/platform/0",
        }[entry["issuer"]]

        check(entry, intake, key)

        (crl,) = read(entry["name"]).crls
        assert entry["revoked"] == len(crl.revoked)

    @vectors("intel-ca-cert")
    def test_ca_certificate(self, entry, intake):
        """
        And each certificate of a CA or signer.
        """
        (certificate,) = read(entry["name"]).certificates

        authority = verify_ca_certificate(certificate, intake)

        assert authority is authority_of(certificate)
        assert instant(entry["valid_from"]) == certificate.not_valid_before_utc

    def test_nothing_in_the_future(self, intake, corpus):
        """
        More than five minutes before it was issued, no document would have
        been taken.
        """
        kinds = ("intel-tcb-info", "intel-enclave-identity", "intel-crl")
        skew = datetime.timedelta(minutes=5, seconds=1)
        early = []
        for entry in CORPUS.of(*kinds):
            now = instant(entry["valid_from"]) - skew
            before = dataclasses.replace(intake, now=now)
            early += records(read(entry["name"]), before)

        assert [] == early

    def test_no_forks(self, intake, corpus):
        """
        Intel has never signed two documents with one key, number and date.
        """
        kinds = (
            "intel-tcb-info",
            "intel-enclave-identity",
            "intel-tcb-eval-numbers",
            "intel-crl",
        )
        signed = collections.defaultdict(set)
        for entry in CORPUS.of(*kinds):
            for record in records(read(entry["name"]), intake):
                series = (record.key, record.evaluation_number, record.issued)
                signed[series].add(record.signed_sha256)

        assert 285 == len(CORPUS.of(*kinds))
        assert [] == [s for s, digests in signed.items() if len(digests) > 1]

    def test_roots_share_one_key(self, certificates):
        """
        Intel's root certificates are several, over the one pinned key.
        """
        roots = [c for c in certificates if authority_of(c) is Authority.ROOT]

        assert 4 == len(roots)
        assert INTEL_SGX_ROOT.spki_sha256 == {spki_sha256(r) for r in roots}

    @vectors("pcs-capture")
    def test_recorded_answer(self, entry, intake):
        """
        What is signed in a recorded answer of the PCS holds, chain and all.
        """
        found = read_if_readable(entry["name"])

        taken = list(records(found, intake))

        assert len(found.signed) + len(found.crls) == len(taken)
        assert () == found.problems


class TestOther:
    @vectors("intel-pck-cert")
    def test_pck_certificate(self, entry, intake):
        """
        A PCK certificate is recognised, and is no CA certificate.
        """
        (certificate,) = read(entry["name"]).certificates

        with pytest.raises(ThimError, match="not an Intel CA") as e:
            verify_ca_certificate(certificate, intake)

        assert "pck-certificate" == e.value.reason

    @vectors(
        "quote-sgx-v3",
        "quote-tdx-v4",
        "quote-tdx-v5",
        "oe-report",
        "intel-fmspc-list",
        "intel-pckid-csv",
        "snp-report-v2",
        "snp-report-v3",
        "snp-report-v5",
        "azure-hcl-report",
        "maa-token",
    )
    def test_no_collateral(self, entry):
        """
        Evidence, lists and tokens are told from collateral.
        """
        with pytest.raises(ThimError) as e:
            read(entry["name"])

        assert e.value.reason in {"evidence", "unrecognised", "unsigned"}


NEGATIVE = [name for name in CORPUS.entries if name.startswith("negative/")]


@pytest.mark.parametrize("name", NEGATIVE)
class TestNegative:
    def test_no_record(self, name, intake):
        """
        No file of what must be refused gives a record under Intel's root.
        """
        assert [] == list(records(read_if_readable(name), intake))

    def test_no_help_from_its_own_certificates(self, name, intake):
        """
        Nor does it where the certificates in it may form the chain.
        """
        found = read_if_readable(name)
        known = (*found.certificates, *intake.known)

        believing = dataclasses.replace(intake, known=known)

        assert [] == list(records(found, believing))


def own_intake(suffix):
    """
    Return what judges a set of Intel's test PKI: its own root and chains.
    """
    chains = [
        parse_pem_chain(CORPUS.bytes(f"{TEST_PKI}/{chain}{suffix}.pem"))
        for chain in ("tcb-sign-chain", "pck-sign-chain")
    ]
    known = [certificate for chain in chains for certificate in chain]
    roots = [c for c in known if authority_of(c) is Authority.ROOT]
    return Intake(
        anchors=TrustAnchors(
            spki_sha256=frozenset(spki_sha256(root) for root in roots)
        ),
        known=known,
        root_crl=None,
        now=LATER,
    )


class TestTestPki:
    """
    The sample sets of Intel's QVL, made under two roots of its own.

    In the corpus the two root files are crossed: the root at the end of each
    set's own chains is taken.
    """

    @pytest.mark.parametrize(
        ("suffix", "name", "key"),
        [
            ("", "tcb-info.json", "tcb-info/sgx:00707F000000/2"),
            ("", "qe-identity.json", "identity/qe/2"),
            ("", "qve-identity.json", "identity/qve/2"),
            ("", "root-ca-crl.der", "root-ca-crl/root/0"),
            ("", "root-ca-crl.pem", "root-ca-crl/root/0"),
            ("", "intermediate-ca-crl.der", "pck-crl/processor/0"),
            ("", "intermediate-ca-crl.pem", "pck-crl/processor/0"),
            ("-2", "qe-identity-2.json", "identity/td-qe/2"),
            ("-2", "root-ca-crl-2.der", "root-ca-crl/root/0"),
            ("-2", "intermediate-ca-crl-2.der", "pck-crl/processor/0"),
        ],
    )
    def test_under_its_own_root(self, suffix, name, key, corpus):
        """
        A document verifies where its set's root is the anchor: only the
        anchors make it foreign.
        """
        found = read(f"{TEST_PKI}/{name}")

        (record,) = records(found, own_intake(suffix))

        assert f"intel/{key}" == str(record.key)

    def test_malformed_under_any_root(self, corpus):
        """
        The second set's TCB info has components of 16 bits, and is malformed
        whoever signed it.
        """
        found = read(f"{TEST_PKI}/tcb-info-2.json")

        assert [] == list(records(found, own_intake("-2")))

    @pytest.mark.parametrize(
        ("suffix", "name"),
        [
            ("-2", "tcb-info.json"),
            ("-2", "qe-identity.json"),
            ("", "qe-identity-2.json"),
            ("", "root-ca-crl-2.der"),
        ],
    )
    def test_under_the_other_root(self, suffix, name, corpus):
        """
        One set's documents do not hold under the other set's root.
        """
        found = read(f"{TEST_PKI}/{name}")

        assert [] == list(records(found, own_intake(suffix)))


def test_files_are_those_of_the_manifest(corpus):
    """
    What is tested are the very files that the manifest speaks of.
    """
    kinds = ("intel-tcb-info", "intel-enclave-identity", "intel-crl")
    changed = [
        entry["name"]
        for entry in CORPUS.of(*kinds)
        if hashlib.sha256(CORPUS.bytes(entry["name"])).hexdigest()
        != entry["sha256"]
    ]

    assert [] == changed
