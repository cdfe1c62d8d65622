"""
The layout of Intel's PCS (API v4), for a web server that only has files.

A file stands for one answer, and beside it is ``FILE.headers``: the headers
that belong to it, a line each.  ``nginx.conf`` says which file answers which
request.
"""

from __future__ import annotations

import base64
import json
import textwrap
import urllib.parse

from typing import TYPE_CHECKING, Final

from thim.intel.names import EnclaveKind, PckCa, Tee


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.collateral.ports import Held
    from thim.services.export_shelf import Shelf

File = tuple[str, bytes]

_SGX: Final = "sgx/certification/v4"
_TDX: Final = "tdx/certification/v4"
_BASES: Final = {Tee.SGX: _SGX, Tee.TDX: _TDX}
_IDENTITIES: Final = {
    EnclaveKind.QE: f"{_SGX}/qe/identity",
    EnclaveKind.QVE: f"{_SGX}/qve/identity",
    EnclaveKind.QAE: f"{_SGX}/qae/identity",
    EnclaveKind.TD_QE: f"{_TDX}/qe/identity",
}
_TCB: Final = "TCB-Info-Issuer-Chain"
_IDENTITY: Final = "SGX-Enclave-Identity-Issuer-Chain"
_CRL: Final = "SGX-PCK-CRL-Issuer-Chain"
_NUMBERS: Final = "TCB-Evaluation-Data-Numbers-Issuer-Chain"
_JSON: Final = "application/json"
_PEM: Final = "application/x-pem-file"
_DER: Final = "application/pkix-crl"


def write_pcs(shelf: Shelf, folder: str) -> Iterator[File]:
    """
    Write *shelf* as Intel's PCS would answer; the web server finds it in
    *folder*.
    """
    answers = list(_list_answers(shelf))
    for answer in answers:
        yield answer.path, answer.body
        yield f"{answer.path}.headers", answer.headers
    yield "nginx.conf", _write_nginx(shelf, answers, folder)


class _Answer:
    """A file, what it is, and the header with its issuer chain, if any."""

    __slots__ = ("body", "chain", "header", "path", "type")

    def __init__(
        self, path: str, kind: str, body: bytes, header: str, held: Held | None
    ) -> None:
        self.path = path
        self.type = kind
        self.body = body
        self.header = header
        self.chain = "" if held is None or not header else encode(held)

    @property
    def headers(self) -> bytes:
        lines = [f"Content-Type: {self.type}"]
        if self.chain:
            lines.append(f"{self.header}: {self.chain}")
        return "".join(f"{line}\n" for line in lines).encode("ascii")


def encode(held: Held) -> str:
    """
    Write an issuer chain as headers have it.
    """
    return urllib.parse.quote(held.issuer_chain, safe="")


def _list_answers(shelf: Shelf) -> Iterator[_Answer]:
    for (tee, fmspc, which), held in shelf.tcb_infos.items():
        path = f"{_BASES[tee]}/tcb/{fmspc}/{which}.json"
        yield _Answer(path, _JSON, held.body, _TCB, held)
    for (kind, which), held in shelf.identities.items():
        path = f"{_IDENTITIES[kind]}/{which}.json"
        yield _Answer(path, _JSON, held.body, _IDENTITY, held)
    for ca, held in shelf.pck_crls.items():
        path = f"{_SGX}/pckcrl/{ca.value}"
        yield _Answer(f"{path}.der", _DER, held.body, _CRL, held)
        yield _Answer(f"{path}.pem", _PEM, to_pem_crl(held.body), _CRL, held)
    for tee, held in shelf.numbers.items():
        path = f"{_BASES[tee]}/tcbevaluationdatanumbers.json"
        yield _Answer(path, _JSON, held.body, _NUMBERS, held)
    if shelf.root_crl is not None:
        body = shelf.root_crl.body
        text = body.hex().encode("ascii")
        yield _Answer(f"{_SGX}/rootcacrl.hex", "text/plain", text, "", None)
        yield _Answer("IntelSGXRootCA.der", _DER, body, "", None)
    hints = [{"fmspc": f, "platform": "unknown"} for f in shelf.fmspcs]
    body = json.dumps(hints).encode()
    yield _Answer(f"{_SGX}/fmspcs.json", _JSON, body, "", None)


def to_pem_crl(der: bytes) -> bytes:
    """
    Write a revocation list as a PEM block.
    """
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), 64)
    begin, end = "-----BEGIN X509 CRL-----", "-----END X509 CRL-----"
    return "\n".join([begin, *lines, end, ""]).encode("ascii")


def _write_nginx(
    shelf: Shelf, answers: Sequence[_Answer], folder: str
) -> bytes:
    chains = {c: i for i, c in enumerate(sorted({a.chain for a in answers}))}
    whiches = dict.fromkeys(w for _, _, w in shelf.tcb_infos)
    whiches |= dict.fromkeys(w for _, w in shelf.identities)
    lines = [
        "# For the http block of nginx: include this file.",
        "map_hash_bucket_size 256;",
        "map_hash_max_size 65536;",
        *_map("$arg_fmspc", "$thim_fmspc", {f: f for f in shelf.fmspcs}),
        *_map(
            '"$arg_update$arg_tcbEvaluationDataNumber"',
            "$thim_which",
            {'""': "standard", **{w: w for w in whiches}},
        ),
        *_map("$arg_ca", "$thim_ca", {ca.value: ca.value for ca in PckCa}),
        *_map(
            "$arg_encoding",
            "$thim_encoding",
            {'""': "pem", "der": "der"},
            "pem",
        ),
    ]
    for chain, i in chains.items():
        lines += [f'map "" $thim_chain_{i} {{', f'    default "{chain}";', "}"]
    lines += _map(
        "$thim_file",
        "$thim_chain",
        {
            f'"/{a.path}"': f"$thim_chain_{chains[a.chain]}"
            for a in answers
            if a.chain
        },
        '""',
    )
    lines += ["server {", "    listen 8080;", f'    root "{folder}";']
    for tee, base in _BASES.items():
        path = f"/{base}/tcb"
        file = f"{path}/$thim_fmspc/$thim_which.json"
        lines += _location(path, file, _JSON, _TCB)
        path = f"/{base}/tcbevaluationdatanumbers"
        if tee in shelf.numbers:
            lines += _location(path, f"{path}.json", _JSON, _NUMBERS)
    for base in _IDENTITIES.values():
        file = f"/{base}/$thim_which.json"
        lines += _location(f"/{base}", file, _JSON, _IDENTITY)
    path = f"/{_SGX}/pckcrl"
    file = f"{path}/$thim_ca.$thim_encoding"
    lines += _location(path, file, "application/octet-stream", _CRL)
    path = f"/{_SGX}/rootcacrl"
    lines += _location(path, f"{path}.hex", "text/plain", "")
    path = f"/{_SGX}/fmspcs"
    lines += _location(path, f"{path}.json", _JSON, "")
    path = "/IntelSGXRootCA.der"
    lines += _location(path, path, _DER, "")
    lines += ["    location / {", "        return 404;", "    }", "}"]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _map(
    source: str, target: str, values: dict[str, str], default: str = "none"
) -> list[str]:
    # nginx compares without regard to case, and so do Intel's.
    pairs = [f"    {key} {value};" for key, value in values.items()]
    return [
        f"map {source} {target} {{",
        f"    default {default};",
        *pairs,
        "}",
    ]


def _location(path: str, file: str, kind: str, header: str) -> list[str]:
    chain = [f"        add_header {header} $thim_chain;"] if header else []
    return [
        f"    location = {path} {{",
        f"        set $thim_file {file};",
        "        types { }",
        f"        default_type {kind};",
        *chain,
        "        try_files $thim_file =404;",
        "    }",
    ]
