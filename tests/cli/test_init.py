import contextlib
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib

from pathlib import Path

import pytest

from cryptography.hazmat.primitives import hashes

from tests.cli.day_zero import content, outdate
from thim.cli import init, layout
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services import secrets
from thim.services.pki import (
    read_certificate,
)
from thim.services.secrets import provide_sealer, write_new
from thim.store.create import create_store
from thim.store.ledger import Ledger
from thim.x509.issue import server_hosts, spell_hosts


SECRETS = {"admin.token", "ca.key", "server.key", "thim.key", "thim.db"}
PUBLICS = {"ca.pem", "server.pem", "thim.toml"}


class TestFiles:
    def test_all(self, made):
        """
        Everything is there, and what is secret is its owner's alone.
        """
        modes = {p.name: p.stat().st_mode & 0o777 for p in made.iterdir()}

        assert {
            **dict.fromkeys(SECRETS, 0o600),
            **dict.fromkeys(PUBLICS, 0o644),
        } == modes
        assert 0o700 == made.stat().st_mode & 0o777

    def test_configuration(self, thim, made):
        """
        The configuration can be used, and says where everything is.
        """
        run = thim("config", "check", "--config", made / "thim.toml")
        written = tomllib.loads((made / "thim.toml").read_text())

        assert (0, "The configuration can be used.\n") == (run.code, run.text)
        assert {
            "store": f"{made}/thim.db",
            "key_file": f"{made}/thim.key",
            "listen": "127.0.0.1:8080",
            "tls_cert": f"{made}/server.pem",
            "tls_key": f"{made}/server.key",
            "tls_ca_cert": f"{made}/ca.pem",
            "tls_ca_key": f"{made}/ca.key",
        } == written

    @pytest.mark.parametrize(
        ("listen", "name", "url"),
        [
            ("0.0.0.0:8443", "Thim.example", "https://thim.example:8443"),
            ("[::]:8443", "fd00::1", "https://[fd00::1]:8443"),
            # As relying parties write it, who compare it to the letter.
            ("0.0.0.0:443", "thim.example", "https://thim.example"),
            ("127.0.0.1:8443", "thim.example", None),
        ],
    )
    def test_url(self, thim, folder, listen, name, url):
        """
        A service that listens everywhere is told what its tokens call it: the
        first of its names.
        """
        run = thim(
            "init", "--folder", folder, "--listen", listen, "--name", name
        )
        written = tomllib.loads((folder / "thim.toml").read_text())

        assert 0 == run.code
        assert url == written.get("attestation_url")
        check = thim("config", "check", "--config", folder / "thim.toml")
        assert 0 == check.code

    def test_api_key(self, thim, made):
        """
        It says where Intel's API key goes: without the marks before them the
        last lines are an upstream.
        """
        path = made / "thim.toml"
        lines = path.read_text().splitlines()
        start = lines.index("# [[intel_upstreams]]")
        lines[start:] = [line.removeprefix("# ") for line in lines[start:]]
        path.write_text("\n".join(lines))
        write_new(made / "pcs.key", b"0123456789abcdef\n")
        run = thim("config", "show", "--json", "--config", path)

        assert (0, "") == (run.code, run.err)
        assert {
            "url": "https://api.trustedservices.intel.com",
            "api_key_file": f"{made}/pcs.key",
        } == tomllib.loads(path.read_text())["intel_upstreams"][0]

    def test_names(self, made):
        """
        The certificate is for the names that were given and for this machine.
        """
        server = read_certificate(made / "server.pem")

        assert "thim.example, 192.0.2.7, localhost, 127.0.0.1, ::1" == (
            spell_hosts(server_hosts(server))
        )

    def test_default_names(self, thim, folder, monkeypatch):
        """
        Without a name it is for the machine's own, if that can be one.
        """
        for i, (name, expected) in enumerate(
            [("box", "box, localhost, "), ("my_box", "localhost, ")]
        ):
            monkeypatch.setattr("socket.gethostname", lambda name=name: name)
            thim("init", "--folder", folder / f"{i}")
            server = read_certificate(folder / f"{i}" / "server.pem")
            assert spell_hosts(server_hosts(server)).startswith(expected)

    def test_report(self, thim, folder):
        """
        It says what is where, how to start, and how clients trust the CA; and
        no secret.
        """
        run = thim("init", "--folder", folder, "--listen", "[::]:8443")
        ca = read_certificate(folder / "ca.pem")
        digest = ca.fingerprint(hashes.SHA256())

        for part in (
            f"thim serve --config {folder}/thim.toml",
            f"{folder}/admin.token",
            "https://[::]:8443",
            "update-ca-certificates",
            "update-ca-trust",
            "certutil -addstore Root ca.pem",
            "SSL_CERT_FILE=ca.pem",
            "REQUESTS_CA_BUNDLE=ca.pem",
            digest.hex(":").upper(),
            f"Intel API key  none; the last lines of {folder}/thim.toml",
        ):
            assert part in run.text
        assert "use_secure_cert" not in run.text
        token = (folder / "admin.token").read_text().strip()
        assert token.partition(".")[2] not in run.text

    def test_event(self, made):
        """
        The first token is an event as every other.
        """
        with contextlib.closing(sqlite3.connect(made / "thim.db")) as db:
            ((action, detail),) = db.execute(
                "SELECT action, detail FROM events"
            ).fetchall()

        assert "token-create" == action
        assert "(first admin), role admin, expires never" in detail

    @pytest.mark.parametrize("user", ["root", "other"])
    def test_default_places(self, monkeypatch, tmp_path, user):
        """
        Root's files are the system's, another user's are in the data folder;
        either configuration is found without being named.
        """
        monkeypatch.setattr("os.geteuid", lambda: 0 if user == "root" else 7)
        data = tmp_path / "data" / "thim"

        assert {
            "root": (Path("/var/lib/thim"), Path("/etc/thim/thim.toml")),
            "other": (data, data / "thim.toml"),
        }[user] == layout.find_places(None, None)
        assert (tmp_path, tmp_path / "x.toml") == layout.find_places(
            tmp_path, tmp_path / "x.toml"
        )

    def test_found_again(self, thim, monkeypatch, tmp_path):
        """
        What a user has set up is found by every command.
        """
        monkeypatch.setattr(
            "thim.cli.config.DEFAULT_FILE", tmp_path / "thim.toml"
        )
        data = tmp_path / "data" / "thim"
        thim("init", "--folder", data)
        run = thim("token", "list", "--json")

        assert ["first admin"] == [token["name"] for token in run.json]


class TestAgain:
    def test_second_run(self, thim, made):
        """
        A second run names what is there and changes nothing.
        """
        before = content(made)
        run = thim("init", "--folder", made)

        assert (2, b"") == (run.code, run.out)
        for name in (SECRETS | PUBLICS) - {"thim.db", "thim.key"}:
            assert f"{made}/{name}" in run.err
        assert f"`thim serve --config {made}/thim.toml` uses it" in run.err
        assert before == content(made)

    @pytest.mark.parametrize("name", ["ca.key", "admin.token", "server.pem"])
    def test_one_file(self, thim, folder, name):
        """
        So it does for the least of them; what to do is said.
        """
        folder.mkdir(parents=True)
        (folder / name).write_text("mine")
        run = thim("init", "--folder", folder)

        assert 2 == run.code
        assert "is there already" in run.err
        assert "if another `thim init` was cut off, delete them" in run.err
        assert {name: b"mine"} == content(folder)

    def test_store_and_key_there(self, thim, folder):
        """
        A store and its sealing key are kept and used.
        """
        folder.mkdir(parents=True)
        create_store(folder / "thim.db", VENDOR_ROOTS)
        with Ledger(folder / "thim.db", VENDOR_ROOTS) as ledger:
            provide_sealer(ledger, folder / "thim.key")
        key = (folder / "thim.key").read_bytes()
        run = thim("init", "--folder", folder)

        assert (0, key) == (run.code, (folder / "thim.key").read_bytes())

    def test_key_lost(self, thim, folder):
        """
        A store whose key is lost is not set up with another.
        """
        folder.mkdir(parents=True)
        create_store(folder / "thim.db", VENDOR_ROOTS)
        with Ledger(folder / "thim.db", VENDOR_ROOTS) as ledger:
            provide_sealer(ledger, folder / "thim.key")
        (folder / "thim.key").unlink()
        run = thim("init", "--folder", folder)

        assert (2, False) == (run.code, (folder / "thim.toml").exists())
        assert not (folder / "thim.key").exists()
        assert "bring that one back" in run.err

    def test_odd_key(self, thim, folder):
        """
        A sealing key that is none is not taken for one.
        """
        folder.mkdir(parents=True)
        (folder / "thim.key").write_bytes(bytes(31))
        (folder / "thim.key").chmod(0o600)
        run = thim("init", "--folder", folder)

        assert (2, ["thim.key"]) == (run.code, list(content(folder)))
        assert "31 bytes, expected 32" in run.err

    def test_test_store(self, thim, folder, our_store):
        """
        A store for trying things out is not set up for more.
        """
        run = thim("init", "--folder", folder, "--store", our_store)

        assert (2, False) == (run.code, folder.exists())
        assert "trust anchors" in run.err

    def test_store_elsewhere(self, thim, folder, tmp_path):
        """
        A store may be elsewhere; its sealing key is beside it.
        """
        run = thim(
            "init", "--folder", folder, "--store", tmp_path / "s" / "x.db"
        )

        assert (0, {"x.db", "thim.key"}) == (
            run.code,
            set(content(tmp_path / "s")),
        )

    def test_race(self, folder):
        """
        Of several runs at once one sets it up, and the others change nothing.
        """
        command = [
            sys.executable,
            "-m",
            "thim",
            "init",
            "--folder",
            str(folder),
        ]
        runs = [
            subprocess.Popen(command, stderr=subprocess.PIPE, stdout=-1)
            for _ in range(4)
        ]
        errors = [run.communicate()[1].decode() for run in runs]
        codes = sorted(run.returncode for run in runs)

        assert [0, 2, 2, 2] == codes
        assert 3 == sum("is there already" in error for error in errors)
        assert SECRETS | PUBLICS == set(content(folder))
        with Ledger(folder / "thim.db", VENDOR_ROOTS):
            pass


class TestFailure:
    @pytest.mark.parametrize(
        "name",
        [
            "admin.token",
            "ca.key",
            "ca.pem",
            "server.key",
            "server.pem",
            "thim.toml",
        ],
    )
    def test_disk_full(self, thim, folder, monkeypatch, name):
        """
        If it fails half-way, wherever that is, nothing stays behind.
        """
        write = secrets.write_new

        def fail(path, content, mode):
            if path.name == name:
                raise OSError(
                    errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)
                )
            write(path, content, mode)

        monkeypatch.setattr(init, "write_new", fail)
        run = thim("init", "--folder", folder)

        assert 2 == run.code
        assert f"{folder}/{name}: No space left on device" in run.err
        assert not folder.parent.exists()

    @pytest.mark.parametrize("is_there", [False, True])
    def test_store_impossible(self, thim, folder, is_there):
        """
        So it is where the store cannot be made; a folder that was there stays.
        """
        if is_there:
            folder.mkdir(parents=True)
        run = thim("init", "--folder", folder, "--store", "/proc/no/thim.db")

        assert (2, is_there) == (run.code, folder.exists())
        assert "/proc/no" in run.err
        if is_there:
            assert {} == content(folder)

    def test_no_folder(self, thim, tmp_path):
        """
        A file where the folder should be is named, and stays.
        """
        file = tmp_path / "file"
        file.write_text("mine")
        run = thim("init", "--folder", file)

        assert (2, "mine") == (run.code, file.read_text())
        assert f"{file}: File exists; nothing was changed" in run.err

    def test_token_impossible(self, thim, folder, tmp_path, monkeypatch):
        """
        So it is where the store that is there takes no token.
        """
        store = tmp_path / "thim.db"
        create_store(store, VENDOR_ROOTS)
        monkeypatch.setattr("thim.store.tokens.MOST_LIVING", 0)
        run = thim("init", "--folder", folder, "--store", store)

        assert (2, False) == (run.code, folder.parent.exists())
        assert "living tokens" in run.err
        assert {"thim.db"} <= {path.name for path in tmp_path.iterdir()}
        assert not (tmp_path / "thim.key").exists()

    def test_somebody_was_faster(self, thim, folder, monkeypatch):
        """
        What somebody else has written in the meantime stays, and what this run
        has made does not.
        """
        write = secrets.write_new

        def meanwhile(path, content, mode):
            if path.name == "server.key":
                path.write_text("theirs")
            write(path, content, mode)

        monkeypatch.setattr(init, "write_new", meanwhile)
        run = thim("init", "--folder", folder)

        assert (2, {"server.key": b"theirs"}) == (run.code, content(folder))
        assert f"is there already: {folder}/server.key" in run.err

    def test_no_text(self, thim, folder):
        """
        A path that no configuration can hold is refused, and nothing stays.
        """
        run = thim("init", "--folder", f"{folder}/\udcff")

        assert (2, False) == (run.code, folder.parent.exists())
        assert "expected paths in UTF-8" in run.err

    def test_interrupted(self, thim, folder, monkeypatch):
        """
        So it is when somebody presses Ctrl-C.
        """

        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(init, "_add_token", interrupt)
        thim("init", "--folder", folder)

        assert not folder.parent.exists()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--name", "a b"), "name: got 'a b', expected a host name"),
            (("--name", "::"), "name: got '::'"),
            (("--listen", "8080"), "--listen: got '8080', expected HOST:PORT"),
            (("--tls-cert", "/none"), "--tls-cert: got '/none'"),
            (("--store", "mysql://x"), "scheme 'mysql'"),
            (tuple(["--name", "a"] * 101), "expected at most 100"),
        ],
    )
    def test_arguments(self, thim, folder, arguments, words):
        """
        What cannot be used is named before anything is made.
        """
        run = thim("init", "--folder", folder, *arguments)

        assert (2, False) == (run.code, folder.exists())
        assert words in run.err


class TestProvided:
    @pytest.fixture
    def own(self, thim, tmp_path):
        """
        An operator's own certificate and key.
        """
        thim("init", "--folder", tmp_path / "own")
        return tmp_path / "own" / "server.pem", tmp_path / "own" / "server.key"

    def test_taken(self, thim, folder, own):
        """
        The operator's own certificate is used where it is; there is no CA.
        """
        run = thim(
            "init",
            "--folder",
            folder,
            "--tls-cert",
            own[0],
            "--tls-key",
            own[1],
        )
        written = tomllib.loads((folder / "thim.toml").read_text())

        assert 0 == run.code
        assert {"admin.token", "thim.db", "thim.key", "thim.toml"} == set(
            content(folder)
        )
        assert list(map(str, own)) == [written["tls_cert"], written["tls_key"]]
        assert "tls_ca_key" not in written
        assert "ca.pem" not in run.text

    def test_names(self, thim, folder, own):
        """
        It has its names already.
        """
        run = thim(
            "init",
            "--folder",
            folder,
            "--tls-cert",
            own[0],
            "--tls-key",
            own[1],
            "--name",
            "x",
        )

        assert (2, False) == (run.code, folder.exists())
        assert "--name: got 'x', expected none" in run.err

    @pytest.mark.parametrize("missing", [0, 1])
    def test_half(self, thim, folder, own, missing):
        """
        A certificate and its key go together.
        """
        options = ("--tls-cert", own[0]), ("--tls-key", own[1])
        run = thim("init", "--folder", folder, *options[1 - missing])

        assert (2, False) == (run.code, folder.exists())
        assert f"thim: {options[missing][0]} is missing: " in run.err

    def test_expired(self, thim, folder, own):
        """
        One that has expired is not taken.
        """
        outdate(own[0].parent, 100)
        run = thim(
            "init",
            "--folder",
            folder,
            "--tls-cert",
            own[0],
            "--tls-key",
            own[1],
        )

        assert (2, False) == (run.code, folder.exists())
        assert "expired on" in run.err


def test_terminated(folder):
    """
    A run that is killed leaves no half files, and the next says what to do.
    """
    command = [sys.executable, "-m", "thim", "init", "--folder", str(folder)]
    with subprocess.Popen(command, stderr=-1, stdout=-1) as process:
        while not (folder / "ca.pem").exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    again = subprocess.run(command, capture_output=True, check=False)

    assert 2 == again.returncode
    assert b"is there already" in again.stderr
    for name in ("admin.token", "ca.key", "ca.pem"):
        assert (folder / name).stat().st_size > 50
