import pytest

from tests.simulate.asking import NOW
from thim.simulate.certified import PckTcb, select_tcb
from thim.simulate.world import World


LEVELS = {
    "L1": ([4, 4, 2, 2, 4, 1, 0, 3], 11),
    "L2": ([3, 3, 2, 2, 4, 1, 0, 3], 11),
    "L3": ([2, 2, 2, 2, 3, 1, 0, 3], 5),
    "L4": ([1, 1, 2, 2, 1, 1, 0, 3], 4),
    "LX": ([9] * 16, 0),
}
ORDER = ("L1", "L2", "L3", "L4")
CERTIFICATES = {
    "C1": ("04040202040100070000000000000000", 11),
    "C2": ("04040202040100050000000000000000", 11),
    "C3": ("04040202040100030000000000000000", 11),
    "C4": ("03030202040100050000000000000000", 11),
    "C5": ("03030202040100030000000000000000", 11),
    "C6": ("02020202030100050000000000000000", 13),
    "C7": ("02020202030100050000000000000000", 11),
    "C8": ("02020202030100050000000000000000", 5),
    "C9": ("02020202030100030000000000000000", 11),
    "C10": ("02020202030100030000000000000000", 5),
    "C11": ("0202020203010003000000000000000F", 1),
}


def world_of(levels, certificates):
    """
    Return a world with one machine that has these.
    """
    tables = "\n".join(
        f"[[intel.fmspcs.levels]]\nsgx = {list(sgx)}\npcesvn = {pcesvn}\n"
        f"tcb_date = 2024-01-01"
        for sgx, pcesvn in levels
    )
    tcbs = ", ".join(
        f"{{ cpusvn = '{cpusvn}', pcesvn = {pcesvn} }}"
        for cpusvn, pcesvn in certificates
    )
    return World.from_toml(f"""
[[intel.numbers]]
number = 17
recovery_event = 2024-03-12
[[intel.fmspcs]]
fmspc = "123456780000"
platform = "E5"
{tables}
[[platforms]]
name = "one"
qe_id = "00000000000000000000000000000001"
fmspc = "123456780000"
raw_tcbs = [{{ cpusvn = "00000000000000000000000000000000", pcesvn = 0 }}]
pck_tcbs = [{tcbs}]
""")


def select(world, cpusvn, pcesvn):
    """
    Select for the only machine of *world*.
    """
    raw = PckTcb(bytes.fromhex(cpusvn), pcesvn)
    return select_tcb(world, world.platforms[0], raw, NOW)


class TestSelect:
    # The vectors of Intel's library that PCCS's tests have.
    @pytest.mark.parametrize(
        ("cpusvn", "pcesvn", "levels", "expected"),
        [
            ("0404020204010007", 11, ORDER, "C1"),
            ("0303020204010003", 11, ORDER, "C5"),
            ("0304020204010003", 11, ORDER, "C5"),
            ("0202020203010003", 5, ORDER, "C10"),
            ("0202020203010003", 15, ORDER, "C9"),
            ("0404020204010007", 5, ORDER, "C8"),
            ("0303020204010005", 12, ORDER, "C4"),
            ("0304020204010005", 15, ORDER, "C4"),
            ("0505050505050007", 15, ORDER, "C1"),
            ("0202020203010003000000000000000F", 4, ORDER, "C11"),
            ("0303020f04010003", 15, ORDER, "C5"),
            ("0404020204010007", 11, ("L1",), "C1"),
            ("FF" * 16, 0xFFFF, ("LX",), "C1"),
            ("0404020204010003", 15, ("L2", "LX", "L1"), "C3"),
            ("0202020203010002", 5, ORDER, None),
            ("0202020203010003", 4, ORDER, None),
            ("0101020201010003", 4, ORDER, None),
        ],
    )
    def test_vectors(self, cpusvn, pcesvn, levels, expected):
        """
        The certificate is the one that Intel's library selects.
        """
        world = world_of([LEVELS[x] for x in levels], CERTIFICATES.values())
        found = select(world, cpusvn.ljust(32, "0"), pcesvn)
        wanted = expected and CERTIFICATES[expected]

        assert wanted == (found and (found.cpusvn.hex().upper(), found.pcesvn))

    def test_order_within_a_level(self):
        """
        Of those at one level it is one that no other reaches, whatever their
        order.
        """
        texts = ["020202", "020303", "030202", "020203"]
        world = world_of(
            [([2, 2, 2], 5)], [(t.ljust(32, "0"), 5) for t in texts]
        )
        found = select(world, "020303".ljust(32, "0"), 5)

        assert bytes([2, 3, 3]) == found.cpusvn[:3]
