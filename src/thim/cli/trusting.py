"""
What clients have to be told: how to trust a private CA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes

from thim.x509.chain import common_name


if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate

_TEXT: Final = """\
Clients trust it once they have the file {ca} (in it is no secret;
SHA-256 {fingerprint}):
  Debian, Ubuntu   cp {name} /usr/local/share/ca-certificates/{stored}.crt
                   update-ca-certificates
  RHEL, Fedora     cp {name} /etc/pki/ca-trust/source/anchors/{stored}.pem
                   update-ca-trust
  Windows          certutil -addstore Root {name}
  one process      {bundle}SSL_CERT_FILE={used} (OpenSSL, Go), or
                   REQUESTS_CA_BUNDLE={used} (Python's requests);
                   either takes the place of all other CAs there
Intel's QCNL and Azure's DCAP client use the system's store."""


def how_to_trust(ca: Certificate, path: Path) -> str:
    """
    Say how clients come to trust *ca*, which is in *path*.
    """
    return _fill(ca, path, stored="thim", bundle="", used=path.name)


def how_to_trust_next(ca: Certificate, path: Path, before: Path) -> str:
    """
    Say how clients come to trust *ca*, which is in *path*, beside the one in
    *before*: in a file of its own, because Debian and Windows take one
    certificate from each.
    """
    bundle = f"cat {before.name} {path.name} > both.pem, then\n{' ' * 19}"
    name = common_name(ca.subject).rpartition(" ")[2]
    return _fill(
        ca, path, stored=f"thim-{name}", bundle=bundle, used="both.pem"
    )


def _fill(ca: Certificate, path: Path, **words: str) -> str:
    digits = ca.fingerprint(hashes.SHA256()).hex(":").upper()
    return _TEXT.format(ca=path, name=path.name, fingerprint=digits, **words)
