import pytest

from tests.cli.sim import standing
from tests.services.vendor import DAY
from thim.simulate.broken import Status
from thim.simulate.forged import MovedRoot, WrongSignature


@pytest.fixture
def sim(tmp_path):
    """
    A small vendor, and the setup for it.
    """
    with standing(tmp_path) as running:
        yield running


@pytest.fixture
def status(thim, sim):
    """
    Run ``thim status``.
    """
    return lambda *rest: thim("status", "--config", sim.config, *rest)


@pytest.fixture
def refresh(thim, sim):
    """
    Run ``thim collateral refresh``.
    """
    return lambda *rest: thim(
        "collateral", "refresh", "--config", sim.config, *rest
    )


class TestText:
    def test_well(self, status, refresh, sim):
        """
        One screen when all is well, with the exit code 0.
        """
        refresh()
        run = status()

        assert (0, "") == (run.code, run.err)
        assert [
            "thim: well, at 2026-11-02T09:00:00Z",
            "  !! test anchors: nothing here can be trusted",
            "documents    11 fresh",
            "platforms    0",
            "autonomy     711 hours (29.6 days)",
            "next expiry  2026-12-02T00:00:00Z intel/identity/qae/2?number=20",
            "vendors      lazy",
            "last answer  2026-11-02T09:00:00Z",
            "refused      0 from vendors in the last 7 days",
            "clock        agrees with the vendor's",
            f"  {sim.vendor.url}: answers",
        ] == run.text.splitlines()

    def test_empty(self, status):
        """
        An empty store is to be looked at soon.
        """
        run = status()
        lines = run.text.splitlines()

        assert 1 == run.code
        assert "thim: look soon, at 2026-11-02T09:00:00Z" == lines[0]
        assert (
            "  !  empty: nothing is archived yet of what is promised"
            == lines[1]
        )
        assert "autonomy     -" in lines
        assert "last answer  never" in lines

    def test_concerns(self, status, refresh, sim):
        """
        Concerns stand at the top, the most urgent first.
        """
        refresh()
        sim.vendor.faults.add(Status(code=401, route="pckcrl"))
        sim.vendor.clock.advance(2 * DAY)
        refresh("intel/pck-crl/platform/0")
        sim.vendor.faults.clear()
        sim.vendor.faults.add(WrongSignature(route="identity"))
        refresh("intel/identity/qe/2?number=20")
        sim.vendor.faults.clear()
        sim.vendor.faults.add(Status(code=401))
        refresh("intel/pck-crl/platform/0")
        run = status()
        lines = run.text.splitlines()

        assert 2 == run.code
        assert "thim: act now, at 2026-11-04T09:00:00Z" == lines[0]
        assert lines[1].startswith("  !! key-refused: http://127.0.0.1:")
        assert (
            "  !  refused: in the last 7 days: 1 signature-invalid" == lines[2]
        )
        assert f"  {sim.vendor.url}: 1 failures in a row" == lines[-1]

    def test_left_alone(self, status, refresh, sim):
        """
        An address that is left alone says until when.
        """
        refresh()
        sim.vendor.faults.add(Status(code=429, retry_after=600))
        refresh("intel/pck-crl/platform/0")

        line = status().text.splitlines()[-1]
        assert (
            f"  {sim.vendor.url}: left alone until 2026-11-02T09:10:00Z" == line
        )


class TestExitCode:
    @pytest.mark.parametrize(
        ("later", "expected", "reasons"),
        [
            (0 * DAY, 0, set()),
            (2 * DAY, 0, set()),
            (4 * DAY, 1, {"vendor-silent"}),
            (21 * DAY, 1, {"vendor-silent", "stale"}),
            (23 * DAY, 1, {"vendor-silent", "stale", "autonomy"}),
            (29 * DAY, 2, {"vendor-silent", "stale", "autonomy"}),
            (30 * DAY, 2, {"vendor-silent", "expired"}),
        ],
    )
    def test_without_vendor(
        self, status, refresh, sim, later, expected, reasons
    ):
        """
        Without the vendor it gets worse by and by.
        """
        refresh()
        sim.vendor.clock.advance(later)
        run = status("--json")

        assert reasons == {c["reason"] for c in run.json["concerns"]}
        assert (expected, expected) == (run.code, run.json["level"])

    def test_with_vendor(self, status, refresh, sim):
        """
        With the vendor back it is well again.
        """
        refresh()
        sim.vendor.clock.advance(30 * DAY)
        refresh()

        assert 0 == status().code

    def test_moved_root(self, status, refresh, sim):
        """
        A vendor with another root calls for action.
        """
        refresh()
        sim.vendor.faults.add(MovedRoot())
        sim.vendor.clock.advance(2 * DAY)
        refresh()
        run = status("--json")

        assert 2 == run.code
        assert {"root-untrusted", "refused"} == {
            c["reason"] for c in run.json["concerns"]
        }

    @pytest.mark.parametrize("arguments", [(), ("--json",)])
    def test_no_store(self, status, sim, arguments):
        """
        Without a store the exit code is 2, and the reason one line.
        """
        sim.store.unlink()
        run = status(*arguments)

        assert (2, b"") == (run.code, run.out)
        assert 1 == run.err.count("\n")
        assert "no such file" in run.err


class TestJson:
    def test_well(self, status, refresh, sim):
        """
        JSON has the same for machines.
        """
        refresh()
        found = status("--json").json
        (address,) = found.pop("addresses")

        assert {
            "level": 0,
            "verdict": "well",
            "now": "2026-11-02T09:00:00Z",
            "fill": "lazy",
            "dangerous": True,
            "documents": {"fresh": 11},
            "platforms": 0,
            "platforms_without_certificates": 0,
            "chips": 0,
            "chips_confirmed": 0,
            "chips_without_vcek": 0,
            "vceks": 0,
            "vceks_waited_for": 0,
            "autonomy_hours": 711.0,
            "next_expiry": {
                "document": "intel/identity/qae/2?number=20",
                "next_update": "2026-12-02T00:00:00Z",
            },
            "last_answer": "2026-11-02T09:00:00Z",
            "refused": 0,
            "concerns": [],
        } == found
        assert (sim.vendor.url, 13, 0, "2026-11-02T09:00:00Z", None, 0.0) == (
            address["address"],
            address["requests"],
            address["failures"],
            address["last_answer"],
            address["left_alone_until"],
            address["clock_ahead_seconds"],
        )

    def test_empty(self, status):
        """
        What there is not is null.
        """
        found = status("--json").json

        assert (None, None, None, []) == (
            found["autonomy_hours"],
            found["next_expiry"],
            found["last_answer"],
            found["addresses"],
        )
        assert [(1, "empty")] == [
            (c["level"], c["reason"]) for c in found["concerns"]
        ]

    def test_offline(self, status, refresh, sim):
        """
        Offline nothing is said of the vendors.
        """
        refresh()
        sim.configure('fill = "offline"')
        sim.vendor.clock.advance(5 * DAY)
        found = status("--json").json

        assert ("offline", []) == (found["fill"], found["concerns"])


class TestAnchors:
    def test_real_store(self, thim, store):
        """
        A store for the vendor's own documents has no warning.
        """
        run = thim("status", "--store", store)

        assert 1 == run.code
        assert "test anchors" not in run.text
        assert not thim("status", "--store", store, "--json").json["dangerous"]

    def test_marked(self, status, sim):
        """
        A store that was made with test anchors is refused without them.
        """
        sim.remove("dangerous_test_anchors")
        sim.remove("dangerous_clock")
        run = status()

        assert (2, b"") == (run.code, run.out)
        assert "made for the trust anchors" in run.err

    def test_other_way_round(self, thim, sim, store):
        """
        So is one for the vendor's own documents with test anchors.
        """
        run = thim("status", "--config", sim.config, "--store", store)

        assert (2, b"") == (run.code, run.out)
        assert "made for the trust anchors" in run.err
