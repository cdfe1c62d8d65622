"""
What all tests share: the corpus, and how strict a run is.

Where ``CI`` is set, nothing may be skipped, and hypothesis tries the same
examples each time.
"""

import gc
import os

from pathlib import Path

import pytest

from hypothesis import settings

from tests.new_store import hang_up


IN_CI = bool(os.environ.get("CI"))
PROJECT = Path(__file__).parents[1]
MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own there
ROOM = 2 << 30

settings.register_profile("local", deadline=None)
settings.register_profile(
    "strict", deadline=None, derandomize=True, database=None, print_blob=True
)
settings.load_profile("strict" if IN_CI else "local")


def corpus_root() -> Path:
    """
    Where the vendors' real documents should be: they are no part of thim.
    """
    named = os.environ.get("THIM_CORPUS")
    return Path(named) if named else PROJECT.parent / "shared" / "corpus"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """
    The folder of the vendors' real documents; without it the test is skipped.
    """
    root = corpus_root()
    if not (root / "manifest.json").is_file():
        pytest.skip(f"no corpus at {root}: set THIM_CORPUS to its folder")
    return root


def has_room(folder: Path) -> bool:
    """
    Tell whether what all tests write has room in *folder*, from which some of
    them start programs.
    """
    if not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    is_large = found.f_bavail * found.f_frsize >= ROOM
    return is_large and not found.f_flag & os.ST_NOEXEC


def pytest_configure() -> None:
    """
    Have temporary folders in memory, where there is room: several thousand
    stores are written, each commit of which waits for a disk otherwise.
    """
    if has_room(MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """
    Turn a skip into a failure that keeps its reason, in CI.
    """
    if not (IN_CI and report.skipped) or hasattr(report, "wasxfail"):
        return

    match report.longrepr:
        case (_, _, str(reason)):
            why = reason
        case other:
            why = str(other)
    report.outcome = "failed"
    report.longrepr = f"In CI nothing may be skipped. {why}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    """
    Judge the report of each test, after all other plugins have.
    """
    report = yield
    forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report():
    """
    The same for modules that skip themselves while being collected.
    """
    report = yield
    forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection():
    """
    While tests are collected almost nothing becomes garbage, and each search
    for it goes through everything that has been collected so far.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """
    What has been collected stays to the end: no search for garbage has to go
    through it again, nor need there be one for each few hundred objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _hung_up():
    """
    No test leaves connections to a PostgreSQL behind.
    """
    yield
    hang_up()
