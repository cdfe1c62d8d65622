"""
What is measured of certificates, disks, tenants, chips and workers.
"""

import datetime
import os

import pytest

from cryptography import x509

from tests.http.admin_api import serving_admin
from tests.http.certified import Authority
from tests.http.scraping import read, values
from tests.http.scraping import scrape as scraped
from tests.platforms import NOW, entry
from tests.services.test_fleet import GOOD
from thim.http.metrics_keys import certificate_metrics, disk_metrics
from thim.http.metrics_serving import serving_metrics
from thim.http.metrics_vendors import answer_metrics
from thim.http.scrape import Scrape
from thim.http.settings import HttpSettings
from thim.http.tallies import Sheet
from thim.store.ledger import Ledger


MINUTE = datetime.timedelta(minutes=1)
#: In minutes.
YEAR = 365 * 24 * 60


@pytest.fixture(scope="module")
def found(intel, tmp_path_factory):
    """
    What is measured of a service with four tenants, three platforms and a chip.
    """
    with serving_admin(intel, tmp_path_factory.mktemp("measured")) as api:
        yield read(api.served)


def scrape(folder, **changes):
    """
    What a worker says for itself.
    """
    settings = HttpSettings(
        store=folder / "thim.db",
        tls_certificates=changes.pop("tls_certificates", ()),
    )
    usual = {"now": NOW, "sheet": Sheet(), "pids": [os.getpid()]}
    return Scrape(settings=settings, **{**usual, **changes})


class TestStore:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            (("thim_tenant_evaluation_number", "17", "acme"), 17),
            (("thim_tenant_evaluation_number", "default", "root"), 18),
            (("thim_tenant_number_signed", "17", "acme"), 1),
            (("thim_platforms",), 3),
            (("thim_platforms_without_certificates",), 0),
            (("thim_platforms_revoked",), 0),
            (("thim_pck_certificates_by_end", "later"), 3),
            (("thim_vceks_by_end", "later"), 0),
            (("thim_chips",), 1),
            (("thim_chips_confirmed",), 0),
            (("thim_chips_without_vcek",), 1),
            (("thim_vceks",), 0),
            (("thim_quarantined_documents",), 0),
            (("thim_promised_documents", "missing"), 4),
        ],
    )
    def test_numbers(self, found, name, expected):
        """
        Tenants, platforms, chips and documents are counted as what they are.
        """
        assert expected == found[name]

    def test_issued(self, found):
        """
        Of each kind of document it is said when the newest was issued.
        """
        newest = {
            name[1:]: value
            for name, value in found.items()
            if name[0] == "thim_vendor_last_issue_timestamp_seconds"
        }

        assert {("identity", "intel"), ("tcb-info", "intel")} == newest.keys()
        assert all(value <= NOW.timestamp() for value in newest.values())

    def test_whole(self, found):
        """
        Nothing is missing where all can be read, and nothing is said of what
        there is not.
        """
        names = {name[0] for name in found}

        assert "thim_scrape_missing" not in names
        assert "thim_fleet_outlook_timestamp_seconds" not in names
        assert "thim_signing_key_active_timestamp_seconds" not in names
        assert "thim_ledger_away" not in names


class TestCertificates:
    def test_end(self, tmp_path):
        """
        A chain ends with its first certificate; a file that is not there, or
        is none, is left out.
        """
        ca = Authority(tmp_path)
        server = ca.issue("server", "thim.test").cert
        leaf = x509.load_pem_x509_certificate(server.read_bytes())
        server.write_bytes(server.read_bytes() + ca.path.read_bytes())
        (tmp_path / "x.pem").write_bytes(b"x")
        files = (tmp_path / "none.pem", server, tmp_path / "x.pem")
        made = certificate_metrics(scrape(tmp_path, tls_certificates=files))

        name = "thim_tls_certificate_expiry_timestamp_seconds"
        assert {
            (name, str(server)): leaf.not_valid_after_utc.timestamp()
        } == values(made)


class TestDisk:
    def test_sizes(self, tmp_path):
        """
        Files count with their logs; those that are not there yet are empty.
        """
        (tmp_path / "thim.db").write_bytes(b"x" * 100)
        (tmp_path / "thim.db-wal").write_bytes(b"x" * 11)
        found = values(disk_metrics(scrape(tmp_path)))

        assert 111 == found["thim_store_bytes", "store"]
        assert 0 == found["thim_store_bytes", "decisions"]
        assert (
            0 < found["thim_disk_free_bytes",] < found["thim_disk_size_bytes",]
        )

    def test_gone(self, tmp_path):
        """
        Of a disk that is not there nothing is said.
        """
        found = values(disk_metrics(scrape(tmp_path / "gone")))

        assert ("thim_disk_size_bytes",) not in found


class TestServing:
    def test_latency(self, tmp_path):
        """
        Each bound counts what was at most as slow, and seconds are seconds.
        """
        counts = (
            (("bucket", "pcs", "0"), 3),
            (("bucket", "pcs", "2"), 4),
            (("bucket", "pcs", "13"), 1),
            (("microseconds", "pcs"), 2_500_000),
        )
        found = values(
            serving_metrics(scrape(tmp_path, sheet=Sheet(counts=counts)))
        )
        name = "thim_request_seconds_bucket"

        assert [3, 3, 7, 7, 8] == [
            found[name, "pcs", bound]
            for bound in ("0.001", "0.0025", "0.005", "10.0", "+Inf")
        ]
        assert 2.5 == found["thim_request_seconds_sum", "pcs"]

    def test_counted(self, tmp_path):
        """
        What all workers have counted is told, each number as its own.
        """
        sheet = Sheet(
            counts=(
                (("starts",), 2),
                (("starts",), 1),
                (("memo_hits",), 5),
                (("memo_misses",), 6),
                (("pck_hits",), 7),
            ),
            gauges={"memo_bytes": 8, "memo_entries": 9, "refresh_failed": 1},
        )
        made = scrape(tmp_path, sheet=sheet)
        found = values([*serving_metrics(made), *answer_metrics(made)])

        assert [3, 5, 6, 7, 8, 9, 1] == [
            found[f"thim_{name}",]
            for name in (
                "worker_starts_total",
                "memo_hits_total",
                "memo_misses_total",
                "pck_fast_answers_total",
                "memo_bytes",
                "memo_entries",
                "refresh_failed",
            )
        ]

    def test_workers(self, tmp_path):
        """
        What each worker takes is told by its number.
        """
        pids = [os.getpid(), os.getppid()]
        found = values(serving_metrics(scrape(tmp_path, pids=pids)))
        name = "thim_worker_process_resident_memory_bytes"

        assert 2 == found["thim_workers",]
        assert {str(pid) for pid in pids} == {
            key[1] for key in found if key[0] == name
        }


class TestCounted:
    def test_ten_minutes(self, intel, tmp_path):
        """
        What there may be millions of is counted again after ten minutes, and
        where the clock was set back.
        """
        clock, counts = [NOW], []
        with serving_admin(intel, tmp_path, clock=lambda: clock[0]) as api:
            for later in (0, 9, 10 * YEAR, 0):
                clock[0] = NOW + later * MINUTE
                found = read(api.served)
                counts.append(
                    [
                        found["thim_pck_certificates_by_end", window]
                        for window in ("later", "expired")
                    ]
                )
                if later == 0:
                    one = entry(intel, f"new-{len(counts)}", GOOD, raw=(GOOD,))
                    with Ledger(api.store, intel.anchors) as ledger:
                        ledger.platforms.enter([one], NOW)

        assert [[3, 0], [3, 0], [0, 4], [4, 0]] == counts


class TestAnswer:
    def test_parts(self, intel, tmp_path):
        """
        Each part has its say, be it that there is nothing.
        """
        with serving_admin(intel, tmp_path) as api:
            names = {family.name for family in scraped(api.served)}

        assert {
            "thim_attestation_verdicts",
            "thim_attestations",
            "thim_webhook_notices",
            "thim_signing_keys",
            "thim_disk_free_bytes",
            "thim_vendor_requests",
            "thim_vendor_answers",
            "thim_document_next_update_timestamp_seconds",
            "thim_fleet_breaking",
        } <= names

    def test_kept_by_nobody(self, intel, tmp_path):
        """
        Nobody in between keeps the answer.
        """
        with serving_admin(intel, tmp_path) as api:
            got = api.served.get("/metrics")

        assert "no-store" == got["cache-control"]
