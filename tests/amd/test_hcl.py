import hashlib
import json
import struct

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.amd.corpus import entries
from thim.amd.hcl import HardwareReport, HashType, HclReport
from thim.errors import MalformedError, UntrustedError


SNP, TDX = HardwareReport
CLAIMS = b'{"keys":[],"user-data":"00"}'
#: Where the report data begins in the hardware report.
REPORT_DATA = {SNP: 0x50, TDX: 128}
DIGESTS = {1: hashlib.sha256, 2: hashlib.sha384, 3: hashlib.sha512}


def an_hcl_report(hardware=SNP, hash_type=1, claims=CLAIMS, padding=50):
    """
    Write an HCL report by hand.
    """
    size = 1184 if hardware is SNP else 1024
    report = bytearray(b"\xaa" * size)
    at = REPORT_DATA[hardware]
    digest = DIGESTS[hash_type](claims).digest()
    report[at : at + 64] = digest.ljust(64, b"\0")
    header = struct.pack("<4sIIIIII4x", b"HCLA", 2, 7, 2, 0, 0, 0)
    runtime = struct.pack(
        "<IIIII", 20 + len(claims), 1, hardware.value, hash_type, len(claims)
    )
    return b"".join(
        [header, report.ljust(1184, b"\0"), runtime, claims, bytes(padding)]
    )


def changed(raw, at, value):
    """
    Write the number *value* into *raw*, as 32 bits at *at*.
    """
    return raw[:at] + value.to_bytes(4, "little") + raw[at + 4 :]


def refused(raw, reason, match):
    """
    Check that *raw* is refused for *reason*, in words that *match*.
    """
    with pytest.raises((MalformedError, UntrustedError), match=match) as e:
        HclReport.from_bytes(raw)

    assert reason == e.value.reason


def reason_of(raw):
    """
    Return why *raw* is refused, or None.
    """
    try:
        HclReport.from_bytes(raw)
    except (MalformedError, UntrustedError) as e:
        return e.reason
    return None


class TestFromBytes:
    def test_snp(self):
        """
        An SNP report is 1184 bytes behind a header of 32.
        """
        raw = an_hcl_report()

        assert HclReport(
            version=2,
            hardware=SNP,
            hash_type=HashType.SHA256,
            hardware_report=raw[32:1216],
            runtime_claims=CLAIMS,
        ) == HclReport.from_bytes(raw)

    def test_tdx(self):
        """
        A TDREPORT is 1024 bytes, and has its report data elsewhere.
        """
        raw = an_hcl_report(TDX)

        report = HclReport.from_bytes(raw)

        assert TDX is report.hardware
        assert raw[32:1056] == report.hardware_report
        assert raw[160:224] == report.report_data

    @pytest.mark.parametrize("hardware", HardwareReport)
    @pytest.mark.parametrize("hash_type", HashType)
    def test_hashes(self, hardware, hash_type):
        """
        Longer digests fill more of the report data.
        """
        raw = an_hcl_report(hardware, hash_type.value)

        report = HclReport.from_bytes(raw)

        assert hash_type is report.hash_type
        assert CLAIMS == report.runtime_claims

    def test_version_1(self):
        """
        Older headers say version 1.
        """
        raw = changed(an_hcl_report(), 4, 1)

        assert 1 == HclReport.from_bytes(raw).version

    @pytest.mark.parametrize("size", [0, 1184, 1024, 1262, 0xFFFFFFFF])
    def test_any_report_size(self, size):
        """
        Of the report's size documents and machines say different things.
        """
        raw = changed(an_hcl_report(), 8, size)

        assert CLAIMS == HclReport.from_bytes(raw).runtime_claims

    @pytest.mark.parametrize("padding", [0, 1364])
    def test_padding(self, padding):
        """
        Zeros may follow the claims.
        """
        raw = an_hcl_report(padding=padding)

        assert CLAIMS == HclReport.from_bytes(raw).runtime_claims

    @given(st.binary(max_size=60), st.integers(0, 1300), st.binary(max_size=40))
    def test_anything(self, claims, at, change):
        """
        Whatever comes, it is refused by name or read.
        """
        raw = an_hcl_report(claims=claims, padding=4)
        raw = raw[:at] + change + raw[at + len(change) :]

        assert reason_of(raw) in {
            None,
            "hcl-layout",
            "hcl-header",
            "runtime-data-mismatch",
        }


class TestLayout:
    @pytest.mark.parametrize("size", [0, 1184, 1235])
    def test_short(self, size):
        """
        There are all headers.
        """
        refused(
            an_hcl_report()[:size], "hcl-layout", f"{size} bytes, .* least 1236"
        )

    def test_no_claims(self):
        """
        There may be no claims, as far as the layout is concerned.
        """
        raw = an_hcl_report(claims=b"", padding=0)

        assert b"" == HclReport.from_bytes(raw).runtime_claims

    @pytest.mark.parametrize("more", [-1, 1])
    def test_data_size(self, more):
        """
        The runtime data are a header and the claims.
        """
        raw = changed(an_hcl_report(), 1216, 20 + len(CLAIMS) + more)

        refused(raw, "hcl-layout", f"{48 + more} bytes, expected 20 and the 28")

    @pytest.mark.parametrize("size", [29, 0xFFFFFFEB])
    def test_claim_size(self, size):
        """
        The claims end inside the report.
        """
        raw = an_hcl_report(padding=0)
        raw = changed(changed(raw, 1216, 20 + size), 1232, size)

        refused(raw, "hcl-layout", f"end at {1236 + size}, .* 1264 bytes")

    def test_data_size_does_not_overflow(self):
        """
        Sizes are not added up in 32 bits.
        """
        raw = changed(changed(an_hcl_report(), 1216, 19), 1232, 0xFFFFFFFF)

        refused(raw, "hcl-layout", "19 bytes, expected 20 and the 4294967295")

    @pytest.mark.parametrize("at", [1264, 1313])
    def test_padding(self, at):
        """
        What follows the claims is zero.
        """
        raw = changed(an_hcl_report(padding=53), at, 1)

        refused(raw, "hcl-layout", "padding from 1264 to 1317")

    @pytest.mark.parametrize("at", [1056, 1212])
    def test_behind_the_tdreport(self, at):
        """
        So is what follows a TDREPORT.
        """
        raw = changed(an_hcl_report(TDX), at, 1)

        refused(raw, "hcl-layout", "padding from 1056 to 1216")


class TestHeader:
    def test_magic(self):
        """
        A report begins with its magic.
        """
        refused(
            b"hcla" + an_hcl_report()[4:], "hcl-header", "magic is 68636c61"
        )

    @pytest.mark.parametrize(
        ("at", "values", "name"),
        [
            (4, (0, 3, 0x102), "version"),
            (12, (0, 1, 3), "request type"),
            (1220, (0, 2), "version of the runtime data"),
            (1224, (0, 1, 3, 5, 0x10002), "HardwareReport"),
            (1228, (0, 4, 0x10001), "HashType"),
        ],
    )
    def test_unknown(self, at, values, name):
        """
        Versions and types are known ones, with evidence of hardware.
        """
        for value in values:
            refused(
                changed(an_hcl_report(), at, value),
                "hcl-header",
                f"^{name} is {value}, expected ",
            )


class TestBinding:
    @pytest.mark.parametrize("hardware", HardwareReport)
    @pytest.mark.parametrize("hash_type", [1, 2, 3])
    def test_claims(self, hardware, hash_type):
        """
        Other claims than those that are bound are refused.
        """
        raw = an_hcl_report(hardware, hash_type).replace(b"keys", b"Keys")

        refused(raw, "runtime-data-mismatch", "of the claims, and zeros")

    @pytest.mark.parametrize("hardware", HardwareReport)
    @pytest.mark.parametrize("i", [0, 31, 32, 63])
    def test_report_data(self, hardware, i):
        """
        So is any other report data, behind the digest too.
        """
        raw = bytearray(an_hcl_report(hardware))
        raw[32 + REPORT_DATA[hardware] + i] ^= 1

        refused(bytes(raw), "runtime-data-mismatch", "expected [0-9a-f]{64}, ")

    def test_not_padded_with_zeros(self):
        """
        What fills the rest of the report data is zero, not anything.
        """
        raw = an_hcl_report().replace(bytes(32), b"\1" * 32, 1)

        refused(raw, "runtime-data-mismatch", "and zeros")

    @pytest.mark.parametrize("hash_type", [2, 3])
    def test_other_hash(self, hash_type):
        """
        The digest is by the hash that is named.
        """
        raw = changed(an_hcl_report(), 1228, hash_type)

        refused(raw, "runtime-data-mismatch", f"the {HashType(hash_type).name}")


def recorded(corpus):
    """
    Return all recorded HCL reports by their names.
    """
    return {
        entry["name"]: (corpus / entry["name"]).read_bytes()
        for entry in entries(corpus, "snp/hcl")
    }


class TestCorpus:
    def test_all(self, corpus):
        """
        Every recorded HCL report is read, and its claims are bound: 8 of SNP
        and 8 of TDX.
        """
        reports = [
            HclReport.from_bytes(raw) for raw in recorded(corpus).values()
        ]

        assert 8 == sum(report.hardware is SNP for report in reports)
        assert 8 == sum(report.hardware is TDX for report in reports)
        for report in reports:
            assert "vm-configuration" in json.loads(report.runtime_claims)

    @pytest.mark.parametrize(
        ("at", "reason"),
        [
            (0, "hcl-header"),
            (4, "hcl-header"),
            (1216, "hcl-layout"),
            (1224, "hcl-header"),
            (1232, "hcl-layout"),
            (1240, "runtime-data-mismatch"),
            (-1, "hcl-layout"),
        ],
    )
    def test_changes(self, corpus, at, reason):
        """
        None is read with a change in its frame, its claims or its padding.
        """
        for raw in recorded(corpus).values():
            other = bytearray(raw)
            other[at] ^= 0x40

            refused(bytes(other), reason, ".")

    def test_changed_report_data(self, corpus):
        """
        None is read with a change in its report data.
        """
        for raw in recorded(corpus).values():
            other = bytearray(raw)
            for at in REPORT_DATA.values():
                other[32 + at + 40] ^= 1

            refused(bytes(other), "runtime-data-mismatch", ".")
