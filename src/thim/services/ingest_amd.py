"""
Take AMD's documents in: as ``services.ingest`` for Intel's, of whose run this
is a part.

Chains first, which are put together of whatever certificates came or are
known, then revocation lists, then VCEKs and VLEKs: so the order of the files
does not matter.  A chain that is revoked is archived all the same, since it is
what was current once, and which came first must not decide; nothing under it
is served or taken in.
"""

from __future__ import annotations

import dataclasses

from pathlib import PurePath
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from thim.amd.authorities import (
    CaChain,
    KeyKind,
    find_authority,
    recognise_ca,
)
from thim.amd.kds import ChipTcb
from thim.collateral.amd_keys import vcek_key, vlek_key
from thim.collateral.transition import Transition
from thim.errors import ThimError, UntrustedError
from thim.services.door import storable
from thim.services.ingested import Outcome, Result, refusal
from thim.x509.chain import common_name


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cryptography import x509

    from thim.amd.endorsement_key import EndorsementKey
    from thim.collateral.records import Record
    from thim.services.amd_door import AmdDoor
    from thim.services.ingested import Sourced
    from thim.x509.crl import Crl


def is_amd_certificate(certificate: x509.Certificate) -> bool:
    """
    Tell whether *certificate* names itself, or its issuer, one of AMD's.
    """
    issuer = find_authority(certificate.issuer)
    return issuer is not None or recognise_ca(certificate) is not None


def is_amd_crl(crl: Crl) -> bool:
    """
    Tell whether *crl* names one of AMD's authorities as its issuer.
    """
    return find_authority(crl.issuer) is not None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AmdRun:
    """
    Takes AMD's documents through *door*.

    *quarantine* keeps what is refused: source, error, bytes.
    """

    door: AmdDoor
    quarantine: Callable[[str, ThimError, bytes], None]

    def take(
        self,
        certificates: Iterable[Sourced[x509.Certificate]],
        crls: Iterable[Sourced[Crl]],
    ) -> Iterator[Result]:
        """
        Take in all that came, and yield a result for each document.
        """
        found = _Sorted.of(certificates)
        known = self.door.chains
        for each in found.intermediates:
            yield self._take_intermediate(each, found.arks)
        for each in found.arks:
            yield self._take_ark(each, found.intermediates, known)
        yield from map(self._take_crl, crls)
        yield from map(self._take_key, found.leaves)

    def _take_intermediate(
        self,
        found: Sourced[x509.Certificate],
        arks: Iterable[Sourced[x509.Certificate]],
    ) -> Result:
        roots = [*found.beside, *(s.value for s in arks)]
        roots += [chain.ark for chain in self.door.chains]
        roots = list(dict.fromkeys(filter(_is_ark, roots)))
        pairs = [(found.value, root) for root in roots]
        try:
            record = self._verify_first(pairs, found.source)
            return self._add(found.source, record)
        except ThimError as e:
            return self._refuse_certificate(found, e)

    def _verify_first(
        self,
        pairs: Iterable[tuple[x509.Certificate, x509.Certificate]],
        source: str,
    ) -> Record:
        """Return the first chain that holds, or raise why the first fails."""
        why: ThimError | None = None
        for intermediate, ark in pairs:
            if not _are_of_one_line(intermediate, ark):
                continue
            try:
                chain = CaChain.from_certificates(intermediate, ark)
                return self.door.verify_chain(chain.to_pem(), source)
            except ThimError as e:
                why = why or e
        msg = "an ARK, or an ASK or ASVK, without the other that is its chain's"
        raise why or UntrustedError(msg, reason="incomplete-chain")

    def _take_ark(
        self,
        found: Sourced[x509.Certificate],
        intermediates: Iterable[Sourced[x509.Certificate]],
        known: Iterable[CaChain],
    ) -> Result:
        """Say what became of an ARK, which is kept with what is below it."""
        ark, outcome = found.value, Outcome.KNOWN
        if ark not in {chain.ark for chain in self.door.chains}:
            below = [s.value for s in intermediates]
            below += [chain.intermediate for chain in self.door.chains]
            pairs = [(each, ark) for each in below]
            try:
                self._verify_first(pairs, found.source)
            except ThimError as e:
                return self._refuse_certificate(found, e)
        elif ark not in {chain.ark for chain in known}:
            outcome = Outcome.ACCEPTED
        return Result(
            source=found.source,
            what=_spell(ark),
            outcome=outcome,
            issued=ark.not_valid_before_utc,
        )

    def _take_crl(self, found: Sourced[Crl]) -> Result:
        der = found.value.der
        try:
            kind = _guess_kind(found.source)
            record = self.door.verify_crl(der, kind, storable(found.source))
            return self._add(found.source, record)
        except ThimError as e:
            self.quarantine(found.source, e, der)
            what = f"CRL of {common_name(found.value.issuer)!r}"
            return refusal(found.source, what, e)

    def _add(self, source: str, record: Record) -> Result:
        verdict = self.door.add(record)
        return Result(
            source=source,
            what=str(record.key),
            outcome=_outcome(verdict),
            transition=verdict,
            issued=record.issued,
        )

    def _take_key(self, found: Sourced[x509.Certificate]) -> Result:
        der = found.value.public_bytes(Encoding.DER)
        try:
            endorsement = self.door.verify_key(der, storable(found.source))
            verdict = self.door.add_key(endorsement)
        except ThimError as e:
            return self._refuse_certificate(found, e)
        return Result(
            source=found.source,
            what=_name(endorsement.key),
            outcome=_outcome(verdict),
            transition=verdict,
            issued=endorsement.key.not_before,
        )

    def _refuse_certificate(
        self, found: Sourced[x509.Certificate], error: ThimError
    ) -> Result:
        der = found.value.public_bytes(Encoding.DER)
        self.quarantine(found.source, error, der)
        return refusal(found.source, _spell(found.value), error)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Sorted:
    """Certificates by what they name themselves."""

    intermediates: list[Sourced[x509.Certificate]]
    arks: list[Sourced[x509.Certificate]]
    leaves: list[Sourced[x509.Certificate]]

    @classmethod
    def of(cls, certificates: Iterable[Sourced[x509.Certificate]]) -> _Sorted:
        """
        Sort *certificates*.
        """
        found = cls(intermediates=[], arks=[], leaves=[])
        for each in certificates:
            authority = recognise_ca(each.value)
            if authority is None:
                found.leaves.append(each)
            elif authority[1] is None:
                found.arks.append(each)
            else:
                found.intermediates.append(each)
        return found


def _is_ark(certificate: x509.Certificate) -> bool:
    found = recognise_ca(certificate)
    return found is not None and found[1] is None


def _are_of_one_line(
    intermediate: x509.Certificate, ark: x509.Certificate
) -> bool:
    below, root = recognise_ca(intermediate), recognise_ca(ark)
    return below is not None and root is not None and below[0] is root[0]


def _guess_kind(source: str) -> KeyKind:
    # An ARK signs one list, which KDS has under two addresses: the file does
    # not say whether that is so, nor whence it came.
    is_vlek = any(
        "vlek" in part.lower() for part in PurePath(source).parts[-2:]
    )
    return KeyKind.VLEK if is_vlek else KeyKind.VCEK


def _outcome(verdict: Transition) -> Outcome:
    is_known = verdict is Transition.EQUAL
    return Outcome.KNOWN if is_known else Outcome.ACCEPTED


def _spell(certificate: x509.Certificate) -> str:
    return f"certificate {common_name(certificate.subject)!r}"


def _name(key: EndorsementKey) -> str:
    if key.hw_id is None:
        return str(vlek_key(key.tcb))
    name = ChipTcb(product=key.product, hw_id=key.hw_id, tcb=key.tcb)
    return str(vcek_key(name))
