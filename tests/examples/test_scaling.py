"""
The example in ``examples/scaling.py``, which docs/scaling.md shows.
"""

import importlib.util
import subprocess
import sys

from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "scaling.py"


@pytest.fixture(scope="module")
def example():
    """
    The example as a module.
    """
    spec = importlib.util.spec_from_file_location("scaling", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look for what annotations mean.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def run(*arguments):
    """
    Run the example as its readers do.
    """
    return subprocess.run(
        [sys.executable, FILE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class TestScaling:
    """What a fleet takes, worked out."""

    def test_the_page_shows_what_it_prints(self):
        """The table in docs/scaling.md is the one that the example prints."""
        printed = run().stdout
        assert "VCEKs" in printed
        assert printed in (ROOT / "docs" / "scaling.md").read_text()

    def test_one_vcek_in_ten_and_a_half_seconds(self, example):
        """Ten million VCEKs take one ledger more than three years."""
        fleet = example.Fleet(amd_share=1, regions=1)
        hours = example.plan(fleet).amd_hours
        assert pytest.approx(10_000_000 * 10.5 / 3600) == hours

    def test_regions_ask_beside_each_other(self, example):
        """A hundred regions are done in a hundredth of the time."""
        one = example.plan(example.Fleet(regions=1))
        many = example.plan(example.Fleet(regions=100))
        assert pytest.approx(one.amd_hours / 100) == many.amd_hours
        assert pytest.approx(one.intel_hours / 100) == many.intel_hours

    def test_the_ledger_is_the_limit(self, example):
        """A faster budget than the ledger takes down helps nobody."""
        quick = example.plan(example.Fleet(intel_interval=0.05))
        quicker = example.plan(example.Fleet(intel_interval=0.01))
        assert quick.intel_waits_for == "the ledger"
        assert quick.intel_hours == quicker.intel_hours

    def test_a_node_may_die(self, example):
        """Where load asks for nodes there is one more."""
        fleet = example.Fleet(tokens=24 * 60)
        region = example.plan(fleet)
        rest = (region.nodes - 1) * fleet.cores * fleet.busy
        assert region.nodes > fleet.nodes
        assert region.cores <= rest

    def test_a_small_fleet_has_the_fewest_nodes(self, example):
        """Where nearly nothing is asked the nodes are as many as are wanted."""
        assert example.plan(example.Fleet(platforms=100)).nodes == 3

    @pytest.mark.parametrize(
        ("option", "value", "expected"),
        [
            ("--regions", "0", "1 or more"),
            ("--platforms", "nan", "1 or more"),
            ("--amd-interval", "inf", "0.001 or more"),
            ("--tokens", "-1", "0 or more"),
            ("--amd-share", "2", "0 to 1"),
        ],
    )
    def test_what_makes_no_sense(self, option, value, expected):
        """A value that makes no sense is named, with what is expected."""
        done = run(option, value)
        assert done.returncode == 2
        assert f"{option}: got {value}, expected {expected}" in done.stderr
