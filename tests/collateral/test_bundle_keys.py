"""
Keys of bundles: they sign, and open what was sealed for them.
"""

import hashlib

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.collateral.bundle_keys import PublicKey, SecretKey
from thim.errors import MalformedError, UntrustedError


KEY = SecretKey(bytes(range(32)))
OTHER = SecretKey(bytes(32))


def test_texts():
    """A key is read back from its text."""
    assert KEY.public == PublicKey.from_text(f" {KEY.public.text}\n")
    assert KEY.public == SecretKey.from_text(KEY.text).public


def test_fingerprint():
    """The fingerprint pins both halves."""
    assert hashlib.sha256(KEY.public.raw).hexdigest() == KEY.public.fingerprint


@pytest.mark.parametrize(
    "text",
    ["", "thim-bundle-key-1:", "thim-bundle-key-1:AAAA", "thim-bundle-key-1:ä"],
)
def test_no_public_key(text):
    """What is no public key is refused."""
    with pytest.raises(MalformedError, match="bundle key"):
        PublicKey.from_text(text)


def test_no_secret_told():
    """A secret key that cannot be read is not repeated."""
    with pytest.raises(MalformedError) as e:
        SecretKey.from_text("thim-bundle-secret-1:c2VjcmV0")
    assert "c2VjcmV0" not in str(e.value)


def test_public_is_no_secret():
    """A public key is not taken for a secret one."""
    with pytest.raises(MalformedError, match="thim-bundle-secret-1:"):
        SecretKey.from_text(KEY.public.text)


@given(st.binary(max_size=1000), st.binary(max_size=20))
def test_sealed(content, context):
    """What was sealed for a key is opened by it."""
    sealed = KEY.public.seal(content, context)

    assert content == KEY.open(sealed, context)


def test_sealed_for_another():
    """What was sealed for another key is not opened."""
    with pytest.raises(UntrustedError) as e:
        OTHER.open(KEY.public.seal(b"1", b""), b"")
    assert "bundle-sealed" == e.value.reason


def test_sealed_as_something_else():
    """What was sealed as something else is not opened."""
    with pytest.raises(UntrustedError, match="another key"):
        KEY.open(KEY.public.seal(b"1", b"one"), b"other")


@given(st.data())
def test_sealed_and_changed(data):
    """What was changed since it was sealed is not opened."""
    sealed = bytearray(KEY.public.seal(b"manifest", b""))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises(UntrustedError):
        KEY.open(bytes(sealed), b"")


@given(st.binary(max_size=64))
def test_sealed_anything(raw):
    """What was never sealed is not opened."""
    with pytest.raises(UntrustedError):
        KEY.open(raw, b"")


def test_no_point():
    """Nothing is sealed for a key that is no key."""
    with pytest.raises(MalformedError, match="curve"):
        PublicKey(bytes(64)).seal(b"1", b"")


def test_signature():
    """A signature is one key's alone, of one content alone."""
    signature = KEY.sign(b"1")

    KEY.public.verify(signature, b"1")
    for key, content in ((KEY, b"2"), (OTHER, b"1")):
        with pytest.raises(UntrustedError):
            key.public.verify(signature, content)
