"""
The file that Intel's ``pccsadmin put`` takes, ``platform_collaterals.json``,
and the one of CoCo's Trustee, which differs in little.
"""

from __future__ import annotations

import json
import urllib.parse

from typing import TYPE_CHECKING, Any, Final

from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.services.export_pcs import encode
from thim.services.export_shelf import EARLY, STANDARD


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from thim.collateral.platforms import HeldPck, Platform
    from thim.collateral.ports import Held
    from thim.intel.pck import PckTcbm
    from thim.services.export_shelf import Shelf
    from thim.store.pck import PckReader

    FindSecrets = Callable[[Platform], tuple[bytes | None, bytes | None]]

_IDENTITIES: Final = {
    EnclaveKind.QE: "qeidentity",
    EnclaveKind.TD_QE: "tdqeidentity",
    EnclaveKind.QVE: "qveidentity",
}
_SUFFIXES: Final = {STANDARD: "", EARLY: "_early"}
_ROOT_CRL_URL: Final = (
    "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
)


def write_pccsadmin(
    shelf: Shelf, reader: PckReader, find_secrets: FindSecrets
) -> Iterator[bytes]:
    """
    Write *shelf* and the platforms in *reader* as ``pccsadmin put`` takes
    them; *find_secrets* returns the encrypted PPID and the manifest of one.

    Documents stand in it with the very bytes that Intel signed.
    """
    yield b'{"platforms":['
    yield from _join(_platforms(reader, find_secrets))
    yield b'],"collaterals":{"version":4,"pck_certs":['
    yield from _join(_certificates(reader, find_secrets))
    yield b"]"
    for name, raw in _documents(shelf, _as_text).items():
        yield f',"{name}":'.encode() + raw
    yield b"}}\n"


def write_trustee(shelf: Shelf) -> Iterator[bytes]:
    """
    Write *shelf* as Trustee reads a ``collateral_service`` of ``file://``: no
    platforms, and identities as JSON and not as text.
    """
    yield b'{"platforms":[],"collaterals":{"version":4,"pck_certs":[]'
    for name, raw in _documents(shelf, bytes).items():
        yield f',"{name}":'.encode() + raw
    yield b"}}\n"


def _as_text(raw: bytes) -> bytes:
    return _dump(raw.decode())


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _join(rows: Iterator[object]) -> Iterator[bytes]:
    for i, row in enumerate(rows):
        yield (b",\n" if i else b"\n") + _dump(row)


def _documents(
    shelf: Shelf, write_identity: Callable[[bytes], bytes]
) -> dict[str, bytes]:
    found = {
        "tcbinfos": b"[" + b",\n".join(_tcb_infos(shelf)) + b"]",
        "pckcacrl": _dump(
            {f"{ca.value}Crl": _hex(shelf.pck_crls.get(ca)) for ca in PckCa}
        ),
        "rootcacrl": _dump(_hex(shelf.root_crl)),
        "rootcacrl_cdp": _dump(_ROOT_CRL_URL),
        "certificates": _dump(_chains(shelf)),
    }
    for kind, name in _IDENTITIES.items():
        for which, suffix in _SUFFIXES.items():
            held = shelf.identities.get((kind, which))
            if held is not None:
                found[f"{name}{suffix}"] = write_identity(held.body)
    return found


def _hex(held: Held | None) -> str:
    return "" if held is None else held.body.hex()


def _tcb_infos(shelf: Shelf) -> Iterator[bytes]:
    for fmspc in shelf.fmspcs:
        members = [b'"fmspc":' + _dump(fmspc)]
        for tee in Tee:
            for which, suffix in _SUFFIXES.items():
                held = shelf.tcb_infos.get((tee, fmspc, which))
                if held is not None:
                    name = f"{tee.value.lower()}_tcbinfo{suffix}"
                    members.append(f'"{name}":'.encode() + held.body)
        if len(members) > 1:
            yield b"{" + b",".join(members) + b"}"


def _chains(shelf: Shelf) -> Mapping[str, object]:
    found: dict[str, object] = {
        "SGX-PCK-Certificate-Issuer-Chain": {
            ca.value.upper(): encode(held)
            for ca, held in shelf.pck_crls.items()
        }
    }
    infos, identities = shelf.tcb_infos.values(), shelf.identities.values()
    for name, held in (
        ("TCB-Info-Issuer-Chain", next(iter(infos), None)),
        ("SGX-Enclave-Identity-Issuer-Chain", next(iter(identities), None)),
    ):
        if held is not None:
            found[name] = encode(held)
    return found


def _platforms(
    reader: PckReader, find_secrets: FindSecrets
) -> Iterator[object]:
    for platform in _living(reader):
        enc_ppid, manifest = find_secrets(platform)
        raw_tcbs: list[PckTcbm | None] = [*platform.raw_tcbs]
        for raw_tcb in raw_tcbs or [None]:
            yield {
                **_names(platform),
                "cpu_svn": raw_tcb.cpusvn.hex().upper() if raw_tcb else "",
                "pce_svn": _pce_svn(raw_tcb),
                "enc_ppid": enc_ppid.hex().upper() if enc_ppid else "",
                "platform_manifest": manifest.hex().upper() if manifest else "",
            }


def _pce_svn(raw_tcb: PckTcbm | None) -> str:
    if raw_tcb is None:
        return ""
    return raw_tcb.pcesvn.to_bytes(2, "little").hex().upper()


def _living(reader: PckReader) -> Iterator[Platform]:
    return (p for p in reader.platforms() if p.retired is None)


def _names(platform: Platform) -> dict[str, str]:
    return {
        "qe_id": platform.id.qe_id.hex().upper(),
        "pce_id": platform.id.pce_id.hex().upper(),
    }


def _certificates(
    reader: PckReader, find_secrets: FindSecrets
) -> Iterator[object]:
    for platform in _living(reader):
        certificates = reader.certificates(platform)
        if not certificates:
            continue
        enc_ppid, _ = find_secrets(platform)
        yield {
            **_names(platform),
            "enc_ppid": enc_ppid.hex().upper() if enc_ppid else "",
            "certs": list(map(_certificate, certificates)),
        }


def _certificate(held: HeldPck) -> dict[str, Any]:
    tcb = {
        f"sgxtcbcomp{i:02}svn": svn for i, svn in enumerate(held.tcbm.cpusvn, 1)
    }
    return {
        "tcb": {**tcb, "pcesvn": held.tcbm.pcesvn},
        "tcbm": held.tcbm.to_bytes().hex().upper(),
        "cert": urllib.parse.quote(held.pem, safe=""),
    }
