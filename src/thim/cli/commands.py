"""
All commands of ``thim``.
"""

from __future__ import annotations

from thim.cli import (
    agent,
    attest,
    audit,
    backups,
    baseline_plans,
    baselines,
    bundle,
    chips,
    clients,
    collateral,
    collateral_export,
    configuration,
    database,
    decisions,
    fleet,
    hooks,
    init,
    openapi,
    pccs_import,
    platforms,
    policy,
    policy_export,
    prefetch,
    refreshing,
    refusals,
    serve,
    signing,
    signing_jwks,
    simulate,
    statuses,
    tenant_attestation,
    tenants,
    tls,
    tokens,
    trust,
    verify,
)
from thim.cli.base import make_app


app = make_app()
app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("agent")(agent.agent)
app.command("simulate")(simulate.simulate)
app.command("status")(statuses.status)
app.command("verify")(verify.verify)
app.command("attest")(attest.attest)
app.command("openapi")(openapi.openapi)
collateral.app.command("refresh")(refreshing.refresh)
collateral.app.command("status")(refreshing.status)
collateral.app.command("prefetch")(prefetch.prefetch)
collateral.app.command("export")(collateral_export.export)
policy.app.command("export")(policy_export.export)
signing.app.command("jwks")(signing_jwks.jwks)
collateral.app.command("refused")(refusals.refused)
baselines.app.command("plan")(baseline_plans.plan)
baselines.app.command("apply")(baseline_plans.apply)
baselines.app.command("rollback")(baseline_plans.rollback)
database.app.command("backup")(backups.backup)
database.app.command("restore")(backups.restore)
tenants.app.command("attestation")(tenant_attestation.attestation)
app.add_typer(refreshing.upstream_app, name="upstream")
app.add_typer(trust.app, name="trust")
app.add_typer(tokens.app, name="token")
app.add_typer(baselines.app, name="baseline")
app.add_typer(fleet.app, name="fleet")
app.add_typer(tenants.app, name="tenant")
app.add_typer(tls.app, name="tls")
app.add_typer(collateral.app, name="collateral")
app.add_typer(platforms.app, name="platform")
app.add_typer(chips.app, name="chip")
app.add_typer(policy.app, name="policy")
app.add_typer(pccs_import.app, name="import")
app.add_typer(bundle.app, name="bundle")
app.add_typer(database.app, name="db")
app.add_typer(configuration.app, name="config")
app.add_typer(signing.app, name="signing")
app.add_typer(decisions.app, name="decision")
app.add_typer(audit.app, name="audit")
app.add_typer(hooks.app, name="webhook")
app.add_typer(clients.app, name="client-config")
