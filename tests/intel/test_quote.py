import hashlib

import pytest

from tests.intel.quote_parts import (
    FORMS,
    INTEL,
    MOST_16,
    NAMED,
    NESTED,
    PCE_ID,
    PLATFORM,
    PPIDS,
    SIMULATED,
    STARTS,
    a_quote,
    octets,
    reason_of,
    refused,
)
from thim.intel.names import Tee
from thim.intel.pck import PckTcbm
from thim.intel.quote import CertificationType, PckName, Quote
from thim.intel.report_body import (
    SgxReportBody,
    Td10Body,
    Td15Body,
)
from thim.simulate.pck import pck_chain
from thim.simulate.quote import (
    QuotingEnclave,
    make_tdx_quote_v4,
)
from thim.x509.chain import to_pem


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
