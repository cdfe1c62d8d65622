import base64
import json

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.attestation.signing import ISSUER, NOW, PRIVATE
from tests.new_store import new_store
from tests.simulate.chips import playing
from tests.tsm import playing_kernel
from thim.amd.cert_table import ARK, ASK, VCEK, CertEntry, CertTable
from thim.amd.report import Report
from thim.amd.verify import verify_evidence
from thim.attestation.signing_certificate import (
    EvidenceKind,
    issue_signing_certificate,
    write_tdx_evidence,
)
from thim.attestation.token import digest_key
from thim.client.signer_evidence import find_evidence
from thim.services.ingest import ingest
from thim.services.key_evidence import find_key_evidence
from thim.store.endorsement_view import EndorsementView
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.x509.chain import parse_certificate, parse_pem_chain, to_pem


PUBLIC = PRIVATE.public_key()
BOUND = digest_key(PUBLIC) + bytes(32)
CHIP = "milan-1"


@pytest.fixture(scope="module")
def simulated():
    """
    A world with chips of AMD's, and machines of Intel's.
    """
    with playing() as running:
        yield running


@pytest.fixture
def store(simulated, tmp_path):
    """
    An empty store for what that world's vendors sign.
    """
    path = tmp_path / "thim.db"
    new_store(path, simulated.anchors)
    return path


@pytest.fixture
def keys(store):
    """
    The endorsement keys of that store.
    """
    replica = Replica(store)
    yield EndorsementView(replica)
    replica.close()


def chain_of(simulated, name=CHIP):
    """
    Return the certificates of a chip: VCEK, ASK, ARK.
    """
    chip = simulated.chip(name)
    return [parse_certificate(chip.vcek), *parse_pem_chain(chip.chain)]


def table_of(simulated, name=CHIP, leave_out=()):
    """
    Return what a host has of a chip's certificates.
    """
    entries = zip((VCEK, ASK, ARK), chain_of(simulated, name), strict=True)
    return CertTable(
        entries=tuple(
            CertEntry(guid=guid, data=certificate.public_bytes(Encoding.DER))
            for guid, certificate in entries
            if guid not in leave_out
        )
    ).to_bytes()


def member(evidence, name):
    """
    Return what a member of the JSON is.
    """
    spelled = json.loads(evidence.data)[name]
    return base64.urlsafe_b64decode(spelled + "=" * (-len(spelled) % 4))


def ask(simulated, root, keys, auxblob=None, **fields):
    """
    Ask a guest on a chip for evidence of our key.
    """

    def make(data):
        return simulated.report(CHIP, **{"report_data": data, **fields})

    with playing_kernel(root, "sev_guest", make, auxblob):
        return find_key_evidence(root, PUBLIC, keys)


class TestSnp:
    def test_bound(self, simulated, tmp_path, keys):
        """
        The report is over the digest of the key, and zeros.
        """
        found = ask(simulated, tmp_path / "tsm", keys, table_of(simulated))

        assert EvidenceKind.SNP is found.kind
        report = Report.from_bytes(member(found, "SnpReport"))
        assert BOUND == report.report_data

    def test_table(self, simulated, tmp_path, keys):
        """
        The chain is the host's.
        """
        found = ask(simulated, tmp_path / "tsm", keys, table_of(simulated))

        assert to_pem(chain_of(simulated)) == member(found, "VcekCertChain")

    @pytest.mark.parametrize("table", ["none", "malformed", "other", "part"])
    def test_store(self, simulated, tmp_path, store, keys, table):
        """
        Where the host has none, another chip's, or half of it, the chain is
        the store's.
        """
        auxblob = {
            "none": b"",
            "malformed": b"x" * 99,
            "other": table_of(simulated, "milan-2"),
            "part": table_of(simulated, leave_out={ARK}),
        }[table]
        chip = simulated.chip(CHIP)
        files = [("chain.pem", chip.chain), ("vcek.der", chip.vcek)]
        with Ledger(store, simulated.anchors) as ledger:
            list(ingest(files, ledger=ledger, now=simulated.clock()))
        found = ask(simulated, tmp_path / "tsm", keys, auxblob)

        assert to_pem(chain_of(simulated)) == member(found, "VcekCertChain")

    def test_unknown_chain(self, simulated, tmp_path, keys):
        """
        A chain that nobody knows is left out.
        """
        found = ask(simulated, tmp_path / "tsm", keys)

        assert {"SnpReport"} == set(json.loads(found.data))


class TestNone:
    def test_no_tee(self, tmp_path, keys, caplog):
        """
        Where there is no such folder there is no evidence, and no word of it.
        """
        assert find_key_evidence(tmp_path / "none", PUBLIC, keys) is None
        assert not caplog.text

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"report_data": bytes(64)}, "report data 0000"),
            ({"version": 9}, "version"),
        ],
    )
    def test_unusable(self, simulated, tmp_path, keys, caplog, fields, words):
        """
        A report over other data, or one that cannot be read, is no evidence;
        the log says why.
        """
        root = tmp_path / "tsm"

        assert ask(simulated, root, keys, **fields) is None
        assert "has no evidence of this machine" in caplog.text
        assert words in caplog.text

    def test_strange_provider(self, tmp_path, keys, caplog):
        """
        Nor is that of a TEE that nobody knows.
        """
        root = tmp_path / "tsm"
        with playing_kernel(root, "cca_guest", bytes):
            assert find_key_evidence(root, PUBLIC, keys) is None
        assert "provider 'cca_guest', expected 'sev_guest'" in caplog.text


class TestTdx:
    def test_quote(self, simulated, tmp_path, keys):
        """
        A TD's evidence is its quote over the same data.
        """

        def make(data):
            return simulated.quote("sapphire-1", "tdx-v4", report_data=data)

        root = tmp_path / "tsm"
        with playing_kernel(root, "tdx_guest", make) as kernel:
            found = find_key_evidence(root, PUBLIC, keys)

        assert [BOUND] == kernel.asked
        assert found is not None
        assert EvidenceKind.TDX is found.kind
        assert member(found, "TdxQuote")[:2] == b"\4\0"


class TestRelyingParty:
    def read(self, evidence):
        """
        Read the evidence in a certificate as a relying party does.
        """
        der = issue_signing_certificate(PRIVATE, ISSUER, NOW, evidence)
        return find_evidence(x509.load_der_x509_certificate(der))

    def test_snp(self, simulated, tmp_path, keys):
        """
        The report in a certificate is bound to its key and genuine, for whoever
        trusts AMD's roots and has no list of what is revoked.
        """
        found = self.read(
            ask(simulated, tmp_path / "tsm", keys, table_of(simulated))
        )
        assert found is not None
        report = found.evidence.report
        leaf, *rest = parse_pem_chain(found.vcek_chain)
        verdict = verify_evidence(
            report.raw,
            leaf.public_bytes(Encoding.DER),
            to_pem(rest),
            None,
            anchors=simulated.anchors,
            now=simulated.clock(),
        )

        assert BOUND == report.report_data
        assert verdict.is_authentic

    def test_tdx(self, simulated):
        """
        So is the quote of a TD.
        """
        quote = simulated.quote("sapphire-1", "tdx-v4", report_data=BOUND)
        found = self.read(write_tdx_evidence(quote))

        assert found is not None
        assert quote == found.evidence.quote.raw
