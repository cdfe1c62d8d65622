import hashlib

from tests.made_amd import CHIP, endorsement, vcek, vlek


class TestHolder:
    def test_of_a_vcek(self):
        """
        A VCEK is its chip's.
        """
        assert CHIP == endorsement(vcek()).holder

    def test_of_a_vlek(self):
        """
        A VLEK is its provider's.
        """
        assert b"a provider" == endorsement(vlek()).holder


class TestDigest:
    def test_of_the_certificate(self):
        """
        The digest is that of the whole certificate.
        """
        der = vcek()

        assert hashlib.sha256(der).digest() == endorsement(der).sha256
