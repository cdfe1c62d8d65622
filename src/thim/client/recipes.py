"""
What other clients than QPL are configured with.

Each was read in its client's source; ``docs/clients.md`` says which version.
"""

from __future__ import annotations

import ipaddress
import json
import urllib.parse

from typing import TYPE_CHECKING, Final

from thim.client.service import (
    SYSTEM_STORE,
    WINDOWS_STORE,
    Recipe,
    trust_notes,
)


if TYPE_CHECKING:
    from collections.abc import Iterable

    from thim.client.service import Service

_OPENSSL: Final = (
    f"{SYSTEM_STORE} Or for one process: SSL_CERT_FILE=FILE.pem, which then "
    "holds all CAs that count."
)
_HTTPS: Final = 443
#: How a service gets an environment, on Linux and on Windows.
_AZ_SERVICE: Final = (
    "For a service: systemctl edit aesmd, Environment=NAME=VALUE.",
    "Only processes that start from now on see it: restart AESMService.",
)
_INTEL_HOSTS: Final = (
    "api.trustedservices.intel.com",
    "certificates.trustedservices.intel.com",
)
#: A variable, its value, what it does.  Without value: a comment.
Variable = tuple[str, str | None, str]


def az_dcap(
    service: Service, imds: str | None = None, *, windows: bool = False
) -> Recipe:
    """
    Return the environment of Azure's DCAP client; *imds* is the base of an
    agent that it asks for PCK certificates first.
    """
    variables = [*_az_pck(service, imds), *_az_collateral(service)]
    title = "Azure's DCAP client, in the environment of who loads it"
    notes = (
        (
            f"{_AZ_SERVICE[windows]} It gives up where an answer lacks "
            "Cache-Control: a proxy in between must leave headers alone."
        ),
        *trust_notes(
            service,
            f"It asks through WinHTTP. {WINDOWS_STORE}"
            if windows
            else f"Its libcurl uses the system's store. {SYSTEM_STORE}",
        ),
    )
    text = _environment(title, variables, windows=windows)
    return Recipe(text=text, notes=notes)


def _az_pck(service: Service, imds: str | None) -> Iterable[Variable]:
    agent = f"{imds.rstrip('/')}/metadata/THIM" if imds else None
    yield (
        "AZDCAP_PRIMARY_BASE_CERT_URL",
        f"{agent}/sgx/certification" if agent else service.certification,
        "PCK certificates: asked first",
    )
    yield (
        "AZDCAP_SECONDARY_BASE_CERT_URL",
        service.certification,
        "PCK certificates: asked when the first and the cache have none",
    )
    yield (
        "AZDCAP_BYPASS_BASE_URL",
        "false" if imds else "true",
        (
            "anything but false skips the first, so the cache is looked at "
            "before the second is asked"
        ),
    )


def _az_collateral(service: Service) -> Iterable[Variable]:
    yield (
        "AZDCAP_BASE_CERT_URL",
        service.certification,
        "collateral for SGX; /v4/ and so on is appended",
    )
    yield from _az_tdx(service)
    yield (
        "AZDCAP_COLLATERAL_VERSION",
        "v4",
        "v2, v3 or v4 for SGX; Intel has withdrawn the first two",
    )
    yield "AZDCAP_COLLATERAL_VERSION_TDX", "v4", "nothing else exists"
    yield (
        "AZDCAP_CLIENT_ID",
        None,
        "sent as clientid; not set, it is production_client",
    )
    yield (
        "AZDCAP_CACHE_EXPIRY_IN_SECONDS",
        None,
        (
            "at most so long in the cache, 1 to 86400; not set, as "
            "Cache-Control says"
        ),
    )


def _az_tdx(service: Service) -> Iterable[Variable]:
    if not service.is_https:
        yield (
            "AZDCAP_REGION_URL",
            None,
            "collateral for TDX is asked over https only: give an https URL",
        )
        return
    authority = urllib.parse.urlsplit(service.url).netloc
    yield (
        "AZDCAP_REGION_URL",
        authority,
        (
            "collateral for TDX: https:// and this and the next one make the "
            "URL, in which the first /sgx/ becomes /tdx/"
        ),
    )
    yield (
        "AZDCAP_BASE_CERT_URL_TDX",
        service.certification.removeprefix(f"https://{authority}"),
        "the rest of that URL; it must hold /sgx/",
    )


def dcap_qvl(service: Service, *, windows: bool = False) -> Recipe:
    """
    Return the environment of dcap-qvl.
    """
    variable = (
        "PCCS_URL",
        service.pcs,
        (
            "read by the program dcap-qvl and by CollateralClient::from_env; "
            "what stands before /sgx/certification/v4/ is kept"
        ),
    )
    notes = (
        (
            "Not set, it is pccs.phala.network. Code names it: "
            f'get_collateral("{service.root}", quote).'
        ),
        *trust_notes(service, f"It uses the system's store. {_OPENSSL}"),
    )
    text = _environment("dcap-qvl", [variable], windows=windows)
    return Recipe(text=text, notes=notes)


def go_tdx_guest(service: Service) -> Recipe:
    """
    Return lines for ``/etc/hosts``: go-tdx-guest has Intel's hosts built in.

    Raises:
        OperatorError: The service is not reached by host and port alone.
    """
    service.check_bare("go-tdx-guest")
    names = _INTEL_HOSTS
    notes = (
        (
            "Where the code is yours, leave the names alone: give "
            "verify.Options a Getter (trust.HTTPSGetter, one method) that puts "
            "another host into the URL; docs/clients.md has one."
        ),
        (
            "It refuses what is past nextUpdate: serve a baseline that the "
            "vendor still signs."
        ),
        *_redirected(service, names, f"Go uses the system's store. {_OPENSSL}"),
    )
    return Recipe(text=_hosts("go-tdx-guest", service, names), notes=notes)


def snpguest(service: Service) -> Recipe:
    """
    Return a line for ``/etc/hosts``: snpguest has AMD's host built in.

    Raises:
        OperatorError: The service is not reached by host and port alone.
    """
    service.check_bare("snpguest")
    names = ("kdsintf.amd.com",)
    notes = (
        (
            "Without it: fetch what `snpguest fetch` would (/vcek/v1/PRODUCT/"
            "cert_chain and /vcek/v1/PRODUCT/CHIP?...) with curl, and give its "
            "folder to `snpguest verify`."
        ),
        *_redirected(service, names, f"It uses the system's. {_OPENSSL}"),
    )
    return Recipe(text=_hosts("snpguest", service, names), notes=notes)


def trustee(service: Service) -> Recipe:
    """
    Return the part of Trustee's attestation service's configuration.

    Raises:
        OperatorError: The service is not reached by host and port alone.
    """
    # It takes scheme, host and port of collateral_service, no more.
    service.check_bare("Trustee")
    dcap = {"collateral_service": service.pcs, "tcb_update_type": "standard"}
    sources = [{"type": "KDS", "base_url": service.url}, {"type": "KDS"}]
    value = {
        "verifier_config": {
            "dcap_verifier": dcap,
            "snp_verifier": {"vcek_sources": sources},
        }
    }
    notes = (
        (
            "Part of the attestation service's JSON. In kbs.toml the same is "
            "[attestation_service.verifier_config.dcap_verifier] and so on."
        ),
        (
            "tcb_update_type is early where it is not set. Answers are kept "
            "for 168 hours in memory, whatever Cache-Control says: restart it "
            "to have a new CRL sooner."
        ),
        (
            "vcek_sources are tried in this order; the second is AMD itself: "
            "leave it out where nobody else may be asked."
        ),
        *trust_notes(service, f"It uses the system's store. {_OPENSSL}"),
    )
    return Recipe(text=f"{json.dumps(value, indent=2)}\n", notes=notes)


def _environment(
    title: str, variables: Iterable[Variable], *, windows: bool
) -> str:
    mark = "rem" if windows else "#"
    lines = [f"{mark} {title}."]
    for name, value, meaning in variables:
        if value is None:
            lines.append(f"{mark} {name}: {meaning}")
            continue
        lines.append(f"{mark} {meaning}")
        lines.append(
            f'setx {name} "{value}" /M'
            if windows
            else f'export {name}="{value}"'
        )
    return "\n".join(lines) + "\n"


def _hosts(client: str, service: Service, names: tuple[str, ...]) -> str:
    lines = [f"# /etc/hosts: {client} has no option for other hosts."]
    line = " ".join(("ADDRESS", *names))
    if _is_address(service.host):
        lines.append(line.replace("ADDRESS", service.host))
    else:
        # Never loopback: on the service's own machine it would ask itself.
        lines.append(f"# ADDRESS is that of {service.host}:")
        lines.append(f"#{line}")
    return "\n".join(lines) + "\n"


def _is_address(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _redirected(
    service: Service, names: tuple[str, ...], how: str
) -> tuple[str, ...]:
    said: tuple[str, ...] = (
        (
            f"There is no option, so the names {' and '.join(names)} must lead "
            "to the service, in /etc/hosts or your DNS; and it needs a "
            f"certificate for them, from a CA of your own. {how}"
        ),
        (
            "Not on the machine on which thim itself runs, nor in the DNS that "
            "it uses: it would ask itself instead of the vendor."
        ),
    )
    if not service.is_https or service.port != _HTTPS:
        said += (
            "The client asks over https on port 443, whatever --url says.",
        )
    return said
