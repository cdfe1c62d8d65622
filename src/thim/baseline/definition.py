"""
Baselines and tenants as they are written down: JSON, read strictly.
"""

from __future__ import annotations

import enum
import ipaddress
import re

from typing import Annotated, Final, TypeVar

import msgspec

from msgspec import Meta

from thim.amd.tcb import ProductLine
from thim.baseline.minimum import Floor, Minimum, Silicon
from thim.baseline.model import (
    RESERVED,
    ROOT,
    Baseline,
    Number,
    Overrides,
    Per,
    Quota,
    Tenant,
)
from thim.baseline.provider import AAD, SHARED, Provider
from thim.baseline.provider_definition import (
    ProviderJson,
    read_provider,
    write_provider,
)
from thim.baseline.rule import (
    parse_hold,
    parse_rule,
    spell_hold,
    spell_rule,
)
from thim.errors import ParameterError
from thim.intel.strict_json import convert, parse_strictly


T = TypeVar("T")


class Kind(enum.Enum):
    """What is defined."""

    BASELINE = "baseline"
    TENANT = "tenant"


_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    r"(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*",
    re.ASCII,
)
_SILICON: Final = re.compile(
    r"([0-9A-Fa-f]{1,3})/([0-9A-Fa-f]{1,2})/([0-9A-Fa-f])", re.ASCII
)
_COMPONENTS: Final = ("bootloader", "tee", "snp", "fmc")
#: As platforms have them (``services.platform_admin.parse_labels``).
LabelKey = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z")]
LabelValue = Annotated[
    str,
    Meta(pattern=r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,256}\Z"),
]
_MOST_QUOTA: Final = 1_000_000
MOST_HOSTS: Final = 64
MOST_LABELS: Final = 32


class FloorJson(msgspec.Struct, forbid_unknown_fields=True):
    """The least level of a component, and who says so."""

    spl: Annotated[int, Meta(ge=0, le=255)]
    source: Annotated[str, Meta(min_length=1, max_length=500)]


class MinimumJson(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True
):
    """The components as DESIGN and AMD's bulletins call them."""

    bootloader: FloorJson | None = msgspec.field(default=None, name="bl")
    tee: FloorJson | None = None
    snp: FloorJson | None = None
    microcode: dict[str, FloorJson] = msgspec.field(
        default_factory=dict, name="ucode"
    )
    fmc: FloorJson | None = None


class BaselineJson(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True
):
    """A baseline as it is written; *amd* by product line."""

    rule: Annotated[str, Meta(max_length=80)]
    floor: Annotated[int, Meta(ge=0, lt=10**9)] | None = None
    hold: Annotated[str, Meta(max_length=40)] | None = None
    amd: dict[str, MinimumJson] = {}


class _Quota(msgspec.Struct, forbid_unknown_fields=True):
    requests: Annotated[int, Meta(ge=1, le=_MOST_QUOTA)]
    per: Per = Per.SOURCE


class _Tenant(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    baseline: Annotated[str, Meta(max_length=63)]
    overrides: Overrides = Overrides.NEVER
    hosts: Annotated[list[str], Meta(max_length=MOST_HOSTS)] = []
    quota: _Quota | None = None
    labels: Annotated[
        dict[LabelKey, LabelValue], Meta(max_length=MOST_LABELS)
    ] = {}
    attestation: ProviderJson | None = None
    is_deleted: bool = msgspec.field(default=False, name="deleted")


def check_name(name: str, parameter: str = "name") -> str:
    """
    Return *name*, if a baseline or a tenant may be called so.

    Raises:
        ParameterError: It may not; the message says why.
    """
    if name in RESERVED:
        expected = f"expected another: {', '.join(sorted(RESERVED))} are taken"
        raise ParameterError(parameter, name, expected)
    if not _NAME.fullmatch(name):
        expected = (
            "expected a lower-case letter, then up to 62 of a-z, 0-9 and -"
        )
        raise ParameterError(parameter, name, expected)
    return name


def parse_host(text: str, parameter: str = "host") -> str:
    """
    Read a host name, which comes out in lower case.

    Raises:
        ParameterError: It is none, or an address.
    """
    host = text.lower().removesuffix(".")
    if not _HOST.fullmatch(host) or _is_address(host):
        raise ParameterError(parameter, text, "expected a host name")
    return host


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return text.replace(".", "").isdigit()
    return True


def read_baseline(name: str, version: int, body: str | bytes) -> Baseline:
    """
    Read the definition of a baseline.

    Raises:
        MalformedError: It is none; the message names the member.
    """
    json = _decode(body, BaselineJson)
    baseline = Baseline(
        name=name,
        rule=parse_rule(json.rule),
        floor=json.floor,
        hold=None if json.hold is None else parse_hold(json.hold),
        minimums={
            _read_product(product): _read_minimum(product, given)
            for product, given in json.amd.items()
        },
        version=version,
    )
    check_baseline(baseline)
    return baseline


def check_baseline(baseline: Baseline) -> None:
    """
    Check that the parts of *baseline* go together.

    Raises:
        ParameterError: They do not.
    """
    rule, floor = baseline.rule, baseline.floor
    if not isinstance(rule, Number):
        return
    if baseline.hold is not None:
        expected = f"expected none: {spell_rule(rule)} never moves"
        raise ParameterError("hold", spell_hold(baseline.hold), expected)
    if floor is not None and rule.number < floor:
        expected = f"expected no more than the rule's own {rule.number}"
        raise ParameterError("floor", str(floor), expected)


def write_baseline(baseline: Baseline) -> str:
    """
    Write *baseline* as `read_baseline` reads it.
    """
    hold = baseline.hold
    json = BaselineJson(
        rule=spell_rule(baseline.rule),
        floor=baseline.floor,
        hold=None if hold is None else spell_hold(hold),
        amd={
            product.value: _write_minimum(minimum)
            for product, minimum in baseline.minimums.items()
        },
    )
    return msgspec.json.encode(json).decode()


def _read_product(name: str) -> ProductLine:
    products = {product.value: product for product in ProductLine}
    if name not in products:
        expected = f"expected one of {', '.join(products)}"
        raise ParameterError("amd", name, expected)
    return products[name]


def _read_minimum(product: str, given: MinimumJson) -> Minimum:
    known = _read_product(product).components
    floors = {name: getattr(given, name) for name in _COMPONENTS}
    components = {name: _floor(f) for name, f in floors.items() if f}
    for name in components:
        if name not in known:
            expected = f"expected none: {product} has none"
            where = f"amd.{product}"
            raise ParameterError(where, name, expected)
    microcode = {
        _read_silicon(text): _floor(floor)
        for text, floor in given.microcode.items()
    }
    if len(microcode) != len(given.microcode):
        expected = "expected each silicon once"
        raise ParameterError("ucode", ", ".join(given.microcode), expected)
    return Minimum(components=components, microcode=microcode)


def _floor(json: FloorJson) -> Floor:
    return Floor(spl=json.spl, source=json.source)


def _read_silicon(text: str) -> Silicon:
    match = _SILICON.fullmatch(text)
    if match is None:
        expected = "expected FAMILY/MODEL/STEPPING in hexadecimal: 19/11/1"
        raise ParameterError("ucode", text, expected)
    return Silicon(*(int(digits, 16) for digits in match.groups()))


def _write_minimum(minimum: Minimum) -> MinimumJson:
    components = {
        name: FloorJson(floor.spl, floor.source)
        for name, floor in minimum.components.items()
    }
    microcode = {
        str(silicon): FloorJson(floor.spl, floor.source)
        for silicon, floor in minimum.microcode.items()
    }
    return MinimumJson(microcode=microcode, **components)


def read_tenant(name: str, version: int, body: str | bytes) -> Tenant | None:
    """
    Read the definition of a tenant; None where it says that it is deleted.

    Raises:
        MalformedError: It is none; the message names the member.
    """
    json = _decode(body, _Tenant)
    if json.is_deleted and name == ROOT.name:
        expected = f"expected false: {name} is everybody"
        raise ParameterError("deleted", "true", expected)
    if json.is_deleted:
        return None
    quota = json.quota
    return Tenant(
        name=name,
        baseline=json.baseline,
        overrides=json.overrides,
        hosts=tuple(dict.fromkeys(map(parse_host, json.hosts))),
        quota=Quota(requests=quota.requests, per=quota.per) if quota else None,
        labels=json.labels,
        provider=read_provider(
            json.attestation or ProviderJson(), find_usual(name)
        ),
        version=version,
    )


def find_usual(name: str) -> Provider:
    """
    Return the attestation side of the tenant *name* where nothing is said.
    """
    return SHARED if name == ROOT.name else AAD


def write_tenant(tenant: Tenant, *, is_deleted: bool = False) -> str:
    """
    Write *tenant* as `read_tenant` reads it.
    """
    quota = tenant.quota
    json = _Tenant(
        baseline=tenant.baseline,
        overrides=tenant.overrides,
        hosts=list(tenant.hosts),
        quota=_Quota(quota.requests, quota.per) if quota else None,
        labels=dict(tenant.labels),
        attestation=write_provider(tenant.provider, find_usual(tenant.name)),
        is_deleted=is_deleted,
    )
    return msgspec.json.encode(json).decode()


def _decode(body: str | bytes, kind: type[T]) -> T:
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
    return convert(parse_strictly(raw), kind, "definition")
