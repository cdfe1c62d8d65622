import base64
import urllib.parse

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.errors import ParameterError
from thim.intel.names import PckCa, Update
from thim.intel.pcs import (
    find_distribution_point,
    parse_ca,
    parse_custom_parameter,
    parse_fmspc,
    parse_number,
    parse_update,
)


STATIC = "https://certificates.trustedservices.intel.com"
API = "https://api.trustedservices.intel.com/sgx/certification"


def custom(text):
    """
    Wrap *text* as clients do, and read the number in it.
    """
    raw = text if isinstance(text, bytes) else text.encode()
    value = base64.b64encode(raw).decode()
    return parse_custom_parameter({"customParameter": value})


class TestParseFmspc:
    @settings(max_examples=20)
    @given(st.binary(min_size=6, max_size=6), st.booleans())
    def test_either_case(self, fmspc, upper):
        """
        Clients send digits in either case.
        """
        text = fmspc.hex().upper() if upper else fmspc.hex()

        assert fmspc == parse_fmspc({"fmspc": text})

    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"fmspc": ""},
            {"fmspc": "00906ED5000"},
            {"fmspc": "00906ED500000"},
            {"fmspc": "00906ED5000G"},
            {"fmspc": "00906ED50000\n"},
            {"fmspc": "\u06600906ED50000"},
            {"FMSPC": "00906ED50000"},
        ],
    )
    def test_other_forms(self, parameters):
        """
        Missing, of another length, or no digits: the parameter is named.
        """
        with pytest.raises(ParameterError, match="12 hexadecimal") as e:
            parse_fmspc(parameters)

        assert "fmspc" == e.value.parameter


class TestChoices:
    @pytest.mark.parametrize("text", ["early", "EARLY", "Early"])
    def test_update(self, text):
        """
        A choice is read in any case.
        """
        assert Update.EARLY is parse_update({"update": text})

    def test_update_standard(self):
        """
        The other rhythm.
        """
        assert Update.STANDARD is parse_update({"update": "standard"})

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("processor", PckCa.PROCESSOR),
            ("platform", PckCa.PLATFORM),
            ("PLATFORM", PckCa.PLATFORM),
        ],
    )
    def test_ca(self, text, expected):
        """
        The two PCK CAs.
        """
        assert expected is parse_ca({"ca": text})

    def test_absent(self):
        """
        What is absent is no error: the caller decides.
        """
        assert parse_update({}) is None
        assert parse_ca({}) is None
        assert parse_number({}) is None
        assert parse_custom_parameter({}) is None

    @pytest.mark.parametrize("text", ["", "all", "early,standard", " early"])
    def test_update_unknown(self, text):
        """
        Another value is refused, with the values that there are.
        """
        with pytest.raises(ParameterError, match="early or standard") as e:
            parse_update({"update": text})

        assert "update" == e.value.parameter

    @pytest.mark.parametrize("text", ["", "root", "process", "processor "])
    def test_ca_unknown(self, text):
        """
        So is another CA; a part of its name will not do.
        """
        with pytest.raises(ParameterError, match="processor or platform") as e:
            parse_ca({"ca": text})

        assert "ca" == e.value.parameter


class TestParseNumber:
    @pytest.mark.parametrize(
        ("text", "expected"), [("0", 0), ("17", 17), ("999999999", 999_999_999)]
    )
    def test_digits(self, text, expected):
        """
        A number is up to nine decimal digits.
        """
        assert expected == parse_number({"tcbEvaluationDataNumber": text})

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "-1",
            "+1",
            "1.0",
            "0x11",
            " 17",
            "17\n",
            "1e1",
            "1234567890",
            "\u0661",
        ],
    )
    def test_other_forms(self, text):
        """
        Anything else is refused.
        """
        with pytest.raises(ParameterError, match="expected a number") as e:
            parse_number({"tcbEvaluationDataNumber": text})

        assert "tcbEvaluationDataNumber" == e.value.parameter


class TestParseCustomParameter:
    def test_as_azures_client_sends_it(self):
        """
        The recorded example: key, region with a space, and a NUL.
        """
        value = "dGNiRXZhbHVhdGlvbkRhdGFOdW1iZXI9MTQ7cmVnaW9uPXVzIGNlbnRyYWwA"

        assert 14 == parse_custom_parameter({"customParameter": value})

    def test_azures_own_bad_example(self):
        """
        The key that Azure's own test suite expects to be refused.
        """
        value = "dGNiRXZhbHVhdGlvbkRhdGFOdW09MTEA"

        with pytest.raises(
            ParameterError, match="no key 'tcbevaluationdatanum'"
        ) as e:
            parse_custom_parameter({"customParameter": value})

        assert "customParameter" == e.value.parameter

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("tcbEvaluationDataNumber=14", 14),
            ("tcbEvaluationDataNumber=14\0", 14),
            ("tcbEvaluationDataNumber=14;", 14),
            ("tcbevaluationdatanumber=14", 14),
            ("region=us central;tcbEvaluationDataNumber=9", 9),
            ("region=us central", None),
            ("region=a=b", None),
            ("region=", None),
            (" region =x; tcbEvaluationDataNumber=3", 3),
            ("", None),
            ("\0", None),
            (";;", None),
        ],
    )
    def test_forms(self, text, expected):
        """
        Keys in any case and order, a NUL at the end or none, a region that
        means nothing.
        """
        assert expected == custom(text)

    @pytest.mark.parametrize("padding", ["", "=", "=="])
    def test_padding(self, padding):
        """
        Padding may be missing: it is lost on the way through some clients.
        """
        bare = base64.b64encode(b"tcbEvaluationDataNumber=14\0").rstrip(b"=")

        parameters = {"customParameter": bare.decode() + padding}

        assert 14 == parse_custom_parameter(parameters)

    @pytest.mark.parametrize(
        "text", ["tcbEvaluationDataNumber", "=", "a", "14", "region=x;14"]
    )
    def test_no_pairs(self, text):
        """
        Text that is no list of pairs, or has a key that nobody knows.
        """
        with pytest.raises(ParameterError, match="customParameter"):
            custom(text)

    @pytest.mark.parametrize("number", ["", "x", "-1", " 14", "14 ", "14\0"])
    def test_bad_number(self, number):
        """
        A number that is none is refused in the parameter's name.
        """
        with pytest.raises(ParameterError, match="expected a number") as e:
            custom(f"tcbEvaluationDataNumber={number};region=x")

        assert "customParameter" == e.value.parameter

    @pytest.mark.parametrize(
        "value",
        ["%%%", "dGNi RXZh", "dGNi-_==", "a", "é", "dGNiR=XZh", "/w==", "AAE="],
    )
    def test_no_base64_of_text(self, value):
        """
        Other characters, a cut value, or bytes that are no ASCII.
        """
        with pytest.raises(ParameterError, match=r"base64 of key=value|no key"):
            parse_custom_parameter({"customParameter": value})

    def test_as_long_as_allowed(self):
        """
        1,024 characters are read.
        """
        assert custom("region=" + "x" * 761) is None

    def test_too_long(self):
        """
        More are refused unread.
        """
        with pytest.raises(ParameterError, match="at most 1024 characters"):
            custom("region=" + "x" * 764)

    @settings(max_examples=40)
    @given(st.text(max_size=40))
    def test_nothing_else_is_raised(self, value):
        """
        Whatever is sent is read or refused.
        """
        try:
            number = parse_custom_parameter({"customParameter": value})
        except ParameterError:
            return
        assert number is None or number >= 0


#: What real certificates and clients name (wire contract, section 2.1.3).
POINTS = [
    (f"{STATIC}/IntelSGXRootCA.crl", None),
    (f"{STATIC}/IntelSGXRootCA.der", None),
    (f"{STATIC}/IntelSGXPCKProcessor.crl", PckCa.PROCESSOR),
    (f"{STATIC}/IntelSGXPCKPlatform.crl", PckCa.PLATFORM),
    (f"{API}/v1/pckcrl?ca=processor", PckCa.PROCESSOR),
    (f"{API}/v2/pckcrl?ca=processor", PckCa.PROCESSOR),
    (f"{API}/v3/pckcrl?ca=processor&encoding=der", PckCa.PROCESSOR),
    (f"{API}/v4/pckcrl?ca=processor&encoding=der", PckCa.PROCESSOR),
    (f"{API}/v3/pckcrl?ca=platform&encoding=der", PckCa.PLATFORM),
    (f"{API}/v4/pckcrl?ca=platform&encoding=der", PckCa.PLATFORM),
    (f"{API}/v3/pckcrl?ca=platform&encoding=pem", PckCa.PLATFORM),
    (f"{API}/v4/pckcrl?ca=platform&encoding=pem", PckCa.PLATFORM),
]


def twice(uri):
    """
    Encode *uri* twice with small letters, as Azure's client does.
    """
    once = urllib.parse.quote(uri.lower(), safe="")
    return urllib.parse.quote(once, safe="").lower()


class TestFindDistributionPoint:
    @pytest.mark.parametrize(("uri", "expected"), POINTS)
    @pytest.mark.parametrize(
        "encode",
        [
            str,
            str.lower,
            str.upper,
            lambda uri: urllib.parse.quote(uri, safe=""),
            lambda uri: urllib.parse.quote(uri, safe="").lower(),
            twice,
        ],
        ids=["plain", "lower", "upper", "once", "once, lower", "twice"],
    )
    def test_known(self, uri, expected, encode):
        """
        Each one is known in each form in which clients send it.
        """
        assert expected == find_distribution_point(encode(uri))

    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            (
                (
                    "https%253a%252f%252fcertificates.trustedservices.intel.com"
                    "%252fintelsgxpckprocessor.crl"
                ),
                PckCa.PROCESSOR,
            ),
            (
                (
                    "https%253a%252f%252fapi.trustedservices.intel.com%252fsgx"
                    "%252fcertification%252fv3%252fpckcrl%253fca%253dplatform"
                    "%2526encoding%253dpem"
                ),
                PckCa.PLATFORM,
            ),
            (
                (
                    "https%253a%252f%252fcertificates.trustedservices.intel.com"
                    "%252fintelsgxrootca.crl"
                ),
                None,
            ),
        ],
    )
    def test_recorded(self, uri, expected):
        """
        What Azure's client was seen to send, before and after the server
        has decoded the query once.
        """
        assert expected == find_distribution_point(uri)
        assert expected == find_distribution_point(urllib.parse.unquote(uri))

    def test_cut_at_an_ampersand(self):
        """
        Sent unencoded, the rest of the address is a parameter of its own.
        """
        uri = f"{API}/v4/pckcrl?ca=platform"

        assert PckCa.PLATFORM is find_distribution_point(uri)

    @pytest.mark.parametrize(
        "uri",
        [
            "",
            "https://example.com/IntelSGXRootCA.crl",
            (
                "https://evilcertificates.trustedservices.intel.com/"
                "IntelSGXRootCA.crl"
            ),
            "http://certificates.trustedservices.intel.com/IntelSGXRootCA.crl",
            f"{STATIC}/IntelSGXRootCA.crlx",
            f"{STATIC}/IntelSGXRootCA",
            f"{STATIC}//IntelSGXRootCA.crl",
            f"{STATIC}/x/../IntelSGXRootCA.crl",
            f"{STATIC}@example.com/IntelSGXRootCA.crl",
            f" {STATIC}/IntelSGXRootCA.crl",
            f"{API}/v5/pckcrl?ca=platform",
            f"{API}/v4/pckcrl?ca=root",
            f"{API}/v4/pckcrl",
            f"{API}/v4/pckcrl?ca=platform&encoding=hex",
            twice(twice(f"{STATIC}/IntelSGXRootCA.crl")),
            "file:///etc/passwd",
        ],
    )
    def test_unknown(self, uri):
        """
        It is a table: nothing else is known, and nothing is fetched.
        """
        with pytest.raises(ParameterError, match="CRL distribution po") as e:
            find_distribution_point(uri)

        assert "uri" == e.value.parameter
