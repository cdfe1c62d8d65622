"""
Add documents issued on the days that the arguments name.
"""

import sys

from pathlib import Path

from tests.store.test_concurrency import add_all


if __name__ == "__main__":
    add_all(Path(sys.argv[1]), map(int, sys.argv[2:]), [])
