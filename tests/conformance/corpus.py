"""
The corpus as the conformance tests read it.
"""

from __future__ import annotations

import dataclasses
import datetime
import json

from pathlib import Path
from typing import Any


Entry = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Corpus:
    """
    The corpus folder and its manifest.
    """

    root: Path
    entries: dict[str, Entry]

    @classmethod
    def read(cls, root: Path) -> Corpus:
        """
        Read the manifest in *root*.
        """
        manifest = json.loads((root / "manifest.json").read_text())
        return cls(root, {e["name"]: e for e in manifest["entries"]})

    def of(self, *kinds: str) -> list[Entry]:
        """
        Return the manifest's entries of these kinds.
        """
        return [e for e in self.entries.values() if e["kind"] in kinds]

    def bytes(self, name: str) -> bytes:
        """
        Return a file's bytes.
        """
        return (self.root / name).read_bytes()


def instant(text: str) -> datetime.datetime:
    """
    Read a date of the manifest.
    """
    return datetime.datetime.fromisoformat(text)
