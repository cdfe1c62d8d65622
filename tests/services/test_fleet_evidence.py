"""
Evidence as a fleet learns from it: what it says of its machine, if it is
authentic.
"""

import base64

import pytest

from tests.attestation.test_evidence import in_report
from tests.intel import quotes_made as made
from tests.intel.quotes_made import INTEL, KINDS, NOW, PLATFORM, STRANGER
from thim.attestation.evidence import MAX_SIZE
from thim.collateral.fleet_tcbs import Origin, stand_in
from thim.collateral.platforms import PlatformId
from thim.errors import MalformedError, UntrustedError
from thim.intel.quote import Quote
from thim.services.fleet_import import Told, read_evidence
from thim.simulate.pck import Platform


TOLD = Told(source="quote.bin", name="lab 1", now=NOW)


def read(raw, told=TOLD, intel=INTEL):
    """
    Read evidence.
    """
    return read_evidence(told, raw, intel.anchors)


class TestTaken:
    @pytest.mark.parametrize("kind", KINDS)
    def test_says(self, kind):
        """
        A quote tells of its platform: the TCB of its PCK certificate, and the
        ISVSVN of its quoting enclave.
        """
        raw = made.good(kind)
        found, quote = read(raw), Quote(raw)

        assert (PLATFORM.fmspc, PLATFORM.cpusvn, PLATFORM.pcesvn) == (
            found.fmspc,
            found.components,
            found.pcesvn,
        )
        assert ("lab 1", Origin.ATTESTED, "quote.bin", NOW) == (
            found.name,
            found.origin,
            found.source,
            found.seen,
        )
        svns = (found.qe_svn, found.td_qe_svn)
        svn = quote.qe_report.isvsvn
        assert ((svn, None) if kind == "v3" else (None, svn)) == svns

    @pytest.mark.parametrize("kind", KINDS)
    def test_tdx(self, kind):
        """
        A TD's tells of TEE_TCB_SVN, as it runs now where it says two.
        """
        names = {"v3": "", "v4": "tee_tcb_svn", "v5": "tee_tcb_svn_2"}
        body = Quote(made.good(kind)).body
        expected = getattr(body, names[kind], None)

        assert (kind == "v3") == (expected is None)
        assert expected == read(made.good(kind)).tee_tcb_svn

    @pytest.mark.parametrize(
        "dress", [bytes, base64.b64encode, lambda raw: raw.hex().encode()]
    )
    def test_forms(self, dress):
        """
        It may be in base64 or hexadecimal.
        """
        raw = made.good("v3")

        assert read(raw) == read(dress(raw))

    def test_envelope(self):
        """
        It may be in Open Enclave's envelope.
        """
        raw = made.good("v3")

        assert read(raw) == read(in_report(raw))


class TestIdentity:
    def test_qe_id(self):
        """
        A machine is asked for by the QE ID in its quote.
        """
        quote = Quote(made.good("v3"))
        assert any(quote.qe_id)

        expected = PlatformId(quote.qe_id, PLATFORM.pce_id)
        assert expected == read(quote.raw).id

    def test_none(self):
        """
        Where that is zero a digest of the PPID stands for it, the same each
        time and another one for each machine, which shows nothing of it.
        """
        ids = set()
        for ppid in (b"\1" * 16, b"\2" * 16):
            platform = Platform(qe_id=bytes(16), ppid=ppid)
            quotes = [made.make(kind, platform) for kind in KINDS]
            found = {read(raw).id for raw in quotes}

            assert {PlatformId(stand_in(ppid), platform.pce_id)} == found
            assert ppid.hex() not in str(found)
            ids |= found
        assert 2 == len(ids)


class TestRefused:
    @pytest.mark.parametrize("kind", KINDS)
    def test_stranger(self, kind):
        """
        What another root has signed is forged.
        """
        with pytest.raises(UntrustedError) as caught:
            read(made.good(kind), intel=STRANGER)

        assert "forged" == caught.value.reason

    @pytest.mark.parametrize("kind", KINDS)
    def test_changed(self, kind):
        """
        So is what was changed after it was signed.
        """
        with pytest.raises(UntrustedError):
            read(made.flip(made.good(kind), 60))

    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (b"", "not-evidence"),
            (b"name,qe_id", "not-evidence"),
            (b"\0" * 5000, "not-evidence"),
            (b"\0" * (MAX_SIZE + 1), "too-large"),
            (made.good("v3")[:-1], None),
            (made.good("v3")[:500], None),
        ],
    )
    def test_none(self, raw, reason):
        """
        What is no evidence, or only a piece of it, is refused.
        """
        with pytest.raises((MalformedError, UntrustedError)) as caught:
            read(raw)

        assert reason in {None, caught.value.reason}
