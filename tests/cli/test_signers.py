"""
How the keys are written whose bundles and requests count.
"""

import pytest

from thim.cli.signers import Signer, parse_signers
from thim.collateral.bundle_keys import SecretKey


KEY = SecretKey(bytes(32)).public
PRINT = KEY.fingerprint


@pytest.fixture
def file(tmp_path):
    """
    A file with a public key.
    """
    path = tmp_path / "key.pub"
    path.write_text(f"{KEY.text}\n")
    return path


def test_fingerprints():
    """Fingerprints may be a list, or one text."""
    expected = (Signer(KEY.digest), Signer(bytes(32)))

    assert expected == parse_signers([PRINT, "0" * 64])
    assert expected == parse_signers(f"{PRINT.upper()}, {'0' * 64}")


def test_file(file):
    """Of a file the key is known too; it is shown by its fingerprint."""
    (signer,) = parse_signers([str(file)])

    assert Signer(KEY.digest, KEY) == signer
    assert PRINT == str(signer)


def test_nobody():
    """Nobody may count."""
    assert () == parse_signers("none") == parse_signers([])


@pytest.mark.parametrize(
    "value", [7, [7], "", "12", ["/no/such/file"]], ids=repr
)
def test_neither(value):
    """What is neither is refused, saying what is expected."""
    with pytest.raises(ValueError, match="fingerprints of 64 hexadecimal"):
        parse_signers(value)


def test_secret_key(file):
    """A secret key in the file is refused and not repeated."""
    secret = SecretKey(bytes(32)).text
    file.write_text(secret)

    with pytest.raises(ValueError, match="thim-bundle-key-1") as e:
        parse_signers([str(file)])
    assert secret not in str(e.value)


def test_no_text(file):
    """What is no text is refused."""
    file.write_bytes(b"\xff" * 9)

    with pytest.raises(ValueError, match="fingerprints"):
        parse_signers([str(file)])
