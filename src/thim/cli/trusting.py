"""
What clients have to be told: how to trust a private CA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes


if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate

_TEXT: Final = """\
Clients trust it once they have the file {ca} (in it is no secret;
SHA-256 {fingerprint}):
  Debian, Ubuntu   cp {name} /usr/local/share/ca-certificates/thim.crt
                   update-ca-certificates
  RHEL, Fedora     cp {name} /etc/pki/ca-trust/source/anchors/thim.pem
                   update-ca-trust
  Windows          certutil -addstore Root {name}
  one process      SSL_CERT_FILE={name} (OpenSSL, Go), or
                   REQUESTS_CA_BUNDLE={name} (Python's requests);
                   either takes the place of all other CAs there
Intel's QCNL and Azure's DCAP client use the system's store."""


def how_to_trust(ca: Certificate, path: Path) -> str:
    """
    Say how clients come to trust *ca*, which is in *path*.
    """
    digits = ca.fingerprint(hashes.SHA256()).hex(":").upper()
    return _TEXT.format(ca=path, name=path.name, fingerprint=digits)
