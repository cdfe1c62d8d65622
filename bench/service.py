"""
The service under test: thim itself, with the vendor's real documents.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

from collections.abc import Iterator
from pathlib import Path

from bench.processes import Server, free_port, running
from thim.simulate.pki import Intel
from thim.x509.chain import to_pem


_THIM = [sys.executable, "-m", "thim"]


def find_corpus() -> Path:
    """
    Return the folder of the vendors' documents, which are no part of thim.
    """
    named = os.environ.get("THIM_CORPUS")
    project = Path(__file__).parents[1]
    corpus = Path(named) if named else project.parent / "shared" / "corpus"
    if not corpus.is_dir():
        msg = f"no corpus at {corpus}: set THIM_CORPUS"
        raise SystemExit(msg)
    return corpus


def fill_store(folder: Path) -> Path:
    """
    Make a store with the whole corpus in it.
    """
    store = folder / "thim.db"
    _thim("db", "init", "--store", str(store))
    # What is no collateral is refused, which is no failure here.
    corpus = str(find_corpus())
    _thim("collateral", "import", corpus, "--store", str(store), check=False)
    return store


def _thim(*arguments: str, check: bool = True) -> None:
    done = subprocess.run(
        [*_THIM, *arguments], check=False, capture_output=True, text=True
    )
    if check and done.returncode:
        msg = f"thim {' '.join(arguments)}: {done.stderr}"
        raise SystemExit(msg)


@contextlib.contextmanager
def serving(
    store: Path, tls: tuple[Path, Path] | None = None
) -> Iterator[Server]:
    """
    Run ``thim serve`` with one worker.
    """
    port = free_port()
    command = [*_THIM, "serve", "--offline", "--listen", f"127.0.0.1:{port}"]
    command += ["--store", str(store)]
    if tls:
        command += ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
    with running("thim", command, port, store.parent / "thim.log") as server:
        yield server


@contextlib.contextmanager
def serving_fleet(store: Path, intel: Intel) -> Iterator[Server]:
    """
    Run ``thim serve`` with one worker and without a memo over a *store* of a
    simulated vendor's.
    """
    root = store.with_name("root.pem")
    root.write_bytes(to_pem([intel.root]))
    configuration = store.with_name("thim.toml")
    configuration.write_text(
        f'store = "{store}"\nfill = "offline"\nmemo_bytes = 0\n'
        f'dangerous_test_anchors = "{root}"\n',
        "utf-8",
    )
    port = free_port()
    command = [*_THIM, "serve", "--listen", f"127.0.0.1:{port}"]
    command += ["--config", str(configuration)]
    with running("thim", command, port, store.with_name("log")) as server:
        yield server
