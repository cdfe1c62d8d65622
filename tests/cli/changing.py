"""
A store whose vendor and clock are the test's, for commands that change what is
in force.
"""

import dataclasses
import json

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.new_store import new_store
from tests.services.changes import list_numbers, point
from tests.services.made import INTEL, day
from thim.services.clock import write_standing
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


@dataclasses.dataclass(frozen=True)
class Change:
    """
    Runs commands in a *folder*, on the nth day.
    """

    folder: Path
    run: Callable[..., Any]

    @property
    def store(self) -> Path:
        """
        The store.
        """
        return self.folder / "changed.db"

    @property
    def config(self) -> Path:
        """
        The configuration.
        """
        return self.folder / "changed.toml"

    def begin(self) -> None:
        """
        Make a store in which the vendor signs 17 to 20, and standard is 18.
        """
        new_store(self.store, INTEL.anchors)
        roots = self.folder / "roots.pem"
        roots.write_bytes(to_pem([INTEL.certificates[0]]))
        self.on(0)
        self.config.write_text(
            f'store = "{self.store}"\n'
            f'dangerous_test_anchors = "{roots}"\n'
            f'dangerous_clock = "{self.folder / "clock"}"\n'
        )
        with Ledger(self.store, INTEL.anchors) as ledger:
            list_numbers(ledger)
            point(ledger, 18, 0)

    def on(self, n: float) -> None:
        """
        Let it be the nth day.
        """
        write_standing(self.folder / "clock", day(n))

    def __call__(self, *words: Any) -> Any:
        """
        Run a command.
        """
        return self.run(*words, "--config", self.config)

    def does(self, *words: Any) -> str:
        """
        Run a command that must work, and return what it writes.
        """
        run = self(*words)
        assert 0 == run.code, run.err
        return str(run.text)

    def refuses(self, *words: Any) -> str:
        """
        Run a command that must end with code 2 and write nothing, and return
        what it says.
        """
        run = self(*words)
        assert (2, b"") == (run.code, run.out)
        return " ".join(run.err.split())

    def json(self, *words: Any) -> Any:
        """
        Run a command that must work and write JSON, and return that.
        """
        return json.loads(self.does(*words, "--json"))

    def stands(self, *tenants: str) -> list[int]:
        """
        Find at which number each of *tenants* stands.
        """
        rows = self.json("tenant", "list")
        numbers = {row["name"]: row["number"] for row in rows}
        return [numbers[name] for name in tenants]
