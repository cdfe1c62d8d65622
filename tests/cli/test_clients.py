import json
import shlex
import subprocess

import pytest

from tests.http.conftest import NOW, make_store
from tests.serving import serving
from thim.client.jsonc import parse_jsonc
from thim.client.nodes import Object
from thim.simulate.pki import Intel


URL = "https://thim.example:8443"
PCS = f"{URL}/sgx/certification/v4/"


def settings(text):
    """
    Return the settings in a file of QCNL's.
    """
    root = parse_jsonc(text).value
    assert isinstance(root, Object)
    return {m.name: m.node.value for m in root.members}


def sourced(text):
    """
    Return what a shell makes of *text*: its environment.
    """
    got = subprocess.run(
        ["/bin/sh", "-c", f"{text}\nenv"],
        capture_output=True,
        check=True,
        text=True,
        env={},
    )
    return dict(line.split("=", 1) for line in got.stdout.splitlines())


class TestUrl:
    def test_given(self, thim):
        """
        With --url no configuration is read, and nothing else is said of it.
        """
        run = thim("client-config", "qpl", "--url", URL, "--config", "/none")

        assert 0 == run.code
        assert PCS == settings(run.text)["pccs_url"]
        assert "--url" not in run.err

    @pytest.mark.parametrize(
        ("listen", "url"),
        [
            ("127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("0.0.0.0:9000", "http://127.0.0.1:9000"),
            ("[::]:9000", "http://[::1]:9000"),
        ],
    )
    def test_listening(self, thim, monkeypatch, listen, url):
        """
        Without it the address of the listener is taken, and that is said.
        """
        monkeypatch.setenv("THIM_LISTEN", listen)
        run = thim("client-config", "dcap-qvl")

        assert f"{url}/sgx/certification/v4/" == sourced(run.text)["PCCS_URL"]
        assert "clients on other machines need --url" in run.err

    def test_tls(self, thim, monkeypatch, tmp_path):
        """
        With a certificate the service is asked over TLS.
        """
        for name in ("TLS_CERT", "TLS_KEY"):
            (tmp_path / name).touch()
            monkeypatch.setenv(f"THIM_{name}", str(tmp_path / name))
        run = thim("client-config", "dcap-qvl")

        assert "https://127.0.0.1:8080/" in run.text

    @pytest.mark.parametrize(
        "arguments",
        [
            ["qpl", "--url", "thim.example"],
            ["qpl", "--url", 'https://h/"'],
            ["qpl", "--url", URL, "--tenant", "SGX"],
            ["qpl", "--url", URL, "--local-pck-url", 'http://h/"'],
            ["az-dcap", "--url", URL, "--imds", "http://h/$(id)"],
            ["snpguest", "--url", URL, "--tenant", "acme"],
            ["go-tdx-guest", "--url", f"{URL}/baseline/17"],
            ["trustee", "--url", URL, "--tenant", "acme"],
            ["trustee", "--url", f"{URL}/baseline/19"],
        ],
    )
    def test_bad(self, thim, arguments):
        """
        What cannot be told to a client is refused in one line.
        """
        run = thim("client-config", *arguments)

        assert (2, b"") == (run.code, run.out)
        assert 1 == run.err.count("\n")
        assert "expected" in run.err


class TestQpl:
    def test_file(self, thim, tmp_path):
        """
        What is printed is a file in which the check finds nothing.
        """
        file = tmp_path / "sgx_default_qcnl.conf"
        file.write_bytes(
            thim("client-config", "qpl", "--url", URL, "--tenant", "a").out
        )
        run = thim("client-config", "check", file, "--offline")

        assert (0, f"{file}: nothing found\n") == (run.code, run.text)

    def test_values(self, thim):
        """
        The values are those that suit thim.
        """
        run = thim("client-config", "qpl", "--url", URL, "--tenant", "acme")

        assert {
            "pccs_url": f"{URL}/tenant/acme/sgx/certification/v4/",
            "collateral_service": f"{URL}/tenant/acme/sgx/certification/v4/",
            "use_secure_cert": True,
            "tcb_update_type": "standard",
            "pccs_api_version": "3.1",
            "retry_times": 6,
            "retry_delay": 5,
            "pck_cache_expire_hours": 24,
            "verify_collateral_cache_expire_hours": 24,
            "local_cache_only": False,
        } == settings(run.text)

    def test_agent(self, thim):
        """
        An agent comes with the header that it needs.
        """
        agent = "http://169.254.169.254/metadata/THIM/sgx/certification/v4"
        run = thim(
            *("client-config", "qpl", "--url", URL),
            *("--local-pck-url", agent),
        )
        found = settings(run.text)

        assert f"{agent}/" == found["local_pck_url"]
        assert '"metadata": "true"' in run.text
        assert "custom_request_options" in found

    def test_windows(self, thim):
        """
        For Windows, PowerShell writes the same file and names it in the
        registry.
        """
        linux = thim("client-config", "qpl", "--url", URL)
        windows = thim("client-config", "qpl", "--url", URL, "--windows")

        assert f"@'\n{linux.text}'@\n" in windows.text
        assert r'"HKLM\SOFTWARE\Intel\SGX\QCNL" /v CONFIG_FILE' in windows.text
        assert "names no revocation list" in " ".join(windows.err.split())


class TestEnvironments:
    def test_az_dcap(self, thim):
        """
        Azure's client finds everything here.
        """
        run = thim("client-config", "az-dcap", "--url", URL, "--tenant", "a")
        found = sourced(run.text)
        base = f"{URL}/tenant/a/sgx/certification"

        assert base == found["AZDCAP_BASE_CERT_URL"]
        assert base == found["AZDCAP_PRIMARY_BASE_CERT_URL"]
        assert base == found["AZDCAP_SECONDARY_BASE_CERT_URL"]
        assert "true" == found["AZDCAP_BYPASS_BASE_URL"]

    def test_az_dcap_tdx(self, thim):
        """
        Region and base make up the URL for TDX, which is always https.
        """
        found = sourced(thim("client-config", "az-dcap", "--url", URL).text)
        parts = ("AZDCAP_REGION_URL", "AZDCAP_BASE_CERT_URL_TDX")
        made = "https://" + "".join(found[name] for name in parts)

        assert f"{URL}/sgx/certification" == made

    def test_az_dcap_plain(self, thim):
        """
        Over plain http there is none for TDX, and that is said.
        """
        run = thim("client-config", "az-dcap", "--url", "http://h")

        assert "AZDCAP_REGION_URL" not in sourced(run.text)
        assert "give an https URL" in run.text

    def test_az_dcap_agent(self, thim):
        """
        An agent is asked first, and not skipped.
        """
        run = thim(
            *("client-config", "az-dcap", "--url", URL),
            *("--imds", "http://169.254.169.254/"),
        )
        found = sourced(run.text)

        assert (
            "http://169.254.169.254/metadata/THIM/sgx/certification"
            == found["AZDCAP_PRIMARY_BASE_CERT_URL"]
        )
        assert "false" == found["AZDCAP_BYPASS_BASE_URL"]

    @pytest.mark.parametrize("client", ["az-dcap", "dcap-qvl"])
    def test_windows(self, thim, client):
        """
        For Windows the same variables are set with setx, in ASCII.
        """
        arguments = ("client-config", client, "--url", URL)
        linux = sourced(thim(*arguments).text)
        run = thim(*arguments, "--windows")
        lines = [x for x in run.text.splitlines() if x.startswith("setx ")]

        assert run.out.isascii()
        for name, value in [shlex.split(line)[1:3] for line in lines]:
            assert linux[name] == value

    def test_dcap_qvl(self, thim):
        """
        dcap-qvl reads one variable.
        """
        run = thim("client-config", "dcap-qvl", "--url", URL)

        assert PCS == sourced(run.text)["PCCS_URL"]


class TestFixedHosts:
    def test_address(self, thim):
        """
        An address makes lines that can go into the file as they are.
        """
        run = thim("client-config", "go-tdx-guest", "--url", "https://10.0.0.1")

        assert (
            "10.0.0.1 api.trustedservices.intel.com "
            "certificates.trustedservices.intel.com"
        ) == run.text.splitlines()[-1]

    def test_name(self, thim):
        """
        For a name they are comments: the file wants an address.
        """
        run = thim("client-config", "snpguest", "--url", "https://thim.example")

        assert all(line.startswith("#") for line in run.text.splitlines())
        assert "#ADDRESS kdsintf.amd.com" in run.text

    @pytest.mark.parametrize("client", ["go-tdx-guest", "snpguest"])
    def test_port(self, thim, client):
        """
        They ask port 443, which is said where the service is elsewhere.
        """
        words = "over https on port 443"

        assert words in thim("client-config", client, "--url", URL).err
        assert (
            words not in thim("client-config", client, "--url", "https://h").err
        )

    def test_trustee(self, thim):
        """
        Trustee's part is JSON; where we have no certificate, AMD is asked.
        """
        run = thim("client-config", "trustee", "--url", URL)
        found = run.json["verifier_config"]

        assert PCS == found["dcap_verifier"]["collateral_service"]
        assert [
            {"type": "KDS", "base_url": URL},
            {"type": "KDS"},
        ] == found["snp_verifier"]["vcek_sources"]


class TestCheck:
    def test_comma(self, thim, tmp_path):
        """
        A missing comma is named with its line, and is exit code 2.
        """
        file = tmp_path / "conf"
        file.write_text(f'{{\n  "pccs_url": "{PCS}"\n  "retry_times": 6\n}}')
        run = thim("client-config", "check", file, "--offline")

        assert 2 == run.code
        assert f"{file}:3:3: error: a comma is missing before this" in run.text
        assert run.text.endswith(f"[missing-comma]\n{file}: 1 error\n")

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            (f'{{"pccs_url": "{PCS}"}}', 0),
            (f'{{"pccs_url": "{PCS}", "use_secure_cert": false}}', 1),
            ("{}", 1),
            ("", 2),
        ],
    )
    def test_codes(self, thim, tmp_path, text, code):
        """
        The exit code is the worst finding's.
        """
        file = tmp_path / "conf"
        file.write_text(text)

        assert code == thim("client-config", "check", file, "--offline").code

    def test_link(self, thim, tmp_path):
        """
        A symbolic link is a warning, since newer releases do not follow it.
        """
        (tmp_path / "conf").write_text(f'{{"pccs_url": "{PCS}"}}')
        (tmp_path / "link").symlink_to("conf")
        run = thim("client-config", "check", tmp_path / "link", "--offline")

        assert 1 == run.code
        assert "[symbolic-link]" in run.text

    def test_json(self, thim, tmp_path):
        """
        Machines get the same.
        """
        file = tmp_path / "conf"
        file.write_text("{'a': 1}")
        run = thim("client-config", "check", file, "--offline", "--json")

        assert 2 == run.code
        assert "error" == run.json["level"]
        (finding,) = run.json["findings"]
        assert ("error", "wrong-quotes", 1, 2) == tuple(
            finding[name] for name in ("level", "name", "line", "column")
        )

    @pytest.mark.parametrize("name", ["none", "."])
    def test_no_file(self, thim, tmp_path, name):
        """
        A file that cannot be read is one line and exit code 2.
        """
        run = thim("client-config", "check", f"{tmp_path}/{name}")

        assert (2, b"") == (run.code, run.out)
        assert 1 == run.err.count("\n")

    @pytest.mark.parametrize("file", ["/dev/zero", "/bin/bash"])
    def test_binary(self, thim, file):
        """
        A file that is none, or has no end, is a finding.
        """
        run = thim("client-config", "check", file, "--json")

        assert 2 == run.code
        (finding,) = run.json["findings"]
        assert finding["name"] in {"binary", "too-large"}

    def test_terminal(self, thim, tmp_path):
        """
        What the file holds does not reach the terminal as it is.
        """
        file = tmp_path / "conf"
        file.write_bytes(b'{"pccs_url": "https://h\xff\xc2\x9b/"}')
        run = thim("client-config", "check", file, "--offline")

        assert all(c.isprintable() or c == "\n" for c in run.text)

    def test_thim(self, thim, tmp_path, monkeypatch):
        """
        A running thim is recognised.
        """
        monkeypatch.setenv("NO_PROXY", "*")
        intel = Intel()
        store = make_store(tmp_path / "x.db", intel, [intel.root_crl()])
        file = tmp_path / "conf"
        with serving(store, lambda: NOW, anchors=intel.anchors) as served:
            url = f"{served.url}/sgx/certification/v4/"
            file.write_text(json.dumps({"pccs_url": url}))
            run = thim("client-config", "check", file, "--json")

        names = {f["name"]: f["message"] for f in run.json["findings"]}
        assert "thim answers" in names["answers"]
