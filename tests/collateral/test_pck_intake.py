"""
What is taken for a PCK certificate, and what is not.
"""

import dataclasses
import pickle

from datetime import timedelta

import pytest

from tests.platforms import FMSPC, NOW, issue, tcbm, verifier
from thim.collateral.intake import Intake
from thim.collateral.pck_intake import PckVerifier, verify_pems
from thim.errors import MalformedError, UntrustedError
from thim.intel.names import PckCa
from thim.simulate.pki import Intel
from thim.x509.chain import parse_pem_chain, to_pem
from thim.x509.crl import Crl


AT = tcbm(2, 2)


@pytest.fixture(scope="module")
def intel():
    """
    An Intel that issues certificates.
    """
    return Intel()


def intake(intel, **changes):
    """
    What a certificate of *intel* is judged by.
    """
    values = {
        "anchors": intel.anchors,
        "known": intel.certificates,
        "root_crl": None,
        "now": NOW,
        **changes,
    }
    return Intake(**values)


@pytest.mark.parametrize("ca", PckCa)
def test_genuine(intel, ca):
    """
    A genuine certificate becomes a record: what it says, its PEM, its chain.
    """
    certificate = issue(intel, "one", AT, ca=ca)
    record = verifier(intel).verify(certificate)
    above = {
        PckCa.PROCESSOR: intel.processor_ca,
        PckCa.PLATFORM: intel.platform_ca,
    }[ca]

    assert (ca, FMSPC, AT) == (
        record.certificate.ca,
        record.certificate.fmspc,
        record.certificate.tcbm,
    )
    assert (certificate,) == parse_pem_chain(record.pem)
    assert to_pem([above, intel.root]) == record.issuer_chain


def test_foreign(intel):
    """
    A certificate that another CA of the same name signed is not genuine.
    """
    with pytest.raises(UntrustedError, match="not signed by any") as caught:
        verifier(intel).verify(issue(Intel(seed="other"), "one", AT))

    assert "signature-invalid" == caught.value.reason


def test_foreign_anchors(intel):
    """
    A whole foreign hierarchy is none of ours.
    """
    other = Intel(seed="other")
    verify = PckVerifier(intake(intel, known=other.certificates)).verify

    with pytest.raises(UntrustedError, match="no chain of") as caught:
        verify(issue(other, "one", AT))

    assert "no-issuer-chain" == caught.value.reason


def test_revoked_ca(intel):
    """
    What a revoked CA signed is not taken, and said to be that.
    """
    revoked = [intel.platform_ca.serial_number]
    root_crl = Crl.from_der(intel.root_crl(revoked=revoked))
    verify = PckVerifier(intake(intel, root_crl=root_crl)).verify

    with pytest.raises(UntrustedError, match="is revoked by") as caught:
        verify(issue(intel, "one", AT))
    assert "revoked" == caught.value.reason
    verify(issue(intel, "one", AT, ca=PckCa.PROCESSOR))


def test_early(intel):
    """
    A certificate is not taken before it is valid, but for a clock's skew.
    """
    late = NOW + timedelta(minutes=4)
    verifier(intel).verify(issue(intel, "one", AT, since=late))

    with pytest.raises(UntrustedError, match="not valid before") as caught:
        verifier(intel).verify(
            issue(intel, "one", AT, since=NOW + timedelta(minutes=6))
        )

    assert "not-yet-valid" == caught.value.reason


def test_expired(intel):
    """
    A certificate that has expired is still genuine.
    """
    later = NOW + timedelta(days=36_500)
    record = verifier(intel, later).verify(issue(intel, "one", AT))

    assert record.certificate.not_after < later


def test_no_pck(intel):
    """
    A CA's certificate is no PCK certificate.
    """
    with pytest.raises(MalformedError, match="subject is"):
        verifier(intel).verify(intel.platform_ca)


def test_wrong_ca_named(intel):
    """
    The CA that a certificate names must have signed it: the other one will
    not do.
    """
    only = dataclasses.replace(
        intake(intel), known=(intel.root, intel.processor_ca)
    )

    with pytest.raises(UntrustedError, match="Platform CA"):
        PckVerifier(only).verify(issue(intel, "one", AT))


def test_pickled(intel):
    """
    What verifies can be sent to another process, and says the same there.
    """
    certificate = issue(intel, "one", AT)
    before = verifier(intel)
    after = pickle.loads(pickle.dumps(before))  # noqa: S301 - our own

    assert before.verify(certificate) == after.verify(certificate)
    with pytest.raises(UntrustedError):
        after.verify(issue(Intel(seed="other"), "one", AT))


def test_many(intel):
    """
    Of many platforms those that do not hold are left open, for whoever says
    why.
    """
    good = to_pem([issue(intel, "one", AT)])
    bad = to_pem([issue(Intel(seed="other"), "one", AT)])
    found = verify_pems(
        verifier(intel), [[good], [], [good, bad], [b"x"], [good + good]]
    )

    assert [1, 0, None, None, None] == [
        None if records is None else len(records) for records in found
    ]
    first = found[0]
    assert first is not None
    assert good == first[0].pem
