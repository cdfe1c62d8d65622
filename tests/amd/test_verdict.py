import dataclasses

import pytest

from thim.amd.authorities import KeyKind
from thim.amd.report_fields import (
    FirmwareVersion,
    GuestPolicy,
    PlatformInfo,
    Tcbs,
)
from thim.amd.tcb import ProductLine, TcbVersion
from thim.amd.verdict import Claims, CrlState, Finding, Verdict


FINDING = Finding(step=1, reason="report-length", detail="too long")
TCB = TcbVersion(product=ProductLine.MILAN)
FIRMWARE = FirmwareVersion(major=1, minor=55, build=29)
CLAIMS = Claims(
    version=2,
    product=ProductLine.MILAN,
    product_name="Milan-B0",
    cpuid=None,
    kind=KeyKind.VCEK,
    csp_id=None,
    chip_id=bytes(range(64)),
    tcbs=Tcbs(reported=TCB, committed=TCB, current=TCB, launch=TCB),
    current_version=FIRMWARE,
    committed_version=FIRMWARE,
    platform_info=PlatformInfo(raw=1),
    mitigations=None,
    policy=GuestPolicy(raw=0x3001F),
    guest_svn=2,
    family_id=bytes(16),
    image_id=bytes(16),
    vmpl=0,
    measurement=bytes(48),
    report_data=bytes(64),
    host_data=bytes(32),
    id_key_digest=bytes(48),
    author_key_digest=bytes(48),
    report_id=bytes(32),
    report_id_ma=b"\xff" * 32,
    crl=CrlState.CHECKED,
)


class TestClaims:
    def test_chip(self):
        """
        A chip is named or masked.
        """
        masked = dataclasses.replace(CLAIMS, chip_id=None)

        assert not CLAIMS.chip_id_masked
        assert masked.chip_id_masked

    def test_debug(self):
        """
        Debugging is a matter of the policy.
        """
        policy = GuestPolicy(raw=0xB001F)

        assert not CLAIMS.debug
        assert dataclasses.replace(CLAIMS, policy=policy).debug


class TestVerdict:
    def test_claims(self):
        """
        With claims a report is authentic.
        """
        assert Verdict(findings=(), claims=CLAIMS).is_authentic

    def test_findings(self):
        """
        With findings it is not.
        """
        assert not Verdict(findings=(FINDING,), claims=None).is_authentic

    @pytest.mark.parametrize(
        ("findings", "claims"), [((), None), ((FINDING,), CLAIMS)]
    )
    def test_either(self, findings, claims):
        """
        There is no verdict with both, or with neither.
        """
        with pytest.raises(ValueError, match="either findings or claims"):
            Verdict(findings=findings, claims=claims)
