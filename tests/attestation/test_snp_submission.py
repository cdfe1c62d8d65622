import base64
import contextlib
import hashlib
import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.amd.report_parts import a_report
from tests.amd.test_hcl import CLAIMS
from tests.attestation.snp_made import (
    encode,
    make_chain,
    make_report,
    make_submission,
)
from tests.made_amd import vcek
from tests.simulate.quotes import INTEL
from thim.amd.report import Report
from thim.attestation.snp_submission import (
    MAX_ENDORSEMENT_SIZE,
    MAX_SIZE,
    MOST_ENDORSEMENTS,
    read_snp_submission,
)
from thim.errors import MalformedError, UntrustedError
from thim.simulate.pck import Platform
from thim.simulate.quote import make_sgx_quote_v3, make_tdx_quote_v4


REPORT = a_report()
CHAIN = make_chain(vcek())
#: A report whose base64 has both characters that the alphabets differ in.
ODD = a_report(at_050="fbefbefbff" * 12)


def hcl_around(report, claims=CLAIMS, kind=2):
    """
    Write an HCL report around *report*.
    """
    words = 20 + len(claims), 1, kind, 1, len(claims)
    header = b"HCLA" + b"".join(
        n.to_bytes(4, "little") for n in (2, 0, 2, 0, 0, 0, 0)
    )
    runtime = b"".join(n.to_bytes(4, "little") for n in words)
    return header + report.ljust(1184, b"\0") + runtime + claims


def write(**parts):
    """
    Write JSON.
    """
    return json.dumps(parts).encode()


def refused(raw, match, reason):
    """
    Check that *raw* is refused for *reason*, in words that *match*.
    """
    with pytest.raises((MalformedError, UntrustedError), match=match) as e:
        read_snp_submission(raw)

    assert reason == e.value.reason


class TestJson:
    def test_all(self):
        """
        A report comes with its key and with endorsements.
        """
        found = read_snp_submission(
            make_submission(REPORT, CHAIN, b"one", b"two")
        )

        assert Report.from_bytes(REPORT) == found.evidence.report
        assert found.evidence.hcl is None
        assert found.key is not None
        assert found.key.chain is not None
        assert (b"one", b"two") == found.uvm_endorsements

    @pytest.mark.parametrize(
        "rest",
        [
            {},
            {"VcekCertChain": None, "Endorsements": None},
            {"VcekCertChain": "", "Endorsements": ""},
            {"VcekCertChain": encode(b"\n"), "Endorsements": encode(b"{}")},
            {"Endorsements": encode(b'{"Uvm":null}')},
            {"Endorsements": encode(b'{"Uvm":[]}')},
            {"Whatever": {"is": "new"}},
        ],
    )
    def test_report_alone(self, rest):
        """
        What is missing, null or empty was not sent; what is not known does
        not matter.
        """
        found = read_snp_submission(write(SnpReport=encode(REPORT), **rest))

        assert found.key is None
        assert () == found.uvm_endorsements

    @pytest.mark.parametrize(
        "spell",
        [
            base64.b64encode,
            base64.urlsafe_b64encode,
            base64.encodebytes,
            lambda raw: base64.b64encode(raw).rstrip(b"="),
            lambda raw: base64.b64encode(raw).rstrip(b"=") + b"==",
            lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"="),
        ],
    )
    def test_base64(self, spell):
        """
        Either alphabet will do, with padding or without, and line breaks.
        """
        found = read_snp_submission(write(SnpReport=spell(ODD).decode()))

        assert ODD == found.evidence.report.raw

    def test_blanks(self):
        """
        White space around the JSON does not matter.
        """
        raw = b" \r\n\t" + write(SnpReport=encode(REPORT)) + b"\n"

        assert REPORT == read_snp_submission(raw).evidence.report.raw

    @pytest.mark.parametrize(
        ("parts", "match"),
        [
            ({}, "SnpReport"),
            ({"SnpReport": None}, "SnpReport"),
            ({"SnpReport": 5}, "SnpReport"),
            ({"SnpReport": "", "VcekCertChain": []}, "VcekCertChain"),
            ({"SnpReport": "", "Endorsements": {}}, "Endorsements"),
        ],
    )
    def test_types(self, parts, match):
        """
        A member of another type is refused by its name.
        """
        refused(write(**parts), match, "fields")

    @pytest.mark.parametrize(
        ("raw", "match"),
        [
            (b'{"SnpReport":"","SnpReport":""}', "report: .*twice"),
            (b"{", "report: not JSON"),
            (b"{}{}", "report: not JSON"),
            (b'{"SnpReport":"\xff"}', "report: not JSON"),
        ],
    )
    def test_json(self, raw, match):
        """
        It is JSON that has one meaning.
        """
        refused(raw, match, "json")

    @pytest.mark.parametrize(
        "name", ["SnpReport", "VcekCertChain", "Endorsements"]
    )
    @pytest.mark.parametrize("text", ["a!", "ä", "A", "AA=A"])
    def test_no_base64(self, name, text):
        """
        What is not base64 is refused by its name.
        """
        parts = {"SnpReport": encode(REPORT), name: text}

        refused(write(**parts), f"{name}: got", "submission")

    @pytest.mark.parametrize("size", [0, 1183, 1185])
    def test_length(self, size):
        """
        A report has one length.
        """
        raw = make_submission(REPORT.ljust(size, b"\0")[:size])

        refused(raw, "expected 1184", "report-length")

    def test_version_1(self):
        """
        Reports of version 1 are of the time before the product.
        """
        raw = make_submission(a_report(at_000="01000000"), CHAIN)

        refused(raw, "report has version 1, expected 2 to 5", "report-version")

    def test_chain(self):
        """
        What is wrong with the chain is said of the chain.
        """
        raw = make_submission(REPORT, b"hello")

        refused(raw, "VcekCertChain: expected up to 3", "certificate-malformed")

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            (b"[]", "Endorsements: members"),
            (b'{"Uvm":"one"}', "Endorsements: members"),
            (b'{"Uvm":[5]}', "Endorsements: members"),
            (b"hello", "Endorsements: not JSON"),
        ],
    )
    def test_endorsements(self, text, match):
        """
        Endorsements are JSON of their own.
        """
        raw = write(SnpReport=encode(REPORT), Endorsements=encode(text))

        refused(raw, match, "json" if text == b"hello" else "fields")

    def test_endorsement(self):
        """
        An endorsement is base64.
        """
        inner = write(Uvm=["!"])
        raw = write(SnpReport=encode(REPORT), Endorsements=encode(inner))

        refused(raw, "Uvm: got", "submission")

    def test_many_endorsements(self):
        """
        There are a few endorsements at most.
        """
        uvm = [b"x"] * (MOST_ENDORSEMENTS + 1)

        refused(make_submission(REPORT, None, *uvm), "at most 4", "submission")

    def test_large_endorsement(self):
        """
        An endorsement has a size to it.
        """
        most, more = (
            bytes(MAX_ENDORSEMENT_SIZE),
            bytes(MAX_ENDORSEMENT_SIZE + 1),
        )

        found = read_snp_submission(make_submission(REPORT, None, most))

        assert (most,) == found.uvm_endorsements
        refused(make_submission(REPORT, None, more), "at most", "submission")

    def test_too_large(self):
        """
        What is larger than any request is refused unread.
        """
        raw = write(SnpReport=encode(REPORT)).ljust(MAX_SIZE)

        assert REPORT == read_snp_submission(raw).evidence.report.raw
        refused(raw + b" ", "at most", "too-large")


class TestBare:
    def test_report(self):
        """
        A report may come as it is.
        """
        assert REPORT == read_snp_submission(REPORT).evidence.report.raw

    def test_hcl(self):
        """
        An HCL report brings the claims that its report binds.
        """
        report = make_report(report_data=_digest(CLAIMS))

        found = read_snp_submission(hcl_around(report))

        assert report == found.evidence.report.raw
        assert found.evidence.hcl is not None
        assert CLAIMS == found.evidence.hcl.runtime_claims
        assert found.key is None

    def test_unbound(self):
        """
        An HCL report with other claims is refused.
        """
        raw = hcl_around(make_report())

        refused(raw, "report data", "runtime-data-mismatch")

    @pytest.mark.parametrize(
        ("raw", "match"),
        [
            (make_sgx_quote_v3(INTEL, Platform()), "sgx-quote-v3, exp"),
            (make_tdx_quote_v4(INTEL, Platform()), "tdx-quote-v4, exp"),
        ],
    )
    def test_other_tee(self, raw, match):
        """
        Of a quote it is said what it is, and what is expected.
        """
        refused(raw, match, "other-evidence")

    @pytest.mark.parametrize("raw", [b"", b"hello", b"[]", REPORT[:-1]])
    def test_no_evidence(self, raw):
        """
        What is nothing that is known is no evidence.
        """
        refused(raw, f"{len(raw)} bytes, expected JSON", "not-evidence")

    @given(st.binary(max_size=2000))
    def test_anything(self, raw):
        """
        Whatever comes, it is refused by name or read.
        """
        _try(raw)

    @given(
        at=st.integers(0, len(make_submission(REPORT, CHAIN, b"x"))),
        change=st.binary(max_size=4),
    )
    def test_changed(self, at, change):
        """
        So is a request that was changed.
        """
        raw = make_submission(REPORT, CHAIN, b"x")
        _try(raw[:at] + change + raw[at + len(change) :])


def _digest(claims):
    return hashlib.sha256(claims).digest().ljust(64, b"\0")


def _try(raw):
    with contextlib.suppress(MalformedError, UntrustedError):
        read_snp_submission(raw)


def test_many_parts():
    """
    JSON of more members and elements than anybody sends is refused before it
    is read, outside and inside.
    """
    raw = write(SnpReport=encode(REPORT), More=[1] * 1100)
    inner = write(Uvm=[], More=[1] * 1100)

    refused(raw, "members and elements", "too-large")
    refused(
        write(SnpReport=encode(REPORT), Endorsements=encode(inner)),
        "Endorsements: .*members and elements",
        "too-large",
    )
