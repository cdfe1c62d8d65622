"""
The corpus' AMD material: what its manifest names, and how tests read it.
"""

import json

from collections.abc import Iterator
from pathlib import Path
from typing import Any


def entries(corpus: Path, prefix: str) -> Iterator[dict[str, Any]]:
    """
    Go through what the manifest says of the files directly below *prefix*.
    """
    manifest = json.loads((corpus / "manifest.json").read_text())
    for entry in manifest["entries"]:
        if str(Path(entry["name"]).parent) == prefix:
            yield entry


def pem_blocks(pem: str) -> list[str]:
    """
    Take the PEM blocks in *pem* apart.
    """
    end = "-----END CERTIFICATE-----\n"
    return [block + end for block in pem.split(end)[:-1]]
