"""
Trust in a vendor's root: what is pinned, and how a new one is taken in.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.errors import OperatorError, ParameterError, ThimError
from thim.intel.authorities import Authority, authority_of
from thim.x509.chain import (
    is_ca,
    is_issued_by,
    parse_certificate,
    parse_pem_chain,
)
from thim.x509.ecdsa import p256_key


if TYPE_CHECKING:
    from datetime import datetime

_DIGEST: Final = re.compile("[0-9a-fA-F]{64}")
#: Far more than any certificate has.
MOST_BYTES: Final = 64 * 1024


def parse_root(content: bytes) -> x509.Certificate:
    """
    Read the one certificate, DER or PEM, that *content* holds.

    Raises:
        OperatorError: It holds anything else.
    """
    try:
        if b"-----BEGIN" not in content:
            return parse_certificate(content)
        (root,) = parse_pem_chain(content)
    except (ThimError, ValueError) as e:
        msg = f"expected one certificate, PEM or DER ({e})"
        raise OperatorError(msg, reason="trust-file") from e
    return root


def check_root(root: x509.Certificate, fingerprint: str, now: datetime) -> None:
    """
    Check that *root* is what the operator says, and can be an Intel root.

    1. *fingerprint* is the SHA-256 digest of its DER, in hexadecimal digits
       with or without colons, as ``openssl x509 -fingerprint`` prints it.
    2. It has the name of Intel's SGX Root CA, a P-256 key, and signs itself.
    3. It is a CA, and valid at *now*.

    Raises:
        ParameterError: The digest is none, or another certificate's.
        OperatorError: It cannot be a root.
    """
    digits = fingerprint.replace(":", "").lower()
    if not _DIGEST.fullmatch(digits):
        expected = "expected 64 hexadecimal digits"
        raise ParameterError("--sha256", fingerprint, expected)
    digest = hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest()
    if not hmac.compare_digest(digest, digits):
        expected = f"but the certificate's is {digest}"
        raise ParameterError("--sha256", digits, expected)
    _check_is_root(root, now)


def _check_is_root(root: x509.Certificate, now: datetime) -> None:
    try:
        p256_key(root)
    except ThimError as e:
        raise OperatorError(str(e), reason="trust-root") from e
    first, last = root.not_valid_before_utc, root.not_valid_after_utc
    problems = {
        f"its name is not {Authority.ROOT.value!r}": authority_of(root)
        is not Authority.ROOT,
        "it does not sign itself": not is_issued_by(root, root),
        "it is not a CA": not is_ca(root),
        f"it is valid {first:%FT%TZ} to {last:%FT%TZ}": not (
            first <= now <= last
        ),
    }
    for problem, is_so in problems.items():
        if is_so:
            msg = f"not a root of Intel's: {problem}"
            raise OperatorError(msg, reason="trust-root")
