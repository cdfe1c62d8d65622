"""
Worlds with machines, and what these ask the simulated Intel.
"""

import contextlib
import urllib.parse

from pathlib import Path
from typing import Final

import msgspec

from cryptography import x509

from tests.simulate.asking import NOW, SGX, chain_of
from thim.intel.pck import SGX_EXTENSION
from thim.simulate.clock import Clock
from thim.simulate.server import simulating
from thim.simulate.world import World, default_world, load_world
from thim.x509.chain import verify_chain


AZURE: Final = Path(__file__).with_name("azure-dcap.toml")
HIGHEST: Final = {"cpusvn": "FF" * 16, "pcesvn": "FFFF"}
#: Its identifier, and the beginning of a BOOLEAN.
_CACHED: Final = bytes.fromhex("060B2A864886F84D010D0107020101")
REGISTRATION: Final = "/sgx/registration/v1/platform"


def world_with(base: World | None = None, **changes) -> World:
    """
    Return a world whose machines of these names are changed: a table of
    fields for each.
    """
    base = base or default_world()
    named = {name.replace("_", "-"): fields for name, fields in changes.items()}
    platforms = [
        msgspec.structs.replace(p, **named.get(p.name, {}))
        for p in base.platforms
    ]
    return msgspec.structs.replace(base, platforms=platforms)


@contextlib.contextmanager
def playing(world=None, **changes):
    """
    Play such a world at NOW.
    """
    world = load_world(world) if isinstance(world, Path) else world
    with simulating(
        world_with(world, **changes), Clock(NOW, frozen=True)
    ) as running:
        yield running


def by_ppid(machine, what="pckcerts", **parameters) -> str:
    """
    Return the path by which *machine* asks with its PPID.
    """
    query = urllib.parse.urlencode(
        {
            "encrypted_ppid": machine.enc_ppid.hex(),
            "pceid": machine.pce_id.hex(),
            **parameters,
        }
    )
    return f"{SGX}/{what}?{query}"


def by_manifest(machine, **parameters) -> dict[str, str]:
    """
    Return the body with which *machine* asks by its manifest.
    """
    return {
        "platformManifest": machine.manifest.hex(),
        "pceid": machine.pce_id.hex(),
        **parameters,
    }


def certificates_of(got) -> list[x509.Certificate]:
    """
    Return the certificates of a ``pckcert`` or ``pckcerts`` answer.
    """
    if got.body.startswith(b"-----"):
        return x509.load_pem_x509_certificates(got.body)
    return [
        x509.load_pem_x509_certificate(
            urllib.parse.unquote(line["cert"]).encode()
        )
        for line in got.json
        if line["cert"] != "Not available"
    ]


def judge_pck(simulated, got, at=None) -> None:
    """
    Verify each PCK certificate under nothing but the chain beside it and the
    trust anchors.
    """
    for leaf in certificates_of(got):
        verify_chain(
            (leaf, *chain_of(got)),
            anchors=simulated.anchors,
            at=at or simulated.clock(),
            root_crl=None,
        )


def extension_of(certificate: x509.Certificate) -> bytes:
    """
    Return the SGX extension, in which a PPID stands as it is.
    """
    extensions = certificate.extensions
    extension = extensions.get_extension_for_oid(SGX_EXTENSION).value
    return extension.public_bytes()


def says_cached(certificate) -> bool:
    """
    Tell whether a certificate says that Intel keeps the keys.
    """
    found = extension_of(certificate)
    return found[found.index(_CACHED) + len(_CACHED)] == 0xFF
