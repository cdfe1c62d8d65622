import contextlib
import http.client
import json
import ssl
import subprocess
import time

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.cli.day_zero import DAY, content, outdate
from tests.cli.test_serve import serving
from tests.needs import needs_curl
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.clock import utc_now
from thim.services.pki import (
    read_certificate,
)
from thim.services.secrets import provide_sealer
from thim.store.ledger import Ledger
from thim.x509.chain import common_name


def whoami(folder, port, ca=None):
    """
    Ask a service who we are, with the first admin token, as a client that
    trusts *ca*.
    """
    trust = ssl.create_default_context(cafile=ca or folder / "ca.pem")
    connection = http.client.HTTPSConnection("localhost", port, context=trust)
    token = (folder / "admin.token").read_text().strip()
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {token}"}
        connection.request("GET", "/admin/v1/whoami", headers=headers)
        answer = connection.getresponse()
        cert = connection.sock.getpeercert(binary_form=True)
        return answer.status, json.loads(answer.read()), cert


def fingerprint(path):
    """
    Return the SHA-256 fingerprint of a certificate, as it is printed.
    """
    found = read_certificate(path).fingerprint(hashes.SHA256())
    return found.hex(":").upper()


class TestServed:
    def test_from_nothing(self, made):
        """
        What was set up is served, over TLS that clients with the CA trust,
        and the first token counts.
        """
        with serving("--config", made / "thim.toml") as (_, found):
            status, body, _ = whoami(made, int(found[2]))

        assert ("https", 200, "admin") == (found[1], status, body["role"])

    @needs_curl
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
        with Ledger(made / "thim.db", VENDOR_ROOTS) as ledger:
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


class TestStatus:
    def concerns(self, thim, config):
        """
        Return the concerns of a status, by reason.
        """
        found = thim("status", "--json", "--config", config).json["concerns"]
        return {concern["reason"]: concern for concern in found}

    def test_well(self, thim, made):
        """
        A certificate that will be renewed in time is no concern, nor one that
        is not there yet.
        """
        outdate(made, 66)
        assert ["empty"] == list(self.concerns(thim, made / "thim.toml"))
        (made / "server.pem").unlink()
        assert ["empty"] == list(self.concerns(thim, made / "thim.toml"))

    @pytest.mark.parametrize(("days", "level"), [(70, 1), (91, 2)])
    def test_not_renewed(self, thim, made, days, level):
        """
        One that should have been renewed long ago is: soon, and once it has
        ended, now.
        """
        last = outdate(made, days).not_valid_after_utc
        found = self.concerns(thim, made / "thim.toml")["certificate-ends"]

        assert {
            "level": level,
            "reason": "certificate-ends",
            "detail": f"{made}/server.pem ends at {last:%FT%TZ}: no service "
            f"has renewed it",
        } == found

    def test_ca_elsewhere(self, thim, made):
        """
        It says so where the CA's key is not there.
        """
        outdate(made)
        (made / "ca.key").unlink()
        found = self.concerns(thim, made / "thim.toml")["certificate-ends"]

        said = f"it cannot be renewed without {made}/ca.key"
        assert found["detail"].endswith(said)

    def test_own(self, thim, made, tmp_path):
        """
        Or where the certificate is the operator's own.
        """
        outdate(made)
        config = tmp_path / "own.toml"
        config.write_text(
            f"""
            store = "{made}/thim.db"
            tls_cert = "{made}/server.pem"
            tls_key = "{made}/server.key"
            """
        )
        found = self.concerns(thim, config)["certificate-ends"]

        assert found["detail"].endswith("so put another in its place")


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
        assert before == {
            name: text
            for name, text in content(made).items()
            if name not in {"ca.pem.new", "ca.key.new"}
        }
        verify = ["openssl", "verify", "-CAfile", "ca.pem", "server.pem"]
        subprocess.run(verify, cwd=made, check=True)

        run = thim(*command, "--switch")
        assert 0 == run.code
        assert "for other.example, localhost" in run.text
        assert before["ca.pem"] != content(made)["ca.pem"]
        subprocess.run(verify, cwd=made, check=True)

    def test_at_once(self, thim, made):
        """
        Both steps can be one; how the new CA is trusted is said then too.
        """
        config = made / "thim.toml"
        run = thim("tls", "renew", "--config", config, "--new-ca", "--switch")

        assert 0 == run.code
        assert "cp ca.pem /usr/local/share/ca-certificates/thim.crt" in run.text
        assert f"SHA-256 {fingerprint(made / 'ca.pem')}" in run.text

    def test_told(self, thim, made):
        """
        Between the steps clients are told to trust the new CA beside the old
        one: in a file of its own, and nothing of theirs is overwritten.
        """
        run = thim("tls", "renew", "--config", made / "thim.toml", "--new-ca")
        ca = read_certificate(made / "ca.pem.new")
        name = f"thim-{common_name(ca.subject)[-8:]}"

        assert f"SHA-256 {fingerprint(made / 'ca.pem.new')}" in run.text
        for part in (
            f"cp ca.pem.new /usr/local/share/ca-certificates/{name}.crt",
            f"cp ca.pem.new /etc/pki/ca-trust/source/anchors/{name}.pem",
            "certutil -addstore Root ca.pem.new",
            "cat ca.pem ca.pem.new > both.pem",
            "SSL_CERT_FILE=both.pem",
            "`thim tls renew --switch` takes it into use",
        ):
            assert part in run.text

    def test_overlap(self, thim, made):
        """
        Clients that trust both CAs are served before, during and after the
        switch; and nobody who trusts the old one alone fails before it.
        """
        config, old = made / "thim.toml", made / "client.pem"
        old.write_bytes((made / "ca.pem").read_bytes())
        both = made / "both.pem"
        with serving("--config", config) as (_, found):
            port = int(found[2])
            thim("tls", "renew", "--config", config, "--new-ca")
            time.sleep(3)
            both.write_bytes(
                old.read_bytes() + (made / "ca.pem.new").read_bytes()
            )
            assert [200, 200] == [
                whoami(made, port, ca)[0] for ca in (old, both)
            ]
            thim("tls", "renew", "--config", config, "--switch")
            new = read_certificate(made / "server.pem").serial_number
            deadline, seen = time.monotonic() + 20, 0
            while seen != new and time.monotonic() < deadline:
                status, _, cert = whoami(made, port, both)
                assert 200 == status
                certificate = x509.load_der_x509_certificate(cert)
                seen = certificate.serial_number
            assert 200 == whoami(made, port)[0]

        assert new == seen

    def test_nothing_to_switch_to(self, thim, made):
        """
        Without a new CA there is nothing to switch to.
        """
        before = content(made)
        config = made / "thim.toml"
        run = thim("tls", "renew", "--config", config, "--switch")

        assert (2, before) == (run.code, content(made))
        assert "`thim tls renew --new-ca` makes one" in run.err

    def test_no_configuration(self, thim, tmp_path):
        """
        Where no configuration was found, that is said, and where it was looked
        for.
        """
        run = thim("tls", "renew")

        assert 2 == run.code
        assert "there is no private CA" in run.err
        assert "no configuration was found" in run.err
        assert "/etc/thim/thim.toml" in run.err
        assert f"{tmp_path}/data/thim/thim.toml" in run.err

    def test_no_ca(self, thim, tmp_path):
        """
        A configuration without a private CA is named.
        """
        path = tmp_path / "thim.toml"
        path.touch()
        run = thim("tls", "renew", "--config", path)

        assert 2 == run.code
        assert "there is no private CA" in run.err
        assert f"configuration {path}: tls_ca_cert and tls_ca_key" in run.err

    def test_help(self, thim):
        """
        The help says what names replace, and no default that is none.
        """
        text = " ".join(thim("tls", "renew", "--help").text.split())

        assert "names given replace all earlier ones" in text
        assert "this machine's name" not in text
