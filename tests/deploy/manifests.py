"""
The plain manifests: what helm renders with given values, without what is
Helm's.  Run as a program it writes them anew.
"""

from __future__ import annotations

import re

from pathlib import Path

from tests.deploy.helm import PROJECT, render_text


KUBERNETES = PROJECT / "deploy" / "kubernetes"
NAMES = ("single", "nodes", "agent")
_HEADER = """\
# Written by `make manifests` from deploy/helm/thim with values/{name}.yaml:
# change those, or change a copy of this (docs/kubernetes.md).
#
#   kubectl create namespace thim
#   kubectl -n thim apply -f {name}.yaml
"""
_HELMS = re.compile(r"^ *(helm\.sh/|app\.kubernetes\.io/managed-by:|# Source:)")


def write_manifest(name: str) -> str:
    """
    Return the manifest *name*.
    """
    values = KUBERNETES / "values" / f"{name}.yaml"
    text = render_text(values_file=values)
    kept = [line for line in text.splitlines() if not _is_helms(line)]
    documents = "\n".join(kept).split("---\n")
    whole = [each.strip("\n") for each in documents if each.strip()]
    return _HEADER.format(name=name) + "".join(
        f"---\n{_without_empty(each)}\n" for each in whole
    )


def _is_helms(line: str) -> bool:
    return _HELMS.match(line) is not None or line.startswith("# Source:")


def _without_empty(document: str) -> str:
    # Annotations of which all were Helm's.
    return re.sub(r"(?m)^( *)annotations:\n(?!\1 )", "", document)


def main() -> None:
    """
    Write all of them.
    """
    for name in NAMES:
        path: Path = KUBERNETES / f"{name}.yaml"
        path.write_text(write_manifest(name))


if __name__ == "__main__":
    main()
