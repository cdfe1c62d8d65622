"""
The page of claims has every claim that a token can have.
"""

import re

from tests.conftest import PROJECT
from thim.attestation.maa_claims import NAMES, OWN_NAMES
from thim.attestation.maa_snp_claims import SNP_NAMES


TEXT = (PROJECT / "docs" / "claims.md").read_text()
#: What the service says of itself, and of the policy, in each token.
OF_THE_SERVICE = {
    *("iss", "iat", "nbf", "exp", "jti", "x-ms-ver"),
    *("x-ms-policy-hash", "x-ms-policy-signer"),
}


class TestClaims:
    """docs/claims.md."""

    def test_every_claim(self):
        """Each claim that the service makes is on the page, in full."""
        made = {*OWN_NAMES, *SNP_NAMES, *OF_THE_SERVICE}.union(*NAMES.values())
        assert set() == made - {*re.findall("`([^`\n]+)`", TEXT)}
