"""
The configuration with which thim trusts a simulation and asks it.
"""

from __future__ import annotations

import json
import os
import secrets

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from thim.errors import OperatorError


if TYPE_CHECKING:
    from pathlib import Path

    from thim.simulate.server import Simulated

_MARK: Final = "# Written by `thim simulate`; the next run writes it anew.\n"


def write_setup(path: Path, simulated: Simulated) -> None:
    """
    Write the configuration *path*, and beside it what it names: the root
    certificate, the clock, the key, and an empty store unless there is one.

    The clock's file follows the clock from now on.

    Raises:
        OperatorError: A file cannot be written, or *path* is there already
            and is not from an earlier run.
    """
    try:
        path = path.absolute()
        _check_ours(path)
        _write(path, _fill_folder(path, simulated))
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        msg = f"configuration {path}: {why}"
        raise OperatorError(msg, reason="config-file") from e


def _check_ours(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb") as file:
        if file.read(len(_MARK)) != _MARK.encode():
            msg = (
                f"configuration {path}: exists already and is not from "
                f"`thim simulate`; nothing was changed"
            )
            raise OperatorError(msg, reason="config-exists")


def _fill_folder(path: Path, simulated: Simulated) -> bytes:
    stem = path.stem
    root = path.with_name(f"{stem}-root.pem")
    clock = path.with_name(f"{stem}.clock")
    store = path.with_name(f"{stem}.db")
    _write(root, simulated.intel.pki.root.public_bytes(Encoding.PEM))
    simulated.clock.mirror(clock)
    _provide_store(store, simulated)
    upstream = {
        "url": simulated.url,
        "kind": "pcs",
        "static_url": simulated.url,
        # A clock that stands still would never fill a budget again.
        "interval": "0s",
    }
    api_key = simulated.intel.world.intel.api_key
    if api_key is not None:
        file = path.with_name(f"{stem}-api-key")
        _write(file, f"{api_key}\n".encode(), 0o600)
        upstream["api_key_file"] = str(file)
    settings = {
        "store": str(store),
        "dangerous_test_anchors": str(root),
        "dangerous_clock": str(clock),
    }
    return (
        f"{_MARK}\n{_to_toml(settings)}\n"
        f"[[intel_upstreams]]\n{_to_toml(upstream)}"
    ).encode()


def _to_toml(values: dict[str, str]) -> str:
    # A JSON string of printable text is a TOML string.
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n"
        for key, value in values.items()
    )


def _provide_store(path: Path, simulated: Simulated) -> None:
    if path.exists():
        return
    from thim.store.create import create_store  # noqa: PLC0415 - loads Alembic

    create_store(path, simulated.anchors)


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        handle = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
