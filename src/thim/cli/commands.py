"""
All commands of ``thim``, of which each is loaded when it is asked for.

To load them all takes most of a second, which is much for one that looks at a
file.
"""

from __future__ import annotations

import functools
import importlib

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import typer

from typer.main import get_command

from thim.cli.base import make_app
from thim.cli.page import SECTIONS, find_name, spell_examples


if TYPE_CHECKING:
    from typer.core import TyperGroup


#: Where each command is: module and attribute.
COMMANDS: Final[Mapping[str, str]] = {
    "init": "init:init",
    "serve": "serve:serve",
    "agent": "agent:agent",
    "simulate": "simulate:simulate",
    "demo": "demo:demo",
    "status": "statuses:status",
    "verify": "verify:verify",
    "attest": "attest:attest",
    "doctor": "doctor:doctor",
    "openapi": "openapi:openapi",
    "completion": "completion:completion",
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
    "pccs": "pccs_import:app",
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
    "signing": {"export": "signing_export:export"},
    "baseline": {
        "plan": "baseline_plans:plan",
        "apply": "baseline_plans:apply",
        "rollback": "baseline_plans:rollback",
    },
    "db": {"backup": "backups:backup", "restore": "backups:restore"},
    "tenant": {"set-attestation": "tenant_attestation:set_attestation"},
}


def make_command() -> TyperGroup:
    """
    Return the command line, which loads a command when it is named.
    """
    made: Any = get_command(make_app())
    made.commands = Commands()
    found: TyperGroup = made
    return found


class Commands(Mapping[str, Any]):
    """All commands and groups by name, in the order of the page."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's own
        if name not in COMMANDS and name not in GROUPS:
            raise KeyError(name)
        return _make(name)

    def __iter__(self) -> Iterator[str]:
        return (name for names in SECTIONS.values() for name in names)

    def __len__(self) -> int:
        return len(COMMANDS) + len(GROUPS)


@functools.cache
def _make(name: str) -> Any:  # noqa: ANN401 - a command or a group
    # typer reads the signatures of all that it is given, which takes long too:
    # once in a process is enough.
    app = make_app()
    if name in COMMANDS:
        app.command(name)(_load(COMMANDS[name]))
    else:
        app.add_typer(_load_group(name), name=name, help=find_name(name))
    made: Any = get_command(app)
    command = made.commands[name]
    _add_examples(name, command)
    return command


def _add_examples(name: str, command: Any) -> None:  # noqa: ANN401 - as above
    command.epilog = spell_examples(name)
    for word, each in getattr(command, "commands", {}).items():
        _add_examples(f"{name} {word}", each)


@functools.cache
def _load_group(name: str) -> typer.Typer:
    group: typer.Typer = _load(GROUPS[name])
    for command, place in ELSEWHERE.get(name, {}).items():
        group.command(command)(_load(place))
    return group


def _load(place: str) -> Any:  # noqa: ANN401 - a command or a group
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(f"thim.cli.{module}"), attribute)
