"""
What some tests need of the machine that they run on.

Where it is missing they are skipped.  In CI it is there, and a skip is a
failure (``tests/conftest.py``), so that none of them is left out unseen.
"""

import os
import shutil

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest


Test = TypeVar("Test", bound=Callable[..., Any] | type)

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root gives files away"
)
needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed"
)
needs_ip = pytest.mark.skipif(
    shutil.which("ip") is None, reason="iproute2 is not installed"
)
needs_unshare = pytest.mark.skipif(
    not (shutil.which("unshare") and shutil.which("setpriv")),
    reason="util-linux is not installed",
)
needs_wheels = pytest.mark.skipif(
    not (Path(__file__).parents[1] / ".venv" / "wheels").is_dir(),
    reason="there are no wheels: `make unit` fetches them",
)
needs_node = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")),
    reason="node and npm are not installed",
)
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)
needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists(),
    reason="nginx is not installed",
)
_has_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed"
)


def needs_chromium(test: Test) -> Test:
    """
    Mark a *test*, or a class of them, that looks at pages in a browser: it
    takes long, and needs one.
    """
    marked: Test = pytest.mark.long(_has_chromium(test))
    return marked
