"""
What `thim init` puts where, and the configuration that says so.
"""

from __future__ import annotations

import dataclasses
import json
import os

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.cli.config import DEFAULT_FILE
from thim.errors import OperatorError
from thim.services.pki import PkiFiles
from thim.store.location import default_location


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.cli.values import Address
    from thim.http.certificate import CertificateFiles
    from thim.x509.issue import Host

_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - to know them
_SYSTEM_FOLDER: Final = Path("/var/lib/thim")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """
    What is where.

    *provided* is the operator's own certificate; without it a private CA
    issues one for *hosts*.
    """

    folder: Path
    config: Path
    store: Path
    listen: Address
    provided: CertificateFiles | None
    hosts: Sequence[Host]

    @property
    def token(self) -> Path:
        """Where the first admin token is."""
        return self.folder / "admin.token"

    @property
    def key(self) -> Path:
        """Where the sealing key is: it belongs to the store."""
        return self.store.with_name("thim.key")

    @property
    def pki(self) -> PkiFiles:
        """Where the private CA is, and its server's certificate."""
        return PkiFiles(
            ca_cert=self.folder / "ca.pem",
            ca_key=self.folder / "ca.key",
            cert=self.folder / "server.pem",
            key=self.folder / "server.key",
        )

    @property
    def url(self) -> str | None:
        """
        What the attestation service calls itself, where it would not know that
        by the address it listens on.
        """
        if self.listen.host not in _EVERYWHERE or not self.hosts:
            return None
        name = str(self.hosts[0].value).lower()
        host = f"[{name}]" if ":" in name else name
        port = "" if self.listen.port == _HTTPS else f":{self.listen.port}"
        return f"https://{host}{port}"

    def check_is_new(self) -> None:
        """
        Check that nothing is there that would be written.

        Raises:
            OperatorError: Something is; the message lists it.
        """
        pki = () if self.provided else dataclasses.astuple(self.pki)
        files = (self.token, *pki, self.config)
        found = [str(path) for path in files if os.path.lexists(path)]
        if not found:
            return
        if str(self.config) in found:
            hint = f"`thim serve --config {self.config}` uses it"
        else:
            hint = "if another `thim init` was cut off, delete them"
        msg = (
            f"nothing was changed, because this is there already: "
            f"{', '.join(found)}; {hint}, or choose another --folder"
        )
        raise OperatorError(msg, reason="init-exists")

    def to_json(self) -> dict[str, object]:
        """
        Write what is where, for a program.
        """
        return {
            "config": str(self.config),
            "store": str(self.store),
            "key_file": str(self.key),
            "token_file": str(self.token),
            "ca_cert": None if self.provided else str(self.pki.ca_cert),
            "listen": str(self.listen),
        }

    def to_toml(self) -> str:
        """
        Write the configuration.
        """
        tls = (
            (self.provided.cert, self.provided.key)
            if self.provided
            else (self.pki.cert, self.pki.key)
        )
        values = {
            "store": self.store,
            "key_file": self.key,
            "listen": self.listen,
            "tls_cert": tls[0],
            "tls_key": tls[1],
        }
        if self.url is not None:
            values["attestation_url"] = self.url
        if not self.provided:
            values["tls_ca_cert"] = self.pki.ca_cert
            values["tls_ca_key"] = self.pki.ca_key
        lines = [_line(name, value) for name, value in values.items()]
        key = _line("api_key_file", self.folder / "pcs.key")
        return "\n".join([_MARK, *lines, _UPSTREAM, f"# {key}", ""])


#: Nobody writes it, and an issuer is compared to the letter.
_HTTPS: Final = 443
_MARK: Final = (
    "# By `thim init`. `thim config show` lists all settings there are."
)
#: Last, since what follows a table in TOML belongs to it.
_UPSTREAM: Final = """
# Intel gives PCK certificates to those who have an API key. Put yours into a
# file (mode 600) and take the marks off these lines, which stay the last ones:
# [[intel_upstreams]]
# url = "https://api.trustedservices.intel.com\""""


def _line(name: str, value: object) -> str:
    # JSON's strings are TOML's, as long as nothing is spelt \uD800.
    return f"{name} = {json.dumps(str(value), ensure_ascii=False)}"


def find_places(folder: Path | None, config: Path | None) -> tuple[Path, Path]:
    """
    Return the folder and the configuration of a layout, as they were named or
    by default.
    """
    if folder is not None:
        folder = folder.expanduser().absolute()
        default = folder / DEFAULT_FILE.name
    elif os.geteuid() == 0:
        folder, default = _SYSTEM_FOLDER, DEFAULT_FILE
    else:
        folder = default_location(os.environ).parent
        default = folder / DEFAULT_FILE.name
    return folder, config.expanduser().absolute() if config else default
