"""
Which store a command writes to is said before it does.
"""

import pytest

from tests.new_store import new_store
from thim.collateral.anchors import VENDOR_ROOTS


WRITING = [
    ("token", "create", "--name", "ci", "--role", "reader"),
    ("token", "revoke", "0123456789ab"),
    ("platform", "import", "."),
    ("platform", "name", "rack-1", "rack-2"),
    ("platform", "label", "rack-1", "row=2"),
    ("platform", "retire", "rack-1"),
    ("pccs", "import", "nothing.db"),
    ("collateral", "import", "."),
    ("trust", "add", "root.pem", "--sha256", "00"),
]


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """
    A working directory without anything to read in it.
    """
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


class TestTarget:
    @pytest.mark.parametrize("words", WRITING, ids=" ".join)
    def test_said(self, thim, store, words):
        """
        Each command that writes names the store first, and who named it, and
        never on standard output.
        """
        run = thim(*words, "--store", store)

        assert f"into {store} (flag)" == run.err.splitlines()[0]
        assert b"into " not in run.out

    def test_dry_run(self, thim, store):
        """
        A dry run says that it does not write there.
        """
        words = ("pccs", "import", "nothing.db", "--dry-run")
        run = thim(*words, "--store", store)

        assert f"dry run, not into {store} (flag)" == run.err.splitlines()[0]

    @pytest.mark.parametrize(
        "words", [("token", "list"), ("platform", "list")], ids=" ".join
    )
    def test_reading(self, thim, store, words):
        """
        A command that only reads does not.
        """
        assert "" == thim(*words, "--store", store).err

    def test_default(self, thim, tmp_path):
        """
        A store that nobody named is the default.
        """
        path = tmp_path / "data" / "thim" / "thim.db"
        path.parent.mkdir(parents=True)
        new_store(path, VENDOR_ROOTS)

        run = thim("token", "create", "--name", "ci", "--role", "reader")

        assert (0, f"into {path} (default)\n") == (run.code, run.err)

    def test_elsewhere(self, thim, store, tmp_path, monkeypatch):
        """
        The environment and a file are named with what they are.
        """
        config = tmp_path / "my.toml"
        config.write_text(f'store = "{store}"\n')
        words = ("token", "create", "--name", "ci", "--role", "reader")
        by_file = thim(*words, "--config", config)
        monkeypatch.setenv("THIM_STORE", str(store))
        by_environment = thim(*words)

        assert f"into {store} (file {config})\n" == by_file.err
        assert f"into {store} (environment THIM_STORE)\n" == by_environment.err
