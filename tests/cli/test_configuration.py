import subprocess
import sys

import pytest

from thim.cli.settings import SETTINGS


class TestCheck:
    def test_good(self, thim):
        """
        What can be used is said to be usable, and where there is no store
        yet, what makes one.
        """
        run = thim("config", "check")
        first, second = run.text.splitlines()

        assert (0, "The configuration can be used.") == (run.code, first)
        assert "`thim db init`" in second

    def test_certificate_and_key(self, thim, tmp_path):
        """
        A certificate and a key that are none are found before the service is
        started.
        """
        for name in ("cert.pem", "key.pem"):
            (tmp_path / name).write_text("nonsense")
        path = tmp_path / "thim.toml"
        path.write_text(
            f'tls_cert = "{tmp_path}/cert.pem"\n'
            f'tls_key = "{tmp_path}/key.pem"\n'
        )
        run = thim("config", "check", "--config", path)

        assert (2, 1) == (run.code, run.err.count("\n"))
        assert f"tls_cert {tmp_path}/cert.pem" in run.err

    def test_ca_file(self, thim, tmp_path):
        """
        So is a file of certificates that holds none, by its key.
        """
        (tmp_path / "ca.pem").write_text("nonsense")
        path = tmp_path / "thim.toml"
        path.write_text(
            '[[intel_upstreams]]\nurl = "https://thim.example"\n'
            f'ca_file = "{tmp_path}/ca.pem"\n'
        )
        run = thim("config", "check", "--config", path)

        assert (2, 1) == (run.code, run.err.count("\n"))
        assert f"ca_file {tmp_path}/ca.pem: expected certificates" in run.err

    def test_slip_in_the_environment(self, thim, monkeypatch):
        """
        A variable that is nearly one of ours is a slip; one that is not is
        somebody else's.
        """
        monkeypatch.setenv("THIM_CORPUS", "/corpus")
        assert 0 == thim("config", "check").code
        monkeypatch.setenv("THIM_FIL", "offline")
        run = thim("config", "check")

        assert 2 == run.code
        assert "unknown THIM_FIL; did you mean THIM_FILL?" in run.err

    def test_bad_file(self, thim, tmp_path):
        """
        What cannot is said in one line, with exit code 2.
        """
        path = tmp_path / "thim.toml"
        path.write_text('listenn = "x"')
        run = thim("config", "check", "--config", path)

        assert (2, b"") == (run.code, run.out)
        assert 1 == run.err.count("\n")
        assert "did you mean 'listen'?" in run.err

    def test_bad_environment(self, thim, monkeypatch):
        """
        A bad value in the environment is found too, for every command.
        """
        monkeypatch.setenv("THIM_WORKERS", "many")

        for command in (("config", "check"), ("collateral", "list")):
            run = thim(*command)
            assert 2 == run.code
            assert "workers (environment THIM_WORKERS): got 'many'" in run.err

    def test_missing_file(self, thim):
        """
        A file that is named and not there is an error.
        """
        run = thim("config", "check", "--config", "/nonexistent.toml")

        assert 2 == run.code
        assert (
            "thim: configuration /nonexistent.toml: No such file or directory\n"
            == run.err
        )


class TestShow:
    def test_every_setting(self, thim, tmp_path, monkeypatch):
        """
        Each setting has a line with its value and its origin.
        """
        path = tmp_path / "thim.toml"
        path.write_text('listen = "[::1]:80"\nmax_age = "15m"')
        monkeypatch.setenv("THIM_PROFILE", "thim")
        run = thim("config", "show", "--config", path, "--store", "/x/y.db")
        lines = {line.split()[0]: line for line in run.text.splitlines()}

        assert 0 == run.code
        assert list(SETTINGS) == list(lines)
        for name, value, origin in (
            ("store", "/x/y.db", "flag"),
            ("listen", "[::1]:80", f"file {path}"),
            ("max_age", "900s", f"file {path}"),
            ("profile", "thim", "environment THIM_PROFILE"),
            ("fill", "lazy", "default"),
            ("tls_key", "-", "default"),
        ):
            assert [name, value, f"# {origin}"] == lines[name].split(None, 2)

    def test_json(self, thim):
        """
        As JSON each has its meaning beside it, and what is not set is null.
        """
        shown = thim("config", "show", "--json").json

        assert list(SETTINGS) == list(shown)
        assert {
            "value": None,
            "origin": "default",
            "meaning": SETTINGS["tls_cert"].meaning,
        } == shown["tls_cert"]
        assert ("1", "86400s") == (
            shown["workers"]["value"],
            shown["max_age"]["value"],
        )

    def test_can_be_read_again(self, thim, monkeypatch):
        """
        What is shown can be given back, setting by setting, and means the
        same.
        """
        shown = thim("config", "show", "--json").json
        for name, setting in shown.items():
            if setting["value"] is not None:
                monkeypatch.setenv(f"THIM_{name.upper()}", setting["value"])
        again = thim("config", "show", "--json").json

        assert {n: s["value"] for n, s in shown.items()} == {
            n: s["value"] for n, s in again.items()
        }


class TestVendors:
    @pytest.fixture
    def config(self, tmp_path):
        """
        A configuration with two upstreams, one of them with a key.
        """
        key = tmp_path / "key"
        key.write_text("s3cret-key")
        key.chmod(0o600)
        path = tmp_path / "thim.toml"
        path.write_text(
            f"""
            fmspcs = ["00906ed50000", "00606A000000"]
            expired = {{ pck-crl = "refuse" }}
            fill = "registered"

            [[intel_upstreams]]
            url = "https://z.example"
            kind = "thim"

            [[intel_upstreams]]
            url = "https://api.trustedservices.intel.com"
            api_key_file = "{key}"
            """
        )
        return path

    def test_shown(self, thim, config):
        """
        Upstreams are shown in the order in which they are asked, the rest as
        it can be written.
        """
        shown = thim("config", "show", "--config", config, "--json").json

        assert {
            "intel_upstreams": "thim https://z.example, "
            "pcs https://api.trustedservices.intel.com",
            "fmspcs": "00606A000000, 00906ED50000",
            "expired": "pck-crl=refuse",
            "fill": "registered",
            "fill_wait": "2500ms",
        } == {
            name: shown[name]["value"]
            for name in (
                "intel_upstreams",
                "fmspcs",
                "expired",
                "fill",
                "fill_wait",
            )
        }

    @pytest.mark.parametrize("arguments", [(), ("--json",)])
    def test_no_secrets(self, thim, config, arguments):
        """
        A key is not shown.
        """
        run = thim("config", "show", "--config", config, *arguments)

        assert 0 == run.code
        assert "s3cret" not in run.text + run.err

    def test_key_in_the_wrong_place(self, thim, config):
        """
        Nor is one that stands where it must not.
        """
        config.write_text(
            '[[intel_upstreams]]\nurl = "http://x"\napi_key = "s3cret-key"\n'
        )
        run = thim("config", "check", "--config", config)

        assert (2, b"") == (run.code, run.out)
        assert "did you mean 'api_key_file'" in run.err
        assert "s3cret" not in run.err

    def test_readable_key(self, thim, config, tmp_path):
        """
        A key that others can read is refused.
        """
        (tmp_path / "key").chmod(0o644)
        run = thim("config", "check", "--config", config)

        assert 2 == run.code
        assert "intel_upstreams (file" in run.err
        assert "upstream 2: api_key_file: expected a file that not" in run.err


class TestMain:
    @pytest.mark.parametrize(
        "command",
        [
            (),
            ("collateral",),
            ("db",),
            ("config",),
        ],
    )
    def test_help(self, thim, command):
        """
        A command without its second word says what there is.
        """
        run = thim(*command)

        assert 2 == run.code
        assert run.err.startswith("Usage: thim")

    def test_help_that_was_asked_for(self, thim):
        """
        Help that was asked for is no error.
        """
        run = thim("serve", "-h")

        assert 0 == run.code
        assert "--listen HOST:PORT" in run.text

    def test_unknown_command(self, thim):
        """
        An unknown one is an error of usage.
        """
        run = thim("serbe")

        assert 2 == run.code
        assert "No such command 'serbe'" in run.err

    def test_as_a_module(self, tmp_path):
        """
        ``python -m thim`` is the same program, and an error is one line.
        """
        run = subprocess.run(
            [
                sys.executable,
                "-m",
                "thim",
                "db",
                "verify",
                "--store",
                str(tmp_path / "typo.db"),
            ],
            capture_output=True,
            check=False,
            text=True,
        )

        assert (2, "") == (run.returncode, run.stdout)
        assert run.stderr.startswith("thim: store ")
        assert 1 == run.stderr.count("\n")


def test_show_controls(thim, tmp_path):
    """
    What a setting says cannot drive the terminal.
    """
    run = thim("config", "show", "--store", f"{tmp_path}/\x1b[2J.db")

    assert (0, False) == (run.code, b"\x1b" in run.out)
    assert r"/\x1b[2J.db" in run.text
