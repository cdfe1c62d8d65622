"""
Quote appraisal policies, read and verified.
"""

import hashlib
import json

import pytest

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.intel.policies import (
    SGX,
    TD_QE,
    TDX_1_0,
    TDX_1_5,
    encode,
    jwk,
    leave_unsigned,
    sign,
)
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.intel.appraisal_policy import AppraisalPolicy, PolicyType


read = AppraisalPolicy.from_jwt


@pytest.mark.parametrize(
    ("class_ids", "expected"),
    [
        ((SGX,), PolicyType.SGX),
        ((SGX.upper(),), PolicyType.SGX),
        ((TDX_1_0,), PolicyType.TDX_1_0),
        ((TD_QE, TDX_1_5), PolicyType.TDX_1_5),
        ((TDX_1_5, TD_QE), PolicyType.TDX_1_5),
        ((SGX, TDX_1_0), PolicyType.SGX),
    ],
)
def test_type(class_ids, expected):
    """
    The first part that is not the TD's quoting enclave says what it is for.
    """
    assert expected is read(sign(*class_ids)).type


def test_id():
    """
    Its ID is the SHA-384 digest of its text.
    """
    text = sign(SGX)

    assert hashlib.sha384(text.encode()).hexdigest() == read(text).id
    assert text == read(text).text


@pytest.mark.parametrize("key", [jwk(), json.dumps(jwk())])
def test_key(key):
    """
    The key in the header may be JSON within a string, as Intel writes it.
    """
    assert PolicyType.SGX is read(sign(SGX, header={"jwk": key})).type


def test_unsigned():
    """
    A policy that nobody signed is refused.
    """
    with pytest.raises(UntrustedError, match="nobody signed") as caught:
        read(leave_unsigned(SGX))
    assert "unsigned" == caught.value.reason


@pytest.mark.parametrize(
    "text",
    [
        sign(SGX, key=ec.derive_private_key(1, ec.SECP384R1())),
        sign(SGX).rpartition(".")[0] + "." + encode(bytes(96)),
        sign(SGX).rpartition(".")[0] + "." + encode(bytes(95)),
        sign(SGX).rpartition(".")[0] + ".",
    ],
)
def test_forged(text):
    """
    Nor is one taken that the key in its header did not sign.
    """
    with pytest.raises(UntrustedError) as caught:
        read(text)
    assert "signature-invalid" == caught.value.reason


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "JSON Web Token"),
        ("a.b", "JSON Web Token"),
        ("a.b.c.d", "JSON Web Token"),
        ("a.b.é", "JSON Web Token"),
        (sign(SGX) + "\n", "JSON Web Token"),
        ("a.b.c", "base64url"),
        (sign(SGX, header={"alg": "ES256"}), "alg is 'ES256'"),
        (sign(SGX, header={"alg": "HS256"}), "alg is 'HS256'"),
        (sign(SGX, header={"typ": "x"}), "alg"),
        (sign(SGX, header={"jwk": None}), "jwk"),
        (sign(SGX, header={"jwk": {**jwk(), "crv": "P-256"}}), "crv"),
        (sign(SGX, header={"jwk": {**jwk(), "y": "AA"}}), "not a point"),
        (sign(SGX, payload={}), "policy_payload"),
        (sign(SGX, payload={"policy_payload": "{}"}), "policy_array"),
        (sign(SGX, payload={"policy_payload": "{"}), "not JSON"),
        (sign(), "no class_id"),
        (sign(TD_QE), "no class_id"),
        (sign("x"), "unknown"),
    ],
)
def test_refused(text, named):
    """
    What is no policy is refused by name.
    """
    with pytest.raises(MalformedError, match=named):
        read(text)


@given(st.data())
def test_changed(data):
    """
    Whatever is changed in a policy, it is refused, and in no other way.
    """
    text = sign(SGX)
    # The last character of each part may stand for the same octets.
    ends = {i - 1 for i, c in enumerate(f"{text}.") if c == "."}
    places = [i for i, c in enumerate(text) if c != "." and i not in ends]
    place = data.draw(st.sampled_from(places))
    letter = data.draw(st.sampled_from(sorted("aB3_-.é" + "\0")))
    if text[place] == letter:
        return

    with pytest.raises(ThimError):
        read(text[:place] + letter + text[place + 1 :])
