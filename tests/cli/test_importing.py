import json
import os
import pty
import subprocess
import sys

import pytest

from tests.cli.conftest import at
from tests.services.made import CHAINS, INTEL, STRANGER
from tests.store.made import all_stored
from thim.cli.importing import run_import
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import OperatorError
from thim.intel.recognise import MAX_SIZE
from thim.store.ledger import Ledger


@pytest.fixture
def folder(tmp_path):
    """
    A folder with one file of certificates.
    """
    path = tmp_path / "folder"
    path.mkdir()
    (path / "chains.pem").write_bytes(CHAINS)
    return path


@pytest.fixture
def import_json(our_store, capsys):
    """
    Import paths under our own anchors and return the report.
    """

    def run(*paths):
        run_import(paths, at(our_store), as_json=True)
        return json.loads(capsys.readouterr().out)

    return run


def by_file(report):
    """
    Return outcome and reason of each result, by the last part of its file.
    """
    return {
        os.path.basename(r["file"]): (r["outcome"], r["reason"])  # noqa: PTH119
        for r in report["results"]
    }


class TestReport:
    def test_json(self, import_json, folder):
        """
        The report counts what became of the documents, and lists each.
        """
        (folder / "a.json").write_bytes(INTEL.tcb_info())
        (folder / "b.json").write_bytes(STRANGER.tcb_info())
        report = import_json(folder)
        found = {r["file"]: r for r in report["results"]}

        assert (3, 5, 0, 1) == tuple(
            report[k] for k in ("files", "accepted", "already_known", "refused")
        )
        assert {
            "file": str(folder / "a.json"),
            "document": "intel/tcb-info/sgx:00606A000000/3",
            "outcome": "accepted",
            "transition": "newer",
            "evaluation_number": 17,
            "issued": "2025-06-05T03:43:45Z",
            "reason": None,
            "detail": None,
        } == found[str(folder / "a.json")]
        refused = found[str(folder / "b.json")]
        assert ("refused", "signature-invalid") == (
            refused["outcome"],
            refused["reason"],
        )
        assert refused["issued"] is None
        assert refused["detail"]

    def test_again(self, import_json, folder):
        """
        A second import knows all of it.
        """
        (folder / "a.json").write_bytes(INTEL.tcb_info())
        import_json(folder)

        assert (0, 5, 0) == tuple(
            import_json(folder)[k]
            for k in ("accepted", "already_known", "refused")
        )

    def test_table(self, our_store, folder, capsys):
        """
        For people there is a table of refusals, each with its file and
        reason, and one of counts.
        """
        (folder / "a.json").write_bytes(INTEL.tcb_info())
        (folder / "b.json").write_bytes(STRANGER.tcb_info())
        run_import([folder], at(our_store), as_json=False)
        out = capsys.readouterr().out
        lines = [line.split() for line in out.splitlines()]

        assert ["certificate", "4", "0", "0"] in lines
        assert ["tcb-info", "1", "0", "0"] in lines
        assert ["total", "5", "0", "1"] in lines
        (refusal,) = [line for line in lines if str(folder / "b.json") in line]
        assert "signature-invalid" == refusal[1]

    def test_table_without_refusals(self, our_store, folder, capsys):
        """
        Without refusals there is no table of them.
        """
        run_import([folder], at(our_store), as_json=False)

        assert "refused file" not in capsys.readouterr().out

    def test_nothing(self, import_json, tmp_path):
        """
        An empty folder is no error.
        """
        (tmp_path / "empty").mkdir()
        report = import_json(tmp_path / "empty")

        assert (0, []) == (report["files"], report["results"])


class TestFiles:
    def test_each_once(self, import_json, folder):
        """
        A file that is named twice, or in its folder too, is read once.
        """
        report = import_json(folder, folder / "chains.pem", folder)

        assert 1 == report["files"]

    def test_deep(self, import_json, folder):
        """
        Folders are walked to their leaves.
        """
        deep = folder / "a" / "b" / "c"
        deep.mkdir(parents=True)
        (deep / "tcb.json").write_bytes(INTEL.tcb_info())

        assert ("accepted", None) == by_file(import_json(folder))["tcb.json"]

    def test_link_to_a_folder(self, import_json, folder):
        """
        A link back to the folder does not make the walk endless; it is not
        followed, and the report says so.
        """
        (folder / "loop").symlink_to(folder)
        report = import_json(folder)

        assert 2 == report["files"]
        assert ("refused", "unreadable") == by_file(report)["loop"]

    def test_deep_folder(self, import_json, folder):
        """
        Folders in folders, deeper than Python recurses, are walked.
        """
        here = os.open(folder, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(here)

        report = import_json(folder)
        # pytest's own way of cleaning up is recursive.
        subprocess.run(["rm", "-rf", folder / "d"], check=True)

        assert ("accepted", None) == by_file(report)["chains.pem"]

    def test_odd_files(self, import_json, folder):
        """
        What cannot be read, or holds nothing, is refused by name and stops
        nothing: a pipe, a link to nowhere, an empty, a huge and an odd file.
        """
        os.mkfifo(folder / "fifo")
        (folder / "dangling").symlink_to(folder / "nowhere")
        (folder / "loop").symlink_to(folder / "loop")
        (folder / "null").symlink_to("/dev/zero")
        (folder / "empty").touch()
        with (folder / "huge").open("wb") as huge:
            huge.truncate(100 * MAX_SIZE)
        (folder / "-- odd\nname").write_bytes(b"?")
        (folder / "zz.json").write_bytes(INTEL.tcb_info())
        report = import_json(folder)

        assert {
            "chains.pem": ("accepted", None),
            "zz.json": ("accepted", None),
            "fifo": ("refused", "unreadable"),
            "dangling": ("refused", "unreadable"),
            "loop": ("refused", "unreadable"),
            "null": ("refused", "unreadable"),
            "empty": ("refused", "unrecognised"),
            "huge": ("refused", "too-large"),
            "-- odd\nname": ("refused", "unrecognised"),
        } == by_file(report)
        assert all(
            r["detail"] for r in report["results"] if r["outcome"] == "refused"
        )

    def test_dangling_link_by_name(self, import_json, folder):
        """
        A link to nowhere is there, so it is refused as any unreadable file.
        """
        (folder / "dangling").symlink_to(folder / "nowhere")
        report = import_json(folder / "dangling")

        assert {"dangling": ("refused", "unreadable")} == by_file(report)

    def test_folder_that_cannot_be_listed(self, import_json, folder):
        """
        A folder that cannot be listed is refused by its name; here because
        the path to it is longer than a path may be.
        """
        here = os.open(folder, os.O_RDONLY)
        for _ in range(20):
            os.mkdir("x" * 250, dir_fd=here)
            inner = os.open("x" * 250, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(here)
        report = import_json(folder)

        assert {
            "chains.pem": ("accepted", None),
            "x" * 250: ("refused", "unreadable"),
        } == by_file(report)

    @pytest.mark.parametrize("as_json", [True, False])
    def test_name_that_is_no_text(self, our_store, folder, capfd, as_json):
        """
        Neither does a name that is not UTF-8, however the report is written.
        """
        for name in (b"good-\xff.json", b"bad-\xff.json"):
            body = INTEL.tcb_info() if name < b"f" else b"?"
            (folder / os.fsdecode(name)).write_bytes(body)
        run_import([folder], at(our_store), as_json=as_json)

        assert "unrecognised" in capfd.readouterr().out

    def test_order_of_names(self, our_store, import_json, folder):
        """
        Files are read in the order of their names, so that two runs over one
        folder give one store.
        """
        for name in "cab":
            (folder / name).write_bytes(INTEL.tcb_info())
        import_json(folder)

        with Ledger(our_store, INTEL.anchors) as ledger:
            assert [str(folder / "a")] == [
                s.record.source for s in all_stored(ledger)
            ]


class TestCommand:
    def test_json(self, thim, store, folder):
        """
        The command takes files and folders, and trusts the vendor alone: our
        own Intel is nobody to it, which is exit code 1.
        """
        run = thim("collateral", "import", folder, "--json", "--store", store)

        assert 1 == run.code
        assert (0, 4) == (run.json["accepted"], run.json["refused"])
        reasons = {r["reason"] for r in run.json["results"]}
        assert {"root-untrusted", "no-issuer-chain"} == reasons

    def test_real(self, thim, store, corpus):
        """
        Real documents are accepted, and then pass verification.
        """
        paths = [
            corpus / "intel" / name
            for name in ("ca", "tcb-evaluation-data-numbers", "crl")
        ]
        run = thim("collateral", "import", *paths, "--store", store)
        verified = thim("db", "verify", "--store", store, "--json")

        assert (0, f"into {store} (flag)\n") == (run.code, run.err)
        assert (0, []) == (verified.code, verified.json["findings"])
        assert verified.json["records"] > 70

    @pytest.mark.parametrize(
        "name", ["missing", "x" * 300, "folder/chains.pem/x"]
    )
    def test_missing_path(self, thim, store, folder, name):
        """
        A path that is not there is one line and exit code 2, before anything
        is read.
        """
        path = folder.parent / name
        run = thim("collateral", "import", folder, path, "--store", store)

        assert (2, b"") == (run.code, run.out)
        assert str(path) in run.err
        assert 1 == run.err.count("\n")
        with Ledger(store, VENDOR_ROOTS) as ledger:
            assert [] == all_stored(ledger)

    def test_no_path(self, thim, store):
        """
        Without a path there is nothing to do, and that is an error of usage.
        """
        run = thim("collateral", "import", "--store", store)

        assert 2 == run.code
        assert "PATH" in run.err

    def test_other_anchors(self, our_store, folder):
        """
        A store for other root keys takes nothing.
        """
        with pytest.raises(OperatorError, match="trust anchors"):
            run_import([folder], at(our_store, VENDOR_ROOTS), as_json=True)

    def test_progress(self, store, folder):
        """
        On a terminal progress is shown while it runs; what is written to
        standard output stays clean.
        """
        terminal, end = pty.openpty()
        command = ["collateral", "import", str(folder)]
        run = subprocess.run(
            [sys.executable, "-m", "thim", *command, "--store", str(store)],
            stdout=subprocess.PIPE,
            stderr=end,
            text=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
            check=False,
        )
        os.close(end)
        shown = os.read(terminal, 65536).decode()
        os.close(terminal)

        assert "Verifying" in shown
        assert run.stdout.startswith("refused ")
        assert "\x1b" not in run.stdout

    def test_no_progress_elsewhere(self, store, folder):
        """
        Elsewhere there is none: only the store is named.
        """
        run = subprocess.run(
            [
                sys.executable,
                "-m",
                "thim",
                "collateral",
                "import",
                str(folder),
            ],
            env={**os.environ, "THIM_STORE": str(store)},
            capture_output=True,
            check=False,
        )

        said = f"into {store} (environment THIM_STORE)\n"
        assert said.encode() == run.stderr
        assert b"root-untrusted" in run.stdout
