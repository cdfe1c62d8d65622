"""
``thim policy``: check an attestation policy, and try it, both offline.
"""

from __future__ import annotations

import json

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from thim.attestation.evidence import MAX_SIZE, decode_text, parse_evidence
from thim.attestation.kind import AttestationType, find_type
from thim.attestation.policy.evaluate import configure, decide
from thim.attestation.policy.limits import MAX_POLICY_SIZE, Budget
from thim.attestation.policy.parse import parse_policy
from thim.attestation.policy.reserved import check_reserved, reserved_for
from thim.attestation.snp_submission import read_snp_submission
from thim.attestation.stated_claims import claims_of, find_kind
from thim.cli.failing import tell
from thim.cli.files import read_bounded
from thim.cli.policy_view import (
    account_for_decision,
    account_for_error,
    account_for_policy,
    write_decision,
    write_error,
    write_policy,
)
from thim.errors import (
    MalformedError,
    OperatorError,
    ParameterError,
)
from thim.intel.strict_json import MAX_JSON_SIZE, parse_strictly
from thim.services.policy_shelf import list_incoming, read_policy


if TYPE_CHECKING:
    from thim.attestation.evidence import Evidence
    from thim.attestation.policy.parse import Policy

app = typer.Typer(no_args_is_help=True)

_NOT_VERIFIED = (
    "not verified: the claims are taken from the evidence as it states them; "
    "what only the service finds out, such as x-thim-tcb-status and "
    "attester_tcb_status, is not among them"
)
_BLANKS = b" \t\r\n"

PolicyFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="The policy: text, not a JWS."),
]
TypeName = Annotated[
    str | None,
    typer.Option(
        "--type",
        metavar="TYPE",
        help="SgxEnclave, OpenEnclave, SevSnpVm or TdxVm: what is attested.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Write JSON instead of text.")
]


@app.command("check")
def check(
    file: PolicyFile, kind: TypeName = None, as_json: AsJson = False
) -> None:
    """
    Say whether a policy can be set, and if not, where it goes wrong.

    What it may configure and issue depends on --type.  Exit code 1 if it
    cannot be set.
    """
    type_ = _find_type(kind)
    policy = _read_policy(file, type_, as_json)
    if as_json:
        typer.echo(json.dumps(account_for_policy(policy), indent=2))
    else:
        write_policy(policy)


@app.command("test")
def try_out(
    file: PolicyFile,
    evidence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A quote or report. It is not verified: the policy is tried "
            "on what it states.",
        ),
    ] = None,
    claims: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The service's claims, as a JSON object."
        ),
    ] = None,
    kind: TypeName = None,
    as_json: AsJson = False,
) -> None:
    """
    Run a policy on claims, and say which rule decided.

    Nothing is verified, and no token is issued. Exit code 1 if the policy
    does not permit, or cannot be run.
    """
    type_, found = _find_claims(evidence, claims, _find_type(kind))
    policy = _read_policy(file, type_, as_json)
    if not as_json:
        tell(_NOT_VERIFIED if evidence else "not verified: given claims")
    try:
        decision = decide(
            policy,
            list_incoming(type_ or AttestationType.SGX_ENCLAVE, found),
            reserved_for(type_, found),
            Budget(),
        )
    except MalformedError as e:
        _end_with_error(e, None, as_json, is_valid=True)
    if as_json:
        account = {"verified": False, **account_for_decision(decision)}
        typer.echo(json.dumps(account, indent=2))
    else:
        write_decision(decision)
    raise typer.Exit(0 if decision.permitted else 1)


def _find_type(name: str | None) -> AttestationType | None:
    return None if name is None else find_type(name)


def _read_policy(
    file: Path, type_: AttestationType | None, as_json: bool
) -> Policy:
    """
    Read the policy in *file*; where it is none, say so and end.
    """
    raw = read_bounded(file, MAX_POLICY_SIZE)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        msg = f"{file}: not UTF-8: {e}"
        raise OperatorError(msg, reason="unreadable") from None
    try:
        if type_ is not None:
            return read_policy(type_, text).policy
        policy = parse_policy(text)
        check_reserved(policy, reserved_for(type_))
        configure(policy, Budget())
    except MalformedError as e:
        _end_with_error(e, text, as_json)
    return policy


def _end_with_error(
    error: MalformedError,
    text: str | None,
    as_json: bool,
    *,
    is_valid: bool = False,
) -> NoReturn:
    if as_json:
        account = account_for_error(error, is_valid=is_valid)
        typer.echo(json.dumps(account, indent=2))
    else:
        write_error(error, text)
    raise typer.Exit(1) from None


def _find_claims(
    evidence: Path | None, claims: Path | None, type_: AttestationType | None
) -> tuple[AttestationType | None, dict[str, Any]]:
    """
    Find what the policy is tried on, and what that is attested as.
    """
    if (evidence is None) == (claims is None):
        got = "both" if claims else "neither"
        msg = f"expected a file for either --evidence or --claims, got {got}"
        raise MalformedError(msg, reason="parameter")
    if claims is not None:
        return type_, _read_claims(claims)
    found = _read_evidence(read_bounded(evidence or Path(), MAX_SIZE))
    return type_ or find_kind(found), claims_of(found)


def _read_evidence(raw: bytes) -> Evidence:
    """Read evidence in whichever form it may be sent to the service."""
    decoded = raw if len(raw) > MAX_SIZE else decode_text(raw)
    if decoded.lstrip(_BLANKS).startswith(b"{"):
        return read_snp_submission(decoded).evidence
    return parse_evidence(decoded)


def _read_claims(file: Path) -> dict[str, Any]:
    found = parse_strictly(read_bounded(file, MAX_JSON_SIZE))
    if not isinstance(found, dict):
        expected = "expected a JSON object"
        raise ParameterError("--claims", str(file), expected)
    return found
