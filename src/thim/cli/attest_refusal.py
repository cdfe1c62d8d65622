"""
What ``thim attest`` says where there is no token, and what it ends with.
"""

from __future__ import annotations

import contextlib
import json
import sys

from typing import TYPE_CHECKING, Final

import typer

from thim.cli.failing import tell
from thim.cli.verify import BELOW, MISSING, NOT_AUTHENTIC
from thim.client.errors import AttestationRefusedError
from thim.errors import UnavailableError, printable


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Of evidence that is authentic, and yet not good enough.
_BELOW_CODES: Final = frozenset({"PolicyEvaluationError"})
_BELOW_SENTENCE: Final = "does not meet the Azure baseline requirements"
#: What to do where the service's words do not say it, by its reason.
_MENDS: Final[Mapping[str, str]] = {
    "policy": (
        "`thim policy test POLICY --evidence FILE` shows which of its rules "
        "hold for this evidence"
    ),
    "unknown-tenant": (
        "give --tenant a name that `thim tenant list` has, where the service is"
    ),
    "unknown-host": (
        "give --url the name that the service has in `attestation_url`, or "
        "have its operator give it this one"
    ),
}
#: The service's own collateral is too old, or not there.
_BEHIND: Final = frozenset({"expired", "crl-expired", "crl-missing"})
_OPERATORS: Final = (
    "`thim status`, where the service is, says which vendor does not answer, "
    "and until when it is left alone; `thim collateral refresh` asks at once"
)


def write_json(value: object) -> None:
    """
    Write *value* to standard output.
    """
    sys.stdout.write(f"{json.dumps(value, indent=2)}\n")


@contextlib.contextmanager
def refusing(*, as_json: bool) -> Iterator[None]:
    """
    Say what a service refuses, and end with what that means.
    """
    try:
        yield
    except AttestationRefusedError as e:
        if as_json:
            write_json({"error": _to_json(e)})
        for line in _describe(e):
            tell(f"thim: {printable(line)}")
        raise typer.Exit(_find_exit_code(e)) from None
    except UnavailableError as e:
        tell(f"thim: cannot say: {printable(str(e))}")
        if e.reason in _BEHIND:
            tell(f"thim: what to do: {_OPERATORS}")
        raise typer.Exit(MISSING) from None


def _to_json(error: AttestationRefusedError) -> dict[str, object]:
    inner = {"code": error.inner_code, "message": error.inner}
    return {
        "status": error.status,
        "code": error.code,
        "message": error.said,
        "innererror": inner if error.inner_code else None,
    }


def _describe(error: AttestationRefusedError) -> Iterator[str]:
    is_same = error.inner == error.said
    reason = f" [{error.inner_code}]" if error.inner_code and is_same else ""
    yield f"{error.code} ({error.status}): {error.said}{reason}"
    if error.inner_code and not is_same:
        yield f"{error.inner_code}: {error.inner}"
    if error.inner_code in _MENDS:
        yield f"what to do: {_MENDS[error.inner_code]}"


def _find_exit_code(error: AttestationRefusedError) -> int:
    """
    Return what the command ends with where the service gives no token.
    """
    is_below = error.code in _BELOW_CODES or _BELOW_SENTENCE in error.said
    return BELOW if is_below else NOT_AUTHENTIC
