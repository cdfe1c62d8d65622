"""
Stores as earlier releases have left them, one for each revision.

Nothing of those releases is at hand but their schemas: the migrations.  So a
store of today's is filled step by step, with what each revision brought; an
empty store of the old revision then takes over the rows that it has columns
for.
"""

import contextlib
import shutil
import sqlite3

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.http.conftest import FMSPC, full_set, unnumbered
from tests.made_amd import AMD, vcek
from tests.made_amd import fill as fill_amd
from tests.new_store import new_store
from tests.platforms import NOW, entry, platform_id, tcbm
from tests.services.made import INTEL
from tests.tenants import Decisions
from thim.attestation.policy_jws import write_unsigned
from thim.baseline.rollout import Body
from thim.intel.names import Update
from thim.services.ingest import Outcome, ingest
from thim.services.signing_keys import SigningPlace, make_signing_key
from thim.services.tokens import Role, make_token
from thim.store.engine import open_engine
from thim.store.ledger import Ledger
from thim.store.migrate import run_migrations
from thim.x509.chain import TrustAnchors, to_pem


ANCHORS = TrustAnchors(
    spki_sha256=INTEL.anchors.spki_sha256 | AMD.anchors.spki_sha256
)
AT, LOW = tcbm(4, 4), tcbm(1, 1)
#: A TCB info that all of them serve.
DOCUMENT = f"/sgx/certification/v4/tcb?fmspc={FMSPC}&tcbEvaluationDataNumber=19"
#: Tables of the machinery, and one whose rows are not its releases' alone.
_NOT_TAKEN = ("alembic_version", "settings")


def _add_documents(ledger: Ledger, _folder: Path) -> None:
    bodies = [
        *full_set(INTEL, 19),
        *full_set(INTEL, 20),
        *unnumbered(INTEL),
    ]
    files = [("ca.pem", to_pem(INTEL.certificates))]
    files += [(f"{i}", body) for i, body in enumerate(bodies)]
    results = list(ingest(files, ledger=ledger, now=NOW))
    assert {Outcome.ACCEPTED} == {each.outcome for each in results}
    for update, number in ((Update.STANDARD, 19), (Update.EARLY, 20)):
        ledger.observe_channel(update, number, source="test", seen=NOW)
    ledger.quarantine(
        b"junk", source="test", reason="malformed", detail="junk", now=NOW
    )


def _add_notes(ledger: Ledger, _folder: Path) -> None:
    ledger.count("refused", "malformed", NOW)
    ledger.events.add("trust-add", "a root", actor="ann", now=NOW)
    ledger.agenda.report_answer("https://vendor.example", NOW, 0.5)
    ledger.agenda.write_hints(
        {FMSPC: "client"}, source="https://vendor.example", now=NOW
    )


def _add_platforms(ledger: Ledger, folder: Path) -> None:
    one = entry(INTEL, "one", LOW, AT, raw=(LOW, AT))
    ledger.platforms.enter([one, entry(INTEL, "two", AT, raw=(AT,))], NOW)
    ledger.strangers.note({platform_id("three"): 3}, NOW)
    _, token = make_token("ci", Role.OPERATOR, actor="ann", now=NOW)
    ledger.tokens.add(token)


def _add_names(ledger: Ledger, _folder: Path) -> None:
    ledger.platforms.note_seen({1: NOW}, {1: tcbm(2, 2)})


def _add_amd(ledger: Ledger, _folder: Path) -> None:
    fill_amd(ledger, vcek())


def _add_baselines(ledger: Ledger, _folder: Path) -> None:
    decisions = Decisions().baseline("prod", "number: 19")
    decisions.tenant("acme", "prod").write(ledger.path, ANCHORS)
    plan = Body(what="baseline prod", steps=(), seen=())
    ledger.plans.add(plan, author="ann", reason="wanted", now=NOW)
    ledger.notices.add("evaluation-number", "20", "{}", NOW, ("ops",))


def _add_attestation(ledger: Ledger, folder: Path) -> None:
    place = SigningPlace(
        store=ledger.path,
        anchors=ANCHORS,
        key_file=folder / "thim.key",
        tsm_root=folder / "none",
    )
    make_signing_key(
        place, lambda _: True, active_from=NOW, actor="ann", now=NOW
    )
    jws = write_unsigned("version=1.0;authorizationrules{=> permit();};")
    ledger.attestation_policies.put(
        "acme", "SgxEnclave", jws, actor="ann", at=NOW
    )


#: What each revision brought; from each it is all up to there.
_BROUGHT: dict[str, Callable[[Ledger, Path], None]] = {
    "0001": _add_documents,
    "0002": _add_notes,
    "0003": _add_platforms,
    "0004": _add_names,
    "0005": _add_amd,
    "0006": _add_baselines,
    "0007": _add_attestation,
}
REVISIONS = tuple(_BROUGHT)


def fill_all(root: Path) -> dict[str, Path]:
    """
    Make a folder in *root* for each revision: with the store of today's
    release that holds what it had, and the key.
    """
    store = root / "thim.db"
    new_store(store, ANCHORS)
    folders = {}
    for revision, add in _BROUGHT.items():
        with Ledger(store, ANCHORS) as ledger:
            add(ledger, root)
            ledger.checkpoint()
        folders[revision] = root / revision
        folders[revision].mkdir()
        for file in root.iterdir():
            if file.is_file():
                shutil.copy(file, folders[revision])
    return folders


def make_past_store(full: Path, folder: Path, revision: str) -> Path:
    """
    Make the store of an earlier release in *folder*, and its key, from the
    folder *full* of today's that holds the same.
    """
    store = folder / "thim.db"
    engine = open_engine(store)
    with engine.begin() as connection:
        run_migrations(connection, revision)
    engine.dispose()
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute("ATTACH ? AS full", (str(full / "thim.db"),))
        db.execute("PRAGMA foreign_keys = OFF")
        for table, columns in read_columns(db):
            names = ", ".join(columns)
            db.execute(
                f"INSERT INTO main.{table} ({names}) "  # noqa: S608
                f"SELECT {names} FROM full.{table}"
            )
        db.execute(
            "INSERT INTO settings SELECT name, value FROM full.settings "
            "WHERE name IN ('anchors', 'key_id')"
        )
    if (full / "thim.key").exists():
        shutil.copy(full / "thim.key", folder)
    return store


def read_columns(db: sqlite3.Connection) -> Iterator[tuple[str, list[str]]]:
    """
    List the tables of a store, and their columns.
    """
    tables = db.execute(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' ORDER BY name"
    ).fetchall()
    for (table,) in tables:
        if table not in _NOT_TAKEN:
            rows = db.execute(f"PRAGMA main.table_info({table})").fetchall()
            yield table, [row[1] for row in rows]
