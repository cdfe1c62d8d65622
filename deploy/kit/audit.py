"""
Ask pip-audit whether anything that is locked has a known vulnerability.

A finding is a failure.  Where nobody can be asked, or they do not know a
package, there is no answer: that is said, and is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

from pathlib import Path
from typing import Any, Final


#: For the whole of it: a network that swallows packets must not hold up CI.
_SECONDS: Final = 120
_LAST: Final = 500


def main() -> int:
    """
    Audit the lock file that is named; return the exit code.
    """
    (_, lock) = sys.argv
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        trouble = _ask(lock, answer)
        if not answer.is_file() or not answer.read_text("utf-8").strip():
            sys.stderr.write(f"NOT AUDITED: {lock}: {trouble}\n")
            return 0
        return _judge(lock, json.loads(answer.read_text("utf-8")))


def _judge(lock: str, answer: dict[str, Any]) -> int:
    found: list[dict[str, Any]] = answer["dependencies"]
    unknown = [each["name"] for each in found if "skip_reason" in each]
    if unknown:
        sys.stderr.write(
            f"NOT AUDITED: {lock}: {len(unknown)} of {len(found)} packages "
            f"are not known to whoever was asked: {', '.join(unknown)}\n"
        )
    findings = [line for each in found for line in _spell(each)]
    sys.stdout.writelines(f"{line}\n" for line in findings)
    sys.stdout.write(
        f"{lock}: {len(found) - len(unknown)} packages audited, "
        f"{len(findings)} findings\n"
    )
    return 1 if findings else 0


def _ask(lock: str, answer: Path) -> str:
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner=off"]
    command += ["--requirement", lock, "--no-deps", "--disable-pip"]
    command += ["--format=json", f"--output={answer}", "--timeout=10"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_SECONDS} s"
    return done.stderr.strip()[-_LAST:]


def _spell(package: dict[str, Any]) -> list[str]:
    return [
        f"{package['name']} {package['version']}: {each['id']}: mended by "
        f"{', '.join(each['fix_versions']) or 'nothing yet'}"
        for each in package.get("vulns", ())
    ]


if __name__ == "__main__":
    sys.exit(main())
