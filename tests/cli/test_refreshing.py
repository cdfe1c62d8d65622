import logging

import pytest

from tests.cli.sim import standing
from tests.services.vendor import DAY, FMSPC
from thim.simulate.broken import Down, Garbage, Status
from thim.simulate.forged import MovedRoot, WrongSignature


PLATFORM = "intel/pck-crl/platform/0"
INFO = f"intel/tcb-info/sgx:{FMSPC}/3?number=20"
#: So many documents does the vendor have: 2 lists of numbers, 3 CRLs, 4
#: identities, 2 TCB infos; the channels and the list of FMSPCs beside them.
DOCUMENTS = 11
ASKED = DOCUMENTS + 3
#: Into an empty store one of them comes with a channel.
DUE = ASKED - 1


@pytest.fixture
def sim(tmp_path):
    """
    A small vendor, and the setup for it.
    """
    with standing(tmp_path) as running:
        yield running


@pytest.fixture
def refresh(thim, sim):
    """
    Run ``thim collateral refresh``.
    """
    return lambda *rest: thim(
        "collateral", "refresh", "--config", sim.config, *rest
    )


@pytest.fixture
def status(thim, sim):
    """
    Run ``thim collateral status``.
    """
    return lambda *rest: thim(
        "collateral", "status", "--config", sim.config, *rest
    )


@pytest.fixture
def check(thim, sim):
    """
    Run ``thim upstream check``.
    """
    return lambda *rest: thim(
        "upstream", "check", "--config", sim.config, *rest
    )


class TestRefresh:
    def test_empty_store(self, refresh, sim):
        """
        From an empty store to everything that is promised.
        """
        run = refresh("--json")

        assert 0 == run.code
        assert DUE == len(run.json)
        assert {"taken"} == {each["outcome"] for each in run.json}
        assert sorted(e["document"] for e in run.json) == [
            e["document"] for e in run.json
        ]
        assert DUE == sim.vendor.requests.total

    def test_table(self, refresh):
        """
        In words there is a line for each, as it comes.
        """
        run = refresh()

        assert (0, "") == (run.code, run.err)
        assert DUE == len(run.text.splitlines()) == run.text.count("taken ")

    def test_nothing_due(self, refresh, sim):
        """
        Right afterwards nothing is due.
        """
        refresh()
        sim.vendor.requests.clear()
        run = refresh()

        assert (0, "Nothing is due.\n") == (run.code, run.text)
        assert 0 == sim.vendor.requests.total
        assert [] == refresh("--json").json

    def test_later(self, refresh, sim):
        """
        Later that is due of which there may be something newer.
        """
        refresh()
        sim.vendor.clock.advance(2 * DAY)
        run = refresh("--json")

        kinds = {each["document"].split("/")[1] for each in run.json}
        assert {
            "tcb-evaluation-data-numbers",
            "pck-crl",
            "root-ca-crl",
            "identity",
            "fmspcs",
        } == kinds
        assert {"taken"} == {each["outcome"] for each in run.json}

    def test_all(self, refresh, sim):
        """
        With ``--all`` it is everything, due or not.
        """
        refresh()
        run = refresh("--all", "--json")

        assert (0, ASKED) == (run.code, len(run.json))

    def test_named(self, refresh, sim):
        """
        Documents that are named are asked for, and nothing else.
        """
        run = refresh(PLATFORM, INFO, PLATFORM, "--json")

        assert 0 == run.code
        assert [PLATFORM, INFO] == [each["document"] for each in run.json]
        assert 2 == sim.vendor.requests.total
        assert run.json[0]["next_look"] is not None

    @pytest.mark.parametrize(
        "name",
        [
            "nonsense",
            "intel/nonsense/x/0",
            f"{INFO}&update=early",
            "",
            "intel/identity/nonsense/2",
            "intel/identity/qe/9",
            "intel/tcb-info/00806F050000/3",
            "intel/tcb-info/sgx:xyz/3",
            "intel/tcb-info/sgx:00806F050000/x",
            "intel/pck-crl/nonsense/0",
            "intel/root-ca-crl/nonsense/0",
            "intel/tcb-evaluation-data-numbers/nonsense/1",
            "amd/vcek/x/0",
            "other/pck-crl/platform/0",
            "intel/pck-crl/platform/0?number=20",
            "intel/identity/qe/2?number=-1",
        ],
    )
    def test_no_such_name(self, refresh, sim, name):
        """
        A name that is none is refused in one line, and nobody is asked.
        """
        run = refresh(name)

        assert (2, b"") == (run.code, run.out)
        assert "DOCUMENT: got " in run.err
        assert 1 == run.err.count("\n")
        assert 0 == sim.vendor.requests.total

    def test_one_fails(self, refresh, sim):
        """
        What fails is named with the reason; the rest is taken.
        """
        sim.vendor.faults.add(Status(code=503, route="pckcrl", ca="platform"))
        run = refresh("--json")

        assert 1 == run.code
        outcomes = {e["document"]: e["outcome"] for e in run.json}
        assert {PLATFORM} == {d for d, o in outcomes.items() if o != "taken"}
        (failed,) = [e for e in run.json if e["outcome"] == "failed"]
        assert "status-5xx" == failed["reason"]
        assert "status 503" in failed["detail"]
        assert failed["next_look"] is None

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (Down(), "cut-off"),
            (Status(code=401), "key-refused"),
            (Garbage(), "unrecognised"),
            (WrongSignature(), "signature-invalid"),
            (MovedRoot(), "root-untrusted"),
        ],
    )
    def test_all_fail(self, refresh, sim, fault, reason):
        """
        Where everything fails the exit code says so too, and the reason what
        it is.
        """
        sim.vendor.faults.add(fault)
        run = refresh("intel/tcb-evaluation-data-numbers/sgx/1", "--json")

        assert (1, "") == (run.code, run.err)
        assert [("failed", reason)] == [
            (e["outcome"], e["reason"]) for e in run.json
        ]

    def test_nobody_there(self, refresh, sim):
        """
        So where no vendor is there.
        """
        sim.vendor.stop_listening()
        run = refresh(PLATFORM)

        assert 1 == run.code
        assert "failed" in run.text

    def test_log(self, refresh, caplog):
        """
        It keeps the log quiet while it runs, and no longer.
        """
        refresh(PLATFORM)
        logging.getLogger("thim.vendors").warning("heard")

        assert ["heard"] == [record.message for record in caplog.records]

    def test_recovers(self, refresh, sim):
        """
        What has failed is due, and nothing else.
        """
        sim.vendor.faults.add(
            Status(code=503, route="pckcrl", ca="platform", count=2)
        )
        refresh()
        run = refresh("--json")

        assert 0 == run.code
        assert [(PLATFORM, "taken")] == [
            (e["document"], e["outcome"]) for e in run.json
        ]

    def test_not_there(self, refresh, sim):
        """
        What the vendor has not is said to be absent.
        """
        run = refresh("intel/tcb-info/sgx:FFFFFFFFFFFF/3?number=20", "--json")

        assert [("absent", "vendor-has-none")] == [
            (e["outcome"], e["reason"]) for e in run.json
        ]

    def test_offline(self, refresh, sim):
        """
        Where no vendor is ever asked the command is refused.
        """
        sim.configure('fill = "offline"')
        run = refresh()

        assert (2, b"") == (run.code, run.out)
        assert "thim: fill = offline: no vendor is ever asked\n" == run.err
        assert 0 == sim.vendor.requests.total

    def test_budget(self, refresh, sim):
        """
        What the budget does not allow within a minute is said to be not now,
        with the exit code 1.
        """
        sim.configure()
        text = sim.config.read_text().replace('"0s"', '"1h"\nburst = 1')
        sim.config.write_text(text)
        run = refresh(PLATFORM, INFO, "--json")

        assert 1 == run.code
        assert ["not-now", "taken"] == sorted(e["outcome"] for e in run.json)

    def test_no_store(self, refresh, sim):
        """
        There must be a store.
        """
        sim.store.unlink()
        run = refresh()

        assert 2 == run.code
        assert "no such file" in run.err


class TestStatus:
    def test_before(self, status):
        """
        Before anything was asked for it is missing.
        """
        run = status("--json")

        assert 0 == run.code
        assert {"missing"} == {each["state"] for each in run.json}
        assert {None} == {each["last_asked"] for each in run.json}
        assert PLATFORM in [each["document"] for each in run.json]

    def test_after(self, refresh, status):
        """
        Afterwards each document has its dates.
        """
        refresh()
        run = status("--json")
        (found,) = [e for e in run.json if e["document"] == PLATFORM]

        assert DOCUMENTS == len(run.json)
        assert {
            "document": PLATFORM,
            "state": "fresh",
            "issued": "2026-11-02T00:00:00Z",
            "next_update": "2026-12-02T00:00:00Z",
            "next_look": None,
            "last_asked": "2026-11-02T09:00:00Z",
            "last_answered": "2026-11-02T09:00:00Z",
            "failures": 0,
            "reason": None,
            "detail": None,
        } == found

    def test_trouble(self, refresh, status, sim):
        """
        What cannot be fetched says why and how often.
        """
        refresh()
        sim.vendor.faults.add(Status(code=503, route="pckcrl"))
        refresh(PLATFORM)
        refresh(PLATFORM)
        (found,) = [
            e for e in status("--json").json if e["document"] == PLATFORM
        ]

        assert ("fresh", 2, "status-5xx") == (
            found["state"],
            found["failures"],
            found["reason"],
        )
        assert "status 503" in found["detail"]

    def test_table(self, refresh, status, sim):
        """
        The table has a line for each.
        """
        refresh()
        sim.vendor.clock.advance(31 * DAY)
        run = status()

        assert 0 == run.code
        assert DOCUMENTS == run.text.count("expired")

    def test_offline(self, status, sim):
        """
        It can be asked without a vendor.
        """
        sim.configure('fill = "offline"')

        assert 0 == status().code


class TestCheck:
    def test_good(self, check, sim):
        """
        A few questions, each with its answer, which is verified and not kept.
        """
        before = sim.store.read_bytes()
        run = check("--json")

        assert 0 == run.code
        assert 6 == len(run.json)
        assert {None} == {each["problem"] for each in run.json}
        assert {sim.vendor.url} == {each["upstream"] for each in run.json}
        assert {"pcs"} == {each["kind"] for each in run.json}
        assert all(each["milliseconds"] >= 0 for each in run.json)
        assert before == sim.store.read_bytes()

    def test_table(self, check):
        """
        The table says the same in words.
        """
        run = check()

        assert (0, 6) == (run.code, run.text.count("good"))

    def test_after(self, refresh, check):
        """
        When its root is known the root CRL is asked for as well.
        """
        refresh()

        assert 7 == len(check("--json").json)

    def test_bad(self, check, sim):
        """
        An answer that does not hold says why, with the exit code 1.
        """
        sim.vendor.faults.add(MovedRoot(route="pckcrl"))
        run = check("--json")

        problems = [e["problem"] for e in run.json if e["problem"]]
        assert (1, 2) == (run.code, len(problems))
        assert all(p.startswith("root-untrusted: ") for p in problems)

    def test_several(self, check, sim):
        """
        Each upstream is asked for itself: one that is not there does not keep
        the others from answering.
        """
        sim.configure(
            upstream='[[intel_upstreams]]\nurl = "http://127.0.0.1:1"'
        )
        run = check("--json")

        assert 1 == run.code
        assert {sim.vendor.url: {True}, "http://127.0.0.1:1": {False}} == {
            url: {
                e["problem"] is None for e in run.json if e["upstream"] == url
            }
            for url in (sim.vendor.url, "http://127.0.0.1:1")
        }

    def test_offline(self, check, sim):
        """
        Offline means that no vendor is ever asked.
        """
        sim.configure('fill = "offline"')
        run = check()

        assert 2 == run.code
        assert "no vendor is ever asked" in run.err
        assert 0 == len(sim.vendor.requests)
