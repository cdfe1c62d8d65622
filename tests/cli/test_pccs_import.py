import contextlib
import hashlib
import sqlite3

import pytest

from tests.bulk import AT, LOW, MANIFEST, Pccs
from tests.cli.sim import configure
from tests.intel.policies import SGX, sign
from tests.platforms import FMSPC, NOW, platform_id
from thim.simulate.pki import Intel
from thim.store.policy_view import find_default_policies
from thim.store.replica import Replica


@pytest.fixture(scope="module")
def intel():
    """
    An Intel that issues certificates.
    """
    return Intel()


@pytest.fixture
def config(intel, tmp_path):
    """
    A configuration for that Intel, and a store.
    """
    return configure(tmp_path, intel, NOW)


@pytest.fixture
def pccs(intel, tmp_path):
    """
    The database of a PCCS in use.
    """
    database = Pccs(tmp_path / "pckcache.db")
    database.put_documents(intel)
    database.put_platform(intel, "one", LOW, AT)
    manifest = MANIFEST.hex()
    database.put_platform(intel, "two", AT, platform_manifest=manifest)
    return database


@pytest.fixture
def run(thim, config, pccs):
    """
    Run ``thim pccs import``.
    """
    return lambda *words: thim(
        "pccs", "import", pccs.path, *words, "--config", config
    )


def test_json(run):
    """
    The report counts by kind and names what was refused.
    """
    found = run("--json")
    kinds = found.json["by_kind"]

    assert (0, []) == (found.code, found.json["results"])
    assert {"new": 2, "known": 0, "refused": 0} == kinds["platform"]
    assert 4 == kinds["certificate"]["new"]
    assert 4 == kinds["tcb-info"]["new"]
    assert (3, False) == (
        found.json["pck_certificates"],
        found.json["dry_run"],
    )


def test_then(run, thim, config):
    """
    What was taken over is there for all other commands.
    """
    run()
    shown = thim(
        "platform", "show", str(platform_id("two")), "--config", config
    )

    assert "made for this very TCB" in shown.text
    assert "manifest" in shown.text


def test_refused(run, pccs, intel):
    """
    What does not hold is a line of its own; exit code 1.
    """
    pccs.put_platform(Intel(seed="other"), "three", AT)
    found = run()

    assert 1 == found.code
    where = f"platforms {platform_id('three')}"
    assert f"refused: pckcache.db: {where}: signature-invalid:" in found.text


def test_refused_certificates(run, pccs):
    """
    Certificates that do not hold are counted apart from their platform, which
    is taken.
    """
    pccs.put_platform(Intel(seed="other"), "three", AT)
    found = run("--json").json

    assert {"new": 3, "known": 0, "refused": 0} == found["by_kind"]["platform"]
    assert 1 == found["by_kind"]["pck-certificates"]["refused"]
    assert ["pck-certificates"] == [r["kind"] for r in found["results"]]


def test_policies(run, pccs, config):
    """
    Policies that hold are taken, and the one that was the default still is.
    """
    chosen, other = sign(SGX), sign(SGX, note="other")
    for policy in (chosen, other):
        pccs.put(
            "appraisal_policies",
            id=hashlib.sha384(policy.encode()).hexdigest(),
            policy=policy,
            is_default=int(policy is chosen),
            fmspc=FMSPC.hex().upper(),
        )
    found = run("--json")
    with contextlib.closing(Replica(config.with_name("thim.db"))) as replica:
        defaults = find_default_policies(replica, FMSPC)

    assert (0, []) == (found.code, found.json["results"])
    assert {"new": 2, "known": 0, "refused": 0} == found.json["by_kind"][
        "appraisal-policy"
    ]
    assert [chosen] == defaults


def test_dry_run(run, config):
    """
    A dry run says the same and keeps nothing, not even a key.
    """
    store = config.with_name("thim.db")
    before = hashlib.sha256(store.read_bytes()).digest()
    dry = run("--dry-run", "--json").json
    with contextlib.closing(sqlite3.connect(store)) as db:
        platforms = db.execute("SELECT count(*) FROM platforms").fetchone()

    assert before == hashlib.sha256(store.read_bytes()).digest()
    assert (0,) == platforms
    assert not config.with_name("thim.key").exists()
    wet = run("--json").json
    assert wet["by_kind"] == dry["by_kind"]
    assert [True, False] == [one["dry_run"] for one in (dry, wet)]


def test_foreign(thim, config, tmp_path):
    """
    Of another PKI the root is named, and what follows from it is counted.
    """
    stranger = Pccs(tmp_path / "stranger.db")
    stranger.put_documents(Intel(seed="other"))
    stranger.put_platform(Intel(seed="other"), "one", AT)
    words = ("pccs", "import", stranger.path, "--config", config)
    lines = thim(*words).text.splitlines()
    found = thim(*words, "--json").json
    refused = [line for line in lines if line.startswith("refused: ")]

    assert "root-untrusted" in refused[0]
    assert 2 == len(refused)
    assert "refused: 15 more have no chain to a trusted root: " in refused[1]
    assert 16 == len(found["results"])


def test_missing(run, pccs):
    """
    Tables and columns that are not there are named, for machines too.
    """
    with pccs.opened() as db:
        db.execute("DROP TABLE pck_cert")
    found = run("--json")

    assert "not in this database: pck_cert\n" in found.err
    assert ["pck_cert"] == found.json["missing"]


def test_dry_run_text(run):
    """
    For people a dry run says at its end that nothing was kept; a real one
    does not.
    """
    dry, real = run("--dry-run").text, run().text

    assert dry.endswith("\nThis was a dry run: nothing was kept.\n")
    assert "nothing was kept" not in real


def test_again(run):
    """
    A second run counts the certificates that are held, not new ones.
    """
    run()

    assert "\n3 PCK certificates held, new and old; " in run().text


def test_no_database(thim, config, tmp_path):
    """
    A file that is none is an error of one line.
    """
    (tmp_path / "dump.sql").write_text("-- MySQL dump\n" * 100)
    found = thim("pccs", "import", tmp_path / "dump.sql", "--config", config)

    where, why = found.err.splitlines()

    assert (2, b"") == (found.code, found.out)
    assert where.startswith("into ")
    assert "MySQL is not supported" in why
