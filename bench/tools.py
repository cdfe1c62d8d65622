"""
The tools that the benchmarks need and Debian has.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import subprocess

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


_PACKAGES = {"nginx": "nginx-light", "wrk": "wrk"}


def provide_tools() -> dict[str, str]:
    """
    Return where the tools are, installing what is missing if we are root.
    """
    missing = [_PACKAGES[name] for name in _PACKAGES if not _find(name)]
    if missing:
        _install(missing)
    found = {name: _find(name) for name in _PACKAGES}
    if not all(found.values()):
        msg = f"bench needs nginx and wrk: {found}"
        raise SystemExit(msg)
    return {name: path for name, path in found.items() if path}


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")


def _install(packages: list[str]) -> None:
    wanted = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        msg = f"bench needs: apt-get install {wanted}"
        raise SystemExit(msg)
    print(f"installing {wanted}")
    # Run level 1 keeps Debian from starting nginx as a service.
    quiet = os.environ | {
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",
    }
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", *packages], check=True, env=quiet
    )


def certify(folder: Path) -> tuple[Path, Path]:
    """
    Make an EC certificate for loopback; return where it and its key are.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    chain, private = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(pem))
    private.touch(0o600)
    private.write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private
