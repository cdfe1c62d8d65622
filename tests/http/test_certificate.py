import asyncio
import contextlib
import datetime
import logging
import os
import ssl

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cli.day_zero import closed
from thim.errors import OperatorError
from thim.http import live_tls
from thim.http.certificate import CertificateFiles, LiveCertificate
from thim.http.live_tls import LiveTls, TlsFiles
from thim.services.pki import make_ca, make_server
from thim.services.secrets import replace
from thim.x509.chain import to_pem
from thim.x509.issue import parse_host


NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
HOSTS = [parse_host("localhost"), parse_host("127.0.0.1")]
CA = make_ca(HOSTS, NOW)

RSA_KEY = rsa.generate_private_key(65537, 2048).private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)


@pytest.fixture
def files(tmp_path):
    """
    A server's certificate and key.
    """
    files = CertificateFiles(
        cert=tmp_path / "server.pem", key=tmp_path / "server.key", is_ours=True
    )
    write(files)
    return files


def write(files, now=NOW):
    """
    Put another certificate and its key there; return its serial number.
    """
    server, key = make_server(CA, HOSTS, now)
    replace(files.key, key)
    replace(files.cert, to_pem([server]), 0o644)
    return server.serial_number


@pytest.fixture
def live(files):
    """
    A context that is kept to them; as of NOW.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return LiveCertificate(files, context, lambda: NOW)


def serial_of(context):
    """
    Return the serial number that a client sees.
    """
    trust = ssl.create_default_context(cadata=to_pem([CA.certificate]).decode())
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(there, back, server_side=True)
    client = trust.wrap_bio(back, there, server_hostname="localhost")
    for _ in range(3):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def look(live, times=2):
    """
    Let so many intervals go by.
    """
    for _ in range(times):
        live.look()


class TestLive:
    def test_new_one(self, live, files):
        """
        A new certificate is taken by the same context, once its files have
        come to rest.
        """
        old = serial_of(live._context)
        new = write(files)
        look(live, 1)
        assert old == serial_of(live._context)
        look(live, 1)

        assert new == serial_of(live._context)

    def test_nothing_new(self, live, caplog):
        """
        Where nothing has changed nothing is done or said.
        """
        caplog.set_level(logging.INFO)
        look(live, 5)

        assert "" == caplog.text

    @pytest.mark.parametrize(
        ("name", "content", "word"),
        [
            ("cert", b"nonsense", "no PEM certificate chain"),
            ("cert", b"", "no PEM certificate chain"),
            ("key", b"nonsense", "tls_key"),
            ("key", make_server(CA, HOSTS, NOW)[1], "does not belong to"),
            ("key", RSA_KEY, "does not belong to"),
            (
                "cert",
                to_pem([make_server(CA, HOSTS, NOW - 91 * DAY)[0]]),
                "expired on",
            ),
            ("cert", None, "No such file"),
            ("key", None, "No such file"),
        ],
        ids=[
            "no certificate",
            "empty",
            "no key",
            "another key",
            "a key of another kind",
            "expired",
            "certificate gone",
            "key gone",
        ],
    )
    def test_bad_one(self, live, files, caplog, name, content, word):
        """
        One that cannot be used is refused with one line, the old one stays in
        force; and a good one is taken afterwards.
        """
        caplog.set_level(logging.INFO)
        old = serial_of(live._context)
        path = getattr(files, name)
        path.unlink() if content is None else replace(path, content)
        look(live, 10)
        (record,) = caplog.records
        assert "is not used" in record.getMessage()
        assert word in record.getMessage()
        assert old == serial_of(live._context)

        new = write(files)
        look(live)
        assert new == serial_of(live._context)
        assert "is in force" in caplog.records[-1].getMessage()

    @pytest.mark.parametrize("name", ["cert", "key"])
    def test_pipe(self, live, files, caplog, name):
        """
        A pipe is not waited for: the worker goes on.
        """
        path = getattr(files, name)
        path.unlink()
        os.mkfifo(path, 0o600)
        look(live, 5)

        assert "expected a regular file" in caplog.text

    def test_readable_key(self, live, files, caplog):
        """
        A new key that others can read is refused until that is mended.
        """
        old, new = serial_of(live._context), write(files)
        files.key.chmod(0o644)
        look(live, 5)
        assert old == serial_of(live._context)
        assert 1 == len(caplog.records)
        assert f"`chmod 600 {files.key}`" in caplog.text
        files.key.chmod(0o600)
        look(live)

        assert new == serial_of(live._context)

    def test_two_steps(self, live, files, caplog):
        """
        Whoever replaces first one file and later the other has it taken when
        both are there.
        """
        server, key = make_server(CA, HOSTS, NOW)
        replace(files.cert, to_pem([server]))
        look(live, 5)
        replace(files.key, key)
        look(live)

        errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert server.serial_number == serial_of(live._context)
        assert 1 == len(errors)


class TestLoad:
    @pytest.mark.parametrize("key", [make_server(CA, HOSTS, NOW)[1], RSA_KEY])
    def test_another_key(self, files, key):
        """
        A key that does not belong to the certificate is said to be that, and
        both files are named.
        """
        replace(files.key, key)
        with pytest.raises(OperatorError) as caught:
            files.check()

        assert (
            f"the key in tls_key {files.key} does not belong to the "
            f"certificate in tls_cert {files.cert}" == str(caught.value)
        )

    def test_permission_denied(self, files, tmp_path):
        """
        A file that this user may not read is named, and that it is so.
        """
        with closed(tmp_path), pytest.raises(OperatorError) as caught:
            files.check()

        assert f"tls_cert {files.cert}: Permission denied" == str(caught.value)

    def test_provided(self, files):
        """
        An operator's own key may be read by its group, ours may not.
        """
        files.key.chmod(0o640)
        with pytest.raises(OperatorError, match="mode 0640"):
            files.check()

        CertificateFiles(cert=files.cert, key=files.key, is_ours=False).check()

    def test_bad_at_start(self, files):
        """
        What cannot be used at the start is an error.
        """
        replace(files.cert, b"nonsense")
        with pytest.raises(OperatorError, match="tls_cert"):
            LiveCertificate(files, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def test_nothing_left_open(self, files):
        """
        Loading leaves no file open.
        """
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(20):
            files.check()

        assert before == len(os.listdir("/proc/self/fd"))  # noqa: PTH208


class TestFollow:
    def test_connections_go_on(self, files, monkeypatch):
        """
        In a running server new connections get the new certificate, and an old
        one goes on.
        """
        monkeypatch.setattr(live_tls, "_POLL", 0.01)
        trust = ssl.create_default_context(
            cadata=to_pem([CA.certificate]).decode()
        )

        async def echo(reader, writer):
            while line := await reader.readline():
                writer.write(line)
            writer.close()

        async def ask(reader, writer):
            writer.write(b"x\n")
            assert b"x\n" == await reader.readline()
            cert = writer.get_extra_info("peercert")
            return int(cert["serialNumber"], 16)

        async def run():
            tls = LiveTls(TlsFiles(certificates=(files,)))
            following = asyncio.create_task(tls.follow())
            server = await asyncio.start_server(
                echo, "127.0.0.1", 0, ssl=tls.context
            )
            port = server.sockets[0].getsockname()[1]
            old = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
            first = await ask(*old)
            expected, seen = write(files), first
            while seen != expected:
                new = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=trust
                )
                seen = await ask(*new)
                new[1].close()
            assert first == await ask(*old)
            old[1].close()
            server.close()
            following.cancel()

        asyncio.run(asyncio.wait_for(run(), 10))
