"""
Where somebody may be asked for keys: over TLS, or on the same machine.
"""

from __future__ import annotations

import ipaddress
import urllib.parse

from typing import Final

from thim.client.urls import is_usable


_PORTS: Final = {"http": 80, "https": 443}


def is_safe(url: str) -> bool:
    """
    Tell whether nobody on the way can change what is answered at *url*.
    """
    if not is_plain_url(url):
        return False
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_plain_url(url: str) -> bool:
    """
    Tell whether *url* can be asked, and holds no user and no password.
    """
    return is_usable(url) and "@" not in urllib.parse.urlsplit(url).netloc


def is_loopback(host: str) -> bool:
    """
    Tell whether *host* is this machine.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_origin(url: str) -> str:
    """
    Return scheme, host and port of a usable *url*, so that they can be
    compared.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or _PORTS[parts.scheme]}"
