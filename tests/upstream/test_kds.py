import pytest

from tests.made_amd import CHIP, GENOA, MILAN, NAME, TURIN
from tests.upstream.services import KDS, SERVICES, THIM
from thim.amd.authorities import KeyKind
from thim.amd.kds import ChipTcb
from thim.amd.tcb import TcbVersion
from thim.collateral.amd_keys import (
    amd_crl_key,
    cert_chain_key,
    vcek_target,
)
from thim.collateral.records import AMD, CollateralKey, Kind
from thim.collateral.targets import Target
from thim.upstream.kds import find_kds_request
from thim.upstream.model import Request, Service


CHAIN = Target(key=cert_chain_key(KeyKind.VCEK, MILAN))
TURIN_TCB = TcbVersion(
    product=TURIN, fmc=1, bootloader=2, tee=3, snp=4, microcode=81
)
TURIN_NAME = ChipTcb(product=TURIN, hw_id=bytes(range(8)), tcb=TURIN_TCB)


class TestRequest:
    @pytest.mark.parametrize(
        ("target", "path"),
        [
            (CHAIN, "/vcek/v1/Milan/cert_chain"),
            (
                Target(key=cert_chain_key(KeyKind.VLEK, TURIN)),
                "/vlek/v1/Turin/cert_chain",
            ),
            (
                Target(key=amd_crl_key(KeyKind.VCEK, GENOA)),
                "/vcek/v1/Genoa/crl",
            ),
            (
                Target(key=amd_crl_key(KeyKind.VLEK, GENOA)),
                "/vlek/v1/Genoa/crl",
            ),
            (
                vcek_target(NAME),
                (
                    f"/vcek/v1/Milan/{CHIP.hex()}"
                    "?blSPL=4&teeSPL=0&snpSPL=24&ucodeSPL=219"
                ),
            ),
            (
                vcek_target(TURIN_NAME),
                (
                    "/vcek/v1/Turin/0001020304050607"
                    "?fmcSPL=1&blSPL=2&teeSPL=3&snpSPL=4&ucodeSPL=81"
                ),
            ),
        ],
    )
    @pytest.mark.parametrize("upstream", [KDS, THIM])
    def test_written(self, upstream, target, path):
        """
        Each document is asked for by its path at the service, another thim as
        AMD itself.
        """
        expected = Request(url=f"{upstream.url}{path}")

        assert expected == find_kds_request(upstream, target)

    @pytest.mark.parametrize(
        "service", [Service.PCS, Service.PCCS, Service.AZURE]
    )
    def test_other_services(self, service):
        """
        Other services have nothing of AMD's.
        """
        assert find_kds_request(SERVICES[service], CHAIN) is None

    @pytest.mark.parametrize(
        ("kind", "subject"),
        [
            (Kind.CRL, "Milan"),
            (Kind.CRL, "Naples:vcek"),
            (Kind.CERT_CHAIN, "Milan:xcek"),
            (Kind.VCEK, "Milan:00:00"),
            (Kind.TCB_INFO, "Milan:vcek"),
        ],
    )
    def test_no_such_document(self, kind, subject):
        """
        What there cannot be is not asked for.
        """
        key = CollateralKey(kind=kind, subject=subject, vendor=AMD)

        assert find_kds_request(KDS, Target(key=key)) is None
