"""
A guest asks as the documentation says, inside network namespaces.

The vendors, the service and the agent are processes in one namespace, which
stands for a host; two others stand for guests behind it.
"""

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import time

from pathlib import Path

import pytest

from tests.agent.process import starting, write_config
from thim.simulate import world as worlds


#: As Azure's documentation has it, with the word GET that curl takes for a
#: host of that name: that transfer fails, and says so on standard error.
COMMAND = (
    'curl GET "http://169.254.169.254/metadata/THIM/amd/certification" '
    '-H "Metadata: true"'
)
#: The same without that word: a guest without a name server is told only after
#: seconds that there is no such host.
PLAIN = COMMAND.replace("curl GET", "curl")
JOB = Path(__file__).parents[2] / "deploy" / "kubernetes" / "curl.yaml"
ADDRESS = "169.254.169.254"
FIRST, SECOND = "10.77.1", "10.77.2"
DIRECT = {
    name: value
    for name, value in os.environ.items()
    if not name.lower().endswith("_proxy")
}


def run(*command, check=True, **options):
    """
    Run a command, and return what became of it.
    """
    return subprocess.run(
        command,
        check=check,
        capture_output=True,
        text=True,
        timeout=60,
        env=DIRECT,
        **options,
    )


class Host:
    """
    A namespace with loopback, and guests behind it.
    """

    def __init__(self):
        self.name = f"thim-{secrets.token_hex(3)}"
        self.guests = []

    @property
    def inside(self):
        """
        Return the words in front of a command that runs there.
        """
        return ("ip", "netns", "exec", self.name)

    def ip(self, *arguments):
        """
        Run `ip` in it.
        """
        run("ip", "-n", self.name, *arguments)

    def open(self):
        """
        Make it.
        """
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def add_guest(self, network, n):
        """
        Connect a namespace of its own by a network; return the words in front
        of a command that runs there.
        """
        guest = f"{self.name}-g{n}"
        run("ip", "netns", "add", guest)
        self.guests.append(guest)
        near, far = f"near{n}", f"far{n}"
        peer = ("peer", "name", far, "netns", guest)
        self.ip("link", "add", near, "type", "veth", *peer)
        self.ip("address", "add", f"{network}.1/24", "dev", near)
        self.ip("link", "set", near, "up")
        inside = ("ip", "-n", guest)
        run(*inside, "address", "add", f"{network}.2/24", "dev", far)
        run(*inside, "link", "set", far, "up")
        run(*inside, "route", "add", "default", "via", f"{network}.1")
        return ("ip", "netns", "exec", guest)

    def has_address(self):
        """
        Tell whether it has the address that guests ask.
        """
        found = run("ip", "-n", self.name, "address", "show")
        return f"{ADDRESS}/32" in found.stdout

    def close(self):
        """
        Remove all.
        """
        for name in (*self.guests, self.name):
            run("ip", "netns", "del", name, check=False)


@contextlib.contextmanager
def process(host, *arguments, until):
    """
    Run `thim` in *host* until the end of the ``with``, once it has said what
    *until* matches.
    """
    command = [*host.inside, sys.executable, "-m", "thim", *map(str, arguments)]
    with subprocess.Popen(
        command,
        env=DIRECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        said = []
        try:
            for line in running.stdout:
                said.append(line)
                if re.search(until, line):
                    break
            else:
                raise AssertionError("".join(said))
            yield running
        finally:
            running.terminate()
            running.communicate(timeout=30)


@pytest.fixture(scope="module")
def host():
    """
    A host without guests.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    made = Host()
    made.open()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def guests(host):
    """
    Two guests behind the host, in different networks.
    """
    return host.add_guest(FIRST, 1), host.add_guest(SECOND, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """
    Where everything lies.
    """
    return tmp_path_factory.mktemp("host")


@pytest.fixture(scope="module")
def service(host, folder):
    """
    The vendors and the service in that host; AMD answers as often as it is
    asked.
    """
    text = Path(worlds.__file__).with_name("worlds") / "default.toml"
    world = folder / "world.toml"
    changed, n = re.subn(
        r"(\[amd\.limit\]\nrequests =) 1", r"\1 0", text.read_text()
    )
    assert 1 == n
    world.write_text(changed)
    config = folder / "sim.toml"
    simulate = ("simulate", "--world", world, "--write-config", config)
    with (
        process(host, *simulate, until="administered on"),
        process(host, "serve", "--config", config, until="startup complete"),
    ):
        run(*host.inside, "curl", "-sf", "http://127.0.0.1:8080/health/live")
        chip = run(
            *host.inside, "curl", "-sf", "http://127.0.0.1:8182/chips/milan-1"
        )
        yield json.loads(chip.stdout)


@pytest.fixture
def config(folder, service):
    """
    Write the agent's configuration.
    """

    def write(**settings):
        tcb = service["reported"]
        return write_config(
            folder / "agent.toml",
            state=folder / "state",
            chip={"chip_id": service["chip_id"], "tcb": tcb},
            dangerous_test_anchors=folder / "sim-root.pem",
            dangerous_clock=folder / "sim.clock",
            **settings,
        )

    return write


def ask_until_there(*before, command=COMMAND):
    """
    Ask until the agent has what is asked for.
    """
    until = time.monotonic() + 30
    while True:
        got = run(*before, "sh", "-c", command)
        if got.stdout or time.monotonic() > until:
            return got
        time.sleep(0.2)


def verify(answer, folder, at):
    """
    Verify an answer with openssl: the ARK is trusted, the ASK is not.
    """
    blocks = re.findall(
        "-----BEGIN.*?-----END CERTIFICATE-----\n",
        answer["vcekCert"] + answer["certificateChain"],
        re.DOTALL,
    )
    names = ("vcek", "ask", "ark")
    paths = [folder / f"{name}.pem" for name in names]
    for path, block in zip(paths, blocks, strict=True):
        path.write_text(block)
    vcek, ask, ark = map(str, paths)
    command = ["openssl", "verify", "-attime", str(at), "-trusted", ark]
    return run(*command, "-untrusted", ask, vcek, check=False)


def date_of(folder):
    """
    Return the Unix instant of the vendors' clock.
    """
    from thim.services.clock import FileClock  # noqa: PLC0415

    return int(FileClock(folder / "sim.clock")().timestamp())


class TestDocumentedCommand:
    def test_answer_verifies(self, host, service, config, folder):
        """
        The documented command prints the object, and its chain verifies with
        openssl.
        """
        with starting(config(add_address=True), before=host.inside) as agent:
            agent.await_started()
            got = ask_until_there(*host.inside)
            assert 0 == got.returncode
            assert "Could not resolve host: GET" in got.stderr
            answer = json.loads(got.stdout)
            assert {
                "vcekCert",
                "tcbm",
                "certificateChain",
                "cacheControl",
            } == answer.keys()
            assert service["reported"] == answer["tcbm"]
            verified = verify(answer, folder, date_of(folder))
            assert (0, "") == (verified.returncode, verified.stderr)
            assert host.has_address()
            assert 0 == agent.end()
        assert not host.has_address()

    def test_job(self, host, config):
        """
        What the job for Kubernetes gives to curl prints the object too.
        """
        _, _, args = JOB.read_text().partition("args:\n")
        given = re.findall('^ +- "(.*)"$', args, re.MULTILINE)
        assert 3 == len(given)
        command = shlex.join(["curl", *given])
        with starting(config(add_address=True), before=host.inside) as agent:
            agent.await_started()
            got = ask_until_there(*host.inside, command=command)
            assert {"vcekCert", "tcbm", "certificateChain"} < json.loads(
                got.stdout
            ).keys()

    def test_existing_address(self, host, config):
        """
        An address that is there already is used, and stays there.
        """
        host.ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
        try:
            with starting(config(), before=host.inside) as agent:
                agent.await_started()
                got = ask_until_there(*host.inside)
                assert "vcekCert" in json.loads(got.stdout)
            assert host.has_address()
        finally:
            host.ip("address", "del", f"{ADDRESS}/32", "dev", "lo")

    def test_no_address(self, host, config):
        """
        An address that is missing is an error that says how to add it.
        """
        with starting(config(), before=host.inside) as agent:
            assert 2 == agent._process.wait(30)
        assert "`ip address add 169.254.169.254/32 dev lo`" in agent.log

    def test_killed(self, host, config):
        """
        An agent that was killed leaves the address behind; the next one uses
        it.
        """
        try:
            with starting(
                config(add_address=True), before=host.inside
            ) as agent:
                agent.await_started()
                agent.end(9)
            assert host.has_address()
            with starting(config(), before=host.inside) as agent:
                agent.await_started()
        finally:
            host.ip("address", "del", f"{ADDRESS}/32", "dev", "lo")


class TestGuests:
    def test_networks(self, host, guests, config):
        """
        A guest of a listed network gets its answer, another guest nothing.
        """
        settings = {"add_address": True, "networks": [f"{FIRST}.0/24"]}
        listed, other = guests
        with starting(config(**settings), before=host.inside) as agent:
            agent.await_started()
            got = ask_until_there(*listed, command=PLAIN)
            assert "vcekCert" in json.loads(got.stdout)
            url = f"http://{ADDRESS}/metadata/THIM/amd/certification"
            asking = ("curl", "-s", "-H", "Metadata: true", url)
            refused = run(*other, *asking, "-w", "%{http_code}")
            assert "403" == refused.stdout

    def test_on_link(self, host, guests, config):
        """
        A guest that takes the address for its neighbour's, as link-local
        addresses are by the book, reaches it too.
        """
        guest, _ = guests
        route = ("169.254.0.0/16", "dev", "far1", "scope", "link")
        run(*guest, "ip", "route", "add", *route)
        settings = {"add_address": True, "networks": [f"{FIRST}.0/24"]}
        with starting(config(**settings), before=host.inside) as agent:
            agent.await_started()
            got = ask_until_there(*guest, command=PLAIN)
            assert "vcekCert" in json.loads(got.stdout)
        run(*guest, "ip", "route", "del", *route)

    def test_default_networks(self, host, guests, config):
        """
        Where no network is listed, guests of routed networks get nothing.
        """
        guest, _ = guests
        with starting(config(add_address=True), before=host.inside) as agent:
            agent.await_started()
            url = f"http://{ADDRESS}/metadata/THIM/amd/certification"
            asking = ("curl", "-s", "-H", "Metadata: true", url)
            refused = run(*guest, *asking, "-w", "%{http_code}")
            assert "403" == refused.stdout


class TestOtherMetadataService:
    @pytest.fixture
    def other(self, host, folder):
        """
        Another metadata service that has the address.
        """
        host.ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
        command = ("-m", "http.server", "80", "--bind", ADDRESS)
        with subprocess.Popen(
            [*host.inside, sys.executable, "-u", *command],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as running:
            assert running.stdout is not None
            assert "Serving HTTP" in running.stdout.readline()
            yield running
            running.terminate()
        host.ip("address", "del", f"{ADDRESS}/32", "dev", "lo")

    def test_refused(self, host, other, config):
        """
        The address is not taken over from another metadata service.
        """
        with starting(config(add_address=True), before=host.inside) as agent:
            assert 2 == agent._process.wait(30)
        assert "another metadata service answers" in agent.log
        assert "Traceback" not in agent.log
