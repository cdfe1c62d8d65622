"""
The documents that verification needs, each read out of its answer.

Nothing is verified here: no signature, no chain, no date.  Refused is what is
not what was asked for, so that a mistake is found where it was made.
"""

from __future__ import annotations

import dataclasses
import datetime
import urllib.parse

from typing import TYPE_CHECKING, Final

from thim.client.fetch import Wanted
from thim.errors import MalformedError, shorten
from thim.intel.authorities import Authority, authority_of
from thim.intel.identity import EnclaveIdentity
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.recognise import recognise
from thim.intel.signed import SignedJson, SignedKind
from thim.intel.tcb_info import TcbInfo
from thim.x509.chain import common_name, parse_pem_chain


if TYPE_CHECKING:
    from thim.client.answers import Got
    from thim.client.model import PlatformModel
    from thim.client.sources import Sources

_TCB_CHAIN: Final = ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain")
_IDENTITY_CHAIN: Final = ("sgx-enclave-identity-issuer-chain",)
_CRL_CHAIN: Final = ("sgx-pck-crl-issuer-chain",)
_CAS: Final = {
    PckCa.PROCESSOR: Authority.PCK_PROCESSOR,
    PckCa.PLATFORM: Authority.PCK_PLATFORM,
}
QUOTING_ENCLAVES: Final = {
    Tee.SGX: EnclaveKind.QE,
    Tee.TDX: EnclaveKind.TD_QE,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """
    One document, with the *issuer_chain* that came with it (PEM, or empty).

    *number* and *baseline* are those of TCB infos and identities.
    """

    body: bytes
    issuer_chain: bytes
    expires: datetime.datetime
    got: Got
    number: int | None = None

    @property
    def baseline(self) -> str | None:
        """
        Under which baseline thim answered, None for another service.
        """
        said = self.got.headers.get("thim-baseline", "")
        return said.partition(";")[0].strip() or None


def want_tcb_info(sources: Sources, model: PlatformModel) -> Wanted[Part]:
    """
    Want the TCB info of *model*.
    """

    def read(got: Got) -> Part:
        signed = _signed(got, SignedKind.TCB_INFO)
        info = TcbInfo.from_json(signed)
        _check("tee", info.tee.value, model.tee.value)
        _check("fmspc", info.fmspc.hex(), model.fmspc.hex())
        if info.next_update is None:
            msg = f"tcbInfo version is {info.version}, expected 2 or 3"
            raise MalformedError(msg, reason="version")
        return Part(
            body=got.body,
            issuer_chain=_chain(got, _TCB_CHAIN, Authority.TCB_SIGNING),
            expires=info.next_update,
            got=got,
            number=info.tcb_evaluation_data_number,
        )

    request = sources.tcb_info(model.tee, model.fmspc)
    what = f"TCB info ({model.tee.name}, {model.fmspc.hex().upper()})"
    return Wanted(what=what, request=request, url=request.url, read=read)


def want_identity(sources: Sources, kind: EnclaveKind) -> Wanted[Part]:
    """
    Want the identity of the enclave *kind*.
    """

    def read(got: Got) -> Part:
        signed = _signed(got, SignedKind.ENCLAVE_IDENTITY)
        identity = EnclaveIdentity.from_json(signed)
        _check("id", identity.kind.value, kind.value)
        return Part(
            body=got.body,
            issuer_chain=_chain(got, _IDENTITY_CHAIN, Authority.TCB_SIGNING),
            expires=identity.next_update,
            got=got,
            number=identity.tcb_evaluation_data_number,
        )

    request = sources.identity(kind)
    what = f"{kind.value} identity"
    return Wanted(what=what, request=request, url=request.url, read=read)


def want_pck_crl(sources: Sources, ca: PckCa) -> Wanted[Part]:
    """
    Want the CRL of the PCK *ca*.
    """
    authority = _CAS[ca]

    def read(got: Got) -> Part:
        return dataclasses.replace(
            _read_crl(got, authority),
            issuer_chain=_chain(got, _CRL_CHAIN, authority),
        )

    request = sources.pck_crl(ca)
    what = f"CRL of the {ca.value} CA"
    return Wanted(what=what, request=request, url=request.url, read=read)


def want_root_crl(sources: Sources) -> Wanted[Part]:
    """
    Want the root CA's CRL; nobody needs a chain with it.
    """

    def read(got: Got) -> Part:
        return _read_crl(got, Authority.ROOT)

    request = sources.root_crl()
    what = "CRL of the root CA"
    return Wanted(what=what, request=request, url=request.url, read=read)


def _signed(got: Got, kind: SignedKind) -> bytes:
    document = SignedJson.from_json(got.body)
    _check("document", document.kind.value, kind.value)
    return document.signed


def _check(name: str, found: str, expected: str) -> None:
    if found != expected:
        msg = f"{name} is {shorten(found)}, asked for {expected!r}"
        raise MalformedError(msg, reason=f"other-{name}")


def _read_crl(got: Got, issuer: Authority) -> Part:
    found = recognise(got.body)
    if len(found.crls) != 1 or found.signed or found.certificates:
        msg = f"{len(found.crls)} CRLs in the answer, expected one alone"
        raise MalformedError(msg, reason="crl")
    (crl,) = found.crls
    _check("issuer", common_name(crl.issuer), issuer.value)
    return Part(
        body=crl.der, issuer_chain=b"", expires=crl.next_update, got=got
    )


def _chain(got: Got, names: tuple[str, ...], signer: Authority) -> bytes:
    sent = [got.headers[name] for name in names if name in got.headers]
    if not sent:
        msg = f"no header {names[0]}"
        raise MalformedError(msg, reason="issuer-chain")
    return decode_chain(sent[0], signer)


def decode_chain(sent: str, signer: Authority) -> bytes:
    """
    Return as PEM the chain that *sent* is, percent-encoded: *signer* and root.

    Raises:
        MalformedError: It is another one, or none.
    """
    pem = urllib.parse.unquote_to_bytes(sent)
    names = [authority_of(each) for each in parse_pem_chain(pem)]
    if names != [signer, Authority.ROOT]:
        msg = f"issuer chain is not {signer.value} and root"
        raise MalformedError(msg, reason="issuer-chain")
    return pem
