"""
SEV-SNP reports of our own AMD, and requests with them.
"""

import base64
import json

from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from tests.made_amd import AMD, CHIP, TCB
from thim.amd.tcb import ProductLine, TcbVersion
from thim.simulate.amd_pki import Endorsed, to_pem
from thim.simulate.amd_profile import Role
from thim.simulate.snp_body import SnpBody, write_signature


_CPUIDS = {
    ProductLine.MILAN: (0x19, 0x01, 1),
    ProductLine.GENOA: (0x19, 0x11, 1),
    ProductLine.TURIN: (0x1A, 0x02, 1),
}


def make_report(
    tcb: TcbVersion = TCB, hw_id: bytes = CHIP, csp_id: str = "", **fields: Any
) -> bytes:
    """
    Make a report that a chip, or a provider's key, has signed.
    """
    family, model, stepping = _CPUIDS[tcb.product]
    tcbs = dict.fromkeys(
        ("reported_tcb", "committed_tcb", "current_tcb", "launch_tcb"),
        tcb.to_bytes(),
    )
    genuine: dict[str, Any] = {
        "cpuid_fam_id": family,
        "cpuid_mod_id": model,
        "cpuid_step": stepping,
        "flags": 4 if csp_id else 0,
        "chip_id": bytes(64) if csp_id else hw_id.ljust(64, b"\0"),
        **tcbs,
    }
    signed = SnpBody(**genuine | fields).to_bytes()
    whose = {"csp_id": csp_id} if csp_id else {"hw_id": hw_id}
    key = AMD.endorsement_key(Endorsed(tcb=tcb, **whose))
    signature = key.sign(signed, ec.ECDSA(hashes.SHA384()))
    return signed + write_signature(*utils.decode_dss_signature(signature))


def make_chain(
    leaf: bytes,
    product: ProductLine = ProductLine.MILAN,
    role: Role = Role.ASK,
) -> bytes:
    """
    Write *leaf* (DER) and the chain above it as a host gives them.
    """
    return to_pem(leaf) + AMD.chain(product, role)


def encode(raw: bytes) -> str:
    """
    Write base64url without padding.
    """
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def make_submission(report: bytes, chain: bytes | None = None, *uvm) -> bytes:
    """
    Write what is in the member ``report`` of a request, after base64.
    """
    parts = {"SnpReport": encode(report)}
    if chain is not None:
        parts["VcekCertChain"] = encode(chain)
    if uvm:
        endorsements = json.dumps({"Uvm": [encode(each) for each in uvm]})
        parts["Endorsements"] = encode(endorsements.encode())
    return json.dumps(parts).encode()
