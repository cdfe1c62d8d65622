import pytest

from thim.cli.files import read_bounded
from thim.client.doctor.azure import find_azure
from thim.client.doctor.devices import find_devices
from thim.client.doctor.model import Kind
from thim.client.doctor.settings import (
    find_dcap_qvl,
    find_qcnl,
    find_trust,
)


BASE = "https://thim.example/sgx/certification"


def qcnl(tmp_path, text=None, environment=None, named=None):
    """
    Look at QCNL's settings, where *text* stands in the usual place.
    """
    usual = tmp_path / "sgx_default_qcnl.conf"
    if text is not None:
        usual.write_text(text)
    return find_qcnl(named, environment or {}, read_bounded, usual)


def names(found):
    """
    Return levels and names of what was found.
    """
    return [(t.level.word, t.name) for t in found.troubles]


def facts(found):
    """
    Return the facts of the first section.
    """
    return dict(found.sections[0].facts)


class TestQcnl:
    def test_none(self, tmp_path):
        """
        Where there are no settings that is said, and nobody is asked.
        """
        found = qcnl(tmp_path)

        assert () == (*found.troubles, *found.targets)
        assert "is not there" in facts(found)["settings"]

    def test_good(self, tmp_path):
        """
        It is said what the settings make QPL do, and where each stands.
        """
        text = (
            f'{{"pccs_url": "{BASE}/v4/",\n"collateral_service": '
            f'"{BASE}/v4/",\n"local_pck_url": "http://169.254.169.254/m/v4/"}}'
        )
        found = qcnl(tmp_path, text)
        by = {t.by: (t.kind, t.where.rpartition(":")[2]) for t in found.targets}

        assert {
            "QCNL's pccs_url": (Kind.QCNL, "1"),
            "QCNL's local_pck_url": (Kind.AGENT, "3"),
        } == by
        assert "(an agent), then https://" in facts(found)["PCK certificates"]

    def test_unusable(self, tmp_path):
        """
        Of settings that QCNL drops the default is asked, as QCNL does; the
        finding says line and mend.
        """
        found = qcnl(tmp_path, '{"pccs_url": "x" "retry_times": 6}')
        (trouble,) = found.troubles

        assert ("error", "missing-comma") == names(found)[0]
        assert trouble.where.endswith("sgx_default_qcnl.conf:1")
        assert trouble.mend
        assert ["https://localhost:8081/sgx/certification/v4/"] == [
            t.url for t in found.targets
        ]

    def test_old_format(self, tmp_path):
        """
        Whom the old format names is asked: QCNL reads it too.
        """
        found = qcnl(tmp_path, f"PCCS_URL={BASE}/v4/\n")

        assert ("warning", "old-format") == names(found)[0]
        assert [f"{BASE}/v4/"] == [t.url for t in found.targets]

    def test_link(self, tmp_path):
        """
        A file that is a symbolic link is told: QCNL may not follow it.
        """
        file = tmp_path / "mounted.conf"
        file.write_text(f'{{"pccs_url": "{BASE}/v4/"}}')
        link = tmp_path / "link.conf"
        link.symlink_to(file)

        assert [("warning", "symbolic-link")] == names(
            qcnl(tmp_path, named=link)
        )

    def test_secrets(self, tmp_path):
        """
        The values of headers that QCNL is to send are told nowhere.
        """
        text = f"""{{"pccs_url": "{BASE}/v4/", "custom_request_options":
            {{"get_cert": {{"headers": {{"Authorization": "hunter2"}}}}}}}}"""

        assert "hunter2" not in str(qcnl(tmp_path, text))

    def test_variable(self, tmp_path):
        """
        What the environment names counts; that there is another file is said.
        """
        other = tmp_path / "other.conf"
        other.write_text(f'{{"pccs_url": "{BASE}/v4/"}}')
        found = qcnl(tmp_path, "{}", {"QCNL_CONF_PATH": str(other)})

        assert [("warning", "two-files")] == names(found)
        assert str(other) == facts(found)["settings"]

    @pytest.mark.parametrize(
        ("is_named", "has_usual"), [(True, True), (False, False)]
    )
    def test_one_file(self, tmp_path, is_named, has_usual):
        """
        There is nothing to say of two files where one was named by hand, or
        the other is not there.
        """
        other = tmp_path / "other.conf"
        other.write_text(f'{{"pccs_url": "{BASE}/v4/"}}')
        found = qcnl(
            tmp_path,
            f'{{"pccs_url": "{BASE}/v4/"}}' if has_usual else None,
            {"QCNL_CONF_PATH": str(other)},
            other if is_named else None,
        )

        assert [] == names(found)
        assert str(other) == facts(found)["settings"]

    def test_same_file(self, tmp_path):
        """
        Nor where the environment names the usual one.
        """
        usual = tmp_path / "sgx_default_qcnl.conf"
        text = f'{{"pccs_url": "{BASE}/v4/"}}'

        assert [] == names(qcnl(tmp_path, text, {"QCNL_CONF_PATH": str(usual)}))

    def test_missing(self, tmp_path):
        """
        A file that is named and not there is an error.
        """
        found = qcnl(tmp_path, named=tmp_path / "none.conf")

        assert [("error", "unreadable")] == names(found)
        assert 1 == len(found.targets)


class TestAzure:
    def test_none(self):
        """
        Without variables the client has its own defaults: no matter of ours.
        """
        found = find_azure({"HOME": "/x"})

        assert () == (*found.troubles, *found.targets)

    def test_good(self):
        """
        Each address is asked for what it is for; the first not, if it is
        skipped.
        """
        found = find_azure(
            {
                "AZDCAP_BASE_CERT_URL": BASE,
                "AZDCAP_PRIMARY_BASE_CERT_URL": f"{BASE}/x",
                "AZDCAP_SECONDARY_BASE_CERT_URL": BASE,
                "AZDCAP_BYPASS_BASE_URL": "true",
                "AZDCAP_REGION_URL": "thim.example:8443",
                "AZDCAP_BASE_CERT_URL_TDX": "/sgx/certification",
                "AZDCAP_COLLATERAL_VERSION": "v4",
            }
        )

        assert [] == names(found)
        assert [
            (BASE, Kind.AZURE),
            (BASE, Kind.AZURE),
            ("https://thim.example:8443/sgx/certification", Kind.AZURE),
        ] == [(t.url, t.kind) for t in found.targets]

    def test_agent(self):
        """
        The host's metadata service is an agent.
        """
        url = "http://169.254.169.254/metadata/THIM/sgx/certification"
        (target,) = find_azure({"AZDCAP_PRIMARY_BASE_CERT_URL": url}).targets

        assert Kind.AGENT is target.kind

    @pytest.mark.parametrize(
        ("name", "value", "level", "expected"),
        [
            ("BASE_CERT_URL", f"{BASE}/", "warning", "trailing-slash"),
            ("BASE_CERT_URL", f"{BASE}/v4", "error", "version-twice"),
            ("BASE_CERT_URL", "thim.example", "error", "bad-url"),
            ("BASE_CERT_URL", "http://a.example/x", "warning", "plain-http"),
            ("BASE_CERT_ULR", BASE, "warning", "unknown-variable"),
            ("COLLATERAL_VERSION", "v3", "warning", "old-api"),
            ("COLLATERAL_VERSION", "4", "warning", "bad-value"),
            ("COLLATERAL_VERSION_TDX", "v3", "warning", "bad-value"),
            ("CACHE_EXPIRY_IN_SECONDS", "0", "warning", "bad-value"),
            ("CACHE_EXPIRY_IN_SECONDS", "86401", "warning", "bad-value"),
            ("CACHE_EXPIRY_IN_SECONDS", "\u0663", "warning", "bad-value"),
            ("REGION_URL", "https://a.example", "error", "bad-url"),
            ("BASE_CERT_URL_TDX", "/tdx", "error", "no-sgx"),
        ],
    )
    def test_bad(self, name, value, level, expected):
        """
        What the client would stumble over is found, by the variable's name.
        """
        found = find_azure({f"AZDCAP_{name}": value})

        assert [(level, expected)] == names(found)
        assert f"AZDCAP_{name}" == found.troubles[0].where
        assert found.troubles[0].mend

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("CACHE_EXPIRY_IN_SECONDS", "86400"),
            ("CACHE_EXPIRY_IN_SECONDS", "1"),
            # Nobody warns of what asks an agent of this very machine's host.
            ("PRIMARY_BASE_CERT_URL", "http://a.example/metadata/x"),
        ],
    )
    def test_fine(self, name, value):
        """
        What the client takes is no finding.
        """
        assert [] == names(find_azure({f"AZDCAP_{name}": value}))

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({"PRIMARY_BASE_CERT_URL": ""}, []),
            ({"PRIMARY_BASE_CERT_URL": f"{BASE}/x"}, [f"{BASE}/x"]),
            (
                {"PRIMARY_BASE_CERT_URL": BASE, "BYPASS_BASE_URL": "false"},
                [BASE],
            ),
            ({"PRIMARY_BASE_CERT_URL": BASE, "BYPASS_BASE_URL": "1"}, []),
            ({"BASE_CERT_URL": f"{BASE}/v4/"}, [BASE]),
            ({"REGION_URL": "https://a.example"}, []),
        ],
    )
    def test_asked(self, values, expected):
        """
        Asked is what the client would ask: nothing that is empty, skipped or
        of no use, and without a version that it would append again.
        """
        environment = {f"AZDCAP_{name}": v for name, v in values.items()}

        assert expected == [t.url for t in find_azure(environment).targets]

    def test_no_agent(self):
        """
        Only the first address is ever an agent's.
        """
        url = "https://a.example/metadata/x"
        (target,) = find_azure({"AZDCAP_BASE_CERT_URL": url}).targets

        assert Kind.AZURE is target.kind


class TestOthers:
    def test_dcap_qvl(self):
        """
        dcap-qvl is told by PCCS_URL.
        """
        assert [BASE] == [
            t.url for t in find_dcap_qvl({"PCCS_URL": BASE}).targets
        ]
        assert () == find_dcap_qvl({}).targets

    def test_trust(self, tmp_path):
        """
        It is said which CAs count.
        """
        file = tmp_path / "ca.pem"
        own = facts(find_trust({}, file))
        variable = facts(find_trust({"SSL_CERT_FILE": "/x.pem"}, None))

        assert f"{file} alone" == own["CAs"]
        assert "/x.pem" == variable["SSL_CERT_FILE"]


class TestDevices:
    def test_none(self, tmp_path):
        """
        A verifier needs none.
        """
        found = find_devices(tmp_path)

        assert () == found.troubles
        assert "none here" in facts(found)["TEE"]

    def test_good(self, tmp_path):
        """
        What is there is named, with what it is for.
        """
        for name in ("sgx_enclave", "sgx_provision", "sev-guest"):
            (tmp_path / name).touch()
        found = find_devices(tmp_path)

        assert () == found.troubles
        assert 3 == len(facts(found))

    def test_half(self, tmp_path):
        """
        Enclaves without the means to make quotes are found.
        """
        (tmp_path / "sgx_enclave").touch()

        assert [("warning", "no-provision-device")] == names(
            find_devices(tmp_path)
        )
