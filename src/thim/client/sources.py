"""
Whom a client asks, and for what: URLs, parameters and headers.

The paths are those of Intel's PCS v4, which thim, Azure's THIM and PCCS all
answer; ``encoding=der`` is honoured by most, so an answer may still be a CRL
in PEM or as hexadecimal text.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse

from typing import TYPE_CHECKING, Final

from thim.client.steps import Request, Source
from thim.client.urls import is_usable
from thim.errors import MalformedError, OperatorError
from thim.intel.names import Tee
from thim.intel.pck import PckTcbm


if TYPE_CHECKING:
    from thim.intel.names import EnclaveKind, PckCa

IMDS_URL: Final = "http://169.254.169.254"
PCK_VERSION: Final = "2021-07-22-preview"
_SUFFIX: Final = re.compile(r"/(?:sgx|tdx)/certification(?:/v\d)?$", re.ASCII)
_ENC_PPID_SIZE: Final = 384


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckQuestion:
    """
    A platform at a TCB whose PCK certificate is wanted.

    *qe_id* has 16 bytes and *pce_id* 2, in the order in which they are sent.
    """

    qe_id: bytes = dataclasses.field(repr=False)
    raw_tcb: PckTcbm
    pce_id: bytes
    enc_ppid: bytes | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_size("qe_id", self.qe_id, 16)
        _check_size("pce_id", self.pce_id, 2)
        if self.enc_ppid is not None:
            _check_size("encrypted_ppid", self.enc_ppid, _ENC_PPID_SIZE)

    def parameters(self) -> dict[str, str]:
        """
        Return its parameters, but for ``encrypted_ppid``.
        """
        return {
            "qeid": self.qe_id.hex(),
            "cpusvn": self.raw_tcb.cpusvn.hex(),
            "pcesvn": self.raw_tcb.pcesvn.to_bytes(2, "little").hex(),
            "pceid": self.pce_id.hex(),
            "api-version": PCK_VERSION,
        }


def _check_size(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        msg = f"{name} has {len(value)} bytes, expected {size}"
        raise MalformedError(msg, reason=name.replace("_", "-"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """
    The service, and the metadata service of the host (None: not asked).

    Raises:
        OperatorError: A URL cannot be asked.
    """

    url: str
    imds_url: str | None = IMDS_URL
    clientid: str | None = None
    imds_seconds: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _base("url", self.url))
        if self.imds_url is not None:
            base = _base("imds_url", self.imds_url)
            object.__setattr__(self, "imds_url", base)

    def tcb_info(self, tee: Tee, fmspc: bytes) -> Request:
        """
        Ask for the TCB info of *fmspc*.
        """
        return self._ask(tee, "tcb", fmspc=fmspc.hex().upper())

    def identity(self, kind: EnclaveKind) -> Request:
        """
        Ask for an enclave's identity.
        """
        path, tee = _IDENTITIES[kind.value]
        return self._ask(tee, path)

    def pck_crl(self, ca: PckCa) -> Request:
        """
        Ask for the CRL of a PCK CA.
        """
        return self._ask(Tee.SGX, "pckcrl", ca=ca.value, encoding="der")

    def root_crl(self) -> Request:
        """
        Ask for the root CA's CRL.
        """
        return self._ask(Tee.SGX, "rootcacrl", encoding="der")

    def pck_certificate(self, question: PckQuestion) -> Request:
        """
        Ask the service for a PCK certificate.
        """
        base = f"{self.url}/sgx/certification/v4/pckcert"
        return Request(
            source=Source.SERVICE,
            url=self._with_query(base, _all_parameters(question)),
            shown=base,
        )

    def pck_key(self, question: PckQuestion) -> str:
        """
        Return the URL under which that answer is kept: the service's, whoever
        gave it, and without the encrypted PPID.
        """
        base = f"{self.url}/sgx/certification/v4/pckcert"
        return self._with_query(base, question.parameters())

    def metadata_pck_certificate(self, question: PckQuestion) -> Request | None:
        """
        Ask the host's metadata service for it, if that is asked at all.
        """
        if self.imds_url is None:
            return None
        base = f"{self.imds_url}/metadata/THIM/sgx/certification/v4/pckcert"
        return Request(
            source=Source.IMDS,
            url=self._with_query(base, _all_parameters(question)),
            shown=base,
            headers={"metadata": "true"},
            seconds=self.imds_seconds,
        )

    def _ask(self, tee: Tee, path: str, **parameters: str) -> Request:
        base = f"{self.url}/{tee.value.lower()}/certification/v4/{path}"
        url = self._with_query(base, parameters)
        return Request(source=Source.SERVICE, url=url, shown=url)

    def _with_query(self, base: str, parameters: dict[str, str]) -> str:
        if self.clientid is not None:
            parameters = {**parameters, "clientid": self.clientid}
        query = urllib.parse.urlencode(parameters)
        return f"{base}?{query}" if query else base


_IDENTITIES: Final = {
    "QE": ("qe/identity", Tee.SGX),
    "QVE": ("qve/identity", Tee.SGX),
    "TD_QE": ("qe/identity", Tee.TDX),
}


def _all_parameters(question: PckQuestion) -> dict[str, str]:
    parameters = question.parameters()
    if question.enc_ppid is not None:
        parameters["encrypted_ppid"] = question.enc_ppid.hex()
    return parameters


def _base(name: str, url: str) -> str:
    base = _SUFFIX.sub("", url.rstrip("/")).rstrip("/")
    if not is_usable(base) or "@" in urllib.parse.urlsplit(base).netloc:
        msg = (
            f"{name}: expected https://HOST, perhaps with a port and a prefix "
            "behind it, without user or query"
        )
        raise OperatorError(msg, reason="client-url")
    return base
