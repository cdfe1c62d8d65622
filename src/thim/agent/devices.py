"""
What Linux says of the chip: a report from within a guest, or what the firmware
tells its host.

* Guests: ``/sys/kernel/config/tsm/report`` where it is there, else
  ``/dev/sev-guest`` (linux/sev-guest.h, ``SNP_GET_REPORT``).
* Hosts: ``/dev/sev`` (linux/psp-sev.h, ``SNP_PLATFORM_STATUS`` and
  ``SEV_GET_ID2``), and the product line by CPUID.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import struct

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.agent.identity import CHIP_ID_SIZE, Read
from thim.amd.report import SIZE
from thim.amd.tcb import ProductLine
from thim.errors import MalformedError, OperatorError
from thim.services.tsm import DATA_SIZE, SNP, TSM, ask_tsm


if TYPE_CHECKING:
    from collections.abc import Callable

    #: As ``fcntl.ioctl``: a handle, a number, and what is read and written.
    Ioctl = Callable[[int, int, bytearray], object]

CPUINFO: Final = Path("/proc/cpuinfo")

#: _IOWR('S', 0, 32 bytes) and _IOWR('S', 0, 16 bytes).
_SNP_GET_REPORT: Final = 0xC020_5300
_SEV_ISSUE_CMD: Final = 0xC010_5300
_SEV_GET_ID2: Final = 8
_SNP_PLATFORM_STATUS: Final = 9

#: struct snp_guest_request_ioctl: message version, padding, request, answer,
#: and the two halves of exitinfo2.
_GUEST_REQUEST: Final = struct.Struct("<B7xQQII")
#: struct snp_report_req: report data, VMPL, reserved.
_REPORT_REQUEST: Final = struct.Struct("<64sI28x")
_MESSAGE_VERSION: Final = 1
_ANSWER_SIZE: Final = 4000
_REPORT_AT: Final = 32

#: struct sev_issue_cmd, packed: command, where its data is, firmware's error.
_ISSUE: Final = struct.Struct("<IQI")
#: struct sev_user_data_get_id2, packed: where to, how much.
_GET_ID2: Final = struct.Struct("<QI")
_STATUS_SIZE: Final = 32
_REPORTED_TCB: Final = slice(24, 32)


def read_guest(device: Path, tsm: Path = TSM) -> Read:
    """
    Get a report from the firmware, as a guest.

    Raises:
        OperatorError: There is none to be had.
    """
    if tsm.is_dir():
        return _read_report(read_tsm(tsm), str(tsm))
    return _read_report(get_report(device, fcntl.ioctl), str(device))


def _read_report(raw: bytes, source: str) -> Read:
    try:
        return Read.from_report(raw, source)
    except MalformedError as e:
        raise _unusable(source, str(e)) from e


def read_tsm(root: Path) -> bytes:
    """
    Ask for a report with random report data by the kernel's trusted security
    module, below *root*.

    Raises:
        OperatorError: It has none of SEV's, or somebody else uses the entry.
    """
    try:
        answer = ask_tsm(root, secrets.token_bytes(DATA_SIZE))
    except OperatorError as e:
        msg = f"chip: {e}"
        raise OperatorError(msg, reason="chip-source") from e
    if answer.provider != SNP:
        msg = f"provider {answer.provider!r}, expected {SNP!r}"
        raise _unusable(str(root), msg)
    return answer.outblob


def get_report(device: Path, ioctl: Ioctl) -> bytes:
    """
    Ask *device* for a report with random report data at VMPL 0.

    Raises:
        OperatorError: It gives none.
    """
    request = bytearray(_REPORT_REQUEST.pack(secrets.token_bytes(64), 0))
    answer = bytearray(_ANSWER_SIZE)
    call = bytearray(
        _GUEST_REQUEST.pack(
            _MESSAGE_VERSION, _address(request), _address(answer), 0, 0
        )
    )
    try:
        _control(device, _SNP_GET_REPORT, call, ioctl)
    except OSError as e:
        *_, firmware, monitor = _GUEST_REQUEST.unpack(call)
        msg = f"{e.strerror} (firmware {firmware:#x}, monitor {monitor:#x})"
        raise _unusable(str(device), msg) from e
    status, size = struct.unpack_from("<II", answer)
    if status or size != SIZE:
        msg = f"status {status:#x}, {size} bytes, expected 0 and {SIZE}"
        raise _unusable(str(device), msg)
    return bytes(answer[_REPORT_AT : _REPORT_AT + SIZE])


def read_host(device: Path, cpuinfo: Path = CPUINFO) -> Read:
    """
    Ask the firmware by its host's *device* which chip it is, and which TCB it
    reports.

    Raises:
        OperatorError: It does not say, or the CPU is not known.
    """
    return Read(
        product=read_product(cpuinfo),
        chip_id=get_chip_id(device, fcntl.ioctl),
        tcb=get_reported_tcb(device, fcntl.ioctl),
        report=None,
        source=str(device),
    )


def get_chip_id(device: Path, ioctl: Ioctl) -> bytes:
    """
    Return the chip's 64 bytes.

    Raises:
        OperatorError: The firmware does not say.
    """
    found = bytearray(CHIP_ID_SIZE)
    asked = bytearray(_GET_ID2.pack(_address(found), CHIP_ID_SIZE))
    _issue(device, _SEV_GET_ID2, asked, ioctl)
    return bytes(found)


def get_reported_tcb(device: Path, ioctl: Ioctl) -> bytes:
    """
    Return the 8 bytes of the reported ``TCB_VERSION``.

    Raises:
        OperatorError: The firmware does not say.
    """
    status = bytearray(_STATUS_SIZE)
    _issue(device, _SNP_PLATFORM_STATUS, status, ioctl)
    return bytes(status[_REPORTED_TCB])


def _issue(device: Path, command: int, data: bytearray, ioctl: Ioctl) -> None:
    call = bytearray(_ISSUE.pack(command, _address(data), 0))
    try:
        _control(device, _SEV_ISSUE_CMD, call, ioctl)
    except OSError as e:
        *_, error = _ISSUE.unpack(call)
        msg = f"command {command}: {e.strerror} (firmware {error:#x})"
        raise _unusable(str(device), msg) from e


def _control(device: Path, number: int, call: bytearray, ioctl: Ioctl) -> None:
    handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        ioctl(handle, number, call)
    finally:
        os.close(handle)


def _address(buffer: bytearray) -> int:
    # The caller keeps the buffer, at this size, until the kernel is done.
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def read_product(cpuinfo: Path = CPUINFO) -> ProductLine:
    """
    Return the product line of this machine's CPU.

    Raises:
        OperatorError: It is none of AMD's that is known here.
    """
    try:
        text = cpuinfo.read_text("ascii", "replace")
        fields = _first_processor(text)
        return ProductLine.from_cpuid(
            int(fields["cpu family"]), int(fields["model"])
        )
    except OSError as e:
        raise _unusable(str(cpuinfo), e.strerror or str(e)) from e
    except (KeyError, ValueError) as e:
        raise _unusable(str(cpuinfo), "no family and model") from e
    except MalformedError as e:
        raise _unusable(str(cpuinfo), str(e)) from e


def _first_processor(text: str) -> dict[str, str]:
    lines = text.partition("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _unusable(source: str, why: str) -> OperatorError:
    return OperatorError(f"chip: {source}: {why}", reason="chip-source")
