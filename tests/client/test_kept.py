"""
What comes out of the cache, and sets that move.
"""

import dataclasses
import datetime

import pytest

from tests.client.fake import faking, replaying
from tests.client.wishes import (
    CRL,
    DAY,
    METHOD,
    QE,
    SGX,
    TCB,
    header,
    status,
)
from tests.http.conftest import NOW
from thim.client import (
    CollateralNotFoundError,
    CollateralUnavailableError,
    DiskCache,
    MixedCollateralError,
)
from thim.client.steps import cache_key


class TestMoves:
    """A baseline that moves between two requests."""

    def moving(self, served, rounds):
        """
        Answer with another number for the identity, for some rounds.
        """
        script = replaying(served, {})
        seen = []

        def answer(path):
            if QE in path:
                seen.append(path)
                if len(seen) <= rounds:
                    path = f"/baseline/20{path}"
            return script(path)

        return answer

    @pytest.mark.parametrize("rounds", [1, 2])
    def test_again(self, ask, pcs_served, rounds):
        """
        What differs is asked for again, and CRLs are not.
        """
        with faking(self.moving(pcs_served, rounds)) as fake:
            got = ask(fake.url, METHOD, SGX)

        assert 19 == got.tcb_evaluation_data_number
        assert b'"tcbEvaluationDataNumber":19' in got.qe_identity
        asked = [sum(p in path for path in fake.asked) for p in (TCB, QE, CRL)]
        assert [rounds + 1, rounds + 1, 1] == asked

    def test_for_ever(self, ask, pcs_served):
        """
        Where they always differ there is an error.
        """
        with (
            faking(self.moving(pcs_served, 99)) as fake,
            pytest.raises(MixedCollateralError, match="QE identity: 20"),
        ):
            ask(fake.url, METHOD, SGX)
        assert 3 == sum(TCB in path for path in fake.asked)

    def test_kept(self, ask, pcs_served, tmp_path):
        """
        A part that was kept under the old number is asked for again.
        """
        script = replaying(pcs_served, {})
        settings = {"cache": tmp_path}
        with faking(lambda p: script(f"/baseline/20{p}")) as fake:
            ask(fake.url, METHOD, SGX, **settings)
            fake.script = script
            cache = DiskCache(tmp_path)
            qe = f"{fake.url}/sgx/certification/v4/qe/identity"
            (cache.folder / cache_key(qe)).unlink()
            got = ask(fake.url, METHOD, SGX, **settings)
            fake.asked.clear()
            again = ask(fake.url, METHOD, SGX, **settings)

        assert 19 == got.tcb_evaluation_data_number
        assert got == again
        assert [] == fake.asked


class TestCache:
    def asked(self, ask, served, tmp_path, change=None, **settings):
        """
        How often a service was asked by two calls.
        """
        named = {"/v4/": change} if change else {}
        with faking(replaying(served, named)) as fake:
            ask(fake.url, METHOD, SGX, cache=tmp_path)
            first = len(fake.asked)
            ask(fake.url, METHOD, SGX, cache=tmp_path, **settings)
            return first, len(fake.asked) - first

    def test_kept(self, ask, pcs_served, tmp_path):
        """
        What may be kept is not asked for again, by another client either.
        """
        assert (4, 0) == self.asked(ask, pcs_served, tmp_path)

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "no-store, max-age=86400",
            "max-age=86400, no-cache",
            "max-age=0",
            "max-age=x",
            "public",
        ],
    )
    def test_not_kept(self, ask, pcs_served, tmp_path, value):
        """
        What may not be kept, or is not said to be, is asked for again.
        """
        change = header("cache-control", value)

        assert (4, 4) == self.asked(ask, pcs_served, tmp_path, change)

    def test_age(self, ask, pcs_served, tmp_path):
        """
        Time that an answer spent elsewhere counts.
        """
        change = header("age", "86400")

        assert (4, 4) == self.asked(ask, pcs_served, tmp_path, change)

    @pytest.mark.parametrize(
        ("later", "expected"),
        [
            (DAY - datetime.timedelta(seconds=1), (4, 0)),
            (DAY, (4, 4)),
        ],
    )
    def test_max_age(self, ask, pcs_served, tmp_path, later, expected):
        """
        It is kept for as long as the service allows.
        """
        settings = {"clock": lambda: NOW + later}

        assert expected == self.asked(ask, pcs_served, tmp_path, **settings)

    def test_next_update(self, ask, pcs_served, tmp_path):
        """
        It is never kept beyond a document's own life, whatever the service
        allows; the CRLs live longer here.
        """
        change = header("cache-control", "max-age=99999999")
        with faking(replaying(pcs_served, {"/v4/": change})) as fake:
            got = ask(fake.url, METHOD, SGX, cache=tmp_path)
            fake.asked.clear()
            before = got.expires - datetime.timedelta(seconds=1)
            ask(fake.url, METHOD, SGX, cache=tmp_path, clock=lambda: before)
            assert [] == fake.asked
            ask(
                fake.url, METHOD, SGX, cache=tmp_path, clock=lambda: got.expires
            )
            assert any(TCB in path for path in fake.asked)

    def test_corrupt(self, ask, pcs_served, tmp_path):
        """
        A cache full of rubbish is asked past.
        """
        with faking(replaying(pcs_served, {})) as fake:
            first = ask(fake.url, METHOD, SGX, cache=tmp_path)
            for path in DiskCache(tmp_path).folder.iterdir():
                path.write_bytes(b"\0" * 100)
            fake.asked.clear()
            assert first == ask(fake.url, METHOD, SGX, cache=tmp_path)
            assert 4 == len(fake.asked)

    def test_other(self, ask, pcs_served, tmp_path):
        """
        An entry that is whole and not what is wanted is asked past too.
        """
        with faking(replaying(pcs_served, {})) as fake:
            first = ask(fake.url, METHOD, SGX, cache=tmp_path)
            cache = DiskCache(tmp_path)
            for path in cache.folder.iterdir():
                kept = cache.get(path.name)
                assert kept is not None
                cache.put(path.name, dataclasses.replace(kept, body=b"{}"))
            fake.asked.clear()
            assert first == ask(fake.url, METHOD, SGX, cache=tmp_path)
            assert 4 == len(fake.asked)


class TestStale:
    def later(self, ask, served, tmp_path, change, later, **settings):
        """
        Ask *later*, where all that the service says is *change*.
        """
        with faking(replaying(served, {})) as fake:
            ask(fake.url, METHOD, SGX, cache=tmp_path)
            fake.script = replaying(served, {"/v4/": change})
            return ask(
                fake.url,
                METHOD,
                SGX,
                cache=tmp_path,
                clock=lambda: NOW + later,
                **settings,
            )

    @pytest.mark.parametrize("number", [500, 502, 429])
    def test_allowed(self, ask, pcs_served, tmp_path, number):
        """
        Where that is allowed, what was kept is used after its time, marked.
        """
        got = self.later(
            ask,
            pcs_served,
            tmp_path,
            status(number),
            2 * DAY,
            stale_if_error=DAY + datetime.timedelta(seconds=1),
        )

        assert got.is_stale
        assert NOW == got.fetched
        assert 4 == len([w for w in got.warnings if "nobody answers" in w])

    def test_expired(self, ask, pcs_served, tmp_path):
        """
        So is what is past its own nextUpdate, and it says so.
        """
        got = self.later(
            ask,
            pcs_served,
            tmp_path,
            status(500),
            60 * DAY,
            stale_if_error=90 * DAY,
        )

        assert got.is_expired(NOW + 60 * DAY)
        assert got.is_stale

    @pytest.mark.parametrize(
        "settings", [{}, {"stale_if_error": DAY}, {"stale_if_error": 0 * DAY}]
    )
    def test_not_allowed(self, ask, pcs_served, tmp_path, settings):
        """
        By default it is not, nor after the time that was allowed.
        """
        with pytest.raises(CollateralUnavailableError):
            self.later(
                ask, pcs_served, tmp_path, status(500), 2 * DAY, **settings
            )

    def test_answered(self, ask, pcs_served, tmp_path):
        """
        Nor where somebody answers that there is no such document.
        """
        with pytest.raises(CollateralNotFoundError):
            self.later(
                ask,
                pcs_served,
                tmp_path,
                status(404),
                2 * DAY,
                stale_if_error=9 * DAY,
            )
