"""
Refreshing on demand.
"""

import asyncio
import concurrent.futures
import dataclasses
import datetime
import threading
import time

import pytest

from tests.http.administration import V3, V4, administered, registration
from tests.platforms import NOW, entry, platform_id, tcbm
from tests.vendors import (
    ICE,
    MINUTE,
    SGX,
    await_so,
    standing,
    vendor_settings,
)
from thim.collateral.platforms import RegisteredBy
from thim.collateral.targets import Target
from thim.errors import NotFoundError, UpstreamError
from thim.intel.names import Update
from thim.services.promise import CHANNEL_KEY
from thim.services.vendors import FillMode
from thim.simulate.broken import Status
from thim.simulate.server import simulating
from thim.store.agenda import Settlement
from thim.store.ledger import Ledger


AT = tcbm(4, 4)
OTHER = "00906ED50000"
DONE = b"Operation successful."
REFRESH = f"{V4}/refresh"
BY_PPID = {
    "registered_by": RegisteredBy.ENCRYPTED_PPID,
    "enc_ppid": b"\1" * 384,
}


@pytest.fixture(scope="module")
def simulated():
    """
    A vendor at an instant that stands still.
    """
    with simulating(clock=standing()) as running:
        yield running


@pytest.fixture
def settings(simulated):
    """
    How the vendor is asked: never by itself.
    """
    return vendor_settings(
        simulated, fmspcs=frozenset({ICE}), tick=datetime.timedelta(hours=1)
    )


@pytest.fixture
def pccs(simulated, settings, tmp_path):
    """
    A service that faces the vendor.
    """
    with administered(
        simulated, tmp_path, vendors=settings, clock=simulated.clock
    ) as running:
        yield running


@pytest.fixture
def wanted(pccs):
    """
    Which platforms the vendor was asked for.
    """
    found = []

    async def want(platform):
        await asyncio.sleep(0)
        found.append(platform)

    pccs.served.state["service"].want_platform = want
    return found


def known(pccs, simulated, who, **changes):
    """
    Make a platform known.
    """
    made = entry(simulated.intel.pki, who, AT, **changes)
    with Ledger(pccs.store, simulated.anchors) as ledger:
        ledger.platforms.enter([made], NOW)
    return made.id


class TestCollateral:
    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("base", [V3, V4])
    def test_all(self, pccs, method, base):
        """
        Without parameters all that is promised is fetched before the answer,
        for which no body is needed.
        """
        got = pccs.send(method, f"{base}/refresh")
        tcb = pccs.served.get(f"{SGX}/tcb?fmspc={ICE}")

        assert (200, DONE) == (got.status, got.body)
        assert 200 == tcb.status
        assert [("refresh", "admin")] == pccs.events()

    def test_operator(self, pccs):
        """
        An operator may have it done too, by PCCS's header or as a bearer.
        """
        token = pccs.tokens["operator"]
        by_header = pccs.send("POST", REFRESH, role="operator")
        as_bearer = pccs.send(
            "GET", REFRESH, role=None, authorization=f"Bearer {token}"
        )

        assert [200, 200] == [by_header.status, as_bearer.status]
        assert [("refresh", "operator")] * 2 == pccs.events()

    def test_trouble(self, pccs, simulated):
        """
        What cannot be had is named in a 503 with PCCS's sentence; the rest is
        kept.
        """
        fault = simulated.faults.add(Status(route="tcb", code=500))
        got = pccs.send("POST", REFRESH)
        simulated.faults.remove(fault)
        (kept,) = pccs.rows("SELECT count(*) FROM records")

        assert (503, "refresh-incomplete") == (got.status, got["thim-reason"])
        assert got.body.startswith(
            b"Server is currently unable to process the request. "
        )
        assert b" documents could not be had: intel/" in got.body
        assert kept[0] > 1


class TestCertificates:
    @pytest.mark.parametrize(
        "query",
        [
            f"fmspc={ICE}",
            f"fmspc={ICE.lower()}",
            f"fmspc=[{ICE}]",
            f"fmspc=%5B{ICE}%5D",
            f"fmspc={ICE},{OTHER}",
            f"fmspc=[{ICE},%20{OTHER}]",
            f"fmspc=[{ICE},+{OTHER}]",
            "fmspc=",
            "fmspc=[]",
        ],
    )
    def test_lists(self, pccs, simulated, wanted, query):
        """
        Platforms of an FMSPC, of several, or all, in every way that the tool
        writes them.
        """
        one = known(pccs, simulated, "one", **BY_PPID)
        got = pccs.send("POST", f"{REFRESH}?type=certs&{query}")

        assert (200, DONE) == (got.status, got.body)
        assert [one] == wanted

    def test_others(self, pccs, simulated, wanted):
        """
        Platforms of other FMSPCs are not asked for, nor those that no vendor
        can be asked about.
        """
        known(pccs, simulated, "one", **BY_PPID)
        known(pccs, simulated, "two")
        for query in (f"fmspc={OTHER}", "fmspc="):
            got = pccs.send("GET", f"{REFRESH}?type=certs&{query}")
            assert 200 == got.status

        assert [platform_id("one")] == wanted

    def test_registered(self, pccs, wanted):
        """
        Those without any certificate yet are asked for with all others.
        """
        body = registration("one", AT)
        pccs.send("POST", f"{V4}/platforms", body, role="registrar")
        pccs.send("POST", f"{REFRESH}?type=certs&fmspc=")

        assert [platform_id("one")] * 2 == wanted

    @pytest.mark.parametrize(
        ("errors", "status"),
        [
            ([NotFoundError("no")], 404),
            ([UpstreamError("no")], 503),
            ([NotFoundError("no"), UpstreamError("no")], 503),
            ([NotFoundError("no"), NotFoundError("no")], 404),
            ([NotFoundError("no"), None], 200),
        ],
    )
    def test_trouble(self, pccs, simulated, errors, status):
        """
        One platform's trouble stops no other, and is said: 404 where the
        vendor knows none of them, else 503.
        """
        left = list(errors)

        async def want(platform):
            await asyncio.sleep(0)
            if (error := left.pop()) is not None:
                raise error

        for i in range(len(errors)):
            known(pccs, simulated, f"p{i}", **BY_PPID)
        pccs.served.state["service"].want_platform = want
        got = pccs.send("POST", f"{REFRESH}?type=certs&fmspc=")

        is_trouble = b" could not be had: " in got.body
        assert (status, status != 200) == (got.status, is_trouble)
        assert [] == left

    @pytest.mark.parametrize(
        "query",
        [
            "type=x",
            "type=certs",
            "type=certs&fmspc=x",
            f"type=certs&fmspc=[{ICE}",
            f"type=certs&fmspc={ICE};{ICE}",
        ],
    )
    def test_refused(self, pccs, wanted, query):
        """
        What is no list of FMSPCs is a 400.
        """
        got = pccs.send("POST", f"{REFRESH}?{query}")

        assert 400 == got.status
        assert b": got " in got.body
        assert [] == wanted


class TestOffline:
    @pytest.fixture
    def settings(self, simulated):
        """
        Nobody is asked.
        """
        return vendor_settings(simulated, mode=FillMode.OFFLINE)

    @pytest.mark.parametrize("query", ["", "?type=certs&fmspc="])
    def test_refused(self, pccs, query):
        """
        Where no vendor is ever asked it is a 503, with PCCS's sentence.
        """
        got = pccs.send("POST", f"{REFRESH}{query}")

        assert (503, "offline") == (got.status, got["thim-reason"])
        assert got.body.startswith(
            b"Server is currently unable to process the request. "
        )


class TestUnasked:
    def test_refused(self, pccs):
        """
        A service that asks no vendor for certificates says so.
        """
        pccs.served.state["service"].want_platform = None
        got = pccs.send("POST", f"{REFRESH}?type=certs&fmspc=")

        assert (503, "offline") == (got.status, got["thim-reason"])


def is_silent(simulated):
    """
    Tell whether nobody asks the vendor for a second.
    """
    before = len(simulated.requests)
    time.sleep(1)
    return before == len(simulated.requests)


class TestTogether:
    def test_elsewhere(self, pccs, simulated):
        """
        What another process is asking for already is waited for, and counts.
        """
        target = Target(key=CHANNEL_KEY, update=Update.EARLY)
        now = simulated.clock()
        with Ledger(pccs.store, simulated.anchors) as ledger:
            agenda = ledger.agenda
            await_so(
                lambda: (
                    agenda.claim(
                        target,
                        "other",
                        now=now,
                        until=now + MINUTE,
                        is_due=False,
                    )
                    is not None
                )
            )
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                begin = len(simulated.requests)
                answer = pool.submit(pccs.send, "POST", REFRESH)
                await_so(lambda: len(simulated.requests) > begin)
                # All else has been asked for, also on a busy machine.
                await_so(lambda: is_silent(simulated))
                is_waiting = not answer.done()
                failure = Settlement(
                    due=now + MINUTE, answered=False, reason="timeout"
                )
                agenda.settle(target, "other", failure, now=now)
                got = answer.result()

        assert is_waiting
        assert 503 == got.status
        assert b"update=early (timeout)" in got.body

    def test_joined(self, pccs, simulated):
        """
        Administrators who ask for the same meanwhile wait for the same.
        """
        asked = []

        async def want(platform):
            asked.append(platform)
            await asyncio.sleep(2)  # until all have asked, on a busy machine

        known(pccs, simulated, "one", **BY_PPID)
        pccs.served.state["service"].want_platform = want
        path = f"{REFRESH}?type=certs&fmspc="
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            got = list(pool.map(lambda _: pccs.send("POST", path), range(4)))

        assert [200] * 4 == [each.status for each in got]
        assert 1 == len(asked)

    def test_ended(self, simulated, settings, tmp_path):
        """
        A service that ends does not wait for what is going on.
        """
        begun = threading.Event()

        async def want(platform):
            begun.set()
            await asyncio.sleep(60)

        settings = dataclasses.replace(settings, wait=datetime.timedelta(0))
        with administered(
            simulated, tmp_path, vendors=settings, clock=simulated.clock
        ) as pccs:
            pccs.served.state["service"].want_platform = want
            body = registration("one", AT)
            got = pccs.send("POST", f"{V4}/platforms", body, role="registrar")
            assert begun.wait(5)

        assert "new" == got["thim-registration"]


class TestVendor:
    """
    Registration and refreshing with a vendor that has the certificates.
    """

    def test_all_of_it(self, pccs, simulated):
        """
        A platform that is registered has its certificates at once; a refresh
        asks the vendor for them anew.
        """
        machine = simulated.platform("ice-1")
        raw = machine.raw_tcbs[0]
        body = {
            "qe_id": machine.qe_id.hex(),
            "pce_id": machine.pce_id.hex(),
            "cpu_svn": raw.cpusvn.hex(),
            "pce_svn": raw.pcesvn.to_bytes(2, "little").hex(),
            "enc_ppid": machine.enc_ppid.hex(),
        }
        before = len(simulated.requests.of("pckcerts"))
        posted = pccs.send("POST", f"{V4}/platforms", body, role="registrar")
        query = (
            f"qeid={body['qe_id']}&cpusvn={body['cpu_svn']}"
            f"&pcesvn={body['pce_svn']}&pceid={body['pce_id']}"
        )
        got = pccs.served.get(f"{V4}/pckcert?{query}")
        registered = len(simulated.requests.of("pckcerts"))
        refreshed = pccs.send("POST", f"{REFRESH}?type=certs&fmspc={ICE}")

        assert (200, "done") == (posted.status, posted["thim-registration"])
        assert (200, raw.tcbm.upper()) == (got.status, got["sgx-tcbm"])
        assert before + 1 == registered
        assert (200, DONE) == (refreshed.status, refreshed.body)
        assert registered + 1 == len(simulated.requests.of("pckcerts"))

    def test_none(self, pccs):
        """
        A platform that the vendor does not know is registered all the same,
        and said to be without certificates.
        """
        body = registration("nobody at the vendor's", AT)
        posted = pccs.send("POST", f"{V4}/platforms", body, role="registrar")
        listed = pccs.send("GET", f"{V4}/platforms?source=reg_na")

        assert (200, "not-available") == (
            posted.status,
            posted["thim-registration"],
        )
        assert [body["qe_id"].upper()] == [
            one["qe_id"].upper() for one in listed.json
        ]
