"""
What this machine's clients are told: QCNL's file, and the environment.
"""

from __future__ import annotations

import ssl
import urllib.request

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.client.doctor.model import Found, Kind, Section, Target, Trouble
from thim.client.findings import Level
from thim.client.qcnl import MOST_BYTES, find_link, lint
from thim.client.urls import DEFAULT_URL
from thim.errors import OperatorError


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thim.client.findings import Finding
    from thim.client.qcnl import Linted, Wanted

QCNL_FILE: Final = Path("/etc/sgx_default_qcnl.conf")
QCNL_VARIABLE: Final = "QCNL_CONF_PATH"
_TITLE: Final = "Intel's QPL (QCNL)"
_MEND: Final = (
    "Mend the file and restart who loads QPL (aesmd, qgsd), which reads it "
    "once; `thim client-config check FILE` checks it alone, docs/clients.md "
    "has each of its traps."
)
_TRUST: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE")


def find_qcnl(
    named: Path | None,
    environment: Mapping[str, str],
    read: Callable[[Path, int], bytes],
    usual: Path = QCNL_FILE,
) -> Found:
    """
    Find the settings of QPL that count: the file that is *named*, else the
    one that the environment names, else the *usual* one.
    """
    variable = environment.get(QCNL_VARIABLE)
    file = named or (Path(variable) if variable else usual)
    if file == usual and not usual.exists():
        fact = ("settings", f"none: {usual} is not there")
        return Found(sections=(Section(title=_TITLE, facts=(fact,)),))
    try:
        raw = read(file, MOST_BYTES)
    except OperatorError as e:
        return _unreadable(file, e)
    found = _judge(file, lint(raw), find_link(file))
    if named is None and variable and usual.exists() and file != usual:
        found += _two_files(file, usual)
    return found


def _unreadable(file: Path, error: OperatorError) -> Found:
    trouble = Trouble(
        level=Level.ERROR,
        name="unreadable",
        what=str(error),
        where=str(file),
        cause="QCNL then takes the defaults in its code, and says nothing.",
        mend="Give whoever loads QPL (aesmd, qgsd) the right to read it.",
    )
    return Found(troubles=(trouble,), targets=(_default_target(file),))


def _judge(file: Path, linted: Linted, early: tuple[Finding, ...]) -> Found:
    troubles = tuple(
        Trouble.of(each, str(file), _MEND)
        for each in (*early, *linted.findings)
        if each.level is not Level.NOTE
    )
    notes = tuple(
        ("note", each.message)
        for each in linted.findings
        if each.level is Level.NOTE
    )
    if linted.wanted is None:
        facts: tuple[tuple[str, str], ...] = (
            ("settings", f"{file}: not usable"),
        )
        targets: tuple[Target, ...] = (_default_target(file),)
    else:
        facts = (("settings", str(file)), *_describe(linted.wanted))
        targets = _targets(file, linted.wanted)
    section = Section(title=_TITLE, facts=(*facts, *notes))
    return Found(sections=(section,), troubles=troubles, targets=targets)


def _default_target(file: Path) -> Target:
    return Target(
        url=DEFAULT_URL,
        by="QCNL, which cannot read its settings",
        kind=Kind.QCNL,
        where=str(file),
    )


def _describe(wanted: Wanted) -> tuple[tuple[str, str], ...]:
    first = [f"{wanted.local_pck_url} (an agent)"] * bool(wanted.local_pck_url)
    looks = "yes" if wanted.is_verified else "no: use_secure_cert is false"
    return (
        ("PCK certificates", ", then ".join([*first, wanted.pccs_url])),
        ("collateral", wanted.collateral_service),
        ("looks at certificates", looks),
    )


def _targets(file: Path, wanted: Wanted) -> tuple[Target, ...]:
    asked = {"pccs_url": wanted.pccs_url}
    if wanted.collateral_service != wanted.pccs_url:
        asked["collateral_service"] = wanted.collateral_service
    if wanted.local_pck_url is not None:
        asked["local_pck_url"] = wanted.local_pck_url
    return tuple(
        Target(
            url=url,
            by=f"QCNL's {key}",
            kind=Kind.AGENT if key == "local_pck_url" else Kind.QCNL,
            where=_place(file, wanted, key),
            is_verified=wanted.is_verified,
        )
        for key, url in asked.items()
    )


def _place(file: Path, wanted: Wanted, key: str) -> str:
    line, _ = wanted.places.get(key, (None, None))
    return f"{file}:{line}" if line else str(file)


def _two_files(file: Path, usual: Path) -> Found:
    trouble = Trouble(
        level=Level.WARNING,
        name="two-files",
        what=f"{QCNL_VARIABLE} names {file}, and there is {usual} too",
        where=QCNL_VARIABLE,
        cause=(
            "QCNL before DCAP 1.22 reads the second; aesmd and qgsd have an "
            "environment of their own, without your shell's variables."
        ),
        mend="Make the two one file, or set the variable in the unit.",
    )
    return Found(troubles=(trouble,))


def find_dcap_qvl(environment: Mapping[str, str]) -> Found:
    """
    Find whom dcap-qvl is told to ask.
    """
    url = environment.get("PCCS_URL")
    if not url:
        return Found()
    target = Target(url=url, by="dcap-qvl's PCCS_URL", kind=Kind.OTHER)
    section = Section(title="dcap-qvl", facts=(("PCCS_URL", url),))
    return Found(sections=(section,), targets=(target,))


def find_trust(environment: Mapping[str, str], ca_file: Path | None) -> Found:
    """
    Say which CAs and which proxies count in this shell.
    """
    paths = ssl.get_default_verify_paths()
    system = paths.cafile or paths.capath or "none"
    facts = [("CAs", f"{ca_file} alone" if ca_file else system)]
    facts += [(n, environment[n]) for n in _TRUST if environment.get(n)]
    proxies = urllib.request.getproxies()
    facts += [
        ("no proxy for" if kind == "no" else f"proxy for {kind}", value)
        for kind, value in sorted(proxies.items())
    ]
    return Found(sections=(Section(title="Trust", facts=tuple(facts)),))
