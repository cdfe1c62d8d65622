"""
What was decided at the demo's site: baselines, tenants, a policy, tokens, and
the plan that waits.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING, Final

from thim.attestation.kind import AttestationType
from thim.attestation.policy_jws import write_unsigned
from thim.baseline.definition import read_baseline
from thim.baseline.model import Overrides, Tenant
from thim.services.attestation_policies import Management
from thim.services.deciding import Decision, deciding
from thim.services.planning import Planner
from thim.services.tokens import Role, make_token
from thim.simulate.demo.fleet import BANK, CUSTOMER, HEALTH, LAB
from thim.simulate.demo.site import ACTOR
from thim.simulate.demo.vendor import NEWEST


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.simulate.demo.site import Site

#: Baselines of the site's own: slow, with minimums for AMD's chips; and as the
#: vendor's ``standard``, two weeks later.
STEADY: Final = "steady"
PROD: Final = "prod"
#: What a change may break; the service's own setting is the same by default.
_MOST_BROKEN: Final = 0.01
_BASELINES: Final = {
    STEADY: b"""
        {"rule": "trailing: 540d", "amd": {
            "Milan": {"snp": {"spl": 24, "source": "demo"},
                      "ucode": {"19/1/1": {"spl": 219, "source": "demo"}}},
            "Turin": {"snp": {"spl": 4, "source": "demo"},
                      "fmc": {"spl": 1, "source": "demo"}}}}
    """,
    PROD: b'{"rule": "standard", "hold": "14d"}',
}
_TENANTS: Final = (
    Tenant(name=BANK, baseline=STEADY, labels={CUSTOMER: BANK}),
    Tenant(name=HEALTH, baseline=PROD, labels={CUSTOMER: HEALTH}),
    Tenant(
        name=LAB,
        baseline="early",
        overrides=Overrides.ALLOWED,
        labels={CUSTOMER: LAB},
    ),
)
#: The bank takes no enclave that can be debugged, whatever the service permits.
POLICY: Final = """\
version= 1.1;
authorizationrules {
    [type=="x-ms-sgx-is-debuggable", value==false] => permit();
};
issuancerules {
    c:[type=="x-ms-sgx-mrsigner"] => issue(type="signer", value=c.value);
};
"""


def decide(site: Site) -> None:
    """
    Define the baselines, create the tenants, and let the root stand where the
    bank does.
    """
    with _planning(site, "how we run") as planner:
        for name, body in _BASELINES.items():
            baseline = read_baseline(name, 0, body)
            planner.apply(planner.plan_definition(baseline))
    with site.writing() as ledger, deciding(ledger) as decider:
        for tenant in _TENANTS:
            decider.create_tenant(tenant, _decision(site, "a new customer"))
    with _planning(site, "AMD's minimums are for all") as planner:
        planner.apply(planner.plan_move(["root"], STEADY))


def set_policy(site: Site) -> None:
    """
    Put the bank's policy for enclaves in force.
    """
    with site.writing() as ledger:
        Management(
            ledger=ledger, tenant=BANK, actor=ACTOR, clock=site.vendors.clock
        ).set_policy(AttestationType.SGX_ENCLAVE, write_unsigned(POLICY))


def prepare_recovery(site: Site) -> int:
    """
    Plan that two tenants go to the newest number, one of them first, and apply
    nothing; return the plan's number.
    """
    with _planning(site, f"TCB recovery {NEWEST}") as planner:
        plan = planner.plan_move([HEALTH, BANK], str(NEWEST), [HEALTH])
    return plan.id


def make_role_token(site: Site, role: Role) -> str:
    """
    Make a token of *role* for the root; return its text.
    """
    text, kept = make_token(
        f"demo {role.value}", role, actor=ACTOR, now=site.now
    )
    with site.writing() as ledger:
        ledger.tokens.add(kept)
    return text


@contextlib.contextmanager
def _planning(site: Site, reason: str) -> Iterator[Planner]:
    with site.writing() as ledger:
        yield Planner(ledger, _decision(site, reason), site.judge, _MOST_BROKEN)


def _decision(site: Site, reason: str) -> Decision:
    return Decision(actor=ACTOR, reason=reason, now=site.now)
