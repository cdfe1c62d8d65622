"""
What documents that have ended may decide: a rule of each provider.
"""

import datetime

import pytest

from tests.http.attested_world import (
    CRLS,
    LATER,
    OTHERS,
    attesting,
    take,
)
from tests.http.attesting import ACME, detail_in, error_in, message_in
from tests.http.test_attest_baseline import OURS, choosing
from tests.vendors import DAY, NOW
from thim.baseline.provider import ExpiredRule


OF_DOCUMENTS = (
    "The specified quote was invalid because the TCBInfo or QEID provided by "
    "the PCK Cache Service was invalid"
)
ALL = ["tcb-info", "identity", "pck-crl", "root-ca-crl"]
#: Of the CRLs in the store.
END = datetime.datetime(2026, 12, 2, tzinfo=datetime.UTC)


def is_retried(got):
    """
    Tell whether an answer sends its client round again.
    """
    assert "x-ms-error-code" in got
    return 503 == got.status and int(got["retry-after"]) > 0


class TestArchived:
    @pytest.fixture
    def archived(self, attester):
        """
        A provider whose policy asks for a number that the vendor has
        withdrawn: have a quote attested by one rule.
        """
        attester.set_policy(choosing(OURS, "17"))
        attester.set_policy(choosing(OURS, "17"), "TdxVm")

        def attest(rule, send=attester.sgx):
            attester.define("acme", expired=rule)
            return send(prefix=ACME)

        return attest

    @pytest.mark.parametrize("tee", ["sgx", "tdx"])
    def test_archived_only(self, attester, archived, tee):
        """
        As in Azure, its TCB info and identity decide for ever; the token says
        that they had ended, and so does the record.
        """
        got = archived(ExpiredRule.ARCHIVED_ONLY, getattr(attester, tee))

        claims = attester.claims(got, ACME)
        assert ALL[:2] == claims["x-thim-accepted-expired"]
        assert ["test-anchors"] == claims["x-thim-dangerous"]
        (record,) = attester.decisions()
        assert tuple(ALL[:2]) == record.accepted_expired

    def test_refuse(self, archived):
        """
        Where nothing that has ended decides it is refused for good: nobody
        will issue it again.
        """
        got = archived(ExpiredRule.REFUSE)

        assert (400, "InvalidParameter", "expired") == error_in(got)
        assert OF_DOCUMENTS == message_in(got)
        assert "expired = refuse" in detail_in(got)

    def test_accept(self, attester, archived):
        """
        Where everything decides, the token warns of that.
        """
        claims = attester.claims(archived(ExpiredRule.ACCEPT), ACME)

        assert ["accept-expired", "test-anchors"] == claims["x-thim-dangerous"]
        assert ALL[:2] == claims["x-thim-accepted-expired"]


class TestCurrent:
    @pytest.fixture
    def late(self, attested_world, tmp_path):
        """
        A service whose documents have all ended, but that some come in.
        """
        with attesting(attested_world, tmp_path, LATER) as running:
            later = attested_world.later

            def renew(*paths):
                bodies = [later[path] for path in paths or later]
                take(running.vendor, running.store, bodies, LATER)

            yield running, renew

    @pytest.mark.parametrize("tee", ["sgx", "tdx"])
    def test_ended(self, late, tee):
        """
        Documents of a number that the vendor signs have to be current: that
        they are not is our fault, and may pass.
        """
        attester, renew = late
        renew(*CRLS)
        got = getattr(attester, tee)(prefix=ACME)

        assert is_retried(got)
        assert (503, "ServiceUnavailable", "expired") == error_in(got)
        assert "the tcb-info had ended at 2026-12-02T00:00:00Z" in (
            detail_in(got)
        )
        assert "crl" not in detail_in(got).partition(";")[0]

    @pytest.mark.parametrize(
        "rule", [ExpiredRule.REFUSE, ExpiredRule.ARCHIVED_ONLY]
    )
    def test_crls(self, late, rule):
        """
        Revocation lists that have ended decide nothing.
        """
        attester, renew = late
        renew(*OTHERS)
        attester.define("acme", expired=rule)
        got = attester.sgx(prefix=ACME)

        assert is_retried(got)
        assert "the pck-crl had ended" in detail_in(got)
        assert "tcb-info" not in detail_in(got)

    def test_crls_of_archive(self, late):
        """
        Not for archived numbers either.
        """
        attester, _ = late
        attester.set_policy(choosing(OURS, "17"))
        got = attester.sgx(prefix=ACME)

        assert is_retried(got)
        assert "the pck-crl had ended" in detail_in(got)

    def test_renewed(self, late):
        """
        With newer ones everything is well again, at once.
        """
        attester, renew = late
        assert is_retried(attester.sgx(prefix=ACME))
        renew()

        claims = attester.claims(attester.sgx(prefix=ACME), ACME)
        assert "x-thim-accepted-expired" not in claims

    def test_accept(self, late):
        """
        A provider for tests takes them all, and its tokens say so; that is
        nobody else's rule.
        """
        attester, _ = late
        attester.define("acme", expired=ExpiredRule.ACCEPT)
        claims = attester.claims(attester.sgx(prefix=ACME), ACME)

        assert ALL == claims["x-thim-accepted-expired"]
        assert "accept-expired" in claims["x-thim-dangerous"]
        assert is_retried(attester.sgx(prefix="/tenant/lab"))

    @pytest.mark.parametrize(
        ("days", "rule", "is_good"),
        [
            (1, ExpiredRule.ARCHIVED_ONLY, False),
            (2, ExpiredRule.ARCHIVED_ONLY, True),
            (14, ExpiredRule.ARCHIVED_ONLY, True),
            (14, ExpiredRule.REFUSE, False),
        ],
    )
    def test_grace(self, late, days, rule, is_good):
        """
        A closed site may stretch revocation lists for a while; the token says
        that it did.
        """
        attester, renew = late
        renew(*OTHERS)
        grace = datetime.timedelta(days=days)
        attester.define("acme", expired=rule, crl_grace=grace)
        got = attester.sgx(prefix=ACME)

        if is_good:
            claims = attester.claims(got, ACME)
            assert ALL[2:] == claims["x-thim-accepted-expired"]
            assert "accept-expired" not in claims["x-thim-dangerous"]
        else:
            assert is_retried(got)

    def test_grace_to_the_second(self, late):
        """
        The grace ends at its very end.
        """
        attester, renew = late
        renew(*OTHERS)
        grace = datetime.timedelta(days=2)
        attester.define("acme", crl_grace=grace)

        attester.clock.move_to(END + grace)
        assert 200 == attester.sgx(prefix=ACME).status
        attester.clock.advance(datetime.timedelta(seconds=1))
        assert is_retried(attester.sgx(prefix=ACME))


class TestFuture:
    def test_not_yet(self, attested_world, tmp_path):
        """
        By a clock that is behind, documents are of the future: ours to mend.
        """
        before = NOW - 40 * DAY
        with attesting(attested_world, tmp_path, before) as early:
            got = early.sgx()

        assert is_retried(got)
