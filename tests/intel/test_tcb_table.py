import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.intel.tcb import Tcb, TcbLevel, TcbStatus
from thim.intel.tcb_table import TcbTable


def reaches(have, floor, skipped):
    """
    Tell whether *have* is nowhere below *floor*, *skipped* TDX SVNs aside.
    """
    pairs = [
        *zip(have.sgx, floor.sgx, strict=True),
        (have.pcesvn, floor.pcesvn),
    ]
    if have.tdx:
        pairs += zip(have.tdx[skipped:], floor.tdx[skipped:], strict=True)
    return all(svn >= least for svn, least in pairs)


def search(levels, tcb):
    """
    Find the level of *tcb* as Intel's text has it: one after the other, from
    the highest.
    """
    skipped = 2 if tcb.tdx and tcb.tdx[1] > 0 else 0
    for level in sorted(
        levels,
        key=lambda each: (
            [*each.tcb.sgx],
            each.tcb.pcesvn,
            [*each.tcb.tdx],
        ),
        reverse=True,
    ):
        if reaches(tcb, level.tcb, skipped):
            return level
    return None


def a_tcb(sgx=0, pcesvn=0, tdx=None, **changes):
    """
    Make a TCB whose components are *sgx* and *tdx*, but for *changes*: by
    ``sgx3`` that at the index 3.
    """
    parts = {"sgx": bytearray([sgx] * 16)}
    if tdx is not None:
        parts["tdx"] = bytearray([tdx] * 16)
    for name, svn in changes.items():
        parts[name[:3]][int(name[3:])] = svn
    return Tcb(pcesvn=pcesvn, **{k: bytes(v) for k, v in parts.items()})


def a_level(tcb, status=TcbStatus.UP_TO_DATE):
    """
    Make a level with the floor *tcb*.
    """
    return TcbLevel(tcb=tcb, status=status)


LOW = a_level(a_tcb(2, 5), TcbStatus.OUT_OF_DATE)
MIDDLE = a_level(a_tcb(2, 10), TcbStatus.SW_HARDENING_NEEDED)
HIGH = a_level(a_tcb(4, 10))

#: Few values at few places, so that levels are met and missed alike.
SVNS = st.sampled_from([0, 1, 2, 3, 255])
COMPONENTS = st.builds(
    lambda ends, rest: bytes([*ends, *[rest] * 12]),
    st.tuples(SVNS, SVNS, SVNS, SVNS),
    SVNS,
) | st.lists(SVNS, min_size=16, max_size=16).map(bytes)
PCESVNS = st.sampled_from([0, 1, 5, 6, 10, 11, 65535])


def tcbs(is_tdx):
    """
    Make TCBs for SGX, or for TDX.
    """
    tdx = COMPONENTS if is_tdx else st.just(b"")
    return st.builds(Tcb, sgx=COMPONENTS, pcesvn=PCESVNS, tdx=tdx)


@st.composite
def tables(draw):
    """
    Make levels in any order, and a TCB.
    """
    is_tdx = draw(st.booleans())
    floors = draw(st.lists(tcbs(is_tdx), max_size=8, unique=True))
    return [a_level(floor) for floor in floors], draw(tcbs(is_tdx))


@st.composite
def near_tables(draw):
    """
    Make levels of which the TCB reaches many, and some just not.
    """
    levels, tcb = draw(tables())
    for _ in range(draw(st.integers(0, 4))):
        sgx, tdx = bytearray(tcb.sgx), bytearray(tcb.tdx)
        for part in filter(None, (sgx, tdx)):
            for _ in range(draw(st.integers(0, 2))):
                at = draw(st.integers(0, 15))
                step = draw(st.sampled_from([-1, 0, 1]))
                part[at] = min(max(part[at] + step, 0), 255)
        pcesvn = max(tcb.pcesvn + draw(st.sampled_from([-1, 0, 0, 1])), 0)
        floor = Tcb(sgx=bytes(sgx), pcesvn=pcesvn, tdx=bytes(tdx))
        if floor not in [level.tcb for level in levels]:
            levels.append(a_level(floor))
    return draw(st.permutations(levels)), tcb


class TestFind:
    @settings(max_examples=200)
    @given(tables() | near_tables())
    def test_as_the_text_says(self, drawn):
        """
        The table finds what one finds who goes through the levels one by one.
        """
        levels, tcb = drawn

        assert search(levels, tcb) is TcbTable(levels).find(tcb)

    @pytest.mark.parametrize(
        ("tcb", "expected"),
        [
            (a_tcb(4, 10), HIGH),
            (a_tcb(5, 11), HIGH),
            (a_tcb(255, 65535), HIGH),
            (a_tcb(4, 10, sgx0=3), MIDDLE),
            (a_tcb(4, 10, sgx15=3), MIDDLE),
            (a_tcb(2, 10), MIDDLE),
            (a_tcb(2, 65535), MIDDLE),
            (a_tcb(2, 9), LOW),
            (a_tcb(2, 5), LOW),
            (a_tcb(4, 9), LOW),
            (a_tcb(255, 5), LOW),
        ],
    )
    def test_first(self, tcb, expected):
        """
        A level is reached where nothing is below it, equality counting; of
        those that are, the highest one is found.
        """
        assert expected is TcbTable([HIGH, MIDDLE, LOW]).find(tcb)

    @pytest.mark.parametrize(
        "tcb",
        [
            a_tcb(1, 65535),
            a_tcb(2, 4),
            a_tcb(255, 0),
            a_tcb(255, 65535, sgx7=1),
            a_tcb(255, 65535, sgx15=0),
        ],
    )
    def test_none(self, tcb):
        """
        A TCB below the lowest level in one part only has no level.
        """
        assert None is TcbTable([HIGH, MIDDLE, LOW]).find(tcb)

    def test_no_levels(self):
        """
        Where there are no levels none is found.
        """
        assert None is TcbTable([]).find(a_tcb(255, 65535))

    def test_nothing_asked(self):
        """
        A level that asks for nothing is everybody's.
        """
        level = a_level(a_tcb(0, 0))

        assert level is TcbTable([level]).find(a_tcb(0, 0))

    @pytest.mark.parametrize("index", range(16))
    def test_every_sgx_component(self, index):
        """
        Each of the SGX components counts.
        """
        level = a_level(a_tcb(0, 0, **{f"sgx{index}": 7}))
        tcbs = [a_tcb(0, 0, **{f"sgx{index}": svn}) for svn in (6, 7, 8)]

        found = [TcbTable([level]).find(tcb) for tcb in tcbs]

        assert [None, level, level] == found

    @pytest.mark.parametrize(
        ("pcesvn", "expected"),
        [(4, None), (5, LOW), (7, LOW), (9, LOW), (10, MIDDLE), (11, MIDDLE)],
    )
    def test_pcesvn_between_floors(self, pcesvn, expected):
        """
        A PCESVN between two floors reaches the lower one.
        """
        assert expected is TcbTable([MIDDLE, LOW]).find(a_tcb(3, pcesvn))


class TestTdx:
    @pytest.mark.parametrize("index", range(16))
    def test_module_of_version_0(self, index):
        """
        Each of the TDX components counts where the module has no levels of its
        own.
        """
        if index == 1:
            have = [a_tcb(0, 0, 0)]
        else:
            have = [a_tcb(0, 0, 255, tdx1=0, **{f"tdx{index}": 6})]
            have += [a_tcb(0, 0, 255, tdx1=0, **{f"tdx{index}": 7})]
        level = a_level(a_tcb(0, 0, 0, **{f"tdx{index}": 7}))

        found = [TcbTable([level]).find(tcb) for tcb in have]

        assert [None, level][: len(have)] == found

    @pytest.mark.parametrize("index", range(16))
    def test_module_with_levels(self, index):
        """
        The first two are the module's where it has levels of its own; the
        other ones count.
        """
        level = a_level(a_tcb(0, 0, 0, **{f"tdx{index}": 7}))
        below = {f"tdx{index}": 6} | ({} if index == 1 else {"tdx1": 1})
        expected = level if index < 2 else None

        found = TcbTable([level]).find(a_tcb(0, 0, 255, **below))

        assert expected is found

    @pytest.mark.parametrize("version", [1, 3, 255])
    def test_any_version_but_0(self, version):
        """
        A module of any version but 0 has levels of its own.
        """
        level = a_level(a_tcb(0, 0, 0, tdx0=9, tdx1=255))

        tcb = a_tcb(0, 0, 0, tdx1=version)
        assert level is TcbTable([level]).find(tcb)

    def test_without_tdx(self):
        """
        An SGX platform is not measured against TDX components.
        """
        level = a_level(a_tcb(1, 1, 7))

        assert level is TcbTable([level]).find(a_tcb(1, 1))


class TestOrder:
    @pytest.mark.parametrize(
        ("higher", "lower"),
        [
            (a_tcb(0, 0, 0, sgx0=1), a_tcb(9, 9, 9, sgx0=0)),
            (a_tcb(2, 0, 0, sgx15=1), a_tcb(2, 9, 9, sgx15=0)),
            (a_tcb(2, 256, 0), a_tcb(2, 255, 9)),
            (a_tcb(2, 2, 0, tdx0=1), a_tcb(2, 2, 9, tdx0=0)),
            (a_tcb(2, 2, 2, tdx15=1), a_tcb(2, 2, 2, tdx15=0)),
        ],
    )
    def test_highest_first(self, higher, lower):
        """
        Levels are in order by SGX components, then PCESVN, then TDX
        components, whatever the order that they are given in.
        """
        levels = [a_level(higher), a_level(lower)]

        for given_ones in (levels, levels[::-1]):
            assert tuple(levels) == TcbTable(given_ones).levels

    def test_out_of_order(self):
        """
        The highest level that is reached is found, though it be given last.
        """
        table = TcbTable(iter([LOW, MIDDLE, HIGH]))

        assert HIGH is table.find(a_tcb(4, 10))

    def test_floors(self):
        """
        The PCESVNs that levels ask for ascend, each of them once.
        """
        assert [5, 10] == TcbTable([HIGH, MIDDLE, LOW]).pcesvn_floors


class TestMasks:
    def test_sgx(self):
        """
        A mask has a bit for each level that is reached, bit 0 for the highest
        one.
        """
        table = TcbTable([LOW, HIGH, MIDDLE])
        components = bytes([2] * 16)

        assert [0b000, 0b100, 0b110, 0b111] == [
            table.sgx_mask(components, 4),
            table.sgx_mask(components, 5),
            table.sgx_mask(components, 10),
            table.sgx_mask(bytes([4] * 16), 10),
        ]

    @pytest.mark.parametrize(
        ("mask", "expected"),
        [
            (0b000, None),
            (0b001, HIGH),
            (0b010, MIDDLE),
            (0b100, LOW),
            (0b110, MIDDLE),
            (0b111, HIGH),
            (-1, HIGH),
        ],
    )
    def test_first(self, mask, expected):
        """
        The first level of a mask is that of its lowest bit.
        """
        assert expected is TcbTable([HIGH, MIDDLE, LOW]).first(mask)

    def test_by_component(self):
        """
        There is a mask for each of 256 SVNs of each component; a TCB info for
        SGX has none for TDX.
        """
        sgx = TcbTable([HIGH, MIDDLE, LOW])
        tdx = TcbTable([a_level(a_tcb(1, 1, 1))])

        assert [256] * 16 == [len(masks) for masks in sgx.sgx]
        assert [256] * 16 == [len(masks) for masks in tdx.tdx]
        assert () == sgx.tdx
