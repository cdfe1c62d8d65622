import hashlib

from datetime import timedelta

import pytest

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.services.made import INTEL, NOW, der
from thim.errors import OperatorError, ParameterError
from thim.intel.authorities import Authority
from thim.services.trust import check_root, parse_root
from thim.simulate.pki import ROOT_UNTIL, SINCE, Intel
from thim.x509.chain import to_pem


DAY = timedelta(days=1)
ROOT = INTEL.root
DIGEST = hashlib.sha256(der(ROOT)).hexdigest()


def check(root, now=NOW):
    """
    Check *root* under its own digest.
    """
    check_root(root, hashlib.sha256(der(root)).hexdigest(), now)


class TestParse:
    @pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
    def test_good(self, encoding):
        """
        One certificate, in DER or in PEM.
        """
        assert ROOT == parse_root(ROOT.public_bytes(encoding))

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"nonsense",
            der(ROOT)[:-1],
            der(ROOT) + b"\0",
            to_pem(INTEL.certificates),
            to_pem([ROOT]) * 2,
            to_pem([ROOT])[:200],
            b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            INTEL.root_crl(),
        ],
    )
    def test_bad(self, content):
        """
        Whatever else is refused by name.
        """
        with pytest.raises(OperatorError, match="expected one cert") as caught:
            parse_root(content)
        assert "trust-file" == caught.value.reason


class TestDigest:
    @pytest.mark.parametrize(
        "digest",
        [
            DIGEST,
            DIGEST.upper(),
            ":".join(DIGEST.upper()[i : i + 2] for i in range(0, 64, 2)),
        ],
    )
    def test_written(self, digest):
        """
        The digest may be written in either case, and with colons.
        """
        check_root(ROOT, digest, NOW)

    @pytest.mark.parametrize(
        "digest",
        ["", DIGEST[:-1], DIGEST + "0", "x" * 64, f" {DIGEST}", "٨" * 64],
    )
    def test_none(self, digest):
        """
        What is no digest is said to be none.
        """
        with pytest.raises(ParameterError, match="expected 64 hexadecimal"):
            check_root(ROOT, digest, NOW)

    def test_of_another(self):
        """
        The digest of another certificate is said to be that, with the right
        one beside it.
        """
        with pytest.raises(ParameterError, match=f"'s is {DIGEST}"):
            check_root(ROOT, "0" * 64, NOW)


class TestRoot:
    @pytest.mark.parametrize("now", [SINCE, NOW, ROOT_UNTIL])
    def test_good(self, now):
        """
        A root is good from its first instant to its last.
        """
        check(ROOT, now)

    def test_another_key(self):
        """
        A root with a new key is a root: that is what it is all about.
        """
        check(Intel("new").root)

    @pytest.mark.parametrize(
        ("now", "words"),
        [
            (SINCE - timedelta(seconds=1), "it is valid 2018"),
            (ROOT_UNTIL + timedelta(seconds=1), "to 2049-12-31T23:59:59Z"),
        ],
    )
    def test_dates(self, now, words):
        """
        Neither before nor afterwards.
        """
        with pytest.raises(OperatorError, match=words):
            check(ROOT, now)

    @pytest.mark.parametrize(
        ("root", "words"),
        [
            (INTEL.platform_ca, "its name is not 'Intel SGX Root CA'"),
            (INTEL.signer, "its name is not"),
            (
                INTEL.certificate(Authority.ROOT, name="Intel SGX Root CA 2"),
                "its name is not",
            ),
            (
                INTEL.certificate(
                    Authority.ROOT, issuer=Authority.PCK_PLATFORM
                ),
                "it does not sign itself",
            ),
            (
                INTEL.certificate(
                    Authority.ROOT, key=Intel("other").key(Authority.ROOT)
                ),
                "it does not sign itself",
            ),
            (INTEL.certificate(Authority.ROOT, is_ca=False), "it is not a CA"),
            (
                INTEL.certificate(
                    Authority.ROOT, key=ec.generate_private_key(ec.SECP384R1())
                ),
                "P-256",
            ),
        ],
        ids=[
            "another authority",
            "signer",
            "another name",
            "issued by another",
            "signed by another",
            "no CA",
            "another curve",
        ],
    )
    def test_none(self, root, words):
        """
        What cannot be a root of Intel's is refused, whatever its digest.
        """
        with pytest.raises(OperatorError, match=words) as caught:
            check(root)
        assert "trust-root" == caught.value.reason
