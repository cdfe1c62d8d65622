"""
Whole claim sets, compared with those of 15 real tokens.
"""

import pytest

from tests.conformance.maa_recording import (
    NOW,
    claim,
    decode,
    documents,
    list_tokens,
    send,
    verify,
)
from thim.attestation.appraisal import appraise
from thim.attestation.maa_claims import OWN_NAMES
from thim.attestation.maa_collateral import hash_documents
from thim.baseline.provider import Provider
from thim.intel.tcb import TcbStatus


#: Who issued the token, when, and by which policy: added by whoever signs it.
OF_THE_ISSUER = {
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "x-ms-policy-hash",
    "x-ms-policy-signer",
    "x-ms-ver",
}
#: What the default policy issues, and of what; on the shared provider it is in
#: force, where no draft takes its place.
OF_THE_DEFAULT_POLICY = {
    "is-debuggable": "x-ms-sgx-is-debuggable",
    "product-id": "x-ms-sgx-product-id",
    "sgx-mrenclave": "x-ms-sgx-mrenclave",
    "sgx-mrsigner": "x-ms-sgx-mrsigner",
    "svn": "x-ms-sgx-svn",
    "tee": "x-ms-attestation-type",
}
#: What differs, since the documents that were used are not there: the identity
#: is of some hours later; the lists are of years later, and which of them Azure
#: hashes, and how, is not known.
OF_OTHER_DOCUMENTS = {"qeidhash", "qeidcrlhash", "tcbinfocrlhash"}
COLLATERAL = ("maa-attestationcollateral", "x-ms-sgx-collateral")
TOKENS = list_tokens()

pytestmark = pytest.mark.usefixtures("corpus")


def without_other_documents(claims):
    """
    Leave out of *claims* the digests of documents that are not there.
    """
    kept = {
        name: {
            key: value
            for key, value in claims[name].items()
            if key not in OF_OTHER_DOCUMENTS
        }
        for name in COLLATERAL
    }
    return {**claims, **kept}


def expect(name):
    """
    Return what a token says, but for what was listed above.
    """
    token = decode(name)
    issued = OF_THE_DEFAULT_POLICY if "shared" in name else {}
    if name.endswith("draft"):
        issued = {}
    assert issued.keys() == OF_THE_DEFAULT_POLICY.keys() & token.keys()
    assert {each: token[of] for each, of in issued.items()} == {
        each: token[each] for each in issued
    }
    apart = OF_THE_ISSUER | {*issued}
    return {key: value for key, value in token.items() if key not in apart}


def test_15_tokens():
    """
    There are 15 tokens: of three providers, for evidence in both forms, with
    bytes, with JSON and with a draft policy.
    """
    assert 15 == len(TOKENS)


@pytest.mark.parametrize("name", TOKENS)
def test_claims(name):
    """
    What we say of the enclave is what the token says, claim for claim, and
    nothing more but our own.
    """
    found = claim(name)
    ours = {key: found.pop(key) for key in OWN_NAMES & found.keys()}

    assert without_other_documents(expect(name)) == without_other_documents(
        found
    )
    assert ("azure", 10, "SWHardeningNeeded") == (
        ours["x-thim-baseline"],
        ours["x-thim-evaluation-number"],
        ours["x-thim-tcb-status"],
    )


@pytest.mark.parametrize("name", TOKENS)
def test_types_and_order(name):
    """
    Values are of the same types, and an object's keys in the same order.
    """
    expected, found = expect(name), claim(name)

    for key, value in expected.items():
        assert type(value) is type(found[key])
        assert repr(value) == repr(found[key]) or key in COLLATERAL
        if key in COLLATERAL:
            assert list(value) == list(found[key])


@pytest.mark.parametrize("name", TOKENS)
def test_documents(name):
    """
    The digests of TCB info, both chains and the quote are the token's; those
    of the other three documents are not, which is why they are left out.
    """
    hashes = hash_documents(documents()).with_quote(send(name).evidence)
    token = decode(name)["x-ms-sgx-collateral"]

    assert OF_OTHER_DOCUMENTS == {
        key for key, value in token.items() if value != hashes[key]
    }
    assert token["tcbinfocrlhash"] == token["qeidcrlhash"]


def test_accepted():
    """
    The enclave is accepted by the rule that a provider has unless another is
    set, for documents of an archived number, and says which had ended.
    """
    verdict = verify(send(TOKENS[0]))
    found = appraise(verdict, Provider(), is_withdrawn=True)

    assert TcbStatus.SW_HARDENING_NEEDED is verdict.tcb_status
    assert found.is_accepted
    assert ("tcb-info", "identity") == found.accepted_expired
    assert NOW == verdict.now
