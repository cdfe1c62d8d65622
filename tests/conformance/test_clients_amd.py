"""
AMD's clients, as they ask: go-sev-guest, snpguest, the sidecar of Azure's
container instances, CCF, Trustee, and Azure's guest tools.

They ask for what genuine reports need, of a service over AMD's own documents,
and each report is verified with what they get.
"""

import datetime
import json

import pytest

from thim.amd.authorities import AMD_ROOTS, CaChain
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.report import Report
from thim.amd.tcb import ProductLine, TcbVersion
from thim.amd.verify import verify_evidence


GO = {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}
RUST = {"accept": "*/*"}
METADATA = {"Metadata": "true"}
END = b"-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def reports(corpus):
    """
    The genuine reports that a VCEK has signed, by the names of their files.
    """
    paths = sorted((corpus / "snp").glob("*-vcek-*.bin"))
    return {path.name: path.read_bytes() for path in paths}


class Needed:
    """
    What a verifier must ask for.
    """

    def __init__(self, name: str, raw: bytes) -> None:
        self.raw = raw
        report = Report.from_bytes(raw)
        self.product = ProductLine.from_name(name.partition("-")[0])
        self.chip_id = report.chip_id.hex()
        self.tcb = TcbVersion.from_bytes(report.reported_tcb, self.product)

    @property
    def hw_id(self) -> str:
        """
        The chip as KDS knows it.
        """
        return self.chip_id[: 2 * self.product.hw_id_size]

    @property
    def number(self) -> str:
        """
        The TCB as a number without leading zeros.
        """
        return f"{int(self.tcb.tcbm, 16):x}"


def split(pem: bytes) -> list[bytes]:
    """
    Split PEM into its blocks.
    """
    parts = [part + END for part in pem.split(END)]
    assert END == parts.pop()
    return parts


def is_authentic(needed, leaf, chain) -> bool:
    """
    Verify a report at an instant at which its certificate holds.
    """
    key = (
        EndorsementKey.from_pem(leaf)
        if leaf.startswith(b"-")
        else EndorsementKey.from_der(leaf)
    )
    now = key.not_before + datetime.timedelta(days=30)
    verdict = verify_evidence(
        needed.raw, leaf, chain, None, anchors=AMD_ROOTS, now=now
    )
    return verdict.is_authentic


def go_sev_guest(served, needed):
    """
    Ask as go-sev-guest: the chain, then the certificate.
    """
    base = f"/vcek/v1/{needed.product.value}"
    tcb = needed.tcb
    chain = served.get(f"{base}/cert_chain", GO)
    leaf = served.get(
        f"{base}/{needed.hw_id}?blSPL={tcb.bootloader}&teeSPL={tcb.tee}"
        f"&snpSPL={tcb.snp}&ucodeSPL={tcb.microcode}",
        GO,
    )
    return leaf.body, chain.body


def snpguest(served, needed):
    """
    Ask as snpguest: patch levels of two digits.
    """
    base = f"/vcek/v1/{needed.product.value}"
    tcb = needed.tcb
    leaf = served.get(
        f"{base}/{needed.hw_id}?blSPL={tcb.bootloader:02}"
        f"&teeSPL={tcb.tee:02}&snpSPL={tcb.snp:02}"
        f"&ucodeSPL={tcb.microcode:02}",
        RUST,
    )
    return leaf.body, served.get(f"{base}/cert_chain", RUST).body


def ccf(served, needed):
    """
    Ask as CCF asks KDS: parameters in the order of the alphabet.
    """
    base = f"/vcek/v1/{needed.product.value}"
    tcb = needed.tcb
    leaf = served.get(
        f"{base}/{needed.hw_id}?blSPL={tcb.bootloader}"
        f"&snpSPL={tcb.snp}&teeSPL={tcb.tee}&ucodeSPL={tcb.microcode}"
    )
    return leaf.body, served.get(f"{base}/cert_chain").body


def sidecar(served, needed):
    """
    Ask as the sidecar of container instances: all three in one.
    """
    got = served.get(
        f"/SevSnpVM/certificates/{needed.chip_id}/{needed.number}"
        "?api-version=2020-10-15-preview&clientId=ConfidentialACI",
        GO,
    )
    leaf, ask, ark = split(got.body)
    return leaf, ask + ark


def ccf_thim(served, needed):
    """
    Ask as CCF asks where it is told of THIM's link-local form.
    """
    got = served.get(
        f"/metadata/THIM/amd/certification?platformId={needed.chip_id}"
        f"&tcbVersion={needed.number}",
        METADATA,
    )
    found = got.json
    assert {"vcekCert", "tcbm", "certificateChain", "cacheControl"} == set(
        found
    )
    assert needed.tcb.tcbm == found["tcbm"]
    return found["vcekCert"].encode(), found["certificateChain"].encode()


@pytest.mark.parametrize(
    "client",
    [go_sev_guest, snpguest, ccf, sidecar, ccf_thim],
    ids=lambda client: client.__name__,
)
def test_verifies(served, reports, client):
    """
    Each genuine report is authentic with what the client gets.
    """
    missed = []
    for name, raw in reports.items():
        needed = Needed(name, raw)
        leaf, chain = client(served, needed)
        if not is_authentic(needed, leaf, chain):
            missed.append(name)

    assert 43 == len(reports)
    assert [] == missed


def test_recorded_answer(served, corpus):
    """
    The recorded answer of the real service is given again, to the letter,
    for the chip and TCB of the report that came with it.
    """
    folder = corpus / "amd" / "thim"
    recorded = json.loads(
        (folder / "aci-uvm-host-amd-certificate.json").read_text()
    )
    report = Report.from_bytes((folder / "aci-snp-report.txt").read_bytes())
    number = int.from_bytes(report.reported_tcb, "little")
    got = served.get(
        f"/metadata/THIM/amd/certification?platformId={report.chip_id.hex()}"
        f"&tcbVersion={number:x}",
        METADATA,
    )

    assert recorded == got.json
    assert list(recorded) == list(got.json)


def test_revoked_is_never_served(served):
    """
    Genoa's first intermediate was revoked: the chain has the second, with the
    serial number 0x20002.
    """
    chain = CaChain.from_pem(served.get("/vcek/v1/Genoa/cert_chain").body)

    assert 0x20002 == chain.intermediate.serial_number


@pytest.mark.parametrize(
    ("product", "day"),
    [("Milan", "2022-05-09"), ("Milan", "2023-05-09"), ("Genoa", "2022-10-31")],
)
def test_lists_of_the_past(served, product, day):
    """
    Each recorded revocation list is what was current on its day.
    """
    now = served.get(f"/vcek/v1/{product}/crl")
    then = served.get(f"/at/{day}T23:59:59Z/vcek/v1/{product}/crl")

    assert 200 == then.status
    assert (now.body == then.body) is (day != "2022-05-09")
