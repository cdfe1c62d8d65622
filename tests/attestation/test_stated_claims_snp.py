"""
What SEV-SNP reports say of themselves, before they are verified.
"""

import hashlib

import pytest

from tests.amd.report_parts import a_report
from tests.attestation.snp_made import make_report
from tests.attestation.test_snp_submission import hcl_around
from tests.made_amd import TCB
from thim.attestation.evidence import parse_evidence
from thim.attestation.stated_claims import claims_of


def stated(raw):
    """
    List what a report says.
    """
    return claims_of(parse_evidence(raw))


@pytest.mark.parametrize("version", [2, 3, 5])
def test_versions(version):
    """
    A report of any version has all claims: Milan's and Genoa's TCBs are laid
    out alike.
    """
    raw = a_report(version, at_188="000000" if version == 2 else "190102")

    found = stated(raw)

    assert 18 == len(found)
    assert (3, 0x18) == (
        found["x-ms-sevsnpvm-bootloader-svn"],
        found["x-ms-sevsnpvm-snpfw-svn"],
    )


@pytest.mark.parametrize(
    "changes", [{"at_188": "ff0000"}, {"at_180": "0300010000000000"}]
)
def test_unknown(changes):
    """
    A TCB that cannot be read, or of an unknown product line, has no claims.
    """
    found = stated(a_report(**changes))

    assert 14 == len(found)
    assert "sevsnpvm" == found["x-ms-attestation-type"]


def test_hcl():
    """
    The claims in an HCL report are the runtime claims.
    """
    claims = b'{"keys":[]}'
    data = hashlib.sha256(claims).digest().ljust(64, b"\0")
    raw = hcl_around(make_report(TCB, report_data=data), claims)

    assert {"keys": []} == stated(raw)["x-ms-runtime"]
