"""
Which reports of SEV-SNP guests are good enough, and what their operator vouches
for.
"""

import datetime

import pytest

from tests.attestation.uvm_made import a_chain, a_message, a_payload, did_of
from tests.http.attested_world import attesting
from tests.http.attesting import ACME, detail_in, error_in, message_in
from tests.http.snp_sending import sender
from tests.http.test_attest_baseline import OURS, choosing
from tests.vendors import DAY
from thim.baseline.provider import Compliance, ExpiredRule


OF_TCB = (
    "The specified quote was invalid because the device on which the quote "
    "was generated does not meet the Azure baseline requirements"
)
#: Of AMD's revocation list in the store.
END = datetime.datetime(2027, 10, 4, tzinfo=datetime.UTC)
CVM = "azure-compliant-cvm"


@pytest.fixture
def own(attester):
    """
    Have a report of milan-1 attested by a service of a test's own.
    """
    return sender(attester)


class TestCompliance:
    @pytest.mark.parametrize("by", ["measurement", "id_key_digest"])
    def test_listed(self, attester, own, by):
        """
        What the operator vouches for has a compliance status.
        """
        entry = Compliance(status=CVM, **{by: b"\7" * 48})
        attester.define("acme", compliance=(entry,))
        fields = {"measurement": b"\7" * 48, "id_key_digest": b"\7" * 48}

        claims = attester.claims(own(ACME, **fields), ACME)
        assert CVM == claims["x-ms-compliance-status"]
        assert "x-ms-compliance-status" not in attester.claims(own(**fields))
        other = attester.claims(own(ACME, measurement=b"\x08" * 48), ACME)
        assert "x-ms-compliance-status" not in other

    def test_uvm(self, attester, own):
        """
        An endorsement of the guest's firmware by a signer on the list does.
        """
        issuer = did_of(a_chain()[-1])
        entry = Compliance(
            status="azure-compliant-uvm",
            uvm_issuer=issuer,
            uvm_feed="a feed",
            uvm_svn=7,
        )
        attester.define("acme", compliance=(entry,))
        measurement = b"\7" * 48
        message = a_message(a_payload(measurement=measurement.hex()))
        got = own(ACME, uvm=[message], measurement=measurement)

        claims = attester.claims(got, ACME)
        assert "azure-compliant-uvm" == claims["x-ms-compliance-status"]
        assert issuer == claims["x-thim-uvm-issuer"]

    def test_other_measurement(self, attester, own):
        """
        One of other firmware counts for nothing.
        """
        entry = Compliance(
            status="azure-compliant-uvm",
            uvm_issuer=did_of(a_chain()[-1]),
            uvm_feed="a feed",
        )
        attester.define("acme", compliance=(entry,))
        got = own(ACME, uvm=[a_message()], measurement=b"\7" * 48)

        if got.status == 200:
            claims = attester.claims(got, ACME)
            assert "x-ms-compliance-status" not in claims

    def test_forged(self, own):
        """
        One that does not verify is refused.
        """
        message = bytearray(a_message())
        message[-1] ^= 1
        got = own(uvm=[bytes(message)], measurement=bytes(range(48)))

        assert (400, "InvalidQuote") == error_in(got)[:2]


class TestMinimum:
    def test_below(self, attester, own):
        """
        A chip below the baseline's minimum is refused: which component, what
        it is and what is needed.
        """
        attester.change("acme", baseline="strict")
        got = own(ACME)

        assert (400, "InvalidParameter", "below-minimum") == error_in(got)
        assert OF_TCB == message_in(got)
        assert "snp is 24, 25 is needed" in detail_in(got)

    def test_by_policy(self, attester, own):
        """
        A policy may ask for such a baseline.
        """
        attester.set_policy(choosing(OURS, "strict"), "SevSnpVm")

        assert "below-minimum" == error_in(own(ACME))[2]


class TestDates:
    @pytest.fixture
    def late(self, attested_world, tmp_path):
        """
        A service for which AMD's list has ended.
        """
        with attesting(attested_world, tmp_path, END + 7 * DAY) as running:
            yield running, sender(running)

    def test_ended(self, late):
        """
        That it has is our fault.
        """
        _, send = late
        got = send()

        assert (503, "ServiceUnavailable", "crl-expired") == error_in(got)
        assert int(got["retry-after"]) > 0

    def test_accept(self, late):
        """
        A provider for tests takes it, and says so.
        """
        attester, send = late
        attester.define("acme", expired=ExpiredRule.ACCEPT)
        claims = attester.claims(send(ACME), ACME)

        (name,) = claims["x-thim-accepted-expired"]
        assert "crl" in name
        assert "accept-expired" in claims["x-thim-dangerous"]
        assert "expired" == claims["x-thim-revocation"]

    def test_grace(self, late):
        """
        A closed site may stretch it.
        """
        attester, send = late
        attester.define("acme", crl_grace=14 * DAY)
        claims = attester.claims(send(ACME), ACME)

        assert 1 == len(claims["x-thim-accepted-expired"])
