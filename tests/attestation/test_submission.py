"""
Bodies that ask for an attestation, as clients send them and as nobody should.
"""

import base64
import binascii
import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.attestation.sent import held, submit, to_base64url, write_body
from thim.attestation.evidence import MAX_SIZE
from thim.attestation.kind import ATTESTED, AttestationType
from thim.attestation.submission import (
    EVIDENCE_MEMBERS,
    MAX_BODY_SIZE,
    MAX_DRAFT_SIZE,
    MAX_INIT_TIME_SIZE,
    MAX_NONCE_LENGTH,
    MAX_RUNTIME_SIZE,
    SubmissionError,
    decode_base64,
    read_submission,
)


SGX = AttestationType.SGX_ENCLAVE
TDX = AttestationType.TDX_VM
KINDS = sorted(ATTESTED, key=lambda each: each.value)
QUOTE = b"\xfb\xff\xfe a quote"
#: What has another length in base64 without padding.
DATA = [b"\xfb", b"\xfb\xff", b"\xfb\xff\xfe"]
DRAFT = "version=1.0; authorizationrules{=> permit();};"


def error(body, kind=SGX):
    """
    Read a body that cannot be used; return the error.
    """
    with pytest.raises(SubmissionError) as caught:
        read_submission(kind, body)
    return caught.value


def error_with(kind=SGX, **members):
    """
    Read a body with *members* that cannot be used; return the error.
    """
    return error(write_body(kind, QUOTE, **members), kind)


class TestReadSubmission:
    @pytest.mark.parametrize("kind", KINDS)
    def test_evidence(self, kind):
        """
        The evidence is the member that the API has for the kind, and nothing
        else need be there.
        """
        found = submit(kind, QUOTE)

        assert (kind, QUOTE) == (found.type, found.evidence)
        assert (None,) * 4 == (
            found.runtime,
            found.init_time,
            found.nonce,
            found.draft,
        )

    def test_all(self):
        """
        All that a body can hold is read.
        """
        found = submit(
            SGX,
            QUOTE,
            runtimeData=held(b'{"b":1,"a":2}', "JSON"),
            initTimeData=held(b"data"),
            nonce="0123",
            draftPolicyForAttestation=DRAFT,
        )

        assert found.runtime is not None
        assert found.init_time is not None
        assert ['{"a": 2, "b": 1}', b"data", "0123", DRAFT] == [
            json.dumps(found.runtime.value),
            found.init_time.data,
            found.nonce,
            found.draft,
        ]

    @pytest.mark.parametrize("given", [None, {}, {"data": None}, {"data": ""}])
    @pytest.mark.parametrize("member", ["runtimeData", "initTimeData"])
    def test_absent_data(self, member, given):
        """
        Data that are null or empty are not there.
        """
        found = submit(SGX, QUOTE, **{member: given})

        assert (None, None) == (found.runtime, found.init_time)

    def test_type_without_data(self):
        """
        Init-time data of which only the type is there are not there: that is
        what Azure's client for Python sends.
        """
        found = submit(SGX, QUOTE, initTimeData={"dataType": "JSON"})

        assert None is found.init_time

    @pytest.mark.parametrize("given", [None, ""])
    def test_absent_texts(self, given):
        """
        A draft or nonce that is null or empty is not there, nor is a draft
        where none may be.
        """
        absent = {"draftPolicyForAttestation": given, "nonce": given}
        for kind in (SGX, TDX):
            found = submit(kind, QUOTE, **absent)
            assert (None, None) == (found.draft, found.nonce)

    def test_unknown_members(self):
        """
        Members of later versions are passed over, whatever they hold.
        """
        later = {"later": [1.5, {"a": None}], "runtimeData": {"x": 1}}
        assert QUOTE == submit(SGX, QUOTE, **later).evidence

    @pytest.mark.parametrize("name", ["JSON", "json", "Json"])
    def test_json_in_any_case(self, name):
        """
        The type of data may be in any letter case.
        """
        found = submit(SGX, QUOTE, runtimeData=held(b"{}", name)).runtime

        assert found is not None
        assert found.is_json

    @pytest.mark.parametrize("name", ["Binary", "binary", None])
    def test_binary(self, name):
        """
        Data are bytes if that is said, or nothing.
        """
        found = submit(SGX, QUOTE, runtimeData=held(b"{}", name)).runtime

        assert found is not None
        assert not found.is_json

    @pytest.mark.parametrize("data", DATA)
    def test_base64(self, data):
        """
        Base64 is read in both alphabets, with padding and without.
        """
        url, standard = (
            encode(data).decode()
            for encode in (base64.urlsafe_b64encode, base64.b64encode)
        )
        for text in (url, standard, url.rstrip("="), standard.rstrip("=")):
            assert data == decode_base64(text, "quote", 3)

    @given(
        st.text(alphabet="AQgw+/-_=\n é", max_size=12)
        | st.text(max_size=12)
        | st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode())
    )
    def test_strict_base64(self, text):
        """
        What is base64 is decided as the standard library does, strictly.
        """
        digits = text.rstrip("=")
        padded = digits + "=" * (-len(digits) % 4)
        standard = padded.replace("-", "+").replace("_", "/")
        try:
            expected = binascii.a2b_base64(standard, strict_mode=True)
            assert len(text) - len(digits) <= 2
        except (ValueError, AssertionError):
            expected = None
        try:
            found = decode_base64(text, "quote", 40)
        except SubmissionError:
            found = None

        assert expected == found

    @given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
    def test_any_bytes(self, body):
        """
        Whatever the body is, nothing is raised but our error.
        """
        with pytest.raises(SubmissionError):
            read_submission(SGX, body)

    @given(
        st.sampled_from(KINDS),
        st.dictionaries(
            st.sampled_from(
                [
                    "quote",
                    "report",
                    "runtimeData",
                    "initTimeData",
                    "nonce",
                    "draftPolicyForAttestation",
                ]
            ),
            st.none()
            | st.integers()
            | st.text(max_size=9)
            | st.lists(st.integers(), max_size=2)
            | st.dictionaries(
                st.sampled_from(["data", "dataType"]),
                st.none()
                | st.integers()
                | st.sampled_from(["JSON", "Binary", "e30", "W10", "-_", "+/"])
                | st.text(max_size=5),
            ),
        ),
    )
    def test_any_members(self, kind, members):
        """
        Whatever the members are, there is a submission or our error.
        """
        try:
            found = read_submission(kind, json.dumps(members).encode())
        except SubmissionError:
            return
        assert found.evidence


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"", "not JSON"),
            (b"null", "expected a JSON object"),
            (b"[]", "expected a JSON object"),
            (b'{"quote":"AA","quote":"AA"}', "key 'quote' stands twice"),
            (b'{"quote":"AA"} {}', "not JSON"),
            (b'\xef\xbb\xbf{"quote":"AA"}', "not JSON"),
            (b'{"quote":"\xff"}', "not JSON"),
            (b"[" * 9999, "not JSON"),
            (b" " * (MAX_BODY_SIZE + 1), "at most 1048576"),
        ],
    )
    def test_body(self, body, why):
        """
        A body that is no JSON object, or could be read in two ways, is
        refused.
        """
        found = error(body)

        assert ("body", "InvalidParameter") == (found.member, found.code)
        assert why in str(found)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("given", [None, "", "=="])
    def test_no_evidence(self, kind, given):
        """
        Evidence that is not there, or empty, is an error that names its
        member.
        """
        member = EVIDENCE_MEMBERS[kind]
        found = error(json.dumps({member: given}).encode(), kind)

        assert member == found.member
        assert "expected evidence in base64url" in str(found)

    def test_other_member(self):
        """
        Evidence in the member of another kind is no evidence.
        """
        body = write_body(SGX, QUOTE)
        assert "report" == error(body, AttestationType.OPEN_ENCLAVE).member

    @pytest.mark.parametrize("given", [1, True, [], {}, ["AA"]])
    @pytest.mark.parametrize(
        "member", ["quote", "nonce", "draftPolicyForAttestation"]
    )
    def test_no_text(self, member, given):
        """
        A member that must be text and is something else is refused.
        """
        found = error_with(**{member: given})

        assert member == found.member
        assert "expected a string" in str(found)

    @pytest.mark.parametrize("given", [0, False, "AA", []])
    @pytest.mark.parametrize("member", ["runtimeData", "initTimeData"])
    def test_no_object(self, member, given):
        """
        Data that are no object are refused.
        """
        found = error_with(**{member: given})

        assert member == found.member
        assert "expected an object with data and dataType" in str(found)

    @pytest.mark.parametrize("name", ["Text", "", 1, ["JSON"], "JSON "])
    def test_unknown_type(self, name):
        """
        A type of data that is unknown is refused.
        """
        found = error_with(runtimeData=held(b"{}", name))

        assert "runtimeData.dataType" == found.member
        assert "expected Binary or JSON" in str(found)

    @pytest.mark.parametrize(
        ("text", "bad"),
        [
            ("AA.A", "'.'"),
            ("AA.AA", "'.'"),
            ("AA\nA", r"'\n'"),
            ("AAé", "'é'"),
            ("A٣A", "'٣'"),
        ],
    )
    def test_bad_character(self, text, bad):
        """
        A character that base64url does not have is named, with the member and
        Azure's code for it.
        """
        found = error(json.dumps({"quote": text}).encode())

        assert ("quote", "InvalidOperation") == (found.member, found.code)
        assert f"which has no {bad}" in str(found)

    @pytest.mark.parametrize("text", ["A", "AAAAA", "AA===", "A=A=", "AA=A"])
    def test_bad_length(self, text):
        """
        Base64url cut off, or with padding where none belongs, is refused.
        """
        found = error_with(runtimeData={"data": text, "dataType": "Binary"})

        assert "runtimeData.data" == found.member
        assert "InvalidOperation" == found.code

    def test_json_that_is_none(self):
        """
        Data that are said to be JSON and are no object are refused.
        """
        for data in (b"[1]", b"{", b'{"a":1,"a":1}'):
            found = error_with(initTimeData=held(data, "JSON"))
            assert "initTimeData.data" == found.member
            assert "as its dataType says" in str(found)

    def test_draft_for_td(self):
        """
        A TD's attestation takes no draft policy, and says so.
        """
        found = error_with(TDX, draftPolicyForAttestation=DRAFT)

        assert "draftPolicyForAttestation" == found.member
        assert "TdxVm takes no draft policy" in str(found)

    def test_half_a_character(self):
        """
        Text that cannot be written in UTF-8 is refused.
        """
        body = b'{"quote":"AA","nonce":"\\ud83d"}'
        assert "nonce" == error(body).member


class TestLimits:
    """
    What is at its limit is taken, and one byte more is not.
    """

    def test_evidence(self):
        """
        Evidence may be as long as any that is recognised.
        """
        assert MAX_SIZE == len(submit(SGX, bytes(MAX_SIZE)).evidence)
        for more in (1, 2, 3, 4):
            body = write_body(SGX, bytes(MAX_SIZE + more))
            assert "quote" == error(body).member

    @pytest.mark.parametrize(
        ("member", "most"),
        [
            ("runtimeData", MAX_RUNTIME_SIZE),
            ("initTimeData", MAX_INIT_TIME_SIZE),
        ],
    )
    def test_data(self, member, most):
        """
        Runtime data may have 64 KiB, init-time data 256.
        """
        submit(SGX, QUOTE, **{member: held(bytes(most))})
        found = error_with(**{member: held(bytes(most + 1))})
        assert f"{member}.data" == found.member
        assert f"at most {most} bytes" in str(found)

    def test_all_at_once(self):
        """
        All that may be sent may be sent at once.
        """
        found = submit(
            SGX,
            bytes(MAX_SIZE),
            runtimeData=held(bytes(MAX_RUNTIME_SIZE)),
            initTimeData=held(bytes(MAX_INIT_TIME_SIZE)),
            nonce="n" * MAX_NONCE_LENGTH,
            draftPolicyForAttestation="d" * MAX_DRAFT_SIZE,
        )
        assert found.draft is not None

    def test_texts(self):
        """
        A nonce may have 1024 characters, a draft 64 KiB in UTF-8.
        """
        assert "nonce" == error_with(nonce="n" * 1025).member
        for draft in (
            "d" * (MAX_DRAFT_SIZE + 1),
            "ü" * (MAX_DRAFT_SIZE // 2 + 1),
        ):
            found = error_with(draftPolicyForAttestation=draft)
            assert "draftPolicyForAttestation" == found.member

    def test_messages_are_short(self):
        """
        No message repeats what was sent at length.
        """
        for found in (
            error_with(nonce="n" * 5000),
            error_with(runtimeData=[to_base64url(bytes(5000))] * 9),
            error_with(quote="." * 5000),
        ):
            assert len(str(found)) < 300


class TestManyParts:
    """
    What takes long to read for its size.
    """

    @pytest.mark.parametrize("part", [b"[]", b"{}", b"1", b'{"":[[]]}'])
    def test_too_many(self, part):
        """
        A body of many small values is refused before it is read.
        """
        body = b'{"x":[' + b",".join([part] * 70_000) + b"]}"

        assert "members and elements" in str(error(body))

    def test_a_draft_has_none(self):
        """
        A draft may be as long as it may, whatever is in it.
        """
        draft = "," * MAX_DRAFT_SIZE

        assert (
            draft == submit(SGX, QUOTE, draftPolicyForAttestation=draft).draft
        )
