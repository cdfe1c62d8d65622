"""
All commands of ``thim``, of which each is loaded when it is asked for.

To load them all takes most of a second, which is much for one that looks at a
file.
"""

from __future__ import annotations

import functools
import importlib

from collections.abc import Callable, Mapping
from typing import Any, Final

import typer

from typer.main import get_command

from thim.cli.base import make_app


#: Where each command is: module and attribute.
COMMANDS: Final[Mapping[str, str]] = {
    "init": "init:init",
    "serve": "serve:serve",
    "agent": "agent:agent",
    "simulate": "simulate:simulate",
    "status": "statuses:status",
    "verify": "verify:verify",
    "attest": "attest:attest",
    "doctor": "doctor:doctor",
    "openapi": "openapi:openapi",
}
#: The same of groups of commands.
GROUPS: Final[Mapping[str, str]] = {
    "upstream": "refreshing:upstream_app",
    "trust": "trust:app",
    "token": "tokens:app",
    "baseline": "baselines:app",
    "fleet": "fleet:app",
    "tenant": "tenants:app",
    "tls": "tls:app",
    "collateral": "collateral:app",
    "platform": "platforms:app",
    "chip": "chips:app",
    "policy": "policy:app",
    "import": "pccs_import:app",
    "bundle": "bundle:app",
    "db": "database:app",
    "config": "configuration:app",
    "signing": "signing:app",
    "decision": "decisions:app",
    "audit": "audit:app",
    "webhook": "hooks:app",
    "client-config": "clients:app",
}
#: What belongs to a group and has a module of its own.
ELSEWHERE: Final[Mapping[str, Mapping[str, str]]] = {
    "collateral": {
        "refresh": "refreshing:refresh",
        "status": "refreshing:status",
        "prefetch": "prefetch:prefetch",
        "export": "collateral_export:export",
        "refused": "refusals:refused",
    },
    "bundle": {
        "import": "bundle_import:import_",
        "verify": "bundle_import:verify",
        "list": "bundle_import:list_",
    },
    "policy": {"export": "policy_export:export"},
    "signing": {"jwks": "signing_jwks:jwks"},
    "baseline": {
        "plan": "baseline_plans:plan",
        "apply": "baseline_plans:apply",
        "rollback": "baseline_plans:rollback",
    },
    "db": {"backup": "backups:backup", "restore": "backups:restore"},
    "tenant": {"attestation": "tenant_attestation:attestation"},
}
#: What needs no other command; a version needs none at all.
_WORDS: Final = frozenset({*COMMANDS, *GROUPS, "--version"})


def find_command(word: str) -> Callable[..., Any]:
    """
    Return the command line with the one command, or group, that *word* names;
    with all of them if it names none.
    """
    return _make_command(word if word in _WORDS else None)


@functools.cache
def _make_command(only: str | None) -> Callable[..., Any]:
    # typer reads the signatures of all that it is given, which takes long too:
    # once in a process is enough.
    app = make_app()
    for name, place in COMMANDS.items():
        if only in {None, name}:
            app.command(name)(_load(place))
    for name in GROUPS:
        if only in {None, name}:
            app.add_typer(_load_group(name), name=name)
    return get_command(app)


@functools.cache
def _load_group(name: str) -> typer.Typer:
    group: typer.Typer = _load(GROUPS[name])
    for command, place in ELSEWHERE.get(name, {}).items():
        group.command(command)(_load(place))
    return group


def _load(place: str) -> Any:  # noqa: ANN401 - a command or a group
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(f"thim.cli.{module}"), attribute)
