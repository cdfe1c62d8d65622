import dataclasses
import datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.attestation.compliance import Vouched, find_compliance
from thim.attestation.uvm import UvmEndorsement
from thim.baseline.provider import Compliance


MEASUREMENT = bytes(range(48))
KEY = bytes(range(1, 49))
UVM = UvmEndorsement(
    issuer="did:x509:0:sha256:abc::eku:1.2",
    feed="feed",
    svn=5,
    measurement=MEASUREMENT,
    signed=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    sha256=bytes(32),
)
BY_MEASUREMENT = Compliance(status="measured", measurement=MEASUREMENT)
BY_KEY = Compliance(status="keyed", id_key_digest=KEY)
BY_UVM = Compliance(status="uvm", uvm_issuer=UVM.issuer, uvm_feed=UVM.feed)
ENTRIES = (BY_MEASUREMENT, BY_KEY, BY_UVM)


def find(*entries, **facts):
    """
    Find what entries give to evidence that nobody knows but for *facts*.
    """
    unknown = {"measurement": b"\7" * 48, "id_key_digest": b"\7" * 48}
    return find_compliance(entries, **unknown | facts)


def status(*entries, **facts):
    """
    Return the status alone.
    """
    found = find(*entries, **facts)
    return found and found.status


class TestFind:
    @pytest.mark.parametrize(
        ("facts", "expected"),
        [
            ({"measurement": MEASUREMENT}, "measured"),
            ({"id_key_digest": KEY}, "keyed"),
            ({"endorsements": [UVM]}, "uvm"),
            ({}, None),
        ],
    )
    def test_known(self, facts, expected):
        """
        Evidence that an entry knows has its status, other evidence has none.
        """
        assert expected == status(*ENTRIES, **facts)

    @given(st.permutations(ENTRIES))
    def test_first(self, entries):
        """
        Of several the first one counts, in the order of the list.
        """
        found = status(
            *entries,
            measurement=MEASUREMENT,
            id_key_digest=KEY,
            endorsements=[UVM],
        )

        assert entries[0].status == found

    def test_endorsement(self):
        """
        An endorsement that gave the status is told, and no other.
        """
        other = dataclasses.replace(UVM, feed="other")

        assert Vouched(status="uvm", endorsement=UVM) == find(
            *ENTRIES, endorsements=[other, UVM]
        )
        assert Vouched(status="measured") == find(
            *ENTRIES, measurement=MEASUREMENT, endorsements=[UVM]
        )

    @pytest.mark.parametrize("digest", [bytes(48), b""])
    def test_no_key(self, digest):
        """
        A guest without an ID key is nobody's, whatever the list says.
        """
        entry = Compliance(status="keyed", id_key_digest=digest)

        assert status(entry, id_key_digest=digest) is None

    @pytest.mark.parametrize("change", [{"issuer": "x"}, {"feed": "x"}])
    def test_other_endorsement(self, change):
        """
        Issuer and feed both count.
        """
        other = dataclasses.replace(UVM, **change)

        assert status(*ENTRIES, endorsements=[other]) is None

    @pytest.mark.parametrize(
        ("svn", "least", "expected"),
        [
            (5, None, "uvm"),
            (None, None, "uvm"),
            (5, 5, "uvm"),
            (5, 6, None),
            (0, 0, "uvm"),
            (None, 0, None),
        ],
    )
    def test_svn(self, svn, least, expected):
        """
        An entry may ask for a least SVN, which an endorsement without one
        does not have.
        """
        entry = dataclasses.replace(BY_UVM, uvm_svn=least)
        endorsement = dataclasses.replace(UVM, svn=svn)

        assert expected == status(entry, endorsements=[endorsement])


class TestExposed:
    def test_no_status(self):
        """
        What the host can look into, or what was not launched itself, has no
        status, whatever is known of the rest.
        """
        known = {
            "measurement": MEASUREMENT,
            "id_key_digest": KEY,
            "endorsements": [UVM],
        }

        assert None is status(*ENTRIES, **known, is_exposed=True)
        assert "measured" == status(*ENTRIES, **known)
