"""
The attestation service as it lives with the application.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING

from thim.http.attestation_context import AttestationContext
from thim.services.attest import AttestDesk
from thim.services.attest_fill import EvidenceFiller
from thim.services.decisions import follow_retention
from thim.services.signing import SigningDesk
from thim.services.signing_keys import SigningPlace
from thim.store.decision_file import find_decisions
from thim.store.decision_log import DecisionLog


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from thim.http.service import Service
    from thim.services.fill import Filler


async def open_attestation(
    stack: contextlib.AsyncExitStack,
    service: Service,
    run: Callable[
        [contextlib.AsyncExitStack, Coroutine[Any, Any, None]], Awaitable[None]
    ],
) -> AttestationContext:
    """
    Begin to attest for *service*, until *stack* ends; *run* has something done
    until then.
    """
    settings, clock = service.settings, service.clock
    place = SigningPlace(
        store=settings.store,
        anchors=settings.anchors,
        key_file=settings.key_file,
        tsm_root=settings.tsm_root,
    )
    signing = SigningDesk(
        service.replica, place, clock, settings.attestation_key_life
    )
    await run(stack, signing.follow())
    decisions = find_decisions(settings.store)
    retention = settings.decision_retention
    await run(stack, follow_retention(decisions, retention, clock))
    log = DecisionLog(decisions)
    stack.push_async_callback(log.close)
    attest = AttestDesk(service.replica, settings.anchors, signing, log, clock)
    return AttestationContext(service, signing, attest)


def fill_evidence(context: AttestationContext, filler: Filler) -> None:
    """
    Have the vendors asked by *filler* for what evidence is verified with.
    """
    attest = context.attest
    replica = context.service.replica
    evidence = EvidenceFiller(filler, replica, attest.judgement.evidence)
    attest.fill = evidence.fill
