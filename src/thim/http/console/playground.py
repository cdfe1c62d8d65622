"""
The playground of attestation: paste evidence, see what becomes of it and why.

Looking leaves no trace; a token is issued by a button of its own, by the same
door as ``/attest`` and on record like any other.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.account import BEHIND, FACTS, FAILED, NOT_REACHED, OK
from thim.attestation.kind import ATTESTED, AttestationType, find_type
from thim.baseline.model import ROOT
from thim.client.submission import API_VERSION, HeldData
from thim.errors import (
    ForbiddenError,
    OperatorError,
    ParameterError,
    ThimError,
    UnavailableError,
    UntrustedError,
)
from thim.http.console.guard import ConsolePage
from thim.http.console.visit import Page, Visit
from thim.http.problems import to_problem
from thim.http.tenant_admin import reading
from thim.services.pasted import read_pasted
from thim.services.refused import RefusedError
from thim.services.tokens import Permission
from thim.services.trial import account_for_submission, try_out


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from thim.attestation.account import Account
    from thim.attestation.policy.syntax import Rule
    from thim.http.attestation_context import AttestationContext
    from thim.services.pasted import Pasted
    from thim.services.providers import Place
    from thim.services.trial import Trial
    from thim.store.replica import Replica

_FIELDS: Final = (
    "evidence",
    "type",
    "tenant",
    "baseline",
    "runtime",
    "runtime_type",
    "draft",
)
_REFUSED: Final = 400
_LONGEST_RULE: Final = 100
_RUNTIME_TYPES: Final = ("text", "JSON")
#: So many tenants are suggested; others can be named.
_LISTED: Final = 200
#: How a step ended: a colour and a word.
MARKS: Final = {
    OK: ("good", "ok"),
    BEHIND: ("soon", "behind"),
    FAILED: ("bad", "failed"),
    NOT_REACHED: ("none", "not reached"),
}
_KINDS: Final = {
    AttestationType.SGX_ENCLAVE: "SGX",
    AttestationType.OPEN_ENCLAVE: "Open Enclave",
    AttestationType.TDX_VM: "TDX",
    AttestationType.SEV_SNP_VM: "SEV-SNP",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What was put into the form, and the provider that it is for."""

    form: Mapping[str, str]
    place: Place
    pasted: Pasted

    @property
    def baseline(self) -> str | None:
        """The baseline that was asked for."""
        return self.form["baseline"] or None

    def write_request(self) -> dict[str, str]:
        """Write what a program sends to have the same."""
        url = (
            f"{self.place.issuer}/attest/{self.pasted.kind.value}"
            f"?api-version={API_VERSION}"
        )
        return {
            "curl": "curl --fail-with-body -H 'content-type: application/json'"
            f" \\\n  --data @request.json '{url}'",
            "body": json.dumps(json.loads(self.pasted.body), indent=2),
        }


async def _ask(visit: Visit) -> Page:
    form = {name: visit.query.get(name, "") for name in _FIELDS}
    return await _page(visit, form)


async def _look(visit: Visit) -> Page:
    form = _read_form(visit)
    try:
        asked = _read(visit, form)
        found = await _try(visit, asked)
    except ThimError as e:
        return await _page(visit, form, error=e)
    return await _page(visit, form, found)


async def _issue(visit: Visit) -> Page:
    form = _read_form(visit)
    try:
        asked = _read(visit, form)
        if asked.baseline is not None:
            expected = (
                "expected none for a token: there the tenant, its policy or a "
                'draft (issueproperty, "x-thim-baseline") chooses it'
            )
            raise ParameterError("baseline", asked.baseline, expected)
        attest = _context(visit).attest
        token = await attest.attest(
            asked.place, asked.pasted.submission, _source(visit)
        )
    except ThimError as e:
        return await _page(visit, form, error=e)
    found = {"issued": _read_token(token), **asked.write_request()}
    return await _page(visit, form, found)


def _context(visit: Visit) -> AttestationContext:
    context: AttestationContext = visit.scope["state"]["attestation"]
    return context


def _source(visit: Visit) -> str:
    client = visit.scope["client"]
    return str(client[0]) if client else ""


def _read_form(visit: Visit) -> dict[str, str]:
    form = {name: visit.form.get(name, "") for name in _FIELDS}
    return {**form, "baseline": form["baseline"].strip()}


def _read(visit: Visit, form: Mapping[str, str]) -> _Asked:
    own = visit.principal.tenant
    if own is not None and form["tenant"] != own:
        msg = f"{visit.principal} is of the tenant {own}, and of no other"
        raise ForbiddenError(msg, reason="tenant")
    kind = find_type(form["type"]) if form["type"] else None
    pasted = read_pasted(
        form["evidence"],
        kind,
        _read_runtime(form),
        form["draft"] if form["draft"].strip() else None,
    )
    place = _context(visit).place_named(visit.scope, form["tenant"])
    return _Asked(form=form, place=place, pasted=pasted)


def _read_runtime(form: Mapping[str, str]) -> HeldData | None:
    text, kind = form["runtime"], form["runtime_type"] or "text"
    if kind not in _RUNTIME_TYPES:
        expected = f"expected {' or '.join(_RUNTIME_TYPES)}"
        raise ParameterError("runtime_type", kind, expected)
    if not text:
        return None
    # Browsers write all line breaks in two characters.
    data = text.replace("\r\n", "\n").encode("utf-8")
    return HeldData(data=data, is_json=kind == "JSON")


async def _try(visit: Visit, asked: _Asked) -> dict[str, Any]:
    service = visit.service
    trial = await try_out(
        _context(visit).attest,
        asked.place,
        asked.pasted.submission,
        _source(visit),
        service.clock(),
        baseline=asked.baseline,
    )

    def read() -> Account:
        # Verifying takes snapshots of its own.
        with reading(service) as replica:
            anchors = replica.all_anchors(service.settings.anchors)
            submission = asked.pasted.submission
            return account_for_submission(
                replica, anchors, submission, trial.ask
            )

    account = await asyncio.to_thread(read)
    return {
        "issued": None,
        "account": account,
        "headline": sum_up(account),
        "facts": _list_facts(account),
        "trial": trial,
        "verdict": _sum_up_trial(trial),
        "rule": _find_rule(trial),
        "claims": None if trial.claims is None else _write(trial.claims),
        "kind": _KINDS[asked.pasted.kind],
        **asked.write_request(),
    }


def sum_up(account: Account) -> tuple[str, str]:
    """
    Say in a sentence, with its colour, what an account comes to.
    """
    evidence = account["evidence"]
    what = "This" if evidence is None else evidence["kind"]
    if account["authentic"] is None:
        return "soon", f"{what}: nobody can say"
    if not account["authentic"]:
        return "bad", f"{what}: not authentic"
    words = [f"{what}: authentic"]
    if "tcb" in account:
        words.append(account["tcb_status"] or "at no TCB level")
    elif not account["acceptable"]:
        words.append("below the minimum")
    number, baseline = account["evaluation_number"], account["baseline"]
    by = "" if number is None else f" by number {number}"
    if baseline not in {None, str(number)}:
        by += f" (baseline {baseline})"
    kind = "good" if account["acceptable"] else "bad"
    return kind, f"{', '.join(words)}{by}"


def _list_facts(account: Account) -> list[tuple[str, str]]:
    claims = account["claims"] or {}
    return [
        (name, _spell(claims[name]))
        for name in FACTS
        if claims.get(name) is not None
    ]


def _spell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _sum_up_trial(trial: Trial) -> tuple[str, str, str]:
    """Say with its colour whether there would be a token, and why not."""
    decision = trial.decision
    why = decision.refusal if decision else str(trial.refusal)
    if why is not None:
        return "bad", "There would be no token", why
    unsigned = ", which nobody signs, since a draft decides"
    of_draft = unsigned if trial.choice.prepared.is_draft else ""
    return "good", f"There would be a token{of_draft}", ""


def _find_rule(trial: Trial) -> tuple[Rule, str] | None:
    """Find the rule that decided, and the line where it begins."""
    if trial.decision is None:
        return None
    rule = trial.decision.denied_by or trial.decision.permitted_by
    if rule is None:
        return None
    lines = trial.choice.prepared.policy.text.splitlines()
    at = rule.line - 1
    text = lines[at].strip() if at < len(lines) else ""
    cut = f"{text[:_LONGEST_RULE]}…"
    return rule, text if len(text) <= _LONGEST_RULE else cut


def _write(value: object) -> str:
    # Escapes what is not ASCII: nothing in it drives a terminal or a page.
    return json.dumps(value, indent=2)


def _read_token(token: str) -> dict[str, str]:
    header, claims, _ = token.split(".")
    found = json.loads(_decode(claims))
    return {
        "token": token,
        "jti": found["jti"],
        "header": _write(json.loads(_decode(header))),
        "claims": _write(found),
    }


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def _page(
    visit: Visit,
    form: Mapping[str, str],
    found: Mapping[str, Any] | None = None,
    error: ThimError | None = None,
) -> Page:
    own = visit.principal.tenant
    tenants = [own] if own else await visit.read(_list)
    return Page(
        template="playground.html",
        title="Playground",
        values={
            "form": form,
            "tenant": form["tenant"] or own or ROOT.name,
            "tenants": tenants,
            "types": {kind.value: name for kind, name in _KINDS.items()},
            "runtime_types": _RUNTIME_TYPES,
            "marks": MARKS,
            "error": error,
            "sentence": error.sentence
            if isinstance(error, RefusedError)
            else "",
            "found": found,
        },
        status=200 if error is None else _find_status(error),
    )


def _find_status(error: ThimError) -> int:
    if isinstance(error, OperatorError):  # a full disk, a lock
        error = UnavailableError(str(error), reason=error.reason)
    # What is refused is the evidence's fault, as at `/attest`.
    is_refused = isinstance(error, UntrustedError)
    return _REFUSED if is_refused else to_problem(error).status


def _list(replica: Replica, now: datetime) -> list[str]:
    return [each.name for each in replica.book().tenants(now)[:_LISTED]]


_READ: Final = Permission.READ
_PATH: Final = "/playground"
PLAYGROUND: Final = (
    (_PATH, "GET", ConsolePage(_READ, _ask, for_tenants=True)),
    (_PATH, "POST", ConsolePage(_READ, _look, for_tenants=True)),
    (
        f"{_PATH}/token",
        "POST",
        ConsolePage(Permission.ADMINISTER, _issue, for_tenants=True),
    ),
)
assert set(_KINDS) == ATTESTED  # noqa: S101 - each has a name here
