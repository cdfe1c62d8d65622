import collections
import hashlib
import json
import random

from datetime import UTC, datetime

import pytest

from tests.new_store import new_store
from tests.store.made import all_stored
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.audit import audit
from thim.services.ingest import Outcome, ingest
from thim.store.ledger import Ledger


NOW = datetime(2027, 1, 1, tzinfo=UTC)
GENUINE = {
    "intel-tcb-info": 117,
    "intel-enclave-identity": 90,
    "intel-crl": 72,
    "intel-tcb-eval-numbers": 6,
}


class Import:
    """A store into which files of the corpus went, and what became of them."""

    def __init__(self, path, corpus, names):
        self.path = path
        new_store(path, VENDOR_ROOTS)
        with Ledger(path, VENDOR_ROOTS) as ledger:
            self.results = list(
                ingest(
                    ((name, (corpus / name).read_bytes()) for name in names),
                    ledger=ledger,
                    now=NOW,
                )
            )
            self.stored = all_stored(ledger)
            self.certificates = set(ledger.certificates())

    @property
    def heads(self):
        """
        Return the signed digest of each head, by key and number.
        """
        return {
            (s.record.key, s.record.evaluation_number): s.record.signed_sha256
            for s in self.stored
            if s.is_head
        }

    @property
    def signed(self):
        """
        Return the signed digest of each record.
        """
        return {s.record.signed_sha256 for s in self.stored}


@pytest.fixture(scope="module")
def names(corpus):
    """
    Every file of the corpus, sorted.
    """
    return sorted(
        str(file.relative_to(corpus))
        for file in corpus.rglob("*")
        if file.is_file()
    )


@pytest.fixture(scope="module")
def entries(corpus):
    """
    What the manifest says of each file.
    """
    return json.loads((corpus / "manifest.json").read_text())["entries"]


@pytest.fixture(scope="module")
def in_order(corpus, names, tmp_path_factory):
    """
    The whole corpus, in the order of its names.
    """
    path = tmp_path_factory.mktemp("sorted") / "thim.db"
    return Import(path, corpus, names)


@pytest.fixture(scope="module")
def shuffled(corpus, names, tmp_path_factory):
    """
    The whole corpus, in another order.
    """
    path = tmp_path_factory.mktemp("shuffled") / "thim.db"
    return Import(path, corpus, random.Random(2).sample(names, len(names)))


@pytest.fixture(scope="module", params=["in_order", "shuffled"])
def imported(request):
    """
    The whole corpus, in either order.
    """
    return request.getfixturevalue(request.param)


class TestGenuine:
    def test_the_manifest_is_the_one_we_know(self, entries):
        """
        The manifest has as many genuine documents as we expect.
        """
        kinds = collections.Counter(entry["kind"] for entry in entries)

        assert GENUINE == {kind: kinds[kind] for kind in GENUINE}

    @pytest.mark.parametrize("kind", GENUINE)
    def test_all_are_taken(self, imported, entries, kind):
        """
        Every genuine document is accepted or known, whatever its age and
        order of arrival.
        """
        outcomes = collections.defaultdict(set)
        for result in imported.results:
            outcomes[result.source].add(result.outcome)

        missed = [
            entry["name"]
            for entry in entries
            if entry["kind"] == kind
            and (
                Outcome.REFUSED in outcomes[entry["name"]]
                or not outcomes[entry["name"]]
            )
        ]
        assert [] == missed

    def test_very_bytes(self, imported, corpus, entries):
        """
        A document that is in one file only is archived with that file's
        bytes.
        """
        bodies = {s.record.source: s.record.body for s in imported.stored}
        archived = [
            entry["name"]
            for entry in entries
            if entry["kind"] in GENUINE and entry["name"] in bodies
        ]

        assert len(archived) > 200
        for name in archived:
            raw = (corpus / name).read_bytes()
            assert raw in {bodies[name], bodies[name].hex().encode()}

    def test_certificates(self, imported, entries):
        """
        Every certificate of Intel's authorities is known.
        """
        ours = {
            hashlib.sha256(c.tbs_certificate_bytes).digest()
            for c in imported.certificates
        }
        refused = {
            r.source for r in imported.results if r.outcome is Outcome.REFUSED
        }
        authorities = [e for e in entries if e["kind"] == "intel-ca-cert"]

        assert len(authorities) <= len(ours)
        assert refused.isdisjoint(e["name"] for e in authorities)


class TestNegative:
    def test_adds_nothing(self, imported):
        """
        What must be refused adds nothing to the archive: whatever is taken
        from there is a document or certificate that stands outside too, in
        the very bytes that were signed.
        """
        taken = collections.defaultdict(set)
        for r in imported.results:
            if r.outcome is not Outcome.REFUSED:
                is_negative = r.source.startswith("negative/")
                taken[is_negative].add((r.what, r.evaluation_number, r.issued))

        assert taken[True] <= taken[False]

    def test_is_no_source(self, in_order):
        """
        In the order of names nothing comes from there first.
        """
        sources = {s.record.source.split("/")[0] for s in in_order.stored}

        assert sources <= {"amd", "attestation", "intel"}


class TestRefusals:
    def test_each_file_has_a_result(self, imported, names):
        """
        Of every file something is said.
        """
        assert set(names) == {result.source for result in imported.results}

    def test_named(self, imported):
        """
        Each refusal has a reason in kebab-case, of which none is the bare
        word for any error, and a detail.
        """
        refused = [r for r in imported.results if r.outcome is Outcome.REFUSED]

        assert refused
        for result in refused:
            assert result.reason
            assert result.reason.replace("-", "").isalpha()
            assert result.reason == result.reason.lower()
            assert result.reason != "error"
            assert result.detail
            assert "\n" not in result.detail

    @pytest.mark.parametrize(
        ("folder", "reasons"),
        [
            ("quotes/", {"evidence"}),
            ("intel/pck/", {"pck-certificate"}),
            ("intel/fmspcs/", {"unsigned"}),
            ("snp/", {"evidence"}),
            ("amd/", {"evidence"}),
        ],
    )
    def test_by_folder(self, imported, folder, reasons):
        """
        Evidence, PCK certificates and unsigned lists are refused as what
        they are.
        """
        found = collections.Counter(
            r.reason
            for r in imported.results
            if r.source.startswith(folder) and r.outcome is Outcome.REFUSED
        )

        (most, _) = found.most_common(1)[0]
        assert most in reasons
        assert reasons <= set(found)


class TestOrder:
    def test_does_not_matter(self, in_order, shuffled):
        """
        Both orders end with the same archive, heads and refusals.
        """
        assert in_order.signed == shuffled.signed
        assert in_order.heads == shuffled.heads
        assert in_order.certificates == shuffled.certificates
        assert refusals(in_order) == refusals(shuffled)

    def test_sound(self, shuffled):
        """
        The archive that they leave passes its own audit.
        """
        with Ledger(shuffled.path, VENDOR_ROOTS) as ledger:
            report = audit(ledger)

        assert () == report.findings
        assert len(shuffled.stored) == report.records


def refusals(run: Import) -> collections.Counter[tuple[str, str | None]]:
    """
    Count what was refused by file and reason.
    """
    return collections.Counter(
        (r.source, r.reason)
        for r in run.results
        if r.outcome is Outcome.REFUSED
    )
