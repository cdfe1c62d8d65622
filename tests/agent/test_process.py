"""
The process as an operator starts it, in front of a service.
"""

import signal
import socket
import time

import pytest

from tests.agent.bench import serving_amd, simulated_vendors
from tests.agent.process import starting, write_config
from tests.vendors import await_so


CERTIFICATION = "/metadata/THIM/amd/certification"
GUEST = {"Metadata": "true"}


@pytest.fixture
def config(bench):
    """
    Write a configuration for an agent of the bench.
    """
    root = bench.folder / "root.pem"
    root.write_bytes(bench.vendor.roots)
    clock = bench.folder / "clock"
    bench.vendor.clock.mirror(clock)
    chip = bench.report()

    def write(**changes):
        settings = {
            "service": bench.service_url,
            "listen": "127.0.0.1:0",
            "state": bench.state,
            "chip": {"report": str(chip.path)},
            "dangerous_test_anchors": root,
            "dangerous_clock": clock,
            **changes,
        }
        return write_config(bench.folder / "agent.toml", **settings)

    return write


def await_answer(served):
    """
    Wait until the certificates are there, and return the answer.
    """
    await_so(
        lambda: served.get(CERTIFICATION, GUEST).status == 200,
        "the certificates are there",
    )
    return served.get(CERTIFICATION, GUEST)


class TestService:
    def test_answer(self, config):
        """
        A guest gets the certificates of the chip, as one object.
        """
        with starting(config()) as agent:
            got = await_answer(agent.await_started())
        assert {
            "vcekCert",
            "tcbm",
            "certificateChain",
            "cacheControl",
        } == got.json.keys()
        assert "DB18000000000004" == got.json["tcbm"]
        assert "the chip is confirmed by its report" in agent.log

    def test_service_dies(self, tmp_path):
        """
        When the service is gone the agent answers on, and it does so after a
        restart.
        """
        with simulated_vendors() as vendor:
            with serving_amd(vendor, tmp_path / "thim.db") as served:
                (tmp_path / "root.pem").write_bytes(vendor.roots)
                vendor.clock.mirror(tmp_path / "clock")
                (tmp_path / "report.bin").write_bytes(vendor.report("milan-1"))
                path = write_config(
                    tmp_path / "agent.toml",
                    service=served.url,
                    listen="127.0.0.1:0",
                    state=tmp_path / "state",
                    refresh="1s",
                    chip={"report": str(tmp_path / "report.bin")},
                    dangerous_test_anchors=tmp_path / "root.pem",
                    dangerous_clock=tmp_path / "clock",
                )
                with starting(path) as agent:
                    first = await_answer(agent.await_started()).body
            with starting(path) as agent:
                served = agent.await_started()
                got = served.get(CERTIFICATION, GUEST)
                assert (200, first) == (got.status, got.body)

    def test_cold(self, config, away):
        """
        Without service and cache the answer is an empty 503 that says when to
        come again.
        """
        with starting(config(service=away)) as agent:
            got = agent.await_started().get(CERTIFICATION, GUEST)
        assert (503, b"", "5") == (got.status, got.body, got["retry-after"])


class TestEnding:
    def test_sigterm(self, config):
        """
        A SIGTERM ends it cleanly, at once.
        """
        with starting(config()) as agent:
            agent.await_started()
            started = time.monotonic()
            assert 0 == agent.end(signal.SIGTERM)
            assert time.monotonic() - started < 10
        assert "Traceback" not in agent.log

    def test_killed_while_writing(self, config, bench):
        """
        However often it is killed, what is on disk is whole.
        """
        path = config()
        for n in range(5):
            with starting(path) as agent:
                agent.await_started()
                await_so(
                    lambda: any(bench.state.glob("vcek-*")), "it is written"
                )
                time.sleep(0.002 * n)
                agent.end(signal.SIGKILL)
            for pem in bench.state.glob("vcek-*"):
                assert 3 == pem.read_bytes().count(b"END CERTIFICATE")
                pem.unlink()
        with starting(path) as agent:
            await_answer(agent.await_started())
        assert [] == list(bench.state.glob(".*"))


class TestMemory:
    def test_idle(self, config):
        """
        Idle, it has less than 60 MB of its own.
        """
        with starting(config()) as agent:
            await_answer(agent.await_started())
            with open(f"/proc/{agent.pid}/smaps_rollup") as file:  # noqa: PTH123
                lines = dict(
                    line.split(":", 1) for line in file.readlines()[1:]
                )
        assert int(lines["Anonymous"].split()[0]) < 60 * 1024


class TestErrors:
    def test_masked_chip(self, config, bench):
        """
        A report that hides the chip's ID, where none is declared, is an error
        that says so.
        """
        bench.report(chip_id=bytes(64))
        with starting(config()) as agent:
            assert 2 == agent._process.wait(30)
        assert "the host hides the chip's ID" in agent.log

    def test_contradiction(self, config, bench):
        """
        A report that contradicts the declaration is an error with both.
        """
        path = str(bench.folder / "report.bin")
        declared = {"report": path, "tcb": "d315000000000004"}
        with starting(config(chip=declared)) as agent:
            assert 2 == agent._process.wait(30)
        assert "says tcb DB18000000000004, but D315000000000004" in agent.log

    def test_port_in_use(self, config):
        """
        A port that somebody has is an error that names it.
        """
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with starting(config(listen=f"127.0.0.1:{port}")) as agent:
                assert 2 == agent._process.wait(30)
        assert f"cannot listen on 127.0.0.1 port {port}" in agent.log
