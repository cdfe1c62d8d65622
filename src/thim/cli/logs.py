"""
What is logged, and how: lines for people, or JSON for a collector.

Each line of a request has that request's ID, which its answer carries too.
"""

from __future__ import annotations

import copy
import logging
import platform

from typing import TYPE_CHECKING, Any, Final

from uvicorn.config import LOGGING_CONFIG

from thim.http.measured import REQUEST_ID


if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

TEXT: Final = "text"
JSON: Final = "json"
#: What uvicorn's access log says of a request, in its order.
_ACCESS: Final = ("client", "method", "target", "http_version", "status")


def find_logging(
    form: str = TEXT, level: str = "info", node: str | None = None
) -> dict[str, Any]:
    """
    Return what is logged from a *level* on, and in which *form*, by whatever
    thim serves, on a *node* of that name or of the machine's.
    """
    config = copy.deepcopy(LOGGING_CONFIG)
    loggers, wanted = config["loggers"], level.upper()
    loggers["thim"] = {"handlers": ["default"], "level": wanted}
    for logger in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        loggers[logger]["level"] = wanted
    # A line for each request is a setting of its own.
    loggers["uvicorn.access"]["level"] = "INFO"
    _add_filters(config)
    for formatter in config["formatters"].values():
        if form == JSON:
            formatter.clear()
            formatter["()"] = "thim.cli.logs.make_json_formatter"
            formatter["node"] = node or platform.node()
        else:
            formatter["fmt"] += "%(request)s"
    # A retry is no news: what comes of it is.
    loggers["stamina"] = {"level": "ERROR"}
    # These would write whole requests, keys included.
    for name in ("httpcore2", "httpx2"):
        loggers[name] = {"level": "WARNING"}
    return config


def _add_filters(config: dict[str, Any]) -> None:
    config["filters"] = {
        "short": {"()": "thim.http.access_log.ShortValues"},
        "request": {"()": "thim.cli.logs.WithRequest"},
    }
    config["handlers"]["default"]["filters"] = ["request"]
    config["handlers"]["access"]["filters"] = ["short", "request"]


class WithRequest(logging.Filter):
    """
    Adds the ID of the request that is being answered.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """
        Keep every record.
        """
        known = REQUEST_ID.get()
        record.request_id = known
        record.request = f" [{known}]" if known else ""
        return True


def make_json_formatter(node: str) -> logging.Formatter:
    """
    Make what writes a record as one line of JSON, on a *node* of that name.
    """
    # Only here: nobody else needs it in memory.
    import structlog  # noqa: PLC0415

    processors = structlog.processors
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            _Describe(node),
            # Without the values of variables: some are secrets.
            processors.format_exc_info,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            processors.JSONRenderer(ensure_ascii=False),
        ],
        pass_foreign_args=True,
    )


class _Describe:
    """Says where and for which request a line was written."""

    def __init__(self, node: str) -> None:
        self._node = node

    def __call__(
        self, _logger: WrappedLogger, _method: str, event: EventDict
    ) -> EventDict:
        """
        Add it to *event*.
        """
        record: logging.LogRecord = event["_record"]
        event["node"] = self._node
        event["pid"] = record.process
        if request_id := getattr(record, "request_id", ""):
            event["request_id"] = request_id
        arguments = event.pop("positional_args", ())
        if record.name == "uvicorn.access":
            event["event"] = "request"
            event.update(zip(_ACCESS, arguments, strict=False))
        return event
