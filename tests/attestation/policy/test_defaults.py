import pytest

from tests.attestation.policy.made import run
from thim.attestation.kind import ATTESTED, AttestationType
from thim.attestation.policy.defaults import DEFAULT_POLICIES
from thim.attestation.policy.hashes import policy_hash
from thim.attestation.policy.parse import parse_policy
from thim.attestation.policy.reserved import check_reserved, reserved_for


#: What the service says of an enclave.
ENCLAVE = {
    "x-ms-attestation-type": "sgx",
    "x-ms-sgx-is-debuggable": True,
    "x-ms-sgx-mrenclave": "aa",
    "x-ms-sgx-mrsigner": "bb",
    "x-ms-sgx-product-id": 1,
    "x-ms-sgx-svn": 2,
}
#: Of 2020: the names that begin with $.
LEGACY = (
    'version= 1.0;authorizationrules{c:[type=="$is-debuggable"] => permit();};'
    "issuancerules{"
    + "".join(
        f'c:[type=="${name}"] => issue(type="{name}", value=c.value);'
        for name in (
            "is-debuggable",
            "sgx-mrsigner",
            "sgx-mrenclave",
            "product-id",
            "svn",
            "tee",
        )
    )
    + "};"
)
#: Of tests of the SDKs.
SHORT = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"


class TestHashes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                DEFAULT_POLICIES[AttestationType.SGX_ENCLAVE],
                "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw",
            ),
            (
                DEFAULT_POLICIES[AttestationType.OPEN_ENCLAVE],
                "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw",
            ),
            (
                DEFAULT_POLICIES[AttestationType.SEV_SNP_VM],
                "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco",
            ),
            (LEGACY, "egjnANIzEpS2WgpE4Nk-QEwM69XRCgTs42_G0qLlbnk"),
            (SHORT, "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU"),
        ],
    )
    def test_recorded(self, text, expected):
        """
        Hashes are those in tokens of Azure Attestation.
        """
        assert expected == policy_hash(text)


class TestPolicies:
    @pytest.mark.parametrize("type_", sorted(ATTESTED, key=str))
    def test_can_be_set(self, type_):
        """
        Each type that there are tokens of has a policy, which could be set.
        """
        policy = parse_policy(DEFAULT_POLICIES[type_])

        check_reserved(policy, reserved_for(type_))

    def test_enclave(self):
        """
        That of enclaves permits, and gives the claims of old names.
        """
        decision = run(DEFAULT_POLICIES[AttestationType.SGX_ENCLAVE], ENCLAVE)

        assert decision.permitted
        assert {
            "is-debuggable": True,
            "sgx-mrsigner": "bb",
            "sgx-mrenclave": "aa",
            "product-id": 1,
            "svn": 2,
            "tee": "sgx",
        } == decision.issued

    def test_guest(self):
        """
        That of guests permits, and adds nothing.
        """
        decision = run(DEFAULT_POLICIES[AttestationType.SEV_SNP_VM])

        assert decision.permitted
        assert {} == decision.issued
