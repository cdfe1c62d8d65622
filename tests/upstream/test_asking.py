import dataclasses

import pytest

from tests.made_amd import MILAN, NAME
from tests.upstream.services import KDS, SERVICES, THIM
from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key, vcek_target
from thim.collateral.platforms import PlatformId
from thim.collateral.records import INTEL, ROOT_CA_CRL, numbers_key
from thim.collateral.targets import Target, pck_target
from thim.intel.names import Tee
from thim.upstream.asking import write_request
from thim.upstream.kds import find_kds_request
from thim.upstream.model import Service
from thim.upstream.pck import (
    PlatformSecrets,
    find_pck_request,
    knows_qe_ids,
)
from thim.upstream.pcs import find_request


AMDS = [
    Target(key=cert_chain_key(KeyKind.VCEK, MILAN)),
    Target(key=amd_crl_key(KeyKind.VLEK, MILAN)),
    vcek_target(NAME),
]
INTELS = [Target(key=ROOT_CA_CRL), Target(key=numbers_key(Tee.SGX))]
PCS = dataclasses.replace(SERVICES[Service.PCS], vendor=INTEL)
INTEL_THIM = dataclasses.replace(THIM, vendor=INTEL)
PLATFORM = PlatformId(qe_id=bytes(16), pce_id=bytes(2))
SECRETS = PlatformSecrets(platform=PLATFORM, enc_ppid=bytes(384))


class TestVendor:
    @pytest.mark.parametrize("target", AMDS)
    @pytest.mark.parametrize("upstream", [KDS, THIM])
    def test_amd(self, upstream, target):
        """
        AMD's documents are asked for as of AMD.
        """
        expected = find_kds_request(upstream, target)

        assert expected is not None
        assert expected == write_request(upstream, target)

    @pytest.mark.parametrize("target", INTELS)
    @pytest.mark.parametrize("upstream", [PCS, INTEL_THIM])
    def test_intel(self, upstream, target):
        """
        Intel's as of Intel.
        """
        expected = find_request(upstream, target)

        assert expected is not None
        assert expected == write_request(upstream, target)

    @pytest.mark.parametrize(
        ("upstream", "targets"),
        [(KDS, INTELS), (THIM, INTELS), (PCS, AMDS), (INTEL_THIM, AMDS)],
    )
    def test_of_the_other(self, upstream, targets):
        """
        Nobody is asked for another vendor's documents than he is there for,
        also a thim, which may have both.
        """
        for target in targets:
            assert write_request(upstream, target) is None
            assert write_request(upstream, target, SECRETS) is None

    def test_with_secrets(self):
        """
        A platform's certificates are asked for by its secrets.
        """
        target = pck_target(PLATFORM)
        expected = find_pck_request(PCS, SECRETS)

        assert expected is not None
        assert expected == write_request(PCS, target, SECRETS)


class TestMachines:
    @pytest.mark.parametrize("upstream", [PCS, INTEL_THIM])
    def test_platform_is_not_named(self, upstream):
        """
        Who is not to hear of machines is not asked for PCK certificates.
        """
        discreet = dataclasses.replace(upstream, machines=False)
        target = pck_target(PLATFORM)

        assert write_request(discreet, target, SECRETS) is None
        assert not knows_qe_ids(discreet)

    @pytest.mark.parametrize("upstream", [KDS, THIM])
    def test_chip_is_not_named(self, upstream):
        """
        Nor for VCEKs.
        """
        discreet = dataclasses.replace(upstream, machines=False)

        assert write_request(discreet, vcek_target(NAME)) is None

    @pytest.mark.parametrize(
        ("upstream", "target"),
        [(INTEL_THIM, INTELS[0]), (INTEL_THIM, INTELS[1]), (THIM, AMDS[0])],
    )
    def test_documents(self, upstream, target):
        """
        What is nobody's own is asked for as ever.
        """
        discreet = dataclasses.replace(upstream, machines=False)
        expected = write_request(upstream, target)

        assert expected is not None
        assert expected == write_request(discreet, target)
