"""
Which baseline decides about evidence: the policy may say so.
"""

import pytest

from tests.http.attesting import ACME, claims_in, detail_in, error_in


def choosing(name, value, version="1.1"):
    """
    Make a policy that chooses a baseline.
    """
    return (
        f"version={version}; configurationrules{{ => issueproperty("
        f'type="{name}", value="{value}"); }}; '
        "authorizationrules{=> permit();};"
    )


TCB = "x-ms-sgx-tcbidentifier"
OURS = "x-thim-baseline"


class TestBaseline:
    @pytest.mark.parametrize(
        ("name", "value", "number"),
        [
            (TCB, "azuredefault", 18),
            (TCB, "AzureDefault", 18),
            (TCB, "20", 20),
            (OURS, "20", 20),
            (OURS, "standard", 20),
            (TCB, "firm", 20),
        ],
    )
    def test_chosen(self, attester, acme, name, value, number):
        """
        A stored policy chooses the baseline, though its tenant allows no
        overrides: it is the tenant's own word.
        """
        got = acme(choosing(name, value))

        if number == 20:  # at which the machine is out of date
            assert (400, "InvalidParameter") == error_in(got)[:2]
            assert "number 20" in detail_in(got)
        else:
            claims = attester.claims(got, ACME)
            assert number == claims["x-thim-evaluation-number"]

    def test_archived(self, attester, acme):
        """
        It may choose a number that the vendor has withdrawn.
        """
        claims = attester.claims(acme(choosing(TCB, "17")), ACME)

        assert 17 == claims["x-thim-evaluation-number"]
        assert "17" == claims["x-thim-baseline"]

    def test_ours_first(self, attester, acme):
        """
        Ours goes before Azure's, where there are both.
        """
        text = (
            "version=1.1; configurationrules{"
            f'=> issueproperty(type="{TCB}", value="20");'
            f'=> issueproperty(type="{OURS}", value="17");'
            "}; authorizationrules{=> permit();};"
        )

        claims = attester.claims(acme(text), ACME)
        assert 17 == claims["x-thim-evaluation-number"]

    def test_unknown_number(self, acme):
        """
        A number of which nothing is known yet is refused when evidence comes.
        """
        got = acme(choosing(TCB, "10"))

        assert (400, "InvalidParameter") == error_in(got)[:2]
        assert "10" in detail_in(got)

    @pytest.mark.parametrize("value", ["mine", "18.0", "default x"])
    def test_unknown(self, attester, value):
        """
        One that nobody has defined is refused when the policy is set.
        """
        got = attester.set_policy(choosing(TCB, value))

        assert (400, "unknown-baseline") == error_in(got)[::2]
        assert value in detail_in(got)

    def test_floor(self, attester, acme):
        """
        No policy leads below the floor of the tenant's baseline.
        """
        attester.change("acme", baseline="firm")
        got = acme(choosing(TCB, "17"))

        assert (403, "Forbidden", "below-floor") == error_in(got)
        assert "floor 18" in detail_in(got)

    @pytest.mark.parametrize("value", ["18", "true"])
    def test_not_text(self, attester, value):
        """
        A policy that names a baseline by a number instead of a text is
        refused when it is set.
        """
        text = choosing(TCB, "x").replace('"x"', value)
        got = attester.set_policy(text)

        assert (400, "InvalidParameter", "parameter") == error_in(got)
        assert TCB in detail_in(got)

    def test_tdx(self, attester):
        """
        For trust domains ours counts; Azure's is for enclaves alone, and no
        policy for others may have it.
        """
        attester.set_policy(choosing(OURS, "20"), "TdxVm")
        claims = attester.claims(attester.tdx(prefix=ACME), ACME)
        assert 20 == claims["x-thim-evaluation-number"]

        got = attester.set_policy(choosing(TCB, "20"), "TdxVm")
        assert (400, "InvalidParameter", "parameter") == error_in(got)


class TestDraftBaseline:
    def test_never(self, attested):
        """
        A draft is a caller's word: where a tenant allows no overrides it
        chooses no baseline.
        """
        draft = choosing(TCB, "17")
        got = attested.sgx(prefix=ACME, draftPolicyForAttestation=draft)

        assert (403, "Forbidden", "overrides-never") == error_in(got)
        assert "overrides = never" in detail_in(got)

    @pytest.mark.parametrize("prefix", ["/tenant/lab", ""])
    def test_allowed(self, attested, prefix):
        """
        Where it allows them it does.
        """
        draft = choosing(TCB, "17")
        got = attested.sgx(prefix=prefix, draftPolicyForAttestation=draft)

        claims = claims_in(got.json["token"])
        assert 17 == claims["x-thim-evaluation-number"]

    def test_default(self, attested):
        """
        The tenant's own is no override.
        """
        draft = choosing(TCB, "azuredefault")
        got = attested.sgx(prefix=ACME, draftPolicyForAttestation=draft)

        assert 18 == claims_in(got.json["token"])["x-thim-evaluation-number"]
