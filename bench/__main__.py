"""
``python -m bench``: measure everything that has a gate.

The exit status is 1 when a gate is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

from pathlib import Path

from bench.attest import attest
from bench.cached_get import Bench, cached_get, cached_get_tls, idle_memory
from bench.pck_certificates import pck_certificates
from bench.quotes import quotes
from bench.service import fill_store
from bench.slow_vendor import slow_vendor
from bench.tools import certify, provide_tools
from bench.what_if import what_if


def main() -> int:
    """
    Measure, and print each figure beside its gate.
    """
    arguments = _arguments()
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    tools = provide_tools()
    with tempfile.TemporaryDirectory(prefix="thim-bench-") as name:
        folder = Path(name)
        bench = Bench(
            tools=tools,
            folder=folder,
            store=fill_store(folder),
            tls=certify(folder),
            pairs=arguments.pairs,
            seconds=arguments.seconds,
            platforms=arguments.platforms,
        )
        gates = [
            gate
            for measure in (
                idle_memory,
                cached_get,
                cached_get_tls,
                quotes,
                attest,
                slow_vendor,
                pck_certificates,
                what_if,
            )
            for gate in measure(bench)
        ]
    print()
    for gate in gates:
        print(gate)
    return 0 if all(gate.is_met for gate in gates) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--pairs", type=int, default=7, help="default: 7")
    parser.add_argument(
        "--seconds", type=int, default=2, help="of each run; default: 2"
    )
    parser.add_argument(
        "--platforms",
        type=int,
        default=1_000_000,
        help="with a PCK certificate each; default: 1000000",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
