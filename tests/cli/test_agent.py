import ipaddress

from datetime import timedelta
from pathlib import Path

import pytest

from thim.agent.chip import Chip, Source
from thim.agent.identity import Declared
from thim.amd.tcb import ProductLine
from thim.cli.agent_settings import SETTINGS, default_state, load_agent
from thim.cli.config import load
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import OperatorError


CHIP_ID = "0123456789abcdef" * 8
DOCS = Path(__file__).parents[2] / "docs" / "agent.md"


@pytest.fixture
def read(tmp_path):
    """
    Read the table ``[agent]``, with other lines in front of it.
    """

    def load_table(*lines, before="", flags=None, environment=None):
        path = tmp_path / "thim.toml"
        text = "\n".join([before, "[agent]", f'state = "{tmp_path}"', *lines])
        path.write_text(text)
        return load_agent(flags or {}, environment or {}, path)

    return load_table


class TestSources:
    def test_defaults(self, read, tmp_path):
        """
        Without a setting the agent asks this machine's service, on the
        address that guests ask.
        """
        found = read()
        assert "http://127.0.0.1:8080" == found.service
        assert ("169.254.169.254", 80) == (found.host, found.port)
        assert timedelta(hours=1) == found.refresh
        assert VENDOR_ROOTS == found.anchors
        assert found.interface is found.pass_through is found.networks is None
        assert not found.is_dangerous

    def test_logs(self, read):
        """
        Logs are lines for people, or what it says.
        """
        found = read(environment={"THIM_AGENT_LOG_FORMAT": "json"})
        assert ("json", "info") == (found.log_format, found.log_level)
        assert "text" == read('log_level = "error"').log_format

    def test_order(self, read):
        """
        A flag beats the environment, which beats the file.
        """
        line = 'service = "http://127.0.0.1:1"'
        environment = {"THIM_AGENT_SERVICE": "http://127.0.0.1:2"}
        flags = {"service": "http://127.0.0.1:3"}
        assert read(line).service.endswith(":1")
        assert read(line, environment=environment).service.endswith(":2")
        found = read(line, environment=environment, flags=flags)
        assert found.service.endswith(":3")

    def test_other_keys(self, read):
        """
        Keys outside of the table are the service's.
        """
        assert 80 == read(before='listen = "127.0.0.1:1"\nworkers = 2').port

    def test_unknown_key(self, read):
        """
        An unknown key in the table is an error with a suggestion.
        """
        want = r"\[agent\]: unknown key 'servise'; did you mean 'service'\?"
        with pytest.raises(OperatorError, match=want):
            read('servise = "x"')

    @pytest.mark.parametrize(
        ("listen", "url"),
        [
            ("169.254.169.254:80", "http://169.254.169.254"),
            ("127.0.0.1:8254", "http://127.0.0.1:8254/below"),
            ("[::1]:443", "https://[::1]"),
        ],
    )
    def test_passed_to_itself(self, read, listen, url):
        """
        What it does not know cannot be passed on to itself.
        """
        with pytest.raises(OperatorError, match="the agent itself listens"):
            read(f'listen = "{listen}"', f'pass_through = "{url}"')

    def test_unknown_variable(self, read):
        """
        So is an unknown variable with the agent's prefix.
        """
        with pytest.raises(OperatorError, match="did you mean 'THIM_AGENT_"):
            read(environment={"THIM_AGENT_SERVISE": "x"})

    def test_no_table(self, tmp_path):
        """
        A value in the place of the table is an error.
        """
        path = tmp_path / "thim.toml"
        path.write_text("agent = 1")
        with pytest.raises(OperatorError, match="agent: expected a table"):
            load_agent({}, {}, path)

    def test_service_reads_the_same_file(self, tmp_path):
        """
        The service overlooks the agent's table and variables.
        """
        path = tmp_path / "thim.toml"
        path.write_text('workers = 2\n[agent]\nservice = "http://[::1]"\n')
        environment = {"THIM_AGENT_DANGEROUS_CLOCK": "x"}
        assert 2 == load({}, environment, path)["workers"].value


class TestValues:
    @pytest.mark.parametrize(
        ("line", "name", "expected"),
        [
            ('service = "https://a.example/base/"', "service", "https://a.example/base"),
            ('listen = "[::1]:81"', "host", "::1"),
            ('hosts = ["A.example"]', "hosts", frozenset({"a.example"})),
            (
                'networks = ["10.0.0.0/8", "fd00::/8"]',
                "networks",
                tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "fd00::/8"))),
            ),
            ("add_address = true", "interface", "lo"),
            ('add_address = true\ninterface = "br0"', "interface", "br0"),
            ('interface = "br0"', "interface", None),
            ("pass_through = false", "pass_through", None),
            ('pass_through = "http://10.0.0.1"', "pass_through", "http://10.0.0.1"),
            ('location = "westeurope"', "location", "westeurope"),
            ('vm_id = "1-2"', "vm_id", "1-2"),
            ('name = "node-1"', "name", "node-1"),
            ('quote_service = "http://10.0.0.1/q"', "quote_service", "http://10.0.0.1/q"),
            ('refresh = "90s"', "refresh", timedelta(seconds=90)),
        ],
    )  # fmt: skip
    def test_taken(self, read, line, name, expected):
        """
        Each value is taken as it is written.
        """
        assert expected == getattr(read(line), name)

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ('service = "thim.example"', "expected a URL"),
            ('service = "http://u:p@thim.example"', "expected a URL"),
            ('service = "http://thim.example:99999"', "expected a URL"),
            ("service = 1", "expected a URL"),
            ('listen = "169.254.169.254"', "expected HOST:PORT"),
            ('networks = ["10.0.0.1/8"]', "expected networks"),
            ('networks = "all"', "expected networks"),
            ("networks = 1", "expected networks"),
            ('hosts = ["a:1"]', "expected host names"),
            ('add_address = "maybe"', "expected true or false"),
            ('interface = "-all"', "name of an interface"),
            ('pass_through = "other"', "expected a URL"),
            ("pass_through = true", "expected a URL"),
            ('location = "a\\nb"', "printable characters"),
            ('refresh = "1ms"', "duration from 1s to 1d"),
            ('chip = { report = "a", sev = "b" }', "got report and sev"),
            ('chip = { serial = "a" }', "expected a table with one of"),
            ("chip = 1", "expected a table with one of"),
            ('chip = "report"', "NAME=VALUE; or none"),
            ('chip = "nothing"', "NAME=VALUE; or none"),
            (f'chip = "chip_id={CHIP_ID},tcb"', "NAME=VALUE; or none"),
            ('chip = { product = "Milan" }', "expected chip_id and tcb"),
            ('chip = { product = "Rome" }', "product line 'Rome'"),
            ('chip = { chip_id = "12", tcb = "1" }', "a chip_id of 128"),
            (f'chip = {{ chip_id = "{CHIP_ID}", tcb = "x" }}', "1 to 16"),
            ('ca_file = "/nowhere/ca.pem"', "path of a file"),
            ('dangerous_clock = "/dev/null"', "path of a file"),
        ],
    )
    def test_refused(self, read, line, expected):
        """
        What is no such value is refused, by the name of its setting.
        """
        name = line.partition(" ")[0]
        with pytest.raises(OperatorError, match=f"^{name}.*{expected}"):
            read(line)

    def test_clock_needs_anchors(self, read, tmp_path):
        """
        A clock that can be moved is for trying out only.
        """
        (tmp_path / "clock").write_text("")
        with pytest.raises(OperatorError, match="dangerous_test_anchors"):
            read(f'dangerous_clock = "{tmp_path}/clock"')


class TestChip:
    def test_source(self, read):
        """
        A source is a path, and may stand beside declarations.
        """
        line = 'chip = { hcl = "/run/hcl", product = "Bergamo", tcb = "4" }'
        expected = Chip(
            source=Source.HCL,
            path=Path("/run/hcl"),
            declared=Declared(product=ProductLine.GENOA, tcb=b"\4" + bytes(7)),
        )
        assert expected == read(line).chip

    def test_declared(self, read):
        """
        A Turin's ID may be short.
        """
        line = f'chip = {{ chip_id = "{CHIP_ID[:16]}", tcb = "4" }}'
        chip_id = read(line).chip.declared.chip_id
        assert bytes.fromhex(CHIP_ID[:16]) + bytes(56) == chip_id

    def test_text(self, read):
        """
        A flag has the same in one text.
        """
        flags = {"chip": f"chip_id={CHIP_ID}, tcb=4"}
        chip = read(flags=flags).chip
        assert bytes.fromhex(CHIP_ID) == chip.declared.chip_id

    def test_none(self, read):
        """
        That there is none can be said.
        """
        assert read(flags={"chip": "none"}).chip is None


class TestToken:
    @pytest.mark.parametrize(
        "url", ["https://thim.example", "http://127.0.0.1:8080", "http://[::1]"]
    )
    def test_safe(self, read, tmp_path, url):
        """
        A token travels by TLS, or does not leave this machine.
        """
        read(f'service = "{url}"', f'enrol_token_file = "{tmp_path}/once"')

    @pytest.mark.parametrize("name", ["enrol_token_file", "token_file"])
    def test_unsafe(self, read, tmp_path, name):
        """
        Otherwise it is an error.
        """
        (tmp_path / "once").write_text("x")
        with pytest.raises(OperatorError, match="expected https"):
            read(
                'service = "http://thim.example"',
                f'{name} = "{tmp_path}/once"',
            )


class TestState:
    def test_xdg(self, monkeypatch, tmp_path):
        """
        A user's cache is in the user's state folder, root's in /var/lib.
        """
        assert Path("/var/lib/thim-agent") == default_state({}, 0)
        environment = {"XDG_STATE_HOME": str(tmp_path)}
        assert tmp_path / "thim-agent" == default_state(environment, 1000)
        monkeypatch.setenv("HOME", "/home/u")
        found = default_state({"XDG_STATE_HOME": "relative"}, 1000)
        assert Path("/home/u/.local/state/thim-agent") == found


class TestCommand:
    def test_help(self, thim):
        """
        The command says what it is.
        """
        run = thim("agent", "--help")
        assert 0 == run.code
        assert "Answer guests as a cloud's metadata service does" in run.text

    def test_error(self, thim, tmp_path):
        """
        A bad value is one line and the exit code 2.
        """
        run = thim("agent", "--service", "nowhere")
        assert (2, "") == (run.code, run.text)
        assert run.err.startswith("thim: service (flag): got 'nowhere', ")


class TestDocs:
    def test_settings(self):
        """
        Every setting is described in the manual, and nothing else.
        """
        text = DOCS.read_text()
        table = text.partition("## Settings")[2].partition("\n## ")[0]
        rows = [line for line in table.splitlines() if line.startswith("| `")]
        assert list(SETTINGS) == [row.split("`")[1] for row in rows]
