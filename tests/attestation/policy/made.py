"""
Policies in few words, and what they decide.
"""

from typing import Any

from thim.attestation.policy.claim import Claim, Issuer, claims_of_service
from thim.attestation.policy.evaluate import decide
from thim.attestation.policy.limits import Budget
from thim.attestation.policy.parse import parse_policy
from thim.attestation.policy.reserved import Reserved


def write(issuance="", authorization="=> permit();", version="1.2"):
    """
    Write a policy with these rules.
    """
    return (
        f"version={version};authorizationrules{{{authorization}}};"
        f"issuancerules{{{issuance}}};"
    )


def run(text, claims=(), *, reserved=(), budget=None) -> Any:
    """
    Run the policy *text* on claims: those of the service as a dict, or any as
    a list.
    """
    if isinstance(claims, dict):
        claims = claims_of_service(claims)
    return decide(
        parse_policy(text), claims, Reserved(reserved), budget or Budget()
    )


def issue(rules, claims=(), **options):
    """
    Return what *rules* issue.
    """
    return run(write(rules), claims, **options).issued


def policy_claim(name, value):
    """
    Make a claim as a rule makes them.
    """
    return Claim(name, value, Issuer.POLICY)


def quoted(text):
    """
    Write *text* as a string of a policy.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
