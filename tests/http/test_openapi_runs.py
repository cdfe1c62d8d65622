import pytest

from tests.http.attestation_serving import Provider, serving_providers
from tests.http.schema_runs import Run, hurrying
from tests.policy_signers import policy, unsigned
from thim.http.openapi_route import find_family


#: A process of its own works out what these would do, for a second each.
JUDGED = ("askWhatIf", "putTenantBaseline")
#: And without tenants there is less to be wrong.
DELETE = "deleteTenant"
WHY = {"reason": "a test"}
BRIEF = {"count": 1, "is_thorough": False}


@pytest.fixture(scope="module")
def api(intel, tmp_path_factory):
    """
    A service with tenants, platforms, a chip, a held baseline, a plan that
    waits, a policy, and tokens for everybody.
    """
    folder = tmp_path_factory.mktemp("openapi")
    with serving_providers(intel, folder, clock=hurrying()) as running:
        populate(running)
        yield running


def populate(api):
    """
    Decide something.
    """
    held = {"rule": "standard", "hold": "until-approved"}
    body = {**WHY, "baseline": "held", "definition": held}
    plan = api.post("/plans", body).json["id"]
    assert 200 == api.post(f"/plans/{plan}/apply", WHY).status
    moved = {**WHY, "baseline": "held", "tenants": ["lab"]}
    assert 201 == api.post("/plans", moved).status
    assert 200 == Provider(api, "acme").put(unsigned(policy())).status


def headers(api, who):
    """
    What a caller with the token of *who* sends.
    """
    sent = {"Host": "attest.example"}
    return (
        sent
        if who is None
        else {**sent, "Authorization": f"Bearer {api.tokens[who]}"}
    )


class TestAdmin:
    @pytest.mark.parametrize("tag", find_family("admin").tags)
    def test_administrator(self, api, tag):
        """
        Whatever an administrator sends, the admin API answers as its document
        says: no 500, no other status, form or header.
        """
        run = Run(family="admin", count=2, tag=tag, out=(*JUDGED, DELETE))

        assert {} == run.find_failures(api.served.url, headers(api, "admin"))

    @pytest.mark.parametrize("who", ["admin", "acme/admin"])
    def test_judged(self, api, who):
        """
        So it does where platforms are judged.
        """
        run = Run(family="admin", only=JUDGED, count=1, is_thorough=False)

        assert {} == run.find_failures(api.served.url, headers(api, who))

    @pytest.mark.parametrize("who", ["acme/reader", "agent", None])
    def test_others(self, api, who):
        """
        So it does to a tenant's own, an agent, and somebody without a token.
        """
        run = Run(family="admin", out=(*JUDGED, DELETE), **BRIEF)

        assert {} == run.find_failures(api.served.url, headers(api, who))

    def test_deleted(self, intel, tmp_path):
        """
        So it does when tenants are deleted.
        """
        run = Run(family="admin", count=3, only=(DELETE,))

        with serving_providers(intel, tmp_path, clock=hurrying()) as api:
            found = run.find_failures(api.served.url, headers(api, "admin"))

        assert {} == found


class TestAttestation:
    @pytest.mark.parametrize("tag", find_family("attestation").tags)
    def test_administrator(self, api, tag):
        """
        Whatever an administrator sends, the attestation API answers as its
        document says.
        """
        run = Run(family="attestation", count=2, tag=tag)

        assert {} == run.find_failures(api.served.url, headers(api, "admin"))

    @pytest.mark.parametrize("who", ["acme/operator", "lab/reader", None])
    def test_tenant(self, api, who):
        """
        So it does below a tenant's prefix: to its own operator, to another
        tenant's, and to somebody without a token.
        """
        run = Run(family="attestation", **BRIEF)
        url = f"{api.served.url}/tenant/acme"

        assert {} == run.find_failures(url, headers(api, who))
