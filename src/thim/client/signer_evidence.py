"""
What a provider's signing certificate says of the TEE that holds its key.

Azure's certificates carry a quote or report whose report data are the SHA-256
of the public key in PEM and a NUL, followed by zeros: so the key was in the
enclave, or guest, that was quoted.  That binding is always checked where there
is evidence; whether the evidence is genuine is for a `EvidenceCheck`.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from thim.amd.authorities import AMD_ROOTS
from thim.amd.verify import verify_evidence
from thim.attestation.evidence import (
    Evidence,
    QuoteEvidence,
    SnpEvidence,
    parse_evidence,
)
from thim.client.jws import parse_object
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.intel.quote_collateral import Collateral, Documents
from thim.intel.report_body import SgxReportBody
from thim.intel.steps import StepError
from thim.intel.tcb import ACCEPTABLE_STATUSES, TcbStatus
from thim.intel.verify import QuoteVerifier
from thim.x509.chain import EXTENSION_ERRORS, TrustAnchors
from thim.x509.der import read_value


if TYPE_CHECKING:
    from datetime import datetime

#: An Open Enclave report (SGX), or a bare quote, not wrapped in DER.
QUOTE_OID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.105.1")
#: JSON with an SEV-SNP report and what vouches for it; or, from thim, with the
#: quote of a TD.
VM_OID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.105.1000.1")
_UTF8_STRING: Final = 0x0C
_DIGEST: Final = 32
_SIZE: Final = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignerEvidence:
    """
    Evidence that is bound to a signer's key; not verified.

    Attributes:
        evidence: The quote or report.
        vcek_chain: The chain of an SEV-SNP report's key as it came, in PEM;
            else empty.
    """

    evidence: Evidence
    vcek_chain: bytes = b""


#: Verifies evidence, and raises an ``UntrustedError`` if it does not hold.
EvidenceCheck: TypeAlias = Callable[[SignerEvidence], object]


def find_evidence(certificate: x509.Certificate) -> SignerEvidence | None:
    """
    Find the evidence in a signing certificate, and check that it is bound to
    its key; None if there is none.

    Raises:
        UntrustedError: ``evidence-binding``: it is that of another key;
            ``evidence``: it cannot be read.
    """
    try:
        found = _read(certificate)
    except MalformedError as e:
        msg = f"signer: its evidence cannot be read: {e}"
        raise UntrustedError(msg, reason="evidence") from e
    if found is not None:
        _check_binding(certificate, _report_data(found.evidence))
    return found


def _read(certificate: x509.Certificate) -> SignerEvidence | None:
    quote, of_vm = _find(certificate, QUOTE_OID), _find(certificate, VM_OID)
    if quote is not None and of_vm is not None:
        _fail("a certificate with evidence of two kinds")
    if quote is not None:
        return SignerEvidence(evidence=parse_evidence(quote))
    return None if of_vm is None else _read_vm(_unwrap(of_vm))


def _unwrap(raw: bytes) -> bytes:
    # Both are in use: the JSON as it is, and as a UTF8String.
    if not raw or raw[0] != _UTF8_STRING:
        return raw
    _, content, end = read_value(raw)
    if end != len(raw):
        _fail("bytes behind its text")
    return content


def _find(
    certificate: x509.Certificate, oid: x509.ObjectIdentifier
) -> bytes | None:
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    except EXTENSION_ERRORS as e:
        _fail(f"extensions: {e}")
    if not isinstance(value, x509.UnrecognizedExtension):
        _fail(f"extension {oid.dotted_string} is of another kind")
    return value.value


def _read_vm(raw: bytes) -> SignerEvidence:
    members = parse_object(raw, "evidence of a VM")
    if "TdxQuote" in members:
        quote = _decode(members, "TdxQuote")
        return SignerEvidence(evidence=parse_evidence(quote))
    return SignerEvidence(
        evidence=parse_evidence(_decode(members, "SnpReport")),
        vcek_chain=_decode(members, "VcekCertChain"),
    )


def _decode(members: dict[str, object], name: str) -> bytes:
    text = members.get(name, "")
    if not isinstance(text, str):
        _fail(f"{name} is no text")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        _fail(f"{name} is not in base64url")


def _fail(message: str) -> NoReturn:
    raise MalformedError(message, reason="evidence")


def _report_data(evidence: Evidence) -> bytes:
    if isinstance(evidence, QuoteEvidence):
        return evidence.quote.body.report_data
    return evidence.report.report_data


def key_digest(certificate: x509.Certificate) -> bytes:
    """
    Return the SHA-256 of the certificate's public key in PEM and a NUL: what
    its ``kid`` is in base64, and what evidence is bound to.
    """
    pem = certificate.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(pem + b"\0").digest()


def _check_binding(certificate: x509.Certificate, report_data: bytes) -> None:
    expected = key_digest(certificate).ljust(_SIZE, b"\0")
    if report_data != expected:
        msg = (
            f"signer: report data are {report_data.hex()}, expected "
            f"{expected[:_DIGEST].hex()}, the digest of its key, and zeros"
        )
        raise UntrustedError(msg, reason="evidence-binding")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuoteCheck:
    """
    Verifies a signer's SGX or TDX quote with given collateral, as of *now*.

    That the quote is genuine says that some enclave has the key; which one, is
    for *mrsigners* and *mrenclaves* to say.

    Attributes:
        documents: The collateral of the quote's platform
            (``VerificationCollateral.to_documents``).
        now: The instant.
        anchors: The root keys to trust.
        statuses: What the TCB may be.
        mrsigners: Who may have signed the enclave; empty for anybody.
        mrenclaves: Which enclaves it may be; empty for any.
        dangerous_accept_debug: Take an enclave that its host can look into.
        dangerous_accept_expired: Take documents past their end.
    """

    documents: Documents
    now: datetime
    anchors: TrustAnchors = VENDOR_ROOTS
    statuses: frozenset[TcbStatus] = ACCEPTABLE_STATUSES
    mrsigners: frozenset[bytes] = frozenset()
    mrenclaves: frozenset[bytes] = frozenset()
    dangerous_accept_debug: bool = False
    dangerous_accept_expired: bool = False

    def __call__(self, signer: SignerEvidence) -> None:
        """
        Verify the evidence.

        Raises:
            UntrustedError: It does not hold, or is no quote.
        """
        evidence = signer.evidence
        if not isinstance(evidence, QuoteEvidence):
            _distrust("an SEV-SNP report, expected a quote")
        self._verify(evidence)
        self._check_enclave(evidence)

    def _verify(self, evidence: QuoteEvidence) -> None:
        try:
            collateral = Collateral.from_documents(
                self.documents, anchors=self.anchors
            )
        except StepError as e:
            _distrust(f"its collateral does not verify: {e}", e)
        verifier = QuoteVerifier(collateral, anchors=self.anchors)
        verdict = verifier.verify(evidence.quote, self.now)
        if verdict.failure is not None:
            _distrust(verdict.failure.detail)
        if verdict.tcb_status not in self.statuses:
            status = verdict.tcb_status
            _distrust(f"TCB status {status.value if status else 'unknown'}")
        if verdict.expired and not self.dangerous_accept_expired:
            names = ", ".join(used.name for used in verdict.expired)
            _distrust(f"expired: {names}")
        if verdict.debug and not self.dangerous_accept_debug:
            _distrust("a debug enclave")

    def _check_enclave(self, evidence: QuoteEvidence) -> None:
        body = evidence.quote.body
        asked = (
            ("mrsigner", self.mrsigners),
            ("mrenclave", self.mrenclaves),
        )
        for name, allowed in asked:
            if not allowed:
                continue
            if not isinstance(body, SgxReportBody):
                _distrust(f"a quote without {name}")
            if (found := getattr(body, name)) not in allowed:
                _distrust(f"{name} is {found.hex()}, which is not allowed")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnpCheck:
    """
    Verifies a signer's SEV-SNP report with the chain beside it, as of *now*.

    Attributes:
        now: The instant.
        crl: AMD's revocation list for that chain, DER; without one nobody
            knows whether the intermediate is revoked.
        anchors: The root keys to trust.
        measurements: Which guests it may be; empty for any.
        dangerous_accept_debug: Take a guest that its host can look into.
    """

    now: datetime
    crl: bytes | None = None
    anchors: TrustAnchors = AMD_ROOTS
    measurements: frozenset[bytes] = frozenset()
    dangerous_accept_debug: bool = False

    def __call__(self, signer: SignerEvidence) -> None:
        """
        Verify the evidence.

        Raises:
            UntrustedError: It does not hold, or is no report.
        """
        evidence = signer.evidence
        if not isinstance(evidence, SnpEvidence):
            _distrust("a quote, expected an SEV-SNP report")
        leaf, chain = _split(signer.vcek_chain)
        verdict = verify_evidence(
            evidence.report.raw,
            leaf,
            chain,
            self.crl,
            anchors=self.anchors,
            now=self.now,
        )
        if not verdict.is_authentic:
            _distrust("; ".join(each.detail for each in verdict.findings))
        report = evidence.report
        if report.policy.debug and not self.dangerous_accept_debug:
            _distrust("a guest that can be debugged")
        if self.measurements and report.measurement not in self.measurements:
            _distrust(f"measurement is {report.measurement.hex()}")


_END: Final = b"-----END CERTIFICATE-----"


def _split(chain: bytes) -> tuple[bytes, bytes]:
    """Split a chain into its leaf and the rest."""
    leaf, end, rest = chain.strip(b"\0\r\n ").partition(_END)
    return leaf + end + b"\n", rest.lstrip() + b"\n"


def _distrust(message: str, cause: ThimError | None = None) -> NoReturn:
    msg = f"signer: its evidence does not hold: {message}"
    raise UntrustedError(msg, reason="evidence-untrusted") from cause
