"""
``thim demo`` from its first line to its end, and what there is to see.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.serving import Served
from thim.cli import demo
from thim.errors import OperatorError
from thim.services.clock import utc_now
from thim.store.outlook_view import OutlookView
from thim.store.pck import PckReader, Wanted
from thim.store.replica import Replica
from thim.store.watch import Watch


_FACTS = re.compile(
    r"^(Console|Admin token|Reader token|Vendors' side|Folder) +(\S+)"
)
_LAST = "Ctrl-C ends it"
_ANSWERED = re.compile(
    r'^thim_requests_total\{code="(\w+)",family="(\w+)",tenant="(\w+)"\}',
    re.MULTILINE,
)
_EVER = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_TO_STANDARD = "tenants/health/what-if?baseline=20"
_TO_NEWEST = "tenants/health/what-if?baseline=22"
_ASKED = ("tenants", "plans", "baselines/prod", _TO_STANDARD, _TO_NEWEST)


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """
    What was seen of a demo that was begun, looked at and ended.
    """

    api: dict[str, Any]
    console: str
    roles: list[str]
    owners: dict[str, int]
    modes: set[int]
    refused: set[str]
    answered: set[tuple[str, str, str]]
    tried: dict[str, int]
    taken: datetime.datetime
    code: int
    err: str
    left: list[str]
    is_free: bool


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """
    A small demo, ended by Ctrl-C.
    """
    scratch = tmp_path_factory.mktemp("demo")
    with _running(scratch, "--machines", "20") as process:
        facts = _read_facts(process)
        folder, url = Path(facts["Folder"]), facts["Console"][:-9]
        tokens = [facts["Admin token"], facts["Reader token"]]
        told = _look(url, tokens, folder)
        tried = _try(folder) | _try_curl(facts["Vendors' side"])
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    return Seen(
        **told,
        tried=tried,
        console=facts["Console"][-9:],
        code=process.returncode,
        err=err,
        left=_list(scratch),
        is_free=_is_free(int(url.rpartition(":")[2])),
    )


@contextlib.contextmanager
def _running(scratch, *arguments):
    command = [sys.executable, "-m", "thim", "demo", *arguments]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch)},
        text=True,
    ) as process:
        try:
            yield process
        finally:
            # Not killed: it has a child.
            process.terminate()


def _read_facts(process):
    found = {}
    for line in process.stdout:
        if match := _FACTS.match(line):
            found[match[1]] = match[2]
        if line.startswith(_LAST):
            break
    return found


def _look(url, tokens, folder):
    def ask(path, token=tokens[0]):
        headers = {"Authorization": f"Bearer {token}"}
        return (
            Served(int(url.rpartition(":")[2]))
            .get(f"/{path}", headers)
            .body.decode()
        )

    with contextlib.closing(Replica(folder / "demo.db")) as replica:
        platforms = list(PckReader(replica).select(Wanted()))
        refused = Watch(replica).refused(_EVER, 100)
        taken = OutlookView(replica).taken()
    return {
        "api": {path: json.loads(ask(f"admin/v1/{path}")) for path in _ASKED},
        "roles": [
            json.loads(ask("admin/v1/whoami", token))["role"]
            for token in tokens
        ],
        "owners": _count(platforms),
        "modes": {
            (folder / f"{role}.token").stat().st_mode & 0o777
            for role in ("admin", "reader")
        },
        "taken": taken,
        "refused": {each.reason for each in refused},
        "answered": set(_ANSWERED.findall(ask("metrics"))),
    }


def _try(folder):
    """Run the page's commands, in one process: to begin one takes long."""
    script = (
        "import contextlib, json, os, sys\n"
        "from thim.cli.main import main\n"
        "for line in json.loads(sys.argv[1]):\n"
        "    sys.argv = line.split()\n"
        "    with open(os.devnull, 'w') as out:\n"
        "        with contextlib.redirect_stdout(out):\n"
        "            try: main()\n"
        "            except SystemExit as e: code = e.code\n"
        "    print(code)\n"
    )
    lines = _read_page("thim ")
    found = subprocess.run(
        [sys.executable, "-c", script, json.dumps(lines)],
        capture_output=True,
        check=True,
        env={**os.environ, "THIM_CONFIG": str(folder / "demo.toml")},
        text=True,
    )
    return dict(zip(lines, map(int, found.stdout.split()), strict=True))


def _try_curl(url):
    lines = _read_page("curl ")
    port = url.rpartition(":")[2]
    return {
        line: subprocess.call(["sh", "-c", line.replace("PORT", port)])
        for line in lines
    }


def _read_page(word):
    page = (PROJECT / "docs" / "demo.md").read_text()
    part = page.partition("## What to try")[2]
    return [line for line in part.splitlines() if line.startswith(word)]


def _count(platforms):
    owners = [each.labels.get("customer", "") for each in platforms]
    return {owner: owners.count(owner) for owner in sorted(set(owners))}


def _list(folder):
    return [path.name for path in folder.iterdir()]


def _is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.long
@pytest.mark.xdist_group("demo")
class TestWorld:
    def test_tenants(self, seen):
        """
        Three tenants and the root stand on three baselines, at three numbers.
        """
        stands = {t["name"]: (t["baseline"], t["number"]) for t in _of(seen)}

        assert {
            "root": ("steady", 18),
            "bank": ("steady", 18),
            "health": ("prod", 19),
            "lab": ("early", 22),
        } == stands

    def test_platforms(self, seen):
        """
        Each tenant has platforms of its own, and some are nobody's.
        """
        assert {"": 1, "bank": 6, "health": 6, "lab": 3} == seen.owners

    def test_pending(self, seen):
        """
        A held baseline waits to follow the vendor.
        """
        assert 20 == seen.api["baselines/prod"]["pending"]["number"]

    def test_plan(self, seen):
        """
        A move to the newest number is planned, and not applied.
        """
        *done, last = seen.api["plans"]

        assert {"applied"} == {plan["state"] for plan in done}
        assert "planned" == last["state"]
        assert "health, bank to baseline 22" == last["what"]

    def test_breakage(self, seen):
        """
        Both of these would break some platforms of a tenant, and not all.
        """
        for path in (_TO_STANDARD, _TO_NEWEST):
            found = seen.api[path]
            assert 0 < found["breaking"] < found["platforms"]

    def test_outlook(self, seen):
        """
        How the fleet stands is worked out already, and as of today: who looks
        first sees no numbers of the past.
        """
        assert utc_now() - seen.taken < datetime.timedelta(hours=1)

    def test_quarantine(self, seen):
        """
        What did not hold is in quarantine.
        """
        assert {"signature-invalid", "fork"} == seen.refused

    @pytest.mark.parametrize("tenant", ["bank", "health", "lab", "root"])
    @pytest.mark.parametrize("family", ["pcs", "attestation"])
    def test_traffic(self, seen, tenant, family):
        """
        Every tenant's machines are served, and get tokens.
        """
        assert ("2xx", family, tenant) in seen.answered

    def test_refusals(self, seen):
        """
        Some evidence is refused, as in life.
        """
        assert ("4xx", "attestation", "bank") in seen.answered


def _of(seen):
    return seen.api["tenants"]


@pytest.mark.long
@pytest.mark.xdist_group("demo")
class TestRun:
    def test_console(self, seen):
        """
        It says where the console is.
        """
        assert "/console/" == seen.console

    def test_tokens(self, seen):
        """
        It shows a token that may do everything and one that may only read,
        and has them in files that are the user's alone.
        """
        assert ["admin", "reader"] == seen.roles
        assert {0o600} == seen.modes

    def test_page(self, seen):
        """
        What its page says to try works: somebody would break, a plan that
        breaks too many is refused, and a revoked machine is a concern.
        """
        tried = dict(seen.tried)

        assert 1 == tried.pop("thim status")
        assert 1 == tried.pop(
            "thim fleet what-if --tenant health --baseline 22"
        )
        assert 2 == tried.pop("thim baseline apply 4")
        assert 9 == len(tried)
        assert {0} == set(tried.values())

    def test_ctrl_c(self, seen):
        """
        Ctrl-C ends it quietly, with exit code 0, and nothing is left.
        """
        assert (0, [], True) == (seen.code, seen.left, seen.is_free)
        assert "Traceback" not in seen.err


@pytest.mark.long
class TestEnds:
    def test_early(self, tmp_path):
        """
        It ends as well while it is still being made.
        """
        with _running(tmp_path) as process:
            process.stderr.readline()
            process.terminate()
            out, err = process.communicate(timeout=60)

        assert (0, "", []) == (process.returncode, out, _list(tmp_path))
        assert "Traceback" not in err

    def test_closed_terminal(self, tmp_path):
        """
        It ends when its terminal is closed, and nothing is left.
        """
        with _running(tmp_path, "--machines", "20") as process:
            process.stderr.readline()
            process.send_signal(signal.SIGHUP)
            process.communicate(timeout=60)

        assert (0, []) == (process.returncode, _list(tmp_path))

    def test_nohup(self, tmp_path):
        """
        It goes on where that was said not to matter.
        """
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with demo._until_told() as ended:
                signal.raise_signal(signal.SIGHUP)
                is_told = ended.is_set()
        finally:
            signal.signal(signal.SIGHUP, before)

        assert not is_told

    def test_killed(self, tmp_path):
        """
        Where it is killed its service ends as well, and what is left is removed
        by the next one.
        """
        with _running(tmp_path, "--machines", "20") as process:
            url = _read_facts(process)["Console"]
            port = int(url.split(":")[2].partition("/")[0])
            process.kill()
            process.communicate()
        is_left = bool(_list(tmp_path))
        until = time.monotonic() + 60
        while not _is_free(port) and time.monotonic() < until:
            time.sleep(0.1)
        with _running(tmp_path) as process:
            process.stderr.readline()
            process.terminate()
            process.communicate(timeout=60)

        assert (True, True, []) == (is_left, _is_free(port), _list(tmp_path))

    def test_service_ends(self, tmp_path):
        """
        Where the service ends by itself that is said, with its last words.
        """
        (tmp_path / "serve.log").write_text("INFO: hello\nthim: no space\n")
        with subprocess.Popen([sys.executable, "-c", "exit(3)"]) as process:
            shown = SimpleNamespace(
                demo=SimpleNamespace(folder=tmp_path),
                service=SimpleNamespace(process=process),
            )
            with pytest.raises(OperatorError, match="exit code 3: no space"):
                demo._wait(shown, threading.Event())


class TestRefused:
    def test_port(self, thim):
        """
        A port that is taken is said at once, in a line.
        """
        with socket.create_server(("127.0.0.1", 0)) as taken:
            where = f"127.0.0.1:{taken.getsockname()[1]}"
            run = thim("demo", "--listen", where)

        assert (2, b"") == (run.code, run.out)
        expected = f"thim: cannot listen on {where}: Address already in use"
        assert run.err.startswith(expected)
        assert 1 == run.err.count("\n")

    def test_elsewhere(self, thim):
        """
        It answers on this machine only: everybody has the vendors' keys.
        """
        run = thim("demo", "--listen", "0.0.0.0:0")

        assert 2 == run.code
        assert "only 127.0.0.1" in run.err

    def test_no_temporary(self, thim, monkeypatch):
        """
        Where no temporary file can be made that is said in a line.
        """
        monkeypatch.setattr("tempfile.tempdir", "/proc/self")
        run = thim("demo", "--listen", "127.0.0.1:0")

        assert (2, b"") == (run.code, run.out)
        assert run.err.startswith("thim: no folder for temporary files: ")

    def test_keep(self, thim, tmp_path):
        """
        A folder that has something in it is not touched.
        """
        (tmp_path / "mine").touch()
        run = thim("demo", "--listen", "127.0.0.1:0", "--keep", tmp_path)

        assert (2, ["mine"]) == (run.code, _list(tmp_path))
        assert "there is something in it already" in run.err
