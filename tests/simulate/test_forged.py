import datetime
import re

import pytest

from tests.simulate.asking import (
    DAY,
    GRANITE,
    HOUR,
    ICE,
    MIDNIGHT,
    NOW,
    SAPPHIRE,
    SGX,
    TDX,
    ask,
    chain_of,
    crl_der,
    inner,
    judge,
    judge_crl,
    revoked,
    tcb,
)
from thim.errors import UntrustedError
from thim.simulate.clock import Clock
from thim.simulate.forged import (
    Forked,
    Frozen,
    Future,
    LateSigner,
    MovedRoot,
    Older,
    WrongChain,
    WrongNumber,
    WrongSignature,
    WrongSubject,
)
from thim.simulate.server import simulating
from thim.x509.chain import parse_certificate


CRL = f"{SGX}/pckcrl?ca=platform"
SIGNED = [tcb(ICE), f"{TDX}/qe/identity", f"{SGX}/tcbevaluationdatanumbers"]


def judge_either(simulated, got, **changes):
    """
    Verify signed JSON or a CRL.
    """
    if got.body.startswith(b"-----"):
        return judge_crl(simulated, crl_der(got), chain_of(got), **changes)
    return judge(simulated, got, **changes)


class TestSignatures:
    @pytest.mark.parametrize("path", [*SIGNED, CRL])
    def test_wrong_signature(self, simulated, get, path):
        """
        A signature with a wrong bit does not hold; the document is the same.
        """
        good = get(path)
        simulated.faults.add(WrongSignature())
        with pytest.raises(UntrustedError, match="signature"):
            judge_either(simulated, get(path))

        assert len(good.body) == len(get(path).body)

    def test_wrong_signature_of_the_root(self, simulated, get):
        """
        So it is with the root's certificate and CRL.
        """
        simulated.faults.add(WrongSignature())
        root = simulated.intel.pki.root
        der = get("/IntelSGXRootCA.der").body
        cer = get("/Intel_SGX_Provisioning_Certification_RootCA.cer").body
        with pytest.raises(UntrustedError, match="signature"):
            judge_crl(simulated, der, [root])

        assert root.signature != parse_certificate(cer).signature

    @pytest.mark.parametrize("path", [*SIGNED, CRL])
    def test_moved_root(self, simulated, get, path):
        """
        Everything is in order but for the root's key.
        """
        simulated.faults.add(MovedRoot())
        got = get(path)
        root = chain_of(got)[-1]
        with pytest.raises(UntrustedError, match="not pinned"):
            judge_either(simulated, got)

        moved = simulated.intel.pki_of(f"{simulated.intel.world.seed}, moved")
        judge_either(simulated, got, anchors=moved.anchors)
        cer = get("/Intel_SGX_Provisioning_Certification_RootCA.cer").body
        assert moved.root == root == parse_certificate(cer)

    @pytest.mark.parametrize("path", [*SIGNED, CRL])
    def test_wrong_chain(self, simulated, get, path):
        """
        The chain beside a good document is a stranger's.
        """
        simulated.faults.add(WrongChain())
        got = get(path)
        with pytest.raises(UntrustedError):
            judge_either(simulated, got)

        judge_either(simulated, got, known=simulated.intel.pki.certificates)

    @pytest.mark.parametrize("path", [*SIGNED, CRL])
    def test_late_signer(self, simulated, get, path):
        """
        The signer's certificate begins after the issue date.
        """
        simulated.faults.add(LateSigner())
        got = get(path)
        with pytest.raises(UntrustedError, match="no issuer chain"):
            judge_either(simulated, got)

        assert MIDNIGHT + DAY == chain_of(got)[0].not_valid_before_utc
        with pytest.raises(UntrustedError, match="signature"):
            judge_either(simulated, got, known=simulated.intel.pki.certificates)

    def test_late_signer_of_the_root_crl(self, simulated, get):
        """
        The root signs its own CRL, and is never late.
        """
        simulated.faults.add(LateSigner())
        der = get("/IntelSGXRootCA.der").body

        judge_crl(simulated, der, [simulated.intel.pki.root])


class TestDates:
    @pytest.mark.parametrize("path", [*SIGNED, CRL])
    def test_older(self, simulated, get, path):
        """
        An older document is the very one that was served at that time.
        """
        simulated.clock.move_to(NOW - 3 * DAY)
        then = get(path).body
        simulated.clock.move_to(NOW)
        simulated.faults.add(Older(ago="3d"))
        got = get(path)

        assert then == got.body
        assert MIDNIGHT - 3 * DAY == judge_either(simulated, got).issued

    def test_future(self, simulated, get):
        """
        A document from the future is not valid yet.
        """
        simulated.faults.add(Future(ahead="10h"))
        got = get(tcb(ICE))
        with pytest.raises(UntrustedError, match="future"):
            judge(simulated, got)

        record = judge(simulated, got, now=NOW + 2 * HOUR)
        assert MIDNIGHT + 10 * HOUR == record.issued

    def test_frozen(self):
        """
        A frozen CRL goes on being served while everything else is renewed,
        and what is revoked meanwhile is not in it.
        """
        path = f"{SGX}/pckcrl?ca=platform"
        until = datetime.datetime(2026, 1, 10, 12, tzinfo=datetime.UTC)
        with simulating(clock=Clock(until, frozen=True)) as simulated:
            before = ask(simulated.url, path).body
            simulated.faults.add(Frozen(until=until, route="pckcrl"))
            simulated.clock.advance(7.4 * DAY)
            frozen = ask(simulated.url, path)
            fresh = ask(simulated.url, tcb(ICE))
            issued = judge(simulated, fresh).issued
            simulated.faults.clear()
            after = ask(simulated.url, path)

        assert before == frozen.body
        assert until + 7 * DAY - 12 * HOUR == issued
        assert (0, 1) == (
            len(revoked(crl_der(frozen))),
            len(revoked(crl_der(after))),
        )

    @pytest.mark.parametrize("path", [*SIGNED, CRL])
    def test_forked(self, simulated, get, path):
        """
        A fork has the same key, number and issue date, is genuine, and says
        something else.
        """
        good = judge_either(simulated, get(path))
        simulated.faults.add(Forked())
        forked = judge_either(simulated, get(path))

        assert (good.key, good.evaluation_number, good.issued) == (
            forked.key,
            forked.evaluation_number,
            forked.issued,
        )
        assert good.signed_sha256 != forked.signed_sha256


class TestSubjects:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            (tcb(ICE), r"intel/tcb-info/sgx:(?!00606A).*"),
            (f"{TDX}/tcb?fmspc={SAPPHIRE}", rf".*/tdx:{GRANITE}/3"),
            (f"{SGX}/qe/identity", r"intel/identity/qve/2"),
            (f"{SGX}/tcbevaluationdatanumbers", r".*numbers/tdx/1"),
            (CRL, r"intel/pck-crl/processor/0"),
        ],
    )
    def test_wrong_subject(self, simulated, get, path, expected):
        """
        A genuine document of somebody else of the same number.
        """
        number = judge_either(simulated, get(path)).evaluation_number
        simulated.faults.add(WrongSubject())
        record = judge_either(simulated, get(path))

        assert re.fullmatch(expected, str(record.key))
        assert number == record.evaluation_number

    def test_wrong_subject_of_the_root_crl(self, simulated, get):
        """
        In place of the root's CRL comes a PCK CA's.
        """
        simulated.faults.add(WrongSubject())
        der = get("/IntelSGXRootCA.der").body

        record = judge_crl(simulated, der, simulated.intel.pki.certificates)
        assert "intel/pck-crl/processor/0" == str(record.key)

    def test_nobody_else(self, simulated, get):
        """
        Where there is nobody else, the document is the right one.
        """
        simulated.faults.add(WrongSubject())
        simulated.faults.add(WrongNumber())
        path = f"{SGX}/tcbevaluationdatanumbers"
        cer = "/Intel_SGX_Provisioning_Certification_RootCA.cer"

        assert 200 == get(path).status
        assert simulated.intel.pki.root == parse_certificate(get(cer).body)

    @pytest.mark.parametrize("path", [tcb(ICE), f"{TDX}/qe/identity"])
    def test_wrong_number(self, simulated, get, path):
        """
        A genuine document of another number.
        """
        simulated.faults.add(WrongNumber())
        record = judge(simulated, get(path))

        assert 18 == record.evaluation_number
        assert 18 == inner(get(path))["tcbEvaluationDataNumber"]
