import json

import pytest

from tests.services.made import INTEL, day, fill
from tests.stores import ledger, replica, store
from thim.cli.number_diff_view import diff_json, show_diff
from thim.cli.number_views import facts_json, show_facts
from thim.intel.names import EnclaveKind, Tee, Update
from thim.services.number_diff import diff_numbers
from thim.services.number_facts import read_facts
from thim.simulate.pki import NUMBERS


__all__ = ["ledger", "replica", "store"]

ICE_LAKE = "00606A000000"
MICROCODE = "SGX component 1 (BIOS, Early Microcode Update)"


@pytest.fixture
def anchors():
    """
    The trust anchors of the store.
    """
    return INTEL.anchors


def differing(*arguments, **named):
    """
    Write a difference for machines.
    """
    return diff_json(*arguments, **named)


def known(*arguments, **named):
    """
    Write all of one number for machines.
    """
    return facts_json(*arguments, **named)


def tcb(svn, pcesvn, tee):
    """
    Write a TCB: the first component has an SVN, the others have 3.
    """
    first = {"svn": svn, "category": "BIOS", "type": "Early Microcode Update"}
    tdx = {"tdxtcbcomponents": [{"svn": 5}, *[{"svn": 0}] * 15]}
    return {
        "sgxtcbcomponents": [first, *[{"svn": 3}] * 15],
        "pcesvn": pcesvn,
        **(tdx if tee is Tee.TDX else {}),
    }


def lines(*levels, tee=Tee.SGX):
    """
    Write levels: SVN, PCESVN, status, advisories.
    """
    return [
        {
            "tcb": tcb(svn, pcesvn, tee),
            "tcbDate": "2024-03-13T00:00:00Z",
            "tcbStatus": status,
            "advisoryIDs": list(advisories),
        }
        for svn, pcesvn, status, *advisories in levels
    ]


def info(number, *levels, **changes):
    """
    Issue a TCB info.
    """
    return INTEL.tcb_info(
        number=number, changes={"tcbLevels": lines(*levels), **changes}
    )


@pytest.fixture
def filled(ledger):
    """
    A store in which 18 asks for more than 17, and 17 has no TD QE's identity.
    """
    fill(
        ledger,
        info(17, (14, 11, "SWHardeningNeeded", "INTEL-SA-1")),
        info(
            18,
            (16, 13, "SWHardeningNeeded", "INTEL-SA-1"),
            (14, 11, "OutOfDate", "INTEL-SA-2"),
        ),
        *(INTEL.identity(number=n) for n in (17, 18)),
        INTEL.identity(number=18, kind=EnclaveKind.TD_QE),
    )
    return ledger


@pytest.fixture
def said(capsys):
    """
    What was printed, without the spaces that make columns.
    """

    def read():
        text = capsys.readouterr().out
        return [" ".join(line.split()) for line in text.splitlines()]

    return read


class TestShowDiff:
    def test_summary(self, filled, replica, said):
        """
        First comes what is new, what is missing and what is the same.
        """
        show_diff(diff_numbers(replica, 17, 18))
        heading = said()[:6]

        assert [
            "number 17 and then 18",
            "new advisories: INTEL-SA-2",
            (
                "17 has no identity of the QVE, no identity of the TD_QE, "
                "no identity of the QAE"
            ),
            "18 has no identity of the QVE, no identity of the QAE",
            "without a difference: identity of the QE",
            "",
        ] == heading

    def test_advisories_gone(self, filled, replica, said):
        """
        Advisories that have gone are told too.
        """
        show_diff(diff_numbers(replica, 18, 17))

        assert "advisories gone: INTEL-SA-2" in said()

    def test_goals(self, filled, replica, said):
        """
        What has to be reached is told by component, with what brings it.
        """
        show_diff(diff_numbers(replica, 17, 18))
        told = said()
        start = told.index("UpToDate: no level is, of either")

        assert [
            "UpToDate or SWHardeningNeeded asks for",
            "SVN of 17 18 comes with",
            f"{MICROCODE} 14 16 bios-or-microcode",
            "PCESVN 11 13 psw-or-quoting-enclave",
            "1 level: SWHardeningNeeded, then OutOfDate",
        ] == told[start + 1 : start + 6]

    def test_levels(self, filled, replica, said):
        """
        Each changed level is told with what either number says of it.
        """
        show_diff(diff_numbers(replica, 17, 18))
        threes = " ".join(["3"] * 15)

        assert {
            "level 17 18 new advisories advisories gone",
            (
                f"SGX 16 {threes}, PCESVN 13 (SWHardeningNeeded 2024-03-13) "
                "SWHardeningNeeded 2024-03-13 - -"
            ),
            (
                f"SGX 14 {threes}, PCESVN 11 SWHardeningNeeded 2024-03-13 "
                "OutOfDate 2024-03-13 INTEL-SA-2 INTEL-SA-1"
            ),
        } <= {*said()}

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (
                "UpToDate",
                "OutOfDate",
                "UpToDate: SGX {}, but no level of 18 is",
            ),
            (
                "OutOfDate",
                "UpToDate",
                "UpToDate: no level of 17 is, then SGX {}",
            ),
            ("UpToDate", "UpToDate", "UpToDate asks for the same"),
        ],
    )
    def test_one_sided_goal(
        self, ledger, replica, said, before, after, expected
    ):
        """
        A goal that one number does not have is told as such, and only once
        where the baseline asks for the same.
        """
        fill(ledger, info(17, (3, 11, before)), info(18, (3, 11, after, "A")))
        show_diff(diff_numbers(replica, 17, 18))
        told = [line for line in said() if line.startswith("UpToDate")]
        threes = " ".join(["3"] * 16)

        assert [expected.format(f"{threes}, PCESVN 11")] == told

    def test_below(self, ledger, replica, said):
        """
        What is below every level is told nothing.
        """
        fill(
            ledger,
            info(17, (3, 11, "UpToDate"), (2, 11, "OutOfDate", "A")),
            info(18, (3, 11, "UpToDate")),
        )
        show_diff(diff_numbers(replica, 17, 18))
        told = said()

        assert "1 level: OutOfDate, then below every level" in told
        assert any(line.endswith("OutOfDate 2024-03-13 - - A") for line in told)

    def test_tdx(self, ledger, replica, said):
        """
        For TDX its components and its modules are told.
        """

        def module(name, *levels):
            return {
                "id": name,
                "mrsigner": "00" * 48,
                "attributes": "00" * 8,
                "attributesMask": "FF" * 8,
                "tcbLevels": [
                    {
                        "tcb": {"isvsvn": svn},
                        "tcbDate": "2024-03-13T00:00:00Z",
                        "tcbStatus": status,
                    }
                    for svn, status in levels
                ],
            }

        def tdx(number, status, *modules):
            return INTEL.tcb_info(
                number=number,
                tee=Tee.TDX,
                changes={
                    "tcbLevels": lines((3, 11, status), tee=Tee.TDX),
                    "tdxModuleIdentities": modules,
                },
            )

        one = module("TDX_01", (4, "UpToDate"))
        two = module("TDX_01", (6, "UpToDate"), (4, "OutOfDate"))
        other = module("TDX_03", (3, "UpToDate"))
        fill(
            ledger,
            tdx(17, "UpToDate", one),
            tdx(18, "OutOfDate", two, other),
        )
        show_diff(diff_numbers(replica, 17, 18))
        told = said()
        show_diff(diff_numbers(replica, 18, 17))
        back = said()

        assert any(", TDX 5 UpToDate" in line for line in told)
        assert "TDX module TDX_01" in told
        assert "ISVSVN 4 6 tdx-module" in told
        assert "TDX module TDX_03, which 17 does not know" in told
        assert f"mrsigner: -, then {'00' * 48}" in told
        assert "TDX module TDX_03, which 17 does not know" in back

    def test_nothing(self, ledger, replica, said):
        """
        Of two numbers that say the same it is said that they do, and no more.
        """
        fill(ledger, *(INTEL.identity(number=n) for n in (17, 18)))
        show_diff(diff_numbers(replica, 17, 18))

        assert "without a difference: identity of the QE" == said()[-1]

    def test_hostile(self, ledger, replica, said):
        """
        What stands in a document cannot drive the terminal.
        """
        fill(
            ledger,
            info(17, (3, 11, "UpToDate")),
            info(18, (3, 11, "OutOfDate", "\x1b[31mA")),
        )
        show_diff(diff_numbers(replica, 17, 18))

        assert "\x1b" not in "".join(said())


class TestDiffJson:
    def test_all(self, filled, replica, capsys):
        """
        For machines there is all of it, in the order of the text.
        """
        found = diff_numbers(replica, 17, 18, at=day(1))
        show_diff(found, as_json=True)
        value = json.loads(capsys.readouterr().out)

        assert differing(found) == value
        assert (17, 18, "2025-06-06T03:43:45Z", True) == (
            value["before"],
            value["after"],
            value["at"],
            value["is_change"],
        )
        assert {"added": ["INTEL-SA-2"], "removed": []} == value["advisories"]
        assert ["identity of the QVE", "identity of the QAE"] == (
            value["missing_after"]
        )

    def test_tcb_info(self, filled, replica):
        """
        A TCB info has its sources, its goals and its levels.
        """
        (pair,) = differing(diff_numbers(replica, 17, 18))["tcb_infos"]
        difference = pair["difference"]

        assert (ICE_LAKE, "SGX") == (pair["fmspc"], pair["tee"])
        assert f"intel/tcb-info/sgx:{ICE_LAKE}/3" == pair["after"]["document"]
        assert {
            "goal": "baseline",
            "statuses": ["SWHardeningNeeded", "UpToDate"],
            "before": {"sgx": [14, *[3] * 15], "pcesvn": 11},
            "after": {"sgx": [16, *[3] * 15], "pcesvn": 13},
            "svns": [
                {
                    "name": MICROCODE,
                    "before": 14,
                    "after": 16,
                    "remedy": "bios-or-microcode",
                },
                {
                    "name": "PCESVN",
                    "before": 11,
                    "after": 13,
                    "remedy": "psw-or-quoting-enclave",
                },
            ],
        } == difference["goals"][1]
        assert None is difference["goals"][0]["before"]
        assert {
            "before": "SWHardeningNeeded",
            "after": "OutOfDate",
            "levels": [{"sgx": [14, *[3] * 15], "pcesvn": 11}],
        } == difference["moves"][0]
        assert {
            "tcb": {"sgx": [16, *[3] * 15], "pcesvn": 13},
            "before": {
                "status": "SWHardeningNeeded",
                "tcb_date": "2024-03-13T00:00:00Z",
                "advisory_ids": ["INTEL-SA-1"],
                "is_listed": False,
            },
            "after": {
                "status": "SWHardeningNeeded",
                "tcb_date": "2024-03-13T00:00:00Z",
                "advisory_ids": ["INTEL-SA-1"],
                "is_listed": True,
            },
            "advisories": {"added": [], "removed": []},
        } == difference["levels"][0]

    def test_missing(self, filled, replica):
        """
        An identity that one number does not have is there without a
        difference.
        """
        pairs = differing(diff_numbers(replica, 17, 18))["identities"]
        found = {pair["id"]: pair for pair in pairs}

        assert None is found["TD_QE"]["before"]
        assert None is found["TD_QE"]["difference"]
        assert [{"isvsvn": 8}, {"isvsvn": 6}] == [
            level["tcb"] for level in found["QE"]["difference"]["levels"]
        ]

    def test_tdx(self, filled, replica):
        """
        A TCB info for TDX has its components and its modules besides.
        """
        fill(
            filled,
            *(INTEL.tcb_info(number=n, tee=Tee.TDX) for n in (17, 18)),
        )
        pair = differing(diff_numbers(replica, 17, 18))["tcb_infos"][1]

        assert [5] * 16 == pair["difference"]["levels"][0]["tcb"]["tdx"]
        assert [("TDX_01", True, True), ("TDX_03", True, True)] == [
            (module["id"], module["is_before"], module["is_after"])
            for module in pair["difference"]["modules"]
        ]


@pytest.fixture
def listed(filled):
    """
    The same, with lists and channels.
    """
    fill(
        filled,
        *(INTEL.numbers(tee=tee, issued=day(0)) for tee in Tee),
    )
    for n, number in ((1, 17), (2, 18)):
        filled.observe_channel(Update.STANDARD, number, source="-", seen=day(n))
    filled.observe_channel(Update.EARLY, 20, source="-", seen=day(1))
    return filled


class TestShowFacts:
    def test_number(self, listed, replica, said):
        """
        What is known of a number is told line by line.
        """
        show_facts(read_facts(replica, 18, day(3)))

        assert [
            "number 18",
            "recovery event 2024-11-12",
            "TCB date 2024-11-13",
            "signed by the vendor still",
            "first listed 2025-06-05T03:43:45Z",
            "last listed 2025-06-05T03:43:45Z",
            "early by 2025-06-06T03:43:45Z or earlier, at 20",
            "standard since 2025-06-07T03:43:45Z",
            "documents 3",
            (
                "nextUpdate all pass verifiers that check it until "
                "2025-07-05T03:43:45Z"
            ),
        ] == said()[:10]

    def test_tables(self, listed, replica, said):
        """
        Below are its documents by kind, and until when each TCB info passes.
        """
        fill(listed, INTEL.tcb_info(number=17, tee=Tee.TDX))
        show_facts(read_facts(replica, 17, day(3)))
        end = "2025-07-05T03:43:45Z"

        assert [
            "kind documents first next update last next update",
            f"identity 1 {end} {end}",
            f"tcb-info 2 {end} {end}",
            "FMSPC TEE structure TCB info until identity until passes",
            f"{ICE_LAKE} SGX 3 {end} {end} until {end}",
            f"{ICE_LAKE} TDX 3 {end} - no, intel/identity/td-qe/2 is missing",
        ] == said()[-6:]

    def test_expired(self, listed, replica, said):
        """
        A number whose documents have all ended is expired.
        """
        show_facts(read_facts(replica, 17, day(31)))
        told = said()

        assert (
            "nextUpdate expired: nothing passes verifiers that check it since "
            "2025-07-05T03:43:45Z"
        ) in told
        assert told[-1].endswith("no, expired 2025-07-05T03:43:45Z")

    def test_partly_expired(self, listed, replica, said):
        """
        A number some of whose documents have ended is expired in part.
        """
        fill(
            listed,
            INTEL.tcb_info(number=17, fmspc="00906ED50000", issued=day(-10)),
        )
        show_facts(read_facts(replica, 17, day(25)))

        assert (
            "nextUpdate partly expired: some pass until 2025-07-05T03:43:45Z, "
            "not all since 2025-06-25T03:43:45Z"
        ) in said()

    def test_documented(self, replica, said):
        """
        A number that is only documented has a release and nothing else.
        """
        show_facts(read_facts(replica, 13, day(0)))

        assert [
            "number 13",
            "recovery event unknown",
            "TCB date unknown",
            "release 2022-08-09, as Azure documents it",
            "minimum PSW Linux 2.17, Windows 2.16",
            "signed unknown, no list of the vendor's is archived",
            "first listed -",
            "last listed -",
            "early not seen",
            "standard not seen",
            "documents 0",
            (
                "nextUpdate nothing passes verifiers that check it: no "
                "complete set"
            ),
        ] == said()

    def test_withdrawn(self, listed, replica, said):
        """
        When the vendor stopped signing it is told.
        """
        fill(
            listed,
            *(
                INTEL.numbers(tee=tee, numbers={20: NUMBERS[20]}, issued=day(5))
                for tee in Tee
            ),
        )
        show_facts(read_facts(replica, 17, day(6)))
        told = said()

        assert "signed no, the vendor's newest lists do not name it" in told
        assert "withdrawn 2025-06-10T03:43:45Z" in told

    def test_forecast(self, listed, replica, said):
        """
        When ``standard`` will come to it is told, and how good that is.
        """
        show_facts(read_facts(replica, 20, day(3)))
        (told,) = (line for line in said() if line.startswith("forecast"))

        assert told.startswith("forecast standard on 2026-03-07: it rests on 1")

    def test_forecast_span(self, listed, replica, said):
        """
        So are the earliest and the latest, where there is a span.
        """
        listed.observe_channel(Update.STANDARD, 19, source="-", seen=day(9))
        show_facts(read_facts(replica, 20, day(10)))
        (told,) = (line for line in said() if line.startswith("forecast"))

        assert " (2025-09-13 to 2026-03-07): it rests on 2" in told


class TestFactsJson:
    def test_all(self, listed, replica, capsys):
        """
        For machines there is all of it.
        """
        facts = read_facts(replica, 18, day(3))
        show_facts(facts, as_json=True)
        end = "2025-07-05T03:43:45Z"

        assert {
            "number": 18,
            "at": "2025-06-08T03:43:45Z",
            "recovery_event": "2024-11-12T00:00:00Z",
            "tcb_date": "2024-11-13T00:00:00Z",
            "release": None,
            "is_signed": True,
            "first_listed": "2025-06-05T03:43:45Z",
            "last_listed": "2025-06-05T03:43:45Z",
            "withdrawn": None,
            "early": {
                "seen": "2025-06-06T03:43:45Z",
                "number": 20,
                "is_move": False,
            },
            "standard": {
                "seen": "2025-06-07T03:43:45Z",
                "number": 18,
                "is_move": True,
            },
            "forecast": None,
            "documents": 3,
            "passes_until": end,
            "passes_last": end,
            "is_expired": False,
            "is_wholly_expired": False,
            "kinds": [
                {
                    "kind": "identity",
                    "documents": 2,
                    "first_next_update": end,
                    "last_next_update": end,
                },
                {
                    "kind": "tcb-info",
                    "documents": 1,
                    "first_next_update": end,
                    "last_next_update": end,
                },
            ],
            "tcb_infos": [
                {
                    "fmspc": ICE_LAKE,
                    "tee": "SGX",
                    "structure": 3,
                    "tcb_info_until": end,
                    "identity_until": end,
                    "missing": None,
                    "passes_until": end,
                    "passes": True,
                }
            ],
        } == json.loads(capsys.readouterr().out)

    def test_release(self, replica):
        """
        What Azure documents is there too.
        """
        value = known(read_facts(replica, 13, day(0)))

        assert {
            "date": "2022-08-09",
            "minimum_psw_linux": "2.17",
            "minimum_psw_windows": "2.16",
        } == value["release"]
        assert None is value["standard"]

    def test_forecast(self, listed, replica):
        """
        So is a forecast.
        """
        value = known(read_facts(replica, 20, day(3)))["forecast"]

        assert "2026-03-07T03:43:45Z" == value["at"]
        assert [18] == value["basis"]
        assert None is value["earliest"]

    def test_missing(self, ledger, replica):
        """
        What is missing is named.
        """
        fill(ledger, INTEL.tcb_info(number=17))
        (found,) = known(read_facts(replica, 17, day(0)))["tcb_infos"]

        assert "intel/identity/qe/2" == found["missing"]
        assert not found["passes"]
