import contextlib
import datetime
import hashlib
import json

import cbor2
import pytest

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.attestation.uvm_made import (
    MEASUREMENT,
    NOW,
    SIGNED,
    SINCE,
    UNTIL,
    a_chain,
    a_leaf,
    a_message,
    a_payload,
    did_of,
    ec_key,
)
from thim.attestation.uvm import UvmEndorsement, verify_uvm_endorsement
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.x509.chain import CLOCK_SKEW


LEAF, MIDDLE, ROOT = a_chain()
SECOND = datetime.timedelta(seconds=1)
MESSAGE = a_message()
NAME = "x-ms-sevsnpvm-launchmeasurement"


def verify(raw, measurement=MEASUREMENT, now=NOW):
    """
    Verify a message about the measurement.
    """
    return verify_uvm_endorsement(raw, measurement, now)


def refused(raw, match, reason, **kinds):
    """
    Check that *raw* is refused for *reason*, in words that *match*.
    """
    with pytest.raises(ThimError, match=match) as e:
        verify(raw, **kinds)

    assert reason == e.value.reason


def at(instant):
    """
    Write an instant of signing.
    """
    return cbor2.CBORTag(1, int(instant.timestamp()))


class TestVerify:
    def test_endorsed(self):
        """
        A message says who endorses the measurement, as which release of what.
        """
        assert UvmEndorsement(
            issuer=did_of(ROOT),
            feed="a feed",
            svn=7,
            measurement=MEASUREMENT,
            signed=SIGNED,
            sha256=hashlib.sha256(MESSAGE).digest(),
        ) == verify(MESSAGE)

    @pytest.mark.parametrize(
        "value", [None, "application/octet-stream", 50, "application/JSON"]
    )
    def test_other_content(self, value):
        """
        Of another content type nothing is known, and nothing becomes of it.
        """
        assert verify(a_message(_3=value)) is None

    def test_other_measurement(self):
        """
        It is of this measurement.
        """
        refused(MESSAGE, "the report has", "uvm-measurement", measurement=b"x")

    def test_letter_case(self):
        """
        Digits may be written in capitals.
        """
        payload = a_payload(measurement=MEASUREMENT.hex().upper())

        assert verify(a_message(payload))

    def test_forged(self):
        """
        It is signed by whom the chain certifies.
        """
        raw = a_message(key=ec_key("Middle"))

        refused(raw, "not that of the first", "cose-signature")

    def test_foreign(self):
        """
        The issuer is whom the chain is of: anybody may write a name.
        """
        other = a_leaf(issuer="Other", signer=ec_key("Other"))

        refused(a_message(iss=did_of(other)), "no authority", "did-authority")

    def test_path(self):
        """
        The chain is a path.
        """
        raw = a_message(_33=[_der(LEAF), _der(ROOT)])

        refused(raw, "is not by", "path-issuer")

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"iss": None}, "cose-header"),
            ({"iss": 5}, "cose-header"),
            ({"iss": "https://example.com"}, "did-malformed"),
            ({"iss": did_of(ROOT, "::subject:CN:Other")}, "did-predicate"),
            ({"feed": None}, "cose-header"),
            ({"feed": b"feed"}, "cose-header"),
        ],
    )
    def test_header(self, change, reason):
        """
        It says who issued it, and as what.
        """
        refused(a_message(**change), "COSE|did:x509", reason)


class TestSigningTime:
    @pytest.mark.parametrize("instant", [SINCE, UNTIL])
    def test_then(self, instant):
        """
        The chain is judged at the instant of signing, however long ago.
        """
        found = verify(a_message(signingtime=at(instant)))

        assert instant == found.signed

    @pytest.mark.parametrize("instant", [SINCE - SECOND, UNTIL + SECOND])
    def test_not_then(self, instant):
        """
        Nobody signs before or after the chain's dates.
        """
        raw = a_message(signingtime=at(instant))

        refused(raw, "is valid", "path-dates")

    def test_none(self):
        """
        Without one the dates are not judged.
        """
        found = verify(a_message(signingtime=None))

        assert found.signed is None

    def test_to_come(self):
        """
        Nothing is signed in the future; clocks may differ a little.
        """
        now = SIGNED - CLOCK_SKEW

        assert verify(MESSAGE, now=now)
        refused(MESSAGE, "to come", "uvm-signing-time", now=now - SECOND)

    @pytest.mark.parametrize(
        "value",
        [
            5,
            "2026-06-01",
            cbor2.CBORTag(0, "2026-06-01T00:00:00Z"),
            cbor2.CBORTag(1001, 5),
            cbor2.CBORTag(1, -1),
            cbor2.CBORTag(1, 10**12),
            cbor2.CBORTag(1, 1.5),
            cbor2.CBORTag(1, b""),
        ],
    )
    def test_other_form(self, value):
        """
        It is seconds, tagged as that.
        """
        raw = a_message(signingtime=value)

        refused(raw, "signingtime is", "uvm-signing-time")


class TestPayload:
    @pytest.mark.parametrize(
        ("svn", "expected"),
        [("0", 0), ("104", 104), (104, 104), (0, 0), (None, None)],
    )
    def test_svn(self, svn, expected):
        """
        The release's number is text or a number, or not there.
        """
        assert expected == verify(a_message(a_payload(svn=svn))).svn

    @pytest.mark.parametrize(
        "svn", ["", "-1", "1.0", " 1", "x", -1, True, [1], 10**18, "1" * 19]
    )
    def test_other_svn(self, svn):
        """
        It is nothing else.
        """
        refused(a_message(a_payload(svn=svn)), "guestsvn is", "uvm-payload")

    @pytest.mark.parametrize(
        "measurement", [None, "", "00" * 47, "0g" * 48, 5, "00" * 49]
    )
    def test_no_measurement(self, measurement):
        """
        There is a measurement in it.
        """
        raw = a_message(a_payload(measurement=measurement))

        refused(raw, "expected 96 digits", "uvm-payload")

    @pytest.mark.parametrize(
        ("payload", "match"),
        [
            (b"", "not JSON"),
            (b"[]", "no JSON object"),
            (b"{}{}", "not JSON"),
            (f'{{"{NAME}": "", "{NAME}": ""}}'.encode(), "twice"),
        ],
    )
    def test_no_object(self, payload, match):
        """
        It is JSON that has one meaning.
        """
        refused(a_message(payload), match, "uvm-payload")

    def test_more(self):
        """
        What else it says does not matter.
        """
        more = {**json.loads(a_payload()), "x-ms-maa-api-version": "2022-01-01"}

        assert verify(a_message(json.dumps(more).encode()))


class TestAnything:
    @given(
        at=st.integers(0, len(MESSAGE) - 1),
        change=st.binary(min_size=1, max_size=3),
    )
    def test_changed(self, at, change):
        """
        A message that was changed anywhere is refused by name, or is one of
        which nothing is known.
        """
        raw = MESSAGE[:at] + change + MESSAGE[at + len(change) :]
        with contextlib.suppress(MalformedError, UntrustedError):
            assert verify(raw) is None or MESSAGE == raw


def _der(certificate):
    return certificate.public_bytes(Encoding.DER)
