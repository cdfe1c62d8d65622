"""
What a verifier keeps is believed for nothing else.
"""

import concurrent.futures

import pytest

from tests.intel.quotes_made import (
    CHANGES,
    KINDS,
    NEIGHBOUR,
    NOW,
    good,
    join,
    make,
    parts_of,
    sign_quote,
    verifier,
    verify,
    why,
)
from thim.intel.quote import Quote
from thim.intel.steps import Step
from thim.intel.tcb import TcbStatus
from thim.intel.verify import Memory
from thim.simulate.pck import Platform


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


class TestKept:
    @pytest.mark.parametrize("change", CHANGES)
    def test_changed(self, kind, change):
        """
        A quote that differs in one part from one that was good fails at its
        own step, before the good one and after it.
        """
        judge = verifier(kind)
        part, alter, step = CHANGES[change]
        parts = parts_of(kind)
        setattr(parts, part, alter(getattr(parts, part)))
        bad = Quote(join(parts))

        before = judge.verify(bad, NOW)
        between = judge.verify(Quote(good(kind)), NOW)
        after = judge.verify(bad, NOW)

        assert [step, None, step] == [why(before), why(between), why(after)]

    @pytest.mark.parametrize(
        ("kind", "other"),
        [(k, o) for k in KINDS for o in KINDS if "v3" in {k, o} and k != o],
    )
    def test_the_other_tee(self, kind, other):
        """
        Collateral of one TEE verifies no quote of the other, not even of a
        machine, QE and key that are kept.
        """
        judge = verifier(kind)
        foreign = parts_of(other)
        step = Step.PLATFORM, "tcb-info-tee"

        found = [why(judge.verify(Quote(join(foreign)), NOW))]
        judge.verify(Quote(good(kind)), NOW)
        found.append(why(judge.verify(Quote(join(foreign)), NOW)))

        assert [step, step] == found

    def test_sgx_in_version_4(self):
        """
        With collateral of SGX such a quote verifies.
        """
        parts = parts_of("v4")
        parts.header = parts.header[:4] + bytes(4) + parts.header[8:]
        parts.body = parts_of("v3").body

        verdict = verify("v3", join(sign_quote(parts)))

        assert TcbStatus.UP_TO_DATE is verdict.tcb_status

    @pytest.mark.parametrize("most", [0, 1, 2])
    def test_bounded(self, kind, most):
        """
        No more is kept than was allowed, and verdicts do not depend on it.
        """
        memory = Memory(machines=most, keys=most)
        judge = verifier(kind, memory)
        raws = [
            make(kind, Platform(qe_id=bytes([i]) * 16, cpusvn=b"\4" * 16))
            for i in range(4)
        ]

        for raw in raws * 2:
            verdict = judge.verify(Quote(raw), NOW)
            assert TcbStatus.UP_TO_DATE is verdict.tcb_status

        assert (most, most) == (len(memory.machines), len(memory.keys))

    def test_threads(self, kind):
        """
        Many threads get the verdicts that one gets.
        """
        raws = [good(kind), make(kind, NEIGHBOUR)]
        for part, alter, _ in CHANGES.values():
            parts = parts_of(kind)
            setattr(parts, part, alter(getattr(parts, part)))
            raws.append(join(parts))
        quotes = [Quote(raw) for raw in raws]
        expected = [why(verify(kind, raw)) for raw in raws]
        judge = verifier(kind, Memory(machines=2, keys=2))

        def run(i):
            turned = quotes[i:] + quotes[:i]
            found = [why(judge.verify(each, NOW)) for each in turned]
            return found[len(found) - i :] + found[: len(found) - i]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for found in pool.map(run, range(len(quotes))):
                assert expected == found
