import itertools
import random

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intel.documents import inner
from tests.intel.selection import (
    C1,
    CERTIFICATES,
    FMSPC,
    INTEL,
    L1,
    L2,
    L4,
    LEVELS,
    PCE_ID,
    VECTORS,
    Light,
    as_vector,
    compare,
    issue,
    select_by_the_text,
    spell,
    tcb_info,
    tcbm,
)
from thim.errors import MalformedError
from thim.intel.names import PckCa, Tee
from thim.intel.pck import PckTcbm
from thim.intel.select import (
    check_certificates,
    find_for,
    list_floors,
    select_pck_certificate,
    sort_by_floors,
    sort_certificates,
)
from thim.intel.tcb_info import TcbInfo


class TestVectors:
    @pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
    def test_select(self, vector):
        """
        Intel's own vectors, with certificates as the processor CA issues them.
        """
        certificates = [
            issue(PckTcbm.from_bytes(bytes.fromhex(each)))
            for each in vector.listed
        ]

        found = select_pck_certificate(
            certificates,
            vector.raw,
            pce_id=PCE_ID,
            tcb_info=tcb_info(vector.levels),
        )

        assert vector.expected == spell(found)

    @pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
    def test_the_text_of_the_rule(self, vector):
        """
        The rule as these tests state it gives the same answers.
        """
        lights = [
            Light(PckTcbm.from_bytes(bytes.fromhex(each)))
            for each in vector.listed
        ]

        found = select_by_the_text(lights, vector.levels, vector.raw)

        assert vector.expected == spell(found)

    def test_insertion_counts_all(self):
        """
        Vector 22: what cannot be compared counts as a position; PCCS 1.27
        does not count it, and answers with a lower TCB.
        """
        a, b, c, d = (
            issue(tcbm(numbers, 5))
            for numbers in [(2, 3, 3), (2, 2, 2), (3, 2, 2), (2, 2, 3)]
        )
        info = tcb_info([((2, 2, 2), 5)])

        found = select_pck_certificate(
            [a, b, c, d], tcbm((2, 3, 3), 5), pce_id=PCE_ID, tcb_info=info
        )

        assert a == found
        assert (a, c, d, b) == sort_certificates([a, b, c, d], info)

    @pytest.mark.parametrize("structure", [2, 3])
    def test_structures(self, structure):
        """
        A TCB info of version 2 is as good as one of version 3.
        """
        body = INTEL.tcb_info(structure=structure, fmspc=FMSPC.hex())
        info = TcbInfo.from_json(inner(body))
        high, low = (
            issue(PckTcbm(cpusvn=each.tcb.sgx, pcesvn=each.tcb.pcesvn))
            for each in info.levels
        )

        for expected in (high, low):
            found = select_pck_certificate(
                [low, high], expected.tcbm, pce_id=PCE_ID, tcb_info=info
            )
            assert expected == found

    def test_platform_ca(self):
        """
        The certificates of the platform CA are selected alike.
        """
        high, low = (
            issue(PckTcbm(cpusvn=bytes([n] * 16), pcesvn=n), ca=PckCa.PLATFORM)
            for n in (4, 2)
        )
        info = tcb_info([((4,) * 16, 4), ((2,) * 16, 2)])

        for raw, expected in [(4, high), (3, low), (2, low), (1, None)]:
            assert expected == select_pck_certificate(
                [low, high],
                PckTcbm(cpusvn=bytes([raw] * 16), pcesvn=9),
                pce_id=PCE_ID,
                tcb_info=info,
            )


TOP = PckTcbm.from_bytes(bytes.fromhex(C1))


def refused(certificates, info, reason, match):
    """
    Check that the arguments are refused.
    """
    with pytest.raises(MalformedError, match=match) as e:
        select_pck_certificate(certificates, TOP, pce_id=PCE_ID, tcb_info=info)
    assert reason == e.value.reason


class TestRefused:
    """
    Vector 21.  What the types rule out already (a component missing, PCESVN
    -5, ``tcbType`` 1, a certificate of version 1) is refused where documents
    and certificates are read.
    """

    @pytest.mark.parametrize(
        ("changes", "reason", "match"),
        [
            ({"levels": ()}, "tcb-levels", "tcbLevels is empty"),
            (
                {"pce_id": b"\xaa\xaa"},
                "tcb-info-pce-id",
                "pceId is AAAA, not 0000",
            ),
            (
                {"version": 1, "pce_id": None},
                "version",
                "version is 1, expected 2 or 3",
            ),
            (
                {"fmspc": b"\xaa" * 6},
                "certificate-fmspc",
                "1 of 1: fmspc is 123456780000, expected AAAAAAAAAAAA",
            ),
        ],
    )
    def test_tcb_info(self, changes, reason, match):
        """
        The TCB info must be for the platform, and have levels.
        """
        refused([issue(TOP)], tcb_info(LEVELS, **changes), reason, match)

    @pytest.mark.parametrize(
        ("changes", "reason", "match"),
        [
            (
                {"pce_id": b"\xaa\xaa"},
                "certificate-pce-id",
                "2 of 2: pce-id is AAAA, expected 0000",
            ),
            (
                {"fmspc": b"\xaa" * 6},
                "certificate-fmspc",
                "2 of 2: fmspc is AAAAAAAAAAAA, expected 123456780000",
            ),
            (
                {"ppid": b"\xaa" * 16},
                "certificate-ppid",
                "2 of 2 has another PPID than the first",
            ),
        ],
    )
    def test_certificate(self, changes, reason, match):
        """
        All certificates must be of one platform, and for what was asked.
        """
        certificates = [issue(TOP), issue(TOP, **changes)]

        refused(certificates, tcb_info(LEVELS), reason, match)

    def test_all_of_another_pce(self):
        """
        Certificates and TCB info may agree and still be for another PCE than
        the one that was asked for.
        """
        certificate = issue(TOP, pce_id=b"\0\1")
        info = tcb_info(LEVELS, pce_id=b"\0\1")

        refused([certificate], info, "tcb-info-pce-id", "is 0001, not 0000")
        check_certificates([certificate], pce_id=b"\0\1", tcb_info=info)

    def test_ppid_is_not_shown(self):
        """
        A message that is about PPIDs names no machine.
        """
        ppids = [b"\xc0\xff\xee\x01" * 4, b"\xc0\xff\xee\x02" * 4]
        certificates = [issue(TOP, ppid=ppid) for ppid in ppids]

        with pytest.raises(MalformedError) as e:
            check_certificates(
                certificates, pce_id=PCE_ID, tcb_info=tcb_info(LEVELS)
            )

        assert "c0ffee" not in str(e.value).lower()

    def test_tdx(self):
        """
        Selecting by the TCB info of TDX is a mistake in our own code.
        """
        info = tcb_info(LEVELS, tee=Tee.TDX)

        with pytest.raises(ValueError, match="not selected by TDX"):
            sort_certificates([issue(TOP)], info)
        with pytest.raises(ValueError, match="not selected by TDX"):
            select_pck_certificate([], TOP, pce_id=PCE_ID, tcb_info=info)


def random_tcbs(rng, count, most):
    """
    Make random TCBs, of few and small numbers so that many can be compared.
    """
    return [
        tcbm([rng.randint(0, most) for _ in range(3)], rng.randint(0, most))
        for _ in range(count)
    ]


class TestAgainstTheText:
    @pytest.mark.parametrize("seed", range(40))
    def test_random(self, seed):
        """
        On random sets, many of them not comparable, in random orders and with
        levels that nobody has sorted, 250 raw TCBs each get what the text of
        the rule says: 10,000 in all.
        """
        rng = random.Random(seed)
        most = rng.choice([1, 2, 3, 5])
        levels = [
            ([*tcb.cpusvn], tcb.pcesvn)
            for tcb in dict.fromkeys(random_tcbs(rng, rng.randint(1, 6), most))
        ]
        lights = [
            Light(tcb, name)
            for name, tcb in enumerate(
                random_tcbs(rng, rng.randint(1, 14), most)
            )
        ]
        ordered = sort_certificates(lights, tcb_info(levels))

        for raw in random_tcbs(rng, 250, most + 1):
            expected = select_by_the_text(lights, levels, raw)
            assert expected == find_for(ordered, raw)

    def test_intels_set(self):
        """
        So do 2,000 raw TCBs on Intel's own set, in as many orders.
        """
        rng = random.Random(0)
        lights = [
            Light(PckTcbm.from_bytes(bytes.fromhex(each)), name)
            for name, each in enumerate(CERTIFICATES)
        ]
        info = tcb_info(LEVELS)
        answers = set()
        for _ in range(2000):
            rng.shuffle(lights)
            base = rng.choice(lights).tcbm
            raw = PckTcbm(
                cpusvn=bytes(
                    max(0, n + rng.choice([-1, 0, 0, 0, 0, 1]))
                    for n in base.cpusvn
                ),
                pcesvn=max(0, base.pcesvn + rng.randint(-1, 2)),
            )
            expected = select_by_the_text(lights, LEVELS, raw)
            found = find_for(sort_certificates(lights, info), raw)
            assert expected == found
            answers.add(found and found.name)

        assert {None, *range(11)} == answers


SVNS = st.integers(0, 3)
TCBS = st.builds(tcbm, st.tuples(SVNS, SVNS, SVNS), SVNS)
SETS = st.lists(TCBS, max_size=8).map(
    lambda tcbs: [Light(tcb, name) for name, tcb in enumerate(tcbs)]
)
INFOS = st.lists(
    st.tuples(st.tuples(SVNS, SVNS, SVNS), SVNS), min_size=1, max_size=4
).map(tcb_info)


class TestProperties:
    @given(SETS, INFOS)
    def test_nothing_is_lost(self, lights, info):
        """
        Sorting loses none and invents none.
        """
        ordered = sort_certificates(lights, info)

        assert lights == sorted(ordered, key=lambda light: light.name)

    @settings(max_examples=300)
    @given(SETS, INFOS, TCBS)
    def test_never_above(self, lights, info, raw):
        """
        The answer is never above the raw TCB in any number; and there is one
        as soon as any certificate is not.
        """
        found = find_for(sort_certificates(lights, info), raw)

        within = [
            light
            for light in lights
            if compare(as_vector(raw), as_vector(light.tcbm)) in {0, 1}
        ]
        assert (found in within) if within else found is None

    @settings(max_examples=300)
    @given(SETS, INFOS, TCBS)
    def test_no_better_one_in_its_level(self, lights, info, raw):
        """
        Within a level, no certificate that is plainly higher is passed over.
        """
        found = find_for(sort_certificates(lights, info), raw)
        if found is None:
            return

        def first_level(tcb):
            floors = [[*e.tcb.sgx, e.tcb.pcesvn] for e in info.levels]
            reached = [compare(as_vector(tcb), f) in {0, 1} for f in floors]
            return [*reached, True].index(True)

        for light in lights:
            if first_level(light.tcbm) == first_level(found.tcbm):
                higher = compare(as_vector(light.tcbm), as_vector(found.tcbm))
                assert higher != 1 or not raw.meets(light.tcbm)

    @settings(max_examples=300)
    @given(SETS.filter(len), INFOS, st.data())
    def test_exact(self, lights, info, data):
        """
        Whoever has exactly the TCB of a certificate gets a certificate for
        that TCB, in whatever order levels and certificates are.
        """
        raw = data.draw(st.sampled_from(lights)).tcbm

        found = find_for(sort_certificates(lights, info), raw)

        assert found is not None
        assert raw == found.tcbm

    @given(SETS, INFOS, TCBS)
    def test_twins(self, lights, info, raw):
        """
        Of certificates for equal TCBs the last one is taken.
        """
        found = find_for(sort_certificates(lights, info), raw)

        if found is not None:
            twins = [each for each in lights if each.tcbm == found.tcbm]
            assert twins[-1] == found

    def test_comparable_in_any_order(self):
        """
        Where all can be compared, the order of the input does not matter.
        """
        lights = [Light(tcbm((n,), n), n) for n in range(5)]
        info = tcb_info([((3,), 3), ((1,), 1)])

        orders = {
            sort_certificates(order, info)
            for order in itertools.permutations(lights)
        }

        assert {tuple(reversed(lights))} == orders


class TestFloors:
    def test_list(self):
        """
        What the levels ask for is listed in their order.
        """
        expected = tuple(tcbm(*each) for each in (L2, L4, L1))

        assert expected == list_floors(tcb_info([L2, L4, L1]))

    @given(SETS, INFOS)
    def test_sort(self, lights, info):
        """
        Whoever has kept the floors needs no TCB info to sort.
        """
        assert sort_certificates(lights, info) == sort_by_floors(
            lights, list_floors(info)
        )

    def test_no_floors(self):
        """
        Without levels all certificates are in the last bucket.
        """
        lights = [Light(tcbm((n,), n), n) for n in range(3)]

        assert tuple(lights[::-1]) == sort_by_floors(lights, ())


class TestFindFor:
    def test_nothing(self):
        """
        Of nothing there is nothing to be found.
        """
        assert find_for((), TOP) is None

    def test_first(self):
        """
        The first one that is reached is taken, as sorted.
        """
        lights = [Light(tcbm((n,), n), n) for n in (3, 2, 1)]

        assert lights[1] == find_for(lights, tcbm((2, 9), 9))
