import ctypes
import errno
import struct

import pytest

from tests.tsm import playing_kernel
from thim.agent.devices import (
    get_chip_id,
    get_report,
    get_reported_tcb,
    read_guest,
    read_host,
    read_product,
    read_tsm,
)
from thim.amd.tcb import ProductLine
from thim.errors import OperatorError


CHIP_ID = bytes(range(1, 65))
TCB = bytes.fromhex("04000000000018db")
GENOA = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC 9654 96-Core Processor

processor\t: 1
cpu family\t: 1
model\t\t: 1
"""


class Kernel:
    """
    What the kernel does with the calls of linux/sev-guest.h and psp-sev.h.
    """

    def __init__(self, report=b"", status=0, error=0):
        self.report = report
        self.status = status
        self.error = error
        self.asked = b""

    def guest(self, handle, number, call):
        """
        Answer SNP_GET_REPORT.
        """
        assert 0xC0205300 == number
        version, request, answer, *_ = struct.unpack("<B7xQQII", call)
        assert 1 == version
        if self.error:
            struct.pack_into("<I", call, 24, self.error)
            raise OSError(errno.EIO, "Input/output error")
        self.asked = ctypes.string_at(request, 96)
        head = struct.pack("<II24x", self.status, len(self.report))
        ctypes.memmove(answer, head + self.report, 32 + len(self.report))

    def host(self, handle, number, call):
        """
        Answer SEV_GET_ID2 and SNP_PLATFORM_STATUS.
        """
        assert 0xC0105300 == number
        command, data, _ = struct.unpack("<IQI", call)
        if self.error:
            struct.pack_into("<I", call, 12, self.error)
            raise OSError(errno.EIO, "Input/output error")
        if command == 8:
            address, size = struct.unpack("<QI", ctypes.string_at(data, 12))
            assert 64 == size
            ctypes.memmove(address, CHIP_ID, 64)
        else:
            assert 9 == command
            current = bytes(8)
            status = struct.pack("<BBBBIII", 1, 55, 1, 1, 21, 0, 0)
            ctypes.memmove(data, status + current + TCB, 32)


@pytest.fixture
def device(tmp_path):
    """
    A file in the place of a device.
    """
    path = tmp_path / "device"
    path.touch()
    return path


class TestGuestDevice:
    def test_report(self, device):
        """
        The firmware is asked at VMPL 0 with report data, and its report
        returned.
        """
        kernel = Kernel(bytes(range(256)) * 4 + bytes(160))
        assert kernel.report == get_report(device, kernel.guest)
        assert any(kernel.asked[:64])
        assert bytes(32) == kernel.asked[64:]

    def test_refused(self, device):
        """
        The firmware's error is in the message.
        """
        kernel = Kernel(error=0x16)
        with pytest.raises(OperatorError, match="firmware 0x16, monitor 0x0"):
            get_report(device, kernel.guest)

    @pytest.mark.parametrize(("size", "status"), [(1184, 0x16), (100, 0)])
    def test_no_report(self, device, size, status):
        """
        An answer without a report is an error.
        """
        kernel = Kernel(bytes(size), status)
        with pytest.raises(OperatorError, match=f"{size} bytes, expected"):
            get_report(device, kernel.guest)

    def test_no_device(self, tmp_path):
        """
        A device that is not there is an error that names it.
        """
        with pytest.raises(OperatorError, match="none: No such file"):
            get_report(tmp_path / "none", Kernel().guest)

    def test_no_such_call(self, device, tmp_path):
        """
        A file that is no device is an error.
        """
        with pytest.raises(OperatorError, match="device: Inappropriate"):
            read_guest(device, tmp_path / "none")


class TestTsm:
    def test_report(self, tmp_path):
        """
        A report over random data is asked for, and read.
        """
        root = tmp_path / "report"
        with playing_kernel(root, "sev_guest", lambda _: b"report") as kernel:
            assert b"report" == read_tsm(root)
        assert [64] == list(map(len, kernel.asked))
        assert any(kernel.asked[0])

    def test_other_provider(self, tmp_path):
        """
        A quote of TDX is no report.
        """
        root = tmp_path / "report"
        with (
            playing_kernel(root, "tdx_guest", lambda _: b"quote"),
            pytest.raises(OperatorError, match="expected 'sev_guest'"),
        ):
            read_tsm(root)

    def test_unfilled(self, tmp_path):
        """
        A folder that nobody fills is an error, and removed as far as it can
        be.
        """
        with pytest.raises(OperatorError, match=r"chip: .*No such file") as e:
            read_guest(tmp_path / "device", tmp_path)
        assert "chip-source" == e.value.reason


class TestHostDevice:
    def test_chip_id(self, device):
        """
        The firmware says which chip it is.
        """
        assert CHIP_ID == get_chip_id(device, Kernel().host)

    def test_reported_tcb(self, device):
        """
        It says which TCB it reports, not the one that runs.
        """
        assert TCB == get_reported_tcb(device, Kernel().host)

    def test_refused(self, device):
        """
        The firmware's error is in the message.
        """
        with pytest.raises(OperatorError, match=r"command 9: .*firmware 0x3"):
            get_reported_tcb(device, Kernel(error=3).host)

    def test_no_such_call(self, device, tmp_path):
        """
        A file that is no device is an error.
        """
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text(GENOA)
        with pytest.raises(OperatorError, match="device: command 8"):
            read_host(device, cpuinfo)


class TestProduct:
    def test_first_processor(self, tmp_path):
        """
        The first processor's family and model tell the product line.
        """
        path = tmp_path / "cpuinfo"
        path.write_text(GENOA)
        assert ProductLine.GENOA is read_product(path)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "no family and model"),
            ("cpu family: x\nmodel: 1\n", "no family and model"),
            ("cpu family: 6\nmodel: 143\n", "unknown product"),
        ],
    )
    def test_unknown(self, tmp_path, text, why):
        """
        A CPU that is none of AMD's known ones is an error.
        """
        path = tmp_path / "cpuinfo"
        path.write_text(text)
        with pytest.raises(OperatorError, match=why):
            read_product(path)

    def test_no_file(self, tmp_path):
        """
        Without the file it is an error.
        """
        with pytest.raises(OperatorError, match="No such file"):
            read_product(tmp_path / "none")
