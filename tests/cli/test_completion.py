"""
``thim completion``: what shells complete.
"""

import os
import sys

import pytest

from tests.cli.terminal import in_terminal
from tests.upstream.receiver import SECRET
from thim.cli.main import COMPLETE
from thim.cli.page import SECTIONS


RULE = ("--rule", "number: 19", "--reason", "all that is known")
TOKEN = ("--name", "ci", "--role", "reader")


@pytest.fixture
def complete(thim, monkeypatch):
    """
    Ask as bash does, and return what there is to choose from.
    """

    def run(*words):
        monkeypatch.setenv(COMPLETE, "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(map(str, ("thim", *words))))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        got = thim()
        assert (0, "") == (got.code, got.err)
        return got.text.split()

    return run


class TestWords:
    def test_commands(self, complete):
        """
        Commands and groups are completed.
        """
        assert {"collateral", "config", "completion"} == set(complete("co"))

    def test_all(self, complete):
        """
        Behind `thim` alone there are all of them, in the order of the page.
        """
        assert [n for names in SECTIONS.values() for n in names] == complete("")

    def test_verbs(self, complete):
        """
        So is what a group has, wherever its modules are.
        """
        found = set(complete("bundle", ""))
        assert {"request", "export", "import", "verify", "list", "key"} == found

    def test_options(self, complete):
        """
        So are options, of `thim` itself too.
        """
        assert ["--config"] == complete("db", "init", "--con")
        assert ["--version"] == complete("--v")

    def test_choices(self, complete):
        """
        So is what an option can be.
        """
        assert ["registrar"] == complete("token", "create", "--role", "reg")

    def test_files(self, complete):
        """
        Where a file belongs nothing is offered, so that the shell offers its
        own.
        """
        assert [] == complete("collateral", "import", "")


class TestNames:
    @pytest.fixture
    def where(self, change):
        """
        A store with a baseline and two tenants of their own.
        """
        change.does("tenant", "create", "lab")
        change.does("tenant", "create", "land")
        return ("--config", change.config)

    def test_tenants(self, complete, where):
        """
        Tenants are completed from the store that is named before.
        """
        words = ("tenant", "show", *where)
        assert ["lab", "land"] == complete(*words, "la")
        options = ("fleet", "what-if", *where, "--tenant")
        assert ["lab", "land"] == complete(*options, "la")

    def test_baselines(self, complete, where):
        """
        So are baselines.
        """
        found = complete("baseline", "show", *where, "")
        assert "default" in found

    def test_plans(self, change, complete, where):
        """
        Where a plan belongs its number is, or a baseline.
        """
        change.does("baseline", "plan", "prod", *RULE)

        found = complete("baseline", "apply", *where, "")
        assert {"1", "default"} <= set(found)

    def test_tokens(self, thim, complete, store):
        """
        So are tokens that still count.
        """
        where = ("--store", store)
        made = [
            thim("token", "create", *TOKEN, *where, "--json").json["id"]
            for _ in "12"
        ]
        thim("token", "revoke", made[0], *where)

        assert [made[1]] == complete("token", "revoke", *where, "")

    def test_keys(self, thim, complete, store):
        """
        So are signing keys.
        """
        where = ("--store", store)
        kid = thim("signing", "rotate", *where, "--json").json["kid"]

        assert [kid] == complete("signing", "revoke", *where, "")

    def test_webhooks(self, complete, tmp_path):
        """
        Webhooks are those of the configuration.
        """
        config, secret = tmp_path / "thim.toml", tmp_path / "secret"
        secret.write_bytes(SECRET)
        secret.chmod(0o600)
        config.write_text(
            '[[webhooks]]\nname = "ops"\nurl = "https://ops.example/"\n'
            f'secret_file = "{secret}"\n'
        )

        found = complete("webhook", "test", "--config", config, "")
        assert ["ops"] == found

    def test_nothing(self, complete, tmp_path):
        """
        Where there is no store nothing is offered, and nothing is said.
        """
        words = ("tenant", "show", "--store", tmp_path / "none.db", "")
        assert [] == complete(*words)


class TestShells:
    @pytest.mark.parametrize(
        ("shell", "sign"),
        [
            ("bash", "complete -o default -F _thim_completion thim"),
            ("zsh", "#compdef thim"),
            ("fish", "complete --command thim"),
        ],
    )
    def test_script(self, thim, shell, sign):
        """
        There is a script for each shell.
        """
        run = thim("completion", shell)

        assert (0, "") == (run.code, run.err)
        assert sign in run.text

    def test_another(self, thim):
        """
        For other shells there is none.
        """
        run = thim("completion", "tcsh")

        assert 2 == run.code
        assert "tcsh" in run.err

    @pytest.mark.parametrize(
        ("shell", "line", "offered"),
        [
            ("zsh", "thim db ba", '"backup"'),
            ("fish", "thim db ba", "backup\tBack the store up"),
        ],
    )
    def test_described(self, thim, monkeypatch, shell, line, offered):
        """
        Zsh and fish are told what a command is for, too.
        """
        monkeypatch.setenv(COMPLETE, f"complete_{shell}")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")

        assert offered in thim().text

    def test_typed(self, tmp_path):
        """
        In a real bash the tabulator completes a command that is being typed.
        """
        program = tmp_path / "thim"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m thim "$@"\n')
        program.chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}"
        shell = ["bash", "--norc", "--noprofile", "-i"]
        with in_terminal(shell, {"PATH": path, "PS1": "$ "}) as terminal:
            terminal.type("source <(thim completion bash); echo re''ady\n")
            terminal.await_text("ready")
            terminal.type("thim db acc\t")
            terminal.await_text("accept-loss-of-sealed-manifests")
