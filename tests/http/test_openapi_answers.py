"""
What the services really answer is what their documents say.
"""

import msgspec
import pytest

from tests.http.admin_api import serving_admin
from tests.http.attestation_serving import (
    Provider,
    define,
    serving_providers,
)
from tests.http.attesting import OLD, V, b64
from tests.http.test_tenant_admin import AT, TCB
from tests.platforms import NOW
from tests.policy_signers import (
    PERMIT,
    certificate,
    policy,
    signed,
    signer,
)
from thim.baseline.decided import Promotion
from thim.baseline.provider import TrustModel
from thim.http.openapi_admin_answers import Promotion as PromotionAnswer
from thim.http.openapi_admin_answers import Tenant
from thim.http.openapi_route import find_family
from thim.services.baseline_views import describe_promotion


WHY = {"reason": "a test"}
STEADY = {"rule": "trailing: 540d", "floor": 17, "hold": "14d"}
FLOORS = {
    "Milan": {
        "snp": {"spl": 9, "source": "a bulletin"},
        "ucode": {"19/1/1": {"spl": 20, "source": "a bulletin"}},
    }
}
PLAN = {
    **WHY,
    "baseline": "steady",
    "definition": {**STEADY, "amd": FLOORS},
}
LATER = {**PLAN, "baseline": "later", "effective": "2030-01-01T00:00:00+01:00"}
TENANT = {
    **WHY,
    "baseline": "17",
    "quota": {"requests": 5, "per": "token"},
    "labels": {"site": "fra"},
    "hosts": ["new.example"],
    "attestation": {
        "trust": "aad",
        "crl_grace": "7d",
        "compliance": [{"status": "good", "measurement": "ab" * 48}],
    },
}
CHIP = "/chips/Milan/" + "0123456789ABCDEF" * 8
#: In an order in which each of them can be done.
ADMIN = (
    ("whoAmI", "GET", "/whoami", None),
    ("getOpenApi", "GET", "/openapi.json", None),
    ("putTenant", "PUT", "/tenants/new", TENANT),
    ("listTenants", "GET", "/tenants", None),
    ("getTenant", "GET", "/tenants/new", None),
    ("getTenantHistory", "GET", "/tenants/new/history", None),
    (
        "findServedDocument",
        "GET",
        f"/tenants/acme/served?at={AT}&path={TCB}",
        None,
    ),
    ("askWhatIf", "GET", "/tenants/all/what-if?baseline=18", None),
    (
        "putTenantBaseline",
        "PUT",
        "/tenants/acme/baseline",
        {**WHY, "baseline": "18"},
    ),
    ("deleteTenant", "DELETE", "/tenants/new?reason=over", None),
    ("makePlan", "POST", "/plans", PLAN),
    ("makePlan", "POST", "/plans", LATER),
    ("listPlans", "GET", "/plans", None),
    ("getPlan", "GET", "/plans/2", None),
    ("applyPlan", "POST", "/plans/2/apply", WHY),
    ("listBaselines", "GET", "/baselines", None),
    ("getBaseline", "GET", "/baselines/steady", None),
    ("getBaselineHistory", "GET", "/baselines/steady/history", None),
    ("rollBackPlan", "POST", "/plans/1/rollback", WHY),
    ("putChip", "PUT", CHIP, {"tcb": "D315000000000004", "name": "node-7"}),
    ("listChips", "GET", "/chips", None),
    ("enrolAgent", "POST", "/agents", {"name": "node-7"}),
)


def check(family, name, got):
    """
    Read an answer as the document says that it is.
    """
    (operation,) = [o for o in find_family(family).operations if o.id == name]
    assert 300 > got.status, (name, got.body)
    answer = operation.answers[got.status]
    missing = [each for each in answer.headers if each.lower() not in got]
    assert [] == missing, name
    for kind in answer.kinds.values():
        msgspec.json.decode(got.body, type=kind)


class TestAdmin:
    def test_all(self, intel, tmp_path):
        """
        Each operation of the admin API answers as it says, if all is well.
        """
        tried = {name for name, *_ in ADMIN}
        with serving_admin(intel, tmp_path, max_broken=1.0) as api:
            for name, method, path, body in ADMIN:
                check("admin", name, api.ask(path, method=method, body=body))

        untried = {o.id for o in find_family("admin").operations} - tried
        assert {"approveBaseline", "rollBackBaseline"} == untried

    def test_promotion(self):
        """
        So do the two that are about a baseline that is held.
        """
        made = Promotion(
            baseline="steady",
            version=1,
            sequence=1,
            number=18,
            noticed=NOW,
            effective=NOW,
            actor="ann",
            reason="a test",
        )

        msgspec.convert(describe_promotion(made), PromotionAnswer)

    def test_changed(self, intel, tmp_path):
        """
        A tenant that was there is answered with another status.
        """
        with serving_admin(intel, tmp_path) as api:
            body = {**WHY, "quota": {"requests": 5}}
            got = api.put("/tenants/acme", body, if_match='"1"')

        assert 200 == got.status
        msgspec.json.decode(got.body, type=Tenant)


@pytest.fixture
def isolated(intel, tmp_path):
    """
    An isolated provider, and somebody who may sign its policies.
    """
    ann = signer("ann")
    with serving_providers(intel, tmp_path) as api:
        define(api.store, intel, "acme", ann.ders[0], trust=TrustModel.ISOLATED)
        yield Provider(api, "acme"), ann


class TestAttestation:
    def test_providers(self, isolated):
        """
        Each operation on policies answers as it says, in both versions of the
        API.
        """
        acme, ann = isolated
        new, old = f"api-version={V}", f"api-version={OLD}&tee=SgxEnclave"
        put = signed(policy(), ann)
        add = signed(certificate(signer("ben")), ann)
        remove, empty = add, signed(b"", ann)
        raw = signed({"AttestationPolicy": PERMIT}, ann)
        current = f"/operations/policy/current?{old}"
        below = f"/operations/policy/certificates?api-version={OLD}"
        for name, method, path, body in (
            ("setPolicy", "PUT", f"/policies/SgxEnclave?{new}", put),
            ("getPolicy", "GET", f"/policies/SgxEnclave?{new}", None),
            ("resetPolicy", "POST", f"/policies/SgxEnclave:reset?{new}", empty),
            ("getPolicyCertificates", "GET", f"/certificates?{new}", None),
            ("addPolicyCertificate", "POST", f"/certificates:add?{new}", add),
            (
                "removePolicyCertificate",
                "POST",
                f"/certificates:remove?{new}",
                remove,
            ),
            (
                "listTcbBaselines",
                "GET",
                f"/tcbbaselines/SgxEnclave?{new}",
                None,
            ),
            (
                "prepareOldPolicy",
                "POST",
                f"/operations/policy/updatepolicy?{old}",
                raw,
            ),
            (
                "prepareOldPolicyAgain",
                "POST",
                f"/operations/policy/update?{old}",
                raw,
            ),
            ("setOldPolicy", "PUT", current, raw),
            ("getOldPolicy", "GET", current, None),
            ("resetOldPolicy", "POST", current, empty),
            ("deleteOldPolicy", "DELETE", current, empty),
            ("getOldPolicyCertificates", "GET", below, None),
            ("addOldPolicyCertificate", "PUT", below, add),
            ("removeOldPolicyCertificate", "POST", below, remove),
            ("getSigningKeys", "GET", "/certs", None),
            ("getSigningKeysSlash", "GET", "/certs/", None),
            (
                "getOpenIdConfiguration",
                "GET",
                "/.well-known/openid-configuration",
                None,
            ),
            ("getServiceHealth", "GET", "/servicehealth", None),
        ):
            got = acme.ask(path, "acme/operator", method=method, body=body)
            check("attestation", name, got)

    def test_attest(self, attested):
        """
        So do those that attest.
        """
        quote = attested.quote()
        sent = {"quote": b64(quote)}
        old = {"Quote": b64(quote)}
        path = "/attest/Tee/SgxEnclave"
        token = f"Bearer {attested.token}"

        check("attestation", "attest", attested.post("SgxEnclave", sent))
        got = attested.post(
            "SgxEnclave", old, version=OLD, path=path, Authorization=token
        )
        check("attestation", "attestOld", got)
