import dataclasses

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.amd import report_parts as parts
from tests.amd.report_parts import ORDER, a_report
from thim.amd.authorities import KeyKind
from thim.amd.report import SIZE, Report
from thim.amd.report_fields import (
    Cpuid,
    FirmwareVersion,
    GuestPolicy,
    MitigationVectors,
    PlatformInfo,
)
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError


MILAN, GENOA, TURIN = ProductLine


def refused(raw, reason, match=None):
    """
    Check that *raw* is refused for *reason*, in words that *match*.
    """
    with pytest.raises(MalformedError, match=match) as e:
        Report.from_bytes(raw)

    assert reason == e.value.reason


def reason_of(raw):
    """
    Return why *raw* is refused, or None.
    """
    try:
        Report.from_bytes(raw)
    except MalformedError as e:
        return e.reason
    return None


REASONS = {
    "report-version",
    "report-reserved",
    "policy-reserved",
    "host-requested",
    "vmpl-range",
    "flags-reserved",
    "signing-key-reserved",
    "report-unsigned",
    "signature-algorithm",
    "signature-encoding",
}


class TestFromBytes:
    def test_every_field(self):
        """
        Each field is read from its own place.
        """
        raw = a_report()

        assert Report(
            version=5,
            guest_svn=0x1000B,
            policy=GuestPolicy(raw=0xB011F),
            family_id=parts.FAMILY_ID,
            image_id=parts.IMAGE_ID,
            vmpl=1,
            current_tcb=parts.CURRENT_TCB,
            platform_info=PlatformInfo(raw=0x125),
            author_key_en=True,
            signing_key=KeyKind.VCEK,
            report_data=parts.REPORT_DATA,
            measurement=parts.MEASUREMENT,
            host_data=parts.HOST_DATA,
            id_key_digest=parts.ID_KEY_DIGEST,
            author_key_digest=parts.AUTHOR_KEY_DIGEST,
            report_id=parts.REPORT_ID,
            report_id_ma=parts.REPORT_ID_MA,
            reported_tcb=parts.REPORTED_TCB,
            cpuid=Cpuid(family=0x19, model=0x11, stepping=2),
            chip_id=parts.CHIP_ID,
            committed_tcb=parts.COMMITTED_TCB,
            current_version=FirmwareVersion(major=1, minor=55, build=29),
            committed_version=FirmwareVersion(major=2, minor=54, build=20),
            launch_tcb=parts.LAUNCH_TCB,
            mitigation_bytes=parts.MITIGATIONS,
            mitigations=MitigationVectors(
                launch=0x1211100F0E0D0C0B, current=0x1A19181716151413
            ),
            r=0x1234,
            s=ORDER - 1,
            raw=raw,
        ) == Report.from_bytes(raw)

    def test_signed(self):
        """
        What is signed is the first 672 bytes, as received.
        """
        raw = a_report()

        assert raw[:672] == Report.from_bytes(raw).signed

    @pytest.mark.parametrize(
        ("flags", "kind"), [("00", KeyKind.VCEK), ("04", KeyKind.VLEK)]
    )
    def test_kind_of_key(self, flags, kind):
        """
        The report says which kind of key signed it.
        """
        report = Report.from_bytes(a_report(at_048=flags))

        assert kind is report.signing_key
        assert not report.author_key_en

    @given(st.binary(max_size=2 * SIZE))
    def test_anything(self, raw):
        """
        Whatever comes, it is refused by name or read.
        """
        with pytest.raises(MalformedError):
            Report.from_bytes(raw)

    @given(
        st.integers(2, 5),
        st.integers(0, SIZE - 1),
        st.binary(min_size=1, max_size=16),
    )
    def test_anything_in_its_place(self, version, at, change):
        """
        So is a report with anything in any place.
        """
        raw = (a_report(version)[:at] + change).ljust(SIZE, b"\0")[:SIZE]

        assert reason_of(raw) in REASONS | {None}


class TestVersions:
    @pytest.mark.parametrize("version", [3, 4, 5])
    def test_cpuid(self, version):
        """
        The silicon, and with it the product line, is known from version 3 on.
        """
        report = Report.from_bytes(a_report(version))

        assert Cpuid(family=0x19, model=0x11, stepping=2) == report.cpuid
        assert GENOA is report.product

    def test_no_cpuid(self):
        """
        Version 2 does not tell.
        """
        report = Report.from_bytes(a_report(2))

        assert report.cpuid is None
        assert report.product is None

    def test_unknown_product(self):
        """
        A report may come from silicon that is not known here.
        """
        report = Report.from_bytes(a_report(at_188="1a90"))

        with pytest.raises(MalformedError, match="1Ah, model 90h") as e:
            _ = report.product

        assert "product-unknown" == e.value.reason

    @pytest.mark.parametrize("version", [2, 3])
    def test_before_mitigations(self, version):
        """
        Up to version 3 there are no mitigation vectors.
        """
        report = Report.from_bytes(a_report(version))

        assert report.mitigations is None
        assert bytes(16) == report.mitigation_bytes

    def test_no_opinion_on_mitigations(self):
        """
        What version 4 has in their place is kept and not read.
        """
        report = Report.from_bytes(a_report(4))

        assert report.mitigations is None
        assert parts.MITIGATIONS == report.mitigation_bytes


class TestDecodeTcbs:
    def test_each(self):
        """
        The four TCB versions are read from their own places.
        """
        tcbs = Report.from_bytes(a_report()).decode_tcbs(MILAN)

        assert {
            "reported": "D118000000000003",
            "committed": "D219000000000004",
            "current": "DB1B000000000004",
            "launch": "D31A000000000004",
        } == {
            field.name: getattr(tcbs, field.name).tcbm
            for field in dataclasses.fields(tcbs)
        }

    def test_turin(self):
        """
        The product decides what the bytes mean.
        """
        zen5 = "0102030400000005"
        raw = a_report(at_038=zen5, at_180=zen5, at_1e0=zen5, at_1f0=zen5)

        found = Report.from_bytes(raw).decode_tcbs(TURIN)

        assert (
            TcbVersion(
                product=TURIN, fmc=1, bootloader=2, tee=3, snp=4, microcode=5
            )
            == found.launch
        )

    @pytest.mark.parametrize("at", ["at_038", "at_180", "at_1e0", "at_1f0"])
    def test_reserved(self, at):
        """
        A reserved byte in any of them is refused.
        """
        report = Report.from_bytes(a_report(**{at: "0300010000000000"}))

        with pytest.raises(MalformedError, match="reserved byte") as e:
            report.decode_tcbs(MILAN)

        assert "tcb-reserved" == e.value.reason


class TestStep1:
    @pytest.mark.parametrize("size", [0, 793, 1183, 1185, 4000])
    def test_length(self, size):
        """
        A report has 1184 bytes; that is found out before anything else.
        """
        refused(
            a_report(1).ljust(size, b"\0")[:size],
            "report-length",
            f"{size} bytes, expected 1184",
        )


class TestStep2:
    @pytest.mark.parametrize("version", [0, 1, 6, 0x10002])
    def test_version(self, version):
        """
        Other versions than 2 to 5 are not read.
        """
        refused(
            a_report(version), "report-version", f"{version}, expected 2 to 5"
        )

    @pytest.mark.parametrize(
        ("version", "first", "last"),
        [
            (2, 0x04C, 0x04F),
            (2, 0x188, 0x18A),
            (2, 0x18B, 0x19F),
            (2, 0x1F8, 0x207),
            (3, 0x18B, 0x19F),
            (3, 0x1F8, 0x207),
            (4, 0x208, 0x29F),
            (5, 0x04C, 0x04F),
            (5, 0x18B, 0x19F),
            (5, 0x1EB, 0x1EB),
            (5, 0x1EF, 0x1EF),
            (5, 0x208, 0x29F),
        ],
    )
    def test_reserved(self, version, first, last):
        """
        Reserved bytes are zero, from the first to the last of each range.
        """
        for at in (first, last):
            refused(
                a_report(version, **{f"at_{at:x}": "80"}),
                "report-reserved",
                f"version {version}: .*{first:#05x} to {last:#05x} ",
            )

    def test_policy(self):
        """
        POLICY is checked.
        """
        refused(a_report(at_008="0000010000000000"), "policy-reserved", "17")

    def test_host_requested(self):
        """
        No guest took part in a report that the host asked for.
        """
        refused(a_report(at_030="ffffffff"), "host-requested", "the host asked")

    @pytest.mark.parametrize("vmpl", ["04000000", "feffffff"])
    def test_vmpl(self, vmpl):
        """
        There are four privilege levels.
        """
        refused(a_report(at_030=vmpl), "vmpl-range", "expected 0 to 3")

    def test_most_vmpl(self):
        """
        The last one is 3.
        """
        assert 3 == Report.from_bytes(a_report(at_030="03")).vmpl

    @pytest.mark.parametrize("flags", ["20000000", "00000080"])
    def test_flags(self, flags):
        """
        Unknown flags are refused.
        """
        refused(a_report(at_048=flags), "flags-reserved", "bits 5 to 31")

    @pytest.mark.parametrize("number", range(2, 7))
    def test_signing_key(self, number):
        """
        So are unknown kinds of keys.
        """
        refused(
            a_report(at_048=f"{number << 2:02x}"),
            "signing-key-reserved",
            f"SIGNING_KEY is {number}, expected 0",
        )

    @pytest.mark.parametrize("flags", ["1c", "02", "06", "1e"])
    def test_unsigned(self, flags):
        """
        Without a key there is no signature.
        """
        refused(a_report(at_048=flags), "report-unsigned", "no key signed")

    @pytest.mark.parametrize("number", ["00000000", "02010000"])
    def test_signature_algorithm(self, number):
        """
        There is one signature algorithm.
        """
        refused(a_report(at_034=number), "signature-algorithm", "expected 0x1 ")

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"at_04c": "01", "at_008": "00" * 8}, "report-reserved"),
            ({"at_008": "00" * 8, "at_030": "04"}, "policy-reserved"),
            ({"at_030": "04", "at_048": "20"}, "vmpl-range"),
            ({"at_048": "20", "at_034": "00"}, "flags-reserved"),
            ({"at_034": "00", "at_2a0": "0000"}, "signature-algorithm"),
        ],
    )
    def test_order(self, changes, reason):
        """
        Of several faults the first in the order of the steps is named.
        """
        refused(a_report(**changes), reason)


class TestStep3:
    @pytest.mark.parametrize("at", ["at_2a0", "at_2e8"])
    @pytest.mark.parametrize(
        "number", [0, ORDER, ORDER + 1, 1 << 384 | 1, 1 << 575 | 1]
    )
    def test_range(self, at, number):
        """
        R and S are 1 to below the order of the curve, upper bytes zero.
        """
        raw = a_report(**{at: number.to_bytes(72, "little").hex()})

        refused(raw, "signature-encoding", "^[RS] is 0x[0-9a-f]+, expected 1")

    def test_no_signature(self):
        """
        Zeros are no signature.
        """
        refused(
            a_report(at_2a0="00" * 512), "signature-encoding", "^R is 0x0, "
        )

    @pytest.mark.parametrize("number", [1, ORDER - 1])
    def test_bounds(self, number):
        """
        The bounds themselves can be.
        """
        number_hex = number.to_bytes(72, "little").hex()
        report = Report.from_bytes(
            a_report(at_2a0=number_hex, at_2e8=number_hex)
        )

        assert (number, number) == (report.r, report.s)

    @pytest.mark.parametrize("at", ["at_330", "at_49f"])
    def test_tail(self, at):
        """
        Nothing stands behind the signature.
        """
        refused(a_report(**{at: "01"}), "signature-encoding", "0x330 to 0x49f")
