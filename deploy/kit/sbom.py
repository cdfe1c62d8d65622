"""
The SBOM: what is installed with thim, in CycloneDX's JSON.

Written by cyclonedx-py from the wheels' own metadata, with their hashes.  It
holds no instant and no random number, and names no package registry's host:
where a wheel came from, its hash says.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from build import Wheel

_OWN: Final = "thim"
_REGISTRY: Final = re.compile(
    r"\b(pypi\.org|pypi\.python\.org|pythonhosted\.org)"
)


def describe(
    wheels: Iterable[Wheel], program: str, project: Path, work: Path
) -> str:
    """
    Return the SBOM of *wheels*, as *program* (cyclonedx-py) sees them
    installed.
    """
    _install_metadata(wheels, work / "environment")
    written = work / "sbom.json"
    subprocess.run(
        [
            *(program, "environment", str(work / "environment")),
            *("--pyproject", str(project / "pyproject.toml")),
            *("--mc-type", "application", "--output-reproducible"),
            # The tests do, ten times as fast.
            "--no-validate",
            *("--output-format", "JSON", "--output-file", str(written)),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    found = json.loads(written.read_text("utf-8"))
    digests = {fold(wheel.name): wheel.digest for wheel in wheels}
    for component in (found["metadata"]["component"], *found["components"]):
        digest = digests[fold(component["name"])]
        component["hashes"] = [{"alg": "SHA-256", "content": digest}]
    found["metadata"].pop("timestamp", None)
    _drop_registries(found)
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _install_metadata(wheels: Iterable[Wheel], environment: Path) -> None:
    # All that is looked at; the code itself takes ten times as long.
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(environment)],
        check=True,
    )
    (packages,) = environment.glob("lib/python*/site-packages")
    for wheel in wheels:
        if fold(wheel.name) == _OWN:
            continue  # the pyproject.toml speaks for it
        with zipfile.ZipFile(wheel.path) as archive:
            for name in archive.namelist():
                if ".dist-info/" in name:
                    archive.extract(name, packages)


def fold(name: str) -> str:
    """
    Return the normal form of a package's name.
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _drop_registries(value: object) -> None:
    """Drop what refers to a package registry, however deep it is."""
    if isinstance(value, dict):
        kept = [
            reference
            for reference in value.pop("externalReferences", [])
            if not _REGISTRY.search(reference["url"])
        ]
        if kept:
            value["externalReferences"] = kept
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _drop_registries(each)
