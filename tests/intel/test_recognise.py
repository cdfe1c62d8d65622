import json
import urllib.parse

import pytest

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from thim.errors import MalformedError
from thim.intel.authorities import Authority
from thim.intel.recognise import MAX_SIZE, recognise
from thim.simulate.pki import Intel, to_json
from thim.x509.chain import to_pem
from thim.x509.crl import Crl


INTEL = Intel()
BODY = INTEL.tcb_info()
ROOT_DER = INTEL.root.public_bytes(Encoding.DER)
CRL_DER = INTEL.root_crl()
CRL_PEM = Crl.from_der(CRL_DER).parsed.public_bytes(Encoding.PEM)
CHAIN_PEM = to_pem([INTEL.signer, INTEL.root])


def reasons(found):
    """
    Return the reasons of the problems in what was *found*.
    """
    return [problem.reason for problem in found.problems]


class TestJson:
    @pytest.mark.parametrize("body", [BODY, INTEL.identity(), INTEL.numbers()])
    def test_signed(self, body):
        """
        A signed document is taken as it is.
        """
        (document,) = recognise(body).signed

        assert body == document.body

    def test_white_space_around(self):
        """
        White space around a body is the file's, not the body's.
        """
        (document,) = recognise(b" \r\n\t" + BODY + b"\n").signed

        assert BODY == document.body

    def test_unsigned(self):
        """
        A document without its signature is called so.
        """
        raw = BODY[: BODY.rindex(b',"signature"')] + b"}"

        with pytest.raises(MalformedError, match="members are") as e:
            recognise(raw)

        assert "unsigned" == e.value.reason

    @pytest.mark.parametrize(
        "raw",
        [b"{}", b'{"a":1}', b'{"a":"b"}', b'{"a":{"tcbInfo":{}}}', b'{"a":""}'],
    )
    def test_no_collateral(self, raw):
        """
        JSON without a signed member or a string that holds one is none.
        """
        with pytest.raises(MalformedError, match="not signed by Intel") as e:
            recognise(raw)

        assert "unsigned" == e.value.reason

    @pytest.mark.parametrize("raw", [b"[]", b"[" + BODY + b"]", b'["{}"]'])
    def test_list(self, raw):
        """
        A list, such as Intel's list of FMSPCs, is not signed.
        """
        with pytest.raises(MalformedError, match="a JSON list") as e:
            recognise(raw)

        assert "unsigned" == e.value.reason

    @pytest.mark.parametrize("raw", [b"{", b'{"a":1,"a":2}', b"[1.5]", b"{}x"])
    def test_not_strict(self, raw):
        """
        What is not strict JSON is refused as JSON.
        """
        with pytest.raises(MalformedError, match="not JSON") as e:
            recognise(raw)

        assert "json" == e.value.reason


class TestRecordedAnswer:
    def test_body_and_chain(self):
        """
        A recorded answer holds a body and its chain as strings.
        """
        raw = to_json({"body": BODY.decode(), "chain": CHAIN_PEM.decode()})

        found = recognise(raw)

        assert [BODY] == [d.body for d in found.signed]
        assert (INTEL.signer, INTEL.root) == found.certificates
        assert () == found.problems

    def test_encoded_chain(self):
        """
        The chain may be encoded as in the response header.
        """
        chain = urllib.parse.quote(CHAIN_PEM.decode())

        found = recognise(to_json({"issuer_chain": chain, "age": 3}))

        assert (INTEL.signer, INTEL.root) == found.certificates

    def test_plus_in_a_plain_chain(self):
        """
        Plain PEM is not decoded: its plus signs and slashes are its own.
        """
        found = recognise(to_json({"chain": CRL_PEM.decode()}))

        assert [CRL_DER] == [crl.der for crl in found.crls]

    def test_signed_body_is_kept_byte_for_byte(self):
        """
        The body inside a string is what the string means, nothing else.
        """
        odd = INTEL.sign("tcbInfo", b'{"a" : "\\u0041\\n"}')

        (document,) = recognise(to_json({"x": odd.decode()})).signed

        assert odd == document.body

    def test_a_broken_part_stops_no_other(self):
        """
        A part that does not read is a problem, and the rest is taken.
        """
        raw = to_json(
            {
                "a": "{",
                "b": BODY.decode(),
                "c": "-----BEGIN CERTIFICATE-----",
                "d": CHAIN_PEM.decode(),
            }
        )

        found = recognise(raw)

        assert ["json", "pem"] == reasons(found)
        assert 1 == len(found.signed)
        assert 2 == len(found.certificates)

    def test_strings_in_strings(self):
        """
        One level of wrapping is opened, no more.
        """
        once = to_json({"x": BODY.decode()})

        found = recognise(to_json({"y": once.decode()}))

        assert ["unsigned"] == reasons(found)
        assert () == found.signed

    def test_other_members_are_passed_over(self):
        """
        Members that are no such strings do not matter.
        """
        raw = to_json(
            {"n": 1, "o": {"p": BODY.decode()}, "s": "x", "b": BODY.decode()}
        )

        found = recognise(raw)

        assert 1 == len(found.signed)
        assert () == found.problems


class TestPem:
    def test_chain(self):
        """
        Certificates come in their order.
        """
        assert (INTEL.signer, INTEL.root) == recognise(CHAIN_PEM).certificates

    def test_mixture(self):
        """
        Certificates and CRLs may stand in one file, with text around.
        """
        raw = b"Intel's\r\n" + CHAIN_PEM + b"and\n" + CRL_PEM + b"done"

        found = recognise(raw)

        assert 2 == len(found.certificates)
        assert [CRL_DER] == [crl.der for crl in found.crls]
        assert () == found.problems

    def test_line_ends(self):
        """
        Lines may end as on Windows.
        """
        raw = CHAIN_PEM.replace(b"\n", b"\r\n")

        assert 2 == len(recognise(raw).certificates)

    def test_cut_off(self):
        """
        A block that is cut off is a problem; the one before it is taken.
        """
        found = recognise(CHAIN_PEM[:-20])

        assert ["pem"] == reasons(found)
        assert (INTEL.signer,) == found.certificates

    def test_not_base64(self):
        """
        So is one with other characters in it.
        """
        found = recognise(CHAIN_PEM.replace(b"M", b"!", 1))

        assert ["pem"] == reasons(found)
        assert (INTEL.root,) == found.certificates

    def test_bad_padding(self):
        """
        And one whose base64 does not come out even.
        """
        found = recognise(
            b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
        )

        assert ["pem"] == reasons(found)

    def test_endless_white_space(self):
        """
        A block that never ends is passed over in one go, however long.
        """
        found = recognise(b"-----BEGIN X-----" + b" " * 2**20)

        assert ["pem"] == reasons(found)

    def test_other_kind(self):
        """
        A private key is no collateral, and is not looked at.
        """
        key = INTEL.key(Authority.ROOT).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )

        found = recognise(key + CHAIN_PEM)

        assert ["unrecognised"] == reasons(found)
        assert "a PEM block of kind PRIVATE KEY" == str(found.problems[0])
        assert 2 == len(found.certificates)

    def test_label_does_not_decide(self):
        """
        What is inside decides, not what is written on it.
        """
        found = recognise(CRL_PEM.replace(b"X509 CRL", b"CERTIFICATE"))

        assert 1 == len(found.crls)

    def test_neither_inside(self):
        """
        A block that holds neither a certificate nor a CRL is a problem.
        """
        raw = b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"

        (problem,) = recognise(raw).problems

        assert "malformed" == problem.reason
        assert "neither a certificate nor a CRL" in str(problem)

    def test_as_many_as_allowed(self):
        """
        Eight blocks are read.
        """
        assert 8 == len(recognise(CHAIN_PEM * 4).certificates)

    def test_too_many(self):
        """
        More than 128 are refused.
        """
        assert 128 == len(recognise(CHAIN_PEM * 64).certificates)
        with pytest.raises(MalformedError, match="129 PEM blocks") as e:
            recognise(CHAIN_PEM * 64 + CRL_PEM)

        assert "too-large" == e.value.reason


class TestDer:
    def test_certificate(self):
        """
        A certificate in DER.
        """
        assert (INTEL.root,) == recognise(ROOT_DER).certificates

    def test_crl(self):
        """
        A CRL in DER.
        """
        assert [CRL_DER] == [crl.der for crl in recognise(CRL_DER).crls]

    @pytest.mark.parametrize("last", [b" ", b"\n", b"\t", b"\r"])
    def test_ends_like_white_space(self, last):
        """
        DER may end in a byte that looks like white space: it is not cut.
        """
        key = INTEL.key("any")
        for serial in range(1, 2000):
            der = INTEL.crl(Authority.ROOT, key=key, revoked=[serial])
            if der.endswith(last):
                break

        assert [der] == [crl.der for crl in recognise(der).crls]

    @pytest.mark.parametrize("case", [str.lower, str.upper])
    def test_hexadecimal(self, case):
        """
        A CRL as hexadecimal text, as PCCS sends it.
        """
        raw = b"\n" + case(CRL_DER.hex()).encode() + b"\r\n"

        assert [CRL_DER] == [crl.der for crl in recognise(raw).crls]

    def test_hexadecimal_in_lines(self):
        """
        The digits may stand in lines.
        """
        raw = CRL_DER.hex(" ", 16).replace(" ", "\n").encode()

        assert 1 == len(recognise(raw).crls)

    def test_odd_digits(self):
        """
        Half a byte is none.
        """
        with pytest.raises(MalformedError, match="an odd number") as e:
            recognise(b"30820")

        assert "hex" == e.value.reason

    @pytest.mark.parametrize("raw", [b"\x30\x00", b"3000", b"00", b"ff ff"])
    def test_neither(self, raw):
        """
        DER of something else is a problem of the file.
        """
        (problem,) = recognise(raw).problems

        assert "neither a certificate nor a CRL" in str(problem)

    def test_reason_is_kept(self):
        """
        A CRL that is too large is told from something that is none.
        """
        raw = b"\x30\x83\x10\x00\x01" + bytes(2**20 + 1)

        assert ["too-large"] == reasons(recognise(raw))


class TestRefused:
    @pytest.mark.parametrize(
        "raw", [b"", b" \n", b"hello", b"\xff\xfe", b"\xef\xbb\xbf" + BODY]
    )
    def test_something_else(self, raw):
        """
        What is nothing of the kind is not recognised.
        """
        with pytest.raises(MalformedError, match="neither PCS JSON") as e:
            recognise(raw)

        assert "unrecognised" == e.value.reason

    @pytest.mark.parametrize("version", [3, 4, 5])
    @pytest.mark.parametrize(
        "header",
        [b"", b"\1\0\0\0\2\0\0\0" + (5000).to_bytes(8, "little")],
        ids=["bare", "Open Enclave"],
    )
    def test_quote(self, version, header):
        """
        A quote is evidence: it is told from collateral by its header.
        """
        raw = header + bytes([version, 0, 2, 0]) + bytes(1000)

        with pytest.raises(
            MalformedError, match="a quote or report: evidence"
        ) as e:
            recognise(raw)

        assert "evidence" == e.value.reason

    @pytest.mark.parametrize("version", [2, 6])
    def test_no_quote(self, version):
        """
        What has another version is not called a quote.
        """
        with pytest.raises(MalformedError, match="neither PCS JSON"):
            recognise(bytes([version, 0, 2, 0]) + bytes(1000))

    def test_too_large(self):
        """
        More than four megabytes are not looked at.
        """
        with pytest.raises(MalformedError, match="at most 4194304") as e:
            recognise(b" " * (MAX_SIZE + 1))

        assert "too-large" == e.value.reason

    def test_as_large_as_allowed(self):
        """
        Four megabytes are: for a PEM file with much text in it.
        """
        raw = CHAIN_PEM.rjust(MAX_SIZE, b"\n")

        assert 2 == len(recognise(raw).certificates)

    @settings(max_examples=50)
    @given(
        st.binary(max_size=60)
        | st.binary(max_size=60).map(lambda raw: b"{" + raw)
        | st.binary(max_size=60).map(lambda raw: b"0" + raw)
        | st.text(max_size=30).map(
            lambda t: json.dumps({"a": "{" + t}).encode()
        )
        | st.text("01af \n", max_size=40).map(str.encode)
    )
    def test_nothing_else_is_raised(self, raw):
        """
        Whatever a file holds, it is recognised or refused by name.
        """
        try:
            found = recognise(raw)
        except MalformedError:
            return
        assert () == found.signed
        assert found.problems
