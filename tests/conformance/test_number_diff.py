"""
The vendor's real numbers side by side, checked against the raw JSON by code
that shares nothing with ours.
"""

import contextlib
import datetime
import itertools
import json

import pytest

from thim.cli.number_diff_view import show_diff
from thim.cli.number_views import show_facts
from thim.errors import NotFoundError
from thim.intel.difference import AdvisoryChange, Goal, find_moves
from thim.intel.names import EnclaveKind, Tee
from thim.services.number_diff import diff_numbers
from thim.services.number_facts import read_facts
from thim.store.replica import Replica


ICE_LAKE = "00606A000000"
#: On the day before, three numbers were issued for Ice Lake.
AT = datetime.datetime(2025, 6, 7, tzinfo=datetime.UTC)
FOLDER = "intel/tcb/sgx/00606a000000"
FILES = {
    17: f"{FOLDER}/v3-eval17-20250606t1230.json",
    18: f"{FOLDER}/v3-eval18-20250606t1142.json",
    19: f"{FOLDER}/v3-eval19-20250606t1230.json",
}
MICROCODE = "SGX component 1 (BIOS, Early Microcode Update)"
LATE_MICROCODE = "SGX component 2 (OS/VMM, SGX Late Microcode Update)"
HARDENING, OUT = "SWHardeningNeeded", "OutOfDate"
BOTH = "ConfigurationAndSWHardeningNeeded"
OUT_CONFIGURATION = "OutOfDateConfigurationNeeded"


@pytest.fixture(scope="module")
def archive(corpus_store):
    """
    The archive of all that is in the corpus.
    """
    with contextlib.closing(Replica(corpus_store)) as replica:
        yield replica


def diff(*arguments, **named):
    """
    Compare two numbers.
    """
    return diff_numbers(*arguments, **named)


def read(*arguments, **named):
    """
    Read all of one number.
    """
    return read_facts(*arguments, **named)


def svns(level):
    """
    List what a level of the raw JSON asks for: SGX, PCESVN, TDX.
    """
    tcb = level["tcb"]
    if "isvsvn" in tcb:
        return (tcb["isvsvn"],)
    if "sgxtcbcomponents" not in tcb:
        names = [f"sgxtcbcomp{n:02}svn" for n in range(1, 17)]
        return (*(tcb[name] for name in names), tcb["pcesvn"])
    return (
        *(component["svn"] for component in tcb["sgxtcbcomponents"]),
        tcb["pcesvn"],
        *(component["svn"] for component in tcb.get("tdxtcbcomponents", ())),
    )


def raw_told(levels, asked):
    """
    Say what raw *levels* make of a TCB: of just that level, or of the highest
    that it reaches.
    """
    for level in levels:
        if svns(level) == asked:
            return said(level, is_listed=True)
    for level in sorted(levels, key=svns, reverse=True):
        if all(map(int.__ge__, asked, svns(level))):
            return said(level, is_listed=False)
    return None


def said(level, *, is_listed):
    """
    Shorten what a raw level says.
    """
    return (
        level["tcbStatus"],
        level["tcbDate"][:10],
        {*level.get("advisoryIDs", ())},
        is_listed,
    )


def raw_changes(before, after):
    """
    Compare the levels of two raw documents.
    """
    asked = {svns(level) for level in (*before, *after)}
    return {
        each: (raw_told(before, each), raw_told(after, each)) for each in asked
    }


def changes(levels):
    """
    Shorten what we say, in the same form.
    """

    def numbers(asked):
        if isinstance(asked, int):
            return (asked,)
        return (*asked.sgx, asked.pcesvn, *asked.tdx)

    def short(judgement):
        return judgement and (
            judgement.status.value,
            f"{judgement.tcb_date:%F}",
            {*judgement.advisory_ids},
            judgement.is_listed,
        )

    found = {
        numbers(level.asked): (short(level.before), short(level.after))
        for level in levels
    }
    assert len(found) == len(levels)
    return found


def raw_advisories(levels):
    """
    List the advisories of raw levels.
    """
    return {a for level in levels for a in level.get("advisoryIDs", ())}


def raw_least(levels, *statuses):
    """
    Return the one level that has one of *statuses*, if there is one.
    """
    found = [svns(lev) for lev in levels if lev["tcbStatus"] in statuses]
    assert len(found) < 2
    return found[0] if found else None


def ice_lake(archive, before, after):
    """
    Compare two numbers for Ice Lake on that day.
    """
    found = diff(archive, before, after, [ICE_LAKE], AT)
    (pair,) = found.tcb_infos
    assert {AT - datetime.timedelta(days=1)} == {
        source.issued.replace(hour=0, minute=0, second=0)
        for source in (pair.before, pair.after)
    }
    return pair.difference


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.permutations(FILES, 2))
)
class TestIceLake:
    @pytest.fixture
    def raw(self, vendor_documents, before, after):
        """
        The raw levels of both numbers.
        """
        return [
            json.loads(vendor_documents.bytes(FILES[number]))["tcbInfo"][
                "tcbLevels"
            ]
            for number in (before, after)
        ]

    def test_levels(self, archive, raw, before, after):
        """
        Each level of either, and what both say of it, is as in the JSON.
        """
        difference = ice_lake(archive, before, after)

        assert raw_changes(*raw) == changes(difference.levels)

    def test_advisories(self, archive, raw, before, after):
        """
        So are the advisories that came and went.
        """
        was, becomes = map(raw_advisories, raw)

        assert (
            AdvisoryChange(
                added=tuple(sorted(becomes - was)),
                removed=tuple(sorted(was - becomes)),
            )
            == ice_lake(archive, before, after).advisories
        )

    def test_goals(self, archive, raw, before, after):
        """
        Nothing is up to date in any of them; the baseline asks for the one
        level that needs hardened software.
        """
        up, baseline = ice_lake(archive, before, after).goals
        was, becomes = (raw_least(levels, HARDENING) for levels in raw)

        assert (None, None) == (up.before, up.after)
        assert (was[:16], was[16]) == (
            tuple(baseline.before.sgx),
            baseline.before.pcesvn,
        )
        assert [
            (n, *pair)
            for n, pair in enumerate(zip(was, becomes, strict=True))
            if pair[0] != pair[1]
        ] == [(n, svn.before, svn.after) for n, svn in enumerate(baseline.svns)]


@pytest.mark.parametrize(
    ("before", "after", "svn", "added"),
    [
        (17, 18, (14, 15), ("01079", "01103")),
        (18, 19, (15, 16), ("01153",)),
        (17, 19, (14, 16), ("01079", "01103", "01153")),
    ],
)
class TestNamed:
    def test_svns(self, archive, before, after, svn, added):
        """
        Each number asks for a newer microcode than the one before.
        """
        _, baseline = ice_lake(archive, before, after).goals

        assert Goal.BASELINE is baseline.goal
        assert [(MICROCODE, *svn), (LATE_MICROCODE, *svn)] == [
            (change.name, change.before, change.after)
            for change in baseline.svns
        ]

    def test_advisories(self, archive, before, after, svn, added):
        """
        It does so because of the advisories that it names first.
        """
        found = ice_lake(archive, before, after).advisories

        assert tuple(f"INTEL-SA-{name}" for name in added) == found.added
        assert () == found.removed

    def test_moves(self, archive, before, after, svn, added):
        """
        What was good enough with hardened software is out of date.
        """
        count = svn[1] - svn[0]

        assert [
            (HARDENING, OUT, count),
            (BOTH, OUT_CONFIGURATION, count),
        ] == [
            (
                *(
                    status and status.value
                    for status in (move.before, move.after)
                ),
                len(move.asked),
            )
            for move in find_moves(ice_lake(archive, before, after).levels)
        ]

    def test_enclave(self, archive, before, after, svn, added):
        """
        The QE stays; only the date of its TCB is another one.
        """
        identities = diff(archive, before, after, [], AT).identities
        qe = identities[0]
        if 18 in {before, after}:  # there is none of that day
            assert None in {qe.before, qe.after}
            return

        assert not qe.difference.goals[0].is_change
        assert [
            (8, ("UpToDate", "2024-03-13"), ("UpToDate", "2025-05-14"))
        ] == [
            (asked, was[:2], becomes[:2])
            for (asked,), (was, becomes) in changes(
                qe.difference.levels
            ).items()
            if was != becomes
        ]


NUMBERS = (10, 12, 14, 15, 16, 17, 18, 19, 20, 21)


@pytest.mark.parametrize(("before", "after"), list(itertools.pairwise(NUMBERS)))
class TestAllPlatforms:
    def read(self, archive, source, number):
        """
        Read the signed member of a document as plain JSON.
        """
        held = archive.find(source.key, number)
        return next(iter(json.loads(held.body).values()))

    def test_levels(self, archive, before, after):
        """
        For each platform and enclave the levels of any two numbers, those of
        the TDX modules included, are as in the JSON.
        """
        for pair in diff(archive, before, after).pairs:
            if pair.difference is None:
                continue
            was = self.read(archive, pair.before, before)
            becomes = self.read(archive, pair.after, after)

            assert raw_changes(was["tcbLevels"], becomes["tcbLevels"]) == (
                changes(pair.difference.levels)
            )
            modules = [
                {m["id"]: m["tcbLevels"] for m in raw}
                for raw in (
                    was.get("tdxModuleIdentities", ()),
                    becomes.get("tdxModuleIdentities", ()),
                )
            ]
            found = getattr(pair.difference, "modules", ())
            assert {
                name: raw_changes(
                    modules[0].get(name, ()), modules[1].get(name, ())
                )
                for name in {*modules[0], *modules[1]}
            } == {module.name: changes(module.levels) for module in found}

    def test_missing(self, archive, before, after):
        """
        What only one of them has is named, and what neither has of the
        identities.
        """
        found = diff(archive, before, after)
        has = {
            number: {
                str(e.key).split("/")[2]
                for e in archive.entries()
                if e.evaluation_number == number and e.is_head
            }
            for number in (before, after)
        }
        every = {s for s in has[before] | has[after] if ":" in s}
        every |= {k.value.lower().replace("_", "-") for k in EnclaveKind}

        assert len(every) == len(found.pairs)
        assert len(every - has[before]) == len(found.missing_before)
        assert len(every - has[after]) == len(found.missing_after)

    def test_shown(self, archive, before, after, capsys):
        """
        All of them can be shown, to people and to machines.
        """
        found = diff(archive, before, after)
        show_diff(found)
        text = capsys.readouterr().out
        show_diff(found, as_json=True)

        assert text.startswith(f"number {before} and then {after}\n")
        assert (
            found.is_change == json.loads(capsys.readouterr().out)["is_change"]
        )


def test_unknown(archive):
    """
    Of 11 there is nothing in the corpus.
    """
    with pytest.raises(NotFoundError, match="number 11"):
        diff(archive, 10, 11)


def test_before(archive):
    """
    A year earlier 19 was not known yet.
    """
    with pytest.raises(NotFoundError, match="number 19"):
        diff(archive, 17, 19, at=AT - datetime.timedelta(days=365))


def ends(archive, number, member):
    """
    List the next updates of the documents of a number that have a *member*, by
    what they are for, from the raw JSON alone.
    """
    found = {}
    for entry in archive.entries():
        if entry.evaluation_number == number and entry.is_head:
            body = json.loads(archive.find(entry.key, number).body)
            if value := body.get(member):
                tee = value.get("id", "SGX")
                name = value.get("fmspc", "").upper(), tee, value["version"]
                found[name] = value["nextUpdate"]
    return found


class TestFacts:
    @pytest.mark.parametrize("number", NUMBERS)
    def test_passing(self, archive, number):
        """
        A TCB info passes until it ends, or the identity beside it does.
        """
        infos = ends(archive, number, "tcbInfo")
        identities = ends(archive, number, "enclaveIdentity")
        wanted = {"SGX": ("", "QE", 2), "TDX": ("", "TD_QE", 2)}
        expected = {
            (fmspc, tee, version): identities.get(wanted[tee])
            and min(until, identities[wanted[tee]])
            for (fmspc, tee, version), until in infos.items()
        }
        facts = read(archive, number, AT)

        assert expected == {
            (p.fmspc, p.tee.value, p.structure): p.until and f"{p.until:%FT%TZ}"
            for p in facts.passing
        }
        known = [until for until in expected.values() if until]
        assert (min(known), max(known)) == (
            f"{facts.passes_until:%FT%TZ}",
            f"{facts.passes_last:%FT%TZ}",
        )

    @pytest.mark.parametrize(
        ("number", "is_expired", "is_wholly_expired"),
        [
            (10, True, True),
            (16, True, True),
            (17, True, False),
            (19, False, False),
        ],
    )
    def test_expired(self, archive, number, is_expired, is_wholly_expired):
        """
        In the summer of 2025 the old numbers had expired, and of 17 what was
        not fetched again.
        """
        facts = read(archive, number, AT)

        assert (is_expired, is_wholly_expired) == (
            facts.is_expired,
            facts.is_wholly_expired,
        )

    def test_documented(self, archive):
        """
        Number 12 is known from its documents and from Azure's.
        """
        facts = read(archive, 12, AT)

        assert "2.13.3" == facts.release.minimum_psw_linux
        assert facts.history.recovery_event is None
        assert facts.is_signed is False
        assert {Tee.SGX} == {passing.tee for passing in facts.passing}

    def test_shown(self, archive, capsys):
        """
        All of them can be shown.
        """
        for number in NUMBERS:
            show_facts(read(archive, number, AT))

        assert "Linux 2.13.3, Windows" in capsys.readouterr().out
