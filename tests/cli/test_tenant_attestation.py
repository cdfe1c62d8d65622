"""
``thim tenant set-attestation``: a tenant's attestation side.
"""

import json

import pytest

from tests.policy_signers import signer
from tests.services.changes import events
from thim.attestation.policy_signer import spell_thumbprint
from thim.baseline.provider import AAD
from thim.baseline.provider_definition import describe_provider


ENTRY = {"status": "azure-compliant-cvm", "measurement": "ab" * 48}


@pytest.fixture
def lab(change):
    """
    There is a tenant.
    """
    change.does("tenant", "create", "lab", "--baseline", "19")
    return change


@pytest.fixture
def pem(lab):
    """
    A policy certificate on the disk.
    """
    path = lab.folder / "ann.pem"
    path.write_text(signer().pem)
    return path


def shown(change, name="lab"):
    """
    Show a tenant's attestation side, but for what is as usual.
    """
    usual = describe_provider(AAD)
    found = change.json("tenant", "show", name)["attestation"]
    return {k: v for k, v in found.items() if v != usual[k]}


def attest(change, *words):
    """
    Change it.
    """
    return change.does("tenant", "set-attestation", "lab", *words)


class TestChange:
    def test_everything(self, lab, pem):
        """
        What is given is in force from now on, as another version of the
        tenant.
        """
        path = lab.folder / "compliance.json"
        path.write_text(json.dumps([ENTRY]))
        said = attest(
            lab,
            *("--trust", "isolated", "--certificate", str(pem)),
            *("--issuer", "https://lab.example", "--expired", "refuse"),
            *("--crl-grace", "14d", "--sgx-status", "UpToDate"),
            *("--tdx-status", "UpToDate", "--tdx-status", "OutOfDate"),
            *("--compliance", str(path), "--reason", "new"),
        )

        assert "Tenant lab is at version 2.\n" == said
        assert {
            "trust": "isolated",
            "issuer": "https://lab.example",
            "expired": "refuse",
            "crl_grace": "14d",
            "sgx_statuses": ["UpToDate"],
            "tdx_statuses": ["OutOfDate", "UpToDate"],
            "compliance": [ENTRY],
        } == shown(lab)
        text = lab.does("tenant", "show", "lab")
        thumbprint = spell_thumbprint(signer().der)
        assert f"policy certificates {thumbprint}\n" in text
        assert "trust               isolated\n" in text
        assert "\nattestation " not in text
        assert f"azure-compliant-cvm (measurement={'ab' * 48})" in text

    def test_rest_stays(self, lab):
        """
        What is not given stays, and some of it can be taken back.
        """
        attest(lab, "--issuer", "https://lab.example", "--crl-grace", "14d")
        attest(lab, "--expired", "accept")
        assert {"issuer", "crl_grace", "expired"} == set(shown(lab))

        attest(lab, "--no-issuer", "--crl-grace", "0d")
        assert {"expired": "accept"} == shown(lab)

    def test_certificate_added(self, lab, pem):
        """
        Another certificate is added to those that are there.
        """
        attest(lab, "--trust", "isolated", "--certificate", str(pem))
        other = lab.folder / "bob.pem"
        other.write_text(signer("bob").pem)
        attest(lab, "--certificate", str(other))

        found = lab.json("tenant", "show", "lab")["policy_certificates"]
        assert 2 == len(found)
        assert 2 == sum(
            action == "policy-certificate-add"
            for _, action, _ in events(lab.store)
        )

    def test_root(self, lab):
        """
        The root is shared, unless its operator says otherwise.
        """
        assert {"trust": "shared"} == shown(lab, "root")
        lab.does("tenant", "set-attestation", "root", "--trust", "aad")
        assert {} == shown(lab, "root")

    def test_set_keeps(self, lab):
        """
        Changing the rest of a tenant leaves it as it is.
        """
        attest(lab, "--expired", "refuse")
        lab.does("tenant", "set", "lab", "--quota", "5")

        assert {"expired": "refuse"} == shown(lab)


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "expected something to change"),
            (("--trust", "aad"), "expected something to change"),
            (("--trust", "isolated"), "expected a policy certificate"),
            (("--trust", "nobody"), "nobody"),
            (("--issuer", ""), "--issuer: got ''"),
            (("--issuer", "http://lab.example"), "--issuer: got"),
            (("--issuer", "https://lab.example/"), "--issuer: got"),
            (("--issuer", "https://lab.example/a%2fb"), "expected a path of"),
            (("--issuer", "https://x.example", "--no-issuer"), "--issuer: got"),
            (("--crl-grace", "2w"), "--crl-grace: got '2w'"),
            (("--crl-grace", "400d"), "--crl-grace: got '400d'"),
            (("--sgx-status", "Revoked"), "--sgx-status: got 'Revoked'"),
            (("--tdx-status", "Good"), "Good"),
            (("--compliance", "nowhere.json"), "nowhere.json: No such file"),
            (("--certificate", "nowhere.pem"), "nowhere.pem: No such file"),
        ],
    )
    def test_values(self, lab, words, said):
        """
        What cannot be is refused with what is expected.
        """
        assert said in lab.refuses("tenant", "set-attestation", "lab", *words)

    @pytest.mark.parametrize(
        "value", [{}, [1], [{}], [{**ENTRY, "x": 1}], [ENTRY] * 1001]
    )
    def test_compliance(self, lab, value):
        """
        The allow-list is a list of entries that say one thing each.
        """
        path = lab.folder / "compliance.json"
        path.write_text(json.dumps(value))

        assert lab.refuses(
            "tenant", "set-attestation", "lab", "--compliance", str(path)
        )

    def test_certificate(self, lab, pem):
        """
        Only who is isolated has policy certificates, and a file holds one.
        """
        words = ("tenant", "set-attestation", "lab", "--certificate", str(pem))
        assert "expected isolated" in lab.refuses(*words)
        pem.write_text(signer().pem * 2)
        said = lab.refuses(*words, "--trust", "isolated")
        assert "expected one certificate in PEM" in said

    def test_nobody(self, change):
        """
        There has to be such a tenant.
        """
        words = ("tenant", "set-attestation", "lab", "--trust", "shared")
        assert "'lab'" in change.refuses(*words)
