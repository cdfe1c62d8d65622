"""
What is measured of requests.
"""

import pytest

from tests.http.conftest import FMSPC, NOW
from tests.http.machines import AT, ask_for, exchange, make_pck_store, request
from tests.http.scraping import read
from tests.platforms import NOW as PCK_NOW
from tests.serving import serving
from tests.store.made import KEY, day
from tests.tenants import Decisions
from thim.http.measured import FAMILIES, find_family
from thim.http.metrics_collateral import (
    MOST_DOCUMENTS,
    MOST_OF_A_KIND,
    choose_heads,
)
from thim.simulate.pki import Intel
from thim.store.watch import Head


V4 = "/sgx/certification/v4"


def requests_in(found, family, tenant="root", code="2xx"):
    """
    Return how many requests were counted.
    """
    return found.get(("thim_requests_total", code, family, tenant), 0)


class TestFamily:
    @pytest.mark.parametrize(
        ("path", "family"),
        [
            (f"{V4}/tcb", "pcs"),
            ("/tdx/certification/v4/qe/identity", "pcs"),
            ("/IntelSGXRootCA.der", "pcs"),
            (f"/tenant/acme{V4}/pckcert", "pcs"),
            (f"/tenant/acme/baseline/19/at/2026-01-01{V4}/tcb", "pcs"),
            (f"{V4}/platforms", "pccs"),
            ("/sgx/certification/v3/refresh", "pccs"),
            (f"/tenant/acme{V4}/appraisalpolicy", "pccs"),
            ("/vcek/v1/Milan/cert_chain", "kds"),
            ("/vlek/v1/Genoa/crl", "kds"),
            ("/SevSnpVM/certificates/00/1", "thim"),
            ("/metadata/THIM/amd/certification", "imds"),
            ("/attest/SgxEnclave", "attestation"),
            ("/tenant/acme/certs", "attestation"),
            ("/policies/TdxVm:reset", "attestation"),
            ("/.well-known/openid-configuration", "attestation"),
            ("/admin/v1/whoami", "admin"),
            ("/health/ready", "ops"),
            ("/metrics", "ops"),
            ("/", "other"),
            ("/favicon.ico", "other"),
            ("/tenant/acme", "other"),
            ("/tenant/sgx/", "other"),
        ],
    )
    def test_found(self, path, family):
        """
        The family is that of the path behind its prefixes.
        """
        assert family == find_family(path)
        assert family in FAMILIES


class TestCounted:
    @pytest.fixture
    def running(self, store, intel, tmp_path):
        """
        A service with a tenant.
        """
        path = tmp_path / "thim.db"
        path.write_bytes(store.read_bytes())
        Decisions().tenant("acme", "19").write(path, intel.anchors)
        with serving(path, lambda: NOW, anchors=intel.anchors) as served:
            yield served

    def test_memory(self, running):
        """
        What is answered from memory is counted as what is not; its time is
        not.
        """
        for _ in range(5):
            running.get(f"{V4}/tcb?fmspc={FMSPC}")
        hits = running.state["memo"].hits
        found = read(running)

        assert 5 == requests_in(found, "pcs")
        assert hits == found["thim_memo_hits_total",] > 0
        timed = found["thim_request_seconds_count", "pcs"]
        assert 5 - hits == timed
        assert found["thim_memo_bytes",] > 0

    def test_tenant(self, running):
        """
        Requests are counted for the tenant that the path names; those for a
        tenant that there is not have no name of their own.
        """
        for _ in range(3):
            running.get(f"/tenant/acme{V4}/tcb?fmspc={FMSPC}")
        running.get(f"/tenant/stranger{V4}/tcb?fmspc={FMSPC}")
        found = read(running)

        assert 3 == requests_in(found, "pcs", "acme")
        assert 1 == requests_in(found, "pcs", "root", "4xx")
        assert not any("stranger" in labels for labels in found)

    def test_bug(self, store, intel):
        """
        A defect of ours is counted as a 500.
        """
        with serving(store, lambda: NOW, anchors=intel.anchors) as served:
            served.state["service"].reply = None
            served.get(f"{V4}/tcb?fmspc={FMSPC}")
            found = read(served)

        assert 1 == requests_in(found, "pcs", "root", "5xx")

    def test_pck(self, tmp_path):
        """
        PCK certificates that the fast path answers are counted for whom the
        host name says.
        """
        intel = Intel()
        path = make_pck_store(tmp_path / "thim.db", intel)
        decided = Decisions().tenant("acme", "standard", hosts=["acme.example"])
        decided.write(path, intel.anchors)
        with serving(
            path, lambda: PCK_NOW, anchors=intel.anchors, memo_bytes=0
        ) as served:
            for host in ("x", "acme.example"):
                raw = request(ask_for("one", AT), host=host)
                exchange(served.port, raw, count=3)
            found = read(served)

        assert 3 == requests_in(found, "pcs")
        assert 3 == requests_in(found, "pcs", "acme")
        assert 4 == found["thim_pck_fast_answers_total",]

    def test_own_id(self, running):
        """
        A client's own ID is the answer's, if it is usable.
        """
        path = f"{V4}/tcb?fmspc={FMSPC}"
        own = running.get(path, {"Request-ID": "mine-1"})
        other = running.get(path, {"Request-ID": "not usable"})

        assert "mine-1" == own["request-id"]
        assert 32 == len(other["request-id"])


class TestParts:
    def test_damaged(self, store, intel, tmp_path):
        """
        Where the store cannot be read what is counted is said all the same,
        and that the store is missing.
        """
        path = tmp_path / "thim.db"
        path.write_bytes(store.read_bytes())
        with serving(path, lambda: NOW, anchors=intel.anchors) as served:
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.truncate(0)
                file.write(b"\xff" * size)
            served.get(f"{V4}/tcb?fmspc={FMSPC}")
            found = read(served)

        assert 1 == found["thim_scrape_missing", "store"]
        assert 1 == requests_in(found, "pcs", "root", "5xx")

    def test_alone(self, served):
        """
        A node without others says nothing of them.
        """
        assert not any("ledger" in labels[0] for labels in read(served))


class TestHeads:
    def heads(self, count):
        """
        Make heads, the last of them the first to expire.
        """
        return [
            Head(
                key=KEY,
                number=n,
                issued=day(0),
                next_update=day(count - n),
                is_revoked=False,
            )
            for n in range(count)
        ]

    def test_all(self):
        """
        All documents have metrics of their own, up to a bound.
        """
        heads = self.heads(MOST_DOCUMENTS)

        assert heads == choose_heads(heads)

    def test_many(self):
        """
        Where there are more it is those of each kind that expire first.
        """
        found = choose_heads(self.heads(MOST_DOCUMENTS + 1))

        assert MOST_OF_A_KIND == len(found)
        assert day(1) == found[0].next_update
