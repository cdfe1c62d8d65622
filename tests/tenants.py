"""
Baselines and tenants that a test decides about: in a book, or in a store.
"""

from __future__ import annotations

import datetime
import json

from pathlib import Path
from typing import Any, Self

from thim.baseline.book import Book
from thim.baseline.decided import Definition, Enactment, Promotion
from thim.baseline.definition import Kind
from thim.store.ledger import Ledger
from thim.x509.chain import TrustAnchors


#: Long before anything else in the tests.
SINCE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Decisions:
    """
    Decisions in the order in which they are made.
    """

    def __init__(self) -> None:
        self.definitions: list[Definition] = []
        self.enactments: list[Enactment] = []
        self.promotions: list[Promotion] = []
        self._written = (0, 0, 0)

    def baseline(
        self,
        name: str,
        rule: str,
        *,
        since: datetime.datetime = SINCE,
        tenant: str | None = None,
        **members: Any,
    ) -> Self:
        """
        Put another version of a baseline in force, for one tenant or for all.
        """
        body = {"rule": rule, **members}
        return self._decide(Kind.BASELINE, name, body, since, tenant)

    def tenant(
        self,
        name: str,
        baseline: str,
        *,
        since: datetime.datetime = SINCE,
        **members: Any,
    ) -> Self:
        """
        Put another version of a tenant in force.
        """
        body = {"baseline": baseline, **members}
        return self._decide(Kind.TENANT, name, body, since, None)

    def promotion(
        self,
        baseline: str,
        number: int,
        effective: datetime.datetime | None = SINCE,
        version: int = 1,
    ) -> Self:
        """
        Write down where a held baseline stands.
        """
        count = sum(
            (p.baseline, p.version) == (baseline, version)
            for p in self.promotions
        )
        promotion = Promotion(
            baseline=baseline,
            version=version,
            sequence=count + 1,
            number=number,
            noticed=SINCE,
            effective=effective,
            actor="test",
            reason="noticed",
        )
        self.promotions.append(promotion)
        return self

    def _decide(
        self,
        kind: Kind,
        name: str,
        body: dict[str, Any],
        since: datetime.datetime,
        tenant: str | None,
    ) -> Self:
        version = 1 + sum(
            (d.kind, d.name) == (kind, name) for d in self.definitions
        )
        definition = Definition(
            kind=kind,
            name=name,
            version=version,
            body=json.dumps(body),
            author="test",
            reason="wanted",
            created=SINCE,
        )
        self.definitions.append(definition)
        return self.enact(kind, name, version, since=since, tenant=tenant)

    def enact(
        self,
        kind: Kind,
        name: str,
        version: int,
        *,
        since: datetime.datetime = SINCE,
        tenant: str | None = None,
    ) -> Self:
        """
        Put a version in force that there is already.
        """
        sequence = 1 + sum(
            (e.kind, e.name) == (kind, name) for e in self.enactments
        )
        enactment = Enactment(
            kind=kind,
            name=name,
            sequence=sequence,
            version=version,
            tenant=tenant,
            effective=since,
            decided=SINCE,
            actor="test",
            reason="decided",
        )
        self.enactments.append(enactment)
        return self

    def book(self) -> Book:
        """
        Make the book of them.
        """
        return Book(self.definitions, self.enactments, self.promotions)

    def write(self, store: Path, anchors: TrustAnchors) -> Self:
        """
        Write what is new among them into *store*.
        """
        definitions, enactments, promotions = self._written
        with Ledger(store, anchors) as ledger:
            for definition in self.definitions[definitions:]:
                ledger.definitions.define(definition)
            for enactment in self.enactments[enactments:]:
                ledger.definitions.enact(enactment)
            for promotion in self.promotions[promotions:]:
                assert ledger.definitions.promote(promotion)
        self._written = (
            len(self.definitions),
            len(self.enactments),
            len(self.promotions),
        )
        return self
