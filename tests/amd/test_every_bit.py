"""
No bit of a genuine report can be changed: all of one, and a sample of others.
"""

import collections

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.amd.evidence import find_recorded
from thim.amd.authorities import AMD_ROOTS, CaChain
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.report import Report
from thim.amd.verify import verify_report
from thim.errors import MalformedError


BITS = 8 * 1184
#: A report of each recorded version.
DIGESTS = ("420f4d65", "a20e02a2", "19a94fdb", "7ea4daeb")


SIGNATURE = "report-signature"
#: How many bits are found out for which reasons.
REASONS = {
    # What is signed and says nothing of leaf or form.
    (SIGNATURE,): 3480,
    # All of CHIP_ID.
    ("chip-id-mismatch", SIGNATURE): 512,
    # AUTHOR_KEY_DIGEST and its flag.
    ("author-key-digest", SIGNATURE): 385,
    # Four bytes in each of the TCB versions, REPORTED_TCB being the leaf's.
    (SIGNATURE, "tcb-reserved"): 96,
    (SIGNATURE, "tcb-mismatch", "tcb-reserved"): 32,
    (SIGNATURE, "tcb-mismatch"): 32,
    # All families but one, and four of the models.
    ("product-unknown", SIGNATURE): 12,
    # A VLEK in place of the VCEK, no key, two kinds that are reserved.
    (SIGNATURE, "signing-key-mismatch"): 1,
    ("report-unsigned",): 1,
    ("signing-key-reserved",): 2,
    ("flags-reserved",): 27,
    # All but the one that makes version 4.
    ("report-version",): 31,
    ("vmpl-range",): 30,
    ("signature-algorithm",): 32,
    # Bit 17, and bits 26 to 63.
    ("policy-reserved",): 39,
    # 179 bytes.
    ("report-reserved",): 1432,
    # The upper 24 bytes of R and S, and the 368 behind them.
    ("signature-encoding",): 3328,
}


class Flipper:
    """
    A genuine report, one bit of which is changed at a time.
    """

    def __init__(self, evidence):
        self.raw = evidence.report
        self.leaf = EndorsementKey.from_pem(evidence.leaf)
        self.chain = CaChain.from_pem(evidence.chain)
        self.now = evidence.at

    def reasons(self, bit):
        """
        Change the *bit*, and return all reasons for refusal.
        """
        raw = bytearray(self.raw)
        raw[bit // 8] ^= 1 << bit % 8
        try:
            report = Report.from_bytes(bytes(raw))
        except MalformedError as e:
            return (e.reason,)
        verdict = verify_report(
            report,
            self.leaf,
            self.chain,
            None,
            anchors=AMD_ROOTS,
            now=self.now,
        )
        assert verdict.is_authentic == (not verdict.findings)
        return tuple(sorted({each.reason for each in verdict.findings}))


@pytest.fixture(scope="module")
def flippers(corpus):
    """
    One for each of the reports.
    """
    return [Flipper(find_recorded(corpus, digest)) for digest in DIGESTS]


class TestEveryBit:
    def test_one_report(self, flippers):
        """
        Each of the 9472 bits of a report of version 5 is found out, for these
        reasons.
        """
        found = collections.Counter(map(flippers[3].reasons, range(BITS)))

        assert BITS == sum(REASONS.values())
        assert REASONS == found

    @settings(max_examples=200)
    @given(st.integers(0, BITS - 1))
    def test_each_version(self, flippers, bit):
        """
        So is any bit of a report of each version.
        """
        assert all(flipper.reasons(bit) for flipper in flippers)
