"""
Runs of schemathesis against a service on a real socket: requests as an OpenAPI
document allows them, and as it does not.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import os

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import schemathesis

from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.schemas import BaseSchema

from tests.platforms import NOW
from thim.http.openapi_route import make_reply


#: How many requests are made up for each operation, for a longer run.
EXAMPLES = "THIM_SCHEMATHESIS_EXAMPLES"
#: So that nobody comes too often, however often they come.
_STEP = datetime.timedelta(milliseconds=400)
_OFF = {"enabled": False}
_REFUSED = (400, 401, 403, 404, 405, 409, 413, 414, 421, 429, 431)
_CHECKS = {
    # What is allowed may still be unknown, taken or no evidence.
    "positive_data_acceptance": _OFF,
    # A type that nobody attests is refused before anybody shows a token.
    "missing_required_header": _OFF,
    # The history of a tenant that was deleted stays.
    "use_after_free": _OFF,
    "negative_data_rejection": {"expected-statuses": _REFUSED},
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    What to try: the operations of a *family*, of a *tag* if one is given, but
    those left *out*, or *only* some; *count* requests are made up for each,
    besides those that the document implies, where *is_thorough*.
    """

    family: str
    count: int
    out: Sequence[str] = ()
    only: Sequence[str] = ()
    tag: str | None = None
    is_thorough: bool = True

    def find_failures(
        self, url: str, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """
        Try it at *url*; return what was wrong, by operation and check.
        """
        schema: BaseSchema = schemathesis.openapi.from_dict(
            json.loads(make_reply(self.family).body),
            config=SchemathesisConfig.from_dict(self._settings(url, headers)),
        )
        if self.tag:
            schema = schema.include(tag=self.tag)
        if self.out:
            schema = schema.exclude(operation_id=list(self.out))
        if self.only:
            schema = schema.include(operation_id=list(self.only))
        found: dict[str, str] = {}
        tried = 0
        for event in from_schema(schema).execute():
            if isinstance(event, events.NonFatalError | events.FatalError):
                found[f"error {event}"] = str(vars(event))
            if isinstance(event, events.ScenarioFinished):
                tried += len(event.recorder.interactions)
                found.update(_list_failures(event))
        assert tried, "nothing was tried"
        return found

    def _settings(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        longer = os.environ.get(EXAMPLES)
        is_thorough = self.is_thorough or longer is not None
        return {
            "base-url": url,
            "headers": dict(headers),
            "seed": 8,
            "continue-on-failure": True,
            "generation": {
                "max-examples": int(longer or self.count),
                "deterministic": longer is None,
                "database": "none",
                "no-shrink": True,
            },
            "phases": {
                "coverage": {"enabled": is_thorough},
                # Who goes on with what was answered takes the time of all else.
                "stateful": {"enabled": longer is not None},
            },
            "checks": _CHECKS,
        }


def _list_failures(event: events.ScenarioFinished) -> dict[str, str]:
    return {
        f"{event.recorder.label}: {node.name}": (
            f"{node.failure_info.failure}\n{node.failure_info.code_sample}"
        )
        for nodes in event.recorder.checks.values()
        for node in nodes
        if node.status is Status.FAILURE and node.failure_info
    }


def hurrying() -> Callable[[], datetime.datetime]:
    """
    Return a clock that moves on each time that somebody looks at it.
    """
    count = itertools.count()
    return lambda: NOW + next(count) * _STEP
