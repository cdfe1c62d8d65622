from datetime import timedelta

import pytest

from tests.platforms import entry, tcbm
from tests.services.made import INTEL, day, fill
from thim.collateral.records import (
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.collateral.targets import Target
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.services.status import Level, read_status
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.documents import NUMBERS
from thim.store.agenda import Settlement
from thim.store.budget import Budget
from thim.store.watch import Watch
from thim.upstream.model import Upstream


SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
VENDOR = "http://vendor.example:80"
UPSTREAM = Upstream(
    url="http://vendor.example", static_url="http://vendor.example"
)
LAZY = VendorSettings(mode=FillMode.LAZY, upstreams=(UPSTREAM,))
OFFLINE = VendorSettings(mode=FillMode.OFFLINE)
BUDGET = Budget(interval=SECOND, burst=100)
#: When everything has been issued, valid for 30 days.
NOW = day(0)
QE = Target(key=identity_key(EnclaveKind.QE), number=17)
PLATFORM = Target(key=pck_crl_key(PckCa.PLATFORM))
INFO = Target(
    key=tcb_info_key(Tee.SGX, bytes.fromhex("00606A000000"), 3), number=17
)


@pytest.fixture
def filled(ledger):
    """
    A store that has all that is promised of one FMSPC and number.
    """
    numbers = {17: NUMBERS[17]}
    fill(
        ledger,
        *(INTEL.numbers(tee=tee, numbers=numbers) for tee in Tee),
        *(INTEL.pck_crl(ca=ca) for ca in PckCa),
        INTEL.root_crl(),
        *(INTEL.identity(kind=kind) for kind in EnclaveKind),
        INTEL.tcb_info(),
        now=NOW,
    )
    return ledger


@pytest.fixture
def look(replica):
    """
    Look how the service stands.
    """

    def look(now=NOW, settings=LAZY):
        return read_status(replica, Watch(replica), settings, now)

    return look


def told(status):
    """
    Return reason and level of each concern.
    """
    return [(c.reason, c.level) for c in status.concerns]


def test_platform_without_certificate(filled, look):
    """
    Platforms in service without a PCK certificate are a concern until they
    have one, or are retired.
    """
    before = told(look(settings=OFFLINE))
    for who in ("one", "two"):
        filled.platforms.enter([entry(INTEL, who)], NOW)
    bare = look(settings=OFFLINE)
    filled.platforms.enter([entry(INTEL, "one", tcbm(1))], NOW)
    filled.platforms.retire(2, actor="me", now=NOW)
    after = look(settings=OFFLINE)

    assert [("pck-missing", Level.SOON)] == [
        one for one in told(bare) if one not in before
    ]
    assert (2, 2) == (bare.platforms, bare.bare_platforms)
    assert (2, 0) == (after.platforms, after.bare_platforms)
    assert before == told(after)


def test_revoked_platform(filled, look):
    """
    Platforms with a revoked PCK certificate are a concern, vendors asked or
    not.
    """
    one = entry(INTEL, "one", tcbm(1), tcbm(2))
    filled.platforms.enter([one], NOW)
    before = told(look(settings=OFFLINE))
    later = NOW + 2 * HOUR
    serials = [r.certificate.serial_number for r in one.certificates]
    crl = INTEL.pck_crl(issued=NOW + HOUR, revoked=serials)
    fill(filled, crl, now=later)
    after = look(later, settings=OFFLINE)

    assert [("pck-revoked", Level.SOON)] == [
        one for one in told(after) if one not in before
    ]
    assert 1 == after.revoked_platforms


def fail(ledger, target=QE, reason="timeout", now=NOW):
    """
    Let *target* be asked for in vain.
    """
    agenda = ledger.agenda
    agenda.claim(target, "me", now=now, until=now + HOUR)
    settlement = Settlement(due=now, answered=False, reason=reason, detail="x")
    agenda.settle(target, "me", settlement, now=now)


def answer(ledger, target=PLATFORM, now=NOW, ahead=0.0):
    """
    Let *target* be asked for and answered.
    """
    agenda = ledger.agenda
    agenda.spend(VENDOR, BUDGET, now)
    agenda.report_answer(VENDOR, now, ahead)
    agenda.claim(target, "me", now=now, until=now + HOUR)
    settlement = Settlement(due=now, answered=True)
    agenda.settle(target, "me", settlement, now=now)


def be_silent(ledger, reason="timeout", now=NOW):
    """
    Let the vendor fail once.
    """
    ledger.agenda.spend(VENDOR, BUDGET, now)
    ledger.agenda.report_failure(
        VENDOR, now, reason=reason, detail="it broke", closed_for=lambda _: None
    )


class TestWell:
    def test_nothing_to_say(self, filled, look):
        """
        All is well where all is there and fresh.
        """
        answer(filled)
        found = look()

        assert (Level.WELL, []) == (found.level, told(found))
        assert {"fresh": 10} == found.states
        assert (timedelta(days=30), NOW) == (found.autonomy, found.answered)

    def test_due(self, filled, look):
        """
        What is due is no reason to worry.
        """
        found = look(day(10) + SECOND)

        assert (Level.WELL, {"due": 10}) == (found.level, found.states)

    def test_not_asked_yet(self, filled, look):
        """
        Neither is that nobody has been asked yet.
        """
        found = look()

        assert (Level.WELL, None, []) == (
            found.level,
            found.answered,
            found.addresses,
        )


class TestDocuments:
    def test_empty(self, look):
        """
        An empty archive is to be filled soon.
        """
        found = look()

        assert [("empty", Level.SOON)] == told(found)
        assert (None, None) == (found.autonomy, found.next_expiry)
        assert {"missing": 4} == found.states

    @pytest.mark.parametrize(
        ("now", "expected"),
        [
            (day(20), []),
            (day(20) + SECOND, [("stale", Level.SOON)]),
        ],
    )
    def test_stale(self, filled, look, now, expected):
        """
        What is stale is looked at soon.
        """
        assert expected == told(look(now))

    def test_expired(self, filled, look):
        """
        What has expired calls for action.
        """
        found = look(day(30) + SECOND)

        assert [("expired", Level.NOW)] == told(found)
        assert (Level.NOW, timedelta(0)) == (found.level, found.autonomy)
        assert "10 promised documents: intel/" in found.concerns[0].detail
        assert found.concerns[0].detail.endswith(", …")

    @pytest.mark.parametrize(
        ("left", "expected"),
        [
            (timedelta(days=7), []),
            (timedelta(days=7) - SECOND, [("autonomy", Level.SOON)]),
            (timedelta(days=1), [("autonomy", Level.SOON)]),
            (timedelta(days=1) - SECOND, [("autonomy", Level.NOW)]),
            (SECOND, [("autonomy", Level.NOW)]),
        ],
    )
    def test_autonomy(self, filled, look, left, expected):
        """
        Autonomy is worth a look below a week, and action below a day.
        """
        found = look(day(30) - left)

        assert expected == [c for c in told(found) if c[0] != "stale"]
        assert left == found.autonomy

    def test_first_to_expire(self, filled, look):
        """
        Autonomy lasts as long as the document that expires first.
        """
        crl = INTEL.pck_crl(issued=day(1), next_update=day(4))
        fill(filled, crl, now=day(1))
        found = look(day(1))

        assert timedelta(days=3) == found.autonomy
        assert PLATFORM == found.next_expiry.target

    def test_missing(self, filled, look):
        """
        What is promised and could not be fetched is named.
        """
        settings = VendorSettings(
            mode=FillMode.LAZY,
            upstreams=(UPSTREAM,),
            fmspcs=frozenset({"00906ED50000"}),
        )
        assert [] == told(look(settings=settings))
        other = Target(
            key=tcb_info_key(Tee.SGX, bytes.fromhex("00906ed50000"), 3),
            number=17,
        )
        fail(filled, other)
        found = look(settings=settings)

        assert [("missing", Level.SOON)] == told(found)
        assert f"1 could not be fetched: {other}" == found.concerns[0].detail
        assert {"fresh": 10, "missing": 2} == found.states

    def test_there(self, filled, look):
        """
        What is there is not missing because a newer one could not be fetched.
        """
        fail(filled, QE)

        assert [] == told(look())

    def test_absent(self, filled, look):
        """
        What the vendor has not is not missed.
        """
        agenda = filled.agenda
        target = Target(key=identity_key(EnclaveKind.QAE), number=17)
        agenda.claim(target, "me", now=NOW, until=NOW + HOUR)
        gone = Settlement(due=NOW, answered=False, absent_until=NOW + HOUR)
        agenda.settle(target, "me", gone, now=NOW)

        assert 9 == sum(look().states.values())
        assert 10 == sum(look(NOW + HOUR).states.values())

    def test_revoked(self, filled, look):
        """
        What is under a revoked signer is not there.
        """
        serial = INTEL.signer.serial_number
        fill(
            filled, INTEL.root_crl(issued=day(1), revoked=[serial]), now=day(1)
        )

        # The lists of numbers are under it, so nothing else is promised.
        assert {"fresh": 3, "missing": 2} == look(day(1)).states


class TestRefused:
    @pytest.mark.parametrize(
        ("age", "expected"),
        [
            (0 * HOUR, [("refused", Level.SOON)]),
            (timedelta(days=7), [("refused", Level.SOON)]),
            (timedelta(days=7) + SECOND, []),
        ],
    )
    def test_for_a_week(self, filled, look, age, expected):
        """
        What came into quarantine is worth a look for a week.
        """
        for n, reason in enumerate(("fork", "untrusted", "fork")):
            filled.quarantine(
                b"%d" % n, source=VENDOR, reason=reason, detail="-", now=NOW
            )
        found = look(NOW + age)

        assert expected == told(found)
        if expected:
            detail = found.concerns[0].detail
            assert {"2 fork", "1 untrusted"} == set(
                detail.removeprefix("in the last 7 days: ").split(", ")
            )
            assert 3 == len(found.refused)

    def test_imports(self, filled, look):
        """
        What an import refused has been said to whoever imported it.
        """
        filled.quarantine(
            b"", source="/home/file", reason="fork", detail="-", now=NOW
        )

        assert [] == told(look())

    def test_root(self, filled, look):
        """
        A root key that is not trusted calls for action: it may be the
        vendor's new one.
        """
        fail(filled, QE, "root-untrusted")
        found = look()

        assert [("root-untrusted", Level.NOW)] == told(found)
        assert "`thim trust add`" in found.concerns[0].detail

    def test_rollback(self, filled, look):
        """
        An upstream that gives older documents than ours is worth a look.
        """
        fail(filled, INFO, "rollback")

        assert [("rollback", Level.SOON)] == told(look())

    @pytest.mark.parametrize("reason", ["root-untrusted", "rollback"])
    def test_over(self, filled, look, reason):
        """
        Either is over when the next answer holds.
        """
        fail(filled, QE, reason)
        answer(filled, QE)

        assert [] == told(look())


class TestAddresses:
    def test_failing(self, filled, look):
        """
        A vendor's address that fails is told with the reason, the number of
        failures and what was said last.
        """
        answer(filled)
        be_silent(filled)
        be_silent(filled, "status-5xx")
        found = look()

        assert [("status-5xx", Level.SOON)] == told(found)
        assert "it broke, the last of 2 failures in a row" == (
            found.concerns[0].detail
        )

    def test_key(self, filled, look):
        """
        A key that is refused calls for action.
        """
        answer(filled)
        be_silent(filled, "key-refused")

        assert [("key-refused", Level.NOW)] == told(look())

    def test_answers_again(self, filled, look):
        """
        An answer ends it.
        """
        be_silent(filled, "key-refused")
        answer(filled)

        assert [] == told(look())

    @pytest.mark.parametrize(
        ("ahead", "words"),
        [
            (300, None),
            (301, "301 s behind"),
            (-300, None),
            (-301, "301 s ahead of"),
        ],
    )
    def test_clock(self, filled, look, ahead, words):
        """
        A clock that differs from the vendor's by more than five minutes calls
        for action.
        """
        answer(filled, ahead=ahead)
        found = look()

        expected = [] if words is None else [("clock", Level.NOW)]
        assert expected == told(found)
        if words:
            assert f"our clock is {words} that of {VENDOR}" == (
                found.concerns[0].detail
            )

    def test_no_upstream_any_more(self, filled, look):
        """
        An address that is no upstream any more is nobody's concern.
        """
        be_silent(filled)
        other = VendorSettings(
            mode=FillMode.LAZY,
            upstreams=(Upstream(url="http://b", static_url="http://b"),),
        )

        assert [] == told(look(settings=other))


class TestSilence:
    def test_never(self, filled, look):
        """
        A vendor that has been asked and has never answered is silent.
        """
        be_silent(filled)

        assert ("vendor-silent", Level.SOON) in told(look())

    @pytest.mark.parametrize(
        ("later", "expected"),
        [
            (timedelta(days=3), []),
            (timedelta(days=3) + SECOND, [("vendor-silent", Level.SOON)]),
        ],
    )
    def test_no_answer(self, filled, look, later, expected):
        """
        So is one that has not answered for three days.
        """
        answer(filled)
        found = look(NOW + later)

        assert expected == told(found)
        if expected:
            assert "since 2025-06-05T03:43:45Z" in found.concerns[0].detail

    @pytest.mark.parametrize(
        ("age", "expected"),
        [
            (timedelta(days=3), []),
            (timedelta(days=3) + SECOND, [("vendor-silent", Level.SOON)]),
        ],
    )
    def test_crl_not_signed_anew(self, filled, look, age, expected):
        """
        So is one that answers, but with the PCK CRL of three days ago, which
        it signs anew daily.
        """
        answer(filled, PLATFORM, NOW + age)
        found = look(NOW + age)

        assert expected == told(found)
        if expected:
            assert "intel/pck-crl/platform/0 was not signed anew since" in (
                found.concerns[0].detail
            )

    def test_other_documents(self, filled, look):
        """
        Other documents are signed anew less often.
        """
        answer(filled, Target(key=ROOT_CA_CRL), day(9))
        answer(filled, Target(key=numbers_key(Tee.SGX)), day(9))

        assert [] == told(look(day(9)))

    def test_not_asked(self, filled, look):
        """
        An old PCK CRL is no silence where nobody has asked since.
        """
        answer(filled, PLATFORM, NOW + HOUR)
        answer(filled, INFO, day(9))

        assert [] == told(look(day(9)))


class TestLevel:
    def test_most_urgent_first(self, filled, look):
        """
        The most urgent concern comes first and is the level of all.
        """
        be_silent(filled, "key-refused")
        fail(filled, INFO, "rollback")
        found = look()

        assert [Level.NOW, Level.SOON, Level.SOON] == [
            c.level for c in found.concerns
        ]
        assert (Level.NOW, 2) == (found.level, int(found.level))


class TestOffline:
    def test_says_nothing_of_vendors(self, filled, look):
        """
        Where no vendor is ever asked nothing is said of them, whatever they
        were like before.
        """
        be_silent(filled, "key-refused")
        filled.agenda.report_answer(VENDOR, NOW, 9999)
        be_silent(filled)

        assert [] == told(look(settings=OFFLINE))
        assert [("stale", Level.SOON)] == told(look(day(21), OFFLINE))

    def test_failures_of_before(self, filled, look):
        """
        Nor that something could not be fetched when there still were any.
        """
        fail(filled, QE, "root-untrusted")

        assert [] == told(look(settings=OFFLINE))
