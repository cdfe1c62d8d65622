import dataclasses
import json

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intel.documents import edited
from tests.intel.levels_made import (
    BOTH,
    CONFIGURATION,
    HARDENING,
    OUT,
    REVOKED,
    UP,
    level,
    named,
    part,
    tcb_info,
)
from thim.intel.comparison import compare_identities, compare_tcb_infos
from thim.intel.components import Components
from thim.intel.difference import (
    AdvisoryChange,
    FieldChange,
    Goal,
    Move,
    SvnChange,
    find_moves,
)
from thim.intel.identity import EnclaveIdentity
from thim.intel.names import EnclaveKind, Tee
from thim.intel.steps import Remedy
from thim.intel.tcb import Tcb, TcbStatus
from thim.intel.tcb_info import TcbInfo
from thim.simulate.pki import Intel


INTEL = Intel()
MICROCODE = {"category": "BIOS", "type": "Early Microcode Update"}


def signed(kind, levels, modules=None, **changes):
    """
    Write a TCB info with *levels* as its signed bytes.
    """
    tee = Tee.SGX if kind == "v3" else Tee.TDX
    body = INTEL.tcb_info(tee=tee, changes=tcb_info(kind, levels, modules))
    return edited(body, lambda value: value.update(changes))


def compare(before, after):
    """
    Compare two signed TCB infos.
    """
    return compare_tcb_infos(
        TcbInfo.from_json(before),
        TcbInfo.from_json(after),
        Components.from_json(after),
    )


def sgx(before, after):
    """
    Compare the levels of two TCB infos for SGX.
    """
    return compare(signed("v3", before), signed("v3", after))


def tdx(before, after, modules=(None, None)):
    """
    Compare the levels of two TCB infos for TDX.
    """
    return compare(
        signed("tdx", before, modules[0]), signed("tdx", after, modules[1])
    )


def identity(*levels, **changes):
    """
    Read an identity with *levels*.
    """
    body = INTEL.identity(changes={"tcbLevels": [*levels], **changes})
    return EnclaveIdentity.from_json(edited(body, lambda value: None))


def tcb(svn, pcesvn=0, tdx=None):
    """
    Return a TCB that has one SVN everywhere.
    """
    return Tcb(
        sgx=bytes([svn] * 16),
        pcesvn=pcesvn,
        tdx=b"" if tdx is None else bytes([tdx] * 16),
    )


def told(change):
    """
    Shorten a level to its statuses, in parentheses where it is no level.
    """

    def short(judgement):
        if judgement is None:
            return None
        text = judgement.status.value
        return text if judgement.is_listed else f"({text})"

    return short(change.before), short(change.after)


class TestLevels:
    def test_order(self):
        """
        The levels of both sides stand together, the highest first.
        """
        found = sgx([level(UP, 3), level(OUT, 1)], [level(UP, 4), level(OUT)])

        assert [tcb(4), tcb(3), tcb(1), tcb(0)] == [
            change.asked for change in found.levels
        ]

    def test_status(self):
        """
        A level of both sides has the status that either gives it.
        """
        (change,) = sgx([level(HARDENING, 3)], [level(OUT, 3)]).levels

        assert (HARDENING, OUT) == told(change)
        assert change.is_change

    def test_new(self):
        """
        A level that is new was told before what the level said that it
        reaches.
        """
        found = sgx([level(UP, 3)], [level(UP, 5), level(OUT, 4)])

        assert [
            (f"({UP})", UP),
            (f"({UP})", OUT),
            (UP, None),
        ] == [told(change) for change in found.levels]

    def test_below(self):
        """
        What is below every level of a side is told nothing by it.
        """
        found = sgx([level(UP, 3), level(OUT, 1)], [level(UP, 3)])

        assert (OUT, None) == told(found.levels[1])
        assert (TcbStatus.OUT_OF_DATE, None) == found.levels[1].statuses

    def test_date(self):
        """
        A level that only has another TCB date differs.
        """
        found = sgx([level(UP, day=1)], [level(UP, day=2)])

        assert found.is_change
        assert () == find_moves(found.levels)

    def test_order_of_advisories(self):
        """
        In which order advisories stand makes no difference.
        """
        found = sgx(
            [level(OUT, advisories=["INTEL-SA-2", "INTEL-SA-1"])],
            [level(OUT, advisories=["INTEL-SA-1", "INTEL-SA-2"])],
        )

        assert not found.is_change

    def test_own_level(self):
        """
        A listed level counts as such even where what has just that would
        reach a higher one, the module's SVNs being left to the module.
        """
        levels = [level(UP, 1, tdx=3), level(OUT, 1, tdx=3)]
        for each, svn in zip(levels, (6, 5), strict=True):
            each["tcb"]["tdxtcbcomponents"] = [
                {"svn": svn},
                {"svn": 1},
                *[{"svn": 3}] * 14,
            ]

        assert [(UP, UP), (OUT, OUT)] == [
            told(change) for change in tdx(levels, levels).levels
        ]


class TestMoves:
    def test_grouped(self):
        """
        Levels are grouped by the statuses that they had and have.
        """
        before = [level(HARDENING, 3), level(HARDENING, 2), level(OUT, 1)]
        after = [level(OUT, 3), level(OUT, 2), level(REVOKED, 1)]

        assert (
            Move(
                before=TcbStatus.SW_HARDENING_NEEDED,
                after=TcbStatus.OUT_OF_DATE,
                asked=(tcb(3), tcb(2)),
            ),
            Move(
                before=TcbStatus.OUT_OF_DATE,
                after=TcbStatus.REVOKED,
                asked=(tcb(1),),
            ),
        ) == find_moves(sgx(before, after).levels)

    def test_none(self):
        """
        What keeps its status has not moved.
        """
        assert () == find_moves(sgx([level(UP)], [level(UP)]).levels)


class TestAdvisories:
    BEFORE = (
        level(HARDENING, 3, advisories=["A", "B"]),
        level(OUT, 1, advisories=["A", "B", "C"]),
    )
    AFTER = (
        level(HARDENING, 3, advisories=["A", "D"]),
        level(OUT, 1, advisories=["A", "C", "D"]),
    )

    def test_of_level(self):
        """
        Each level has the advisories that came and went.
        """
        found = sgx(list(map(dict, self.BEFORE)), list(map(dict, self.AFTER)))

        assert AdvisoryChange(added=("D",), removed=("B",)) == (
            found.levels[0].advisories
        )

    def test_altogether(self):
        """
        Altogether an advisory has gone when no level has it any more, and is
        new when none had it.
        """
        found = sgx(
            [
                level(UP, 2, advisories=["B"]),
                level(OUT, 1, advisories=["A", "C"]),
            ],
            [
                level(UP, 2, advisories=["A"]),
                level(OUT, 1, advisories=["D", "B"]),
            ],
        )

        assert AdvisoryChange(added=("D",), removed=("C",)) == found.advisories

    def test_of_modules(self):
        """
        Those of the TDX modules count.
        """
        found = tdx(
            [level(UP)],
            [level(UP)],
            ([part(OUT, advisories=["M"])], [part(OUT, advisories=["N"])]),
        )

        assert AdvisoryChange(added=("N",), removed=("M",)) == found.advisories


class TestGoals:
    def test_svns(self):
        """
        What is asked for in order to be up to date is told by the components'
        names, with what raises them.
        """
        before = named("v3", [level(UP, 14, 11)], sgx=[MICROCODE])["tcbLevels"]
        after = named("v3", [level(UP, 14, 13)], sgx=[MICROCODE])["tcbLevels"]
        after[0]["tcb"]["sgxtcbcomponents"][0]["svn"] = 16
        for each in before + after:
            each["tcb"]["tdxtcbcomponents"] = []
        goal, _ = sgx(before, after).goals

        assert Goal.UP_TO_DATE is goal.goal
        assert (
            SvnChange(
                name="SGX component 1 (BIOS, Early Microcode Update)",
                before=14,
                after=16,
                remedy=Remedy.FIRMWARE,
            ),
            SvnChange(name="PCESVN", before=11, after=13, remedy=Remedy.PSW),
        ) == goal.svns

    def test_tdx(self):
        """
        For TDX its components are compared too.
        """
        goal, _ = tdx([level(UP, 1, tdx=2)], [level(UP, 1, tdx=3)]).goals

        assert [f"TDX component {n}" for n in range(1, 17)] == [
            change.name for change in goal.svns
        ]
        assert {(2, 3)} == {(svn.before, svn.after) for svn in goal.svns}

    def test_baseline(self):
        """
        For the baseline a level counts that needs hardened software.
        """
        up, baseline = sgx([level(HARDENING, 3)], [level(UP, 4)]).goals

        assert (None, tcb(4)) == (up.before, up.after)
        assert () == up.svns
        assert (tcb(3), tcb(4)) == (baseline.before, baseline.after)
        assert 16 == len(baseline.svns)

    @pytest.mark.parametrize("status", [CONFIGURATION, BOTH, OUT, REVOKED])
    def test_nothing(self, status):
        """
        Where no level is good enough nothing is asked for.
        """
        for goal in sgx([level(status)], [level(status)]).goals:
            assert (None, None) == (goal.before, goal.after)
            assert not goal.is_change

    def test_least(self):
        """
        Of several levels the lowest is the least that is asked for.
        """
        goal, _ = sgx([level(UP, 3), level(UP, 2)], [level(UP, 3)]).goals

        assert (tcb(2), tcb(3)) == (goal.before, goal.after)

    def test_same(self):
        """
        Where the same is asked for there is no change.
        """
        goal, _ = sgx([level(UP, 3, day=1)], [level(UP, 3, day=2)]).goals

        assert not goal.is_change
        assert () == goal.svns


class TestModules:
    def test_levels(self):
        """
        The levels of a TDX module are compared by their ISVSVNs.
        """
        found = tdx(
            [level(UP)],
            [level(UP)],
            ([part(UP, 4)], [part(UP, 6), part(OUT, 4)]),
        )
        (module,) = found.modules

        assert found.is_change
        assert "TDX_01" == module.name
        assert [6, 4] == [change.asked for change in module.levels]
        assert [(f"({UP})", UP), (UP, OUT)] == [
            told(change) for change in module.levels
        ]
        assert (
            SvnChange(
                name="ISVSVN", before=4, after=6, remedy=Remedy.TDX_MODULE
            ),
        ) == module.goals[0].svns

    def test_one_side(self):
        """
        A module that one side does not know is named all the same.
        """
        before = signed("tdx", [level(UP)])
        after = edited(
            INTEL.tcb_info(tee=Tee.TDX, changes=tcb_info("tdx", [level(UP)])),
            lambda value: value["tdxModuleIdentities"].append(
                {**value["tdxModuleIdentities"][0], "id": "TDX_03"}
            ),
        )
        one, three = compare(before, after).modules

        assert not one.is_change
        assert three.is_change
        assert ("TDX_03", False, True) == (
            three.name,
            three.is_before,
            three.is_after,
        )
        assert (None, UP) == told(three.levels[0])
        assert (
            FieldChange(name="mrsigner", before=None, after="00" * 48)
            == three.fields[0]
        )

    def test_twice(self):
        """
        Of two modules of one id, in whatever case, the first counts.
        """
        info = edited(
            INTEL.tcb_info(tee=Tee.TDX, changes=tcb_info("tdx", [level(UP)])),
            lambda value: value["tdxModuleIdentities"].append(
                {
                    **value["tdxModuleIdentities"][0],
                    "id": "tdx_01",
                    "tcbLevels": [part(OUT)],
                }
            ),
        )
        (module,) = compare(signed("tdx", [level(UP)]), info).modules

        assert not module.is_change

    def test_fields(self):
        """
        Another signer of the TDX module is a change.
        """
        module = {
            "mrsigner": "11" * 48,
            "attributes": "00" * 8,
            "attributesMask": "FF" * 8,
        }
        found = compare(
            signed("tdx", [level(UP)]),
            signed("tdx", [level(UP)], tdxModule=module),
        )

        assert found.is_change
        assert (
            FieldChange(
                name="tdxModule mrsigner", before="00" * 48, after="11" * 48
            ),
        ) == found.fields


class TestIdentities:
    def test_levels(self):
        """
        The levels of an identity are compared by their ISVSVNs.
        """
        found = compare_identities(
            identity(part(UP, 8)), identity(part(UP, 9), part(OUT, 8))
        )

        assert "QE" == found.name
        assert [(f"({UP})", UP), (UP, OUT)] == [
            told(change) for change in found.levels
        ]
        assert (
            SvnChange(name="ISVSVN", before=8, after=9, remedy=Remedy.PSW),
        ) == found.goals[0].svns

    @pytest.mark.parametrize(
        ("name", "value", "before", "after"),
        [
            ("miscselect", "00000001", "00000000", "00000001"),
            ("miscselectMask", "FFFFFFFE", "FFFFFFFF", "FFFFFFFE"),
            ("attributes", "13" + "00" * 15, "11" + "00" * 15, None),
            ("attributesMask", "FF" * 16, "FB" + "FF" * 7 + "00" * 8, None),
            ("isvprodid", 2, "1", "2"),
        ],
    )
    def test_fields(self, name, value, before, after):
        """
        What the enclave must be is compared member by member.
        """
        found = compare_identities(
            identity(part(UP)), identity(part(UP), **{name: value})
        )

        assert found.is_change
        assert (
            FieldChange(name=name, before=before, after=after or value),
        ) == found.fields

    def test_mrsigner(self):
        """
        So is its signer.
        """
        found = compare_identities(
            identity(part(UP)), identity(part(UP), mrsigner="00" * 32)
        )

        assert ["mrsigner"] == [field.name for field in found.fields]

    def test_other_enclave(self):
        """
        Identities of two enclaves have nothing to do with each other.
        """
        other = INTEL.identity(kind=EnclaveKind.QVE)

        with pytest.raises(ValueError, match="QVE"):
            compare_identities(
                identity(part(UP)),
                EnclaveIdentity.from_json(edited(other, lambda value: None)),
            )


class TestTcbInfos:
    @pytest.mark.parametrize(
        "changes", [{"fmspc": "00906ED50000"}, {"tee": Tee.TDX}]
    )
    def test_other_platform(self, changes):
        """
        Neither have TCB infos of two FMSPCs, or of two TEEs.
        """
        one, other = (
            edited(body, lambda value: None)
            for body in (INTEL.tcb_info(), INTEL.tcb_info(**changes))
        )

        with pytest.raises(ValueError, match="SGX"):
            compare(one, other)

    def test_structures(self):
        """
        Structures 2 and 3 say the same of a TCB in other words.
        """
        flat = {f"sgxtcbcomp{n:02}svn": 3 for n in range(1, 17)}
        old = edited(
            INTEL.tcb_info(structure=2),
            lambda value: value.update(
                tcbLevels=[{**level(UP), "tcb": {**flat, "pcesvn": 0}}]
            ),
        )

        assert not compare(old, signed("v3", [level(UP, 3)])).is_change

    def test_structure_1(self):
        """
        Structure 1 knows neither dates nor a PCE ID.
        """
        old = edited(INTEL.tcb_info(structure=1), lambda value: None)
        new = edited(INTEL.tcb_info(structure=2), lambda value: None)
        found = compare(old, new)

        assert (
            FieldChange(name="pceId", before=None, after="0000"),
        ) == found.fields
        assert found.levels[0].before.tcb_date is None

    def test_issue_date(self):
        """
        When it was issued, and for which number, is no difference.
        """
        one = edited(INTEL.tcb_info(number=17), lambda value: None)
        other = edited(
            INTEL.tcb_info(number=18),
            lambda value: value.update(issueDate="2025-07-01T00:00:00Z"),
        )

        assert not compare(one, other).is_change


STATUSES = (UP, HARDENING, CONFIGURATION, BOTH, OUT, REVOKED)


@st.composite
def levels_drawn(draw):
    """
    Draw levels of a TCB info for TDX, in any order.
    """
    svns = draw(
        st.lists(
            st.tuples(*[st.integers(0, 3)] * 3),
            unique=True,
            min_size=1,
            max_size=5,
        )
    )
    return [
        level(
            draw(st.sampled_from(STATUSES)),
            *each,
            day=draw(st.integers(1, 3)),
            advisories=draw(st.sets(st.sampled_from("ABCD"))),
        )
        for each in svns
    ]


@st.composite
def parts_drawn(draw):
    """
    Draw levels of a TDX module.
    """
    return [
        part(
            draw(st.sampled_from((UP, OUT, REVOKED))),
            svn,
            advisories=draw(st.sets(st.sampled_from("ABCD"))),
        )
        for svn in draw(st.sets(st.integers(0, 4), min_size=1))
    ]


@st.composite
def infos_drawn(draw):
    """
    Draw a TCB info.
    """
    return signed("tdx", draw(levels_drawn()), draw(parts_drawn()))


def swapped(value):
    """
    Turn a difference round.
    """
    if isinstance(value, tuple):
        return tuple(map(swapped, value))
    if not dataclasses.is_dataclass(value) or isinstance(value, Tcb):
        return value
    opposite = {
        "before": "after",
        "after": "before",
        "is_before": "is_after",
        "is_after": "is_before",
    }
    members = {
        opposite.get(f.name, f.name): swapped(getattr(value, f.name))
        for f in dataclasses.fields(value)
    }
    return value.__class__(**members)


class TestAnyTcbInfos:
    @settings(max_examples=30)
    @given(infos_drawn())
    def test_itself(self, info):
        """
        A TCB info does not differ from itself.
        """
        found = compare(info, info)

        assert not found.is_change
        assert AdvisoryChange() == found.advisories
        assert () == find_moves(found.levels)
        for goal in found.goals:
            assert not goal.is_change
            assert () == goal.svns

    @settings(max_examples=30)
    @given(infos_drawn(), infos_drawn())
    def test_swapped(self, one, other):
        """
        Swapping the sides swaps the difference.
        """
        there, back = compare(one, other), compare(other, one)

        assert there == swapped(back)
        assert there.advisories.added == back.advisories.removed
        assert there.is_change == back.is_change

    @settings(max_examples=30)
    @given(infos_drawn(), infos_drawn())
    def test_every_level(self, one, other):
        """
        Each level of either side is there once, listed where it stands.
        """
        found = compare(one, other)
        for name, info in (("before", one), ("after", other)):
            listed = [
                change.asked
                for change in found.levels
                if (said := getattr(change, name)) and said.is_listed
            ]
            asked = [lev.tcb for lev in TcbInfo.from_json(info).levels]

            assert len(asked) == len(listed)
            assert set(asked) == set(listed)

    @settings(max_examples=30)
    @given(infos_drawn(), infos_drawn())
    def test_differ(self, one, other):
        """
        There is a change exactly where the levels are others, in whatever
        order they stand.
        """

        def content(info):
            value = json.loads(info)
            return [
                sorted(map(normal, levels))
                for levels in (
                    value["tcbLevels"],
                    value["tdxModuleIdentities"][0]["tcbLevels"],
                )
            ]

        def normal(lev):
            advisories = sorted(lev["advisoryIDs"])
            return json.dumps({**lev, "advisoryIDs": advisories})

        is_other = content(one) != content(other)

        assert is_other == compare(one, other).is_change
