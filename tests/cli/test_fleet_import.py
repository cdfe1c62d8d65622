"""
``thim fleet import``: inventories and evidence, from files and folders.
"""

import contextlib
import os

import pytest

from tests.intel import quotes_made as made
from tests.platforms import platform_id
from thim.store.replica import Replica


QE_ID = platform_id("listed").qe_id.hex()
TITLES = "name,qe_id,fmspc,cpusvn,pcesvn,qe_svn\n"


@pytest.fixture
def take(thim, store):
    """
    Import some files into an empty store.
    """
    return lambda *paths: thim("fleet", "import", *paths, "--store", store)


def rows(store):
    """
    Read what is kept of machines.
    """
    with contextlib.closing(Replica(store)) as replica:
        found = replica.rows("SELECT name, source FROM fleet_tcbs ORDER BY 1")
    return list(found)


class TestImport:
    def test_inventory(self, take, store, tmp_path):
        """
        A file from a spreadsheet, which begins with a byte order mark, is
        taken in, and who did it is written down.
        """
        file = tmp_path / "list.CSV"
        line = f"lab 1,{QE_ID},00606A000000,{'04' * 16},11,8\r\n"
        file.write_bytes(b"\xef\xbb\xbf" + f"{TITLES}{line}".encode())

        run = take(file)

        assert (0, "1 taken, 0 refused\n") == (run.code, run.text)
        assert [("lab 1", f"{file}:2")] == rows(store)
        with contextlib.closing(Replica(store)) as replica:
            events = replica.rows(
                "SELECT detail FROM events WHERE action = 'fleet-import'"
            )
        assert [("1 TCBs of machines taken, 0 refused",)] == events

    def test_again(self, take, store, tmp_path):
        """
        To import it again changes nothing.
        """
        file = tmp_path / "list.csv"
        file.write_text(f"{TITLES}lab 1,{QE_ID},00606A000000,,,8\n")

        assert [0, 0] == [take(file).code, take(file).code]
        assert 1 == len(rows(store))

    def test_refused(self, take, store, tmp_path):
        """
        What is refused is listed by file and line, stops nothing, and makes
        the exit code 1.
        """
        good = f"lab 1,{QE_ID},00606A000000,,,8\n"
        (tmp_path / "a.csv").write_text(f"{TITLES}no,such,line\n{good}")
        (tmp_path / "b.csv").write_bytes(b"\xff\xfe")
        (tmp_path / "c.csv").write_text("qe_id\n")
        (tmp_path / "d.bin").write_bytes(b"no evidence")

        run = take(tmp_path / "a.csv", *sorted(tmp_path.glob("[b-d].*")))

        assert (1, "1 taken, 4 refused\n") == (run.code, run.text)
        _, a, b, c, d = run.err.splitlines()
        assert a.startswith(f"{tmp_path}/a.csv:2: ")
        assert f"{tmp_path}/b.csv: not in UTF-8" == b
        assert c.startswith(f"{tmp_path}/c.csv: titles: ")
        assert d.startswith(f"{tmp_path}/d.bin: ")
        assert [("lab 1", f"{tmp_path}/a.csv:3")] == rows(store)

    def test_json(self, take, thim, store, tmp_path):
        """
        JSON says the same.
        """
        file = tmp_path / "list.csv"
        file.write_text(f"{TITLES}no,such,line\n")

        run = thim("fleet", "import", file, "--store", store, "--json")

        assert (1, 0) == (run.code, run.json["taken"])
        (refused,) = run.json["refused"]
        assert (str(file), 2, "csv-values") == (
            refused["file"],
            refused["line"],
            refused["reason"],
        )

    def test_many(self, take, store, tmp_path):
        """
        There may be more than are written at once.
        """
        file = tmp_path / "list.csv"
        lines = (f"n{n},{n:032x},00606A000000,,,8\n" for n in range(1, 2502))
        file.write_text(f"{TITLES}{''.join(lines)}")

        assert "2501 taken, 0 refused\n" == take(file).text
        assert 2501 == len(rows(store))

    def test_evidence(self, thim, tmp_path, our_store):
        """
        Evidence in a folder must be authentic: a stranger's is refused.
        """
        (tmp_path / "quotes").mkdir()
        (tmp_path / "quotes" / "node-7.bin").write_bytes(made.good("v3"))

        run = thim("fleet", "import", tmp_path / "quotes", "--store", our_store)

        assert 2 == run.code  # the store is for other anchors
        assert [] == rows(our_store)

    def test_forged(self, take, store, tmp_path):
        """
        What none of the vendor's roots has signed is refused.
        """
        (tmp_path / "node-7.bin").write_bytes(made.good("v3"))

        run = take(tmp_path / "node-7.bin")

        assert (1, "0 taken, 1 refused\n") == (run.code, run.text)
        assert [] == rows(store)

    def test_names_of_files(self, take, store, tmp_path):
        """
        The name of a file may be no text, or drive the terminal.
        """
        file = tmp_path / os.fsdecode(b"\x1b[2J\xff.csv")
        file.write_text(f"{TITLES}lab 1,{QE_ID},00606A000000,,,8\nno\n")

        run = take(file)

        assert (1, "1 taken, 1 refused\n") == (run.code, run.text)
        assert "\x1b" not in run.err
        ((_, source),) = rows(store)
        assert source.isprintable()

    def test_too_large(self, take, store, tmp_path):
        """
        A file that is too large is refused, and not cut off.
        """
        file = tmp_path / "list.csv"
        file.write_text(f"{TITLES}lab 1,{QE_ID},00606A000000,,,8\n")
        os.truncate(file, 512 * 1024 * 1024 + 1)

        run = take(file)

        assert (1, "0 taken, 1 refused\n") == (run.code, run.text)
        assert "expected at most 536870912: divide it" in run.err
        assert [] == rows(store)

    def test_missing(self, take, tmp_path):
        """
        A path at which nothing is is refused before anything is taken.
        """
        run = take(tmp_path / "no.csv")

        assert (2, "") == (run.code, run.text)
