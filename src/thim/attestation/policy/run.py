"""
The state of an evaluation: which claims there are, and what was issued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from thim.attestation.policy.claim import Claim, Issuer, Value
from thim.attestation.policy.errors import PolicyEvaluationError
from thim.attestation.policy.functions import are_same, fail
from thim.attestation.policy.jmespath import Searcher
from thim.attestation.policy.limits import Meter
from thim.attestation.policy.reserved import is_acceptable
from thim.errors import shorten


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from thim.attestation.policy.limits import Budget
    from thim.attestation.policy.reserved import Reserved
    from thim.attestation.policy.syntax import Rule

#: Which claims each identifier of a rule stands for.
Bound: TypeAlias = "Mapping[str, tuple[Claim, ...]]"

#: A claim costs so many steps when it is made.
_STEPS_PER_CLAIM: Final = 8
_SERVICE: Final = Issuer.SERVICE
_FIRST_SURROGATE: Final = "\ud800"
_LAST_SURROGATE: Final = "\udfff"


class Fired(NamedTuple):
    """
    A rule whose conditions held, and the claims that it made or issued.
    """

    rule: Rule
    claims: tuple[Claim, ...] = ()


class Run:
    """
    One evaluation of one policy.

    Attributes:
        meter: What is left of the budget.
        searcher: Searches in JSON texts.
        claims: The incoming set, in order.
        by_type: The same by their names.
        outgoing: What was issued, in order.
        properties: What was set.
        trace: The rules that fired, in order.
    """

    __slots__ = (
        "_given",
        "_given_names",
        "_made",
        "_reserved",
        "by_type",
        "claims",
        "meter",
        "outgoing",
        "properties",
        "searcher",
        "trace",
    )

    def __init__(
        self, claims: Iterable[Claim], reserved: Reserved, budget: Budget
    ) -> None:
        self.meter = Meter(budget)
        self.searcher = Searcher(self.meter)
        self.claims = list(claims)
        self.by_type = _by_type(self.claims)
        self.outgoing: list[Claim] = []
        self.properties: dict[str, Value] = {}
        self.trace: list[Fired] = []
        self._reserved = reserved
        self._made: list[Claim] = []
        self._given = tuple(self.claims)
        self._given_names = set(map(str.lower, self.by_type))

    def take(self, claim: Claim) -> None:
        """
        Put *claim* into the incoming set.
        """
        self.claims.append(claim)
        self.by_type.setdefault(claim.type, []).append(claim)

    def note(self, rule: Rule) -> None:
        """
        Note that *rule* has fired, with the claims made since the last one.
        """
        self.trace.append(Fired(rule, tuple(self._made)))
        self._made = []

    def add(self, claim: Claim) -> None:
        """
        Add a new *claim* to the incoming set.
        """
        if self._is_new(claim):
            self._keep(claim)

    def issue(self, claim: Claim) -> None:
        """
        Issue a new *claim*.
        """
        if claim.read_only:
            raise _read_only(claim.type)
        if self._is_new(claim):
            self._keep(claim)
            self._send(claim)

    def reissue(self, claim: Claim) -> None:
        """
        Issue a *claim* of the incoming set; the token has those of the
        service anyway.
        """
        if claim.read_only:
            raise _read_only(claim.type)
        self._made.append(claim)
        if claim.issuer is not _SERVICE and self._is_new(claim):
            self._send(claim)

    def add_again(self, claim: Claim) -> None:
        """
        Add a *claim* of the incoming set to it: it is there already.
        """
        self._made.append(claim)

    def set_property(self, claim: Claim) -> None:
        """
        Set a property of the token, or of the evaluation.
        """
        before = self.properties.setdefault(claim.type, claim.value)
        if not are_same(before, claim.value):
            msg = f"the property {shorten(claim.type, 40)} is set twice"
            raise fail(msg)
        self._keep(claim)

    def _keep(self, claim: Claim) -> None:
        self.meter.spend(_STEPS_PER_CLAIM)
        self._made.append(claim)
        self.take(claim)

    def _send(self, claim: Claim) -> None:
        if not is_acceptable(claim.type):
            msg = (
                f"the name {shorten(claim.type, 40)} cannot be issued: "
                "expected 1 to 256 printable ASCII characters"
            )
            raise PolicyEvaluationError(msg, reason="policy-name")
        if isinstance(claim.value, str) and not _is_text(claim.value):
            msg = f"{shorten(claim.type, 40)}: its value is no Unicode text"
            raise PolicyEvaluationError(msg, reason="policy-value")
        self.outgoing.append(claim)

    def _is_new(self, claim: Claim) -> bool:
        """
        Say whether a claim of a rule is one that the service does not make.

        Raises:
            PolicyEvaluationError: It would replace what the service says.
        """
        name = claim[0]
        if name not in self._reserved and not self._is_of_service(name):
            return True
        known = self.by_type.get(name, ())
        self.meter.spend(len(known))
        for each in known:
            is_there = each.issuer is _SERVICE
            if is_there and are_same(each.value, claim.value):
                return False
        msg = f"the name {shorten(name, 40)} is the service's own"
        raise PolicyEvaluationError(msg, reason="policy-reserved-name")

    def _is_of_service(self, name: str) -> bool:
        name = name.lower()
        if name not in self._given_names:
            return False
        self.meter.spend(len(self._given))
        return any(
            each.issuer is _SERVICE and each.type.lower() == name
            for each in self._given
        )


def _is_text(value: str) -> bool:
    """
    Say whether *value* has no half characters, which no token can hold.
    """
    return value.isascii() or not any(
        _FIRST_SURROGATE <= each <= _LAST_SURROGATE for each in value
    )


def _by_type(claims: Iterable[Claim]) -> dict[str, list[Claim]]:
    found: dict[str, list[Claim]] = {}
    for each in claims:
        name = each[0]
        if name in found:
            found[name].append(each)
        else:
            found[name] = [each]
    return found


def _read_only(name: str) -> PolicyEvaluationError:
    msg = f"{shorten(name, 40)} comes from a claim that may not be issued"
    return PolicyEvaluationError(msg, reason="policy-read-only")
