import pytest

from tests.intel.quote_parts import (
    FORMS,
    MOST_32,
    NESTED,
    STARTS,
    TDX,
    VENDOR,
    a_quote,
    octets,
    refused,
    u16,
    u32,
)
from thim.intel.quote import MAX_QUOTE_SIZE


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
