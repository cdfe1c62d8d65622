"""
``thim fleet``: what another baseline would make of the machines that are known.
"""

import csv
import io

import pytest

from tests.fleet_tcbs import tell
from tests.platforms import FMSPC, NOW, entry
from tests.services.made import INTEL, fill
from tests.services.test_fleet import GOOD, SHORT, TDX, documents
from tests.tenants import Decisions


FORMULA = '=HYPERLINK("http://example.com")'


@pytest.fixture
def fleet(ledger, our_store):
    """
    A store with two numbers, tenants at the first, and three platforms.
    """
    fill(
        ledger,
        *documents(INTEL, 17, sgx=3),
        *documents(INTEL, 18, sgx=4, qe=9, module=6),
        now=NOW,
    )
    entries = [
        entry(INTEL, "good", GOOD, raw=(GOOD,), name="good"),
        entry(
            INTEL,
            "short",
            SHORT,
            raw=(SHORT,),
            name=FORMULA,
            labels={"site": "a"},
        ),
        entry(INTEL, "td", GOOD, raw=(GOOD,), name="td", labels={"site": "b"}),
    ]
    ledger.platforms.enter(entries, NOW)
    tell(
        our_store,
        entries[2].id.qe_id,
        FMSPC,
        NOW,
        tee_tcb_svn=TDX,
        qe_svn=8,
        td_qe_svn=9,
    )
    decisions = Decisions().tenant("acme", "17")
    for site in "abc":
        decisions.tenant(f"site-{site}", "17", labels={"site": site})
    decisions.write(our_store, INTEL.anchors)
    return our_store


@pytest.fixture
def what_if(thim, fleet):
    """
    Ask what 18 would make of the platforms of a tenant.
    """

    def ask(*arguments, tenant="acme", baseline="18", store=fleet):
        where = ("--store", store, "--tenant", tenant, "--baseline", baseline)
        return thim("fleet", "what-if", *where, *arguments)

    return ask


class TestAnswers:
    def test_json(self, what_if):
        """
        JSON says all of it: who, why, and by when.
        """
        run = what_if("--json")

        assert (1, "") == (run.code, run.err)
        found = run.json
        assert ("acme", "17", 17, "18", 18) == (
            found["tenant"],
            found["baseline_now"],
            found["number_now"],
            found["baseline"],
            found["number"],
        )
        assert (3, 0, 2) == (
            found["platforms"],
            found["unknown"],
            found["breaking"],
        )
        assert ("unknown", None) == (found["by_when"], found["trouble"])
        assert [
            ("td", "SGX"),
            (FORMULA, "SGX"),
            ("td", "TDX"),
        ] == [(each["name"], each["tee"]) for each in found["broken"]]
        short = found["broken"][1]
        assert ("UpToDate", "OutOfDate") == (short["before"], short["after"])
        (finding,) = short["findings"]
        assert "SGX component 1" in finding
        assert "has the SVN 3, 4 is needed" in finding
        assert ["bios-or-microcode"] == short["remedies"]
        assert ["INTEL-SA-00002"] == short["advisory_ids"]
        sgx, tdx = found["tees"]
        assert (3, 1, 2) == (sgx["platforms"], sgx["qe_known"], sgx["breaking"])
        assert (1, 1, 1) == (tdx["platforms"], tdx["qe_known"], tdx["breaking"])
        assert {"now": "UpToDate", "then": "OutOfDate", "platforms": 2} in sgx[
            "standings"
        ]

    def test_csv(self, what_if):
        """
        CSV has a line for each, whose name is no formula to a spreadsheet.
        """
        run = what_if("--csv")

        assert (1, "") == (run.code, run.err)
        rows = list(csv.DictReader(io.StringIO(run.text)))
        assert [f"'{FORMULA}", "td", "td"] == sorted(r["name"] for r in rows)
        (short,) = [row for row in rows if "HYPER" in row["name"]]
        assert ("SGX", "UpToDate", "OutOfDate", "unknown") == (
            short["tee"],
            short["before"],
            short["after"],
            short["by_when"],
        )
        assert "INTEL-SA-00002" == short["advisory_ids"]

    @pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
    def test_formulas(self, what_if, ledger, sign):
        """
        Whatever a formula may begin with.
        """
        name = f"{sign}1+1"
        one = entry(INTEL, "calc", SHORT, raw=(SHORT,), name=name)
        ledger.platforms.enter([one], NOW)

        assert f"\n'{name}," in what_if("--csv").text

    def test_table(self, what_if):
        """
        The table is for people.
        """
        run = what_if()

        assert (1, "") == (run.code, run.err)
        assert "from 17 (number 17) to 18 (number 18)." in run.text
        assert "3 platforms, and 0 of which no TCB is known." in run.text
        assert "2 would break.\nBy when: unknown (" in run.text
        assert "SVN 3, 4 is needed" in run.text
        assert FORMULA in run.text

    def test_nobody(self, what_if):
        """
        Where nobody would break the exit code is 0, and nobody is named.
        """
        run, as_csv = what_if(baseline="17"), what_if("--csv", baseline="17")

        assert (0, "") == (run.code, run.err)
        assert "0 would break." in run.text
        assert 1 == len(as_csv.text.splitlines())
        assert [] == what_if("--json", baseline="17").json["broken"]

    @pytest.mark.parametrize(
        ("tenant", "names"),
        [("site-a", [FORMULA]), ("site-b", ["td", "td"]), ("site-c", [])],
    )
    def test_labels(self, what_if, tenant, names):
        """
        A tenant's platforms are those with its labels.
        """
        run = what_if("--json", tenant=tenant)

        assert bool(names) == run.code
        assert names == [each["name"] for each in run.json["broken"]]

    def test_many(self, what_if, ledger):
        """
        The table names some and says how many more there are; the other forms
        name all.
        """
        entries = [
            entry(INTEL, f"{n}", SHORT, raw=(SHORT,), name=f"n{n:03}")
            for n in range(110)
        ]
        ledger.platforms.enter(entries, NOW)

        assert "and 13 more: --csv or --json names all" in what_if().text
        assert 113 == len(what_if("--json").json["broken"])
        assert 114 == len(what_if("--csv").text.splitlines())


class TestWhen:
    def test_decided(self, what_if, fleet):
        """
        A move that was decided for a date comes on that date.
        """
        decisions = (
            Decisions()
            .tenant("later", "17")
            .tenant("later", "18", since=NOW.replace(year=2126))
        )
        decisions.write(fleet, INTEL.anchors)

        found = what_if("--json", tenant="later").json

        assert ("2126-09-01T12:00:00Z", "decided") == (
            found["by_when"],
            found["confidence"],
        )
        other = what_if("--json", tenant="acme").json
        assert "unknown" == other["by_when"]

    def test_redefined(self, what_if, fleet):
        """
        So does what a tenant's own baseline is to be from a date on.
        """
        decisions = (
            Decisions()
            .baseline("prod", "number: 17")
            .baseline("prod", "number: 18", since=NOW.replace(year=2126))
            .tenant("later", "prod")
        )
        decisions.write(fleet, INTEL.anchors)

        found = what_if("--json", tenant="later").json

        assert "2126-09-01T12:00:00Z" == found["by_when"]

    def test_held(self, what_if, fleet):
        """
        A number that a held baseline waits for comes when the hold is over.
        """
        decisions = (
            Decisions()
            .baseline("prod", "trailing: 1d", hold="14d")
            .promotion("prod", 17)
            .promotion("prod", 18, NOW.replace(year=2126))
            .tenant("later", "prod")
        )
        decisions.write(fleet, INTEL.anchors)

        found = what_if("--json", tenant="later").json

        assert (17, "2126-09-01T12:00:00Z", "held until then") == (
            found["number_now"],
            found["by_when"],
            found["confidence"],
        )


class TestSnapshot:
    def test_packed(self, what_if, thim, fleet, tmp_path):
        """
        A packed fleet gives the same counts, and names nobody.
        """
        file = tmp_path / "fleet.bin"
        packed = thim("fleet", "export", "-o", file, "--store", fleet)
        run = what_if("--json", "--snapshot", file)

        assert (0, f"3 platforms are in {file}.\n") == (
            packed.code,
            packed.text,
        )
        assert 0o600 == file.stat().st_mode & 0o777
        for name in ("good", FORMULA):
            assert name.encode() not in file.read_bytes()
        here = what_if("--json").json
        assert 1 == run.code
        assert here["tees"] == run.json["tees"]
        assert here["breaking"] == run.json["breaking"]
        assert ["platform 3", "platform 2", "platform 3"] == [
            each["name"] for each in run.json["broken"]
        ]

    def test_once(self, thim, fleet, tmp_path):
        """
        A file that is there is not written over.
        """
        file = tmp_path / "fleet.bin"
        file.write_text("mine")

        run = thim("fleet", "export", "-o", file, "--store", fleet)

        assert (2, "mine") == (run.code, file.read_text())
        assert str(file) in run.err

    @pytest.mark.parametrize("content", [b"", b"\0" * 100, b"THIMFLEET"])
    def test_none(self, what_if, tmp_path, content):
        """
        What is no snapshot is refused.
        """
        file = tmp_path / "fleet.bin"
        file.write_bytes(content)

        run = what_if("--snapshot", file)

        assert (2, "") == (run.code, run.text)
        assert 1 == len(run.err.splitlines())

    def test_missing(self, what_if, tmp_path):
        """
        So is one that is not there, or is none of a file's.
        """
        for path in (tmp_path / "no.bin", tmp_path):
            run = what_if("--snapshot", path)

            assert 2 == run.code
            assert str(path) in run.err


class TestCannotBeSaid:
    @pytest.mark.parametrize(
        ("baseline", "expected"),
        [
            ("prod", "baseline 'prod' is not known"),
            ("99", "comes to no number"),
            ("", "is not known"),
            ("\x1b[2J", "is not known"),
        ],
    )
    def test_baseline(self, what_if, baseline, expected):
        """
        A baseline that nobody knows, or a number of which nothing is there.
        """
        run = what_if(baseline=baseline)

        assert (2, "") == (run.code, run.text)
        assert expected in run.err
        assert "\x1b" not in run.err

    def test_tenant(self, what_if):
        """
        A tenant that nobody knows.
        """
        run = what_if(tenant="nobody")

        assert (2, "") == (run.code, run.text)
        assert "no tenant has the name 'nobody'" in run.err

    def test_two_forms(self, what_if):
        """
        JSON and CSV at once.
        """
        run = what_if("--json", "--csv")

        assert (2, "") == (run.code, run.text)
        assert "--csv" in run.err

    def test_no_tcb(self, thim, ledger, our_store):
        """
        Platforms of which no TCB is known are counted, and nothing can be said
        of them.
        """
        fill(ledger, *documents(INTEL, 17, sgx=3), now=NOW)
        ledger.platforms.enter([entry(INTEL, "one", raw=(GOOD,))], NOW)

        arguments = ("--baseline", "17", "--store", our_store)
        run = thim("fleet", "what-if", *arguments)

        assert (2, "") == (run.code, run.err)
        assert "0 platforms, and 1 of which no TCB is known" in run.text
        assert "Intel's are not compared: no platform's TCB" in run.text

    @pytest.mark.parametrize(("kept", "code"), [(4, 0), (1, 2)])
    def test_no_document(self, thim, ledger, our_store, kept, code):
        """
        Nor of those of which today's number has no document, and how many that
        are is said.
        """
        listed = list(documents(INTEL, 17, sgx=3))[-kept:]
        fill(ledger, *listed, now=NOW)
        ledger.platforms.enter([entry(INTEL, "one", GOOD, raw=(GOOD,))], NOW)

        arguments = ("--baseline", "17", "--store", our_store)
        run = thim("fleet", "what-if", *arguments)

        said = "1 cannot be compared: 17 has no document" in run.text
        assert (code, "", code == 2) == (run.code, run.err, said)

    def test_nobody_there(self, thim, ledger, our_store):
        """
        Of an empty fleet nobody breaks.
        """
        fill(ledger, *documents(INTEL, 17, sgx=3), now=NOW)

        arguments = ("--baseline", "17", "--store", our_store, "--json")
        run = thim("fleet", "what-if", *arguments)

        assert (0, 0) == (run.code, run.json["platforms"])
