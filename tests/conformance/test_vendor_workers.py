"""
Workers of one service, and their vendor: processes of their own.
"""

import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.serving import Served
from tests.vendors import ICE, MINUTE, SAPPHIRE, SGX, TDX, await_so, standing
from thim.simulate.broken import Slow
from thim.simulate.server import simulating
from thim.simulate.setup import write_setup


READY = re.compile(r"thim serves on http://127\.0\.0\.1:(\d+)")


@pytest.fixture
def simulated():
    """
    A vendor at an instant that stands still.
    """
    with simulating(clock=standing()) as running:
        yield running


@contextlib.contextmanager
def running(config, *options, wait="800ms"):
    """
    Run ``thim serve`` as the simulator's configuration says; callers *wait* so
    long for what is not there.
    """
    command = [sys.executable, "-m", "thim", "serve", "--config", config]
    environment = {k: v for k, v in os.environ.items() if k != "THIM_FILL"}
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", *options],
        env={**environment, "THIM_FILL_WAIT": wait},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield wait_for(process, 2), process
        finally:
            process.terminate()
            process.communicate(timeout=30)


def wait_for(process, workers):
    """
    Wait until all workers have started.
    """
    port, started = None, 0
    for line in process.stderr:
        if found := READY.search(line):
            port = int(found[1])
        started += "Application startup complete" in line
        if port and started == workers:
            return Served(port)
    raise AssertionError


def test_one_request(simulated, tmp_path):
    """
    A hundred callers who miss one document at once, over two workers, cost
    one request to the vendor.
    """
    config = tmp_path / "thim.toml"
    write_setup(config, simulated)
    with running(config, "--workers", "2", wait="10s") as (served, _):
        assert 200 == served.get(f"{TDX}/tcb?fmspc={SAPPHIRE}").status
        # Slow enough for all of them to come while it is asked.
        simulated.faults.add(Slow(route="tcb", fmspc=ICE, seconds=0.5))
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=22"
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(served.get, [path] * 100))
        asked = simulated.requests.of("tcb", "DataNumber=22")

    assert {200} == {got.status for got in answers}
    assert 1 == len({got.body for got in answers})
    assert 1 == len([r for r in asked if ICE in r.query])


def test_clock(simulated, tmp_path):
    """
    A service in another process follows the simulator's clock.
    """
    config = tmp_path / "thim.toml"
    write_setup(config, simulated)
    with running(config, "--workers", "2") as (served, _):
        path = f"{SGX}/pckcrl?ca=platform"
        fresh = served.get(path)
        simulated.stop_listening()
        simulated.clock.move_to(
            simulated.clock().replace(year=simulated.clock().year + 1)
        )
        expired = served.get(path)

    assert "warning" not in fresh
    assert expired["warning"].startswith('110 - "expired')


def test_killed_while_asking(simulated, tmp_path):
    """
    A worker that is killed while it asks blocks nobody for longer than its
    lease: the next who asks gets the document.
    """
    config = tmp_path / "thim.toml"
    write_setup(config, simulated)
    path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=22"
    with running(config, "--workers", "2") as (served, process):
        assert 200 == served.get(f"{TDX}/tcb?fmspc={SAPPHIRE}").status
        fault = simulated.faults.add(
            Slow(route="tcb", fmspc=ICE, seconds=3, count=1)
        )
        assert 503 == served.get(path).status
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
        simulated.faults.remove(fault)
        time.sleep(0.1)
        simulated.clock.advance(3 * MINUTE)
        await_so(lambda: is_served(served, path), "served")


def is_served(served, path):
    """
    Tell whether there is an answer; workers come back one by one.
    """
    try:
        return served.get(path).status == 200
    except OSError:
        return False


def children(pid):
    """
    Return the ids of a process's workers.
    """
    found = subprocess.run(
        ["ps", "--ppid", str(pid), "-o", "pid=,args="],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [
        int(line.split()[0])
        for line in found.splitlines()
        if "spawn_main" in line
    ]
