"""
The vocabulary of Intel's Provisioning Certification Service, and what Azure's
and Intel's clients made of it: parameters and CRL distribution points.
"""

from __future__ import annotations

import base64
import re
import urllib.parse

from typing import TYPE_CHECKING, Final, TypeVar

from thim.errors import ParameterError
from thim.intel.names import PckCa, Update


if TYPE_CHECKING:
    import enum

    from collections.abc import Mapping

    E = TypeVar("E", bound=enum.Enum)

_FMSPC: Final = re.compile(r"[0-9a-fA-F]{12}", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_ENC_PPID_DIGITS: Final = 768
_MANIFEST_DIGITS: Final = 112_884
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)
_CUSTOM_SIZE: Final = 1024
#: ``;`` in what Azure's client sends, ``&`` in Open Enclave's documentation.
_SEPARATORS: Final = re.compile("[;&]")
_CUSTOM_KEYS: Final = frozenset({"tcbevaluationdatanumber", "region"})


def parse_fmspc(parameters: Mapping[str, str]) -> bytes:
    """
    Read ``fmspc``: 6 bytes as 12 hexadecimal digits of either case.

    Raises:
        ParameterError: Missing, or of another form.
    """
    text = parameters.get("fmspc", "")
    if not _FMSPC.fullmatch(text):
        raise ParameterError("fmspc", text, "expected 12 hexadecimal digits")
    return bytes.fromhex(text)


def parse_hex_parameter(
    parameters: Mapping[str, str], name: str, size: int
) -> bytes:
    """
    Read *name*: *size* bytes as hexadecimal digits of either case.

    Raises:
        ParameterError: Missing, or of another form.
    """
    text = parameters.get(name, "")
    if len(text) == 2 * size and _HEX.fullmatch(text):
        return bytes.fromhex(text)
    raise ParameterError(name, text, f"expected {2 * size} hexadecimal digits")


def parse_encrypted_ppid(parameters: Mapping[str, str]) -> bytes | None:
    """
    Read ``encrypted_ppid``: 384 bytes; absent, empty and all zeros mean none.

    It names a machine: no message repeats it.

    Raises:
        ParameterError: Of another form.
    """
    text = parameters.get("encrypted_ppid", "")
    if not text:
        return None
    if len(text) != _ENC_PPID_DIGITS or not _HEX.fullmatch(text):
        shown = f"{len(text)} characters"
        expected = f"expected {_ENC_PPID_DIGITS} hexadecimal digits"
        raise ParameterError("encrypted_ppid", shown, expected)
    enc_ppid = bytes.fromhex(text)
    return enc_ppid if any(enc_ppid) else None


def parse_manifest(parameters: Mapping[str, str]) -> bytes:
    """
    Read ``platformManifest``: whole bytes in hexadecimal digits, 112,884 of
    them at most (Intel's PCS v4).

    It is a secret: no message repeats it.

    Raises:
        ParameterError: Missing, or of another form.
    """
    text = parameters.get("platformManifest", "")
    is_hex = len(text) % 2 == 0 and _HEX.fullmatch(text)
    if is_hex and len(text) <= _MANIFEST_DIGITS:
        return bytes.fromhex(text)
    shown = f"{len(text)} characters"
    expected = f"expected up to {_MANIFEST_DIGITS} hexadecimal digits"
    raise ParameterError("platformManifest", shown, expected)


def parse_update(parameters: Mapping[str, str]) -> Update | None:
    """
    Read ``update``: ``early`` or ``standard``, None when absent.

    Raises:
        ParameterError: Another value.
    """
    return _parse_choice(parameters, "update", Update)


def parse_ca(parameters: Mapping[str, str]) -> PckCa | None:
    """
    Read ``ca``: ``processor`` or ``platform``, None when absent.

    Raises:
        ParameterError: Another value.
    """
    return _parse_choice(parameters, "ca", PckCa)


def _parse_choice(
    parameters: Mapping[str, str], name: str, kind: type[E]
) -> E | None:
    text = parameters.get(name)
    if text is None:
        return None
    try:
        return kind(text.lower())
    except ValueError:
        values = " or ".join(member.value for member in kind)
        raise ParameterError(name, text, f"expected {values}") from None


def parse_number(
    parameters: Mapping[str, str], name: str = "tcbEvaluationDataNumber"
) -> int | None:
    """
    Read a TCB evaluation data number, None when absent.

    Raises:
        ParameterError: Not a number in decimal digits.
    """
    text = parameters.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise ParameterError(name, text, "expected a number")
    return int(text)


def parse_custom_parameter(parameters: Mapping[str, str]) -> int | None:
    """
    Read the number out of ``customParameter``, None when there is none.

    The value is base64 of ``tcbEvaluationDataNumber=14;region=us central``
    and, from Azure's client, a NUL.  ``region`` is accepted and means nothing
    here; an unknown key is an error, as in Azure.

    Raises:
        ParameterError: Not base64, not such text, or an unknown key.
    """
    text = parameters.get("customParameter")
    if text is None:
        return None
    if len(text) > _CUSTOM_SIZE:
        expected = f"expected at most {_CUSTOM_SIZE} characters"
        raise ParameterError("customParameter", text, expected)
    listed = _custom_pairs(text)
    pairs = dict(listed)
    if len(pairs) != len(listed):
        expected = "expected each key once in it"
        raise ParameterError("customParameter", text, expected)
    if unknown := pairs.keys() - _CUSTOM_KEYS:
        expected = f"expected no key {min(unknown)!r} in it"
        raise ParameterError("customParameter", text, expected)
    number = pairs.get("tcbevaluationdatanumber")
    if number is None:
        return None
    return parse_number({"customParameter": number}, "customParameter")


def _custom_pairs(text: str) -> list[tuple[str, str]]:
    bare = text.rstrip("=")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        entries = _SEPARATORS.split(raw.decode("ascii").removesuffix("\0"))
        pairs = [entry.split("=", 1) for entry in entries if entry]
        return [(key.strip().lower(), value) for key, value in pairs]
    except ValueError:
        expected = "expected base64 of key=value;key=value"
        raise ParameterError("customParameter", text, expected) from None


_STATIC: Final = "https://certificates.trustedservices.intel.com/"
_API: Final = "https://api.trustedservices.intel.com/sgx/certification/"

#: Every CRL distribution point that a real certificate or client names,
#: lower case.  A table, never a pattern, and never a URL to
#: fetch.
_DISTRIBUTION_POINTS: Final[Mapping[str, PckCa | None]] = {
    f"{_STATIC}intelsgxrootca.crl": None,
    f"{_STATIC}intelsgxrootca.der": None,
    f"{_STATIC}intelsgxpckprocessor.crl": PckCa.PROCESSOR,
    f"{_STATIC}intelsgxpckplatform.crl": PckCa.PLATFORM,
    **{
        f"{_API}v{version}/pckcrl?ca={ca.value}{encoding}": ca
        for version in (1, 2, 3, 4)
        for ca in PckCa
        for encoding in ("", "&encoding=der", "&encoding=pem")
    },
}


def find_distribution_point(uri: str) -> PckCa | None:
    """
    Return whose CRL the distribution point *uri* names: a PCK CA's, or None
    for the root CA's.

    Clients send it unencoded, encoded, or encoded twice with small letters.

    Raises:
        ParameterError: Not one of the known ones.
    """
    plain = uri
    for _ in range(2):
        plain = urllib.parse.unquote(plain)
    try:
        return _DISTRIBUTION_POINTS[plain.lower()]
    except KeyError:
        expected = "expected one of Intel's CRL distribution points"
        raise ParameterError("uri", uri, expected) from None
