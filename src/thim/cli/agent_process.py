"""
An agent, once its command line has been read (``cli.agent``).
"""

from __future__ import annotations

import logging.config
import os
import pickle
import sys

from typing import TYPE_CHECKING

from thim.agent.run import run
from thim.cli.failing import failing_in_one_line
from thim.cli.logs import find_logging
from thim.http.connection import LimitedHttpProtocol
from thim.http.limits import Limits


if TYPE_CHECKING:
    from thim.agent.settings import AgentSettings


def main() -> None:
    """
    Run by the settings in the file whose handle is the argument.
    """
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        # The command line wrote it into memory that nobody else has.
        settings: AgentSettings = pickle.load(file)  # noqa: S301
    logging.config.dictConfig(
        find_logging(settings.log_format, settings.log_level, settings.name)
    )
    with failing_in_one_line():
        run(settings, LimitedHttpProtocol, Limits())


if __name__ == "__main__":
    main()
