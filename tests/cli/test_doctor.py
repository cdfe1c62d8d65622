"""
`thim doctor`, as people run it when something does not work.
"""

import dataclasses
import re

from pathlib import Path

import pytest

from tests.bulk import csv_line
from tests.cli.sim import configure
from tests.client.fake import Said, faking, nobody
from tests.http.conftest import (
    FMSPC,
    NOW,
    add_to_store,
    full_set,
    unnumbered,
)
from tests.platforms import platform_id
from tests.serving import serving
from thim.intel.names import PckCa
from thim.simulate.pck import Platform
from thim.simulate.pki import Intel
from thim.simulate.quote import make_tdx_quote_v4


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """
    A machine on which nobody has told any client anything.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("QCNL_CONF_PATH", "PCCS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/alice")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """
    A service with all documents of one number, and its configuration.
    """
    intel, folder = Intel(), tmp_path_factory.mktemp("doctor")
    config = configure(folder, intel, NOW)
    bodies = [*unnumbered(intel), *full_set(intel, 19)]
    add_to_store(folder / "thim.db", intel, bodies)
    store = folder / "thim.db"
    with serving(store, lambda: NOW, anchors=intel.anchors) as running:
        with config.open("a") as file:
            file.write(f'listen = "127.0.0.1:{running.port}"\n')
        yield Here(config=config, url=running.url, intel=intel)


@dataclasses.dataclass(frozen=True)
class Here:
    """
    What stands on this machine.
    """

    config: Path
    url: str
    intel: Intel


def lines(run):
    """
    Return the findings of a report: mark and name.
    """
    marks = ("!! ", "!  ")
    found = [x for x in run.text.splitlines() if x.startswith(marks)]
    return [" ".join(line.split()[:2]) for line in found]


class TestNothing:
    def test_nothing(self, thim):
        """
        Where nothing says whom to ask, nobody can say whether all is well.
        """
        run = thim("doctor")

        assert 3 == run.code
        assert "could not say" in run.text.splitlines()[0]
        assert "--url" in run.err

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--timeout", "0"],
            ["--timeout", "nan"],
            ["--fmspc", "12"],
            ["--quote", "/none"],
            ["--amd", "Rome"],
            ["--platform", "/none"],
            ["--platform", "/"],
        ],
    )
    def test_bad(self, thim, arguments):
        """
        What cannot be used is refused in one line.
        """
        run = thim("doctor", *arguments)

        assert (2, b"") == (run.code, run.out)
        assert 1 == run.err.count("\n")


class TestReport:
    def test_well(self, thim, served):
        """
        Of a service that is well nothing is found; each document is told of.
        """
        run = thim("doctor", "--config", served.config, "--fmspc", FMSPC)

        assert (0, []) == (run.code, lines(run))
        assert run.text.startswith("thim doctor: well, at ")
        assert re.search(r"\n   asked by +thim serve of this", run.text)
        assert f"TCB info (SGX, {FMSPC})  genuine, issued" in run.text

    def test_json(self, thim, served):
        """
        The same is there for machines.
        """
        run = thim("doctor", "--config", served.config, "--json")
        sections = {s["title"]: s["facts"] for s in run.json["sections"]}
        told = {f["name"]: f["value"] for f in sections[served.url]}

        assert (0, "well", []) == (
            run.json["level"],
            run.json["verdict"],
            run.json["findings"],
        )
        assert "genuine" in told["QE identity"]

    def test_worst_first(self, thim, tmp_path):
        """
        Findings stand at the top, the worst of them first: what, cause, mend.
        """
        file = tmp_path / "sgx_default_qcnl.conf"
        file.write_text(
            f'{{"pccs_url": "{nobody()}/sgx/certification/v4/",\n'
            '"use_secure_cert": false}'
        )
        run = thim("doctor", "--qcnl", file)

        assert 2 == run.code
        assert ["!! refused", "! certificate-unchecked"] == lines(run)
        assert "\n   cause  Nobody listens on that port" in run.text
        assert f"certificate-unchecked at {file}:2\n" in run.text

    def test_offline(self, thim, tmp_path):
        """
        With --offline only the settings are judged.
        """
        file = tmp_path / "sgx_default_qcnl.conf"
        file.write_text(
            '{"pccs_url": "https://thim.invalid/sgx/certification/v4/"}'
        )
        run = thim("doctor", "--qcnl", file, "--offline")

        assert (0, []) == (run.code, lines(run))
        assert "thim doctor: well" in run.text

    def test_default_address(self, thim, tmp_path):
        """
        The address that QCNL's file ships with is warned of.
        """
        file = tmp_path / "sgx_default_qcnl.conf"
        file.write_text(
            '{"pccs_url": "https://localhost:8081/sgx/certification/v4/"}'
        )
        run = thim("doctor", "--qcnl", file, "--offline")

        assert (1, ["! default-address"]) == (run.code, lines(run))

    def test_platform(self, thim, tmp_path, served):
        """
        A platform's certificate is asked for by the retrieval tool's file, and
        nothing that names the machine is in the report.
        """
        file = tmp_path / "pckid.csv"
        file.write_text(csv_line("stranger"))
        run = thim("doctor", "--config", served.config, "--platform", file)

        assert ["!! status-404"] == lines(run)
        assert "unknown-platform" in run.text
        assert platform_id("stranger").qe_id.hex() not in run.text.lower()
        assert csv_line("stranger").split(",")[0][:32] not in run.text.lower()

    def test_quote(self, thim, tmp_path, served):
        """
        A quote is verified with what the service has.
        """
        machine = Platform(fmspc=bytes.fromhex(FMSPC), ca=PckCa.PROCESSOR)
        file = tmp_path / "quote.bin"
        file.write_bytes(make_tdx_quote_v4(served.intel, machine))
        run = thim("doctor", "--config", served.config, "--quote", file)

        assert re.search(r"\n   quote +authentic, UpToDate", run.text)

    def test_report(self, thim, world):
        """
        So is an SEV-SNP report, whose chip nobody reads of.
        """
        report = world.report()
        chip = report.read_bytes()[0x1A0:0x1E0].hex()
        run = thim(
            *("doctor", "--url", world.vendor.url, "--quote", report),
            *("--config", world.sim.config),
        )

        assert re.search(r"\n   report +authentic", run.text)
        assert chip not in run.text
        assert "QE identity" not in run.text

    def test_bad_settings(self, thim, tmp_path):
        """
        Settings of thim with which it would not start are a finding.
        """
        file = tmp_path / "thim.toml"
        file.write_text("lissten = 'x'\n[agent]\nservise = 'y'\n")
        run = thim("doctor", "--config", file)

        assert ["!! config-key", "!! config-key"] == lines(run)
        assert "did you mean 'listen'?" in run.text
        assert "did you mean 'service'?" in run.text

    def test_link_local(self, thim, monkeypatch):
        """
        The metadata service is asked for where that is wanted, not otherwise.
        """
        run = thim("doctor", "--imds", "--offline")

        assert 0 == run.code


class TestAgent:
    def test_configured(self, thim, tmp_path, served):
        """
        An agent that is configured here is looked at: whom it asks, and
        whether it answers guests.
        """
        file = tmp_path / "thim.toml"
        silent = nobody().removeprefix("http://")
        file.write_text(
            f'listen = "{served.url.removeprefix("http://")}"\n'
            f'[agent]\nservice = "{served.url}"\nlisten = "{silent}"\n'
            f'state = "{tmp_path}"\n'
        )
        run = thim("doctor", "--config", file)

        assert "! agent-silent" in lines(run)
        assert re.search(r"\n   asks +http://127.0.0.1:", run.text)
        assert "thim agent's service" in run.text

    def test_alone(self, thim, tmp_path, served):
        """
        Where a file has settings of an agent and no others, no service is
        expected on this machine; the agent's roots are those to judge by.
        """
        folder = served.config.parent
        file = tmp_path / "thim.toml"
        file.write_text(
            f'[agent]\nservice = "{served.url}"\nstate = "{tmp_path}"\n'
            f'listen = "{nobody().removeprefix("http://")}"\n'
            f'dangerous_test_anchors = "{folder / "root.pem"}"\n'
            f'dangerous_clock = "{folder / "clock"}"\n'
        )
        run = thim("doctor", "--config", file)

        assert ["! agent-silent"] == lines(run)
        assert "QE identity              genuine" in run.text


class TestPlatformFile:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "no platform in it"),
            ("a,b,c\n", "line 1: 3 fields, expected 5"),
            ("zz,0000,00,0000,00\n", "line 1: "),
        ],
    )
    def test_bad(self, thim, tmp_path, text, said):
        """
        A file in which no platform can be read is refused, with its line.
        """
        file = tmp_path / "pckid.csv"
        file.write_text(text)
        run = thim("doctor", "--platform", file)

        assert (2, b"") == (run.code, run.out)
        assert said in run.err

    def test_broken_disk(self, thim):
        """
        So is one that cannot be read on.
        """
        run = thim("doctor", "--platform", "/proc/self/mem")

        assert "thim: /proc/self/mem: Input/output error\n" == run.err
        assert (2, b"") == (run.code, run.out)


class TestTicket:
    def test_secrets(self, thim, tmp_path, monkeypatch):
        """
        Passwords, keys and users are in no report, whatever goes wrong.
        """
        file = tmp_path / "sgx_default_qcnl.conf"
        url = nobody().replace("://", "://bob:hunter2@")
        file.write_text(
            f"""{{"pccs_url": "{url}/sgx/certification/v4/",
            "custom_request_options": {{"get_cert": {{
            "headers": {{"user-token": "hunter2"}}}}}}}}"""
        )
        monkeypatch.setenv("AZDCAP_BASE_CERT_URL", f"{url}/?key=hunter2")
        monkeypatch.setenv("AZDCAP_CACHE", "/home/alice/cache")
        run = thim("doctor", "--qcnl", file, "--url", f"{url}/x")
        as_json = thim("doctor", "--qcnl", file, "--url", f"{url}/x", "--json")

        for text in (run.text, run.err, as_json.text, as_json.err):
            assert "hunter2" not in text
            assert "alice" not in text
        assert "No secret is in this report; left out were" in run.text

    def test_terminal(self, thim):
        """
        No server drives the terminal.
        """
        said = Said(404, {"thim-reason": "x", "server": "y"}, b"\x1b[2J")
        with faking(lambda _: said) as fake:
            run = thim("doctor", "--url", fake.url)

        assert 2 == run.code
        assert "\x1b" not in run.text

    def test_readable(self, thim, tmp_path):
        """
        No line is longer than a ticket shows, but for what cannot be broken.
        """
        run = thim("doctor", "--url", f"{nobody()}/sgx/certification/v4/")
        long = [x for x in run.text.splitlines() if len(x) > 100]

        assert [] == [x for x in long if not x.startswith(("!!", "! "))]
