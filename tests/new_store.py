"""
Empty stores, made once and copied then: the migrations take long.
"""

import functools
import shutil
import tempfile

from pathlib import Path

from thim.store import create
from thim.x509.chain import TrustAnchors


def new_store(path: Path, anchors: TrustAnchors) -> None:
    """
    Make an empty store in *path*, like ``store.create.create_store``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        path.chmod(0o600)
        file.write(_made(anchors))


@functools.cache
def _made(anchors: TrustAnchors) -> bytes:
    folder = Path(tempfile.mkdtemp())
    try:
        create.create_store(folder / "thim.db", anchors)
        return (folder / "thim.db").read_bytes()
    finally:
        shutil.rmtree(folder)
