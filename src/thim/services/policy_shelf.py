"""
Attestation policies that are ready to be run.

Reading one takes time, up to seconds for the longest, so it is done apart from
the event loop and once.  The longest have a place of their own, so that nobody
waits for another's.  What one that was set makes of certain claims is always
the same, and so it is remembered: one enclave has many quotes.  Drafts are
anybody's: they are read and run one after the other, and whoever comes while
many wait is to come again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from thim.attestation.kind import ATTESTED, AttestationType
from thim.attestation.maa_claims import NAMES
from thim.attestation.policy.claim import (
    LEGACY_NAMES,
    claims_of_service,
    with_legacy_names,
)
from thim.attestation.policy.compile import find_type
from thim.attestation.policy.evaluate import configure, decide
from thim.attestation.policy.hashes import policy_hash
from thim.attestation.policy.limits import (
    MAX_DRAFT_SIZE,
    MAX_POLICY_SIZE,
    Budget,
)
from thim.attestation.policy.parse import parse_policy
from thim.attestation.policy.reserved import (
    Reserved,
    check_reserved,
    reserved_for,
)
from thim.errors import ParameterError, UnavailableError
from thim.intel.kept import Kept


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Any

    from thim.attestation.policy.claim import Claim
    from thim.attestation.policy.evaluate import Decision
    from thim.attestation.policy.parse import Policy

_Key: TypeAlias = tuple[str, str, bytes]

#: Azure's property for the baseline, and ours, which is for all evidence.
TCB_IDENTIFIER: Final = "x-ms-sgx-tcbidentifier"
BASELINE: Final = "x-thim-baseline"
#: What names the provider's own baseline.
AZURE_DEFAULT: Final = "azuredefault"
_BY_LEGACY_NAME: Final = {old: new for new, old in LEGACY_NAMES.items()}
#: From this version on names can be put together.
_WITH_FUNCTIONS: Final = "1.2"
_ENCLAVES: Final = frozenset(
    {AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE}
)
#: Characters of policies that are kept, and as many of the longest.
_MOST_KEPT: Final = 2 * MAX_POLICY_SIZE
_MOST_DRAFTS: Final = 8
#: Decisions that are remembered, and the bytes of the claims that go into one
#: and come out of it.
_MOST_DECISIONS: Final = 1024
_LARGEST_DECISION: Final = 4096
#: Seconds of the processor for one policy: whatever else the machine is at,
#: a policy that is good enough once always is.
_PATIENCE: Final = 0.05
#: Seconds after which others should not have to wait.
_LONG: Final = 0.005
_MOST_SLOW: Final = 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """
    A policy that can be run.

    Attributes:
        kind: What it is for.
        policy: The policy.
        hash: As ``x-ms-policy-hash`` has it.
        baseline: The baseline that it chooses; None for the provider's.
        types: The only types of claims that it looks at; None where it may
            look at any.
        is_draft: Whether a caller has sent it along.
    """

    kind: AttestationType
    policy: Policy
    hash: str
    baseline: str | None
    types: frozenset[str] | None
    is_draft: bool


def find_reserved(kind: AttestationType) -> Reserved:
    """
    Find which names no policy of that *kind* may give to claims.
    """
    return _RESERVED[kind]


_RESERVED: Final = {
    kind: reserved_for(kind, NAMES.get(kind, ())) for kind in AttestationType
}


def read_policy(
    kind: AttestationType, text: str, *, is_draft: bool = False
) -> Prepared:
    """
    Read *text* as a policy of that *kind*.

    Raises:
        PolicySyntaxError: It is none, or gives a claim a name that is the
            service's own.
        PolicyEvaluationError: Its configuration cannot be worked out.
        ParameterError: It configures what there is not, or names no baseline
            where it should.
    """
    most = MAX_DRAFT_SIZE if is_draft else MAX_POLICY_SIZE
    policy = parse_policy(text, most)
    check_reserved(policy, find_reserved(kind))
    properties = configure(policy, make_budget())
    if kind in ATTESTED:
        _check_properties(kind, properties)
    return Prepared(
        kind=kind,
        policy=policy,
        hash=policy_hash(text),
        baseline=_find_baseline(kind, properties),
        types=_find_types(policy),
        is_draft=is_draft,
    )


def _find_types(policy: Policy) -> frozenset[str] | None:
    """
    Find which claims are enough for *policy*: most tokens have thirty, and
    most policies look at a few.
    """
    if policy.version == _WITH_FUNCTIONS:
        return None
    found: set[str] = set()
    for section in policy.sections:
        for rule in section.rules:
            for condition in rule.conditions:
                wanted = find_type(condition)
                if wanted is None:
                    return None
                found.add(_BY_LEGACY_NAME.get(wanted, wanted))
    return frozenset(found)


def _list_properties(kind: AttestationType) -> tuple[str, ...]:
    return (BASELINE, TCB_IDENTIFIER) if kind in _ENCLAVES else (BASELINE,)


def _check_properties(
    kind: AttestationType, properties: Mapping[str, object]
) -> None:
    # What is written wrong would leave the usual baseline in force.
    known = _list_properties(kind)
    for name in properties:
        if name not in known:
            expected = f"expected {' or '.join(known)} for {kind.value}"
            raise ParameterError("configurationrules", name, expected)


def _find_baseline(
    kind: AttestationType, properties: Mapping[str, object]
) -> str | None:
    for name in _list_properties(kind):
        value = properties.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or not value:
            expected = 'expected text such as "10" or "azuredefault"'
            raise ParameterError(name, str(value), expected)
        return None if value.lower() == AZURE_DEFAULT else value
    return None


def make_budget() -> Budget:
    """
    Return what a policy may take from now on, on this very thread.
    """
    end = time.thread_time() + _PATIENCE
    return Budget(is_over=lambda: time.thread_time() > end)


class _Room:
    """
    Where policies are kept, the oldest of which go first.
    """

    def __init__(self) -> None:
        self.reading = asyncio.Lock()
        self._kept: dict[tuple[AttestationType, str], Prepared] = {}
        self._size = 0

    def find(self, kind: AttestationType, text: str) -> Prepared | None:
        return self._kept.get((kind, text))

    def keep(self, prepared: Prepared, text: str) -> None:
        self._kept[prepared.kind, text] = prepared
        self._size += len(text)
        while self._size > _MOST_KEPT:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._size -= len(oldest[1])


class PolicyShelf:
    """
    Keeps policies that were read; lives on one event loop.

    What takes longer than *most* seconds of the processor is done beside it
    the next time.
    """

    def __init__(self, most: float = _LONG) -> None:
        self._most = most
        self._usual, self._longest = _Room(), _Room()
        #: What has taken long, and is not run on the event loop again.
        self._slow: set[tuple[AttestationType, str]] = set()
        self._running = asyncio.Lock()
        self._trying = asyncio.Lock()
        self._waiting = 0
        self._decided: Kept[_Key, Decision] = Kept(_MOST_DECISIONS)

    async def prepare(self, kind: AttestationType, text: str) -> Prepared:
        """
        Prepare the *text* of a policy that was set.

        Raises:
            ThimError: As `read_policy`.
        """
        room = self._usual if len(text) <= MAX_DRAFT_SIZE else self._longest
        found = room.find(kind, text)
        if found is not None:
            return found
        async with room.reading:
            found = room.find(kind, text)
            if found is None:
                found = await asyncio.to_thread(read_policy, kind, text)
                room.keep(found, text)
        return found

    async def prepare_draft(self, kind: AttestationType, text: str) -> Prepared:
        """
        Prepare the *text* of a draft.

        Raises:
            UnavailableError: Too many others want the same.
            ThimError: As `read_policy`.
        """
        async with self._take_turn():
            return await asyncio.to_thread(
                read_policy, kind, text, is_draft=True
            )

    async def decide(
        self, prepared: Prepared, claims: Mapping[str, Any]
    ) -> Decision:
        """
        Run a policy on the *claims* of the service.

        Raises:
            PolicyEvaluationError: It cannot be run to its end.
            UnavailableError: It is a draft, and many others want the same.
        """
        if prepared.is_draft:
            async with self._take_turn():
                return await asyncio.to_thread(_run, prepared, claims)
        key = _find_key(prepared, claims)
        found = None if key is None else self._decided.find(key)
        if found is not None:
            return found
        if (prepared.kind, prepared.hash) not in self._slow:
            return self._run(prepared, claims, key)
        async with self._running:
            return await asyncio.to_thread(self._run, prepared, claims, key)

    def _run(
        self, prepared: Prepared, claims: Mapping[str, Any], key: _Key | None
    ) -> Decision:
        begun = time.thread_time()
        try:
            found = _run(prepared, claims)
        finally:
            is_slow = time.thread_time() - begun > self._most
            self._note(prepared, is_slow=is_slow)
        if key is not None:
            self._remember(key, found)
        return found

    def _note(self, prepared: Prepared, *, is_slow: bool) -> None:
        known_by = prepared.kind, prepared.hash
        if not is_slow:
            self._slow.discard(known_by)
            return
        if len(self._slow) >= _MOST_SLOW:
            self._slow.clear()
        self._slow.add(known_by)

    def _remember(self, key: _Key, decision: Decision) -> None:
        if len(msgspec.json.encode(decision.issued)) <= _LARGEST_DECISION:
            kept = dataclasses.replace(decision, trace=())
            self._decided.keep(key, kept)

    @contextlib.asynccontextmanager
    async def _take_turn(self) -> AsyncIterator[None]:
        if self._waiting >= _MOST_DRAFTS:
            msg = f"{self._waiting} other drafts are being tried"
            raise UnavailableError(msg, reason="busy")
        self._waiting += 1
        try:
            async with self._trying:
                yield
        finally:
            self._waiting -= 1


def _find_key(prepared: Prepared, claims: Mapping[str, Any]) -> _Key | None:
    """
    Find by what a decision can be remembered: the policy, and all that it looks
    at.  None where that is much, or cannot be told.
    """
    if prepared.types is None:
        return None
    # JSON, since a dictionary would take 1 for true.
    try:
        text = msgspec.json.encode(_pick(prepared.types, claims))
    except (ValueError, OverflowError):
        return None  # half a character, or too large a number
    if len(text) > _LARGEST_DECISION:
        return None
    return prepared.kind.value, prepared.hash, text


def _pick(
    types: frozenset[str], claims: Mapping[str, Any]
) -> Mapping[str, Any]:
    return {name: claims[name] for name in types if name in claims}


def _run(prepared: Prepared, claims: Mapping[str, Any]) -> Decision:
    if prepared.types is not None:
        claims = _pick(prepared.types, claims)
    incoming = list_incoming(prepared.kind, claims)
    reserved = find_reserved(prepared.kind)
    return decide(prepared.policy, incoming, reserved, make_budget())


def list_incoming(
    kind: AttestationType, claims: Mapping[str, Any]
) -> list[Claim]:
    """
    List what a policy of that *kind* gets to see of the service's *claims*.
    """
    incoming = claims_of_service(claims)
    return with_legacy_names(incoming) if kind in _ENCLAVES else incoming
