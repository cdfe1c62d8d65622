import http.client
import time

import pytest

from tests.simulate.asking import DAY, NOW, SGX, ask, send
from tests.simulate.machines import (
    HIGHEST,
    REGISTRATION,
    by_manifest,
    by_ppid,
    certificates_of,
    extension_of,
    judge_pck,
    playing,
)
from thim.errors import UntrustedError
from thim.simulate.broken import Down, Slow, Status, Truncate
from thim.simulate.forged import (
    Forked,
    Frozen,
    LateSigner,
    MovedRoot,
    NotAvailable,
    Older,
    WrongChain,
    WrongPpid,
    WrongSignature,
    WrongSubject,
)


BOTH = pytest.mark.parametrize("what", ["pckcert", "pckcerts"])


@pytest.fixture
def ice(simulated):
    """
    The machine that asks.
    """
    return simulated.platform("ice-1")


@pytest.fixture
def asked(simulated, get, ice):
    """
    Set a fault, then ask.
    """

    def asked(fault, what):
        simulated.faults.add(fault)
        return get(by_ppid(ice, what, **HIGHEST))

    return asked


class TestWire:
    @pytest.mark.parametrize(
        ("route", "what", "status"),
        [
            ("pckcert", "pckcert", 429),
            ("pckcert", "pckcerts", 200),
            ("pckcerts", "pckcerts", 429),
            ("pckcert*", "pckcerts", 429),
        ],
    )
    def test_route(self, asked, route, what, status):
        """
        A fault hits the routes that it names.
        """
        fault = Status(code=429, retry_after=7, route=route)
        got = asked(fault, what)

        assert status == got.status
        assert status == 200 or got["retry-after"] == "7"

    @BOTH
    def test_down(self, asked, what):
        """
        The connection is closed without an answer.
        """
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            asked(Down(), what)

    @BOTH
    def test_truncated(self, asked, what):
        """
        The connection is closed before the end.
        """
        with pytest.raises(http.client.IncompleteRead):
            asked(Truncate(), what)

    def test_slow(self, asked):
        """
        The answer comes late.
        """
        begin = time.monotonic()
        asked(Slow(seconds=0.2), "pckcerts")

        assert time.monotonic() - begin >= 0.2

    def test_post(self):
        """
        A request with a body is hit as well.
        """
        with playing(ice_1={"multi_package": True}) as running:
            machine = running.platform("ice-1")
            running.faults.add(Slow(seconds=0.1))
            slow = send(running.url, f"{SGX}/pckcerts", by_manifest(machine))
            running.faults.add(Down())
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                send(running.url, f"{SGX}/pckcerts", by_manifest(machine))

        assert 200 == slow.status

    def test_registration(self):
        """
        So is registration.
        """
        with playing(ice_1={"multi_package": True}) as running:
            running.faults.add(Status(code=503, route="registration"))
            got = send(running.url, REGISTRATION, b"")

        assert 503 == got.status

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"platform": "ice-1"}, 503),
            ({"platform": "ice-2"}, 200),
            ({"fmspc": "00606a000000"}, 503),
            ({"fmspc": "00806F050000"}, 200),
            ({"ca": "platform"}, 503),
            ({"ca": "processor"}, 200),
        ],
    )
    def test_machine(self, asked, fields, status):
        """
        A fault hits the machines that it names.
        """
        assert status == asked(Status(code=503, **fields), "pckcerts").status


class TestForged:
    @BOTH
    def test_wrong_signature(self, simulated, asked, what):
        """
        The signature of each certificate is broken.
        """
        got = asked(WrongSignature(), what)

        with pytest.raises(UntrustedError, match="not issued by"):
            judge_pck(simulated, got)

    @BOTH
    def test_moved_root(self, simulated, asked, what, ice):
        """
        Another Intel has issued them, under a root of its own.
        """
        got = asked(MovedRoot(), what)

        with pytest.raises(UntrustedError, match="not pinned"):
            judge_pck(simulated, got)
        assert ice.ppid in extension_of(certificates_of(got)[0])

    @BOTH
    def test_wrong_chain(self, simulated, asked, what, ice):
        """
        The chain is another Intel's, the certificates are good.
        """
        got = asked(WrongChain(), what)

        with pytest.raises(UntrustedError):
            judge_pck(simulated, got)
        assert ice.pck_certificates[0] == certificates_of(got)[0]

    @BOTH
    def test_late_signer(self, simulated, asked, what):
        """
        The CA's certificate is not valid yet; a day later all is good.
        """
        got = asked(LateSigner(), what)

        with pytest.raises(UntrustedError):
            judge_pck(simulated, got)
        judge_pck(simulated, got, NOW + 2 * DAY)

    @BOTH
    def test_wrong_subject(self, simulated, asked, what):
        """
        The certificates are another machine's of the same family.
        """
        got = asked(WrongSubject(), what)
        other = simulated.platform("ice-2")

        judge_pck(simulated, got)
        assert other.pck_certificates[0] == certificates_of(got)[0]

    def test_no_other_subject(self):
        """
        Where there is no other machine they are its own.
        """
        with playing() as running:
            machine = running.platform("ice-1")
            world = running.intel.world
            alone = [p for p in world.platforms if p.name == "ice-1"]
            world.platforms[:] = alone
            running.faults.add(WrongSubject())
            got = ask(running.url, by_ppid(machine))

        assert list(machine.pck_certificates) == certificates_of(got)

    @BOTH
    def test_wrong_ppid(self, simulated, asked, what, ice):
        """
        The certificates name another PPID and hold all the same.
        """
        got = asked(WrongPpid(), what)

        judge_pck(simulated, got)
        assert ice.ppid not in extension_of(certificates_of(got)[0])

    def test_registered_ppid(self):
        """
        Registration answers with another PPID, or another machine's.
        """
        with playing(ice_1={"multi_package": True}) as running:
            machine = running.platform("ice-1")
            said = {machine.ppid.hex().upper().encode()}
            for fault in (WrongPpid(), WrongSubject()):
                running.faults.clear()
                running.faults.add(fault)
                kind = "application/octet-stream"
                said.add(
                    send(
                        running.url, REGISTRATION, machine.manifest, kind=kind
                    ).body
                )

        assert 3 == len(said)
        assert running.platform("ice-2").ppid.hex().upper().encode() in said

    def test_not_available(self, asked):
        """
        There is no certificate for any TCB.
        """
        got = asked(NotAvailable(), "pckcerts")

        assert ["Not available"] * 5 == [line["cert"] for line in got.json]
        assert 404 == asked(NotAvailable(), "pckcert").status

    @pytest.mark.parametrize(
        "fault",
        [Frozen(until=NOW.replace(year=2025, month=1)), Older(ago="500d")],
    )
    def test_earlier(self, asked, fault):
        """
        Levels of today are not known yet.
        """
        assert 4 == len(certificates_of(asked(fault, "pckcerts")))

    def test_forked(self, asked, ice):
        """
        The same certificate, by its serial number, says something else.
        """
        (leaf,) = certificates_of(asked(Forked(), "pckcert"))

        assert ice.pck_certificates[0] != leaf
        assert ice.pck_certificates[0].serial_number == leaf.serial_number
