"""
Break the sources one line at a time, and see whether a test notices.

``python -m tests.mutants.run [NAME...]`` takes each list ``<package>-<module>
.txt`` beside this file; a package within another is ``a.b`` there.  A line is
one mutant, ``text => other text``, and replaces the first occurrence in
``src/thim/<package>/<module>.py``, in a copy; ``tests/<package>/
test_<module>.py``, with what was split off from it (``test_<module>_*.py``),
must be green without and red with it.
"""

import concurrent.futures
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile

from collections.abc import Iterator
from pathlib import Path


HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
ARROW = " => "
WORKERS = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Mutant:
    """
    One change to one module; none where *old* is empty.
    """

    package: str
    module: str
    old: str = ""
    new: str = ""

    def __str__(self) -> str:
        return f"{self.package}/{self.module}: {self.old}{ARROW}{self.new}"


class BadListError(Exception):
    """
    A list of mutants that cannot be applied.
    """


def read_list(path: Path) -> Iterator[Mutant]:
    """
    Read the mutants in the list *path*.
    """
    package, module = path.stem.split("-", 1)
    package = package.replace(".", "/")
    yield Mutant(package, module.replace("-", "_"))
    for line in path.read_text().splitlines():
        old, arrow, new = line.partition(ARROW)
        if not (arrow and old):
            msg = f"{path.name}: {line!r} has no {ARROW!r}"
            raise BadListError(msg)
        yield Mutant(package, module.replace("-", "_"), old, new)


def is_noticed(mutant: Mutant) -> bool:
    """
    Run the module's tests on a copy with *mutant*, and tell whether one fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "thim"
        shutil.copytree(PROJECT / "src" / "thim", copy)
        path = copy / mutant.package / f"{mutant.module}.py"
        source = path.read_text()
        if mutant.old not in source:
            msg = f"{mutant} does not occur in the source"
            raise BadListError(msg)
        path.write_text(source.replace(mutant.old, mutant.new, 1))
        tests = list(find_tests(mutant.package, mutant.module))
        return run_tests(tests, Path(folder)) != 0


def find_tests(package: str, module: str) -> Iterator[str]:
    """
    Find the tests of a module: its own file, and those that were split off.
    """
    yield f"tests/{package}/test_{module}.py"
    for path in sorted((HERE.parent / package).glob(f"test_{module}_*.py")):
        name = path.stem.removeprefix("test_")
        source = PROJECT / "src" / "thim" / package / f"{name}.py"
        if not source.is_file():
            yield f"tests/{package}/{path.name}"


def run_tests(tests: list[str], sources: Path) -> int:
    """
    Run the files *tests* against *sources* and return pytest's exit code: 0,
    or 1 where a test fails, or 2 where not even its module can be imported.
    """
    environment = {
        **os.environ,
        "CI": "1",
        "PYTHONPATH": str(sources),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-xqq",
            "-p",
            "no:cacheprovider",
            *tests,
        ],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 1, 2}:
        msg = f"pytest could not run {tests}:\n{done.stdout}{done.stderr}"
        raise BadListError(msg)
    return done.returncode


def main(names: list[str]) -> int:
    """
    Run the lists called *names*, or all, and return how much is wrong.
    """
    lists = [HERE / f"{name}.txt" for name in names] or sorted(
        HERE.glob("*.txt")
    )
    mutants = [mutant for path in lists for mutant in read_list(path)]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        noticed = list(pool.map(is_noticed, mutants))

    wrong = [
        f"survived: {mutant}" if mutant.old else f"red without: {mutant}"
        for mutant, is_red in zip(mutants, noticed, strict=True)
        if is_red != bool(mutant.old)
    ]
    total = len(mutants) - len(lists)
    report = [*wrong, f"{total} mutants, {len(wrong)} findings", ""]
    sys.stdout.write("\n".join(report))
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
