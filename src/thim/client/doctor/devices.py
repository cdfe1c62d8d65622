"""
What hardware this machine shows, and whether this process may use it.
"""

from __future__ import annotations

import os

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.client.doctor.model import Found, Section, Trouble
from thim.client.findings import Level


if TYPE_CHECKING:
    from collections.abc import Iterator

_DEV: Final = Path("/dev")
_NODES: Final = {
    "sgx_enclave": "runs SGX enclaves",
    "sgx_provision": "makes SGX and TDX quotes",
    "tdx_guest": "a TDX guest",
    "sev-guest": "an SEV-SNP guest",
    "sev": "a host of SEV guests",
}
#: Group or way by which each is opened usually.
_GROUPS: Final = {
    "sgx_enclave": "sgx",
    "sgx_provision": "sgx_prv",
    "tdx_guest": "tdx",
}


def find_devices(dev: Path = _DEV) -> Found:
    """
    Look at the device nodes in *dev*.
    """
    found = {name: dev / name for name in _NODES if (dev / name).exists()}
    facts = [(str(path), _describe(n, path)) for n, path in found.items()]
    if not found:
        facts = [("TEE", "none here: right for a verifier or relying party")]
    section = Section(title="Devices", facts=tuple(facts))
    return Found(sections=(section,), troubles=tuple(_judge(dev, found)))


def _describe(name: str, path: Path) -> str:
    rights = "may be used" if _may_use(path) else "not for this user"
    return f"{_NODES[name]}; {rights}"


def _may_use(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _judge(dev: Path, found: dict[str, Path]) -> Iterator[Trouble]:
    if "sgx_enclave" in found and "sgx_provision" not in found:
        yield Trouble(
            level=Level.WARNING,
            name="no-provision-device",
            what=f"{dev / 'sgx_provision'} is not there, sgx_enclave is",
            where=str(dev),
            cause="A container was given one device and not the other.",
            mend="Pass /dev/sgx_provision in, if quotes are made here (0xe035)",
        )
    for name, path in found.items():
        if not _may_use(path):
            group = _GROUPS.get(name)
            yield Trouble(
                level=Level.WARNING,
                name="device-rights",
                what="this user may not open it",
                where=str(path),
                cause="Rights go by group, as it was when the user logged in.",
                mend=(
                    f"usermod -aG {group} USER, and log in again; or ask as "
                    "the user who makes quotes"
                    if group
                    else "Ask as root, or as the user who makes reports"
                ),
            )
