"""
What ``thim doctor`` is to look at: settings found here, platforms named.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.amd.kds import parse_product
from thim.attestation.evidence import (
    MAX_SIZE,
    QuoteEvidence,
    SnpEvidence,
    decode_text,
    parse_evidence,
)
from thim.cli.agent_settings import load_agent
from thim.cli.config import AGENT, find_file, read_toml
from thim.cli.files import open_file, read_bounded
from thim.cli.options import configure, find_clock, find_own_url
from thim.client.clients import utc_now
from thim.client.doctor.azure import find_azure
from thim.client.doctor.devices import find_devices
from thim.client.doctor.model import Found, Kind, Section, Target, Trouble
from thim.client.doctor.questions import Wish
from thim.client.doctor.settings import find_dcap_qvl, find_qcnl, find_trust
from thim.client.findings import Level
from thim.client.model import PlatformModel
from thim.client.sources import IMDS_URL, PckQuestion
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import MalformedError, OperatorError, ParameterError
from thim.intel.fields import parse_hex
from thim.intel.names import PckCa, Tee
from thim.services.clock import FileClock
from thim.services.platform_files import read_platforms
from thim.services.platform_sheets import Sheet


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import BinaryIO

    from thim.agent.settings import AgentSettings
    from thim.amd.report import Report
    from thim.amd.tcb import ProductLine
    from thim.attestation.evidence import Evidence
    from thim.cli.config import Configuration
    from thim.intel.quote import Quote
    from thim.x509.chain import TrustAnchors

_FMSPC_SIZE: Final = 6
_MOST_PLATFORMS: Final = 4
_LINK_LOCAL: Final = f"{IMDS_URL}/metadata/THIM/sgx/certification/v4/"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What was named on the command line.
    """

    fmspcs: tuple[str, ...] = ()
    with_tdx: bool = False
    platform: Path | None = None
    quote: Path | None = None
    products: tuple[str, ...] = ()
    seconds: float


def make_wish(asked: Asked, config: Path | None) -> Wish:
    """
    Read what was *asked* for; a configuration of a simulation says what its
    roots and its time are.

    Raises:
        ThimError: A file or value cannot be used.
    """
    anchors, now = _find_world(config)
    evidence = None if asked.quote is None else _read_evidence(asked.quote)
    quote = evidence.quote if isinstance(evidence, QuoteEvidence) else None
    report = evidence.report if isinstance(evidence, SnpEvidence) else None
    models, cas = _find_models(asked, quote)
    return Wish(
        now=now,
        clock=utc_now(),
        anchors=anchors,
        seconds=asked.seconds,
        models=models,
        cas=cas,
        platforms=tuple(_read_platforms(asked.platform)),
        with_tdx=asked.with_tdx,
        quote=quote,
        products=_find_products(asked, report),
        report=report,
    )


def _find_world(config: Path | None) -> tuple[TrustAnchors, datetime]:
    file = find_file(config, os.environ)
    try:
        if file is not None and _is_agents_alone(file):
            agent = load_agent({}, os.environ, config)
            clock = agent.dangerous_clock
            return agent.anchors, (FileClock(clock) if clock else utc_now)()
        found = configure({}, config)
    except OperatorError:
        return VENDOR_ROOTS, utc_now()  # `look` says what is wrong with it
    roots = found["dangerous_test_anchors"].value
    anchors = roots.anchors if roots else VENDOR_ROOTS
    return anchors, find_clock(found)()


def _read_evidence(file: Path) -> Evidence:
    return parse_evidence(decode_text(read_bounded(file, MAX_SIZE)))


def _find_models(
    asked: Asked, quote: Quote | None
) -> tuple[tuple[PlatformModel, ...], frozenset[PckCa]]:
    tees = (Tee.SGX, Tee.TDX) if asked.with_tdx else (Tee.SGX,)
    named = [
        # The CA says nothing about a TCB info.
        PlatformModel(tee=tee, fmspc=_read_fmspc(text), ca=PckCa.PLATFORM)
        for text in asked.fmspcs
        for tee in tees
    ]
    if quote is None:
        return tuple(dict.fromkeys(named)), frozenset()
    model = PlatformModel.from_quote(quote.raw)
    cas = frozenset() if named else frozenset({model.ca})
    return tuple(dict.fromkeys((model, *named))), cas


def _find_products(
    asked: Asked, report: Report | None
) -> tuple[ProductLine, ...]:
    named = tuple(parse_product(each) for each in asked.products)
    if report is None:
        return tuple(dict.fromkeys(named))
    product = report.product
    if product is None and not named:
        expected = "expected beside a report that names no product line"
        raise ParameterError("--amd", "", expected)
    # That of the report is the one by which its VCEK is asked for.
    return named if product is None else (product,)


def _read_fmspc(text: str) -> bytes:
    try:
        return parse_hex(text, _FMSPC_SIZE, "--fmspc")
    except MalformedError as e:
        expected = f"expected {2 * _FMSPC_SIZE} hexadecimal digits"
        raise ParameterError("--fmspc", text, expected) from e


def _read_platforms(file: Path | None) -> Iterator[tuple[str, PckQuestion]]:
    if file is None:
        return
    read = 0
    with _open(file) as stream, _reading(file):
        for sheet in read_platforms(stream):
            if read == _MOST_PLATFORMS:
                return
            if not isinstance(sheet, Sheet) or not sheet.raw_tcbs:
                why = "no TCB" if isinstance(sheet, Sheet) else sheet.detail
                msg = f"{file}, line {sheet.line}: {why}"
                raise OperatorError(msg, reason="platform")
            read += 1
            yield f"line {sheet.line}", _question(sheet)
    if not read:
        msg = f"{file}: no platform in it"
        raise OperatorError(msg, reason="platform")


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        msg = f"{file}: {e.strerror}"
        raise OperatorError(msg, reason="unreadable") from e


def _open(file: Path) -> BinaryIO:
    try:
        return open_file(file)
    except MalformedError as e:
        msg = f"{file}: {e}"
        raise OperatorError(msg, reason="unreadable") from e


def _question(sheet: Sheet) -> PckQuestion:
    return PckQuestion(
        qe_id=sheet.id.qe_id,
        raw_tcb=sheet.raw_tcbs[0],
        pce_id=sheet.id.pce_id,
        enc_ppid=sheet.enc_ppid,
    )


def look(qcnl: Path | None, ca_file: Path | None, config: Path | None) -> Found:
    """
    Look at the settings and the devices of this machine.
    """
    found = find_trust(os.environ, ca_file)
    found += find_qcnl(qcnl, os.environ, read_bounded)
    found += find_azure(os.environ) + find_dcap_qvl(os.environ)
    found += _find_service(config) + _find_agent(config) + find_devices()
    if ca_file is None:
        return found
    targets = (
        each if each.ca_file else dataclasses.replace(each, ca_file=ca_file)
        for each in found.targets
    )
    return dataclasses.replace(found, targets=tuple(targets))


def named(urls: list[str], ca_file: Path | None) -> Found:
    """
    Take the services that are named.
    """
    return Found(
        targets=tuple(
            Target(url=url, by="--url", kind=Kind.OTHER, ca_file=ca_file)
            for url in urls
        )
    )


def link_local() -> Found:
    """
    Take the metadata service of this host.
    """
    target = Target(url=_LINK_LOCAL, by="--imds", kind=Kind.AGENT)
    return Found(targets=(target,))


def _find_service(config: Path | None) -> Found:
    file = find_file(config, os.environ)
    if file is None or _is_agents_alone(file):
        return Found()
    try:
        found = configure({}, config)
    except OperatorError as e:
        return _bad_settings("thim serve", file, e)
    url = find_own_url(found)
    facts = (("settings", str(file)), ("listens on", url))
    return Found(
        sections=(Section(title="thim serve", facts=facts),),
        targets=_own_target(found, url, file),
    )


def _own_target(
    found: Configuration, url: str, file: Path
) -> tuple[Target, ...]:
    target = Target(
        url=url,
        by="thim serve of this machine",
        kind=Kind.OTHER,
        where=str(file),
        ca_file=found["tls_ca_cert"].value,
    )
    return (target,)


def _bad_settings(who: str, file: Path, error: OperatorError) -> Found:
    trouble = Trouble(
        level=Level.ERROR,
        name=error.reason,
        what=str(error),
        where=str(file),
        cause=f"{who} does not start with these settings.",
        mend="`thim config check` says it too; docs/operating.md.",
    )
    return Found(troubles=(trouble,))


def _find_agent(config: Path | None) -> Found:
    file = find_file(config, os.environ)
    if not _has_agent(file, os.environ):
        return Found()
    try:
        settings = load_agent({}, os.environ, config)
    except OperatorError as e:
        return _bad_settings("thim agent", file or Path("environment"), e)
    base = f"http://{settings.host}:{settings.port}"
    where = str(file or "environment")
    facts = (("asks", settings.service), ("listens on", base))
    return Found(
        sections=(Section(title="thim agent", facts=facts),),
        targets=(
            Target(
                url=settings.service,
                by="thim agent's service",
                kind=Kind.OTHER,
                where=where,
                ca_file=settings.ca_file,
                own=_own_files(settings),
            ),
            Target(
                url=f"{base}/metadata/THIM/sgx/certification/v4/",
                by="guests of this host, as thim agent is told to listen",
                kind=Kind.AGENT,
                where=where,
            ),
        ),
    )


def _own_files(settings: AgentSettings) -> tuple[Path, Path] | None:
    cert, key = settings.client_cert, settings.client_key
    return None if cert is None or key is None else (cert, key)


def _is_agents_alone(file: Path) -> bool:
    # No service is to be expected on such a host.
    try:
        return read_toml(file).keys() == {AGENT}
    except OperatorError:
        return False  # said of the service's settings


def _has_agent(file: Path | None, environment: Mapping[str, str]) -> bool:
    if any(name.startswith("THIM_AGENT_") for name in environment):
        return True
    try:
        return file is not None and AGENT in read_toml(file)
    except OperatorError:
        return False  # said of the service's settings
