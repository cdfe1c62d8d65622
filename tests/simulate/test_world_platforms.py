import msgspec
import pytest

from tests.simulate.asking import DAY, NOW, SGX, ask, revoked
from tests.simulate.machines import AZURE, playing, world_with
from thim.errors import OperatorError
from thim.simulate.world import World, default_world, load_world


NUMBERS = "[intel]\nnumbers = [{ number = 17, recovery_event = 2024-03-12 }]\n"
LEVELS = "levels = [{ sgx = [1], pcesvn = 1, tcb_date = 2024-03-12 }]"
FMSPCS = "".join(
    f"""[[intel.fmspcs]]
fmspc = "{fmspc}"
platform = "E5"
ca = "{ca}"
{LEVELS}
"""
    for fmspc, ca in (
        ("00606A000000", "platform"),
        ("00906ED50000", "processor"),
    )
)
TCB = f"{{ cpusvn = '{'0' * 32}', pcesvn = 1 }}"


def platform(number=1, more="", fmspc="00606A000000"):
    """
    Return the table of a machine.
    """
    return f"""[[platforms]]
name = "p{number}"
qe_id = "{number:032x}"
fmspc = "{fmspc}"
raw_tcbs = [{TCB}]
{more}
"""


def refused(*tables):
    """
    Return why a world is refused.
    """
    with pytest.raises(OperatorError) as caught:
        World.from_toml("\n".join([NUMBERS, FMSPCS, *tables]))
    return str(caught.value).removeprefix("world: ")


class TestFields:
    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ("pck_tcbs = []", ".pck_tcbs: expected a list of length >= 1"),
            (
                f"pck_tcbs = [{TCB}, {TCB}]",
                ".pck_tcbs[1]: the cpusvn and pcesvn is there already",
            ),
            (
                "pck_tcbs = [{ cpusvn = '00', pcesvn = 1 }]",
                ".pck_tcbs[0].cpusvn: got '00', expected 32 hexadecimal digits",
            ),
            ("ppid = '00'", ".ppid: got '00', expected 32 hexadecimal digits"),
            (
                "enc_ppid = '00'",
                ".enc_ppid: got '00', expected 768 hexadecimal digits",
            ),
            (
                "manifest = '00'",
                ".manifest: got '00', expected 16862 to 112884 hexadecimal ",
            ),
            ("ca = 'root'", ".ca: got 'root', expected one of processor"),
            ("cached_keys = 1", ".cached_keys: got 1, expected true or false"),
            (
                "registered = true",
                ".registered: there is no manifest, nor multi_package",
            ),
            (
                "multi_package = true\ncached_keys = true",
                ".cached_keys: true, but it is not registered",
            ),
            (
                "multi_package = true\nregistered = true\ncached_keys = false",
                ".cached_keys: false, but it is registered",
            ),
            (
                "ca = 'processor'\nmulti_package = true",
                ".ca: the processor CA's have one package",
            ),
        ],
    )
    def test_refused(self, more, words):
        """
        What cannot be used is refused with the field.
        """
        assert refused(platform(more=more)).startswith(f"platforms[0]{words}")

    def test_processor(self):
        """
        Certificates of the processor CA say nothing about keys.
        """
        table = platform(more="cached_keys = true", fmspc="00906ED50000")

        assert "platforms[0].cached_keys: not in the processor CA's" == refused(
            table
        )

    @pytest.mark.parametrize(
        ("one", "other", "what"),
        [
            ("", "name = 'p1'", "name"),
            ("", f"qe_id = '{1:032X}'", "qe_id and pce_id"),
            (f"ppid = '{'ab' * 16}'", f"ppid = '{'AB' * 16}'", "ppid"),
            (
                f"enc_ppid = '{'ab' * 384}'",
                f"enc_ppid = '{'AB' * 384}'",
                "enc_ppid",
            ),
            (
                f"manifest = '{'ab' * 8431}'",
                f"manifest = '{'AB' * 8431}'",
                "manifest",
            ),
        ],
    )
    def test_twice(self, one, other, what):
        """
        Machines share no name.
        """
        second = platform(2)
        name, _, _ = other.partition(" = ")
        kept = [x for x in second.split("\n") if not x.startswith(f"{name} ")]
        second = "\n".join([*kept, other])
        said = refused(platform(1, one), second)
        assert f"platforms[1]: the {what} is there already" == said

    def test_two_pces(self):
        """
        One QE ID may be there with two PCE IDs and PPIDs.
        """
        second = platform(1, f"pce_id = '0100'\nppid = '{'0' * 32}'")
        first = platform().replace("p1", "p2")
        world = World.from_toml(f"{NUMBERS}{FMSPCS}{first}{second}")

        assert 2 == len(world.platforms)

    def test_azure(self):
        """
        The machines of Azure's test suite make a world.
        """
        world = load_world(AZURE)

        assert ["coffee-lake", "ice-lake"] == [p.name for p in world.platforms]

    def test_default(self):
        """
        Machines of the world that ships need not say any of this.
        """
        (first, *_) = default_world().platforms

        assert (None, None, None, False) == (
            first.pck_tcbs,
            first.manifest,
            first.cached_keys,
            first.has_packages,
        )


def revocation(**fields):
    """
    Return the table of a revocation.
    """
    lines = {"ca": "'platform'", "since": "2026-11-02T09:00:00Z", **fields}
    text = "\n".join(f"{k} = {v}" for k, v in lines.items())
    return f"[[intel.revocations]]\n{text}"


class TestRevocation:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({}, ": there are neither serials nor platforms"),
            ({"serials": "[]"}, ".serials: expected a list of length >= 1"),
            ({"platforms": "[]"}, ".platforms: expected a list of length >= 1"),
            (
                {"platforms": "['p1', 'x']"},
                ".platforms[1]: got 'x', expected one of platforms",
            ),
            (
                {"platforms": "['p1']", "ca": "'processor'"},
                ".platforms[0]: 'p1' has certificates of the platform CA",
            ),
        ],
    )
    def test_refused(self, fields, words):
        """
        What cannot be revoked is refused with the field.
        """
        said = refused(platform(), revocation(**fields))

        assert said.startswith(f"intel.revocations[0]{words}")

    @pytest.mark.parametrize("fields", [{}, {"multi_package": True}])
    def test_listed(self, fields):
        """
        From then on the CRL lists all certificates of the machine, whichever
        way it is registered, and nothing else is new in it.
        """
        table = revocation(platforms="['ice-1']", serials="['C0FFEE']")
        named = platform().replace("p1", "ice-1")
        world = World.from_toml(f"{NUMBERS}{FMSPCS}{named}{table}")
        new = world.intel.revocations
        world = world_with(ice_1=fields)
        intel = msgspec.structs.replace(
            world.intel, revocations=[*world.intel.revocations, *new]
        )
        world = msgspec.structs.replace(world, intel=intel)
        path = f"{SGX}/pckcrl?ca=platform&encoding=der"
        with playing(world) as running:
            after = revoked(ask(running.url, path).body)
            running.clock.move_to(NOW - DAY)
            before = revoked(ask(running.url, path).body)
            running.clock.move_to(NOW)
            machine = running.platform("ice-1")
            if machine.manifest:
                part = running.intel.world.platform_named("ice-1")
                running.intel.registry.register(part)
            again = running.platform("ice-1")
        serials = {
            c.serial_number
            for c in (*machine.pck_certificates, *again.pck_certificates)
        }

        assert {0xC0FFEE, *serials} == after - before
        assert (10 if fields else 5) == len(serials)
