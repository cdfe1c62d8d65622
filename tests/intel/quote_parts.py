"""
Quotes put together by hand, so that any part of them can be wrong.
"""

import dataclasses
import hashlib

import pytest

from thim.errors import MalformedError
from thim.intel.quote import Quote
from thim.intel.report_body import (
    SgxReportBody,
    Td10Body,
    Td15Body,
    Td15ExBody,
)
from thim.simulate.pck import Platform
from thim.simulate.pki import Intel
from thim.simulate.quote import (
    TdBody,
    make_sgx_quote_v3,
    make_tdx_quote_v4,
    make_tdx_quote_v5,
)


VENDOR = bytes.fromhex("939A7233F79C4CA9940A0DB3957F0607")
TDX = 0x81
#: What cannot be longer, for 32 bits or for 16.
MOST_32 = 0xFFFFFFFF
MOST_16 = 0xFFFF
HOSTILE = [MOST_32, MOST_32 - 3, 0x80000000]
REASONS = {
    "quote-size",
    "quote-version",
    "attestation-key-type",
    "tee-type",
    "qe-vendor",
    "body-type",
    "signature-size",
    "authentication-size",
    "certification-type",
    "certification-size",
}
PARTS = [
    "qe_id",
    "signed",
    "signature",
    "attestation_key",
    "qe_report",
    "qe_report_signature",
    "authentication_data",
    "certification_data",
    "voucher",
    "pck_name",
]


def u16(number: int) -> bytes:
    """
    Write *number* in two bytes.
    """
    return bytes([number & 0xFF, number >> 8])


def u32(number: int) -> bytes:
    """
    Write *number* in four bytes.
    """
    return u16(number & 0xFFFF) + u16(number >> 16)


def octets(name: str, size: int) -> bytes:
    """
    Make *size* bytes that nothing else has.
    """
    return hashlib.shake_256(name.encode()).digest(size)


@dataclasses.dataclass(kw_only=True)
class Made:
    """
    A quote, part by part; sizes are those of the parts unless given.
    """

    version: int
    tee: int
    body: bytes
    descriptor: bytes = b""
    key_type: int = 2
    svns: bytes = b""
    vendor: bytes = VENDOR
    size: int | None = None
    outer_type: int = 6
    outer_size: int | None = None
    auth: bytes = bytes(range(32))
    auth_size: int | None = None
    data_type: int = 5
    data: bytes = octets("PCK chain", 3600)
    data_size: int | None = None
    behind_data: bytes = b""
    behind_outer: bytes = b""
    behind_all: bytes = b""
    qe_id: bytes = octets("QE ID", 16)
    signature: bytes = octets("signature", 64)
    key: bytes = octets("attestation key", 64)
    report: bytes = octets("QE report", 384)
    report_signature: bytes = octets("QE report signature", 64)

    @property
    def signed(self) -> bytes:
        """
        Header, body descriptor, body.
        """
        return b"".join(
            [
                u16(self.version),
                u16(self.key_type),
                u32(self.tee),
                self.svns or bytes(4),
                self.vendor,
                self.qe_id,
                bytes(4),
                self.descriptor,
                self.body,
            ]
        )

    @property
    def inner(self) -> bytes:
        """
        The QE report and what follows it.
        """
        return b"".join(
            [
                self.report,
                self.report_signature,
                u16(fit(self.auth_size, self.auth)),
                self.auth,
                u16(self.data_type),
                u32(fit(self.data_size, self.data)),
                self.data,
                self.behind_data,
            ]
        )

    @property
    def signature_data(self) -> bytes:
        """
        All behind the size of the signature data.
        """
        inner = self.inner
        if self.version != 3:
            size = u32(fit(self.outer_size, inner))
            inner = u16(self.outer_type) + size + inner
        return self.signature + self.key + inner + self.behind_outer

    @property
    def raw(self) -> bytes:
        """
        The quote.
        """
        data = self.signature_data
        return self.signed + u32(fit(self.size, data)) + data + self.behind_all


def fit(size: int | None, part: bytes) -> int:
    """
    Return *size*, or where it is None that of *part*.
    """
    return len(part) if size is None else size


#: Version, TEE type, body type and the size of a body.
FORMS = {
    "v3": (3, 0, None, 384),
    "v4-sgx": (4, 0, None, 384),
    "v4-tdx": (4, TDX, None, 584),
    "v5-sgx": (5, 0, 1, 384),
    "v5-td-1.0": (5, TDX, 2, 584),
    "v5-td-1.5": (5, TDX, 3, 648),
    "v5-td-1.5ex": (5, TDX, 4, 885),
}
#: Where the signature begins, and whose body it is.
STARTS = {
    "v3": (436, SgxReportBody),
    "v4-sgx": (436, SgxReportBody),
    "v4-tdx": (636, Td10Body),
    "v5-sgx": (442, SgxReportBody),
    "v5-td-1.0": (642, Td10Body),
    "v5-td-1.5": (706, Td15Body),
    "v5-td-1.5ex": (943, Td15ExBody),
}
NESTED = [form for form in FORMS if form != "v3"]
V5 = [form for form in FORMS if form.startswith("v5")]

#: What must not be shown: it names a machine.
PPIDS = {1: octets("PPID", 16), 2: octets("PPID", 256), 3: octets("PPID", 384)}
NAMED = octets("CPUSVN", 16) + bytes([0x0D, 0x01])
PCE_ID = bytes([0x12, 0x34])

INTEL = Intel()
PLATFORM = Platform()
SIMULATED = {
    "v3": make_sgx_quote_v3(INTEL, PLATFORM),
    "v4": make_tdx_quote_v4(INTEL, PLATFORM),
    "v5-td-1.0": make_tdx_quote_v5(INTEL, PLATFORM, TdBody()),
    "v5-td-1.5": make_tdx_quote_v5(INTEL, PLATFORM),
}


def a_quote(form="v3", **changes):
    """
    Make a quote of *form*, with *changes*.
    """
    version, tee, kind, size = FORMS[form]
    parts = {
        "version": version,
        "tee": tee,
        "body": octets("body", size),
        "descriptor": b"" if kind is None else u16(kind) + u32(size),
    }
    return Made(**(parts | changes))


def refused(raw, reason, match=None):
    """
    Check that *raw* is refused for *reason*, in words that *match*.
    """
    with pytest.raises(MalformedError, match=match) as e:
        Quote(raw)

    assert reason == e.value.reason


def reason_of(raw):
    """
    Return why *raw* is refused, or nothing.
    """
    try:
        Quote(raw)
    except MalformedError as e:
        return e.reason
    return ""


def read_or_refuse(raw):
    """
    Check that *raw* is either a quote all of whose parts can be read, or
    refused by name; return what is shown of it.
    """
    reason, shown = "", ""
    try:
        quote = Quote(raw)
    except MalformedError as e:
        reason, shown = e.reason, str(e) + repr(e)
    else:
        for name in PARTS:
            getattr(quote, name)
        shown = repr(quote)
    assert reason in {"", *REASONS}
    return shown
