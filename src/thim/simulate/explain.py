"""
What is wrong with a world file or an admin request, in plain words.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Final

from thim.amd.tcb import ProductLine
from thim.errors import shorten
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.tcb import TcbStatus


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import msgspec

#: A duration as people write it.
DURATION: Final = r"^[0-9]{1,9}[smhd]\Z"
#: A platform manifest: 16862 to 112884 digits.
MANIFEST: Final = r"^(?:[0-9a-fA-F]{2}){8431,56442}\Z"
#: The hardware ID of a chip of AMD's: of Turin, or of another.
HW_ID: Final = r"^(?:[0-9a-fA-F]{16}|[0-9a-fA-F]{128})\Z"
#: The name of a cloud service provider.
CSP_ID: Final = r"^[\x21-\x7e]{1,100}\Z"
_AT: Final = re.compile(
    r"(?P<what>.*?)(?: - at (?:`key` in )?`(?:key in )?\$(?P<path>.*)`)?\Z",
    re.DOTALL,
)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
_ENUM: Final = re.compile(r"Invalid (?:enum )?value '(.*)'", re.DOTALL)
#: msgspec's words, and ours; the first that fits.
_WORDS: Final[Mapping[str, str]] = {
    DURATION: "a duration with its unit, such as 90s, 15m, 24h, 30d",
    MANIFEST: "16862 to 112884 hexadecimal digits, an even number",
    HW_ID: "128 hexadecimal digits, 16 of Turin",
    CSP_ID: "a name without spaces",
    r"^TDX_[0-9A-F]{2}\Z": "a name such as TDX_01",
    r"^[\x20-\x7e]*\Z": "printable text",
    r"^[A-Za-z0-9-]+\Z": "the name of a header",
    r"^[0-9a-fA-F]{1,40}\Z": "up to 40 hexadecimal digits",
    **{
        rf"^[0-9a-fA-F]{{{n}}}\Z": f"{n} hexadecimal digits"
        for n in (4, 8, 12, 16, 32, 64, 96, 128, 768)
    },
    "`datetime` with a timezone component": "an instant with its time zone, "
    "such as 2026-11-02T09:00:00Z",
}
_TYPES: Final[Mapping[str, str]] = {
    "datetime": "an instant",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "kind": [kind.value for kind in EnclaveKind],
    "status": [status.value for status in TcbStatus],
    "tees": [tee.value for tee in Tee],
    "tee": [tee.value for tee in Tee],
    "enclave": [kind.value for kind in EnclaveKind],
    "platform": ["E3", "E5", "client"],
    "ca": [*(ca.value for ca in PckCa), "root"],
    "product": [product.value for product in ProductLine],
    "authority": ["ask", "asvk", "first-ask"],
    "clock": ["simulation", "real"],
}


def explain(
    error: msgspec.ValidationError,
    written: object,
    choices: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """
    Say which field of *written* cannot be used, what it holds and what was
    expected; *choices* are the values of fields that have but a few, beyond
    those of a world.
    """
    match = _AT.fullmatch(str(error))
    what = match["what"] if match else str(error)
    path = (match and match["path"]) or ""
    where = path.removeprefix(".").replace("[...]", "")
    if "`key` in" in str(error):
        return f"{where}: expected whole numbers as keys"
    name = re.sub(r"\[\d+\]", "", where).rpartition(".")[2]
    told = _reword(what, {**_CHOICES, **(choices or {})}.get(name, ()))
    value = _find(written, path)
    if inner := _ENUM.fullmatch(what):
        value = inner[1]
    if isinstance(value, dict | list):
        return f"{where}: {told}" if where else told
    return f"{where}: got {shorten(value)}, {told}"


def _reword(what: str, choices: Sequence[str]) -> str:
    if choices and _ENUM.fullmatch(what):
        return f"expected one of {', '.join(choices)}"
    for pattern, words in _WORDS.items():
        what = what.replace(f"`str` matching regex {pattern!r}", words)
        what = what.replace(pattern, words)
    what = re.sub(r", got `.*`\Z", "", what)
    what = re.sub(r"`([a-z |]+)`", _plain, what)
    what = what.replace("Object contains", "there is an")
    what = what.replace("Object missing required field", "missing field")
    return what[:1].lower() + what[1:]


def _plain(match: re.Match[str]) -> str:
    kinds = match[1].split(" | ")
    if not all(kind in _TYPES for kind in kinds):
        return match[0]
    return " or ".join(_TYPES[kind] for kind in kinds)


def _find(value: object, path: str) -> object:
    for name, index in _STEP.findall(path):
        if name and isinstance(value, dict) and name in value:
            value = value[name]
        elif index and isinstance(value, list):
            value = value[int(index)]
        else:
            return {}
    return value
