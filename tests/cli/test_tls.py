import contextlib
import http.client
import json
import shutil
import ssl
import subprocess
import time

import pytest

from cryptography import x509

from tests.cli.day_zero import DAY, content, outdate
from tests.cli.test_serve import serving
from thim.intel.authorities import INTEL_SGX_ROOT
from thim.services.clock import utc_now
from thim.services.pki import (
    read_certificate,
)
from thim.services.secrets import provide_sealer
from thim.store.ledger import Ledger


def whoami(folder, port, context=None):
    """
    Ask a service who we are, with the first admin token.
    """
    trust = context or ssl.create_default_context(cafile=folder / "ca.pem")
    connection = http.client.HTTPSConnection("localhost", port, context=trust)
    token = (folder / "admin.token").read_text().strip()
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {token}"}
        connection.request("GET", "/admin/v1/whoami", headers=headers)
        answer = connection.getresponse()
        cert = connection.sock.getpeercert(binary_form=True)
        return answer.status, json.loads(answer.read()), cert


class TestServed:
    def test_from_nothing(self, made):
        """
        What was set up is served, over TLS that clients with the CA trust,
        and the first token counts.
        """
        with serving("--config", made / "thim.toml") as (_, found):
            status, body, _ = whoami(made, int(found[2]))

        assert ("https", 200, "admin") == (found[1], status, body["role"])

    @pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
    def test_curl(self, made):
        """
        Curl trusts it by the CA alone, and not without it.
        """
        with serving("--config", made / "thim.toml") as (_, found):
            url = f"https://localhost:{found[2]}/health/live"
            codes = [
                subprocess.run(
                    ["curl", "-sS", *options, url],
                    check=False,
                    capture_output=True,
                ).returncode
                for options in (["--cacert", made / "ca.pem"], [])
            ]

        assert [0, 60] == codes

    def test_openssl(self, made):
        """
        OpenSSL verifies the chain.
        """
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem"]
        subprocess.run([*command, "server.pem"], cwd=made, check=True)

    def test_renewed_at_start(self, made):
        """
        A certificate that should have been renewed while nobody served is
        renewed at the start.
        """
        old = outdate(made)
        with serving("--config", made / "thim.toml") as (_, found):
            _, _, cert = whoami(made, int(found[2]))

        new = x509.load_der_x509_certificate(cert)
        assert old.serial_number != new.serial_number
        assert utc_now() + 89 * DAY < new.not_valid_after_utc

    def test_renewed_while_serving(self, thim, made):
        """
        One that is renewed is taken by every worker without a restart.
        """
        config = made / "thim.toml"
        with serving("--config", config, "--workers", "2") as (_, found):
            port = int(found[2])
            whoami(made, port)
            run = thim("tls", "renew", "--config", config)
            new = read_certificate(made / "server.pem").serial_number
            deadline = time.monotonic() + 20
            seen: list[int] = []
            while seen[-20:] != [new] * 20 and time.monotonic() < deadline:
                _, _, cert = whoami(made, port)
                certificate = x509.load_der_x509_certificate(cert)
                seen.append(certificate.serial_number)
                time.sleep(0.05)

        assert 0 == run.code
        assert [new] * 20 == seen[-20:]

    @pytest.mark.parametrize("name", ["server.key", "ca.key", "thim.key"])
    def test_modes(self, thim, made, name):
        """
        A key that others can read is noticed at each start.
        """
        (made / name).chmod(0o640)
        run = thim("serve", "--config", made / "thim.toml")

        assert (2, 1) == (run.code, run.err.count("\n"))
        assert f"key file {made}/{name}: mode 0640" in run.err
        assert f"`chmod 600 {made}/{name}`" in run.err

    def test_key_lost(self, thim, made):
        """
        So is a sealing key that is gone, once something was sealed.
        """
        with Ledger(made / "thim.db", INTEL_SGX_ROOT) as ledger:
            provide_sealer(ledger, made / "thim.key")
        (made / "thim.key").unlink()
        run = thim("serve", "--config", made / "thim.toml")

        assert (2, 1) == (run.code, run.err.count("\n"))
        assert "bring that one back" in run.err

    def test_other_certificate(self, thim, made, tmp_path):
        """
        An operator's own certificate is never replaced, even where a flag
        names it beside a CA of ours.
        """
        thim("init", "--folder", tmp_path / "own")
        own = tmp_path / "own"
        before = content(own)
        run = thim(
            "serve",
            "--config",
            made / "thim.toml",
            "--tls-cert",
            own / "server.pem",
            "--tls-key",
            own / "server.key",
        )

        assert 2 == run.code
        assert "was not issued by tls_ca_cert" in run.err
        assert before == content(own)


class TestTlsRenew:
    def test_names(self, thim, made):
        """
        It may be for other names below those of the CA.
        """
        run = thim(
            "tls",
            "renew",
            "--config",
            made / "thim.toml",
            "--name",
            "a.thim.example",
        )

        assert 0 == run.code
        assert "a.thim.example, localhost, 127.0.0.1, ::1" in run.text

    def test_other_names(self, thim, made):
        """
        For others it takes a new CA, which clients are to be told of.
        """
        command = ("tls", "renew", "--config", made / "thim.toml")
        before = content(made)
        refused = thim(*command, "--name", "other.example")
        assert (2, before) == (refused.code, content(made))
        assert "--new-ca makes a CA for other names" in refused.err

        run = thim(*command, "--name", "other.example", "--new-ca")
        assert 0 == run.code
        assert "update-ca-certificates" in run.text
        assert before["ca.pem"] != content(made)["ca.pem"]
        verify = ["openssl", "verify", "-CAfile", "ca.pem", "server.pem"]
        subprocess.run(verify, cwd=made, check=True)

    def test_no_ca(self, thim):
        """
        Without a private CA there is nothing to renew.
        """
        run = thim("tls", "renew")

        assert 2 == run.code
        assert "there is no private CA" in run.err
