"""
Which evidence is taken for which kind of attestation.
"""

import struct

import pytest

from tests.amd.report_parts import a_report
from tests.intel.quotes_made import good
from thim.attestation.kind import AttestationType
from thim.attestation.quote_submission import read_quote
from thim.errors import MalformedError
from thim.intel.open_enclave import RAW_QUOTE, TDX_ECDSA


SGX = AttestationType.SGX_ENCLAVE
OPEN = AttestationType.OPEN_ENCLAVE
TDX = AttestationType.TDX_VM
V3 = good("v3")


def to_report(quote):
    """
    Put Open Enclave's header before a quote.
    """
    return struct.pack("<IIQ", 1, 2, len(quote)) + quote


def to_evidence(quote, form=RAW_QUOTE):
    """
    Put Open Enclave's newer header before a quote.
    """
    return struct.pack("<I16sQ", 3, form.bytes, len(quote)) + quote


def refused(kind, raw):
    """
    Return why *raw* is not taken for *kind*.
    """
    with pytest.raises(MalformedError) as caught:
        read_quote(kind, raw)
    assert "other-evidence" == caught.value.reason
    return str(caught.value)


class TestReadQuote:
    @pytest.mark.parametrize("kind", [SGX, OPEN])
    def test_enclave(self, kind):
        """
        An enclave's quote is taken with Open Enclave's header and without,
        wherever it is sent.
        """
        for raw in (V3, to_report(V3)):
            assert V3 == read_quote(kind, raw).quote.raw

    @pytest.mark.parametrize("version", ["v4", "v5"])
    def test_td(self, version):
        """
        A TD's quote is taken in both versions.
        """
        assert good(version) == read_quote(TDX, good(version)).quote.raw

    @pytest.mark.parametrize("kind", [SGX, OPEN])
    def test_td_for_enclave(self, kind):
        """
        A TD's quote where an enclave's belongs: the error names both, and
        where it does belong.
        """
        why = refused(kind, good("v4"))

        assert why.startswith("a TDX quote, expected an")
        assert f"/attest/TdxVm, not to /attest/{kind.value}" in why

    @pytest.mark.parametrize("raw", [V3, to_report(V3)])
    def test_enclave_for_td(self, raw):
        """
        The other way round.
        """
        why = refused(TDX, raw)

        assert why.startswith("an SGX quote, expected a TDX quote")
        assert "/attest/SgxEnclave, not to /attest/TdxVm" in why

    @pytest.mark.parametrize("kind", [SGX, OPEN, TDX])
    def test_snp(self, kind):
        """
        An SEV-SNP report is sent elsewhere.
        """
        assert "/attest/SevSnpVm" in refused(kind, a_report())

    def test_newer_envelope(self):
        """
        Open Enclave's newer envelope is taken by none: it binds claims of its
        own to the report data.
        """
        assert "header version 3" in refused(OPEN, to_evidence(V3))
        raw = to_evidence(good("v4"), TDX_ECDSA)
        assert "header version 3" in refused(TDX, raw)

    @pytest.mark.parametrize(
        "raw", [b"", b"\0" * 64, b"\2\0" + bytes(500), to_report(V3)[:-1]]
    )
    def test_no_evidence(self, raw):
        """
        What is no evidence is refused as such.
        """
        with pytest.raises(MalformedError):
            read_quote(SGX, raw)
