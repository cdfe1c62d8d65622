"""
What a quote speaks of: the report body of an enclave or of a TD.

The layouts are those of ``sgx_report.h`` and of Intel's "TDX DCAP Quoting
Library API", appendix 3; 1.5ex is body type 4 of QVL 1.25 and later.  What is
reserved is signed like the rest and, as in QVL, not looked at.

The facts at the end of each class are for an appraisal: no verification
depends on them.
"""

from __future__ import annotations

from typing import ClassVar, Final

from thim.intel.layout import Layout, Number, Octets


SGX_BODY_SIZE: Final = 384

_SGX_DEBUG: Final = 1 << 1
_KSS: Final = 1 << 7
#: The bits that put a TD under debug, or may (TUD): none may be set.
_TD_DEBUG: Final = 0xFF
_SEPT_VE_DISABLE: Final = 1 << 28


class SgxReportBody(Layout):
    """
    The report body of an enclave: an application's, or a quoting enclave's.

    *cpusvn* is the raw one of the CPU, not made of the components of a TCB
    info.  *miscselect* and *attributes* are in memory order.  CONFIGID,
    CONFIGSVN, ISVEXTPRODID and ISVFAMILYID mean nothing unless *kss* is set.
    """

    __slots__ = ()

    cpusvn = Octets(0, 16)
    miscselect = Octets(16, 4)
    isvextprodid = Octets(32, 16)
    attributes = Octets(48, 16)
    flags = Number(48, 8)
    xfrm = Number(56, 8)
    mrenclave = Octets(64, 32)
    mrsigner = Octets(128, 32)
    configid = Octets(192, 64)
    isvprodid = Number(256, 2)
    isvsvn = Number(258, 2)
    configsvn = Number(260, 2)
    isvfamilyid = Octets(304, 16)
    report_data = Octets(320, 64)

    @property
    def tcb(self) -> bytes:
        """Nothing: an enclave's TCB stands in the PCK certificate."""
        return b""

    @property
    def debug(self) -> bool:
        """Whether the enclave's memory can be read by a debugger."""
        return bool(self.flags & _SGX_DEBUG)

    @property
    def kss(self) -> bool:
        """Whether the enclave uses key separation and sharing."""
        return bool(self.flags & _KSS)


class Td10Body(Layout):
    """
    The report body of a TD, as TDX 1.0 has it.

    *tee_tcb_svn* is what the TD was launched under: index 0 is the SVN of the
    TDX module, index 1 its major version.
    """

    __slots__ = ()

    name: ClassVar[str] = "TD 1.0"

    tee_tcb_svn = Octets(0, 16)
    mrseam = Octets(16, 48)
    mrsignerseam = Octets(64, 48)
    seamattributes = Octets(112, 8)
    tdattributes = Number(120, 8)
    xfam = Number(128, 8)
    mrtd = Octets(136, 48)
    mrconfigid = Octets(184, 48)
    mrowner = Octets(232, 48)
    mrownerconfig = Octets(280, 48)
    rtmr0 = Octets(328, 48)
    rtmr1 = Octets(376, 48)
    rtmr2 = Octets(424, 48)
    rtmr3 = Octets(472, 48)
    report_data = Octets(520, 64)

    @property
    def tcb(self) -> bytes:
        """All that says which TDX module the TD was launched under."""
        return self.raw[:120]

    @property
    def debug(self) -> bool:
        """Whether the host may look into the TD (any bit of the group TUD)."""
        return bool(self.tdattributes & _TD_DEBUG)

    @property
    def sept_ve_disable(self) -> bool:
        """Whether the host cannot inject #VE by taking pages away."""
        return bool(self.tdattributes & _SEPT_VE_DISABLE)


class Td15Body(Td10Body):
    """
    The report body of a TD, as TDX 1.5 has it.

    *tee_tcb_svn_2* is what the TD runs under now, after updates that kept it
    running.  *mrservicetd* is the digest of the service TDs that are bound to
    it, zero without one.
    """

    __slots__ = ()

    name: ClassVar[str] = "TD 1.5"

    tee_tcb_svn_2 = Octets(584, 16)
    mrservicetd = Octets(600, 48)

    @property
    def tcb(self) -> bytes:
        """The same, and what it runs under now."""
        return self.raw[:120] + self.tee_tcb_svn_2


class Td15ExBody(Td15Body):
    """
    The report body of a TD with more on how it was launched and on its
    service TDs: body type 4 of quotes of version 5.
    """

    __slots__ = ()

    name: ClassVar[str] = "TD 1.5ex"

    vmid = Number(648, 1)
    tdid = Octets(649, 32)
    devinfo = Octets(681, 48)
    init_servicetd = Octets(729, 48)
    init_servicetd_attributes = Octets(777, 8)
    init_cpusvn = Octets(785, 16)
    init_tee_tcb_svn = Octets(801, 16)
    init_fmspc = Octets(817, 12)
    curr_servicetd = Octets(829, 48)
    curr_servicetd_attributes = Octets(877, 8)


ReportBody = SgxReportBody | Td10Body
