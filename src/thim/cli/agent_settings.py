"""
The agent's configuration: the table ``[agent]`` of a configuration file.

Flag, then environment (``THIM_AGENT_…``), then file, then default, as for the
service; other tables and keys of the file are not the agent's.
"""

from __future__ import annotations

import os
import socket
import urllib.parse

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.agent.chip import Chip, find_chip
from thim.agent.networks import is_loopback
from thim.agent.settings import AgentSettings
from thim.cli.agent_values import (
    parse_chip,
    parse_interface,
    parse_line,
    parse_networks,
    parse_pass_through,
    parse_url,
)
from thim.cli.config import (
    AGENT,
    Configuration,
    Value,
    check_keys,
    find_file,
    parse_setting,
    read_toml,
)
from thim.cli.settings import Setting
from thim.cli.values import (
    duration,
    one_of,
    parse_anchors,
    parse_boolean,
    parse_file,
    parse_hosts,
    parse_listen,
    parse_path,
)
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import OperatorError, printable
from thim.services.secrets import is_absent


if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX: Final = "THIM_AGENT_"
_ROOT_STATE: Final = Path("/var/lib/thim-agent")
_LONGEST_NAME: Final = 64

SETTINGS: Final[Mapping[str, Setting]] = {
    "service": Setting(
        parse=parse_url,
        default="http://127.0.0.1:8080",
        meaning="the base URL of the thim that is asked",
    ),
    "listen": Setting(
        parse=parse_listen,
        default="169.254.169.254:80",
        meaning="HOST:PORT on which guests ask",
    ),
    "ca_file": Setting(
        parse=parse_file,
        default=None,
        meaning="PEM certificates that the service's TLS chain may end in, "
        "instead of the system's",
    ),
    "client_cert": Setting(
        parse=parse_file,
        default=None,
        meaning="PEM certificate chain to show to the service, which may ask "
        "agents for one",
    ),
    "client_key": Setting(
        parse=parse_file, default=None, meaning="its private key, PEM"
    ),
    "state": Setting(
        parse=parse_path,
        default=None,
        meaning="the cache's folder; default: /var/lib/thim-agent, or in the "
        "user's state folder",
    ),
    "token_file": Setting(
        parse=parse_path,
        default=None,
        meaning="the agent's token for registering its chip; default: token "
        "in the state folder",
    ),
    "enrol_token_file": Setting(
        parse=parse_path,
        default=None,
        meaning="a one-time token that is exchanged for that one",
    ),
    "name": Setting(
        parse=parse_line,
        default=None,
        meaning="by which the service knows this host; default: the host name",
    ),
    "networks": Setting(
        parse=parse_networks,
        default=None,
        meaning="which networks may ask, besides this machine; default: "
        "link-local ones and those of the interface",
    ),
    "hosts": Setting(
        parse=parse_hosts,
        default=None,
        meaning="host names by which guests may ask; addresses and localhost "
        "always may",
    ),
    "add_address": Setting(
        parse=parse_boolean,
        default="false",
        meaning="add the address of listen while the agent runs, if it is not "
        "there",
    ),
    "interface": Setting(
        parse=parse_interface, default="lo", meaning="where to add it"
    ),
    "pass_through": Setting(
        parse=parse_pass_through,
        default=None,
        meaning="the base URL of another metadata service, which answers "
        "everything else; or false",
    ),
    "location": Setting(
        parse=parse_line,
        default=None,
        meaning="the text of /metadata/instance/compute/location",
    ),
    "vm_id": Setting(
        parse=parse_line,
        default=None,
        meaning="the text of /metadata/instance/compute/vmId",
    ),
    "quote_service": Setting(
        parse=parse_url,
        default=None,
        meaning="the URL to which POST /acc/tdquote is passed",
    ),
    "chip": Setting(
        parse=parse_chip,
        default=None,
        meaning="how to learn which chip this is: a table with report, hcl, "
        "device or sev (a path), or with product, chip_id and tcb; none for "
        "no chip; default: /dev/sev-guest or /dev/sev",
    ),
    "refresh": Setting(
        parse=duration("1s", "1d"),
        default="1h",
        meaning="how often the chip is read again",
    ),
    "log_format": Setting(
        parse=one_of("text", "json"),
        default="text",
        meaning="lines for people (text), or for a collector (json)",
    ),
    "log_level": Setting(
        parse=one_of("debug", "info", "warning", "error"),
        default="info",
        meaning="the least that is logged: debug, info, warning, error",
    ),
    "dangerous_test_anchors": Setting(
        parse=parse_anchors,
        default=None,
        meaning="PEM file of other roots than the vendors', for trying out",
    ),
    "dangerous_clock": Setting(
        parse=parse_file,
        default=None,
        meaning="file that says what time it is; only with test anchors",
    ),
}


def load_agent(
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    file: Path | None,
) -> AgentSettings:
    """
    Gather the agent's settings from *flags* (None: not given), *environment*
    and the table ``[agent]`` of *file*.

    Raises:
        OperatorError: An unknown key, a bad value, a missing file, or two
            values that do not go together.
    """
    found = _gather(flags, environment, file)
    _check_danger(found)
    _check_pass_through(found)
    _check_own_certificate(found)
    settings = _settle(found)
    _check_tokens_travel_safely(settings)
    return settings


def _gather(
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    file: Path | None,
) -> Configuration:
    _check_names(environment)
    path = find_file(file, environment)
    written = {} if path is None else _read_table(path)
    found = {}
    for name, setting in SETTINGS.items():
        variable = f"{_PREFIX}{name.upper()}"
        raw: object = setting.default
        origin = "default"
        if name in written:
            raw, origin = written[name], f"file {path}"
        if environment.get(variable):
            raw, origin = environment[variable], f"environment {variable}"
        if flags.get(name) is not None:
            raw, origin = flags[name], "flag"
        value = parse_setting(name, setting, raw, origin)
        found[name] = Value(value=value, origin=origin)
    return found


def _check_names(environment: Mapping[str, str]) -> None:
    known = {f"{_PREFIX}{name.upper()}" for name in SETTINGS}
    ours = [name for name in environment if name.startswith(_PREFIX)]
    check_keys(ours, known, "environment")


def _read_table(path: Path) -> dict[str, object]:
    table = read_toml(path).get(AGENT, {})
    if not isinstance(table, dict):
        msg = f"configuration {path}: agent: expected a table"
        raise OperatorError(msg, reason="config-value")
    check_keys(table, SETTINGS, f"configuration {path}, [agent]")
    return table


def _check_danger(found: Configuration) -> None:
    has_anchors = found["dangerous_test_anchors"].value is not None
    if found["dangerous_clock"].value is not None and not has_anchors:
        msg = "dangerous_clock: expected dangerous_test_anchors beside it"
        raise OperatorError(msg, reason="config-danger")


def _check_pass_through(found: Configuration) -> None:
    url, listen = found["pass_through"].value, found["listen"].value
    if url is None:
        return
    split = urllib.parse.urlsplit(url)
    port = split.port or {"http": 80, "https": 443}[split.scheme]
    if (split.hostname, port) == (listen.host, listen.port):
        msg = f"pass_through: {url} is where the agent itself listens"
        raise OperatorError(msg, reason="config-value")


def _check_own_certificate(found: Configuration) -> None:
    names = ("client_cert", "client_key")
    missing = [name for name in names if found[name].value is None]
    if len(missing) == 1:
        msg = f"{missing[0]} is missing: a certificate and its key go together"
        raise OperatorError(msg, reason="config-tls")


def _settle(found: Configuration) -> AgentSettings:
    listen = found["listen"].value
    anchors = found["dangerous_test_anchors"].value
    same = (
        "service",
        "ca_file",
        "client_cert",
        "client_key",
        "token_file",
        "enrol_token_file",
        "networks",
        "pass_through",
        "location",
        "vm_id",
        "quote_service",
        "refresh",
        "dangerous_clock",
        "log_format",
        "log_level",
    )
    is_added = found["add_address"].value
    return AgentSettings(
        host=listen.host,
        port=listen.port,
        state=found["state"].value or default_state(os.environ, os.geteuid()),
        name=found["name"].value or _host_name(),
        chip=_find_chip(found["chip"]),
        hosts=found["hosts"].value or frozenset(),
        interface=found["interface"].value if is_added else None,
        anchors=anchors.anchors if anchors else VENDOR_ROOTS,
        **{name: found[name].value for name in same},
    )


def _find_chip(said: Value) -> Chip | None:
    # "none" is a value; that nothing is said is none.
    if said.value is None and said.origin.startswith("default"):
        return find_chip()
    chip: Chip | None = said.value
    return chip


def default_state(environment: Mapping[str, str], user: int) -> Path:
    """
    Return where the cache of *user* is that nobody names: root's in /var/lib,
    another's in its state folder (XDG Base Directory Specification).
    """
    if user == 0:
        return _ROOT_STATE
    base = Path(environment.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():
        base = Path.home() / ".local" / "state"
    return base / "thim-agent"


def _host_name() -> str:
    return printable(socket.gethostname())[:_LONGEST_NAME] or "agent"


def _check_tokens_travel_safely(settings: AgentSettings) -> None:
    url = urllib.parse.urlsplit(settings.service)
    host = url.hostname or ""
    is_safe = url.scheme == "https" or host == "localhost" or is_loopback(host)
    token = settings.token_file or settings.state / "token"
    has_token = settings.enrol_token_file is not None or not is_absent(token)
    if has_token and not is_safe:
        msg = (
            f"service: got {settings.service}, expected https: whoever is on "
            f"the way could read the agent's token"
        )
        raise OperatorError(msg, reason="config-danger")
