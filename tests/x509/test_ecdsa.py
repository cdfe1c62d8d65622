import pytest

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from thim.errors import UntrustedError
from thim.intel.authorities import Authority
from thim.simulate.pki import Intel
from thim.x509.ecdsa import is_p256_signature, p256_key


INTEL = Intel()
KEY = INTEL.key(Authority.TCB_SIGNING)


def sign(signed):
    """
    Make a signature in the raw form: r and s.
    """
    r, s = utils.decode_dss_signature(
        KEY.sign(signed, ec.ECDSA(hashes.SHA256()))
    )
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class TestIsP256Signature:
    def test_genuine(self):
        """
        A signature that the key made over these bytes holds.
        """
        assert is_p256_signature(KEY.public_key(), sign(b"{}"), b"{}")

    @settings(max_examples=25)
    @given(st.integers(0, 511))
    def test_any_bit_of_the_signature_counts(self, i):
        """
        A signature with one bit changed holds no more.
        """
        flipped = int.from_bytes(sign(b"{}"), "big") ^ (1 << i)

        assert not is_p256_signature(
            KEY.public_key(), flipped.to_bytes(64, "big"), b"{}"
        )

    def test_other_bytes(self):
        """
        A signature holds for the very bytes that were signed only.
        """
        assert not is_p256_signature(KEY.public_key(), sign(b"{}"), b"{ }")

    def test_other_key(self):
        """
        A signature of another key is none.
        """
        other = INTEL.key("other").public_key()

        assert not is_p256_signature(other, sign(b"{}"), b"{}")

    @pytest.mark.parametrize("size", [0, 63, 65, 72])
    def test_other_size(self, size):
        """
        A raw signature has 64 bytes: no more, no less, and it is no DER.
        """
        signature = sign(b"{}").ljust(size, b"\0")[:size]

        assert not is_p256_signature(KEY.public_key(), signature, b"{}")

    def test_zero(self):
        """
        R and s of 0 are refused: they are out of range, not a wildcard.
        """
        assert not is_p256_signature(KEY.public_key(), bytes(64), b"{}")


class TestP256Key:
    def test_of_a_signer(self):
        """
        The key of a certificate is that which signs in its name.
        """
        expected = KEY.public_key().public_numbers()

        assert expected == p256_key(INTEL.signer).public_numbers()

    @pytest.mark.parametrize(
        "key",
        [
            ec.derive_private_key(7, ec.SECP384R1()),
            rsa.generate_private_key(65537, 2048),
        ],
        ids=["P-384", "RSA"],
    )
    def test_other_kind(self, key):
        """
        A signer with another kind of key is not trusted, nor tried.
        """
        certificate = INTEL.certificate(Authority.TCB_SIGNING, key=key)

        with pytest.raises(UntrustedError, match=r"not ECDSA P-256") as e:
            p256_key(certificate)

        assert "key-kind" == e.value.reason
