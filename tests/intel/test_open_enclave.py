import hashlib
import uuid

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.errors import MalformedError, UntrustedError
from thim.intel.open_enclave import open_evidence, open_report
from thim.simulate.pck import Platform
from thim.simulate.pki import Intel
from thim.simulate.quote import (
    SgxBody,
    make_sgx_quote_v3,
    make_tdx_quote_v4,
    make_tdx_quote_v5,
)


SGX = "a3a21e87-1b4d-4014-b70a-a125d2fbcd8c"
LEGACY = "c8303454-d923-4c2c-a691-df7def460a76"
RAW = "1923d91e-12d2-4c72-b220-25cd8dace871"
TDX = "8ba70286-c1cf-11ed-afa1-0242ac120002"
LOCAL = "09268c33-6e0b-45e5-8a27-15644d0ef89a"

CLAIMS = b"custom claims \0\1\2"
INTEL = Intel()
PLATFORM = Platform()


def sgx_quote(claims, behind=bytes(32)):
    """
    Make a quote of an enclave that vouches for *claims*.
    """
    report_data = hashlib.sha256(claims).digest() + behind
    return make_sgx_quote_v3(INTEL, PLATFORM, SgxBody(report_data=report_data))


QUOTE = sgx_quote(CLAIMS)
QUOTE_OF_NOTHING = sgx_quote(b"")
TDX_QUOTES = {
    4: make_tdx_quote_v4(INTEL, PLATFORM),
    5: make_tdx_quote_v5(INTEL, PLATFORM),
}


def report(quote=QUOTE, version=1, kind=2, size=None):
    """
    Write a report by hand.
    """
    header = bytearray(16)
    header[0:4] = version.to_bytes(4, "little")
    header[4:8] = kind.to_bytes(4, "little")
    size = len(quote) if size is None else size
    header[8:16] = size.to_bytes(8, "little")
    return bytes(header) + quote


def evidence(form=SGX, data=QUOTE + CLAIMS, version=3, size=None):
    """
    Write evidence by hand; the format is as it is printed.
    """
    header = bytearray(28)
    header[0:4] = version.to_bytes(4, "little")
    header[4:20] = bytes.fromhex(form.replace("-", ""))
    size = len(data) if size is None else size
    header[20:28] = size.to_bytes(8, "little")
    return bytes(header) + data


def refused(opened, raw, reason, match=None):
    """
    Check that *opened* refuses *raw* for *reason*, in words that *match*.
    """
    with pytest.raises(MalformedError, match=match) as e:
        opened(raw)

    assert reason == e.value.reason


def open_or_refuse(opened, raw):
    """
    Check that *raw* is either opened or refused by name.
    """
    error = None
    try:
        quote = opened(raw).quote.raw
    except (MalformedError, UntrustedError) as e:
        quote, error = b"", e
    assert quote in raw
    assert error is None or error.reason


class TestOpenReport:
    def test_quote(self):
        """
        Behind 16 bytes there is a quote, and it has no custom claims.
        """
        found = open_report(report())

        assert (QUOTE, None) == (found.quote.raw, found.custom_claims)

    @pytest.mark.parametrize("version", [0, 2, 3, 0x101, 0x20003, 0xFFFFFFFF])
    def test_version(self, version):
        """
        The version is 1, in all its four bytes.
        """
        refused(
            open_report,
            report(version=version),
            "oe-header",
            rf"^version \(bytes 0 to 3\) is {version}, expected 1$",
        )

    @pytest.mark.parametrize("kind", [0, 1, 3, 0x102, 0x2000000])
    def test_type(self, kind):
        """
        A report that is local, or of an unknown type, is refused.
        """
        refused(
            open_report,
            report(kind=kind),
            "oe-header",
            rf"^report type .* is {kind}, expected 2 \(remote\)$",
        )

    @pytest.mark.parametrize(
        "size",
        [
            0,
            len(QUOTE) - 1,
            len(QUOTE) + 1,
            len(QUOTE) + 16,
            len(QUOTE) + (1 << 32),
            (1 << 64) - 1,
        ],
    )
    def test_size(self, size):
        """
        The size is that of the quote, in all its eight bytes.
        """
        refused(
            open_report,
            report(size=size),
            "oe-size",
            f"^size is {size}, but {len(QUOTE)} bytes follow the header$",
        )

    @pytest.mark.parametrize("size", range(16))
    def test_header_cut_off(self, size):
        """
        Less than a header is refused.
        """
        refused(
            open_report,
            report()[:size],
            "oe-size",
            f"^{size} bytes, expected at least 16$",
        )

    def test_trailing(self):
        """
        So is what follows the quote, whether the size counts it or not.
        """
        refused(open_report, report() + b"\0", "oe-size")
        refused(open_report, report(QUOTE + b"\0"), "signature-size")

    def test_no_quote(self):
        """
        So is what holds none.
        """
        refused(open_report, report(b""), "quote-size")


class TestOpenEvidence:
    def test_sgx(self):
        """
        In the format for SGX custom claims follow the quote.
        """
        found = open_evidence(evidence())

        assert (QUOTE, CLAIMS) == (found.quote.raw, found.custom_claims)

    def test_sgx_without_claims(self):
        """
        They may be empty, and are bound nonetheless.
        """
        found = open_evidence(evidence(data=QUOTE_OF_NOTHING))

        assert (QUOTE_OF_NOTHING, b"") == (
            found.quote.raw,
            found.custom_claims,
        )

    def test_legacy_report(self):
        """
        Evidence can hold a report, and that a quote.
        """
        found = open_evidence(evidence(LEGACY, report()))

        assert (QUOTE, None) == (found.quote.raw, found.custom_claims)

    def test_raw_quote(self):
        """
        It can hold a quote alone, whose report data are the caller's.
        """
        found = open_evidence(evidence(RAW, QUOTE))

        assert (QUOTE, None) == (found.quote.raw, found.custom_claims)

    @pytest.mark.parametrize("version", TDX_QUOTES)
    def test_tdx(self, version):
        """
        It can hold the quote of a TD.
        """
        found = open_evidence(evidence(TDX, TDX_QUOTES[version]))

        assert TDX_QUOTES[version] == found.quote.raw
        assert None is found.custom_claims

    @pytest.mark.parametrize("version", [0, 1, 2, 4, 0x20003, 0x3000000])
    def test_version(self, version):
        """
        The version is 3, in all its four bytes; 2 is no longer taken.
        """
        refused(
            open_evidence,
            evidence(version=version),
            "oe-header",
            rf"^version \(bytes 0 to 3\) is {version}, expected 3$",
        )

    def test_local(self):
        """
        Local evidence can be verified by nobody remote.
        """
        refused(
            open_evidence,
            evidence(LOCAL),
            "oe-format",
            f"is {LOCAL}: local evidence$",
        )

    @pytest.mark.parametrize(
        "form",
        [
            str(uuid.UUID(int=0)),
            "a3a21e87-1b4d-4014-b70a-a125d2fbcd8d",
            "871ea2a3-4d1b-1440-b70a-a125d2fbcd8c",
        ],
    )
    def test_unknown_format(self, form):
        """
        A format that is unknown is refused, be it a known one in another order
        of bytes.
        """
        match = f"is {form}: unknown$"
        refused(open_evidence, evidence(form), "oe-format", match)

    @pytest.mark.parametrize("form", [SGX, LEGACY, RAW, TDX])
    @pytest.mark.parametrize("by", [-5000, -1, 1, 28, 1 << 32])
    def test_size(self, form, by):
        """
        The size is that of the data, in all its eight bytes.
        """
        data = report() if form == LEGACY else QUOTE + CLAIMS
        size = max(len(data) + by, 0)
        raw = evidence(form, data, size=size)

        refused(open_evidence, raw, "oe-size", f"^size is {size}, but")

    def test_hostile_size(self):
        """
        A size of 64 bits is no other one.
        """
        raw = evidence(size=(1 << 64) - 1)

        refused(open_evidence, raw, "oe-size")

    @pytest.mark.parametrize("size", range(28))
    def test_header_cut_off(self, size):
        """
        Less than a header is refused.
        """
        refused(
            open_evidence,
            evidence()[:size],
            "oe-size",
            f"^{size} bytes, expected at least 28$",
        )

    @pytest.mark.parametrize("form", [RAW, TDX])
    def test_claims_elsewhere(self, form):
        """
        Formats without custom claims have nothing behind the quote.
        """
        refused(open_evidence, evidence(form), "signature-size")

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (report(kind=1), "oe-header"),
            (report(version=3), "oe-header"),
            (report(size=7), "oe-size"),
            (report()[:15], "oe-size"),
            (report() + b"\0", "oe-size"),
            (QUOTE, "oe-header"),
            (evidence(), "oe-header"),
        ],
    )
    def test_bad_report(self, data, reason):
        """
        A report within evidence has to hold like any other one.
        """
        refused(open_evidence, evidence(LEGACY, data), reason)

    @pytest.mark.parametrize("form", [SGX, LEGACY, RAW, TDX])
    def test_evidence_within(self, form):
        """
        Evidence within evidence is not opened.
        """
        with pytest.raises(MalformedError):
            open_evidence(evidence(form, evidence()))


class TestCustomClaims:
    @pytest.mark.parametrize(
        "claims",
        [
            b"",
            CLAIMS[:-1],
            CLAIMS + b"\0",
            b"C" + CLAIMS[1:],
            CLAIMS[:-1] + b"\3",
        ],
    )
    def test_changed(self, claims):
        """
        Claims that the report data do not name are refused, by both digests.
        """
        expected = hashlib.sha256(CLAIMS).hexdigest()
        found = hashlib.sha256(claims).hexdigest()
        match = f"^report data begin with {expected}, expected {found}, "
        with pytest.raises(UntrustedError, match=match) as e:
            open_evidence(evidence(data=QUOTE + claims))

        assert "custom-claims" == e.value.reason

    def test_upper_half(self):
        """
        What the enclave has in the upper half of its report data is its own
        affair.
        """
        quote = sgx_quote(CLAIMS, behind=bytes(range(32)))

        found = open_evidence(evidence(data=quote + CLAIMS))

        assert CLAIMS == found.custom_claims

    def test_in_the_upper_half(self):
        """
        A digest there does not count.
        """
        report_data = bytes(32) + hashlib.sha256(CLAIMS).digest()
        quote = make_sgx_quote_v3(
            INTEL, PLATFORM, SgxBody(report_data=report_data)
        )

        with pytest.raises(UntrustedError, match="report data begin with 00"):
            open_evidence(evidence(data=quote + CLAIMS))

    @pytest.mark.parametrize("claims", [QUOTE, bytes(100_000), b"\0"])
    def test_any_bytes(self, claims):
        """
        Custom claims may be any bytes, of any size.
        """
        found = open_evidence(evidence(data=sgx_quote(claims) + claims))

        assert claims == found.custom_claims

    @pytest.mark.parametrize("by", [-16, -1, 1, len(CLAIMS), 1 << 20])
    def test_size_of_the_quote(self, by):
        """
        Only the quote's own size says where they begin: another one makes
        other claims of the same bytes, and no quote.
        """
        size = int.from_bytes(QUOTE[432:436], "little") + by
        data = QUOTE[:432] + size.to_bytes(4, "little") + QUOTE[436:] + CLAIMS

        with pytest.raises(MalformedError):
            open_evidence(evidence(data=data))


class TestHostile:
    @pytest.mark.parametrize("opened", [open_report, open_evidence])
    def test_cut_off(self, opened):
        """
        Cut off anywhere, an envelope is refused.
        """
        raw = report() if opened is open_report else evidence()
        for size in range(len(raw)):
            with pytest.raises(MalformedError):
                opened(raw[:size])

    @pytest.mark.parametrize("form", [SGX, LEGACY, RAW, TDX])
    def test_data_cut_off(self, form):
        """
        So it is where the size fits what is left; in the format for SGX the
        claims are others then.
        """
        data = report() if form == LEGACY else QUOTE
        for size in range(len(data)):
            with pytest.raises(MalformedError):
                open_evidence(evidence(form, data[:size]))

    @settings(max_examples=100)
    @given(
        st.sampled_from([open_report, open_evidence]), st.binary(max_size=1000)
    )
    def test_any_bytes(self, opened, raw):
        """
        No bytes at all raise anything else.
        """
        open_or_refuse(opened, raw)

    @settings(max_examples=150)
    @given(
        st.sampled_from([SGX, LEGACY, RAW, TDX, LOCAL]),
        st.binary(max_size=1000),
    )
    def test_any_data(self, form, data):
        """
        Nor do any in a good envelope.
        """
        open_or_refuse(open_evidence, evidence(form, data))
        open_or_refuse(open_report, report(data))

    @settings(max_examples=200)
    @given(
        st.sampled_from([SGX, LEGACY, RAW, TDX]),
        st.lists(
            st.tuples(
                st.integers(0, 60) | st.integers(0, 6000), st.integers(0, 255)
            ),
            min_size=1,
            max_size=4,
        ),
    )
    def test_changed_bytes(self, form, changes):
        """
        Nor do envelopes in which bytes are changed.
        """
        data = {
            SGX: QUOTE + CLAIMS,
            LEGACY: report(),
            RAW: QUOTE,
            TDX: TDX_QUOTES[5],
        }[form]
        raw = bytearray(evidence(form, data))
        for at, octet in changes:
            raw[at % len(raw)] = octet

        open_or_refuse(open_evidence, bytes(raw))
        open_or_refuse(open_report, bytes(raw[28:]))
