"""
What guests and the vendor see of a service that stands between them.
"""

import asyncio
import contextlib
import datetime
import functools
import threading
import time

import httpx2
import pytest

from tests.amd_vendor import (
    INTERVAL,
    amd_settings,
    chip_id_of,
    kds,
    name_of,
    path_of,
    tcb_of,
)
from tests.vendors import (
    DAY,
    HOUR,
    MINUTE,
    await_so,
    facing,
    standing,
    status_of,
    vendor_settings,
)
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.kds import vcek_path
from thim.simulate.broken import Down, Status
from thim.simulate.server import simulating
from thim.simulate.world import World
from thim.upstream.model import Service, Upstream


SECOND = datetime.timedelta(seconds=1)
CHIPS = [f"host-{n}" for n in range(1, 21)]
WORLD = World.from_toml(
    """
    seed = "guests"
    [intel]
    numbers = [{ number = 20, recovery_event = 2025-08-12 }]
    [amd]
    limit = { requests = 0 }
    """
    + "".join(
        f"""
        [[chips]]
        name = "{chip}"
        product = "{"Genoa" if n % 2 else "Milan"}"
        tcb = {{ bootloader = 4, snp = 24, microcode = 219 }}
        """
        for n, chip in enumerate(CHIPS)
    )
)


@pytest.fixture
def vendor():
    """
    An AMD at a clock that tests move.
    """
    with simulating(WORLD, clock=standing()) as running:
        yield running


@contextlib.contextmanager
def running_clock(vendor, step=SECOND):
    """
    Have a second pass in each hundredth of one.
    """
    is_over = threading.Event()

    def run():
        while not is_over.wait(0.01):
            vendor.clock.advance(step)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def settings_for(vendor, **changes):
    """
    Ask AMD's server as often as its budget says, and nobody else: an Intel at
    the same address would have another budget there.
    """
    upstreams = [kds(vendor, interval=INTERVAL, burst=1)]
    return vendor_settings(upstreams=upstreams, **changes)


async def boot(client, path, answers):
    """
    Ask as a guest does that needs its certificate to go on.
    """
    while True:
        got = await client.get(path)
        answers.append(got)
        if got.status_code != 503:
            return got
        await asyncio.sleep(0.05)


async def boot_all(url, paths):
    """
    Start a guest for each path at once, and return all answers.
    """
    answers: list[httpx2.Response] = []
    limits = httpx2.Limits(max_connections=50)
    async with httpx2.AsyncClient(
        base_url=url, limits=limits, timeout=60
    ) as client:
        async with asyncio.timeout(120):
            last = await asyncio.gather(
                *(boot(client, path, answers) for path in paths)
            )
    return last, answers


def is_there(served, path) -> bool:
    """
    Tell whether *path* is answered with a document.
    """
    return bool(served.get(path).status == 200)


class TestGuests:
    def test_two_hundred(self, vendor, tmp_path):
        """
        200 guests on 20 chips ask at once where nothing is known: AMD is asked
        20 times, one after the other, and each guest sees a 200 or an empty
        503 that says when to come again.
        """
        paths = [path_of(vendor, chip) for chip in CHIPS * 10]
        store = tmp_path / "thim.db"
        patience = datetime.timedelta(seconds=2.5)
        settings = settings_for(vendor, source_rate=10_000, wait=patience)
        with facing(vendor, store, settings) as served, running_clock(vendor):
            last, answers = asyncio.run(boot_all(served.url, paths))

        assert {200} == {got.status_code for got in last}
        assert {200, 503} == {got.status_code for got in answers}
        busy = [got for got in answers if got.status_code == 503]
        assert all(got.content == b"" for got in busy)
        assert all(1 <= int(got.headers["retry-after"]) <= 300 for got in busy)
        asked = vendor.requests.of("vcek")
        assert 20 == len(asked)
        assert 20 == len({request.path for request in asked})
        # Requests do not travel evenly, but their budget is kept on the whole.
        took = asked[-1].instant - asked[0].instant
        assert took >= 18 * INTERVAL

    def test_patience(self, vendor, tmp_path):
        """
        Who waits longer is told so: the more are waited for, the later.
        """
        with facing(
            vendor,
            tmp_path / "thim.db",
            settings_for(vendor, wait=datetime.timedelta(seconds=0.5)),
        ) as served:
            answers = [served.get(path_of(vendor, c)) for c in CHIPS[:5]]

        assert [503] * 5 == [got.status for got in answers]
        waits = [int(got["retry-after"]) for got in answers]
        assert waits == sorted(waits)
        # Behind the lists of Milan and Genoa and the chain of one.
        assert 50 <= waits[-1] <= 80

    def test_nobody_has_to_ask_again(self, vendor, tmp_path):
        """
        What was asked for once comes, also if nobody waits any more.
        """
        settings = settings_for(
            vendor, wait=datetime.timedelta(milliseconds=50)
        )
        with facing(vendor, tmp_path / "thim.db", settings) as served:
            path = path_of(vendor, CHIPS[0])
            assert 503 == served.get(path).status
            with running_clock(vendor):
                await_so(lambda: vendor.requests.of("vcek"))
            await_so(lambda: served.get(path).status == 200)

        assert 1 == len(vendor.requests.of("vcek"))

    def test_shapes_share(self, vendor, tmp_path):
        """
        Whichever form a chip's certificate is asked in, AMD is asked once.
        """
        name = name_of(WORLD, CHIPS[0])
        query = f"platformId={chip_id_of(name)}&tcbVersion={tcb_of(name)}"
        forms = [
            vcek_path(name),
            f"/SevSnpVM/certificates/{chip_id_of(name)}/{tcb_of(name)}",
            f"/metadata/THIM/amd/certification?{query}",
        ]
        with facing(
            vendor, tmp_path / "thim.db", settings_for(vendor)
        ) as served:
            with running_clock(vendor):
                await_so(lambda: served.get(forms[0]).status == 200)
            found = [
                served.get(form, {"Metadata": "true"}).status for form in forms
            ]

        assert [200, 200, 200] == found
        assert 1 == len(vendor.requests.of("vcek"))


class TestOutages:
    @pytest.fixture
    def warm(self, vendor):
        """
        What a guest on the first host needs, and its verifier.
        """
        return (
            path_of(vendor, CHIPS[0]),
            "/vcek/v1/Milan/cert_chain",
            "/vcek/v1/Milan/crl",
        )

    def fill(self, vendor, served, paths):
        """
        Ask until all of *paths* are there.
        """
        with running_clock(vendor):
            for path in paths:
                await_so(functools.partial(is_there, served, path), path)

    @pytest.mark.parametrize(
        "fault",
        [Down(), Status(code=500), Status(code=429)],
        ids=["down", "failing", "busy"],
    )
    def test_days(self, vendor, tmp_path, warm, fault):
        """
        AMD's server is away for three days, fails, or says 429 to everybody:
        guests and verifiers do not notice, and the service is ready.
        """
        with facing(
            vendor, tmp_path / "thim.db", settings_for(vendor)
        ) as served:
            self.fill(vendor, served, warm)
            vendor.faults.add(fault)
            for _ in range(72):
                vendor.clock.advance(HOUR)
                time.sleep(0.02)
                statuses = [served.get(path).status for path in warm]
                assert [200, 200, 200] == statuses
            ready = served.get("/health/ready")

        assert 200 == ready.status

    def test_new_host(self, vendor, tmp_path, warm):
        """
        A host that comes up meanwhile gets empty 503s, and its certificate by
        itself once the server is back.
        """
        path = path_of(vendor, CHIPS[2])
        with facing(
            vendor, tmp_path / "thim.db", settings_for(vendor)
        ) as served:
            self.fill(vendor, served, warm)
            vendor.faults.add(Status(code=503))
            seen = []
            for _ in range(5):
                got = served.get(path)
                seen.append((got.status, got.body, "retry-after" in got))
                vendor.clock.advance(MINUTE)
            vendor.faults.clear()
            with running_clock(vendor, MINUTE):
                await_so(lambda: served.get(path).status == 200, "back")

        assert {(503, b"", True)} == set(seen)

    def test_not_there_for_an_hour(self, vendor, tmp_path, warm):
        """
        The server denies a chip that it knows: that is believed for an hour,
        and not for ever.
        """
        path = path_of(vendor, CHIPS[2])
        with facing(
            vendor, tmp_path / "thim.db", settings_for(vendor)
        ) as served:
            self.fill(vendor, served, warm)
            fault = vendor.faults.add(Status(code=404, route="vcek"))
            with running_clock(vendor):
                await_so(lambda: served.get(path).status == 404, "denied")
            asked = len(vendor.requests.of("vcek"))
            vendor.faults.remove(fault)
            assert 404 == served.get(path).status
            assert asked == len(vendor.requests.of("vcek"))
            vendor.clock.advance(2 * HOUR)
            with running_clock(vendor):
                await_so(lambda: served.get(path).status == 200, "back")

    def test_restart(self, vendor, tmp_path, warm):
        """
        A service that is started during an outage has all that it had.
        """
        store = tmp_path / "thim.db"
        with facing(vendor, store, settings_for(vendor)) as served:
            self.fill(vendor, served, warm)
            before = [served.get(path).body for path in warm]
        vendor.faults.add(Down())
        vendor.clock.advance(30 * DAY)
        with facing(vendor, store, settings_for(vendor)) as served:
            after = [served.get(path).body for path in warm]

        assert before == after
        EndorsementKey.from_der(after[0])


class TestSecondThim:
    def test_through(self, vendor, tmp_path):
        """
        A thim that has another one as upstream waits with it: what that one is
        having fetched is no failure, and stops nothing else.
        """
        store = tmp_path / "b.db"
        with facing(vendor, tmp_path / "a.db", settings_for(vendor)) as first:
            settings = amd_settings(vendor, upstreams=[behind(first)])
            with facing(vendor, store, settings) as second:
                path = path_of(vendor, CHIPS[0])
                before = second.get(path)
                chain = "/vcek/v1/Genoa/cert_chain"
                with running_clock(vendor):
                    await_so(functools.partial(is_there, second, chain), chain)
                    await_so(functools.partial(is_there, second, path), path)
                status = status_of(store, vendor, settings)

        assert (503, b"") == (before.status, before.body)
        assert 1 == len(vendor.requests.of("vcek"))
        (theirs,) = [a for a in status.addresses if a.address == first.url]
        assert (0, None) == (theirs.failures, theirs.failed)


def behind(served):
    """
    Make an upstream of another thim.
    """
    return Upstream(
        vendor="amd",
        service=Service.THIM,
        url=served.url,
        static_url=served.url,
        interval=datetime.timedelta(0),
    )
