"""
One class for each row of the table in ``docs/operating.md`` (day zero), which
says what is to be done when a file is lost.
"""

import contextlib
import sqlite3

import pytest

from tests.cli.day_zero import closed, content
from tests.cli.test_serve import serving
from tests.cli.test_tls import whoami
from thim.cli.actor import os_user
from thim.collateral.anchors import VENDOR_ROOTS
from thim.collateral.platforms import PlatformId
from thim.services.clock import utc_now
from thim.services.pki import read_certificate
from thim.services.register import Brought, Registrar, manifest_context
from thim.services.secrets import provide_sealer
from thim.store.ledger import Ledger
from thim.x509.issue import server_hosts, spell_hosts


ACCEPT = ("db", "accept-loss-of-sealed-manifests")
PLATFORM = PlatformId(bytes(16), bytes(2))
MANIFEST = bytes(range(256)) * 64


def register(ledger, key_file):
    """
    Register a platform by its manifest; return what seals it.
    """
    sealer = provide_sealer(ledger, key_file)
    brought = Brought(id=PLATFORM, source="test", manifest=MANIFEST)
    (taken,) = Registrar(ledger, utc_now(), sealer).take([brought])
    assert taken.row is not None
    ledger.registrations.add(taken.row, None, actor="test", at=utc_now())
    return sealer


def serve(folder):
    """
    Run the service for a moment; return the status of an answer, and what it
    said before it was up.
    """
    said: list[str] = []
    with serving("--config", folder / "thim.toml", said=said) as (_, found):
        status, _, _ = whoami(folder, int(found[2]))
    return status, "".join(said)


class TestServer:
    @pytest.mark.parametrize(
        "names", [["server.pem"], ["server.key"], ["server.pem", "server.key"]]
    )
    def test_serve(self, made, names):
        """
        A service makes the certificate and key anew when it starts.
        """
        for name in names:
            (made / name).unlink()

        assert 200 == serve(made)[0]
        assert (made / "server.pem").exists()

    @pytest.mark.parametrize("name", ["server.pem", "server.key"])
    def test_renew(self, thim, made, name):
        """
        So does a renewal by hand, for the names of the CA.
        """
        (made / name).unlink()
        run = thim("tls", "renew", "--config", made / "thim.toml")

        assert (0, "") == (run.code, run.err)
        assert "thim.example, 192.0.2.7, localhost" in run.text
        assert server_hosts(read_certificate(made / "server.pem"))

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            (("token", "list"), 0),
            (("status",), 1),
            (("db", "verify"), 0),
            (("config", "show"), 0),
            (("platform", "list"), 0),
        ],
    )
    def test_others(self, thim, made, command, code):
        """
        Commands that need none work without.
        """
        for name in ("server.pem", "server.key", "ca.pem", "ca.key"):
            (made / name).unlink()
        run = thim(*command, "--config", made / "thim.toml")

        assert (code, "") == (run.code, run.err)

    def test_check(self, thim, made):
        """
        The configuration can be used all the same: what is not there is said.
        """
        (made / "server.pem").unlink()
        run = thim("config", "check", "--config", made / "thim.toml")

        assert 0 == run.code
        said = f"{made}/server.pem is not there: `thim serve` makes another"
        assert said in run.text

    def test_unreadable(self, thim, made, tmp_path):
        """
        A folder into which this user may not look is none without files.
        """
        config = tmp_path / "thim.toml"
        (made / "thim.toml").rename(config)
        with closed(made):
            run = thim("tls", "renew", "--config", config)

        assert 2 == run.code
        assert "Permission denied" in run.err


class TestCa:
    @pytest.mark.parametrize(
        "names", [["ca.key"], ["ca.pem"], ["ca.pem", "ca.key"]]
    )
    def test_serve(self, made, names):
        """
        A service with a good certificate starts without the CA, and says that
        it cannot renew it.
        """
        trust = (made / "ca.pem").read_bytes()
        for name in names:
            (made / name).unlink()
        said: list[str] = []
        with serving("--config", made / "thim.toml", said=said) as (_, found):
            (made / "elsewhere.pem").write_bytes(trust)
            status, _, _ = whoami(
                made, int(found[2]), ca=made / "elsewhere.pem"
            )

        assert 200 == status
        without = " and ".join(f"{made}/{name}" for name in names)
        assert f"cannot be renewed without {without}" in "".join(said)

    def test_nothing_good(self, thim, made):
        """
        Without a good certificate it does not start, and says what helps.
        """
        (made / "ca.key").unlink()
        (made / "server.key").unlink()
        run = thim("serve", "--config", made / "thim.toml")

        assert (2, 1) == (run.code, run.err.count("\n"))
        assert f"without {made}/ca.key: bring it back" in run.err
        assert "`thim tls renew --new-ca --switch`" in run.err

    def test_renew(self, thim, made):
        """
        Nothing is renewed; the error names what is not there.
        """
        (made / "ca.key").unlink()
        run = thim("tls", "renew", "--config", made / "thim.toml")

        assert 2 == run.code
        assert f"without {made}/ca.key: bring it back" in run.err

    @pytest.mark.parametrize(
        "names", [["ca.key"], ["ca.pem"], ["ca.pem", "ca.key"]]
    )
    def test_new_ca(self, thim, made, names):
        """
        A new CA is made for the same names, and switched to.
        """
        for name in names:
            (made / name).unlink()
        command = ("tls", "renew", "--config", made / "thim.toml")
        runs = [thim(*command, "--new-ca"), thim(*command, "--switch")]

        assert [(0, "")] * 2 == [(run.code, run.err) for run in runs]
        hosts = server_hosts(read_certificate(made / "server.pem"))
        assert "thim.example, 192.0.2.7, localhost, 127.0.0.1, ::1" == (
            spell_hosts(hosts)
        )
        assert 200 == serve(made)[0]

    def test_all_of_it(self, thim, made):
        """
        Where the server's certificate is lost too, the names are to be given.
        """
        for name in ("ca.pem", "ca.key", "server.pem", "server.key"):
            (made / name).unlink()
        config = ("--config", made / "thim.toml")
        command = ("tls", "renew", *config, "--new-ca", "--switch")
        refused = thim(*command)
        assert 2 == refused.code
        assert "--name does" in refused.err

        assert 0 == thim(*command, "--name", "thim.example").code
        assert 200 == serve(made)[0]


class TestStore:
    def test_serve(self, thim, made):
        """
        A service makes no other by itself; once an empty one was made it
        starts.
        """
        (made / "thim.db").unlink()
        config = made / "thim.toml"
        refused = thim("serve", "--config", config)
        assert 2 == refused.code
        assert "thim db init" in refused.err

        assert 0 == thim("db", "init", "--config", config).code
        assert 401 == serve(made)[0]

    def test_token(self, thim, made):
        """
        The first token is gone with it; another can be made.
        """
        (made / "thim.db").unlink()
        config = ("--config", made / "thim.toml")
        thim("db", "init", *config)
        (made / "admin.token").unlink()
        names = ("--name", "again", "--role", "admin")
        out = ("--output", made / "admin.token")

        assert 0 == thim("token", "create", *names, *out, *config).code
        assert 200 == serve(made)[0]


class TestSealingKey:
    def test_json(self, thim, lost):
        """
        A program is told how much was given up.
        """
        run = thim(*ACCEPT, "--config", lost / "thim.toml", "--json")

        assert {"manifests": 1, "signing_keys": 1} == run.json

    @pytest.fixture
    def lost(self, thim, made):
        """
        A platform was registered by its manifest, a signing key was made, and
        the key that sealed both is gone.
        """
        with Ledger(made / "thim.db", VENDOR_ROOTS) as ledger:
            register(ledger, made / "thim.key")
        config = ("--config", made / "thim.toml")
        assert 0 == thim("signing", "rotate", *config).code
        (made / "thim.key").unlink()
        return made

    def test_serve(self, thim, lost):
        """
        A service does not start without it; it does once the loss was
        accepted.
        """
        config = ("--config", lost / "thim.toml")
        refused = thim("serve", *config)
        assert 2 == refused.code
        assert f"bring that one back; `thim {' '.join(ACCEPT)}`" in refused.err

        run = thim(*ACCEPT, *config)
        assert (0, "") == (run.code, run.err)
        assert "1 sealed manifests were dropped" in run.text
        assert "1 signing keys were revoked" in run.text
        assert 200 == serve(lost)[0]

    def test_dropped(self, thim, lost):
        """
        What was sealed is dropped, the platform stays, and its manifest is
        sealed anew when it is registered again.
        """
        thim(*ACCEPT, "--config", lost / "thim.toml")
        with Ledger(lost / "thim.db", VENDOR_ROOTS) as ledger:
            kept = ledger.secrets.find(PLATFORM)
            assert kept is not None
            assert kept.manifest is None
            # There is nothing to hand out of it.
            assert [] == ledger.registrations.all()
            sealer = register(ledger, lost / "thim.key")
            again = ledger.secrets.find(PLATFORM)
            assert again is not None
            assert MANIFEST == sealer.open(
                again.manifest or b"", manifest_context(PLATFORM)
            )

    def test_event(self, thim, lost):
        """
        It is written down who accepted it.
        """
        thim(*ACCEPT, "--config", lost / "thim.toml")
        with contextlib.closing(sqlite3.connect(lost / "thim.db")) as db:
            found = db.execute(
                "SELECT actor, detail FROM events WHERE action = 'key-loss'"
            ).fetchall()

        ((actor, detail),) = found
        assert os_user() == actor
        assert detail.endswith(
            ": 1 sealed manifests dropped, 1 signing keys revoked"
        )

    def test_not_lost(self, thim, made):
        """
        Where it is not lost nothing is dropped.
        """
        before = content(made)
        run = thim(*ACCEPT, "--config", made / "thim.toml")

        assert 2 == run.code
        assert "no key is lost" in run.err
        assert before["thim.key"] == content(made)["thim.key"]


class TestToken:
    def test_create(self, thim, made):
        """
        Another admin token is made at any time.
        """
        (made / "admin.token").unlink()
        names = ("--name", "again", "--role", "admin")
        out = ("--output", made / "admin.token")
        run = thim(
            "token", "create", *names, *out, "--config", made / "thim.toml"
        )

        assert 0 == run.code
        assert 200 == serve(made)[0]


class TestConfiguration:
    def test_written_again(self, thim, made):
        """
        It is written again by hand, with the names of the files and no secret.
        """
        path = made / "thim.toml"
        path.unlink()
        path.write_text(
            f"""
            store = "{made}/thim.db"
            tls_cert = "{made}/server.pem"
            tls_key = "{made}/server.key"
            tls_ca_cert = "{made}/ca.pem"
            tls_ca_key = "{made}/ca.key"
            """
        )

        assert 0 == thim("config", "check", "--config", path).code
        assert 200 == serve(made)[0]
