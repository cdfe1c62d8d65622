"""
Whose bundles and requests count, for a command.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.errors import OperatorError, ParameterError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.cli.config import Configuration
    from thim.cli.signers import Signer
    from thim.services.bundle_files import Signers
    from thim.store.ledger import Ledger

_DIGITS: Final = 64

Trust = Annotated[
    str | None,
    typer.Option(
        "--trust",
        metavar="FINGERPRINT",
        help="Have also this signer count, at first contact: what `thim "
        "bundle key show` prints there, told by another way than the file.",
    ),
]


def find_signers(
    found: Configuration,
    ledger: Ledger | None,
    trust: str | None,
    *,
    with_own: bool = False,
) -> Signers:
    """
    Find whose files count: those whom the configuration names, or else those
    of whom *ledger* has imported before; and who is trusted on the command
    line; *with_own*, also what was made here.

    Raises:
        ParameterError: *trust* is no fingerprint.
    """
    from thim.services.bundle_files import Signers  # noqa: PLC0415

    named: Sequence[Signer] | None = found["bundle_signers"].value
    if named is not None:
        digests = {signer.digest for signer in named}
    else:
        digests = set() if ledger is None else set(ledger.bundles.signers())
    if trust is not None:
        digests.add(_parse_trust(trust))
    if with_own:
        digests |= _find_own(found)
    hint = "`--trust` with this fingerprint has it count, or bundle_signers"
    return Signers(digests=digests, hint=hint)


def _find_own(found: Configuration) -> set[bytes]:
    from thim.services.bundle_files import read_key  # noqa: PLC0415

    with contextlib.suppress(OperatorError):
        return {read_key(found["bundle_key"].value).public.digest}
    return set()


def _parse_trust(text: str) -> bytes:
    with contextlib.suppress(ValueError):
        if len(text.strip()) == _DIGITS:
            return bytes.fromhex(text.strip())
    expected = "expected a fingerprint of 64 hexadecimal digits"
    raise ParameterError("--trust", text, expected)
