import itertools

import pytest

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from thim.simulate.rsa_keys import make_keys


PSS = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
#: The seeds that stand for strangers to one another, here and in tests.
SEEDS = ("default", "default, moved", "amd", "other", "mine", "mine, moved")


def public_of(key) -> rsa.RSAPublicKey:
    """
    Return the public key as a library reads it.
    """
    public = load_der_public_key(key.spki)
    assert isinstance(public, rsa.RSAPublicKey)
    return public


class TestKeys:
    def test_form(self):
        """
        Each key has 4096 bits and the usual exponent, and is written as
        another library writes it.
        """
        for key in make_keys("default"):
            public = public_of(key)
            written = public.public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            )
            assert key.spki == written
            assert (4096, 65537) == (
                public.key_size,
                public.public_numbers().e,
            )

    def test_apart(self):
        """
        No two keys of a seed have a prime in common.
        """
        primes = [prime for k in make_keys("default") for prime in (k.p, k.q)]

        assert 64 == len({*primes})

    def test_same(self):
        """
        A seed has the same keys each time.
        """
        before = make_keys("default")
        make_keys.cache_clear()

        assert before == make_keys("default")

    @pytest.mark.parametrize(
        ("one", "other"), [*itertools.combinations(SEEDS, 2)]
    )
    def test_strangers(self, one, other):
        """
        Another seed has another key at each place.
        """
        keys = zip(make_keys(one), make_keys(other), strict=True)

        assert all({a.p, a.q} != {b.p, b.q} for a, b in keys)


class TestSign:
    @pytest.mark.parametrize("message", [b"", b"message", bytes(5000)])
    def test_holds(self, message):
        """
        A signature holds as RSASSA-PSS with AMD's parameters.
        """
        key = make_keys("default")[3]
        signature = key.sign(message, "seed")

        assert 512 == len(signature)
        public_of(key).verify(signature, message, PSS, hashes.SHA384())

    def test_other(self):
        """
        It holds for no other message and under no other key.
        """
        one, other = make_keys("default")[:2]
        signature = one.sign(b"message", "seed")
        for key, message in (one, b"massage"), (other, b"message"):
            with pytest.raises(InvalidSignature):
                public_of(key).verify(signature, message, PSS, hashes.SHA384())

    def test_same(self):
        """
        The same message has the same signature, of another seed another one.
        """
        key = make_keys("default")[0]

        assert key.sign(b"x", "one") == key.sign(b"x", "one")
        assert key.sign(b"x", "one") != key.sign(b"x", "two")
