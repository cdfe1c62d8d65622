"""
The corpus' SNP evidence, each report with what vouches for it.
"""

import dataclasses
import json

from datetime import UTC, datetime
from pathlib import Path

from tests.amd.certificates import (
    genuine_chain,
    genuine_leaves,
    signer_of,
)
from tests.amd.corpus import entries, pem_blocks
from thim.amd.authorities import AMD_ROOTS
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.verdict import Verdict
from thim.amd.verify import verify_evidence


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    A report, its leaf and the chain above it, and when they were valid.
    """

    name: str
    report: bytes
    leaf: bytes
    chain: bytes
    at: datetime

    def verify(self, crl: bytes | None = None, **changes) -> Verdict:
        """
        Verify it, or what *changes* make of it.
        """
        other = dataclasses.replace(self, **changes)
        return verify_evidence(
            other.report,
            other.leaf,
            other.chain,
            crl,
            anchors=AMD_ROOTS,
            now=other.at,
        )

    def leaf_key(self) -> EndorsementKey:
        """
        Read the leaf.
        """
        return EndorsementKey.from_pem(self.leaf)


def chain_of(corpus: Path, leaf: str) -> bytes:
    """
    Return the chain, in PEM, above the corpus' file *leaf*.
    """
    return genuine_chain(corpus, signer_of(corpus / leaf)).to_pem()


def _valid_at(leaf: bytes) -> datetime:
    return EndorsementKey.from_pem(leaf).not_before


def with_leaf(corpus: Path, name: str, report: bytes, leaf: str) -> Evidence:
    """
    Put *report* together with the corpus' file *leaf*, at its first instant.
    """
    pem = (corpus / leaf).read_bytes()
    return Evidence(
        name=name,
        report=report,
        leaf=pem,
        chain=chain_of(corpus, leaf),
        at=_valid_at(pem),
    )


def recorded(corpus: Path) -> list[Evidence]:
    """
    Return all genuine reports, each with the leaf that the manifest names.
    """
    return [
        with_leaf(
            corpus,
            entry["name"],
            (corpus / entry["name"]).read_bytes(),
            entry["endorsement_key"],
        )
        for entry in entries(corpus, "snp")
    ]


def find_recorded(corpus: Path, digest: str) -> Evidence:
    """
    Return the genuine report whose file name ends in *digest*.
    """
    return next(e for e in recorded(corpus) if e.name.endswith(f"{digest}.bin"))


def attestation(corpus: Path, name: str) -> Evidence:
    """
    Return the report of the complete attestation *name*.
    """
    folder = corpus / "attestation" / name
    pem = (folder / "vcek_chain.pem").read_text()
    leaf, intermediate, ark = (block.encode() for block in pem_blocks(pem))
    return Evidence(
        name=name,
        report=(folder / "report.bin").read_bytes(),
        leaf=leaf,
        chain=intermediate + ark,
        at=_valid_at(leaf),
    )


def container_instance(corpus: Path) -> Evidence:
    """
    Return an Azure container instance's report, with THIM's answer for it.
    """
    folder = corpus / "amd/thim"
    answer = json.loads(
        (folder / "aci-uvm-host-amd-certificate.json").read_text()
    )
    leaf = answer["vcekCert"].encode()
    return Evidence(
        name="aci",
        report=(folder / "aci-snp-report.txt").read_bytes(),
        leaf=leaf,
        chain=answer["certificateChain"].encode(),
        at=_valid_at(leaf),
    )


def known_leaves(corpus: Path) -> dict[str, EndorsementKey]:
    """
    Return all VCEKs and VLEKs of the corpus, by file name.
    """
    return {
        str(path.relative_to(corpus)): EndorsementKey.from_pem(
            path.read_bytes()
        )
        for path in genuine_leaves(corpus)
    }


def instant(text: str) -> datetime:
    """
    Read an instant such as ``2023-05-09T15:45:07Z``.
    """
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
