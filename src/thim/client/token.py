"""
Whether an attestation token is what its provider has signed, and what is
expected.

1. The token reads in one way only (``thim.client.jws``), and its algorithm is
   RS256, whatever it says itself.
2. ``iss`` is the issuer that the caller has pinned; ``jku`` is that and
   ``/certs``.  Neither it nor ``x5u`` or ``x5c`` is ever asked for a key.
3. A key of the provider has signed it: the one that ``kid`` names, or where
   none has that name any of them (RFC 7515, 4.1.4).
4. The signer's certificate is for that issuer, by itself, and valid.
5. Where the certificate has evidence of a TEE, that is bound to its key; the
   caller may demand it, and have it verified.
6. The token is in force: ``nbf``, ``iat`` and ``exp``, give or take a leeway.
7. It is of the expected type, nonce and runtime data.

All of it is a function of the token, the provider's keys and an instant.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib

from typing import TYPE_CHECKING, Any, Final, NoReturn

from thim.attestation.kind import AttestationType
from thim.client.jws import (
    Jws,
    check_algorithm,
    check_dates,
    is_signed,
    read_jws,
)
from thim.client.signer import Signer, check_signer
from thim.client.signer_evidence import (
    EvidenceCheck,
    SignerEvidence,
    find_evidence,
)
from thim.errors import MalformedError, UntrustedError, shorten


if TYPE_CHECKING:
    from collections.abc import Sequence

#: The only one; a token does not choose.
ALGORITHMS: Final = ("RS256",)
#: By how much clocks may differ.
LEEWAY: Final = datetime.timedelta(minutes=1)
_TYPES: Final = {
    AttestationType.SGX_ENCLAVE: "sgx",
    AttestationType.OPEN_ENCLAVE: "sgx",
    AttestationType.SEV_SNP_VM: "sevsnpvm",
    AttestationType.TDX_VM: "tdxvm",
    AttestationType.AZURE_GUEST: "azurevm",
}
#: Where the report data are, by the token's type.
_REPORT_DATA: Final = {
    "sgx": "x-ms-sgx-report-data",
    "sevsnpvm": "x-ms-sevsnpvm-reportdata",
    "tdxvm": "tdx_report_data",
}
_DIGITS: Final = 128


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """
    What a token must be.

    Attributes:
        issuer: Whose it is: the provider's URL, exactly as it names itself.
        type: What was attested; None for anything.
        nonce: The nonce that was sent along; None if there was none to expect.
        runtime: The digest that the evidence must be bound to, as
            `expect_runtime` makes it; None for anything.
        leeway: By how much clocks may differ.
        require_evidence: Whether the signer must show evidence of its own TEE
            that *check_evidence* has verified.
        check_evidence: Verifies the signer's evidence, where there is any.
    """

    issuer: str
    type: AttestationType | None = None
    nonce: str | None = None
    runtime: bytes | None = None
    leeway: datetime.timedelta = LEEWAY
    require_evidence: bool = False
    check_evidence: EvidenceCheck | None = None

    def __post_init__(self) -> None:
        if self.require_evidence and self.check_evidence is None:
            msg = "require_evidence needs a check_evidence that verifies it"
            raise ValueError(msg)
        if self.type is AttestationType.TPM:
            msg = "there are no tokens of the type Tpm"
            raise ValueError(msg)


def expect_runtime(data: bytes) -> bytes:
    """
    Return what evidence is bound to whose runtime data are *data*, exactly as
    they were sent: its SHA-256.
    """
    return hashlib.sha256(data).digest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """
    What a token says, after it was verified.

    Attributes:
        values: The claims, by their names.
        signer: Who signed it.
        evidence: The evidence of the signer's own TEE, bound to its key; None
            if there is none.
        is_evidence_verified: Whether that evidence was verified, too.
    """

    values: dict[str, Any]
    signer: Signer
    evidence: SignerEvidence | None = None
    is_evidence_verified: bool = False

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - JSON
        return self.values[name]

    @property
    def issuer(self) -> str:
        """Whose token it is."""
        return str(self.values["iss"])

    @property
    def expires(self) -> datetime.datetime:
        """When it ends."""
        return _to_instant(self.values["exp"])

    @property
    def issued(self) -> datetime.datetime:
        """When it was issued."""
        return _to_instant(self.values["iat"])

    @property
    def runtime(self) -> dict[str, Any] | None:
        """The runtime data, if they were JSON."""
        found = self.values.get("x-ms-runtime")
        return found if isinstance(found, dict) else None


def _to_instant(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def verify_token(
    token: str | bytes,
    signers: Sequence[Signer],
    expected: Expectation,
    now: datetime.datetime,
) -> Claims:
    """
    Verify *token* as of *now*, and return what it says.

    *signers* are what the provider publishes (``signer.read_signers``), got
    from its own address.

    Raises:
        MalformedError: It is no attestation token.
        UntrustedError: It does not hold, or is not what is expected; the
            reason says in what.
    """
    jws = read_jws(token)  # 1
    check_algorithm(jws, ALGORITHMS)
    _check_issuer(jws, expected.issuer)  # 2
    signer = _find_signer(jws, signers, expected.issuer, now)  # 3, 4
    evidence = find_evidence(signer.certificate)  # 5
    is_verified = _check_evidence(evidence, expected)
    _check_dates(jws, expected, now)  # 6
    _check_claims(jws.payload, expected)  # 7
    return Claims(
        values=jws.payload,
        signer=signer,
        evidence=evidence,
        is_evidence_verified=is_verified,
    )


def _check_issuer(jws: Jws, issuer: str) -> None:
    _expect("iss", jws.payload.get("iss"), issuer, "issuer")
    _expect("jku", jws.header.get("jku"), f"{issuer}/certs", "jku")
    _expect("typ", jws.header.get("typ"), "JWT", "typ")


def _expect(name: str, found: object, expected: str, reason: str) -> None:
    if found != expected:
        msg = f"token: {name} is {shorten(found)}, expected {expected!r}"
        raise UntrustedError(msg, reason=reason)


def _find_signer(
    jws: Jws, signers: Sequence[Signer], issuer: str, now: datetime.datetime
) -> Signer:
    named = [s for s in signers if jws.kid is not None and s.kid == jws.kid]
    for signer in named or signers:
        if is_signed(jws, signer.key, ALGORITHMS):
            check_signer(signer, issuer, now)
            return signer
    if named:
        msg = "token: the key that it names did not sign it"
    else:
        msg = f"token: none of the provider's {len(signers)} keys has signed it"
    raise UntrustedError(msg, reason="signature")


def _distrust(message: str, reason: str) -> NoReturn:
    msg = f"token: {message}"
    raise UntrustedError(msg, reason=reason)


def _check_evidence(
    evidence: SignerEvidence | None, expected: Expectation
) -> bool:
    if evidence is None:
        if expected.require_evidence:
            _distrust("its signer shows no evidence", "evidence-missing")
        return False
    if expected.check_evidence is None:
        return False
    expected.check_evidence(evidence)
    return True


def _check_dates(
    jws: Jws, expected: Expectation, now: datetime.datetime
) -> None:
    for name in ("exp", "nbf", "iat"):
        if type(jws.payload.get(name)) is not int:
            msg = f"token: {name} is missing, or no whole number"
            raise MalformedError(msg, reason=name)
    leeway = expected.leeway.total_seconds()
    check_dates(jws.payload, now.timestamp(), leeway)


def _check_claims(values: dict[str, Any], expected: Expectation) -> None:
    _expect("x-ms-ver", values.get("x-ms-ver"), "1.0", "version")
    found = values.get("x-ms-attestation-type")
    if expected.type is not None:
        wanted = _TYPES[expected.type]
        _expect("x-ms-attestation-type", found, wanted, "attestation-type")
    if expected.nonce is not None:
        _expect("nonce", values.get("nonce"), expected.nonce, "nonce")
    if expected.runtime is not None:
        _check_runtime(values, found, expected.runtime)


def _check_runtime(
    values: dict[str, Any], kind: object, expected: bytes
) -> None:
    name = _REPORT_DATA.get(kind) if isinstance(kind, str) else None
    found = values.get(name) if name else None
    if not isinstance(found, str) or len(found) != _DIGITS:
        _distrust("it says no report data", "runtime-data")
    bound = found[: 2 * len(expected)]
    _expect(f"{name} begins with", bound, expected.hex(), "runtime-data")


def dangerous_read_unsigned(token: str | bytes) -> dict[str, Any]:
    """
    Return what a token says for which nobody answers: one that was made with a
    draft of a policy has no signature.  Good for looking at what a policy
    does, and for nothing else.

    Raises:
        MalformedError: It is not in the form of a token.
        UntrustedError: It has a signature: verify it.
    """
    jws = read_jws(token)
    if jws.header["alg"] != "none" or jws.signature:
        msg = "token: it is signed, and so to be verified"
        raise UntrustedError(msg, reason="algorithm")
    return jws.payload
