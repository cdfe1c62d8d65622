import dataclasses
import hashlib

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.errors import MalformedError
from thim.intel.names import Tee
from thim.intel.pck import PckTcbm
from thim.intel.quote import MAX_QUOTE_SIZE, CertificationType, PckName, Quote
from thim.intel.report_body import (
    SgxReportBody,
    Td10Body,
    Td15Body,
    Td15ExBody,
)
from thim.simulate.pck import Platform, pck_chain
from thim.simulate.pki import Intel
from thim.simulate.quote import (
    QuotingEnclave,
    TdBody,
    make_sgx_quote_v3,
    make_tdx_quote_v4,
    make_tdx_quote_v5,
)
from thim.x509.chain import to_pem


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


class TestParts:
    @pytest.mark.parametrize("form", FORMS)
    def test_version(self, form):
        """
        Versions 3, 4 and 5 are read, for the TEE that they name.
        """
        version, tee = FORMS[form][:2]
        quote = Quote(a_quote(form).raw)

        assert version == quote.version
        assert (Tee.TDX if tee else Tee.SGX) is quote.tee

    @pytest.mark.parametrize("form", FORMS)
    def test_body(self, form):
        """
        The body is of the form that version, TEE and descriptor say, and all
        of it is there.
        """
        made = a_quote(form)
        body = Quote(made.raw).body

        assert made.body == body.raw
        assert STARTS[form][1] is type(body)

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        ("name", "part"),
        [
            ("raw", "raw"),
            ("qe_id", "qe_id"),
            ("signed", "signed"),
            ("signature", "signature"),
            ("attestation_key", "key"),
            ("qe_report_signature", "report_signature"),
            ("authentication_data", "auth"),
            ("certification_data", "data"),
        ],
    )
    def test_part(self, form, name, part):
        """
        Each part is cut out from where it begins to where it ends.
        """
        made = a_quote(form)

        assert getattr(made, part) == getattr(Quote(made.raw), name)

    @pytest.mark.parametrize("form", FORMS)
    def test_qe_report(self, form):
        """
        The QE's report is the body of an enclave.
        """
        made = a_quote(form)

        assert made.report == Quote(made.raw).qe_report.raw

    @pytest.mark.parametrize("form", FORMS)
    def test_offsets(self, form):
        """
        The signature begins where Intel's headers have it, with the key behind
        it.
        """
        raw = a_quote(form).raw
        start = STARTS[form][0]
        quote = Quote(raw)

        assert raw[: start - 4] == quote.signed
        assert raw[start : start + 64] == quote.signature
        assert raw[start + 64 : start + 128] == quote.attestation_key

    @pytest.mark.parametrize("form", FORMS)
    def test_offset_of_qe_report(self, form):
        """
        The QE's report is behind the key in version 3, and another six bytes
        behind it later.
        """
        raw = a_quote(form).raw
        start = STARTS[form][0] + (128 if form == "v3" else 134)

        assert raw[start : start + 384] == Quote(raw).qe_report.raw

    @pytest.mark.parametrize("form", FORMS)
    def test_voucher(self, form):
        """
        What vouches for the key reaches from the key to the end of the
        authentication data: the PCK certificate is no part of it.
        """
        made = a_quote(form)
        start = STARTS[form][0] + 64
        size = 64 + (0 if form == "v3" else 6) + 384 + 64 + 2 + 32
        found = Quote(made.raw).voucher

        assert made.raw[start : start + size] == found
        assert found.endswith(made.auth)

    def test_svns(self):
        """
        The two SVNs in the header of version 3 are the QE's, then the PCE's.
        """
        quote = Quote(a_quote(svns=bytes.fromhex("05010a02")).raw)

        assert (0x105, 0x20A) == (quote.qe_svn, quote.pce_svn)

    @pytest.mark.parametrize("form", NESTED)
    def test_no_svns(self, form):
        """
        Later versions have none.
        """
        quote = Quote(a_quote(form).raw)

        assert (0, 0) == (quote.qe_svn, quote.pce_svn)

    @pytest.mark.parametrize("form", FORMS)
    def test_report_data(self, form):
        """
        The report data are 64 bytes: the last ones of a TD's report in TDX
        1.0, and at the same place where more follows.
        """
        body = octets("body", FORMS[form][3])
        at = 320 if STARTS[form][1] is SgxReportBody else 520

        found = Quote(a_quote(form, body=body).raw).body.report_data

        assert body[at : at + 64] == found

    @pytest.mark.parametrize(
        "size", [0, 1, 31, 32, 33, 255, 256, 0x1234, MOST_16]
    )
    @pytest.mark.parametrize("form", FORMS)
    def test_authentication_data(self, form, size):
        """
        Authentication data may be of any size, and what follows is found.
        """
        made = a_quote(form, auth=octets("authentication", size))
        quote = Quote(made.raw)

        assert made.auth == quote.authentication_data
        assert made.data == quote.certification_data


class TestSimulated:
    @pytest.mark.parametrize(
        ("form", "kind"),
        [
            ("v3", SgxReportBody),
            ("v4", Td10Body),
            ("v5-td-1.0", Td10Body),
            ("v5-td-1.5", Td15Body),
        ],
    )
    def test_reads(self, form, kind):
        """
        Quotes as a simulated platform makes them are read.
        """
        quote = Quote(SIMULATED[form])

        assert kind is type(quote.body)
        assert PLATFORM.qe_id == quote.qe_id
        assert CertificationType.PCK_CHAIN is quote.certification_type

    @pytest.mark.parametrize("form", SIMULATED)
    def test_chain(self, form):
        """
        They hold the PCK chain in PEM, leaf first, with a NUL behind it.
        """
        chain = to_pem(pck_chain(INTEL, PLATFORM))

        assert chain + b"\0" == Quote(SIMULATED[form]).certification_data

    @pytest.mark.parametrize("form", SIMULATED)
    def test_binding(self, form):
        """
        The QE's report names the key and the authentication data by their
        digest.
        """
        quote = Quote(SIMULATED[form])
        bound = quote.attestation_key + quote.authentication_data

        assert (
            hashlib.sha256(bound).digest() == (quote.qe_report.report_data[:32])
        )

    @pytest.mark.parametrize("size", [0, 1, 32, MOST_16])
    def test_authentication_data(self, size):
        """
        So they are whatever the size of the authentication data.
        """
        enclave = QuotingEnclave(authentication_data=bytes(size))
        raw = make_tdx_quote_v4(INTEL, PLATFORM, quoting_enclave=enclave)

        assert bytes(size) == Quote(raw).authentication_data

    def test_svns(self):
        """
        In version 3 the header has the SVNs of the QE and of the PCE.
        """
        quote = Quote(SIMULATED["v3"])

        assert (8, 11) == (quote.qe_svn, quote.pce_svn)


class TestCertification:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        ("number", "size", "expected"),
        [
            (1, 36, CertificationType.PPID_CLEAR),
            (1, 34, CertificationType.PPID_CLEAR),
            (2, 276, CertificationType.PPID_RSA2048),
            (2, 274, CertificationType.PPID_RSA2048),
            (3, 404, CertificationType.PPID_RSA3072),
            (3, 402, CertificationType.PPID_RSA3072),
            (5, 1, CertificationType.PCK_CHAIN),
            (5, 3600, CertificationType.PCK_CHAIN),
            (5, 16383, CertificationType.PCK_CHAIN),
        ],
    )
    def test_type(self, form, number, size, expected):
        """
        A certificate is named by a PPID in one of three forms, or is there
        with its chain.
        """
        data = octets("data", size)
        quote = Quote(a_quote(form, data_type=number, data=data).raw)

        assert expected is quote.certification_type
        assert data == quote.certification_data

    @pytest.mark.parametrize("number", PPIDS)
    def test_name(self, number):
        """
        Behind the PPID are CPUSVN, PCESVN with its lower byte first, and PCE
        ID.
        """
        data = PPIDS[number] + NAMED + PCE_ID
        quote = Quote(a_quote(data_type=number, data=data).raw)

        assert quote.pck_name == PckName(
            tcbm=PckTcbm(cpusvn=octets("CPUSVN", 16), pcesvn=0x010D),
            pce_id=PCE_ID,
        )

    @pytest.mark.parametrize("number", PPIDS)
    def test_name_without_pce_id(self, number):
        """
        The PCE ID of early quotes, which have none, is zero.
        """
        data = PPIDS[number] + NAMED
        quote = Quote(a_quote(data_type=number, data=data).raw)

        assert quote.pck_name == PckName(
            tcbm=PckTcbm(cpusvn=octets("CPUSVN", 16), pcesvn=0x010D),
            pce_id=bytes(2),
        )

    def test_no_name(self):
        """
        A chain need not be named.
        """
        assert None is Quote(a_quote().raw).pck_name

    @pytest.mark.parametrize(
        ("number", "expected"),
        [(1, [34, 36]), (2, [274, 276]), (3, [402, 404])],
    )
    def test_sizes(self, number, expected):
        """
        What names a certificate has one size, or is two bytes shorter.
        """
        assert expected == [
            size
            for size in range(500)
            if not reason_of(
                a_quote("v4-tdx", data_type=number, data=bytes(size)).raw
            )
        ]

    @pytest.mark.parametrize(
        ("number", "size", "expected"),
        [(1, 35, 36), (1, 0, 36), (2, 292, 276), (3, 405, 404)],
    )
    def test_other_size(self, number, size, expected):
        """
        The message says which size there is, and which there should be.
        """
        raw = a_quote("v4-tdx", data_type=number, data=bytes(size)).raw

        match = f"have {size} bytes, expected {expected}$"
        refused(raw, "certification-size", match)

    @pytest.mark.parametrize("size", [16384, 16385, 65536])
    def test_large_chain(self, size):
        """
        A chain has less than 16 kB.
        """
        raw = a_quote(data=bytes(size)).raw

        refused(raw, "certification-size", "expected less than 16384")


class TestHeader:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("version", [0, 1, 2, 6, 0x0103, 0xFFFF])
    def test_version(self, form, version):
        """
        Another version is refused.
        """
        raw = u16(version) + a_quote(form).raw[2:]

        refused(raw, "quote-version", rf"0 to 1\) is {version}, expected 3, 4")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("key_type", [0, 1, 3, 0x0102, 0xFFFF])
    def test_key_type(self, form, key_type):
        """
        Keys are on P-256: all other types are refused.
        """
        raw = a_quote(form, key_type=key_type).raw

        refused(raw, "attestation-key-type", rf"is {key_type}, expected 2")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("tee", [1, 0x80, 0x82, 0x8100, 0x81000000])
    def test_tee_type(self, form, tee):
        """
        A TEE that is neither SGX nor TDX is refused.
        """
        raw = a_quote(form, tee=tee).raw

        refused(raw, "tee-type", rf"is {u32(tee).hex()}, expected 00000000")

    def test_tdx_in_version_3(self):
        """
        Version 3 is of SGX only.
        """
        raw = a_quote("v3", tee=TDX).raw

        refused(raw, "tee-type", r"is 81000000, expected 00000000$")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("at", [0, 8, 15])
    def test_vendor(self, form, at):
        """
        The QE is Intel's.
        """
        vendor = VENDOR[:at] + b"\x55" + VENDOR[at + 1 :]

        refused(a_quote(form, vendor=vendor).raw, "qe-vendor", vendor.hex())

    @pytest.mark.parametrize(
        ("tee", "kind", "size"),
        [
            (TDX, 0, 584),
            (TDX, 5, 885),
            (TDX, 0x0102, 584),
            (TDX, 1, 384),
            (0, 2, 584),
            (0, 3, 648),
            (0, 4, 885),
            (TDX, 2, 583),
            (TDX, 2, 585),
            (TDX, 2, 648),
            (TDX, 3, 584),
            (TDX, 3, 885),
            (TDX, 4, 648),
            (0, 1, 383),
            (0, 1, 0),
            (0, 0, 0),
            (TDX, 2, 0x10000 + 584),
            (TDX, 3, MOST_32),
            (0, 1, MOST_32),
        ],
    )
    def test_descriptor(self, tee, kind, size):
        """
        A body descriptor has one of four types, with the size and the TEE that
        are the type's.
        """
        body = octets("body", min(size, 1000))
        descriptor = u16(kind) + u32(size)
        made = a_quote("v5-sgx", tee=tee, body=body, descriptor=descriptor)

        refused(made.raw, "body-type", f"type {kind} of {size} bytes for")

    @pytest.mark.parametrize(
        ("form", "expected"),
        [
            ("v5-sgx", "expected 1 of 384$"),
            ("v5-td-1.0", "expected 2 of 584 or 3 of 648 or 4 of 885$"),
        ],
    )
    def test_expected_descriptor(self, form, expected):
        """
        The message says which ones there could be.
        """
        refused(a_quote(form, descriptor=bytes(6)).raw, "body-type", expected)


class TestSize:
    @pytest.mark.parametrize("size", [0, 1, 47, 48, 57, 431, 435])
    def test_small(self, size):
        """
        What ends before its signature data is no quote.
        """
        refused(a_quote().raw[:size], "quote-size")

    def test_least(self):
        """
        With less than a header, a descriptor and a size nothing is looked at.
        """
        refused(bytes(57), "quote-size", "has 57 bytes, expected 58 to")
        refused(bytes(58), "quote-version")

    @pytest.mark.parametrize("form", FORMS)
    def test_body_cut_off(self, form):
        """
        So it is where the body or the size behind it is cut off.
        """
        raw = a_quote(form).raw
        start = STARTS[form][0]

        refused(raw[: start - 1], "quote-size", f"be at byte {start}, but")

    @pytest.mark.parametrize("form", FORMS)
    def test_signature_data_cut_off(self, form):
        """
        The size of the signature data must be there, all of it.
        """
        raw = a_quote(form).raw[: STARTS[form][0]]

        refused(raw, "signature-size", "signature data: the end would be")

    def test_large(self):
        """
        A quote has an upper limit.
        """
        raw = a_quote(behind_all=bytes(MAX_QUOTE_SIZE)).raw[:MAX_QUOTE_SIZE]

        refused(raw, "signature-size")
        refused(raw + b"\0", "quote-size", f"has {MAX_QUOTE_SIZE + 1} bytes")


class TestType:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        ("number", "what"),
        [
            (0, "unknown"),
            (4, "a PCK certificate without its chain"),
            (6, "a QE report within a QE report"),
            (7, "a platform manifest"),
            (8, "unknown"),
            (0x0105, "unknown"),
            (0xFFFF, "unknown"),
        ],
    )
    def test_inner(self, form, number, what):
        """
        Certification data of any other type are refused, by what they are.
        """
        refused(
            a_quote(form, data_type=number).raw,
            "certification-type",
            f"of type {number}, {what}; expected 1, 2, 3 or 5",
        )

    @pytest.mark.parametrize("form", NESTED)
    @pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 7, 8, 0x0106])
    def test_outer(self, form, number):
        """
        From version 4 on the QE's report stands in certification data of type
        6, and of no other.
        """
        raw = a_quote(form, outer_type=number).raw

        refused(raw, "certification-type", f"of type {number}, expected 6")


class TestTrailing:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("tail", [b"\0", bytes(100)])
    def test_behind_the_quote(self, form, tail):
        """
        Nothing may follow the signature data.
        """
        refused(a_quote(form, behind_all=tail).raw, "signature-size")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("tail", [b"\0", bytes(100)])
    def test_behind_the_certification_data(self, form, tail):
        """
        Nor the certification data within them.
        """
        refused(a_quote(form, behind_data=tail).raw, "certification-size")

    @pytest.mark.parametrize("form", NESTED)
    @pytest.mark.parametrize("tail", [b"\0", bytes(100)])
    def test_behind_the_outer_certification_data(self, form, tail):
        """
        Nor, from version 4 on, those that are around them.
        """
        refused(a_quote(form, behind_outer=tail).raw, "certification-size")


class TestLengths:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("by", [-3600, -64, -1, 1, 64])
    def test_signature_data(self, form, by):
        """
        The size of the signature data is exact.
        """
        exact = a_quote(form)
        size = len(exact.signature_data) + by

        refused(a_quote(form, size=size).raw, "signature-size")

    @pytest.mark.parametrize("form", NESTED)
    @pytest.mark.parametrize("by", [-3600, -1, 1])
    def test_outer(self, form, by):
        """
        So is that of the outer certification data.
        """
        size = len(a_quote(form).inner) + by

        raw = a_quote(form, outer_size=size).raw
        refused(raw, "certification-size", "^QE report certification data")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("size", [0, 1, 3599, 3601])
    def test_certification_data(self, form, size):
        """
        So is that of the certification data.
        """
        raw = a_quote(form, data_size=size).raw

        refused(raw, "certification-size", "^certification data: the end")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        ("name", "reason"),
        [("size", "signature-size"), ("data_size", "certification-size")],
    )
    @pytest.mark.parametrize("size", HOSTILE)
    def test_hostile(self, form, name, reason, size):
        """
        A size of four gigabytes is refused, whichever it is.
        """
        refused(a_quote(form, **{name: size}).raw, reason)

    @pytest.mark.parametrize("form", NESTED)
    @pytest.mark.parametrize("size", HOSTILE)
    def test_hostile_outer(self, form, size):
        """
        So it is around the QE's report.
        """
        refused(a_quote(form, outer_size=size).raw, "certification-size")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("by", [1, 3, 1000])
    def test_authentication_data(self, form, by):
        """
        Authentication data leave room for what must follow them.
        """
        made = a_quote(form)
        left = 32 + len(made.data)

        raw = a_quote(form, auth_size=left + by).raw
        refused(raw, "authentication-size", "^authentication data: the end")

    @pytest.mark.parametrize("form", FORMS)
    def test_hostile_authentication_data(self, form):
        """
        So they do not have 64 kB where these are not there.
        """
        raw = a_quote(form, auth_size=MOST_16).raw

        refused(raw, "authentication-size")

    @pytest.mark.parametrize("form", FORMS)
    def test_misplaced_type(self, form):
        """
        Where their size is wrong, what seems to follow does not fit.
        """
        made = a_quote(form, auth=bytes(40), auth_size=32)

        refused(made.raw, "certification-size")

    def test_no_authentication_data(self):
        """
        Signature data that end with the QE's report have no size of
        authentication data.
        """
        whole = a_quote("v3").raw
        cut = whole[: 436 + 128 + 448]
        raw = cut[:432] + u32(128 + 448) + cut[436:]

        refused(raw, "certification-size", "^QE report and signature: the end")

    @pytest.mark.parametrize("size", [0, 64, 128, 133])
    def test_no_certification_data(self, size):
        """
        Nor have those that end with the key certification data.
        """
        raw = a_quote("v4-tdx").raw
        raw = raw[:632] + u32(size) + raw[636 : 636 + size]

        refused(raw, "certification-size", "^QE report certification data")


class TestHostile:
    @pytest.mark.parametrize("form", [*FORMS])
    def test_cut_off(self, form):
        """
        Cut off anywhere, a quote is refused.
        """
        raw = a_quote(form).raw
        for size in range(len(raw)):
            with pytest.raises(MalformedError):
                Quote(raw[:size])

    @pytest.mark.parametrize("form", [*FORMS])
    def test_cut_off_with_its_size(self, form):
        """
        So it is where the size of the signature data is right.
        """
        raw = a_quote(form).raw
        at = STARTS[form][0]
        for size in range(len(raw) - at):
            with pytest.raises(MalformedError):
                Quote(raw[: at - 4] + u32(size) + raw[at : at + size])

    @settings(max_examples=200)
    @given(st.binary(max_size=2000))
    def test_any_bytes(self, raw):
        """
        No bytes at all raise anything else.
        """
        read_or_refuse(raw)

    @settings(max_examples=200)
    @given(st.sampled_from([*FORMS]), st.binary(max_size=2000))
    def test_any_bytes_behind_a_header(self, form, rest):
        """
        Nor do any that begin like a quote.
        """
        read_or_refuse(a_quote(form).raw[:54] + rest)

    @settings(max_examples=200)
    @given(
        st.sampled_from([*FORMS]),
        st.lists(
            st.tuples(st.integers(0, 6000), st.integers(0, 255)),
            min_size=1,
            max_size=4,
        ),
    )
    def test_changed_bytes(self, form, changes):
        """
        Nor do quotes in which bytes are changed.
        """
        raw = bytearray(a_quote(form).raw)
        for at, octet in changes:
            raw[at % len(raw)] = octet

        read_or_refuse(bytes(raw))

    @settings(max_examples=200)
    @given(
        st.sampled_from([*FORMS]),
        st.lists(st.integers(0, 6000), min_size=4, max_size=4),
        st.binary(max_size=8),
    )
    def test_moved_bytes(self, form, cuts, junk):
        """
        Nor those in which some are taken out, put in or moved.
        """
        raw = a_quote(form).raw
        a, b, c, d = sorted(cut % len(raw) for cut in cuts)

        read_or_refuse(raw[:a] + raw[c:d] + junk + raw[b:c] + raw[d:])

    @settings(max_examples=200)
    @given(
        form=st.sampled_from([*FORMS]),
        sizes=st.fixed_dictionaries(
            {},
            optional={
                "size": st.integers(0, MOST_32),
                "outer_size": st.integers(0, MOST_32),
                "auth_size": st.integers(0, MOST_16),
                "data_size": st.integers(0, MOST_32),
                "data_type": st.integers(0, 8),
                "outer_type": st.integers(0, 8),
                "data": st.binary(max_size=500),
                "auth": st.binary(max_size=500),
            },
        ),
    )
    def test_any_sizes(self, form, sizes):
        """
        Nor do any sizes and types.
        """
        read_or_refuse(a_quote(form, **sizes).raw)


def shows(text, secret):
    """
    Tell whether *secret* can be read in *text*, in part or in full.
    """
    head = secret[:8]
    spelled = [head.hex(), repr(head)[2:-1], str(int.from_bytes(secret))]
    return any(each.lower() in text.lower() for each in spelled)


class TestSecrets:
    @pytest.mark.parametrize("number", PPIDS)
    def test_repr(self, number):
        """
        Neither a quote nor what names its certificate shows the PPID.
        """
        data = PPIDS[number] + NAMED + PCE_ID
        quote = Quote(a_quote(data_type=number, data=data).raw)

        for shown in (quote, quote.pck_name, quote.body, quote.qe_report):
            assert not shows(repr(shown) + str(shown), PPIDS[number])

    @pytest.mark.parametrize(
        "changes",
        [
            {"data_type": 0},
            {"data_type": 4},
            {"data_type": 7},
            {"outer_type": 1},
            {"data_size": 35},
            {"data_size": 37},
            {"data_size": MOST_32},
            {"outer_size": 7},
            {"auth_size": 0},
            {"auth_size": 40},
            {"auth_size": MOST_16},
            {"size": 7},
            {"behind_data": b"\0"},
            {"behind_outer": b"\0"},
            {"behind_all": b"\0"},
            {"key_type": 3},
            {"descriptor": bytes(6)},
            {"body": b""},
            {"tee": 1},
        ],
    )
    @pytest.mark.parametrize("number", PPIDS)
    def test_refused(self, number, changes):
        """
        No message shows it, whatever is wrong.
        """
        data = PPIDS[number] + NAMED + PCE_ID
        parts = {"data_type": number, "data": data} | changes
        with pytest.raises(MalformedError) as e:
            Quote(a_quote("v5-td-1.5", **parts).raw)

        assert not shows(str(e.value) + repr(e.value), PPIDS[number])

    @settings(max_examples=100)
    @given(
        st.sampled_from([*FORMS]),
        st.sampled_from([*PPIDS]),
        st.lists(
            st.tuples(st.integers(0, 6000), st.integers(0, 255)), max_size=3
        ),
        st.integers(0, 40),
    )
    def test_changed_bytes(self, form, number, changes, cut):
        """
        Nor does any where bytes are changed or cut off.
        """
        data = PPIDS[number] + NAMED + PCE_ID
        raw = bytearray(a_quote(form, data_type=number, data=data).raw)
        for at, octet in changes:
            raw[at % len(raw)] = octet

        text = read_or_refuse(bytes(raw[: len(raw) - cut]))

        assert not shows(text, PPIDS[number])
