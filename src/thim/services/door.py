"""
The one door into the store: verify, then keep; what does not hold is refused
by name and put into quarantine.
"""

from __future__ import annotations

import contextlib
import dataclasses

from typing import TYPE_CHECKING, Final

from thim.collateral.intake import (
    Intake,
    verify_ca_certificate,
    verify_crl,
    verify_document,
)
from thim.collateral.pck_intake import PckVerifier
from thim.collateral.records import Kind
from thim.collateral.transition import Transition
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.services.outcome import describe
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from thim.collateral.records import Record
    from thim.intel.authorities import Authority
    from thim.intel.signed import SignedJson
    from thim.store.ledger import Ledger

#: Refused because it is none of what is kept here, not because it is bad:
#: not worth a place in quarantine.
_NOT_COLLATERAL: Final = frozenset(
    {
        "evidence",
        "foreign-certificate",
        "incomplete-chain",
        "pck-certificate",
        "too-large",
        "unrecognised",
    }
)


class Door:
    """
    One run's view of the store: what documents are judged by at *now*.
    """

    def __init__(self, ledger: Ledger, now: datetime) -> None:
        self._ledger = ledger
        self._intake = Intake(
            anchors=ledger.anchors(),
            known=tuple(ledger.certificates()),
            root_crl=ledger.root_crl(),
            now=now,
        )

    def find_known(self, certificate: Certificate) -> Certificate | None:
        """
        Return the *certificate* that is known and says the same.

        By what is signed: anybody can make a second valid ECDSA signature out
        of a first, and so another certificate that says the same.
        """
        said = certificate.tbs_certificate_bytes
        for known in self._intake.known:
            if known.tbs_certificate_bytes == said:
                return known
        return None

    def take_certificate(
        self, certificate: Certificate, source: str
    ) -> Authority:
        """
        Verify a certificate and remember it for building chains.

        Raises:
            ThimError: As ``collateral.intake.verify_ca_certificate``.
        """
        try:
            authority = verify_ca_certificate(certificate, self._intake)
        except ThimError as e:
            if e.reason == "revoked":
                # Known for this run, so that what it signed is refused for
                # what it is and not for want of a chain.
                self._know(certificate)
            raise
        self._ledger.add_certificate(
            certificate,
            authority,
            source=storable(source),
            now=self._intake.now,
        )
        self._know(certificate)
        return authority

    def _know(self, certificate: Certificate) -> None:
        known = (*self._intake.known, certificate)
        self._intake = dataclasses.replace(self._intake, known=known)

    def verify(
        self,
        document: SignedJson | Crl,
        beside: Iterable[Certificate],
        source: str,
    ) -> Record:
        """
        Verify a document: under the certificates that came *beside* it if
        they will do, else under any that are known.

        Raises:
            ThimError: As ``verify_document`` and ``verify_crl``.
        """
        known = map(self.find_known, beside)
        chain = [certificate for certificate in known if certificate]
        if chain:
            with contextlib.suppress(UntrustedError):
                return self.verify_under(chain, document, source)
        return self._verify(document, self._intake, source)

    def verify_under(
        self,
        chain: Iterable[Certificate],
        document: SignedJson | Crl,
        source: str,
    ) -> Record:
        """
        Verify a document under the certificates of *chain* and no others.

        Raises:
            ThimError: As ``verify_document`` and ``verify_crl``.
        """
        intake = dataclasses.replace(self._intake, known=tuple(chain))
        return self._verify(document, intake, source)

    def verify_unknown(
        self,
        chain: Sequence[Certificate],
        document: SignedJson | Crl,
        source: str,
    ) -> Record:
        """
        Verify a document under certificates that nobody has verified yet, or
        where there are none under any that are known; nothing is kept.

        Raises:
            ThimError: As ``verify_document`` and ``verify_crl``.
        """
        return self.verify_under(chain or self._intake.known, document, source)

    def _verify(
        self, document: SignedJson | Crl, intake: Intake, source: str
    ) -> Record:
        source = storable(source)
        if isinstance(document, Crl):
            return verify_crl(document, intake, source=source)
        return verify_document(document, intake, source=source)

    def pck_verifier(self) -> PckVerifier:
        """
        Return what verifies PCK certificates under the CAs known by now.
        """
        return PckVerifier(self._intake)

    def add(self, record: Record) -> Transition:
        """
        Take a verified record into the archive.

        Raises:
            MalformedError: It is a fork of one that is there.
        """
        verdict = self._ledger.add(record)
        if verdict is Transition.FORK:
            msg = (
                f"{record.key} of {record.issued:%FT%TZ}: another document "
                f"of this issue date is in the archive"
            )
            raise MalformedError(msg, reason="fork")
        if record.key.kind is Kind.ROOT_CA_CRL:
            self._intake = dataclasses.replace(
                self._intake, root_crl=self._ledger.root_crl()
            )
        return verdict

    def refuse(self, source: str, error: ThimError, body: bytes) -> None:
        """
        Put what was refused into quarantine and count it, if it is worth it.
        """
        if error.reason not in _NOT_COLLATERAL:
            self.quarantine(source, error, body)

    def quarantine(self, source: str, error: ThimError, body: bytes) -> None:
        """
        Put what was refused into quarantine and count it, whatever it is.
        """
        self._ledger.quarantine(
            body,
            source=storable(source),
            reason=error.reason,
            detail=describe(error),
            now=self._intake.now,
        )


def storable(source: str) -> str:
    """
    Write where something came from as the store can keep it.
    """
    # A file's name need not be text; what is not is written as escapes.
    return source.encode("utf-8", "backslashreplace").decode("utf-8")
