import pytest

from tests.simulate.chips import playing
from thim.amd.tcb import ProductLine
from thim.errors import OperatorError
from thim.simulate.world import World


NUMBERS = "[intel]\nnumbers = [{ number = 17, recovery_event = 2024-03-12 }]\n"
CHIP = """[[chips]]
name = "m"
product = "Milan"
tcb = { snp = 5 }
"""
PROVIDER = """[[amd.providers]]
csp_id = "csp"
secret = "s3cret"
"""
REVOKED = """[[amd.revocations]]
product = "Genoa"
authority = "ask"
since = 2026-01-01
"""


def world(*tables) -> World:
    """
    Return a world with an AMD and these tables.
    """
    return World.from_toml("\n".join([NUMBERS, *tables]))


def refused(*tables):
    """
    Return why such a world is refused.
    """
    with pytest.raises(OperatorError) as caught:
        world(*tables)
    return str(caught.value).removeprefix("world: ")


class TestChips:
    def test_small(self):
        """
        A chip needs a name, a product line and a TCB; AMD nothing.
        """
        with playing(world("[amd]", CHIP)) as simulated:
            chip = simulated.chip("m")

        assert (ProductLine.MILAN, 64) == (chip.product, len(chip.hw_id))
        assert (0x19, 1, 1) == (
            chip.cpuid.family,
            chip.cpuid.model,
            chip.cpuid.stepping,
        )
        assert chip.reported == chip.committed == chip.current == chip.launch
        assert "0005000000000000" == chip.reported.tcbm

    def test_hw_id(self):
        """
        A hardware ID may be given; those that are made differ by name and
        seed.
        """
        given = CHIP + f"hw_id = '{'0A' * 64}'"
        ids = set()
        for seed, chip in (("a", CHIP), ("b", CHIP), ("a", given)):
            text = f"seed = '{seed}'\n{NUMBERS}[amd]\n{chip}"
            with playing(World.from_toml(text)) as simulated:
                ids.add(simulated.chip("m").hw_id)
        other = world("[amd]", CHIP, CHIP.replace('"m"', '"n"'))
        with playing(other) as simulated:
            assert simulated.chip("m").hw_id != simulated.chip("n").hw_id

        assert 3 == len(ids)
        assert b"\x0a" * 64 in ids

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ("hw_id = '00'", ".hw_id: got '00', expected 128 hexadecimal"),
            (f"hw_id = '{'00' * 8}'", ".hw_id: expected 128 hexadecimal"),
            ("csp_id = 'csp'", ".csp_id: got 'csp', expected one of amd.prov"),
            ("csp_id = 'a b'", ".csp_id: got 'a b', expected a name without"),
            ("launch = { fmc = 1 }", ".launch.fmc: Milan has none"),
            ("tcbs = [{ fmc = 1 }]", ".tcbs[0].fmc: Milan has none"),
            ("tcbs = [{ snp = 4 }]", ".tcbs: leaves out its tcb"),
            ("tcbs = []", ".tcbs: expected a list of length >= 1"),
            ("current = { snp = 4 }", ".current: leaves out its tcb"),
            ("current = { snp = 256 }", ".current.snp: got 256, expected"),
            (
                "cpuid = { family = 0x19, model = 0x11, stepping = 1 }",
                ".cpuid: that is Genoa",
            ),
            (
                "cpuid = { family = 0x17, model = 0x31, stepping = 0 }",
                ".cpuid: CPUID family 17h, model 31h: unknown product",
            ),
            ("cpuid = { family = 0x19 }", ".cpuid: missing field `model`"),
        ],
    )
    def test_refused(self, more, words):
        """
        What contradicts the product line or itself is refused.
        """
        assert refused("[amd]", CHIP + more).startswith(f"chips[0]{words}")

    def test_product(self):
        """
        A product line is one of three.
        """
        chip = CHIP.replace("Milan", "Siena")

        assert (
            "chips[0].product: got 'Siena', expected one of Milan, Genoa, Turin"
        ) == refused("[amd]", chip)

    def test_twice(self):
        """
        No two share a name, or a hardware ID within a product line.
        """
        one = CHIP + f"hw_id = '{'01' * 64}'\n"
        two = one.replace('"m"', '"n"')
        three = two.replace("Milan", "Genoa")

        assert "chips[1]: the name is there already" == refused(
            "[amd]", CHIP, CHIP
        )
        assert "chips[1]: the hw_id is there already" == refused(
            "[amd]", one, two
        )
        assert 2 == len(world("[amd]", one, three).chips)

    def test_nobody(self):
        """
        Chips need an AMD.
        """
        assert "chips: there is no table amd" == refused(CHIP)


class TestAmd:
    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ("resign = '0d'", "resign: got '0d', expected some time"),
            ("lifetime = '30d'", "lifetime: expected longer than amd.resign"),
            ("reissue = '0d'", "reissue: got '0d', expected some time"),
            ("reissue = '361d'", "reissue: expected at most 360d"),
            ("resign = '3'", "resign: got '3', expected a duration with its"),
            ("limit = { requests = -1 }", "limit.requests: got -1, expected"),
            (
                "limit = { clock = 'sun' }",
                "limit.clock: got 'sun', expected one of simulation, real",
            ),
            (
                "limit = { routes = 'tcb' }",
                "limit.routes: got 'tcb', expected a pattern for any of vcek,",
            ),
            ("limits = 3", "there is an unknown field `limits`"),
        ],
    )
    def test_refused(self, more, words):
        """
        What AMD cannot be is refused.
        """
        found = refused("[amd]", more).removeprefix("amd.")

        assert found.removeprefix("amd: ").startswith(words)

    def test_providers(self):
        """
        No two providers share a name or a secret.
        """
        other = PROVIDER.replace('"csp"', '"two"')

        assert "amd.providers[1]: the csp_id is there already" == refused(
            PROVIDER, PROVIDER.replace("s3cret", "other")
        )
        assert "amd.providers[1]: the secret is there already" == refused(
            PROVIDER, other
        )

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("01-01", "01-01\nuntil = 2026-01-01", ".until: not after its si"),
            ('"ask"', '"ark"', ".authority: got 'ark', expected one of ask,"),
            (
                '"Genoa"\nauthority = "ask"',
                '"Milan"\nauthority = "first-ask"',
                ".authority: only Genoa has had a first ASK",
            ),
        ],
    )
    def test_revocations(self, old, new, words):
        """
        Only authorities that there are can be revoked.
        """
        found = refused(REVOKED.replace(old, new))

        assert found.startswith(f"amd.revocations[0]{words}")
