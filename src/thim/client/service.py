"""
The service that clients are pointed at, and what they are told about it.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse

from typing import Final

from thim.errors import OperatorError


_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
    r"(?:/[A-Za-z0-9._~%:-]+)*",
    re.ASCII,
)
#: What PCCS and QCNL write behind the base.
_SUFFIX: Final = re.compile(r"/(?:sgx|tdx)/certification(?:/v\d)?$", re.ASCII)
_TENANT: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_RESERVED: Final = frozenset(
    {"sgx", "tdx", "early", "standard", "default", "latest"}
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where a thim answers: its base without a slash at its end."""

    url: str
    tenant: str | None = None

    @classmethod
    def from_text(cls, url: str, tenant: str | None = None) -> Service:
        """
        Take a base URL, with or without what PCCS and QCNL write behind it.

        Raises:
            OperatorError: It is none, or the tenant's name is none.
        """
        base = _SUFFIX.sub("", url.strip().rstrip("/"))
        if not _URL.fullmatch(base) or not _has_port(base):
            msg = (
                "--url: expected https://HOST, https://HOST:PORT or one with a "
                "prefix behind it, without user or query"
            )
            raise OperatorError(msg, reason="client-url")
        if "/sgx/" in f"{base}/" or "/tdx/" in f"{base}/":
            msg = (
                "--url: expected neither /sgx/ nor /tdx/ in the base: clients "
                "replace the first one that they find"
            )
            raise OperatorError(msg, reason="client-url")
        if tenant is not None:
            _check_tenant(tenant)
        return cls(url=base, tenant=tenant)

    @property
    def root(self) -> str:
        """
        Return what stands before each path of this tenant's.
        """
        return f"{self.url}/tenant/{self.tenant}" if self.tenant else self.url

    @property
    def certification(self) -> str:
        """
        Return the base of the SGX paths, without version.
        """
        return f"{self.root}/sgx/certification"

    @property
    def pcs(self) -> str:
        """
        Return the base of version 4, with the slash that QCNL needs.
        """
        return f"{self.certification}/v4/"

    @property
    def is_https(self) -> bool:
        """
        Return whether it is asked over TLS.
        """
        return self.url.startswith("https://")

    @property
    def host(self) -> str:
        """
        Return its host, without brackets.
        """
        return urllib.parse.urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """
        Return its port.
        """
        given = urllib.parse.urlsplit(self.url).port
        return given or (443 if self.is_https else 80)

    def check_bare(self, client: str) -> None:
        """
        Check that nothing stands between host and path.

        Raises:
            OperatorError: It does, and *client* could not send it.
        """
        prefix = urllib.parse.urlsplit(self.url).path
        if prefix:
            msg = (
                f"--url: {client} cannot put {prefix} before its paths; "
                f"expected host and port alone, where a proxy may add it"
            )
            raise OperatorError(msg, reason="client-prefix")
        if self.tenant is not None:
            msg = (
                f"--tenant: {client} cannot put anything before its paths; "
                f"expected a host name of the tenant's own"
            )
            raise OperatorError(msg, reason="client-prefix")


def _has_port(url: str) -> bool:
    try:
        return urllib.parse.urlsplit(url).port != 0
    except ValueError:
        return False


def _check_tenant(tenant: str) -> None:
    if not _TENANT.fullmatch(tenant) or tenant in _RESERVED:
        msg = (
            "--tenant: expected a name in small letters, digits and hyphens "
            f"that is none of {', '.join(sorted(_RESERVED))}"
        )
        raise OperatorError(msg, reason="client-tenant")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """
    What a client is configured with: *text* goes into a file as it stands,
    *notes* are for people.
    """

    text: str
    notes: tuple[str, ...] = ()


def trust_notes(service: Service, how: str) -> tuple[str, ...]:
    """
    Say *how* a client comes to trust the CA that signed the certificate of
    *service*; nothing where there is no TLS.
    """
    if not service.is_https:
        return (
            (
                "Plain http: right on the same machine only. Documents are "
                "signed, but anyone in between can withhold them or give older "
                "ones."
            ),
        )
    return (
        (
            "If the certificate of the service comes from a CA of your own, "
            f"each machine must trust that CA. {how}"
        ),
    )


SYSTEM_STORE: Final = (
    "Debian, Ubuntu: copy it to /usr/local/share/ca-certificates/NAME.crt and "
    "run update-ca-certificates; Fedora, RHEL: to "
    "/etc/pki/ca-trust/source/anchors/ and run update-ca-trust. Containers "
    "have a store of their own."
)
WINDOWS_STORE: Final = "Windows: certutil -addstore -f Root FILE.crt"
