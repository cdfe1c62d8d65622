"""
August 2026: number 20 becomes ``standard``, a year after it was first seen.
Who follows goes, who is pinned stays, and all of it was told a year before.
"""

import asyncio
import datetime
import fcntl
import os
import pickle

import pytest

from tests.conformance.recovery import BEGIN, PATHS, TENANTS, play
from tests.conformance.recovery_fleet import (
    EARLY_BIRD,
    EVENTS,
    IN_LAB,
    flips,
    named,
    short_of,
    told_short,
)


PROMOTED = datetime.date(2026, 8, 13)
WITHDRAWN = '299 - "number 19 is withdrawn by the vendor"'
SIGNED = "thim_tenant_number_signed"


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """
    All of it, played once: what the first worker has seen, the others read.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    played = shared / "tcb-recovery.pickle"
    with (shared / "tcb-recovery.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not played.exists():
            found = asyncio.run(play(tmp_path_factory.mktemp("story")))
            played.write_bytes(pickle.dumps(found))
        return pickle.loads(played.read_bytes())  # noqa: S301 - our own


def impact_on(tenant, notice):
    """
    What a notice says of a tenant.
    """
    (found,) = (
        each
        for each in notice.json["data"]["tenants"]
        if each["tenant"] == tenant
    )
    return found


class TestBefore:
    def test_numbers(self, story):
        """
        Until 20 is there, each tenant has its own number.
        """
        before = story.days["before"]

        assert {
            "root": {"17"},
            "pinned": {"19"},
            "follower": {"17"},
            "held": {"17"},
            "lab": {"17"},
        } == {tenant: before.numbers(tenant) for tenant in before.got}
        assert [] == [w for t in before.got for w in before.warnings(t)]

    def test_silent(self, story):
        """
        The numbers that were there when the watchman came are noted, and
        nobody is told of them.
        """
        assert () == story.days["before"].posts
        assert {
            ("evaluation-number", str(number)) for number in (17, 18, 19, 20)
        } == {each for each in story.notices if each[0] == "evaluation-number"}


class TestSeen:
    @pytest.fixture
    def notice(self, story):
        """
        What the webhook got on that day.
        """
        (notice,) = story.days["seen"].posts
        return notice

    def test_told(self, notice):
        """
        On the day on which 20 appears it is told, signed.
        """
        assert notice.is_signed()
        assert ("evaluation-number", "20", "2025-08-12") == (
            notice.json["type"],
            notice.json["subject"],
            notice.json["data"]["recovery_event"],
        )
        assert notice.json["timestamp"].startswith("2025-08-12T")

    def test_told_once(self, story):
        """
        It is told once, and of the numbers before never.
        """
        assert ["20"] == [
            post.json["subject"]
            for post in story.days["expired"].posts
            if post.json["type"] == "evaluation-number"
        ]

    @pytest.mark.parametrize(
        ("tenant", "before"),
        [("root", 17), ("follower", 17), ("held", 17), ("pinned", 19)],
    )
    def test_who_flips(self, notice, tenant, before):
        """
        It names for each tenant exactly those who will flip, by the TCBs that
        their certificates and their evidence tell.
        """
        found = impact_on(tenant, notice)

        assert (before, 20) == (found["before"], found["after"])
        assert flips(before, 20, uncertified=[EARLY_BIRD]) == named(
            found["examples"]
        )
        hosts = {each["name"] for each in found["examples"]}
        assert len(hosts) == found["breaking"]

    def test_own_platforms(self, notice):
        """
        Of a tenant with labels it names its own platforms alone.
        """
        found = impact_on("lab", notice)

        assert flips(17, 20, IN_LAB) == named(found["examples"])
        assert len(IN_LAB) == found["platforms"]

    @pytest.mark.parametrize("tenant", ["follower", "pinned"])
    def test_svns(self, notice, tenant):
        """
        It says of each which SVNs are found and needed.
        """
        examples = impact_on(tenant, notice)["examples"]

        assert {
            (name, tee): short_of(name, tee, [EARLY_BIRD])
            for name, tee in named(examples)
        } == {
            (each["name"], each["tee"]): told_short(each) for each in examples
        }
        assert all("INTEL-SA-01192" in each["advisories"] for each in examples)

    @pytest.mark.parametrize(
        ("tenant", "before", "names"),
        [("follower", 17, None), ("pinned", 19, None), ("lab", 17, IN_LAB)],
    )
    def test_what_if(self, story, tenant, before, names):
        """
        ``thim fleet what-if`` names the same ones on the same day.
        """
        found = story.what_ifs["seen", tenant]

        assert (before, 20) == (found["number_now"], found["number"])
        assert flips(before, 20, names, [EARLY_BIRD]) == named(found["broken"])

    def test_forecast(self, story, notice):
        """
        Where nobody has seen ``standard`` move, the forecast says that it
        rests on no more than where that was when the archive began.
        """
        bound = BEGIN - EVENTS[17]
        found = story.what_ifs["seen", "follower"]

        assert f"{EVENTS[20] + bound:%F}" == found["by_when"]
        assert "rests on no promotion that was seen" in found["confidence"]
        assert found["by_when"] == notice.json["data"]["standard_expected"]

    def test_nobody_moves(self, story):
        """
        Nobody gets another number or another verdict by it.
        """
        before, seen = story.days["before"], story.days["seen"]

        for tenant in before.got:
            assert before.numbers(tenant) == seen.numbers(tenant)
            assert before.accepted[tenant] == seen.accepted[tenant]

    def test_metrics(self, story):
        """
        How many would break is a metric.
        """
        flipping = flips(19, 20, uncertified=[EARLY_BIRD])
        count = len({name for name, _ in flipping})

        assert (
            f'thim_fleet_breaking{{number="20",tenant="pinned"}} {count:.1f}'
            in story.days["seen"].metrics
        )


class TestForecast:
    """The archive has seen one promotion by then, of 18, and not yet 20's."""

    @pytest.mark.parametrize("name", ["december", "eve"])
    def test_within_two_weeks(self, story, name):
        """
        Who asks after ``standard`` was seen to move once is told the day of
        the next move, within two weeks.
        """
        found = story.what_ifs[name, "follower"]
        by_when = datetime.date.fromisoformat(found["by_when"])

        assert abs(by_when - PROMOTED) <= datetime.timedelta(weeks=2)
        assert "rests on 1 promotion, of 18" in found["confidence"]
        assert PROMOTED == story.promoted.date()

    @pytest.mark.parametrize(
        ("tenant", "before"), [("follower", 18), ("pinned", 19)]
    )
    def test_eve(self, story, tenant, before):
        """
        The day before, exactly those are named who flip; who had the
        microcode all the time has a certificate for it by now.
        """
        found = story.what_ifs["eve", tenant]

        assert flips(before, 20) == named(found["broken"])
        assert (EARLY_BIRD, "SGX") not in named(found["broken"])


class TestMoved:
    @pytest.mark.parametrize("name", ["moved", "morrow", "expired"])
    def test_follower(self, story, name):
        """
        Who follows gets 20 on the day on which the vendor moves, TCB infos
        and identities alike.
        """
        moved = story.days[name]

        assert {"20"} == moved.numbers("follower")
        assert {20} == moved.signed_numbers("follower")
        assert [200] * len(PATHS) == [g.status for g in moved.got["follower"]]
        assert {18} == story.days["eve"].signed_numbers("follower")

    def test_who_flipped(self, story):
        """
        The evidence of exactly those who were named is acceptable no more.
        """
        before = story.days["eve"].accepted["follower"]
        after = story.days["moved"].accepted["follower"]
        told = named(story.what_ifs["eve", "follower"]["broken"])

        assert told == before - after
        assert set() == after - before

    def test_pinned_beside_follower(self, story):
        """
        The evidence of exactly those who were named is acceptable where 19 is
        the baseline, and not where ``standard`` is.
        """
        accepted = story.days["moved"].accepted
        told = named(story.what_ifs["eve", "pinned"]["broken"])

        assert told == accepted["pinned"] - accepted["follower"]

    @pytest.mark.parametrize("name", ["seen", "eve", "moved", "morrow", "over"])
    def test_pinned(self, story, name):
        """
        Who is pinned to 19 notices nothing: documents as the vendor signs
        them, byte for byte, nothing to warn of, and the same verdicts.
        """
        found = story.days[name]

        assert {19} == found.signed_numbers("pinned")
        assert set(found.bodies("pinned")) <= story.signed
        assert [] == found.warnings("pinned")
        assert (
            story.days["before"].accepted["pinned"]
            == (found.accepted["pinned"])
        )
        assert {200} == {status for status, _ in found.signed}

    def test_held(self, story):
        """
        Who is held stays where it was, until the hold is over.
        """
        for name in ("moved", "morrow", "waiting"):
            assert {18} == story.days[name].signed_numbers("held")
        pending = story.baselines["moved", "prod"]["pending"]
        assert 20 == pending["number"]
        assert pending["effective"].startswith("2026-08-27T18:")

    def test_held_what_if(self, story):
        """
        By when it comes is known to the second then.
        """
        found = story.what_ifs["moved", "held"]

        assert (
            story.baselines["moved", "prod"]["pending"]["effective"],
            "held until then",
        ) == (found["by_when"], found["confidence"])
        assert flips(18, 20) == named(found["broken"])

    def test_held_told_once(self, story):
        """
        That it waits was told once for each move, signed.
        """
        told = [
            post
            for post in story.days["expired"].posts
            if post.json["type"] == "baseline-promotion"
        ]

        assert [18, 20] == [post.json["data"]["number"] for post in told]
        assert all(post.is_signed() for post in told)

    def test_hold_over(self, story):
        """
        When the hold is over it gets 20, though nobody does anything.
        """
        over = story.days["over"]

        assert {20} == over.signed_numbers("held")
        assert over.accepted["follower"] == over.accepted["held"]
        assert story.baselines["over", "prod"]["pending"] is None

    def test_root(self, story):
        """
        Who names no tenant trails behind by its own rule.
        """
        assert {18} == story.days["over"].signed_numbers("root")


class TestWithdrawn:
    def test_signed(self, story):
        """
        As long as the vendor signs 19 nothing is flagged.
        """
        signed = story.days["signed"]

        assert [] == signed.warnings("pinned")
        assert {200} == {status for status, _ in signed.signed}

    def test_flagged(self, story):
        """
        From the day on which the vendor stops, the last documents of 19 are
        flagged as what they are.
        """
        withdrawn = story.days["withdrawn"]

        assert {410} == {status for status, _ in withdrawn.signed}
        assert [WITHDRAWN] * len(PATHS) == withdrawn.warnings("pinned")
        assert story.days["signed"].bodies("pinned") == (
            withdrawn.bodies("pinned")
        )

    def test_expired(self, story):
        """
        When they have expired they are served all the same, and it is said.
        """
        expired = story.days["expired"]

        assert story.days["signed"].bodies("pinned") == (
            expired.bodies("pinned")
        )
        for warning in expired.warnings("pinned"):
            assert warning.startswith('110 - "expired 2026-10-')
            assert WITHDRAWN in warning
        assert len(PATHS) == len(expired.warnings("pinned"))

    @pytest.mark.parametrize("name", ["withdrawn", "expired"])
    def test_verdicts(self, story, name):
        """
        Evidence is worth what it was.
        """
        assert (
            story.days["before"].accepted["pinned"]
            == (story.days[name].accepted["pinned"])
        )

    @pytest.mark.parametrize(
        ("name", "is_signed"),
        [("signed", 1.0), ("withdrawn", 0.0), ("expired", 0.0)],
    )
    def test_metrics(self, story, name, is_signed):
        """
        Whether the vendor signs what a tenant has is a metric.
        """
        assert {
            f'{SIGNED}{{baseline="19",tenant="pinned"}} {is_signed}',
            f'{SIGNED}{{baseline="standard",tenant="follower"}} 1.0',
        } <= story.days[name].metrics

    def test_others(self, story):
        """
        Nobody else is warned of anything.
        """
        for name in ("withdrawn", "expired"):
            found = story.days[name]
            for tenant in {"root", *(t.name for t in TENANTS)} - {"pinned"}:
                assert [] == found.warnings(tenant)
