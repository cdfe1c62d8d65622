"""
The units for systemd: whether it takes them, and what it thinks of them.
"""

import subprocess

from pathlib import Path

import pytest

from tests.needs import needs_systemd


FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
#: The most that systemd may call the exposure, in tenths; 100 is no sandbox.
EXPOSURE = {"thim.service": 15, "thim-agent.service": 30}


def lines_of(name):
    """
    Return the settings of a unit.
    """
    text = (FOLDER / name).read_text()
    return [x for x in text.splitlines() if x and not x.startswith(("#", "["))]


def test_units():
    """
    Each unit is in these tests.
    """
    assert sorted(EXPOSURE) == sorted(p.name for p in FOLDER.glob("*.service"))


@pytest.mark.parametrize("name", EXPOSURE)
@pytest.mark.parametrize(
    "line",
    [
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "NoNewPrivileges=yes",
        "ProtectHome=yes",
        "ProtectSystem=strict",
        "RestartPreventExitStatus=2",
        "RestrictNamespaces=yes",
        "StateDirectoryMode=0700",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "UMask=0077",
    ],
)
def test_least_privilege(name, line):
    """
    Each unit gives away what it does not need.
    """
    assert line in lines_of(name)


def test_service_has_no_capabilities():
    """
    The service is no root and can become none.
    """
    lines = lines_of("thim.service")

    assert "User=thim" in lines
    assert "CapabilityBoundingSet=" in lines


@needs_systemd
class TestSystemd:
    @pytest.mark.parametrize("name", EXPOSURE)
    def test_verify(self, name, tmp_path):
        """
        Systemd finds nothing wrong, with a program in the place of thim's.
        """
        text = (FOLDER / name).read_text()
        path = tmp_path / name
        path.write_text(text.replace("/usr/local/bin/thim", "/bin/true"))
        command = ["systemd-analyze", "verify", "--man=no", str(path)]
        got = subprocess.run(
            command, check=False, capture_output=True, text=True
        )
        complaints = [x for x in got.stderr.splitlines() if name in x]

        assert [] == complaints

    @pytest.mark.parametrize("name", EXPOSURE)
    def test_exposure(self, name):
        """
        Systemd calls the exposure small.
        """
        command = ["systemd-analyze", "security", "--offline=yes"]
        got = subprocess.run(
            [*command, f"--threshold={EXPOSURE[name]}", str(FOLDER / name)],
            check=False,
            capture_output=True,
            text=True,
        )

        assert 0 == got.returncode, got.stdout + got.stderr
