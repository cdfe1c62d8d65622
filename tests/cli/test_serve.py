import contextlib
import datetime
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from thim.collateral.anchors import VENDOR_ROOTS
from thim.store.ledger import Ledger


READY = re.compile(r"thim serves on (https?)://127\.0\.0\.1:(\d+) from (.*)")


@contextlib.contextmanager
def serving(*arguments, said=None):
    """
    Run the service until the end of the ``with``; yield the process and what
    it said about itself.  *said* takes all lines until it is up.
    """
    lines = [] if said is None else said
    command = [sys.executable, "-m", "thim", "serve"]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "THIM_FILL": "offline"},
        text=True,
    ) as process:
        try:
            found = None
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                found = found or READY.search(line)
                if "Application startup complete" in line:
                    break
            yield process, found
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def ask(connection, path: str) -> tuple[int, bytes]:
    """
    Ask once; return status and body.
    """
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def tls(tmp_path):
    """
    A certificate of the host's own and its key, in two files.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "thim")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (tmp_path / "key.pem").chmod(0o600)
    return tmp_path / "cert.pem", tmp_path / "key.pem"


class TestServe:
    def test_first_run(self, tmp_path):
        """
        The first run makes the default store, serves it, and ends quietly
        when it is told to.
        """
        store = tmp_path / "data" / "thim" / "thim.db"
        with serving() as (process, found):
            connection = http.client.HTTPConnection("127.0.0.1", int(found[2]))
            status, _ = ask(connection, "/health/ready")

        assert ("http", str(store), 200) == (found[1], found[3], status)
        assert 0 == process.returncode
        Ledger(store, VENDOR_ROOTS).close()

    def test_tls(self, store, tls):
        """
        With a certificate and its key it serves over TLS.
        """
        cert, key = tls
        context = ssl.create_default_context(cafile=str(cert))
        context.check_hostname = False
        with serving(
            "--store", store, "--tls-cert", cert, "--tls-key", key
        ) as (_, found):
            connection = http.client.HTTPSConnection(
                "127.0.0.1", int(found[2]), context=context
            )
            status, _ = ask(connection, "/health/live")

        assert ("https", 200) == (found[1], status)

    def test_own_listener(self, store, monkeypatch):
        """
        Operators are answered on their own listener alone, by every process.
        """
        monkeypatch.setenv("THIM_ADMIN_LISTEN", "127.0.0.1:0")
        lines: list[str] = []
        options = ("--store", store, "--workers", "2")
        with serving(*options, said=lines) as (_, found):
            text = "".join(lines)
            own = re.search(r"metrics on http://127\.0\.0\.1:(\d+)", text)
            assert own is not None
            statuses = {
                ask(http.client.HTTPConnection("127.0.0.1", int(port)), path)[0]
                for port, path in (
                    (found[2], "/metrics"),
                    (own[1], "/certs"),
                )
                for _ in range(5)
            }
            connection = http.client.HTTPConnection("127.0.0.1", int(own[1]))
            status, _ = ask(connection, "/metrics")

        assert ({404}, 200) == (statuses, status)

    def test_taken(self, store, thim, monkeypatch):
        """
        An address for operators that somebody else has is named.
        """
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            monkeypatch.setenv("THIM_ADMIN_LISTEN", f"127.0.0.1:{port}")
            run = thim("serve", "--store", store, "--listen", "127.0.0.1:0")

        assert f"cannot listen on 127.0.0.1:{port}: " in run.err

    def test_killed_parent(self, store):
        """
        When the supervising process is killed, its workers end too and the
        port is free again.
        """
        with serving("--store", store, "--workers", "2") as (process, found):
            process.kill()
            process.wait()
            address = ("127.0.0.1", int(found[2]))
            deadline = time.monotonic() + 10
            is_free = False
            while not is_free and time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    socket.create_server(address).close()
                    is_free = True

        assert is_free


class TestRefusals:
    def refused(self, run, *parts: str) -> None:
        """
        Check that a run ended at once, with one line that has all *parts*.
        """
        assert (2, b"") == (run.code, run.out)
        assert 1 == run.err.count("\n")
        for part in parts:
            assert part in run.err

    def test_named_store_missing(self, thim, tmp_path):
        """
        A store that is named is not made.
        """
        path = tmp_path / "typo.db"
        run = thim("serve", "--store", path)

        self.refused(run, f"store {path}: no such file")
        assert not path.exists()

    def test_default_store_impossible(self, thim, monkeypatch):
        """
        Where the default store cannot be made, it ends and says why.
        """
        monkeypatch.setenv("XDG_DATA_HOME", "/proc/nowhere")
        run = thim("serve")

        assert 2 == run.code
        assert "/proc/nowhere/thim/thim.db" in run.err

    def test_other_anchors(self, thim, our_store):
        """
        A store for test documents is refused before anything is served.
        """
        run = thim("serve", "--store", our_store, "--listen", "127.0.0.1:0")

        self.refused(run, "trust anchors")

    def test_address_in_use(self, thim, store):
        """
        An address that is taken is named.
        """
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            run = thim("serve", "--store", store, "--listen", address)

        self.refused(run, f"cannot listen on {address}", "in use")

    @pytest.mark.parametrize(
        "address",
        ["no.such.host.invalid:0", f"{'x' * 70}:0", "[::zz]:0", "[:]:0"],
    )
    def test_no_address(self, thim, store, address):
        """
        So is one that there is not.
        """
        run = thim("serve", "--store", store, "--listen", address)

        self.refused(run, "listen")

    def test_bad_certificate(self, thim, store, tmp_path):
        """
        A certificate that is none is named.
        """
        path = tmp_path / "junk.pem"
        path.write_text("junk")
        run = thim(
            "serve",
            "--store",
            store,
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            path,
            "--tls-key",
            path,
        )

        self.refused(run, "tls")

    def test_encrypted_key(self, thim, store, tls):
        """
        So is a key that asks for a password: a service has nobody to ask.
        """
        cert, key = tls
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        key.write_bytes(
            loaded.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        run = thim(
            "serve", "--store", store, "--tls-cert", cert, "--tls-key", key
        )

        self.refused(run, "password")

    def test_offline_and_not(self, thim, store):
        """
        Two flags that contradict each other are refused.
        """
        run = thim("serve", "--store", store, "--offline", "--fill", "lazy")

        self.refused(run, "--offline: got 'lazy', expected no other --fill")

    def test_bad_workers(self, thim, store):
        """
        A bad setting is refused before anything starts.
        """
        run = thim("serve", "--store", store, "--workers", "0")

        self.refused(run, "workers (flag): got 0, expected a whole number")
