"""
Whoever plays with evidence in the console.
"""

from __future__ import annotations

from tests.http.attesting import Attested
from tests.http.console.visitor import Visitor
from tests.serving import Got
from tests.vendors import NOW
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


PAGE = "/console/playground"
TOKEN = f"{PAGE}/token"


def log_in(
    running: Attested, role: Role = Role.READER, tenant: str | None = None
) -> Visitor:
    """
    Make a token, and log in with it.
    """
    text, kept = make_token(
        f"{tenant}-{role.value}", role, actor="root", now=NOW, tenant=tenant
    )
    with Ledger(running.store, running.vendor.anchors) as ledger:
        ledger.tokens.add(kept)
    visitor = Visitor(running.served)
    visitor.log_in(text)
    return visitor


def look(
    visitor: Visitor, evidence: str, path: str = PAGE, **fields: str
) -> Got:
    """
    Paste evidence and look at it.
    """
    return visitor.send(
        PAGE, path, {"tenant": "root", "evidence": evidence, **fields}
    )
