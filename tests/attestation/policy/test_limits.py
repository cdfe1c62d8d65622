import itertools

import pytest

from tests.attestation.policy.made import issue, run, write
from thim.attestation.policy.claim import Claim
from thim.attestation.policy.errors import PolicyEvaluationError
from thim.attestation.policy.limits import Budget, Meter


GROW = '=> add(type="a", value="xy");' + 30 * (
    'c:[type=="a"] => add(type="a", value=c.value);'
)
BOMBS = {
    "doubling": GROW,
    "without a type": '=> add(type="b", value=1);'
    * 200
    + 'c:[value!="z"] && d:[value!="z"] && e:[value!="z"] => '
    'add(type=AppendString("x", c.type), value=d.value);' * 200,
    "texts": '=> add(type="a0", value="xxxxxxxx");'
    + "".join(
        f'c:[type=="a{i}"] => add(type="a{i + 1}", '
        "value=AppendString(c.value, c.value));"
        for i in range(30)
    ),
    "combinations": '=> add(type="a", value="x");'
    * 100
    + 'c:[type=="a"] => add(type="b", value=AppendString(c.value, '
    "AppendString(c.value, AppendString(c.value, c.value))));",
    "comparisons": '=> add(type="a", value=1);' * 500
    + 'c:[type=="a"] && [value>c.value] => add(type="b", value=1);' * 100,
    "subsets": '=> add(type="a", value=1);' * 500
    + 'c:[type=="a"] => add(type="b", value=IsSubsetOf(c.value, c.value));'
    * 100,
    "rules": "[value==2] => deny();" * 3_000,
}


def _write(name):
    if name == "rules":
        return write(authorization=BOMBS[name])
    return write(BOMBS[name])


class TestBombs:
    @pytest.mark.parametrize("name", list(BOMBS))
    def test_ends(self, name):
        """
        A policy that makes much of little ends by the budget, and says in
        which rule.
        """
        with pytest.raises(PolicyEvaluationError) as e:
            run(_write(name), [Claim("c", 1)] * 20)

        assert "policy-budget" == e.value.reason
        assert e.value.rule is not None

    def test_enough_for_large_policies(self):
        """
        A policy of two thousand rules is no bomb.
        """
        rules = "".join(
            f'c:[type=="x{i}", value=="{i}"] => issue(type="y", value=1);'
            for i in range(2000)
        )

        assert {"y": 1} == issue(rules, {"x7": "7"})


class TestMeter:
    def test_steps(self):
        """
        As many steps as there are can be taken.
        """
        meter = Meter(Budget(steps=2))
        meter.spend(2)

        with pytest.raises(PolicyEvaluationError, match="more steps"):
            meter.spend(1)

    def test_elements(self):
        """
        So it is with elements.
        """
        meter = Meter(Budget(elements=2))
        meter.make(2)

        with pytest.raises(PolicyEvaluationError, match="more elements"):
            meter.make(1)

    def test_characters(self):
        """
        And with characters.
        """
        meter = Meter(Budget(characters=2))
        meter.make(1, 2)

        with pytest.raises(PolicyEvaluationError, match="more characters"):
            meter.make(0, 1)

    def test_is_over(self):
        """
        Whether time is over is asked every two thousand steps.
        """
        asked = itertools.count()
        meter = Meter(Budget(steps=10_000, is_over=lambda: next(asked) < 0))
        for _ in range(10_000):
            meter.spend(1)

        assert 4 == next(asked)

    def test_time_is_over(self):
        """
        Once it is over nothing more is done.
        """
        meter = Meter(Budget(is_over=lambda: True))
        meter.spend(2000)

        with pytest.raises(PolicyEvaluationError, match="more time"):
            meter.spend(1)

    def test_policy_out_of_time(self):
        """
        So a policy ends in time.
        """
        with pytest.raises(PolicyEvaluationError, match="more time"):
            issue(GROW, budget=Budget(is_over=lambda: True))
