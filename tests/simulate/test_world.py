import datetime

import pytest

from thim.errors import OperatorError
from thim.intel.names import Tee
from thim.intel.tcb import TcbStatus
from thim.simulate.world import (
    World,
    default_world,
    load_world,
    parse_duration,
)
from thim.toml import MAX_TOML_SIZE


EVENT = "recovery_event = 2024-03-12"
NUMBERS = f"[intel]\nnumbers = [{{ number = 17, {EVENT} }}]\n"
HARDENING = "status = 'SWHardeningNeeded'"
ISV = "isvsvn = 1, tcb_date = 2024-03-12"
FMSPC = f"""{NUMBERS}
[[intel.fmspcs]]
fmspc = "00606a000000"
platform = "E5"
"""
LEVEL = "sgx = [1], pcesvn = 1, tcb_date = 2024-03-12"


def refused(text):
    """
    Return why a world is refused.
    """
    with pytest.raises(OperatorError) as caught:
        World.from_toml(text, "world file.toml")
    message = str(caught.value)
    assert message.startswith("world file.toml: ")
    return message.removeprefix("world file.toml: ")


class TestDefault:
    def test_default(self):
        """
        The world that ships has machines, TEEs and numbers of several kinds.
        """
        world = default_world()
        tees = {t for f in world.intel.fmspcs for t in f.tees}
        ice = world.find_platform("ice-1")

        assert {Tee.SGX, Tee.TDX} == tees
        assert range(17, 23) == range(
            world.intel.numbers[0].number, world.intel.numbers[-1].number + 1
        )
        assert ice is not None
        assert 13 == ice.raw_tcbs[1].pcesvn
        assert world.find_platform("nobody") is None


class TestFields:
    def test_least(self):
        """
        One number is enough; all else has a default.
        """
        world = World.from_toml(NUMBERS)
        (number,) = world.intel.numbers
        event = datetime.datetime(2024, 3, 12, tzinfo=datetime.UTC)

        assert ("default", None, False) == (
            world.seed,
            world.clock.start,
            world.clock.frozen,
        )
        assert (event, event + datetime.timedelta(days=1)) == (
            number.since,
            number.tcb_day,
        )
        assert (None, None) == (number.standard, number.withdrawn)

    def test_instants(self):
        """
        A day is its first second in UTC, a fraction of a second is dropped.
        """
        text = (
            "[clock]\nstart = 2026-01-01T01:00:00.75+01:00\nfrozen = true\n"
            + NUMBERS
        )
        start = World.from_toml(text).clock.start

        assert datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) == start

    def test_by_number(self):
        """
        What stands in a table by number holds from that number on.
        """
        levels = (
            f'levels = [{{ {LEVEL}, status = {{ 18 = "UpToDate", '
            f'20 = "OutOfDate" }}, advisories = {{ 20 = ["A"] }} }}]'
        )
        (fmspc,) = World.from_toml(FMSPC + levels).intel.fmspcs
        (level,) = fmspc.levels

        assert [None, TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE] == [
            level.status_in(n) for n in (17, 19, 21)
        ]
        assert [[], [], ["A"]] == [level.advisories_in(n) for n in (17, 19, 21)]
        assert ([], [level]) == (fmspc.levels_in(17), fmspc.levels_in(18))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "missing field `intel`"),
            ("[intel]", "intel: missing field `numbers`"),
            (f"sead = 'x'\n{NUMBERS}", "there is an unknown field `sead`"),
            (f"seed = 3\n{NUMBERS}", "seed: got 3, expected text"),
            (f"seed = ''\n{NUMBERS}", "seed: got '', expected text of length"),
            (f"{NUMBERS}[[ships]]", "there is an unknown field `ships`"),
            ("[[", "Invalid initial character"),
            ("a = " + "[" * 5000, ""),
        ],
    )
    def test_refused(self, text, words):
        """
        What cannot be used is refused with the field and what was expected.
        """
        assert words in refused(text)

    @pytest.mark.parametrize(
        ("start", "words"),
        [
            ("2026-01-01T00:00:00", "expected an instant with its time zone"),
            ("'2026-01-01T00:00:00Z'", "got '2026-01-01T00:00:00Z', expected"),
            ("1", "got 1, expected an instant or nothing"),
        ],
    )
    def test_instant(self, start, words):
        """
        An instant is TOML's own, with its time zone.
        """
        said = refused(f"[clock]\nstart = {start}\n{NUMBERS}")

        assert said.startswith("clock.start: ")
        assert words in said

    @pytest.mark.parametrize(
        ("field", "words"),
        [
            ("resign = '1 day'", "resign: got '1 day', expected a duration"),
            ("resign = '0h'", "resign: got '0h', expected some time"),
            ("lifetime = '24h'", "lifetime: expected longer than intel.resign"),
            (
                "require_api_key = true",
                "require_api_key: there is no intel.api",
            ),
            ("fmspcs = [{ fmspc = '00' }]", "fmspcs[0].fmspc: got '00', expec"),
        ],
    )
    def test_intel(self, field, words):
        """
        So it is with what Intel does.
        """
        assert f"intel.{words}" in refused(NUMBERS + field)

    @pytest.mark.parametrize(
        ("numbers", "words"),
        [
            ("", ": expected a list of length >= 1"),
            ("{ number = 'x' }", "[0].number: got 'x', expected a whole numb"),
            ("{ number = 1 }", "[0]: missing field `recovery_event`"),
            (
                "{ number = 1, recovery_event = 2025 }",
                "[0].recovery_event: got 2025, expected an instant",
            ),
            (
                f"{{ number = 1, {EVENT} }}, {{ number = 1, {EVENT} }}",
                "[1]: the number is there already",
            ),
            (
                f"{{ number = 1, {EVENT}, standard = 2023-01-01 }}",
                "[0].standard: before it is listed",
            ),
        ],
    )
    def test_numbers(self, numbers, words):
        """
        So it is with numbers.
        """
        said = refused(f"[intel]\nnumbers = [{numbers}]")

        assert said.startswith(f"intel.numbers{words}")

    @pytest.mark.parametrize(
        ("rest", "words"),
        [
            ("", "[0].status: got 'Good', expected one of UpToDate, SWHard"),
            ("status = { 17 = 'Good' }", "[0].status: got 'Good', expected"),
            ("status = { x = 'Revoked' }", "[0].status: expected whole numb"),
            ("status = 1", "[0].status: got 1, expected text or a table"),
            ("advisories = 1", "[0].advisories: got 1, expected"),
            ("advisories = { 17 = 1 }", "[0].advisories: expected a list"),
            ("tdx = [1]", "[0].tdx: there, but tees say otherwise"),
            ("sgx2 = 1", "[0]: there is an unknown field `sgx2`"),
        ],
    )
    def test_level(self, rest, words):
        """
        So it is with levels.
        """
        rest = rest or "status = 'Good'"
        said = refused(f"{FMSPC}levels = [{{ {LEVEL}, {rest} }}]")

        assert said.startswith(f"intel.fmspcs[0].levels{words}")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("levels = []", "levels: expected a list of length >= 1"),
            (
                f"levels = [{{ {LEVEL.replace('[1]', '[256]')} }}]",
                "levels[0].sgx[0]: got 256, expected a whole number <= 255",
            ),
            (
                f"levels = [{{ {LEVEL} }}, {{ {LEVEL} }}]",
                "levels[1]: the sgx and pcesvn is there already",
            ),
            (
                f"tees = ['SGX', 'TDX']\nlevels = [{{ {LEVEL} }}]",
                "levels[0].tdx: missing, but tees say otherwise",
            ),
            (
                f"tees = ['SGX', 'SGX']\nlevels = [{{ {LEVEL} }}]",
                "tees[1]: the name is there already",
            ),
            ("tees = ['SEV']", "tees[0]: got 'SEV', expected one of SGX, TDX"),
            ("ca = 'root'", "ca: got 'root', expected one of processor"),
        ],
    )
    def test_fmspc(self, text, words):
        """
        So it is with FMSPCs.
        """
        assert refused(FMSPC + text).startswith(f"intel.fmspcs[0].{words}")

    def test_same_fmspc(self):
        """
        An FMSPC is there once, in whichever case.
        """
        part = f"levels = [{{ {LEVEL} }}]\n"
        again = FMSPC.removeprefix(NUMBERS).replace("606a", "606A")
        said = refused(FMSPC + part + again + part)

        assert "intel.fmspcs[1]: the fmspc is there already" == said

    @pytest.mark.parametrize(
        ("module", "words"),
        [
            ("id = 'TDX1'", "id: got 'TDX1', expected a name such as TDX_01"),
            (
                f"id = 'TDX_01'\nlevels = [{{ {ISV}, {HARDENING} }}]",
                "levels[0].status: got 'SWHardeningNeeded', not for enclaves",
            ),
            (
                f"id = 'TDX_01'\nlevels = [{{ {ISV} }}, {{ {ISV} }}]",
                "levels[1]: the isvsvn is there already",
            ),
        ],
    )
    def test_module(self, module, words):
        """
        So it is with TDX modules, and with enclaves, which are alike.
        """
        said = refused(f"{NUMBERS}[[intel.tdx_modules]]\n{module}")

        assert said.startswith(f"intel.tdx_modules[0].{words}")

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("ca", "'tcb'", "ca: got 'tcb', expected one of processor, platf"),
            ("serials", "['xy']", "serials[0]: got 'xy', expected up to 40"),
            ("since", "'x'", "since: got 'x', expected an instant"),
            ("until", "2026-01-01", "until: not after its since"),
        ],
    )
    def test_revocation(self, field, value, words):
        """
        So it is with revocations.
        """
        fields = {"ca": "'root'", "serials": "['1']", "since": "2026-01-02"}
        lines = [f"{k} = {v}" for k, v in {**fields, field: value}.items()]
        said = refused("\n".join([NUMBERS, "[[intel.revocations]]", *lines]))

        assert said.startswith(f"intel.revocations[0].{words}")

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("fmspc", "'000000000001'", ".fmspc: got '000000000001', expected"),
            ("qe_id", "'00'", ".qe_id: got '00', expected 32 hexadecimal dig"),
            ("raw_tcbs", "[]", ".raw_tcbs: expected a list of length >= 1"),
            ("name", "''", ".name: got '', expected text of length >= 1"),
            ("chip", "1", ": there is an unknown field `chip`"),
        ],
    )
    def test_platform(self, field, value, words):
        """
        So it is with platforms.
        """
        fields = {
            "name": "'a'",
            "qe_id": f"'{'0' * 32}'",
            "fmspc": "'00606A000000'",
            "raw_tcbs": f"[{{ cpusvn = '{'0' * 32}', pcesvn = 1 }}]",
        }
        lines = [f"{k} = {v}" for k, v in {**fields, field: value}.items()]
        text = f"{FMSPC}levels = [{{ {LEVEL} }}]\n"
        said = refused("\n".join([text, "[[platforms]]", *lines]))

        assert said.startswith(f"platforms[0]{words}")


class TestFile:
    def test_file(self, tmp_path):
        """
        A file is read as what it says.
        """
        path = tmp_path / "world.toml"
        path.write_text(f"seed = 'other'\n{NUMBERS}")

        assert "other" == load_world(path).seed

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "No such file"),
            (b"\xff", "can't decode"),
            (b"#" * (MAX_TOML_SIZE + 1), "at most 1048576 bytes"),
        ],
    )
    def test_unreadable(self, tmp_path, content, words):
        """
        A file that cannot be read is named.
        """
        path = tmp_path / "world.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(OperatorError, match=words) as caught:
            load_world(path)

        assert str(path) in str(caught.value)

    def test_folder(self, tmp_path):
        """
        So is a folder.
        """
        with pytest.raises(OperatorError, match="Is a directory"):
            load_world(tmp_path)


class TestDuration:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("90s", 90), ("15m", 900), ("24h", 86400), ("30d", 2592000)],
    )
    def test_duration(self, text, seconds):
        """
        A duration has a unit.
        """
        assert seconds == parse_duration(text).total_seconds()

    @pytest.mark.parametrize(
        "text", ["", "1", "h", "-1h", "1h ", "1h\n", "\u0661h"]
    )
    def test_refused(self, text):
        """
        Anything else is no duration.
        """
        with pytest.raises(OperatorError, match="expected such as 90s"):
            parse_duration(text)
