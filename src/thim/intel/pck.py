"""
The PCK certificate: which platform, at which TCB, and who vouches for it.

Intel's "SGX PCK Certificate and CRL Profile Specification".  The SGX extension
is a SEQUENCE of pairs of OID and value; they are found by their OIDs, in any
order.  QVL cuts components to eight bits without a word; here they are refused.

PPID and platform instance name a machine: no message and no repr shows them.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import operator

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography import x509

from thim.errors import MalformedError, shorten
from thim.intel.authorities import Authority
from thim.intel.names import PckCa
from thim.intel.tcb import Tcb
from thim.x509.chain import EXTENSION_ERRORS, common_name
from thim.x509.der import (
    ENUMERATED,
    INTEGER,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    Pairs,
    PairTable,
)


if TYPE_CHECKING:
    from datetime import datetime

SGX_EXTENSION: Final = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
SUBJECT: Final = "Intel SGX PCK Certificate"

_CPUSVN_SIZE: Final = 16
_TCBM_SIZE: Final = 18
_MAX_PCESVN: Final = 0xFFFF


class SgxType(enum.Enum):
    """How a platform protects enclaves' memory."""

    STANDARD = 0
    SCALABLE = 1
    SCALABLE_WITH_INTEGRITY = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckTcbm:
    """
    CPUSVN and PCESVN: a platform's raw TCB, or what a PCK certificate is for.

    Two of them may each be above the other in some part: they have no order,
    only *meets*.
    """

    cpusvn: bytes
    pcesvn: int

    def __post_init__(self) -> None:
        if len(self.cpusvn) != _CPUSVN_SIZE:
            msg = f"cpusvn has {len(self.cpusvn)} bytes, expected 16"
            raise MalformedError(msg, reason="tcbm")
        if not 0 <= self.pcesvn <= _MAX_PCESVN:
            msg = f"pcesvn is {self.pcesvn}, expected 0 to 65535"
            raise MalformedError(msg, reason="tcbm")

    @classmethod
    def from_bytes(cls, tcbm: bytes) -> PckTcbm:
        """
        Read *tcbm*: CPUSVN, and PCESVN with its lower byte first.

        Raises:
            MalformedError: Not 18 bytes.
        """
        if len(tcbm) != _TCBM_SIZE:
            msg = f"tcbm has {len(tcbm)} bytes, expected 18"
            raise MalformedError(msg, reason="tcbm")
        return cls(
            cpusvn=tcbm[:_CPUSVN_SIZE],
            pcesvn=int.from_bytes(tcbm[_CPUSVN_SIZE:], "little"),
        )

    def to_bytes(self) -> bytes:
        """
        Write CPUSVN, and PCESVN with its lower byte first.
        """
        return self.cpusvn + self.pcesvn.to_bytes(2, "little")

    def meets(self, floor: PckTcbm) -> bool:
        """
        Tell whether no SVN is below that of *floor*.
        """
        return self.pcesvn >= floor.pcesvn and all(
            map(operator.ge, self.cpusvn, floor.cpusvn)
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckCertificate:
    """
    What a PCK certificate says, read but not verified.

    The platform instance and the three flags are set by the platform CA only.

    Attributes:
        ca: Which authority issued it.
        ppid: 16 bytes.
        tcbm: The TCB that it was made for.
        pce_id: 2 bytes.
        fmspc: 6 bytes.
        sgx_type: How the platform protects enclaves' memory.
        platform_instance_id: 16 bytes.
        dynamic_platform: Whether packages can be added.
        cached_keys: Whether Intel keeps the platform's root keys.
        smt_enabled: Whether a core runs two threads.
        serial_number: The certificate's.
        not_before: The first instant of its validity.
        not_after: The last one.
    """

    ca: PckCa
    ppid: bytes = dataclasses.field(repr=False)
    tcbm: PckTcbm
    pce_id: bytes
    fmspc: bytes
    sgx_type: SgxType
    platform_instance_id: bytes | None = dataclasses.field(
        default=None, repr=False
    )
    dynamic_platform: bool | None = None
    cached_keys: bool | None = None
    smt_enabled: bool | None = None
    serial_number: int
    not_before: datetime
    not_after: datetime

    @classmethod
    def from_certificate(cls, certificate: x509.Certificate) -> PckCertificate:
        """
        Read *certificate*, as ``thim.x509.chain`` parses it.

        Raises:
            MalformedError: Not a PCK certificate.  The reason is
                ``certificate-version``, ``certificate-subject``,
                ``certificate-issuer``, ``certificate-extensions``,
                ``extension``, or ``cpusvn`` where it is not made of the
                components.
        """
        _check_version_and_subject(certificate)
        ca = _parse_issuer(certificate)
        pairs = Pairs.from_der(_find_extension(certificate), _EXTENSIONS[ca])
        platform = _parse_platform(pairs) if ca is PckCa.PLATFORM else _NONE
        return cls(
            ca=ca,
            ppid=pairs.octets(1, 16),
            tcbm=_parse_tcb(pairs.content(2, SEQUENCE)),
            pce_id=pairs.octets(3, 2),
            fmspc=pairs.octets(4, 6),
            sgx_type=SgxType(pairs.integer(5, 2, ENUMERATED)),
            platform_instance_id=platform[0],
            dynamic_platform=platform[1],
            cached_keys=platform[2],
            smt_enabled=platform[3],
            serial_number=certificate.serial_number,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )

    @property
    def cpusvn(self) -> bytes:
        """The 16 bytes of CPUSVN."""
        return self.tcbm.cpusvn

    @property
    def components(self) -> bytes:
        """The SVNs of the 16 SGX components: they are CPUSVN's bytes."""
        return self.tcbm.cpusvn

    @property
    def pcesvn(self) -> int:
        """The SVN of the provisioning certification enclave."""
        return self.tcbm.pcesvn

    @property
    def tcb(self) -> Tcb:
        """The TCB, as it is compared with the levels of an SGX TCB info."""
        return Tcb(sgx=self.components, pcesvn=self.pcesvn)


_CAS: Final = {
    Authority.PCK_PROCESSOR.value: PckCa.PROCESSOR,
    Authority.PCK_PLATFORM.value: PckCa.PLATFORM,
}


def _check_version_and_subject(certificate: x509.Certificate) -> None:
    if certificate.version is not x509.Version.v3:
        msg = f"PCK certificate is X.509 {certificate.version.name}, not v3"
        raise MalformedError(msg, reason="certificate-version")
    subject = common_name(certificate.subject)
    if subject != SUBJECT:
        msg = f"subject is {shorten(subject)}, expected {SUBJECT!r}"
        raise MalformedError(msg, reason="certificate-subject")


def _parse_issuer(certificate: x509.Certificate) -> PckCa:
    issuer = common_name(certificate.issuer)
    if issuer not in _CAS:
        msg = f"issuer is {shorten(issuer)}, expected {' or '.join(_CAS)}"
        raise MalformedError(msg, reason="certificate-issuer")
    return _CAS[issuer]


def _find_extension(certificate: x509.Certificate) -> bytes:
    try:
        found = certificate.extensions.get_extension_for_oid(SGX_EXTENSION)
    except EXTENSION_ERRORS as e:
        msg = f"extension {_BASE_OID} is not there once, or: {e}"
        raise MalformedError(msg, reason="certificate-extensions") from e
    return found.value.public_bytes()


_Platform: TypeAlias = tuple[
    bytes | None, bool | None, bool | None, bool | None
]
_NONE: Final[_Platform] = (None, None, None, None)


def _parse_platform(pairs: Pairs) -> _Platform:
    flags = Pairs(pairs.content(7, SEQUENCE), _CONFIGURATION)
    return (
        pairs.octets(6, 16),
        flags.boolean(1),
        flags.boolean(2),
        flags.boolean(3),
    )


# A fleet has few TCBs, and a million certificates.
@functools.lru_cache(maxsize=1024)
def _parse_tcb(content: bytes) -> PckTcbm:
    pairs = Pairs(content, _TCB)
    cpusvn = pairs.octets(18, 16)
    # QVL reads the components, and Intel's selection library demands this.
    for arc, svn in enumerate(cpusvn, 1):
        if pairs.found[arc] != _SVNS[svn]:
            component = pairs.integer(arc, 0xFF)
            msg = f"{_TCB.spell(arc)} is {component}, but {svn} in cpusvn"
            raise MalformedError(msg, reason="cpusvn")
    return PckTcbm(cpusvn=cpusvn, pcesvn=pairs.integer(17, _MAX_PCESVN))


#: Tag and content octets of all SVNs: in DER a number has one form.
_SVNS: Final = [
    (INTEGER, svn.to_bytes(svn.bit_length() // 8 + 1, "big"))
    for svn in range(0x100)
]

_BASE_OID: Final = SGX_EXTENSION.dotted_string
#: Its content octets.
_BASE: Final = bytes.fromhex("2A864886F84D010D01")


def _table(arcs: Sequence[int], names: Mapping[int, str]) -> PairTable:
    octets = _BASE + bytes(arcs)
    return PairTable(
        oid=".".join([_BASE_OID, *map(str, arcs)]),
        prefix=bytes([OBJECT_IDENTIFIER, len(octets) + 1]) + octets,
        names=names,
    )


_COMMON: Final = {
    1: "ppid",
    2: "tcb",
    3: "pce_id",
    4: "fmspc",
    5: "sgx_type",
}
_FURTHER: Final = {6: "platform_instance_id", 7: "configuration"}
_EXTENSIONS: Final = {
    PckCa.PROCESSOR: _table([], _COMMON),
    PckCa.PLATFORM: _table([], _COMMON | _FURTHER),
}
_TCB: Final = _table(
    [2],
    {arc: f"component {arc}" for arc in range(1, 17)}
    | {17: "pcesvn", 18: "cpusvn"},
)
_CONFIGURATION: Final = _table(
    [7], {1: "dynamic_platform", 2: "cached_keys", 3: "smt_enabled"}
)
