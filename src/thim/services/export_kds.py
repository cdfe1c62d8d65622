"""
The layouts for AMD's documents: AMD's key distribution service, for a web
server that only has files, and the store of CoCo's Trustee.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.collateral.endorsements import HeldEndorsement
    from thim.services.export_shelf import Shelf
    from thim.store.endorsement_view import EndorsementView

File = tuple[str, bytes]

#: The components in the order of Trustee's file names.
_SHORT: Final = {
    "bootloader": "bl",
    "tee": "tee",
    "snp": "snp",
    "microcode": "ucode",
    "fmc": "fmc",
}


def write_kds(
    shelf: Shelf, view: EndorsementView, folder: str
) -> Iterator[File]:
    """
    Write *shelf*, and the keys in *view*, as AMD's KDS would answer; the web
    server finds them in *folder*.

    Chains and revocation lists are files at their very paths.  A key's path
    has a query, so it is in a folder of the chip's hardware ID.
    """
    for (kind, product), held in shelf.chains.items():
        yield f"{kind.value}/v1/{product.value}/cert_chain", held.body
    for (kind, product), held in shelf.crls.items():
        yield f"{kind.value}/v1/{product.value}/crl", held.body
    for key in list_keys(view):
        chip = f"vcek/v1/{key.product.value}/{key.holder.hex()}"
        yield f"{chip}/{_spell(key, '-', 1)}.der", key.der
    yield "nginx.conf", _NGINX.replace("FOLDER", folder).encode()


def write_trustee_keys(view: EndorsementView) -> Iterator[File]:
    """
    Write the keys in *view* as Trustee's ``OfflineStore`` has them.
    """
    for key in list_keys(view):
        name = _spell(key, "_", 2)
        yield f"kds-store/vcek/{key.holder.hex()}/{name}_vcek.der", key.der


def list_keys(view: EndorsementView) -> Iterator[HeldEndorsement]:
    """
    Read the newest VCEK of each chip and TCB.
    """
    for product, hw_id in view.chips():
        for key in view.list_chip(hw_id):
            if key.kind is KeyKind.VCEK and key.product is product:
                yield key


def _spell(key: HeldEndorsement, mark: str, digits: int) -> str:
    parts = [
        f"{short}{getattr(key.tcb, name):0{digits}}"
        for name, short in _SHORT.items()
        if name in key.product.components
    ]
    return mark.join(parts)


_NGINX: Final = """\
# For the http block of nginx: include this file.  A hardware ID is found in
# lower case, as AMD's tools write it.
map $arg_blSPL $kds_bl { default 0; "~^0*(?<bl>[0-9]+)$" $bl; }
map $arg_teeSPL $kds_tee { default 0; "~^0*(?<tee>[0-9]+)$" $tee; }
map $arg_snpSPL $kds_snp { default 0; "~^0*(?<snp>[0-9]+)$" $snp; }
map $arg_ucodeSPL $kds_ucode { default 0; "~^0*(?<ucode>[0-9]+)$" $ucode; }
map $arg_fmcSPL $kds_fmc { default 0; "~^0*(?<fmc>[0-9]+)$" $fmc; }
server {
    listen 8081;
    root "FOLDER";
    location ~ "^/vcek/v1/(Milan|Genoa)/([0-9a-f]{128})$" {
        types { }
        default_type application/pkix-cert;
        try_files $uri/bl$kds_bl-tee$kds_tee-snp$kds_snp-ucode$kds_ucode.der
                  =404;
    }
    location ~ "^/vcek/v1/Turin/([0-9a-f]{16})$" {
        types { }
        default_type application/pkix-cert;
        set $kds_four bl$kds_bl-tee$kds_tee-snp$kds_snp-ucode$kds_ucode;
        try_files $uri/$kds_four-fmc$kds_fmc.der =404;
    }
    location ~ "^/v[cl]ek/v1/[A-Za-z]+/(cert_chain|crl)$" {
        types { }
        default_type application/octet-stream;
        try_files $uri =404;
    }
    location / {
        return 404;
    }
}
"""
