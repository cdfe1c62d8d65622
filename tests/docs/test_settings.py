"""
The page of settings has those that there are, as they are.
"""

import pytest
import typer

from tests.conftest import PROJECT
from thim.cli import agent_settings, settings
from thim.cli.agent import agent
from thim.cli.serve import serve


TEXT = (PROJECT / "docs" / "settings.md").read_text()
SERVICE, _, AGENT = TEXT.partition("## The agent")
#: Of which the environment has no form.
TABLES = {"openid", "tls_certificates", "webhooks"}


def rows(text):
    """
    Return what the page says of each setting, by its name.
    """
    cells = [
        [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return {name: tuple(rest) for name, *rest in cells if len(rest) == 5}


def flags(command):
    """
    Return the flags of *command*, by their settings.
    """
    app = typer.Typer()
    app.command()(command)
    params = typer.main.get_command(app).params
    return {param.name: param.opts[0] for param in params}


def expected(known, prefix, command):
    """
    Return what should be said, but for how a value is written.
    """
    flag = flags(command)
    return {
        name: (
            "-" if name in TABLES else f"{prefix}{name.upper()}",
            flag.get(name, "-"),
            setting.default or "-",
            setting.meaning,
        )
        for name, setting in known.items()
    }


class TestSettings:
    """docs/settings.md."""

    @pytest.mark.parametrize(
        ("text", "known", "prefix", "command"),
        [
            pytest.param(
                SERVICE, settings.SETTINGS, "THIM_", serve, id="service"
            ),
            pytest.param(
                AGENT,
                agent_settings.SETTINGS,
                "THIM_AGENT_",
                agent,
                id="agent",
            ),
        ],
    )
    def test_every_setting(self, text, known, prefix, command):
        """Each setting has its variable, flag, default and meaning."""
        found = {
            name: (variable, flag, default, meaning)
            for name, (variable, flag, _, default, meaning) in rows(
                text
            ).items()
        }
        assert expected(known, prefix, command) == found

    def test_the_agents_page(self):
        """The agent's own page has each of its settings, too."""
        text = (PROJECT / "docs" / "agent.md").read_text()
        assert [] == [
            name
            for name in agent_settings.SETTINGS
            if f"| `{name}` |" not in text
        ]
