"""
What clients get while the vendor is away: the documents that are there, and
for the others an answer that QCNL may collect as often as it likes.
"""

import time

import pytest

from tests.conformance.replay import (
    GLOBAL,
    LOCAL,
    PCS,
    go,
    libcurl,
    read_answer,
)
from tests.conformance.replay_calls import (
    CALLS,
    ICE,
    IN_FORCE,
    SAPPHIRE,
    SGX,
    TCB_CHAINS,
    TDX,
    tcb,
)
from tests.conformance.replay_machines import (
    COFFEE_LAKE,
    azure_primary,
    azure_query,
    azure_secondary,
    qcnl_query,
)
from tests.conformance.replay_programs import set_up, write_world


#: QCNL's ``retry_times``, and its first request.
TIMES = 7
COLD = {
    "qcnl-qve": libcurl(GLOBAL, f"{SGX}/v4/qve/identity?update=standard"),
    "qcnl-tdx-qe": libcurl(GLOBAL, f"{TDX}/v4/qe/identity?update=standard"),
    "qcnl-tdx-tcb": libcurl(
        GLOBAL, f"{TDX}/v4/tcb?fmspc={SAPPHIRE}&update=standard"
    ),
    "qcnl-3.0-root-crl": libcurl(GLOBAL, f"{SGX}/v4/rootcacrl"),
    "qcnl-3.1-crl": libcurl(
        GLOBAL, f"{SGX}/v4/pckcrl?ca=processor&encoding=der"
    ),
    "azure-crl": CALLS["azure-v4-crl-0"].request,
    "azure-tdx-tcb": CALLS["azure-tdx-tcb"].request,
    "go-tdx-guest-qe": go(PCS, f"{TDX}/v4/qe/identity"),
}
CERTIFICATES = {
    "azure-primary": azure_primary("v4", azure_query(COFFEE_LAKE, "ab" * 384)),
    "azure-secondary": azure_secondary(
        "v4", azure_query(COFFEE_LAKE, "ab" * 384)
    ),
    "qcnl-bare": libcurl(
        LOCAL,
        f"{SGX}/v4/pckcert?"
        f"{qcnl_query(COFFEE_LAKE, '').replace('0' * 768, 'AB' * 384)}",
    ),
}


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    """
    A vendor that goes away now and then.
    """
    folder = tmp_path_factory.mktemp("outage")
    with set_up(folder, write_world(folder)) as made:
        yield made


@pytest.fixture(scope="module")
def away(setup):
    """
    A service whose vendor is away from the beginning, and which is told for
    which machines it is there.
    """
    setup.vendor.tell("/faults", kind="down")
    fmspcs = f"{ICE},{SAPPHIRE}"
    with setup.serving(fill_wait="2500ms", fmspcs=fmspcs) as door:
        yield door


def wait(vendor, seconds):
    """
    Let time pass for the vendor and thim, and some for their threads.
    """
    vendor.tell("/clock", advance=f"{seconds}s")
    time.sleep(0.2)


class TestAway:
    @pytest.mark.parametrize("name", [*COLD, *CERTIFICATES])
    def test_cold(self, away, name):
        """
        What is not there is a 503 without a body and without a chain, soon,
        which says when to come again.
        """
        begin = time.monotonic()
        got = away.ask({**COLD, **CERTIFICATES}[name])

        assert b"HTTP/1.1 503 Service Unavailable" == got.start
        assert (b"", b"", "0") == (got.body, got.rest, got["content-length"])
        names = [key for key, _ in got.headers]
        assert [] == [key for key in names if key.endswith("-issuer-chain")]
        assert int(got["retry-after"]) > 0
        assert "no-store" == got["cache-control"]
        assert [] == [value for _, value in got.headers if not value.strip()]
        assert 10 > time.monotonic() - begin

    @pytest.mark.parametrize("name", COLD)
    def test_retried(self, away, name):
        """
        QCNL, which retries on one connection and puts all bodies together,
        has got nothing in the end.
        """
        with away.connect(COLD[name].host) as channel:
            collected = b""
            for _ in range(TIMES):
                channel.sendall(COLD[name].raw)
                got = read_answer(channel)
                collected += got.body + got.rest

        assert (503, b"") == (got.status, collected)


def test_back(setup, away):
    """
    When the vendor comes back between two tries, QCNL has collected nothing
    but the document and its chain; and it gets that again when the vendor is
    away again.
    """
    request = libcurl(GLOBAL, f"{SGX}/v4/tcb?fmspc={ICE}&update=standard")
    answers = []
    with away.connect(GLOBAL) as channel:
        for _ in range(2):
            channel.sendall(request.raw)
            answers.append(read_answer(channel))
        setup.vendor.forget_faults()
        while answers[-1].status != 200 and len(answers) < TIMES:
            wait(setup.vendor, int(answers[-1]["retry-after"]))
            channel.sendall(request.raw)
            answers.append(read_answer(channel))
    expected = setup.vendor.get(tcb("v4", ICE, IN_FORCE)).body
    setup.vendor.tell("/faults", kind="down")
    warm = away.ask(request)

    assert {503, 200} == {got.status for got in answers}
    assert expected == b"".join(got.body for got in answers)
    names = [key for got in answers for key, _ in got.headers]
    chains = [key for key in names if key.endswith("-issuer-chain")]
    assert sorted(TCB_CHAINS) == sorted(chains)
    assert (200, expected) == (warm.status, warm.body)
