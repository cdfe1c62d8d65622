"""
What is taken over from the database of a PCCS.
"""

import contextlib
import hashlib
import shutil
import sqlite3

from collections import Counter

import pytest

from cryptography.hazmat.primitives.serialization import Encoding

from tests.bulk import AT, ENC_PPID, LOW, MANIFEST, Pccs, quoted, spell
from tests.platforms import FMSPC, NOW, issue, platform_id
from thim.collateral.platforms import RegisteredBy, RegistrationState
from thim.errors import OperatorError
from thim.services.pccs_database import PccsDatabase
from thim.services.pccs_import import Takeover
from thim.services.platform_import import Result
from thim.services.register import manifest_context
from thim.simulate.pki import Intel
from thim.store.seal import Sealer


SEALER = Sealer(bytes(range(32)))


@pytest.fixture
def pccs(tmp_path):
    """
    The database of a PCCS that was just set up.
    """
    folder = tmp_path / "pccs"
    folder.mkdir()
    return Pccs(folder / "pckcache.db")


@pytest.fixture
def full(pccs, intel):
    """
    The database of a PCCS in use.
    """
    pccs.put_documents(intel)
    pccs.put_platform(intel, "one", LOW, AT)
    pccs.put_platform(intel, "two", AT, enc_ppid=ENC_PPID.hex())
    return pccs


def run(ledger, path):
    """
    Take a database over and return all results.
    """
    with PccsDatabase(path) as database:
        takeover = Takeover(
            database=database,
            name=path.name,
            ledger=ledger,
            now=NOW,
            actor="root",
            provide=lambda: SEALER,
        )
        return [result for batch in takeover.run() for result in batch]


def refused(results):
    """
    Return source and reason of what was refused.
    """
    return [(r.source, r.reason) for r in results if r.reason is not None]


def place(who, table="platforms"):
    """
    Return how the row of a platform is named.
    """
    return f"pckcache.db: {table} {platform_id(who)}"


def outcomes(results):
    """
    Count outcomes of platforms.
    """
    return Counter(r.outcome.value for r in results if isinstance(r, Result))


def digests(folder):
    """
    Return the files of a folder, and what is in them.
    """
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    }


class TestDocuments:
    def test_all(self, ledger, replica, full):
        """
        Documents of all kinds, update types and TEEs are taken, without the
        chains that PCCS has mixed up.
        """
        results = run(ledger, full.path)
        found = Counter(entry.key.kind.value for entry in replica.entries())

        assert [] == refused(results)
        assert {
            "tcb-info": 4,
            "identity": 3,
            "pck-crl": 2,
            "root-ca-crl": 1,
        } == found

    def test_foreign(self, ledger, replica, pccs):
        """
        Of another PKI nothing is taken; the rest is said by name.
        """
        stranger = Intel(seed="other")
        pccs.put_documents(stranger)
        pccs.put_platform(stranger, "one", AT)
        results = run(ledger, pccs.path)
        reasons = {reason for _, reason in refused(results)}

        assert [] == replica.entries()
        assert 15 + 1 == len(refused(results))
        assert {"root-untrusted", "no-issuer-chain"} == reasons
        assert (
            "pckcache.db: fmspc_tcbs 00606A000000/0/4/STANDARD",
            "no-issuer-chain",
        ) in refused(results)

    def test_altered(self, ledger, replica, full):
        """
        A document that was altered is refused and in quarantine; everything
        else is taken.
        """
        with full.opened() as db:
            db.execute(
                "UPDATE enclave_identities SET identity = "
                "replace(CAST(identity AS TEXT), 'QVE', 'QE') WHERE id = 2"
            )
        results = run(ledger, full.path)

        assert [
            (
                "pckcache.db: enclave_identities 2/4/STANDARD",
                "signature-invalid",
            )
        ] == refused(results)
        assert [("signature-invalid",)] == replica.rows(
            "SELECT reason FROM quarantine"
        )
        assert 9 == len(replica.entries())


class TestPlatforms:
    def test_taken(self, ledger, reader, full):
        """
        Platforms come with their certificates, raw TCBs and encrypted PPID.
        """
        results = run(ledger, full.path)
        found = reader.find_platform(platform_id("one"))

        assert {"new": 2} == outcomes(results)
        assert (FMSPC, (AT,), RegisteredBy.ENCRYPTED_PPID) == (
            found.fmspc,
            found.raw_tcbs,
            found.registered_by,
        )
        assert AT == reader.find_answer(found.id, AT).tcbm
        assert [LOW, AT] == [h.tcbm for h in reader.certificates(found)]

    def test_enc_ppid(self, ledger, replica, full):
        """
        An encrypted PPID is taken whether it is kept as bytes or as digits.
        """
        run(ledger, full.path)

        assert [(ENC_PPID,), (ENC_PPID,)] == replica.rows(
            "SELECT enc_ppid FROM platform_secrets"
        )

    @pytest.mark.parametrize("manifest", [MANIFEST, MANIFEST.hex()])
    def test_manifest(self, ledger, replica, pccs, intel, manifest):
        """
        So is a manifest, which is sealed.
        """
        pccs.put_documents(intel)
        pccs.put_platform(intel, "one", AT, platform_manifest=manifest)
        run(ledger, pccs.path)
        ((sealed,),) = replica.rows("SELECT manifest FROM platform_secrets")

        context = manifest_context(platform_id("one"))
        assert MANIFEST == SEALER.open(sealed, context)

    def test_again(self, ledger, replica, full):
        """
        A second time all of it is known.
        """
        run(ledger, full.path)
        results = run(ledger, full.path)

        assert {"known": 2} == outcomes(results)
        assert [] == refused(results)
        assert [(3,)] == replica.rows("SELECT count(*) FROM pck_certificates")

    def test_foreign_certificate(self, ledger, reader, full):
        """
        A certificate of another PKI is refused; what the vendor can be asked
        with for its platform is kept.
        """
        full.put_platform(Intel(seed="other"), "three", AT)
        results = run(ledger, full.path)
        found = reader.find_platform(platform_id("three"))

        assert {"new": 3} == outcomes(results)
        assert [(place("three"), "signature-invalid")] == refused(results)
        assert (True, False) == reader.has_secrets(found)
        assert ((AT,), None) == (found.raw_tcbs, found.fmspc)

    def test_quarantine(self, ledger, replica, full):
        """
        In quarantine it is found by table and platform.
        """
        full.put_platform(Intel(seed="other"), "three", AT)
        run(ledger, full.path)

        assert [(place("three"),)] == replica.rows(
            "SELECT source FROM quarantine"
        )

    def test_foreign_certificate_alone(self, ledger, reader, full):
        """
        A platform without anything to ask the vendor with is refused with it.
        """
        full.put_platform(Intel(seed="other"), "three", AT, enc_ppid=None)
        results = run(ledger, full.path)

        assert {"new": 2, "refused": 1} == outcomes(results)
        assert reader.find_platform(platform_id("three")) is None

    def test_foreign_certificate_again(self, ledger, full):
        """
        A second time it is refused again, and its platform is known.
        """
        full.put_platform(Intel(seed="other"), "three", AT)
        run(ledger, full.path)
        results = run(ledger, full.path)

        assert {"known": 3} == outcomes(results)
        assert [(place("three"), "signature-invalid")] == refused(results)

    @pytest.mark.parametrize("pem", [b"no PEM", None])
    def test_some_certificates(self, ledger, reader, full, intel, pem):
        """
        Of a platform's certificates those that hold are kept.
        """
        full.put_platform(intel, "three", AT)
        other = issue(Intel(seed="other"), "three", LOW)
        raw = pem or other.public_bytes(Encoding.PEM)
        full.put("pck_cert", **full.ids("three"), tcbm="00", pck_cert=raw)
        results = run(ledger, full.path)
        found = reader.find_platform(platform_id("three"))

        assert 1 == len(refused(results))
        assert [AT] == [held.tcbm for held in reader.certificates(found)]

    def test_two_machines(self, ledger, reader, full, intel):
        """
        Certificates of two machines under one QE ID are refused with the
        platform: its encrypted PPID may be either one's.
        """
        full.put_platform(intel, "three", AT)
        other = issue(intel, "three", LOW, ppid=bytes(16))
        pem = other.public_bytes(Encoding.PEM)
        full.put("pck_cert", **full.ids("three"), tcbm="00", pck_cert=pem)
        results = run(ledger, full.path)

        assert [(place("three"), "ppid-conflict")] == refused(results)
        assert reader.find_platform(platform_id("three")) is None

    def test_no_platform_row(self, ledger, reader, pccs, intel):
        """
        Certificates whose platform is not in the table are taken all the
        same.
        """
        pccs.put_documents(intel)
        pccs.put_certificates(intel, "one", AT)
        run(ledger, pccs.path)

        found = reader.find_platform(platform_id("one"))
        assert RegisteredBy.CERTIFICATES is found.registered_by

    def test_bad_raw_tcb(self, ledger, reader, full):
        """
        A raw TCB that makes no sense is refused, its platform is not.
        """
        ids = full.ids("one")
        full.put("platform_tcbs", **ids, cpu_svn="00", pce_svn="0b00")
        results = run(ledger, full.path)

        assert [(place("one", "platform_tcbs"), "raw-tcb")] == refused(results)
        assert (AT,) == reader.find_platform(platform_id("one")).raw_tcbs

    def test_bad_id(self, ledger, full, intel):
        """
        A platform whose QE ID is none is refused; PCCS takes any text.
        """
        full.put("platforms", qe_id="rack 7", pce_id="0000")
        results = run(ledger, full.path)

        assert [("pckcache.db: platforms rack 7:0000", "platform-id")] == (
            refused(results)
        )


class TestQueue:
    @pytest.fixture
    def queued(self, full):
        """
        A database with registrations in every state.
        """
        cpu_svn, pce_svn = spell(AT)
        for who, state in (("new", 0), ("absent", 1), ("deleted", 9)):
            full.put(
                "platforms_registered",
                **full.ids(who),
                cpu_svn=cpu_svn,
                pce_svn=pce_svn,
                enc_ppid=ENC_PPID.hex(),
                platform_manifest="",
                state=state,
            )
        return full

    def test_states(self, ledger, queued):
        """
        Registrations that wait are taken, each in its state; those that are
        done with are not.
        """
        run(ledger, queued.path)
        found = {r.platform: (r.state, r.raw_tcb) for r in all_of(ledger)}

        assert {
            platform_id("new"): (RegistrationState.NEW, AT),
            platform_id("absent"): (RegistrationState.NOT_AVAILABLE, AT),
        } == found

    def test_again(self, ledger, queued):
        """
        A second time they are known, and not shown to anybody again.
        """
        run(ledger, queued.path)
        ledger.registrations.take(RegistrationState.NEW, NOW, 99)
        run(ledger, queued.path)

        assert [] == ledger.registrations.take(RegistrationState.NEW, NOW, 99)

    def test_manifest(self, ledger, queued):
        """
        By manifest it is registered without a raw TCB.
        """
        queued.put(
            "platforms_registered",
            **queued.ids("several"),
            cpu_svn="",
            pce_svn="",
            platform_manifest=MANIFEST.hex(),
            state=0,
        )
        run(ledger, queued.path)

        found = ledger.registrations.find(platform_id("several"), None)
        assert RegistrationState.NEW is found.state

    def test_done(self, ledger, queued):
        """
        Who has a certificate by now is done.
        """
        cpu_svn, pce_svn = spell(AT)
        queued.put(
            "platforms_registered",
            **queued.ids("one"),
            cpu_svn=cpu_svn,
            pce_svn=pce_svn,
            state=0,
        )
        run(ledger, queued.path)

        found = ledger.registrations.find(platform_id("one"), AT)
        assert RegistrationState.DONE is found.state

    def test_refused(self, ledger, queued):
        """
        One that cannot be read is refused.
        """
        queued.put("platforms_registered", qe_id="x", pce_id="0000", state=0)
        results = run(ledger, queued.path)

        assert [
            ("pckcache.db: platforms_registered x:0000", "platform-id")
        ] == refused(results)


def all_of(ledger):
    """
    Return all registrations.
    """
    return ledger.registrations.all()


@pytest.mark.parametrize(
    ("policy", "fmspc", "reason"),
    [
        ("eyJhbGciOiJub25lIn0.e30.", "00606A000000", "unsigned"),
        ("not a token", "00606A000000", "policy"),
        ("not a token", "x", "fmspc"),
    ],
)
def test_policy(ledger, replica, full, policy, fmspc, reason):
    """
    A policy that nobody signed, or that is none, is refused.
    """
    full.put(
        "appraisal_policies", id="ab", policy=policy, is_default=1, fmspc=fmspc
    )
    results = run(ledger, full.path)

    assert [("pckcache.db: appraisal_policies ab", reason)] == refused(results)
    assert [(reason,)] == replica.rows("SELECT reason FROM quarantine")


def test_event(ledger, replica, full):
    """
    Who took it over is written down.
    """
    run(ledger, full.path)

    assert [("root", "pccs-import", "pckcache.db")] == replica.rows(
        "SELECT actor, action, detail FROM events WHERE action = 'pccs-import'"
    )


class TestFile:
    def test_unchanged(self, ledger, full):
        """
        The database is not changed, and nothing is left beside it.
        """
        before = digests(full.path.parent)
        run(ledger, full.path)

        assert before == digests(full.path.parent)

    def test_wal(self, ledger, reader, full, intel):
        """
        What is only in the log of a PCCS that runs is read, and nothing of
        it is changed.
        """
        with contextlib.closing(sqlite3.connect(full.path)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("SELECT count(*) FROM platforms").fetchone()
            full.put_platform(intel, "three", AT)
            before = digests(full.path.parent)
            run(ledger, full.path)
            after = digests(full.path.parent)

        assert reader.find_platform(platform_id("three")) is not None
        assert before.keys() == after.keys()
        # The index of the log is shared memory: readers mark their places.
        assert {n: d for n, d in before.items() if "-shm" not in n} == {
            n: d for n, d in after.items() if "-shm" not in n
        }

    def test_wal_left_behind(self, ledger, reader, full, intel, tmp_path):
        """
        So is what is in a log that was left behind, without any new file
        beside it.
        """
        folder = tmp_path / "copy"
        folder.mkdir()
        with contextlib.closing(sqlite3.connect(full.path)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("SELECT count(*) FROM platforms").fetchone()
            full.put_platform(intel, "three", AT)
            for name in ("pckcache.db", "pckcache.db-wal"):
                shutil.copyfile(full.path.parent / name, folder / name)
        before = digests(folder)
        run(ledger, folder / "pckcache.db")

        assert reader.find_platform(platform_id("three")) is not None
        assert before == digests(folder)

    def test_wal_closed(self, ledger, full):
        """
        A database in WAL mode that nobody has open gets no files beside it.
        """
        with contextlib.closing(sqlite3.connect(full.path)) as db:
            db.execute("PRAGMA journal_mode = WAL")
        before = digests(full.path.parent)
        results = run(ledger, full.path)

        assert ["pckcache.db"] == list(before)
        assert before == digests(full.path.parent)
        assert {"new": 2} == outcomes(results)

    def test_odd_name(self, ledger, full):
        """
        A file may be called anything.
        """
        odd = full.path.with_name("50%?mode=rw#x.db")
        full.path.rename(odd)

        assert {"new": 2} == outcomes(run(ledger, odd))

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "has the tables none"),
            (b"-- MySQL dump 10.13\n" * 100, "MySQL is not supported"),
            (None, "no such file"),
        ],
    )
    def test_none(self, tmp_path, content, why):
        """
        What is no database of a PCCS is an error that says what it is.
        """
        path = tmp_path / "pckcache.db"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(OperatorError, match=why) as caught:
            PccsDatabase(path)

        assert "pccs-database" == caught.value.reason

    def test_other_database(self, ledger, tmp_path):
        """
        A database of somebody else's is named by its tables.
        """
        with pytest.raises(OperatorError, match="has the tables added_anchors"):
            PccsDatabase(tmp_path / "thim.db")

    def test_damaged(self, ledger, full, intel):
        """
        Of a damaged database what can be read is taken, and the rest named.
        """
        for n in range(300):
            full.put_platform(intel, f"more {n}", enc_ppid=ENC_PPID)
        size = full.path.stat().st_size
        with full.path.open("r+b") as opened:
            opened.seek(size - size // 10)
            opened.write(b"\xff" * (size // 10))
        results = run(ledger, full.path)

        assert "damaged" in {reason for _, reason in refused(results)}
        assert outcomes(results)["new"] > 0


class TestVersions:
    def test_fewer_columns(self, ledger, reader, tmp_path, intel):
        """
        A version without some of the tables and columns is read as far as
        it goes.
        """
        old = Pccs(
            tmp_path / "old.db",
            """
            CREATE TABLE pcs_certificates (ID INTEGER PRIMARY KEY, Cert BLOB);
            CREATE TABLE platforms (QE_ID TEXT, PCE_ID TEXT);
            CREATE TABLE pck_cert (qe_id TEXT, pce_id TEXT, pck_cert TEXT);
            CREATE TABLE fmspc_tcbs (fmspc TEXT, tcbinfo TEXT);
            """,
        )
        for certificate in intel.certificates:
            pem = quoted([certificate])
            old.put("pcs_certificates", cert=pem)
        old.put("fmspc_tcbs", fmspc="x", tcbinfo=intel.tcb_info().decode())
        old.put("platforms", **old.ids("one"))
        pem = quoted([issue(intel, "one", AT)])
        old.put("pck_cert", **old.ids("one"), pck_cert=pem)
        results = run(ledger, old.path)

        assert [] == refused(results)
        assert FMSPC == reader.find_platform(platform_id("one")).fmspc

    def test_missing(self, full):
        """
        What is not there is named: whole tables, and columns of the others.
        """
        with PccsDatabase(full.path) as database:
            before = database.missing()
        with full.opened() as db:
            db.execute("ALTER TABLE platforms DROP COLUMN enc_ppid")
            db.execute("DROP TABLE pck_cert")
            db.execute("DROP TABLE fmspc_tcbs")
        with PccsDatabase(full.path) as database:
            after = database.missing()

        assert [] == before
        assert ["fmspc_tcbs", "pck_cert", "platforms.enc_ppid"] == after

    def test_more_columns(self, ledger, full):
        """
        Columns that a later version may have do no harm.
        """
        with full.opened() as db:
            db.execute("ALTER TABLE platforms ADD COLUMN later TEXT")

        assert {"new": 2} == outcomes(run(ledger, full.path))
