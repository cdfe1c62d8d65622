"""
What is sent to an attestation service, and how its answer is read: the wire
form of Azure Attestation.
"""

from __future__ import annotations

import base64
import dataclasses
import json

from typing import TYPE_CHECKING, Any, Final, NoReturn

from thim.amd.hcl import MAGIC, HclReport
from thim.attestation.evidence import (
    QuoteEvidence,
    SnpEvidence,
    parse_evidence,
)
from thim.attestation.kind import AttestationType
from thim.client.answers import OK, attempt, refusal, retry_after, take
from thim.client.errors import (
    AttestationRefusedError,
    BadAnswerError,
    CollateralUnavailableError,
)
from thim.client.jws import parse_object
from thim.client.steps import Answer, Outcome, Request, Source
from thim.errors import MalformedError, ParameterError, printable
from thim.intel.names import Tee


if TYPE_CHECKING:
    from datetime import datetime

#: All types are taken from it on.
API_VERSION: Final = "2025-06-01"
_WHAT: Final = "a token"
#: What may pass: too often, and the service's own trouble.
_PASSING: Final = frozenset({429, *range(500, 600)})
_MEMBERS: Final = {
    AttestationType.SGX_ENCLAVE: "quote",
    AttestationType.OPEN_ENCLAVE: "report",
    AttestationType.SEV_SNP_VM: "report",
    AttestationType.TDX_VM: "quote",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldData:
    """
    Data that the evidence is bound to; JSON comes back parsed.
    """

    data: bytes
    is_json: bool = False

    def to_json(self) -> dict[str, str]:
        """
        Write it as it is sent.
        """
        kind = "JSON" if self.is_json else "Binary"
        return {"data": encode(self.data), "dataType": kind}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """
    What is to be attested.

    Attributes:
        type: What kind of thing it is.
        evidence: A quote, an Open Enclave report, or the JSON around an
            SEV-SNP report (`wrap_report`).
        runtime: What the evidence's report data is bound to.
        init_time: What its configuration ID or host data is bound to.
        nonce: What the token is to repeat.
        draft: The text of a policy to use instead of the provider's; the token
            is not signed then.
    """

    type: AttestationType
    evidence: bytes
    runtime: HeldData | None = None
    init_time: HeldData | None = None
    nonce: str | None = None
    draft: str | None = None

    def to_request(self, url: str) -> Request:
        """
        Write it as a request to the service at *url*.

        Raises:
            ParameterError: There are no tokens of that type.
        """
        member = _MEMBERS.get(self.type)
        if member is None:
            expected = f"expected {', '.join(t.value for t in _MEMBERS)}"
            raise ParameterError("type", self.type.value, expected)
        body: dict[str, object] = {member: encode(self.evidence)}
        if self.runtime is not None:
            body["runtimeData"] = self.runtime.to_json()
        if self.init_time is not None:
            body["initTimeData"] = self.init_time.to_json()
        if self.nonce is not None:
            body["nonce"] = self.nonce
        if self.draft is not None:
            body["draftPolicyForAttestation"] = self.draft
        asked = f"{url}/attest/{self.type.value}?api-version={API_VERSION}"
        return Request(
            source=Source.SERVICE,
            url=asked,
            shown=asked,
            headers={"content-type": "application/json"},
            body=json.dumps(body).encode(),
        )


def encode(raw: bytes) -> str:
    """
    Write *raw* in base64url without padding.
    """
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def wrap_report(report: bytes, vcek_chain: bytes = b"") -> bytes:
    """
    Put around an SEV-SNP report what a service expects: JSON with the chain
    (PEM) of the key that signed it, if that is at hand.
    """
    members = {"SnpReport": encode(report)}
    if vcek_chain:
        members["VcekCertChain"] = encode(vcek_chain)
    return json.dumps(members).encode()


def recognise(
    raw: bytes, *, runtime: HeldData | None = None, vcek_chain: bytes = b""
) -> Attested:
    """
    Find out what *raw* is evidence of, and make it what is sent.

    An Azure HCL report brings its own runtime data unless others are given.

    Raises:
        MalformedError: It is no evidence.
        UntrustedError: An envelope is not bound to what it holds.
    """
    found = parse_evidence(raw)
    if isinstance(found, SnpEvidence):
        if found.hcl is not None and runtime is None:
            runtime = HeldData(data=found.hcl.runtime_claims, is_json=True)
        return Attested(
            type=AttestationType.SEV_SNP_VM,
            evidence=wrap_report(found.report.raw, vcek_chain),
            runtime=runtime,
        )
    return Attested(
        type=_find_type(found),
        evidence=raw if found.envelope == "oe-report" else found.quote.raw,
        runtime=runtime,
    )


def _find_type(found: QuoteEvidence) -> AttestationType:
    if found.quote.tee is Tee.TDX:
        return AttestationType.TDX_VM
    if found.envelope == "oe-report":
        return AttestationType.OPEN_ENCLAVE
    return AttestationType.SGX_ENCLAVE


def submit_as(
    type: AttestationType,  # noqa: A002 - Azure's own word
    evidence: bytes,
    *,
    runtime: HeldData | None = None,
    vcek_chain: bytes = b"",
) -> Attested:
    """
    Make what is sent of *evidence* that is said to be of a *type*.

    A bare SEV-SNP report, or the one in an HCL report, gets its envelope.
    """
    if type is AttestationType.SEV_SNP_VM and not evidence.startswith(b"{"):
        if evidence.startswith(MAGIC):
            evidence = HclReport.from_bytes(evidence).hardware_report
        evidence = wrap_report(evidence, vcek_chain)
    return Attested(type=type, evidence=evidence, runtime=runtime)


def read_token(request: Request, outcome: Outcome, now: datetime) -> str:
    """
    Read the answer to *request*: a token, of which nothing is verified.

    Raises:
        AttestationRefusedError: The service gives none, and says why.
        ClientError: It is no answer, or one that cannot be read.
    """
    if isinstance(outcome, Answer) and outcome.status != OK:
        _refuse(request, outcome)
    got = take(_WHAT, request, outcome, now)
    try:
        token = parse_object(got.body, "answer").get("token")
    except MalformedError as e:
        _fail(request, outcome, str(e))
    if not isinstance(token, str):
        _fail(request, outcome, "no token in the answer")
    return token


def _fail(request: Request, outcome: Outcome, message: str) -> NoReturn:
    tried = (attempt(request, outcome),)
    msg = f"{_WHAT}: {message}"
    raise BadAnswerError(msg, attempts=tried)


def _refuse(request: Request, answer: Answer) -> NoReturn:
    tried = (attempt(request, answer),)
    try:
        error = parse_object(answer.body, "error").get("error")
    except MalformedError:
        error = None
    if not isinstance(error, dict):
        raise refusal(_WHAT, answer, tried)
    code, said = _text(error, "code"), _text(error, "message")
    inner = error.get("innererror")
    inner = inner if isinstance(inner, dict) else {}
    inner_code, more = _text(inner, "code"), _text(inner, "message")
    message = f"{_WHAT}: {code}: {said}"
    if inner:
        # Where Azure has no sentence of its own both say the same.
        message += f" [{inner_code}{'' if more == said else f': {more}'}]"
    if answer.status in _PASSING:
        raise CollateralUnavailableError(
            message,
            reason=inner_code or None,
            attempts=tried,
            retry_after=retry_after(answer),
        )
    raise AttestationRefusedError(
        message,
        status=answer.status,
        code=code,
        said=said,
        inner_code=inner_code,
        inner=more,
        attempts=tried,
    )


def _text(error: dict[str, Any], name: str) -> str:
    found = error.get(name)
    return printable(found) if isinstance(found, str) else ""
