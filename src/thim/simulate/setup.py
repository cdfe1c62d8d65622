"""
The configuration with which thim trusts a simulation and asks it.
"""

from __future__ import annotations

import json
import os
import secrets

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError
from thim.simulate.world import parse_duration


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from thim.simulate.amd_part import AmdPart
    from thim.simulate.server import Simulated

_MARK: Final = "# Written by `thim simulate`; the next run writes it anew.\n"


def write_setup(path: Path, simulated: Simulated) -> None:
    """
    Write the configuration *path*, and beside it what it names: the root
    certificates, the clock, the key, and an empty store unless there is one.

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
    _write(root, simulated.roots)
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
    has_amd = simulated.intel.world.amd is not None
    if not has_amd:
        settings["amd_upstreams"] = "none"
    written = (
        f"{_MARK}\n{_to_toml(settings)}\n"
        f"[[intel_upstreams]]\n{_to_toml(upstream)}"
    )
    if has_amd:
        written += f"\n[[amd_upstreams]]\n{_to_toml(_amd_upstream(simulated))}"
    if has_amd and simulated.intel.world.chips:
        written += _agent(path, simulated, settings)
    return written.encode()


def _agent(
    path: Path, simulated: Simulated, settings: Mapping[str, str]
) -> str:
    """Write what an agent is told that sits on the world's first chip."""
    report = path.with_name(f"{path.stem}-report.bin")
    _write(report, simulated.report(simulated.intel.world.chips[0].name))
    told = {
        "service": "http://127.0.0.1:8080",
        "listen": "127.0.0.1:8254",
        "state": str(path.with_name(f"{path.stem}-agent")),
        "dangerous_test_anchors": settings["dangerous_test_anchors"],
        "dangerous_clock": settings["dangerous_clock"],
    }
    chip = {"report": str(report)}
    return f"\n[agent]\n{_to_toml(told)}\n[agent.chip]\n{_to_toml(chip)}"


def _amd_upstream(simulated: Simulated) -> dict[str, str]:
    part = simulated.intel.world.amd
    is_limited = part and part.limit.requests and simulated.amd.limiter.is_on
    return {
        "url": simulated.url,
        "kind": "kds",
        # A little less often than it may be asked.
        "interval": f"{_seconds(part) * 1050:.0f}ms" if is_limited else "0s",
    }


def _seconds(part: AmdPart | None) -> float:
    return parse_duration(part.limit.window).total_seconds() if part else 0.0


def _to_toml(values: Mapping[str, str]) -> str:
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
