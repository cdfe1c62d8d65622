import pytest

from tests.services.made import INTEL, day, fill
from thim.errors import NotFoundError, UnavailableError
from thim.intel.names import EnclaveKind, Tee, Update
from thim.services.number_facts import read_facts
from thim.simulate.pki import NUMBERS


COFFEE_LAKE = "00906ED50000"


def read(*arguments, **named):
    """
    Read all of one number.
    """
    return read_facts(*arguments, **named)


def lists(numbers, issued):
    """
    The lists of both TEEs.
    """
    return [
        INTEL.numbers(tee=tee, numbers=numbers, issued=issued) for tee in Tee
    ]


@pytest.fixture
def filled(ledger):
    """
    A store in which 18 has a TCB info that ends on day 30, the QE's identity
    that ends on day 25, and one that was superseded.
    """
    fill(
        ledger,
        *lists(NUMBERS, day(0)),
        INTEL.tcb_info(number=18),
        INTEL.identity(number=18, issued=day(-20)),
        INTEL.identity(number=18, issued=day(-5)),
    )
    return ledger


class TestNumber:
    def test_lists(self, filled, replica):
        """
        What the vendor's lists say of it is told.
        """
        facts = read(replica, 18, day(1))

        assert NUMBERS[18] == facts.history.recovery_event
        assert day(0) == facts.history.first_listed
        assert facts.is_signed

    def test_withdrawn(self, filled, replica):
        """
        So is that they do not name it any more.
        """
        fill(filled, *lists({20: NUMBERS[20]}, day(10)))
        facts = read(replica, 18, day(11))

        assert facts.is_signed is False
        assert day(10) == facts.history.withdrawn

    def test_without_lists(self, ledger, replica):
        """
        Without any list it is not known whether it is signed still.
        """
        fill(ledger, INTEL.identity(number=18))

        assert read(replica, 18, day(1)).is_signed is None

    def test_forecast(self, filled, replica):
        """
        When ``standard`` will come to it is forecast.
        """
        for n, number in ((1, 17), (20, 18)):
            filled.observe_channel(
                Update.STANDARD, number, source="-", seen=day(n)
            )

        assert day(20) == read(replica, 18, day(30)).history.promoted
        assert read(replica, 18, day(30)).forecast is None
        assert 20 == read(replica, 20, day(30)).forecast.number

    def test_documents(self, filled, replica):
        """
        All documents are counted, those included that were superseded.
        """
        assert 3 == read(replica, 18, day(1)).documents

    def test_release(self, filled, replica):
        """
        What Azure documents of it is told, even if nothing else is known.
        """
        facts = read(replica, 13, day(1))

        assert "2.17" == facts.release.minimum_psw_linux
        assert 0 == facts.documents
        assert facts.history.recovery_event is None
        assert facts.passes_until is None
        assert not facts.is_expired
        assert read(replica, 18, day(1)).release is None

    def test_unknown(self, filled, replica):
        """
        A number that nothing is known of is not found.
        """
        with pytest.raises(NotFoundError, match=r"99 .*: 17, 18, 19, 20") as e:
            read(replica, 99, day(1))

        assert "unknown-number" == e.value.reason

    def test_nothing_known(self, replica):
        """
        In an empty store none is known.
        """
        with pytest.raises(NotFoundError, match="known: none"):
            read(replica, 99, day(1))


class TestSpans:
    def test_kinds(self, filled, replica):
        """
        For each kind the first and the last next update of what is served is
        told.
        """
        fill(
            filled,
            INTEL.tcb_info(number=18, issued=day(3), fmspc=COFFEE_LAKE),
        )

        assert [
            ("identity", 1, day(25), day(25)),
            ("tcb-info", 2, day(30), day(33)),
        ] == [
            (span.kind.value, span.documents, span.earliest, span.latest)
            for span in read(replica, 18, day(1)).spans
        ]

    def test_revoked_signer(self, filled, replica):
        """
        What a revoked signer has signed is not served.
        """
        with filled._transaction() as connection:
            connection.exec_driver_sql("UPDATE issuer_chains SET revoked = 1")
        facts = read(replica, 18, day(1))

        assert () == facts.spans + facts.passing
        assert 3 == facts.documents


class TestPassing:
    def test_both(self, filled, replica):
        """
        A TCB info passes as long as the identity beside it does.
        """
        facts = read(replica, 18, day(1))
        (passing,) = facts.passing

        assert ("00606A000000", Tee.SGX, 3) == (
            passing.fmspc,
            passing.tee,
            passing.structure,
        )
        assert (day(30), day(25)) == (
            passing.tcb_info_until,
            passing.identity_until,
        )
        assert day(25) == passing.until == facts.passes_until

    @pytest.mark.parametrize(("n", "is_passing"), [(24, 1), (25, 1), (26, 0)])
    def test_ends(self, filled, replica, n, is_passing):
        """
        It passes until that instant, and is expired then.
        """
        facts = read(replica, 18, day(n))

        assert bool(is_passing) == facts.passing[0].passes(day(n))
        assert bool(is_passing) != facts.is_expired
        assert facts.is_expired == facts.is_wholly_expired

    def test_first_and_last(self, filled, replica):
        """
        A number is expired when the first of its sets is, wholly when the
        last of them is.
        """
        fill(
            filled,
            INTEL.tcb_info(number=18, issued=day(-10), fmspc=COFFEE_LAKE),
        )
        facts = read(replica, 18, day(22))

        assert (day(20), day(25)) == (facts.passes_until, facts.passes_last)
        assert facts.is_expired
        assert not facts.is_wholly_expired
        assert [True, False] == [p.passes(day(22)) for p in facts.passing]

    def test_tdx(self, filled, replica):
        """
        For TDX it is the TD QE's identity that counts.
        """
        fill(
            filled,
            INTEL.tcb_info(number=18, tee=Tee.TDX),
            INTEL.identity(number=18, kind=EnclaveKind.TD_QE, issued=day(-10)),
        )

        assert [(Tee.SGX, day(25)), (Tee.TDX, day(20))] == [
            (passing.tee, passing.until)
            for passing in read(replica, 18, day(1)).passing
        ]

    def test_missing(self, filled, replica):
        """
        Without it nothing passes, and it is named; that is no expiry.
        """
        fill(filled, INTEL.tcb_info(number=18, tee=Tee.TDX))
        facts = read(replica, 18, day(1))
        passing = facts.passing[1]

        assert "intel/identity/td-qe/2" == str(passing.missing)
        assert passing.until is None
        assert not passing.passes(day(1))
        assert day(25) == facts.passes_until
        assert not facts.is_expired

    def test_identities_alone(self, ledger, replica):
        """
        Without a TCB info nothing can pass.
        """
        fill(ledger, INTEL.identity(number=18))
        facts = read(replica, 18, day(1))

        assert () == facts.passing
        assert facts.passes_until is None
        assert facts.passes_last is None

    def test_structures(self, filled, replica):
        """
        A TCB info of structure 2 passes for those who get that.
        """
        fill(
            filled,
            INTEL.tcb_info(number=18, structure=2, issued=day(-12)),
        )

        assert [(2, day(18)), (3, day(25))] == [
            (passing.structure, passing.until)
            for passing in read(replica, 18, day(1)).passing
        ]


def test_damage(filled, replica):
    """
    A TEE that there is not is a damage.
    """
    with filled._transaction() as connection:
        connection.exec_driver_sql(
            "UPDATE series SET subject = 'sev:00606A000000' "
            "WHERE kind = 'tcb-info'"
        )

    with pytest.raises(UnavailableError, match="makes no sense"):
        read(replica, 18, day(1))
