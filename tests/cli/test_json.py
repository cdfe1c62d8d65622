"""
``--json``: what programs read.
"""

import pytest

from tests.cli.tree import all_commands


#: Which commands have none, and why.
WITHOUT = {
    "serve": "runs until it is stopped, and logs",
    "agent": "the same",
    "demo": "the same",
    "simulate": "the same",
    "completion": "a shell reads it",
    "openapi": "what it writes is JSON",
    "signing export": "what it writes is JSON",
    "client-config qpl": "the client reads it",
    "client-config az-dcap": "the same",
    "client-config dcap-qvl": "the same",
    "client-config go-tdx-guest": "the same",
    "client-config snpguest": "the same",
    "client-config trustee": "the same",
}


def test_everywhere():
    """
    Every command can answer a program, or there is a reason why not.
    """
    without = {
        name
        for name, command in all_commands().items()
        if not any("--json" in option.opts for option in command.params)
    }

    assert set(WITHOUT) == without


class TestDone:
    """What is done is told as JSON, and nothing else is on standard output."""

    def test_token(self, thim, store):
        """
        A token is told with what is on record of it, once; that it is revoked
        is told with whether that is new.
        """
        where = ("--store", store, "--json")
        words = ("--name", "ci", "--role", "reader")
        made = thim("token", "create", *words, *where).json
        revoked = thim("token", "revoke", made["id"], *where).json

        assert ("ci", "reader", "living") == (
            made["name"],
            made["role"],
            made["state"],
        )
        assert made["token"].startswith(f"{made['id']}.")
        assert {"id": made["id"], "is_new": True} == revoked

    def test_token_file(self, thim, store, tmp_path):
        """
        Where a token goes to a file it is not told.
        """
        path = tmp_path / "ci.token"
        words = ("--name", "ci", "--role", "reader", "-o", path)
        made = thim("token", "create", *words, "--store", store, "--json")

        assert str(path) == made.json["file"]
        assert path.read_text().strip() not in made.text

    def test_tenant(self, change):
        """
        A tenant's version is told when it is created and changed; deleted, it
        has none.
        """
        made = change.json("tenant", "create", "lab")
        changed = change.json("tenant", "set", "lab", "--quota", "60")
        trusting = ("set-attestation", "lab", "--trust", "shared")
        other = change.json("tenant", *trusting)
        gone = change.json("tenant", "delete", "lab")

        assert [1, 2, 3, None] == [
            each["version"] for each in (made, changed, other, gone)
        ]

    def test_store(self, thim, tmp_path):
        """
        A store is made, and backed up, and restored.
        """
        path, kept = tmp_path / "new.db", tmp_path / "kept.db"
        where = ("--store", path, "--json")
        first = thim("db", "init", *where).json
        again = thim("db", "init", "--if-missing", *where).json
        backup = thim("db", "backup", "-o", kept, *where).json
        restored = thim("db", "restore", kept, "--replace", *where).json
        migrated = thim("db", "migrate", *where).json

        assert {"store": str(path), "ledger": None, "is_new": True} == first
        assert not again["is_new"]
        assert (str(kept), []) == (backup["backup"], backup["deleted"])
        assert str(kept) == restored["from"]
        assert backup["rows"]["records"] == restored["rows"]["records"]
        assert migrated["backup"] is None

    def test_init(self, thim, folder):
        """
        What `thim init` has made is told by its paths.
        """
        made = thim("init", "--folder", folder, "--json").json

        assert str(folder / "thim.toml") == made["config"]
        assert str(folder / "admin.token") == made["token_file"]

    def test_certificate(self, thim, made):
        """
        A new certificate is told with its last day and its names.
        """
        where = ("--config", made / "thim.toml", "--json")
        renewed = thim("tls", "renew", *where).json
        other = thim("tls", "renew", "--new-ca", *where).json

        assert "thim.example" in renewed["hosts"]
        assert ["new_ca"] == list(other)

    def test_configuration(self, thim, made):
        """
        A configuration that can be used is told with what is to be noted.
        """
        run = thim("config", "check", "--config", made / "thim.toml", "--json")

        assert (0, {"notes": []}) == (run.code, run.json)

    def test_key(self, thim, store):
        """
        A bundle key is told as `show` tells it, once it is made.
        """
        where = ("--store", store, "--json")
        made = thim("bundle", "key", "create", *where).json

        assert made == thim("bundle", "key", "show", *where).json

    def test_exports(self, thim, our_store, tmp_path):
        """
        Exports tell where they are and how much there is.
        """
        where = ("--store", our_store, "--json")
        fleet, policies = tmp_path / "fleet.bin", tmp_path / "policies"

        assert {"file": str(fleet), "platforms": 0} == (
            thim("fleet", "export", "-o", fleet, *where).json
        )
        assert {"folder": str(policies), "policies": 0} == (
            thim("policy", "export", policies, *where).json
        )


@pytest.mark.parametrize(
    "words", [("token", "list"), ("collateral", "show", "x"), ("db", "verify")]
)
def test_failure(thim, tmp_path, words):
    """
    What fails is one line on standard error, also with `--json`; standard
    output stays empty.
    """
    run = thim(*words, "--store", tmp_path / "none.db", "--json")

    assert (2, b"", 1) == (run.code, run.out, run.err.count("\n"))
