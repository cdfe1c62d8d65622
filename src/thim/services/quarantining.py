"""
What came from a vendor and is refused is kept, with the reason.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING

from thim.errors import MalformedError, UntrustedError
from thim.services.outcome import describe


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from thim.store.ledger import Ledger
    from thim.upstream.model import Response


@contextlib.contextmanager
def quarantining(
    ledger: Ledger, response: Response, clock: Callable[[], datetime]
) -> Iterator[None]:
    """
    Put *response* into quarantine and count it, if what is done with it in the
    ``with`` refuses it.

    Raises:
        MalformedError, UntrustedError: The refusal, as it was.
    """
    try:
        yield
    except (MalformedError, UntrustedError) as e:
        ledger.quarantine(
            response.body,
            source=response.url,
            reason=e.reason,
            detail=describe(e),
            now=clock(),
        )
        raise
