"""
The example in ``examples/secret_sharing.py``, run as its readers run it.
"""

import contextlib
import hashlib
import importlib.util
import json
import subprocess
import sys

from pathlib import Path
from typing import Any

import pytest

from tests.client.fake import Said, faking
from tests.client.signing import HOURS, Maker, publish
from tests.conformance.program import running
from tests.services.issuer import decode
from thim.errors import UntrustedError
from thim.simulate.server import simulating
from thim.simulate.setup import write_setup


FILE = Path(__file__).parents[2] / "examples" / "secret_sharing.py"
OPENID = "/.well-known/openid-configuration"
SECRET = b"the cake is real"


@pytest.fixture(scope="module")
def example():
    """
    The example as a module.
    """
    spec = importlib.util.spec_from_file_location("secret_sharing", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def simulated(monkeypatch):
    """
    A simulation, and no proxy before it.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with simulating() as vendor:
        yield vendor


class StandIn:
    """
    A service that believes every quote, for what the sides do by themselves.
    """

    def __init__(self, vendor):
        self.vendor = vendor
        self.changes = {}
        self.fake: Any = None

    @property
    def maker(self):
        """
        Who signs.
        """
        return Maker(issuer=self.fake.url)

    def __call__(self, path):
        """
        Answer as a provider does.
        """
        if path == OPENID:
            return Said(body=json.dumps(self.maker.openid).encode())
        if path == "/certs":
            return Said(body=publish(self.maker))
        token = self.maker.sign(self.claims(json.loads(self.fake.bodies[-1])))
        return Said(body=json.dumps({"token": token}).encode())

    def claims(self, sent):
        """
        Say what is in the quote that was sent.
        """
        body = decode(sent["quote"])[48:432]
        data = decode(sent["runtimeData"]["data"])
        assert hashlib.sha256(data).digest() == body[320:352]
        now = int(self.vendor.clock().timestamp())
        good = {
            "iat": now,
            "nbf": now,
            "exp": now + int(HOURS.total_seconds()),
            "nonce": sent["nonce"],
            "x_ms_runtime": json.loads(data),
            "x_ms_sgx_is_debuggable": False,
            "x_ms_sgx_mrsigner": body[128:160].hex(),
        }
        return self.maker.claims(**{**good, **self.changes})


@pytest.fixture
def stand_in(simulated):
    """
    Such a service, running.
    """
    script = StandIn(simulated)
    with faking(script) as script.fake:
        yield script


@pytest.fixture
def share(example, simulated, stand_in):
    """
    Let the sides talk.
    """

    def run(**changes):
        stand_in.changes = changes
        machine = simulated.admin_url
        return example.share(
            stand_in.fake.url,
            machine,
            stand_in.fake.url,
            SECRET,
            example.simulated_signer(machine),
        )

    return run


class TestSides:
    def test_good(self, share):
        """
        The enclave gets the secret.
        """
        assert SECRET == share()

    @pytest.mark.parametrize(
        "changes",
        [
            {"x_ms_sgx_is_debuggable": True},
            {"x_ms_sgx_mrsigner": "00" * 32},
            {"x_ms_runtime": {"keys": [], "nonce": "old"}},
            {"x_ms_runtime": None},
        ],
    )
    def test_not_for_you(self, share, changes):
        """
        Another enclave than it trusts, or another's quote, gets nothing.
        """
        with pytest.raises(PermissionError):
            share(**changes)

    @pytest.mark.parametrize(
        "changes", [{"nonce": "old"}, {"iss": "https://evil"}, {"exp": 1}]
    )
    def test_does_not_hold(self, share, changes):
        """
        Nor does one with a token that does not hold.
        """
        with pytest.raises(UntrustedError):
            share(**changes)


class TestProgram:
    def test_run(self, simulated, tmp_path):
        """
        With thim itself as the service the program shares a secret.
        """
        config = tmp_path / "trial.toml"
        write_setup(config, simulated)
        with contextlib.ExitStack() as stack:
            served, _ = stack.enter_context(
                running(
                    tmp_path / "trial.db",
                    THIM_CONFIG=str(config),
                    THIM_FILL="lazy",
                )
            )

            done = subprocess.run(
                [
                    sys.executable,
                    FILE,
                    *("--service", served.url),
                    *("--machine", simulated.admin_url),
                ],
                capture_output=True,
                text=True,
                check=False,
            )

        assert (0, "") == (done.returncode, done.stderr)
        sent, got = (line.split()[1] for line in done.stdout.splitlines())
        assert sent == got
