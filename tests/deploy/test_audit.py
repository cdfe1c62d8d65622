import json
import os
import subprocess
import sys

import pytest

from tests.deploy.helm import PROJECT


AUDIT = PROJECT / "deploy" / "kit" / "audit.py"
#: Stands in for pip-audit, which asks somebody on the network.
STAND_IN = """
import sys
(output,) = (a for a in sys.argv if a.startswith("--output="))
answer = {answer!r}
if answer is None:
    sys.exit("nobody answers")
open(output.removeprefix("--output="), "w").write(answer)
sys.exit(1)
"""
GOOD = {"name": "good", "version": "1", "vulns": []}
BAD = {
    "name": "bad",
    "version": "2",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["2.1"]}],
}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.fixture
def audit(tmp_path):
    """
    Audit with what is answered, or without an answer.
    """

    def run(*packages):
        answer = json.dumps({"dependencies": packages}) if packages else None
        (tmp_path / "pip_audit.py").write_text(STAND_IN.format(answer=answer))
        return subprocess.run(
            [sys.executable, AUDIT, "requirements.lock"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_clean(audit):
    """
    Without a finding it is well.
    """
    done = audit(GOOD)
    assert 0 == done.returncode
    assert "1 packages audited, 0 findings" in done.stdout
    assert "" == done.stderr


def test_finding(audit):
    """
    A finding is a failure, and names what mends it.
    """
    done = audit(GOOD, BAD)
    assert 1 == done.returncode
    assert "bad 2: PYSEC-2026-1: mended by 2.1" in done.stdout


def test_unknown(audit):
    """
    What nobody knows is no finding, and is named.
    """
    done = audit(GOOD, UNKNOWN)
    assert 0 == done.returncode
    assert "NOT AUDITED" in done.stderr
    assert "1 of 2 packages" in done.stderr


def test_away(audit):
    """
    Where nobody answers, that is said.
    """
    done = audit()
    assert 0 == done.returncode
    assert "NOT AUDITED: requirements.lock: nobody answers" in done.stderr
