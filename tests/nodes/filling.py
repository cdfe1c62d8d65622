"""
What the clients of several nodes ask for, and how it comes to be known.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import urllib.parse

from typing import Final

from tests.nodes.load import Orders
from tests.nodes.world import PORT, Node, World, add_token, await_so
from thim.services.tokens import Role


_SGX: Final = "/sgx/certification/v4"
_TDX: Final = "/tdx/certification/v4"
_CHANGING: Final = (
    *(
        f"{base}/tcb?fmspc={fmspc}&update={update}"
        for base, fmspc in ((_SGX, "00606A000000"), (_TDX, "00806F050000"))
        for update in ("standard", "early")
    ),
    f"{_SGX}/qe/identity?update=standard",
    f"{_TDX}/qe/identity",
    f"{_SGX}/pckcrl?ca=platform&encoding=der",
    f"{_SGX}/pckcrl?ca=processor&encoding=der",
    f"{_SGX}/rootcacrl?encoding=der",
    f"{_SGX}/tcbevaluationdatanumbers",
    "/vcek/v1/Milan/crl",
)
_CHIPS: Final = ("milan-1", "genoa-1")
_MACHINES: Final = ("ice-1", "sapphire-1")


def fill(
    world: World,
    *,
    rate: float,
    writes: float,
    seed: int = 0,
    behind: float = 1.0,
) -> Orders:
    """
    Have the nodes know all that clients will ask for, and return what these
    are to do.
    """
    registrar = add_token(world, Role.REGISTRAR)
    admin = add_token(world, Role.ADMIN)
    fixed = ["/vcek/v1/Milan/cert_chain"]
    fixed += [_vcek(world, name) for name in _CHIPS]
    fixed += [_register(world, name, registrar) for name in _MACHINES]
    paths = [*_CHANGING, *fixed]
    bodies: dict[str, set[str]] = {path: set() for path in paths}
    for node in world.nodes:
        for path in paths:
            await_so(functools.partial(_is_ok, world, node, path), path)
            body = world.ask(node, path)[1]
            bodies[path].add(hashlib.sha256(body).hexdigest())
    return Orders(
        nodes={node.name: node.address for node in world.nodes},
        port=PORT,
        paths=paths,
        bodies={path: _only(bodies[path]) for path in fixed},
        clients=3,
        rate=rate,
        writes=writes,
        behind=behind,
        registrar=registrar,
        admin=admin,
        notes=str(world.folder / "load.notes"),
        seed=seed,
    )


def _only(values: set[str]) -> str:
    (value,) = values
    return value


def _is_ok(world: World, node: Node, path: str) -> bool:
    return world.ask(node, path)[0] == 200


def _vcek(world: World, name: str) -> str:
    return world.vendors.chip(name).path


def _register(world: World, name: str, token: str) -> str:
    machine = world.vendors.platform(name)
    raw = machine.raw_tcbs[0]
    names = {
        "qe_id": machine.qe_id.hex(),
        "pce_id": machine.pce_id.hex(),
        "cpu_svn": raw.cpusvn.hex(),
        "pce_svn": raw.pcesvn.to_bytes(2, "little").hex(),
    }
    body = {**names, "enc_ppid": machine.enc_ppid.hex()}
    world.clients.submit(_post, world.nodes[0].address, body, token).result()
    query = {key.replace("_", ""): value for key, value in names.items()}
    return f"{_SGX}/pckcert?{urllib.parse.urlencode(query)}"


def _post(address: str, body: object, token: str) -> None:
    connection = http.client.HTTPConnection(address, PORT, timeout=60)
    connection.request(
        "POST",
        f"{_SGX}/platforms",
        body=json.dumps(body),
        headers={"user-token": token, "content-type": "application/json"},
    )
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    assert answer.status == 200, said
