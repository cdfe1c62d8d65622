"""
Inventories in CSV, as people write them and as nobody should.
"""

import contextlib
import csv
import io

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.platforms import FMSPC, NOW, platform_id
from thim.collateral.fleet_tcbs import FleetTcb, Origin
from thim.errors import MalformedError
from thim.services.fleet_import import Unread, explain, read_inventory


QE_ID = platform_id("one").qe_id.hex()
TITLES = (
    "name",
    "qe_id",
    "pce_id",
    "fmspc",
    "cpusvn",
    "pcesvn",
    "tee_tcb_svn",
    "qe_svn",
    "td_qe_svn",
)
LINE = f"{QE_ID},00606A000000"
SVNS = "00112233445566778899aabbccddeeff"


def read(*lines, titles="qe_id,fmspc"):
    """
    Read an inventory of some *lines*.
    """
    text = "".join(f"{line}\n" for line in (titles, *lines))
    return list(read_inventory("list.csv", text, NOW))


def read_one(titles, line):
    """
    Read an inventory of one line.
    """
    (found,) = read(line, titles=titles)
    return found


class TestValues:
    def test_everything(self):
        """
        Each column comes to its place.
        """
        found = read_one(
            ",".join(TITLES),
            f"lab 1,{QE_ID},0100,00606a000000,{SVNS},11,{SVNS.upper()},8,4",
        )

        expected = FleetTcb(
            id=platform_id("one", b"\1\0"),
            name="lab 1",
            fmspc=FMSPC,
            components=bytes.fromhex(SVNS),
            pcesvn=11,
            tee_tcb_svn=bytes.fromhex(SVNS),
            qe_svn=8,
            td_qe_svn=4,
            origin=Origin.IMPORTED,
            source="list.csv:2",
            seen=NOW,
        )
        assert expected == found

    def test_least(self):
        """
        QE ID and FMSPC will do, and the rest is unknown.
        """
        found = read_one("qe_id,fmspc", LINE)

        assert (platform_id("one"), FMSPC) == (found.id, found.fmspc)
        assert [None] * 6 == [
            found.name,
            found.components,
            found.pcesvn,
            found.tee_tcb_svn,
            found.qe_svn,
            found.td_qe_svn,
        ]

    def test_empty_values(self):
        """
        An empty value is as good as no column.
        """
        full = f",{QE_ID},,00606A000000,,,,,"

        assert read_one("qe_id,fmspc", LINE) == read_one(",".join(TITLES), full)

    @pytest.mark.parametrize("line", [LINE, f" {QE_ID} ,\t00606A000000 "])
    @pytest.mark.parametrize("titles", ["qe_id,fmspc", " qe_id , fmspc\t"])
    def test_white_space(self, titles, line):
        """
        White space around titles and values means nothing.
        """
        assert FMSPC == read_one(titles, line).fmspc

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_line_ends(self, end):
        """
        Lines end as they do on Unix or on Windows, the last one or not.
        """
        text = f"qe_id,fmspc{end}{LINE}{end}{LINE}"

        assert 2 == len(list(read_inventory("list.csv", text, NOW)))

    def test_empty_lines(self):
        """
        Empty lines are nothing, and count for the number of a line.
        """
        first, second = read("", LINE, "", LINE)

        assert ("list.csv:3", "list.csv:5") == (first.source, second.source)

    def test_quoted(self):
        """
        A name in quotation marks may have commas and quotation marks.
        """
        found = read_one("name,qe_id,fmspc", f'"rack ""7"", low",{LINE}')

        assert 'rack "7", low' == found.name

    @pytest.mark.parametrize("svn", ["0", "65535", "00011"])
    def test_svns(self, svn):
        """
        SVNs are decimal.
        """
        assert (
            int(svn) == read_one("qe_id,fmspc,qe_svn", f"{LINE},{svn}").qe_svn
        )

    @given(name=st.text(max_size=220))
    def test_names(self, name):
        """
        A name is what can be printed, of 200 characters; whatever else it is,
        the line is refused and nothing more happens.
        """
        out = io.StringIO()
        csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(
            [name, QE_ID, "00606A000000"]
        )

        (found,) = read(
            out.getvalue().removesuffix("\n"), titles="name,qe_id,fmspc"
        )

        kept = name.strip()
        if kept.isprintable() and len(kept) <= 200:
            assert (kept or None) == found.name
        else:
            assert "csv-values" == found.reason


class TestRefusedLines:
    @pytest.mark.parametrize(
        ("column", "value", "expected"),
        [
            ("qe_id", QE_ID[:-1], "expected 32 hexadecimal digits"),
            ("qe_id", f"{QE_ID}0", "expected 32 hexadecimal digits"),
            ("qe_id", f"0x{QE_ID[2:]}", "expected 32 hexadecimal digits"),
            ("qe_id", f"{QE_ID[:30]} 0", "expected 32 hexadecimal digits"),
            ("qe_id", "\u0660" * 32, "expected 32 hexadecimal digits"),
            ("qe_id", "", "qe_id: nothing, expected 32 digits"),
            ("qe_id", "0" * 32, "qe_id: got zeros"),
            ("fmspc", "", "fmspc: nothing, expected 12 digits"),
            ("fmspc", "00606A00000G", "expected 12 hexadecimal digits"),
            ("pce_id", "0", "expected 4 hexadecimal digits"),
            ("cpusvn", SVNS[:-2], "expected 32 hexadecimal digits"),
            ("tee_tcb_svn", f"{SVNS}00", "expected 32 hexadecimal digits"),
            ("pcesvn", "-1", "expected 0 to 65535"),
            ("pcesvn", "65536", "expected 0 to 65535"),
            ("qe_svn", "0x8", "expected 0 to 65535"),
            ("qe_svn", "8.0", "expected 0 to 65535"),
            ("td_qe_svn", "\u0664", "expected 0 to 65535"),
            ("td_qe_svn", "9" * 5000, "expected 0 to 65535"),
            ("name", "x" * 201, "expected 200 letters"),
            ("name", "\x1b[2J", "expected 200 letters"),
            ("name", "a\0b", "expected 200 letters"),
            ("name", "evil\u202egnp", "expected 200 letters"),
        ],
    )
    def test_values(self, column, value, expected):
        """
        A value that is none is refused by its column.
        """
        values = {
            "qe_id": QE_ID,
            "fmspc": "00606A000000",
            "cpusvn": SVNS,
            "pcesvn": "11",
            column: value,
        }

        found = read_one(",".join(values), ",".join(values.values()))

        assert (2, column) == (found.line, found.detail[: len(column)])
        assert expected in found.detail
        assert len(found.detail) < 200

    @pytest.mark.parametrize(
        ("titles", "line"),
        [
            ("qe_id,fmspc,cpusvn", f"{LINE},{SVNS}"),
            ("qe_id,fmspc,pcesvn", f"{LINE},11"),
        ],
    )
    def test_half(self, titles, line):
        """
        CPUSVN and PCESVN belong together.
        """
        assert "belong together" in read_one(titles, line).detail

    @pytest.mark.parametrize("line", [QE_ID, f"{LINE},11", ",,,,,,,"])
    def test_other_count(self, line):
        """
        A line has as many values as there are titles.
        """
        found = read_one("qe_id,fmspc", line)

        assert "another number of values" in found.detail

    def test_huge(self):
        """
        A huge line is refused and told in a few words.
        """
        for line in ("," * 1_000_000, f"{'A' * 1_000_000},00606A000000"):
            found = read_one("qe_id,fmspc", line)

            assert isinstance(found, Unread)
            assert len(found.detail) < 200

    def test_rest(self):
        """
        What is refused does not stop the rest: neither a wrong value nor what
        is no CSV.
        """
        found = read(LINE, "no,values", f'"{QE_ID}"0,1', "x" * 200_000, LINE)

        assert [None, "csv-values", "csv", "csv", None] == [
            each.reason if isinstance(each, Unread) else None for each in found
        ]
        assert [3, 4, 5] == [
            each.line for each in found if isinstance(each, Unread)
        ]

    def test_open_quotation(self):
        """
        A quotation mark that nobody closes takes all that follows with it, and
        that is told.
        """
        first, last = read(LINE, f'"{QE_ID},00606A000000', LINE, LINE)

        assert isinstance(first, FleetTcb)
        assert "csv" == last.reason

    @given(text=st.text())
    def test_anything(self, text):
        """
        Whatever follows the titles is read or refused, and each only once.
        """
        found = read(text)

        assert all(isinstance(each, FleetTcb | Unread) for each in found)
        assert len(found) <= text.count("\n") + 1


class TestTitles:
    @pytest.mark.parametrize(
        "titles",
        [
            "",
            "qe_id",
            "fmspc",
            "QE_ID,fmspc",
            "qe_id,fmspc,qe_id",
            "qe_id,fmspc, fmspc",
            "qe_id,fmspc,ppid",
            "qe_id,fmspc,",
            "qe_id;fmspc",
            "x" * 1_000,
            LINE,
        ],
    )
    def test_none(self, titles):
        """
        Titles that are not known, come twice or are missing are refused, with
        those that may be.
        """
        with pytest.raises(MalformedError, match="expected qe_id,fmspc") as e:
            read(LINE, titles=titles)

        assert "csv-titles" == e.value.reason
        assert len(str(e.value)) < 400

    @pytest.mark.parametrize("titles", ['"qe_id"x,fmspc', "q" * 200_000, '"'])
    def test_no_csv(self, titles):
        """
        So is a first line that is no CSV.
        """
        with pytest.raises(MalformedError, match="titles: ") as e:
            read(titles=titles)

        assert "csv-titles" == e.value.reason

    @given(titles=st.permutations(TITLES), count=st.integers(0, 9))
    def test_any_order(self, titles, count):
        """
        Their order means nothing.
        """
        chosen = [
            title
            for i, title in enumerate(titles)
            if i < count or title in {"qe_id", "fmspc"}
        ]
        values = {
            "name": "lab",
            "qe_id": QE_ID,
            "pce_id": "0000",
            "fmspc": "00606A000000",
            "tee_tcb_svn": SVNS,
            "qe_svn": "8",
            "td_qe_svn": "4",
        }
        line = [values.get(title, "") for title in chosen]

        found = read_one(",".join(chosen), ",".join(line))

        assert (platform_id("one"), FMSPC) == (found.id, found.fmspc)
        assert ("name" in chosen) == (found.name == "lab")
        assert ("qe_svn" in chosen) == (found.qe_svn == 8)
        assert ("td_qe_svn" in chosen) == (found.td_qe_svn == 4)

    @given(text=st.text())
    def test_anything(self, text):
        """
        No text at all is an error of ours.
        """
        with contextlib.suppress(MalformedError):
            list(read_inventory("list.csv", text, NOW))


def test_explained():
    """
    Why a whole file cannot be read is told without a line.
    """
    error = MalformedError("not in UTF-8", reason="encoding")

    assert Unread(line=0, reason="encoding", detail="not in UTF-8") == explain(
        error
    )
