"""
Whether the server's certificate ends soon, for ``thim status``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.cli.checks import certificate_files, pki_files
from thim.errors import OperatorError
from thim.services.clock import utc_now
from thim.services.pki import absent_of_ca, read_certificate, spell_paths
from thim.services.renewal import end_is_near
from thim.services.status import Concern, Level


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.cli.config import Configuration


def ending_concerns(found: Configuration) -> Iterator[Concern]:
    """
    Find what an operator must know of the server's certificate, by the
    machine's clock.

    One that this user cannot read is left out: the service says what is wrong
    with it.
    """
    files, now = certificate_files(found), utc_now()
    try:
        server = read_certificate(files.cert) if files else None
        why = _why(found)
    except OperatorError:
        return
    if files is None or server is None or not end_is_near(server, now):
        return
    last = server.not_valid_after_utc
    yield Concern(
        level=Level.NOW if last <= now else Level.SOON,
        reason="certificate-ends",
        detail=f"{files.cert} ends at {last:%FT%TZ}: {why}",
    )


def _why(found: Configuration) -> str:
    files = pki_files(found)
    if files is None:
        return "no private CA renews it, so put another in its place"
    if absent := absent_of_ca(files):
        return f"it cannot be renewed without {spell_paths(absent)}"
    return "no service has renewed it"
