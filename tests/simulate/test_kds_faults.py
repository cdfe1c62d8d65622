import http.client

import pytest

from tests.simulate.asking import DAY, HOUR, NOW, ask
from tests.simulate.chips import BEFORE, SECRET, VLEK, fetch, file_path, playing
from thim.amd.authorities import CaChain
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.tcb import ProductLine
from thim.errors import MalformedError, UntrustedError
from thim.simulate.broken import Down, Garbage, Status, Truncate
from thim.simulate.forged import (
    Forked,
    Frozen,
    Future,
    MovedRoot,
    NotAvailable,
    Older,
    OtherKey,
    Reissued,
    WrongChain,
    WrongSignature,
    WrongSubject,
    WrongTcb,
)


@pytest.fixture
def simulated():
    """
    The default world at NOW, without a limit.
    """
    with playing() as running:
        yield running


def reason(simulated, path, headers=None) -> str:
    """
    Return why what is at *path* does not hold.
    """
    found = fetch(simulated, path, headers)
    with pytest.raises((MalformedError, UntrustedError)) as caught:
        found.verify(simulated)
    return caught.value.reason


class TestMatching:
    def test_chip(self, simulated):
        """
        A fault may hit one chip, product line or route.
        """
        simulated.faults.add(Status(code=501, chip="milan-1"))
        simulated.faults.add(Status(code=502, product="Turin"))
        simulated.faults.add(
            Status(code=503, route="amd-*", product=ProductLine.GENOA)
        )
        names = ["milan-1", "milan-2", "turin-1", "genoa-1"]
        paths = [simulated.chip(name).path for name in names]
        paths += [file_path("crl", product) for product in ProductLine]

        assert [501, 200, 502, 200, 200, 503, 502] == [
            ask(simulated.url, path).status for path in paths
        ]

    def test_intel(self, simulated):
        """
        One for a product line does not hit Intel.
        """
        simulated.faults.add(Status(code=503, product="Milan"))

        assert 200 == ask(simulated.url, "/IntelSGXRootCA.der").status

    def test_route(self, simulated):
        """
        Each route has a name of its own.
        """
        paths = {
            "vcek": simulated.chip("milan-1").path,
            "vlek": VLEK,
            "amd-chain": file_path("cert_chain"),
            "amd-crl": file_path("crl", kind="vlek"),
        }
        for route in paths:
            simulated.faults.clear()
            simulated.faults.add(Status(code=503, route=route))
            hit = [
                name
                for name, path in paths.items()
                if ask(simulated.url, path, headers=SECRET).status == 503
            ]
            assert [route] == hit


class TestWire:
    def test_broken(self, simulated):
        """
        What may happen to Intel's answers may happen to AMD's.
        """
        path = simulated.chip("milan-1").path
        simulated.faults.add(Down(count=1, route="vcek"))
        with pytest.raises(http.client.RemoteDisconnected):
            ask(simulated.url, path)
        simulated.faults.add(Truncate(count=1, route="vcek"))
        with pytest.raises(http.client.IncompleteRead):
            ask(simulated.url, path)
        simulated.faults.add(Garbage(count=1, route="vcek"))
        with pytest.raises(MalformedError):
            EndorsementKey.from_der(ask(simulated.url, path).body)

        simulated.chip("milan-1")
        fetch(simulated, path).verify(simulated)


class TestForged:
    @pytest.mark.parametrize("route", ["vcek", "amd-chain", "amd-crl"])
    def test_wrong_signature(self, simulated, route):
        """
        A signature with a wrong bit does not hold.
        """
        simulated.faults.add(WrongSignature(route=route))
        path = simulated.chip("turin-2").path
        what = "crl" if route == "amd-crl" else "certificate"

        assert f"{what}-signature" == reason(simulated, path)

    def test_moved_root(self, simulated):
        """
        All below another root key holds for nobody.
        """
        simulated.faults.add(MovedRoot())
        path = simulated.chip("genoa-1").path
        found = fetch(simulated, path)

        assert "root-not-pinned" == reason(simulated, path)
        assert found.key.tcb == simulated.chip("genoa-1").reported

    @pytest.mark.parametrize("kind", [MovedRoot, WrongChain])
    def test_moved_chain(self, simulated, kind):
        """
        Nor does the chain alone.
        """
        simulated.faults.add(kind(route="amd-chain"))
        path = simulated.chip("genoa-1").path

        assert "root-not-pinned" == reason(simulated, path)

    @pytest.mark.parametrize(
        ("path", "headers"), [("milan-1", None), (VLEK, SECRET)]
    )
    def test_moved_key(self, simulated, path, headers):
        """
        A certificate of theirs does not hold under our chain.
        """
        simulated.faults.add(MovedRoot(route="v[cl]ek"))
        path = path if "/" in path else simulated.chip(path).path

        assert "certificate-signature" == reason(simulated, path, headers)

    def test_moved_crl(self, simulated):
        """
        Nor does their list.
        """
        simulated.faults.add(MovedRoot(route="amd-crl"))
        path = simulated.chip("milan-1").path

        assert "crl-signature" == reason(simulated, path)

    @pytest.mark.parametrize(
        ("name", "other"),
        [
            ("milan-1", "milan-2"),
            ("bergamo-1", "genoa-1"),
            ("turin-1", "turin-2"),
        ],
    )
    def test_wrong_subject(self, simulated, name, other):
        """
        The VCEK of another chip is genuine, but not this chip's.
        """
        simulated.faults.add(WrongSubject(route="vcek"))
        found = fetch(simulated, simulated.chip(name).path)
        found.verify(simulated)

        assert simulated.chip(other).hw_id == found.key.hw_id

    @pytest.mark.parametrize("what", ["cert_chain", "crl"])
    def test_wrong_product(self, simulated, what):
        """
        A chain or list may be that of another product line.
        """
        wanted = ask(simulated.url, file_path(what, ProductLine.GENOA)).body
        simulated.faults.add(WrongSubject())

        assert wanted == ask(simulated.url, file_path(what)).body

    @pytest.mark.parametrize(
        ("path", "headers"), [("milan-1", None), (VLEK, SECRET)]
    )
    def test_wrong_tcb(self, simulated, path, headers):
        """
        The certificate of another TCB is genuine, with its own key.
        """
        path = path if "/" in path else simulated.chip(path).path
        good = fetch(simulated, path, headers)
        simulated.faults.add(WrongTcb())
        found = fetch(simulated, path, headers)
        found.verify(simulated)

        assert ("snp",) == found.key.tcb.shortfalls(good.key.tcb)
        assert good.key.hw_id == found.key.hw_id
        assert good.key.spki != found.key.spki

    def test_other_key(self, simulated):
        """
        Another key for the same chip and TCB is genuinely certified.
        """
        path = simulated.chip("milan-1").path
        good = fetch(simulated, path)
        simulated.faults.add(OtherKey())
        found = fetch(simulated, path)
        found.verify(simulated)

        assert (good.key.hw_id, good.key.tcb, good.key.not_before) == (
            found.key.hw_id,
            found.key.tcb,
            found.key.not_before,
        )
        assert good.key.spki != found.key.spki

    def test_reissued(self, simulated):
        """
        A certificate that is issued now has the same key as ever.
        """
        path = simulated.chip("milan-1").path
        good = fetch(simulated, path)
        simulated.faults.add(Reissued())
        found = fetch(simulated, path)
        found.verify(simulated)

        assert NOW == found.key.not_before > good.key.not_before
        assert good.key.spki == found.key.spki

    def test_forked(self, simulated):
        """
        Another certificate or list of the same date lives longer.
        """
        path = simulated.chip("milan-1").path
        good = fetch(simulated, path)
        simulated.faults.add(Forked())
        found = fetch(simulated, path)
        found.verify(simulated)

        assert good.key.not_before == found.key.not_before
        assert HOUR == found.key.not_after - good.key.not_after
        assert good.crl.this_update == found.crl.this_update
        assert HOUR == found.crl.next_update - good.crl.next_update

    def test_not_available(self, simulated):
        """
        There may be no certificate for any TCB.
        """
        simulated.faults.add(NotAvailable())

        assert 404 == ask(simulated.url, simulated.chip("milan-1").path).status


class TestTime:
    def test_frozen(self, simulated):
        """
        A list that is issued no more expires in the end.
        """
        simulated.faults.add(Frozen(until=NOW, route="amd-crl"))
        path = simulated.chip("milan-1").path
        simulated.clock.advance(300 * DAY)
        fetch(simulated, path).verify(simulated)
        simulated.clock.advance(100 * DAY)

        assert "crl-expired" == reason(simulated, path)

    def test_frozen_revocation(self, simulated):
        """
        It does not know what has been revoked since.
        """
        simulated.faults.add(Frozen(until=BEFORE, route="amd-crl"))
        found = fetch(simulated, simulated.chip("genoa-1").path)

        assert frozenset() == found.crl.revoked

    def test_frozen_signer(self, simulated):
        """
        A service that stands still signs with an ASK that has been revoked.
        """
        simulated.faults.add(Frozen(until=BEFORE, route="vcek"))
        simulated.faults.add(Frozen(until=BEFORE, route="amd-chain"))
        path = simulated.chip("genoa-1").path

        assert "ask-revoked" == reason(simulated, path)

    def test_older(self, simulated):
        """
        A list may be older than one that was served before.
        """
        path = simulated.chip("milan-1").path
        good = fetch(simulated, path)
        simulated.faults.add(Older(ago="40d", route="amd-crl"))
        found = fetch(simulated, path)
        found.verify(simulated)

        assert 40 * DAY == good.crl.this_update - found.crl.this_update

    def test_future(self, simulated):
        """
        A certificate or list may not be valid yet.
        """
        path = simulated.chip("milan-1").path
        simulated.faults.add(Future(ahead="400d", route="vcek"))
        leaf = reason(simulated, path)
        simulated.faults.clear()
        simulated.faults.add(Future(ahead="400d", route="amd-crl"))

        assert "leaf-not-yet-valid" == leaf
        assert "crl-not-yet-valid" == reason(simulated, path)

    def test_future_chain(self, simulated):
        """
        Chains have the dates of AMD's, whatever the fault.
        """
        simulated.faults.add(Future(ahead="400d"))
        got = ask(simulated.url, file_path("cert_chain"))

        assert 2020 == CaChain.from_pem(got.body).issued.year
