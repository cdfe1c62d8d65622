"""
The policies of attestation providers, and the certificates that may sign them:
read, set, reset, by the provider's trust model.

* ``aad``: whoever may change anything may send a policy that nobody signed, or
  somebody; who signed is remembered.
* ``isolated``: besides, every change is signed with the key of one of the
  provider's policy certificates.  The very certificate counts, not who issued
  it.
* ``shared``: the default policies are in force, and nobody changes them.

Each change is checked against what is in force in the transaction that makes
it, and is written down with who made it.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import hashlib

from typing import TYPE_CHECKING, Any

from thim.attestation.kind import AttestationType
from thim.attestation.policy.defaults import DEFAULT_POLICIES
from thim.attestation.policy_jws import (
    read_certificate_jws,
    read_policy_jws,
    read_stored_jws,
    write_unsigned,
)
from thim.attestation.policy_signer import (
    STRONG_BITS,
    check_key,
    spell_thumbprint,
    to_der,
    write_signing_jwk,
)
from thim.baseline.provider import TrustModel
from thim.errors import (
    ConflictError,
    ForbiddenError,
    MalformedError,
    NotFoundError,
    UntrustedError,
)
from thim.services.policy_shelf import read_policy
from thim.store.attestation_view import AttestationView
from thim.store.file import making_sense
from thim.store.replica import Replica
from thim.x509.chain import parse_certificate


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from thim.attestation.policy_signer import PolicySigner
    from thim.baseline.model import Tenant
    from thim.store.ledger import Ledger

Claims = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EffectivePolicy:
    """
    The policy that is in force for a provider and a type of attestation.

    Attributes:
        jws: As it was sent; a default policy as if nobody had signed it.
        text: None where there is none, so that there are no tokens.
        signer: Who signed it.
        id: Which of the store's policies it is; None for a default policy.
    """

    jws: bytes
    text: str | None
    signer: PolicySigner | None = None
    id: int | None = None


def find_policy(
    replica: Replica, tenant: Tenant, kind: AttestationType
) -> EffectivePolicy:
    """
    Find the policy that is in force; read once in each generation of the
    store.

    Raises:
        UnavailableError: The store cannot be read, or is damaged.
    """
    if tenant.provider.trust is TrustModel.SHARED:
        return _find_default(kind)

    def read() -> EffectivePolicy:
        stored = AttestationView(replica).find_policy(tenant.name, kind.value)
        if stored is None or stored.jws is None:
            return _find_default(kind)
        effective = read_effective(stored.jws)
        return dataclasses.replace(effective, id=stored.id)

    return replica.remember(f"effective {tenant.name} {kind.value}", read)


@functools.cache
def _find_default(kind: AttestationType) -> EffectivePolicy:
    text = DEFAULT_POLICIES.get(kind)
    return EffectivePolicy(jws=write_unsigned(text), text=text)


@functools.lru_cache(maxsize=16)
def read_effective(jws: bytes) -> EffectivePolicy:
    """
    Read a policy that was taken in.

    Raises:
        UnavailableError: It cannot be read.
    """
    with making_sense():
        try:
            found = read_stored_jws(jws)
        except UntrustedError as e:
            raise ValueError(str(e)) from e
    return EffectivePolicy(jws=jws, text=found.text, signer=found.signer)


def check_policy(kind: AttestationType, text: str) -> str | None:
    """
    Check that *text* is a policy that may be in force for this *kind*; return
    the baseline that it names, if it does.

    Raises:
        ThimError: As ``policy_shelf.read_policy``.
    """
    return read_policy(kind, text).baseline


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """
    Changes what *tenant* has, for *actor*.

    Args:
        ledger: The store.
        tenant: Whose policies.
        actor: Who asks, and may.
        clock: Returns the current instant.
        is_preview: Whether they use the API of 2018.
    """

    ledger: Ledger
    tenant: str
    actor: str
    clock: Callable[[], datetime]
    is_preview: bool = False

    def set_policy(self, kind: AttestationType, raw: bytes) -> Claims:
        """
        Put a policy in force; return what is to be said of it.

        Raises:
            MalformedError: It is none.
            UntrustedError: It is not signed by who has to.
            ForbiddenError: The provider is shared.
        """
        jws = read_policy_jws(raw, is_preview=self.is_preview)
        if jws.text is None:
            msg = "the body has no AttestationPolicy claim"
            raise MalformedError(msg, reason="policy-jws")
        baseline = check_policy(kind, jws.text)
        with self._changing(jws.signer) as now:
            self._check_baseline(baseline, now)
            self.ledger.attestation_policies.put(
                self.tenant, kind.value, raw, actor=self.actor, at=now
            )
        claims: Claims = {
            "x-ms-policy-result": "Updated",
            "x-ms-policy-token-hash": hash_token(raw),
        }
        if jws.signer is not None:
            claims["x-ms-policy-signer"] = write_signing_jwk(jws.signer.chain)
        return claims

    def _check_baseline(self, name: str | None, now: datetime) -> None:
        if name is None:
            return
        with contextlib.closing(Replica(self.ledger.path)) as replica:
            try:
                replica.book().find_baseline(name, now, now, self.tenant)
            except NotFoundError as e:
                raise MalformedError(str(e), reason=e.reason) from e

    def reset_policy(self, kind: AttestationType, raw: bytes) -> Claims:
        """
        Put the default policy in force again.

        Raises:
            MalformedError: What was sent has a body, so that it was signed
                for something else.
            ThimError: As `set_policy`.
        """
        jws = read_policy_jws(raw, is_preview=self.is_preview)
        if jws.text is not None:
            msg = "a policy is reset by a token with an empty body"
            raise MalformedError(msg, reason="policy-jws")
        with self._changing(jws.signer) as now:
            self.ledger.attestation_policies.put(
                self.tenant, kind.value, None, actor=self.actor, at=now
            )
        return {"x-ms-policy-result": "Removed"}

    def add_certificate(self, raw: bytes) -> Claims:
        """
        Let one more certificate sign the provider's policies.

        Raises:
            UntrustedError: Its key is too weak, or as `set_policy`.
            OperatorError: There are too many.
            ThimError: As `set_policy`.
        """
        jws = read_certificate_jws(raw)
        check_key(jws.certificate, STRONG_BITS)
        der = to_der(jws.certificate)
        with self._changing(jws.signer, is_certificate=True) as now:
            self.ledger.attestation_policies.add_certificate(
                self.tenant, der, actor=self.actor, at=now
            )
        return _say_certificate(der, "IsPresent")

    def remove_certificate(self, raw: bytes) -> Claims:
        """
        Let a certificate sign no more of the provider's policies.

        Raises:
            ConflictError: It is the last one.
            ThimError: As `set_policy`.
        """
        jws = read_certificate_jws(raw)
        der = to_der(jws.certificate)
        policies = self.ledger.attestation_policies
        with self._changing(jws.signer, is_certificate=True) as now:
            if list(policies.certificates(self.tenant)) == [der]:
                msg = (
                    "the last policy certificate cannot be removed: nobody "
                    "could change anything any more"
                )
                raise ConflictError(msg, reason="last-certificate")
            policies.remove_certificate(
                self.tenant, der, actor=self.actor, at=now
            )
        return _say_certificate(der, "IsAbsent")

    @contextlib.contextmanager
    def _changing(
        self, signer: PolicySigner | None, *, is_certificate: bool = False
    ) -> Iterator[datetime]:
        """Change what is in force while nobody else can."""
        with (
            self.ledger.all_or_none(),
            contextlib.closing(Replica(self.ledger.path)) as replica,
        ):
            # Only now: what others have decided meanwhile is in force by then.
            now = self.clock()
            tenant = replica.book().find_tenant(self.tenant, now, now)
            check_changeable(tenant)
            if tenant.provider.trust is TrustModel.ISOLATED:
                self._check_signer(signer)
            elif is_certificate:
                msg = (
                    f"the provider has the trust model "
                    f"{tenant.provider.trust.value}, and policy certificates "
                    f"are for isolated"
                )
                raise MalformedError(msg, reason="not-isolated")
            yield now

    def _check_signer(self, signer: PolicySigner | None) -> None:
        if signer is None:
            msg = (
                "the provider is isolated: what changes it is signed by one "
                "of its policy certificates, and this token is not signed"
            )
            raise UntrustedError(msg, reason="policy-unsigned")
        known = self.ledger.attestation_policies.certificates(self.tenant)
        if not signer.is_one_of(known):
            msg = (
                f"the provider is isolated, and the certificate "
                f"{spell_thumbprint(signer.der)} is none of its policy "
                f"certificates"
            )
            raise UntrustedError(msg, reason="policy-stranger")


def check_changeable(tenant: Tenant) -> None:
    """
    Check that anybody may change the policies of *tenant*.

    Raises:
        ForbiddenError: Its provider is shared.
    """
    if tenant.provider.trust is TrustModel.SHARED:
        msg = (
            f"the provider of {tenant.name} is shared: its default policies "
            f"cannot be changed"
        )
        raise ForbiddenError(msg, reason="shared-provider")


def hash_token(raw: bytes) -> str:
    """
    Return the digest of a token as answers name it.
    """
    digest = hashlib.sha256(raw).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _say_certificate(der: bytes, result: str) -> Claims:
    # The specification says one thing, and the service another.
    return {
        "x-ms-certificate-thumbprint": spell_thumbprint(der),
        "x-ms-policycertificates-result": result,
        "x-ms-certificate-result": result,
    }


def describe_policy(
    replica: Replica, tenant: Tenant, kind: AttestationType
) -> Claims:
    """
    Say which policy is in force.

    Raises:
        UnavailableError: As `find_policy`.
    """
    return {"x-ms-policy": find_policy(replica, tenant, kind).jws.decode()}


def describe_certificates(replica: Replica, tenant: Tenant) -> Claims:
    """
    Say which certificates may sign policies: none but an isolated provider
    has any.

    Raises:
        UnavailableError: The store cannot be read, or is damaged.
    """
    keys: list[Mapping[str, Any]] = []
    if tenant.provider.trust is TrustModel.ISOLATED:
        stored = AttestationView(replica).certificates(tenant.name)
        with making_sense():
            keys = [
                write_signing_jwk([parse_certificate(each.der)])
                for each in stored
            ]
    return {"x-ms-policy-certificates": {"keys": keys}}
