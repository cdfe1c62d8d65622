"""
Add documents until the disk is full: a process with a limit on its files.
"""

import os
import sys

from pathlib import Path

from tests.store.made import ANCHORS, make_record
from thim.errors import OperatorError
from thim.store.ledger import Ledger


def main() -> None:
    """
    Say how many documents were taken, and with what reason it ended.
    """
    with Ledger(Path(sys.argv[1]), ANCHORS) as ledger:
        count = 0
        try:
            while True:
                text = os.urandom(8000).hex()
                ledger.add(make_record(count, text=text))
                count += 1
        except OperatorError as e:
            sys.stdout.write(f"{count} {e.reason}")


if __name__ == "__main__":
    main()
