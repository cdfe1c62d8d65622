"""
What is remembered of policies that were run.
"""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from thim.attestation.kind import AttestationType
from thim.attestation.policy.errors import PolicyEvaluationError
from thim.services.policy_shelf import PolicyShelf


POLICY = """version=1.1;
authorizationrules {
    [type=="debug", value==false] => permit();
    [type=="svn", value==1] => deny();
};
issuancerules {
    c:[type=="svn"] => issue(type="number", value=c.value);
    c:[type=="list"] => issue(type="copy", value=c.value);
};"""
SHELF = PolicyShelf()
VALUES = st.sampled_from(
    [False, True, 0, 1, 2**63, "false", "1", "é", "\ud800", [1, True], ["1"]]
)
CLAIMS = st.dictionaries(
    st.sampled_from(["debug", "svn", "list", "other"]), VALUES
)


async def decide(shelf, claims, kind=AttestationType.SGX_ENCLAVE):
    """
    Run the policy on *claims*; leave out what only tells how it was run.
    """
    prepared = await shelf.prepare(kind, POLICY)
    try:
        found = await shelf.decide(prepared, claims)
    except PolicyEvaluationError as e:
        return str(e)
    return found.refusal, repr(found.issued)


class TestDecisions:
    """
    The decisions of one policy.
    """

    @given(CLAIMS)
    def test_remembered(self, claims):
        """
        What is remembered is what the policy would decide now, whatever was
        decided before: 1 is not true.
        """
        expected = asyncio.run(decide(PolicyShelf(), claims))

        for _ in range(2):
            assert expected == asyncio.run(decide(SHELF, claims))

    def test_large(self):
        """
        Claims that are too large to be remembered are decided about as well.
        """
        claims = {"debug": False, "list": "x" * 9000}

        expected = (None, repr({"copy": "x" * 9000}))
        for _ in range(2):
            assert expected == asyncio.run(decide(SHELF, claims))
