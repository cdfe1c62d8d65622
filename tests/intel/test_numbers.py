import datetime

import pytest

from tests.intel.documents import edited, inner
from thim.errors import MalformedError
from thim.intel.names import Tee
from thim.intel.numbers import NumberList
from thim.simulate.pki import ISSUED, LIFETIME, NUMBERS, Intel


INTEL = Intel()
BODY = INTEL.numbers()


def read(edit=lambda _: None):
    """
    Read a list of numbers that *edit* has changed.
    """
    return NumberList.from_json(edited(BODY, edit))


class TestFromJson:
    @pytest.mark.parametrize("tee", Tee)
    def test_reads_what_counts(self, tee):
        """
        Whose list it is, and its dates.
        """
        numbers = NumberList.from_json(inner(INTEL.numbers(tee=tee)))

        assert tee is numbers.tee
        assert 1 == numbers.version
        assert ISSUED == numbers.issue_date
        assert ISSUED + LIFETIME == numbers.next_update

    def test_numbers(self):
        """
        Each number with its recovery event and its TCB date, in order.
        """
        numbers = read().numbers

        assert list(NUMBERS) == [n.number for n in numbers]
        assert NUMBERS[20] == numbers[0].recovery_event
        assert datetime.date(2025, 8, 13) == numbers[0].tcb_date.date()


class TestRefused:
    @pytest.mark.parametrize(
        "change", [{"version": 2}, {"version": 0}, {"id": "QE"}, {"id": "sgx"}]
    )
    def test_other_version_or_tee(self, change):
        """
        Another version, or a list of another thing, is refused.
        """
        with pytest.raises(MalformedError, match="Numbers is '") as e:
            read(lambda d: d.update(change))

        assert "version" == e.value.reason

    def test_empty(self):
        """
        A list without a number would withdraw everything.
        """
        with pytest.raises(MalformedError, match="no numbers") as e:
            read(lambda d: d.update(tcbEvalNumbers=[]))

        assert "fields" == e.value.reason

    def test_number_twice(self):
        """
        One number with two recovery events is a contradiction.
        """
        with pytest.raises(MalformedError, match="one of them twice"):
            read(
                lambda d: d["tcbEvalNumbers"][1].update(
                    tcbEvaluationDataNumber=20
                )
            )

    @pytest.mark.parametrize(
        "member", ["id", "version", "issueDate", "nextUpdate", "tcbEvalNumbers"]
    )
    def test_member_missing(self, member):
        """
        Each member must be there.
        """
        with pytest.raises(MalformedError, match=f"Numbers: .*`{member}`"):
            read(lambda d: d.pop(member))

    def test_as_the_specification_has_it(self):
        """
        The name in Intel's summary, which the service never used, is unknown.
        """
        with pytest.raises(MalformedError, match="`tcbEvalNumbers`"):
            read(lambda d: d.update(tcbNumbers=d.pop("tcbEvalNumbers")))

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"tcbEvaluationDataNumber": -1}, "tcbEvaluationDataNumber"),
            ({"tcbEvaluationDataNumber": "20"}, "tcbEvaluationDataNumber"),
            ({"tcbRecoveryEventDate": "2025"}, "^tcbRecoveryEventDate is"),
            ({"tcbDate": "2025"}, "^tcbDate is"),
            ({"tcbDate": 2025}, "tcbDate"),
        ],
    )
    def test_entry(self, change, match):
        """
        Each value of an entry must have its own form.
        """
        with pytest.raises(MalformedError, match=match):
            read(lambda d: d["tcbEvalNumbers"][3].update(change))

    @pytest.mark.parametrize("member", ["issueDate", "nextUpdate"])
    def test_date(self, member):
        """
        The list's own dates are dates.
        """
        with pytest.raises(MalformedError, match=f"^{member} is '2025'"):
            read(lambda d: d.update({member: "2025"}))
