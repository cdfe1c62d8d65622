import base64
import hashlib

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulate.quotes import INTEL
from thim.attestation.evidence import (
    QuoteEvidence,
    SnpEvidence,
    decode_text,
    parse_evidence,
)
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.intel.open_enclave import SGX_ECDSA
from thim.simulate.pck import Platform
from thim.simulate.quote import (
    SgxBody,
    make_sgx_quote_v3,
    make_tdx_quote_v4,
    make_tdx_quote_v5,
)


CLAIMS = b"custom claims"
SGX = make_sgx_quote_v3(INTEL, Platform())
TDX_4 = make_tdx_quote_v4(INTEL, Platform())
TDX_5 = make_tdx_quote_v5(INTEL, Platform())


def in_report(quote):
    """
    Put Open Enclave's report header in front.
    """
    return b"\1\0\0\0\2\0\0\0" + len(quote).to_bytes(8, "little") + quote


def in_evidence(data, form=SGX_ECDSA):
    """
    Put Open Enclave's evidence header in front.
    """
    size = len(data).to_bytes(8, "little")
    return b"\3\0\0\0" + form.bytes + size + data


class TestParse:
    @pytest.mark.parametrize(
        ("raw", "kind"),
        [
            (SGX, "sgx-quote-v3"),
            (TDX_4, "tdx-quote-v4"),
            (TDX_5, "tdx-quote-v5"),
        ],
    )
    def test_quote(self, raw, kind):
        """
        A bare quote is told by version and attestation key type.
        """
        found = parse_evidence(raw)

        assert isinstance(found, QuoteEvidence)
        assert (kind, "") == (found.kind, found.envelope)

    def test_oe_report(self):
        """
        Open Enclave's report holds a quote.
        """
        found = parse_evidence(in_report(SGX))

        assert isinstance(found, QuoteEvidence)
        assert ("oe-report", SGX) == (found.envelope, found.quote.raw)

    def test_oe_evidence(self):
        """
        Open Enclave's evidence holds a quote and its claims.
        """
        digest = hashlib.sha256(CLAIMS).digest()
        body = SgxBody(report_data=digest + bytes(32))
        quote = make_sgx_quote_v3(INTEL, Platform(), body)

        found = parse_evidence(in_evidence(quote + CLAIMS))

        assert isinstance(found, QuoteEvidence)
        assert ("oe-evidence", CLAIMS) == (found.envelope, found.custom_claims)

    def test_other_claims(self):
        """
        Claims that the quote is not about are refused.
        """
        with pytest.raises(UntrustedError, match="custom claims"):
            parse_evidence(in_evidence(SGX + CLAIMS))

    @pytest.mark.parametrize(
        "raw",
        [b"", b"\3", b"{}", b"-----BEGIN", bytes(1183), b"\6\0\2\0" + SGX[4:]],
    )
    def test_not_evidence(self, raw):
        """
        Anything else is said to be none, with how it begins.
        """
        with pytest.raises(MalformedError, match="neither a quote") as e:
            parse_evidence(raw)

        assert "not-evidence" == e.value.reason

    def test_broken_quote(self):
        """
        What begins as a quote is refused as a quote.
        """
        with pytest.raises(MalformedError) as e:
            parse_evidence(SGX[:-1])

        assert "signature-size" == e.value.reason

    def test_empty_report(self):
        """
        As long as an SNP report is read as one, and refused as one.
        """
        with pytest.raises(MalformedError) as e:
            parse_evidence(bytes(1184))

        assert "report-version" == e.value.reason

    @settings(max_examples=200)
    @given(
        st.sampled_from([b"", b"HCLA", b"\1\0\0\0\2\0\0\0", b"\3\0\0\0", SGX]),
        st.binary(max_size=1300),
    )
    def test_whatever(self, begin, rest):
        """
        Whatever the bytes, only errors of ours come out.
        """
        try:
            found = parse_evidence(begin + rest)
        except ThimError:
            return
        assert isinstance(found, QuoteEvidence | SnpEvidence)


class TestDecodeText:
    @settings(max_examples=50)
    @given(st.binary(min_size=30))
    def test_hexadecimal(self, raw):
        """
        Hexadecimal digits stand for bytes, whatever their case and spaces.
        """
        assert raw == decode_text(raw.hex(" ").upper().encode())

    @settings(max_examples=50)
    @given(st.binary(min_size=30), st.booleans(), st.booleans())
    def test_base64(self, raw, is_url, is_padded):
        """
        Base64 stands for bytes, in either alphabet, padded or not.
        """
        encode = base64.urlsafe_b64encode if is_url else base64.b64encode
        text = encode(raw)
        whole = text if is_padded else text.rstrip(b"=")
        is_hex = all(c in b"0123456789abcdefABCDEF" for c in whole)

        assert is_hex or raw == decode_text(whole)

    @pytest.mark.parametrize("raw", [b"", SGX, b"a", b"AAAAA", b"hello, you"])
    def test_neither(self, raw):
        """
        What is neither stays as it is.
        """
        assert raw == decode_text(raw)
