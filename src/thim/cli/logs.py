"""
What is logged, and how.
"""

from __future__ import annotations

import copy

from typing import Any

from uvicorn.config import LOGGING_CONFIG


def find_logging() -> dict[str, Any]:
    """
    Return what is logged, and how, by whatever thim serves.
    """
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["thim"] = {"handlers": ["default"], "level": "INFO"}
    config["filters"] = {"short": {"()": "thim.http.access_log.ShortValues"}}
    config["handlers"]["access"]["filters"] = ["short"]
    # A retry is no news: what comes of it is.
    config["loggers"]["stamina"] = {"level": "ERROR"}
    # These would write whole requests, keys included.
    for name in ("httpcore2", "httpx2"):
        config["loggers"][name] = {"level": "WARNING"}
    return config
