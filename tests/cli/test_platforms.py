import contextlib
import json
import os
import pty
import pwd
import shutil
import sqlite3
import subprocess
import sys

from datetime import timedelta

import pytest

from tests.bulk import (
    AT,
    ENC_PPID,
    LOW,
    MANIFEST,
    collaterals,
    csv_line,
    registered,
    with_certificates,
)
from tests.cli.sim import configure
from tests.platforms import FMSPC, NOW, issue, platform_id
from thim.cli.actor import os_user
from thim.collateral.platforms import RegistrationState
from thim.collateral.targets import pck_target
from thim.simulate.pki import Intel
from thim.store.agenda import Settlement
from thim.store.instants import to_stored
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.store.watch import Watch


ONE, TWO = platform_id("one"), platform_id("two")
ID = str(ONE)


@pytest.fixture(scope="module")
def intel():
    """
    An Intel that issues certificates.
    """
    return Intel()


@pytest.fixture
def folder(tmp_path):
    """
    A folder for files.
    """
    path = tmp_path / "files"
    path.mkdir()
    return path


@pytest.fixture
def config(intel, tmp_path):
    """
    A configuration for that Intel, and a store.
    """
    return configure(tmp_path, intel, NOW)


@pytest.fixture
def platform(thim, config):
    """
    Run ``thim platform``.
    """
    return lambda *words: thim("platform", *words, "--config", config)


@pytest.fixture
def filled(platform, folder, intel):
    """
    Platforms that were imported: one with certificates, one without.
    """
    upload = collaterals(
        intel,
        [registered("one"), registered("two")],
        [with_certificates(intel, "one", LOW, AT)],
    )
    (folder / "upload.json").write_text(json.dumps(upload))
    run = platform("import", folder)
    assert 0 == run.code
    (folder / "upload.json").unlink()
    return platform


def events(config):
    """
    Return what was decided, and by whom.
    """
    store = config.with_name("thim.db")
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT actor, action, detail FROM events").fetchall()


def settle(intel, config, *, answered=False, **why):
    """
    Have asked the vendor for the certificates of a platform.
    """
    target, hour = pck_target(TWO), timedelta(hours=1)
    settlement = Settlement(due=NOW + hour, answered=answered, **why)
    with Ledger(config.with_name("thim.db"), intel.anchors) as ledger:
        ledger.agenda.plan(target, NOW, NOW)
        ledger.agenda.claim(target, "us", now=NOW, until=NOW + hour)
        ledger.agenda.settle(target, "us", settlement, now=NOW)


class TestImport:
    def test_asked_for(self, platform, folder, config, intel):
        """
        Who comes without certificates is due to be asked for, and listed as
        registered; who comes with them is asked for in a month.
        """
        upload = collaterals(
            intel,
            [registered("one"), registered("two")],
            [with_certificates(intel, "one", LOW, AT)],
        )
        (folder / "b.json").write_text(json.dumps(upload))
        assert 0 == platform("import", folder).code
        (folder / "c.csv").write_text(f"{csv_line('three')}\n")
        assert 0 == platform("import", folder).code
        with Ledger(config.with_name("thim.db"), intel.anchors) as ledger:
            listed = ledger.registrations.take(RegistrationState.NEW, NOW, 99)
        with contextlib.closing(
            Replica(config.with_name("thim.db"))
        ) as replica:
            due = Watch(replica).due(NOW, 99)
            later = Watch(replica).due(NOW + timedelta(days=31), 99)

        without = [platform_id("two"), platform_id("three")]
        assert set(without) == {one.platform for one in listed}
        assert {os_user()} == {one.actor for one in listed}
        assert {pck_target(one) for one in without} == set(due)
        assert {pck_target(ONE)} == set(later) - set(due)

    def test_other_files(self, platform, folder):
        """
        In a folder only tables and JSON are read; a file that is named is read
        whatever its name.
        """
        (folder / "a.CSV").write_text(f"{csv_line('one')}\n")
        named = folder / "b.txt"
        named.write_text(f"{csv_line('two')}\n")
        (folder / "c.pem").write_bytes(b"\0" * 9)

        assert 1 == platform("import", folder, "--json").json["files"]
        run = platform("import", folder, named, "--json")
        assert {"new": 1, "known": 1, "refused": 0} == (
            run.json["by_kind"]["platform"]
        )

    def test_json(self, platform, folder, intel):
        """
        The report counts by kind, and lists what was refused by file and
        line.
        """
        csv = folder / "a.csv"
        csv.write_text(f"{csv_line('one')}\nx\n{csv_line('two')}\n")
        upload = collaterals(
            intel,
            [registered("one")],
            [with_certificates(intel, "one", LOW, AT)],
        )
        (folder / "b.json").write_text(json.dumps(upload, indent=2))
        run = platform("import", folder, "--json")

        assert 1 == run.code
        assert {"new": 2, "known": 2, "refused": 1} == (
            run.json["by_kind"]["platform"]
        )
        assert {"new": 1, "known": 0, "refused": 0} == (
            run.json["by_kind"]["tcb-info"]
        )
        assert (2, 2) == (run.json["files"], run.json["pck_certificates"])
        assert [
            {
                "source": str(csv),
                "line": 2,
                "kind": "platform",
                "platform": None,
                "outcome": "refused",
                "reason": "fields",
                "detail": "1 fields, expected 5, or 6 with a manifest",
            }
        ] == run.json["results"]

    def test_text(self, platform, folder):
        """
        For people each refusal is a line, and counts are a table.
        """
        (folder / "a.csv").write_text(f"{csv_line('one')}\nx\n")
        run = platform("import", folder)
        lines = [line.split() for line in run.text.splitlines()]

        assert f"refused: {folder}/a.csv:2: fields:" in run.text
        assert ["platform", "1", "0", "1"] in lines
        assert ["total", "1", "0", "1"] in lines

    def test_again(self, platform, folder):
        """
        A second import knows all of it.
        """
        (folder / "a.csv").write_text(csv_line("one"))
        reports = [platform("import", folder, "--json").json for _ in "12"]

        assert [(1, 0), (0, 1)] == [
            (report["accepted"], report["already_known"]) for report in reports
        ]

    def test_no_secret(self, platform, folder):
        """
        Nothing that is written repeats a secret.
        """
        bad = f"{csv_line('one')},{MANIFEST.hex()}x"
        (folder / "a.csv").write_text(bad)
        for options in ((), ("--json",)):
            run = platform("import", folder, *options)

            assert "manifest" in run.text
            assert ENC_PPID.hex()[:20] not in run.text
            assert MANIFEST.hex()[:20] not in run.text

    def test_manifest(self, platform, folder, config):
        """
        A manifest is sealed with the key that is made for it.
        """
        (folder / "a.csv").write_text(f"{csv_line('one')},{MANIFEST.hex()}")
        run = platform("import", folder)

        assert 0 == run.code
        assert 32 == config.with_name("thim.key").stat().st_size

    def test_odd_files(self, platform, folder):
        """
        What cannot be read is refused by name and stops nothing.
        """
        os.mkfifo(folder / "fifo.csv")
        (folder / "dangling.json").symlink_to(folder / "nowhere")
        (folder / "empty.csv").touch()
        (folder / "zz.csv").write_text(csv_line("one"))
        run = platform("import", folder, "--json")

        assert {"fifo.csv": "unreadable", "dangling.json": "unreadable"} == {
            os.path.basename(r["source"]): r["reason"]  # noqa: PTH119
            for r in run.json["results"]
        }
        assert 1 == run.json["accepted"]

    def test_missing(self, platform, folder):
        """
        A path that is not there is one line, before anything is read.
        """
        run = platform("import", folder / "x")

        assert (2, b"") == (run.code, run.out)
        assert "No such file" in run.err

    def test_event(self, platform, folder, config):
        """
        Who imported how much is written down.
        """
        (folder / "a.csv").write_text(csv_line("one"))
        platform("import", folder)
        user = pwd.getpwuid(os.getuid()).pw_name
        ((actor, action, detail),) = events(config)

        assert actor.startswith(user)
        assert "platform-import" == action
        assert "1 files: 1 new, 0 already known, 0 refused" == detail

    def test_progress(self, folder, config):
        """
        On a terminal it is shown how far it is.
        """
        (folder / "a.csv").write_text(csv_line("one"))
        terminal, end = pty.openpty()
        words = ["platform", "import", str(folder), "--config", str(config)]
        subprocess.run(
            [sys.executable, "-m", "thim", *words],
            stdout=subprocess.PIPE,
            stderr=end,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
            check=True,
        )
        os.close(end)
        shown = os.read(terminal, 65536).decode()
        os.close(terminal)

        assert "Platforms" in shown
        assert "platforms/s" in shown


class TestList:
    def test_table(self, filled):
        """
        The name comes first; without one the ID does.
        """
        filled("name", ID, "rack 7")
        lines = filled("list").text.splitlines()

        assert lines[1].startswith(f"rack 7 ({ID})")
        assert lines[2].startswith(str(TWO))
        assert "00606A000000" in lines[1]

    def test_asked_by(self, filled, folder, intel):
        """
        It says what the vendor is asked by, where it can be asked.
        """
        brought = with_certificates(intel, "three", AT)
        text = {"collaterals": {"pck_certs": [brought]}}
        (folder / "a.json").write_text(json.dumps(text))
        filled("import", folder)
        lines = filled("list").text.splitlines()
        (one,) = [line for line in lines if line.startswith(ID)]
        (three,) = [
            line for line in lines if line.startswith(str(platform_id("three")))
        ]

        assert "vendor asked by" in lines[0]
        assert "encrypted PPID" in one
        assert ["platform", "-", "never"] == three.split()[2:5]

    def test_labels(self, filled):
        """
        Labels are listed.
        """
        filled("label", ID, "zone=a", "rack=7")
        lines = filled("list").text.splitlines()

        assert lines[0].endswith("labels")
        assert lines[1].endswith("rack=7, zone=a")

    def test_json(self, filled):
        """
        Machines get it in full.
        """
        filled("label", ID, "zone=a")
        one, two = filled("list", "--json").json

        assert (
            ONE.qe_id.hex().upper(),
            "0000",
            "00606A000000",
            "platform",
        ) == (
            one["qe_id"],
            one["pce_id"],
            one["fmspc"],
            one["ca"],
        )
        assert ({"zone": "a"}, None) == (one["labels"], two["fmspc"])

    @pytest.mark.parametrize(
        ("options", "count"),
        [
            (("--fmspc", FMSPC.hex()), 1),
            (("--fmspc", "000000000000"), 0),
            (("--label", "zone=a"), 1),
            (("--label", "zone=a", "--label", "rack=7"), 0),
            (("--unseen-since", "1d"), 0),
            (("--unseen-since", "2030-01-01"), 2),
            (("--retired",), 0),
        ],
    )
    def test_filters(self, filled, options, count):
        """
        Filters leave out what is not wanted.
        """
        filled("label", ID, "zone=a")

        assert count == len(filled("list", "--json", *options).json)

    @pytest.mark.parametrize(
        "options",
        [
            ("--fmspc", "x"),
            ("--label", "x"),
            ("--unseen-since", "yesterday"),
        ],
    )
    def test_bad_filter(self, filled, options):
        """
        A filter that makes no sense is an error of one line.
        """
        run = filled("list", *options)

        assert (2, 1) == (run.code, run.err.count("\n"))


class TestShow:
    def test_text(self, filled):
        """
        It shows certificates, and which answers which raw TCB, and why.
        """
        filled("name", ID, "rack 7")
        text = filled("show", "rack 7").text

        assert text.startswith(f"rack 7 ({ID})\n")
        assert "2 PCK certificates" in text
        assert f"CPUSVN {AT.cpusvn.hex().upper()}, PCESVN 11: valid" in text
        assert "made for this very TCB" in text
        assert "encrypted PPID" in text

    @pytest.mark.parametrize("word", [ID, ID.lower(), ID[:32]])
    def test_by_id(self, filled, word):
        """
        A platform is named by its QE ID too, in either case.
        """
        assert filled("show", word).text.startswith(ID)

    def test_json(self, filled):
        """
        Machines get the same.
        """
        found = filled("show", ID, "--json").json
        low, high = (at.to_bytes().hex().upper() for at in (LOW, AT))

        assert [low, high] == [c["tcbm"] for c in found["certificates"]]
        assert ["valid"] * 2 == [c["state"] for c in found["certificates"]]
        assert [
            {"raw_tcb": high, "tcbm": high, "why": "made for this very TCB"}
        ] == found["raw_tcbs"]
        assert (True, False) == (
            found["has_encrypted_ppid"],
            found["has_manifest"],
        )

    def test_registered(self, filled):
        """
        When it was registered, and what the vendor is asked by, are two lines.
        """
        lines = filled("show", ID).text.splitlines()

        assert "  registered     2026-09-01T12:00:00Z" in lines
        assert "  asked by       encrypted PPID" in lines

    def test_without_certificates(self, filled):
        """
        Of one without certificates it says so.
        """
        text = filled("show", str(TWO)).text

        assert "no certificate is known yet" in text

    def test_never_asked(self, filled):
        """
        ... and that no vendor was asked for them.
        """
        assert "vendor asked   never" in filled("show", str(TWO)).text
        assert filled("show", str(TWO), "--json").json["asked"] is None

    def test_failed(self, filled, intel, config):
        """
        Where asking the vendor failed, it says when, why, and when it is done
        again.
        """
        settle(intel, config, reason="key-refused", detail="status 401")
        text = filled("show", str(TWO)).text
        asked = filled("show", str(TWO), "--json").json["asked"]

        assert (
            "vendor asked   2026-09-01T12:00:00Z, in vain: key-refused: "
            "status 401; again 2026-09-01T13:00:00Z\n" in text
        )
        assert {
            "attempted": "2026-09-01T12:00:00Z",
            "due": "2026-09-01T13:00:00Z",
            "failures": 1,
            "reason": "key-refused",
            "detail": "status 401",
        } == asked

    def test_asked(self, filled, intel, config):
        """
        Where it did not, there is nothing to say but when that was.
        """
        settle(intel, config, answered=True)

        assert "vendor asked   2026-09-01T12:00:00Z\n" in (
            filled("show", str(TWO)).text
        )

    def test_revoked(self, filled, folder, intel, platform, thim, config):
        """
        A revoked certificate is marked.
        """
        serial = issue(intel, "one", AT).serial_number
        later = NOW - timedelta(days=1)
        crl = intel.pck_crl(issued=later, revoked=[serial])
        (folder / "crl.der").write_bytes(crl)
        thim("collateral", "import", folder, "--config", config)

        assert "PCESVN 11: revoked" in filled("show", ID).text

    def test_no_secret(self, filled, intel):
        """
        Neither PPID nor encrypted PPID is shown, in any form.
        """
        for options in ((), ("--json",)):
            for words in (("list",), ("show", ID)):
                text = filled(*words, *options).text.lower()

                assert ENC_PPID.hex()[:32] not in text
                assert "begin certificate" not in text

    @pytest.mark.parametrize("word", ["rack 8", "AB" * 16, f"{'AB' * 16}:0000"])
    def test_unknown(self, filled, word):
        """
        One that is not known is an error of one line.
        """
        run = filled("show", word)

        assert 2 == run.code
        assert f"thim: no platform {word!r} is known" in run.err

    def test_several(self, filled, folder):
        """
        A QE ID with several PCE IDs asks for one of them.
        """
        fields = csv_line("one").split(",")
        fields[1] = "0100"
        (folder / "a.csv").write_text(",".join(fields))
        filled("import", folder)
        run = filled("show", ID[:32])

        assert 2 == run.code
        assert f"{ID} or {ID[:32]}:0100" in run.err


class TestChanges:
    def test_name(self, filled, config):
        """
        A name is given and taken away, and each time written down.
        """
        filled("name", ID, "rack 7")
        run = filled("name", "rack 7", "--remove")

        assert 0 == run.code
        assert 2 == filled("show", "rack 7").code
        assert ["platform-import", "platform-name", "platform-name"] == [
            action for _, action, _ in events(config)
        ]

    @pytest.mark.parametrize(
        "words", [("AB" * 16,), (" x",), (), ("x", "--remove")]
    )
    def test_bad_name(self, filled, words):
        """
        A name that cannot be one is refused.
        """
        assert 2 == filled("name", ID, *words).code

    def test_taken(self, filled):
        """
        So is one that another platform has.
        """
        filled("name", ID, "rack 7")
        run = filled("name", str(TWO), "rack 7")

        assert 2 == run.code
        assert f"rack 7': {ID} has it" in run.err

    def test_labels(self, filled):
        """
        Labels are set and taken away.
        """
        filled("label", ID, "zone=a", "rack=7")
        filled("label", ID, "zone=")

        assert {"rack": "7"} == filled("show", ID, "--json").json["labels"]
        assert "rack=7" in filled("show", ID).text

    def test_retire(self, filled):
        """
        A retired platform is listed apart, until it is put back.
        """
        first, again = filled("retire", ID), filled("retire", ID)

        assert f"{ID} is retired.\n" == first.text
        assert f"{ID} is retired already.\n" == again.text
        assert ID in filled("list", "--retired").text
        assert ID not in filled("list").text
        assert f"{ID} is in service.\n" == filled("retire", ID, "--undo").text
        assert ID in filled("list").text

    def test_replace(self, filled):
        """
        Who takes another one's place takes its name.
        """
        filled("name", ID, "rack 7")
        run = filled("replace", "rack 7", str(TWO))

        assert f"rack 7 ({ID}) was replaced by {TWO}.\n" == run.text
        assert f"rack 7 ({TWO})" in filled("list").text
        assert f"replaced by    rack 7 ({TWO})" in filled("show", ID).text
        assert str(TWO) == filled("show", ID, "--json").json["replaced_by"]

    def test_changes_json(self, filled):
        """
        Each change is told as JSON, too.
        """
        named = filled("name", ID, "rack 7", "--json").json
        labelled = filled("label", ID, "zone=a", "--json").json
        replaced = filled("replace", ID, str(TWO), "--json").json
        retired = filled("retire", ID, "--json").json

        assert {"platform": ID, "name": "rack 7"} == named
        assert {"platform": ID, "labels": {"zone": "a"}} == labelled
        assert {"platform": ID, "successor": str(TWO)} == replaced
        assert {"platform": ID, "state": "retired", "is_new": False} == retired

    def test_replace_itself(self, filled):
        """
        Nobody replaces himself.
        """
        assert 2 == filled("replace", ID, ID).code


class TestStrangers:
    def test_none(self, filled):
        """
        There may be none.
        """
        assert [] == filled("strangers", "--json").json

    def test_some(self, filled, config):
        """
        Who asks and is not known is listed, with how often and when last.
        """
        one = platform_id("three")
        at = to_stored(NOW)
        store = config.with_name("thim.db")
        with contextlib.closing(sqlite3.connect(store)) as db:
            row = (one.qe_id, one.pce_id, at, at, 3)
            db.execute("INSERT INTO strangers VALUES (?, ?, ?, ?, ?)", row)
            db.commit()
        line = filled("strangers").text.splitlines()[1]

        assert [str(one), "3", "2026-09-01T12:00:00Z"] == line.split()[:3]
        assert 3 == filled("strangers", "--json").json[0]["count"]


def test_nothing_needed(thim, config, tmp_path):
    """
    Whoever only reads needs no key and no ledger.
    """
    shutil.rmtree(tmp_path / "files", ignore_errors=True)

    assert 0 == thim("platform", "list", "--config", config).code
    assert not config.with_name("thim.key").exists()
