import pytest

from thim.errors import MalformedError, NotFoundError, UntrustedError
from thim.intel.steps import Finding, Step, StepError, at, fail


WORDS = "it is so"


class TestStep:
    def test_numbers(self):
        """
        The steps are numbered from 1 to 16, in their order.
        """
        assert [*range(1, 17)] == [int(step) for step in Step]

    def test_titles(self):
        """
        No two steps have the same title.
        """
        assert 16 == len({step.title for step in Step})

    @pytest.mark.parametrize("step", Step)
    def test_words(self, step):
        """
        A step says what it is, and where in Intel's procedure it stands.
        """
        assert step.title
        assert step.source[0] in "ABCD"

    def test_source(self):
        """
        The last step that says whether a quote is authentic is the signature
        over it.
        """
        assert (12, "D14-D15") == (
            Step.QUOTE_SIGNATURE,
            Step.QUOTE_SIGNATURE.source,
        )


class TestFail:
    def test_finding(self):
        """
        The error has all that was said, as a finding.
        """
        error = fail(Step.CRLS, "a-reason", "what", "which", "this", "that")

        assert error.finding == Finding(
            step=Step.CRLS,
            reason="a-reason",
            detail="what",
            component="which",
            found="this",
            needed="that",
            advisory_ids=(),
            remedy=None,
        )

    def test_error(self):
        """
        As an error it is untrusted, with the finding's detail and reason.
        """
        error = fail(Step.CRLS, "a-reason", "what it means")

        assert isinstance(error, UntrustedError)
        assert ("what it means", "a-reason") == (str(error), error.reason)

    def test_short(self):
        """
        What is not said is empty.
        """
        finding = fail(Step.CRLS, "a-reason", "what").finding

        assert ("", "", "") == (
            finding.component,
            finding.found,
            finding.needed,
        )


class TestAt:
    def test_nothing(self):
        """
        Where nothing is raised nothing happens.
        """
        with at(Step.LAYOUT):
            done = True

        assert done

    @pytest.mark.parametrize("kind", [MalformedError, UntrustedError])
    def test_fails(self, kind):
        """
        What is malformed or untrusted fails the step, with its own words.
        """
        with pytest.raises(StepError, match=rf"^{WORDS}$") as e, at(Step.CRLS):
            raise kind(WORDS, reason="a-reason")

        assert (Step.CRLS, "a-reason", WORDS) == (
            e.value.finding.step,
            e.value.finding.reason,
            e.value.finding.detail,
        )

    def test_cause(self):
        """
        Why it fails stays at hand.
        """
        cause = MalformedError(WORDS)
        with pytest.raises(StepError) as e, at(Step.CRLS):
            raise cause

        assert cause is e.value.__cause__

    def test_within(self):
        """
        A step that failed inside stays the one that failed.
        """
        inside = fail(Step.CRLS, "revoked", WORDS)
        with pytest.raises(StepError) as e, at(Step.PCK_CHAIN):
            raise inside

        assert inside is e.value

    @pytest.mark.parametrize("kind", [NotFoundError, ValueError])
    def test_of_another_kind(self, kind):
        """
        What says nothing of the evidence passes as it is.
        """
        error = kind(WORDS)
        with pytest.raises(kind) as e, at(Step.CRLS):
            raise error

        assert error is e.value
