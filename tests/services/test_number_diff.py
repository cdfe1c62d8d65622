import pytest

from tests.services.made import INTEL, day, fill
from thim.errors import NotFoundError, ParameterError, UnavailableError
from thim.intel.difference import AdvisoryChange
from thim.intel.names import EnclaveKind, Tee
from thim.services.number_diff import diff_numbers


ICE_LAKE = "00606A000000"
COFFEE_LAKE = "00906ED50000"


def diff(*arguments, **named):
    """
    Compare two numbers.
    """
    return diff_numbers(*arguments, **named)


def levels(advisory):
    """
    A change of a TCB info: its one level names an *advisory*.
    """
    return {
        "tcbLevels": [
            {
                "tcb": {
                    "sgxtcbcomponents": [{"svn": 4}] * 16,
                    "pcesvn": 11,
                },
                "tcbDate": "2024-03-13T00:00:00Z",
                "tcbStatus": "OutOfDate",
                "advisoryIDs": [advisory],
            }
        ]
    }


def identities(number):
    """
    All identities of a number.
    """
    return [INTEL.identity(kind=kind, number=number) for kind in EnclaveKind]


@pytest.fixture
def filled(ledger):
    """
    A store in which 17 and 18 have all identities and a TCB info for Ice Lake
    each, which name another advisory.
    """
    fill(
        ledger,
        *identities(17),
        *identities(18),
        INTEL.tcb_info(number=17, changes=levels("OLD")),
        INTEL.tcb_info(number=18, changes=levels("NEW")),
    )
    return ledger


def told(found):
    """
    Shorten what was compared to names and whether there is a difference.
    """
    return {
        str(pair): pair.difference and pair.difference.is_change
        for pair in found.pairs
    }


class TestBoth:
    def test_compared(self, filled, replica):
        """
        TCB infos and identities that both have are compared.
        """
        found = diff(replica, 17, 18)

        assert {
            f"TCB info of SGX {ICE_LAKE}": True,
            "identity of the QE": False,
            "identity of the QVE": False,
            "identity of the TD_QE": False,
            "identity of the QAE": False,
        } == told(found)
        assert found.is_change
        assert () == found.missing_before + found.missing_after

    def test_advisories(self, filled, replica):
        """
        The advisories that came and went are summed up.
        """
        assert AdvisoryChange(added=("NEW",), removed=("OLD",)) == (
            diff(replica, 17, 18).advisories
        )

    def test_itself(self, filled, replica):
        """
        A number does not differ from itself.
        """
        found = diff(replica, 17, 17)

        assert not found.is_change
        assert AdvisoryChange() == found.advisories

    def test_both_tees(self, filled, replica):
        """
        A platform that has TCB infos for both TEEs is compared for both.
        """
        fill(
            filled,
            *(INTEL.tcb_info(number=n, tee=Tee.TDX) for n in (17, 18)),
        )

        assert [(ICE_LAKE, Tee.SGX), (ICE_LAKE, Tee.TDX)] == [
            (pair.fmspc, pair.tee) for pair in diff(replica, 17, 18).tcb_infos
        ]

    def test_sources(self, filled, replica):
        """
        Of each side it is told which document was compared.
        """
        fill(filled, INTEL.tcb_info(number=18, issued=day(3)))
        (pair,) = diff(replica, 17, 18).tcb_infos

        assert (day(0), day(3)) == (pair.before.issued, pair.after.issued)
        assert day(33) == pair.after.next_update


class TestMissing:
    def test_before(self, filled, replica):
        """
        What only the second number has is named.
        """
        fill(filled, INTEL.tcb_info(number=18, fmspc=COFFEE_LAKE))
        found = diff(replica, 17, 18)
        pair = found.tcb_infos[1]

        assert (f"TCB info of SGX {COFFEE_LAKE}",) == found.missing_before
        assert () == found.missing_after
        assert pair.before is None
        assert pair.difference is None

    def test_after(self, filled, replica):
        """
        What only the first number has is named.
        """
        fill(filled, INTEL.tcb_info(number=17, fmspc=COFFEE_LAKE))
        found = diff(replica, 17, 18)

        assert (f"TCB info of SGX {COFFEE_LAKE}",) == found.missing_after
        assert () == found.missing_before

    def test_identities(self, ledger, replica):
        """
        An identity that neither has is missing on both sides.
        """
        fill(
            ledger,
            INTEL.identity(number=17),
            INTEL.identity(number=18),
            INTEL.identity(number=18, kind=EnclaveKind.TD_QE),
        )
        found = diff(replica, 17, 18)
        neither = ("identity of the QVE", "identity of the QAE")

        assert neither == found.missing_after
        assert {*neither, "identity of the TD_QE"} == {*found.missing_before}

    def test_of_other_numbers(self, filled, replica):
        """
        A platform of which neither has anything is no matter of theirs.
        """
        fill(filled, INTEL.tcb_info(number=16, fmspc=COFFEE_LAKE))

        assert [ICE_LAKE] == [
            pair.fmspc for pair in diff(replica, 17, 18).tcb_infos
        ]

    @pytest.mark.parametrize("numbers", [(17, 99), (99, 17)])
    def test_number(self, filled, replica, numbers):
        """
        A number of which nothing is archived is not known.
        """
        with pytest.raises(NotFoundError, match=r"99.*archived: 17, 18") as e:
            diff(replica, *numbers)

        assert "unknown-number" == e.value.reason

    def test_nothing(self, replica):
        """
        In an empty store no number is.
        """
        with pytest.raises(NotFoundError, match="archived: none"):
            diff(replica, 17, 18)


class TestFmspcs:
    def test_named(self, filled, replica):
        """
        Only the named platforms are compared, in whatever case.
        """
        fill(
            filled,
            *(INTEL.tcb_info(number=n, fmspc=COFFEE_LAKE) for n in (17, 18)),
        )
        found = diff(replica, 17, 18, [COFFEE_LAKE.lower()])

        assert [COFFEE_LAKE] == [pair.fmspc for pair in found.tcb_infos]
        assert 4 == len(found.identities)

    def test_unknown(self, filled, replica):
        """
        A named platform of which neither has anything is missing on both
        sides.
        """
        found = diff(replica, 17, 18, ["000000000000"])

        assert ("TCB info of SGX 000000000000",) == found.missing_before
        assert found.missing_before == found.missing_after

    def test_malformed(self, filled, replica):
        """
        What is no FMSPC is refused.
        """
        with pytest.raises(ParameterError, match=r"fmspc: got '606A'"):
            diff(replica, 17, 18, ["606A"])


class TestStructures:
    def test_newest(self, filled, replica):
        """
        Of structures 2 and 3 it is 3 that counts.
        """
        fill(filled, INTEL.tcb_info(number=17, structure=2, issued=day(1)))
        (pair,) = diff(replica, 17, 18).tcb_infos

        assert (3, 3) == (pair.before.key.structure, pair.after.key.structure)

    @pytest.mark.parametrize("numbers", [(16, 17), (17, 16)])
    def test_older(self, filled, replica, numbers):
        """
        Where there is but structure 2 it is compared with 3, whose names for
        the components are used.
        """
        fill(filled, INTEL.tcb_info(number=16, structure=2))
        fill(filled, INTEL.tcb_info(number=17, issued=day(2)))
        (pair,) = diff(replica, *numbers).tcb_infos
        up, baseline = pair.difference.goals

        assert {2, 3} == {pair.before.key.structure, pair.after.key.structure}
        assert not baseline.is_change
        assert None in {up.before, up.after}

    def test_names(self, filled, replica):
        """
        Those are used whichever side they are on.
        """
        fill(
            filled,
            INTEL.tcb_info(number=17, issued=day(2)),
            INTEL.tcb_info(
                number=16,
                structure=2,
                changes={
                    "tcbLevels": [
                        {
                            "tcb": {
                                f"sgxtcbcomp{n:02}svn": 3 for n in range(1, 17)
                            }
                            | {"pcesvn": 11},
                            "tcbDate": "2024-03-13T00:00:00Z",
                            "tcbStatus": "UpToDate",
                        }
                    ]
                },
            ),
        )
        for numbers in ((16, 17), (17, 16)):
            (pair,) = diff(replica, *numbers).tcb_infos
            svns = pair.difference.goals[0].svns

            assert "SGX component 1 (BIOS, Early Microcode Update)" == (
                svns[0].name
            )


class TestAt:
    def test_documents(self, filled, replica):
        """
        As of an instant it is what was current then that is compared.
        """
        fill(
            filled,
            INTEL.tcb_info(number=18, issued=day(3), changes=levels("OLD")),
        )

        assert not diff(replica, 17, 18).is_change
        assert diff(replica, 17, 18, at=day(2)).is_change
        assert day(2) == diff(replica, 17, 18, at=day(2)).at

    def test_too_early(self, filled, replica):
        """
        Before the archive begins no number is known.
        """
        with pytest.raises(NotFoundError, match="number 17"):
            diff(replica, 17, 18, at=day(-1))


class TestDamage:
    @pytest.mark.parametrize("kind", ["tcb-info", "identity"])
    def test_document(self, filled, replica, kind):
        """
        A document that is damaged on the disk is named, with its number.
        """
        with filled._transaction() as connection:
            connection.exec_driver_sql(
                "UPDATE records SET body = X'7B7D' WHERE series_id IN "
                "(SELECT id FROM series WHERE kind = ?)",
                (kind,),
            )

        with pytest.raises(
            UnavailableError, match=rf"damaged.*{kind}.* of number 1[78]"
        ) as e:
            diff(replica, 17, 18)

        assert "store-damaged" == e.value.reason
