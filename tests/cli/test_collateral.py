import json
import os
import pty
import subprocess
import sys

import pytest

from tests.made_amd import (
    AMD,
    CHIP,
    MILAN,
    TCB,
    crl_record,
    vcek,
    vlek,
)
from tests.made_amd import day as amd_day
from tests.made_amd import fill as fill_amd
from tests.services.made import INTEL, KEY, day, fill
from thim.collateral.records import Kind
from thim.intel.names import PckCa
from thim.x509.chain import parse_pem_chain


TCB_INFO = str(KEY)
PLATFORM = "intel/pck-crl/platform/0"


@pytest.fixture
def filled(ledger, our_store, monkeypatch):
    """
    A store with a few documents, named in the environment.
    """
    fill(
        ledger,
        INTEL.tcb_info(issued=day(0)),
        INTEL.tcb_info(issued=day(60)),
        INTEL.tcb_info(number=18),
        INTEL.tcb_info(structure=1),
        INTEL.pck_crl(ca=PckCa.PLATFORM),
    )
    monkeypatch.setenv("THIM_STORE", str(our_store))
    return our_store


class TestList:
    def test_heads(self, thim, filled):
        """
        The newest document of each key and number is listed.
        """
        run = thim("collateral", "list")
        title, *lines = run.text.splitlines()

        assert 0 == run.code
        assert title.startswith("document")
        assert [
            [PLATFORM, "-", "2025-06-05"],
            [TCB_INFO, "17", "2025-08-04"],
            [TCB_INFO, "18", "2025-06-05"],
        ] == [line.split()[:3] for line in lines]

    def test_all(self, thim, filled):
        """
        With ``--all`` older versions are listed too.
        """
        lines = thim("collateral", "list", "--all").text.splitlines()

        assert 6 == len(lines)
        assert any("/1 " in line for line in lines)

    @pytest.mark.parametrize(
        ("kind", "count"), [(Kind.PCK_CRL, 1), (Kind.IDENTITY, 0)]
    )
    def test_kind(self, thim, filled, kind, count):
        """
        They can be restricted to a kind.
        """
        run = thim("collateral", "list", "--kind", kind.value)

        assert count == len(run.text.splitlines()) - 1

    def test_unknown_kind(self, thim, filled):
        """
        An unknown kind is an error of usage that lists the known ones.
        """
        run = thim("collateral", "list", "--kind", "tcbinfo")

        assert 2 == run.code
        assert "tcb-info" in run.err

    def test_json(self, thim, filled):
        """
        As JSON there is all that is known of each.
        """
        listed = thim("collateral", "list", "--json").json

        assert [PLATFORM, TCB_INFO, TCB_INFO] == [e["document"] for e in listed]
        assert {
            "document": TCB_INFO,
            "evaluation_number": 18,
            "issued": "2025-06-05T03:43:45Z",
            "next_update": "2025-07-05T03:43:45Z",
            "state": "expired",
            "is_head": True,
            "size": len(INTEL.tcb_info(number=18)),
            "source": "2",
        } == {k: v for k, v in listed[2].items() if k != "sha256"}
        assert 64 == len(listed[2]["sha256"])

    def test_fresh(self, thim, ledger, our_store):
        """
        A document that is not past its next update is fresh.
        """
        fill(ledger, INTEL.tcb_info(next_update=day(9999)))
        run = thim("collateral", "list", "--json", "--store", our_store)

        assert ["fresh"] == [entry["state"] for entry in run.json]

    def test_empty(self, thim, store):
        """
        Of an empty archive there is an empty list.
        """
        assert [] == thim("collateral", "list", "--json", "--store", store).json

    def test_narrow(self, thim, filled, monkeypatch):
        """
        Where it is not written to a terminal nothing is cut off.
        """
        monkeypatch.setenv("COLUMNS", "20")
        run = thim("collateral", "list")

        assert "…" not in run.text
        assert TCB_INFO in run.text

    def test_terminal(self, filled):
        """
        On a terminal it is as wide as that, and nothing is cut off either.
        """
        terminal, end = pty.openpty()
        subprocess.run(
            [sys.executable, "-m", "thim", "collateral", "list"],
            stdout=end,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "60", "LINES": "25"},
            check=True,
        )
        os.close(end)
        lines = os.read(terminal, 65536).decode().splitlines()
        os.close(terminal)

        assert max(map(len, lines)) <= 60
        assert not any("…" in line for line in lines)
        assert len(lines) > 4


class TestShow:
    def test_newest(self, thim, filled):
        """
        A document is shown with its dates, its chain and its text.
        """
        run = thim("collateral", "show", "--json", TCB_INFO, "--number", "17")

        assert 0 == run.code
        assert TCB_INFO == run.json["document"]
        assert (17, "2025-08-04T03:43:45Z", "2025-09-03T03:43:45Z") == (
            run.json["evaluation_number"],
            run.json["issued"],
            run.json["next_update"],
        )
        assert INTEL.tcb_info(issued=day(60)).decode() == run.json["body"]
        assert (INTEL.signer, INTEL.root) == parse_pem_chain(
            run.json["issuer_chain"].encode()
        )

    def test_name_as_status_prints_it(self, thim, filled):
        """
        The number may stand in the name.
        """
        named = thim("collateral", "show", "--json", f"{TCB_INFO}?number=17")
        apart = thim("collateral", "show", "--json", TCB_INFO, "--number", "17")
        wrong = thim("collateral", "show", "--json", f"{TCB_INFO}?number=x")

        assert apart.json == named.json
        assert 2 == wrong.code

    def test_body(self, thim, filled):
        """
        With ``--body`` the very bytes are written, and nothing else.
        """
        run = thim("collateral", "show", TCB_INFO, "--number", "18", "--body")

        assert INTEL.tcb_info(number=18) == run.out

    def test_crl(self, thim, filled):
        """
        A CRL has no number; in JSON its bytes are hexadecimal.
        """
        shown = thim("collateral", "show", "--json", PLATFORM).json
        body = thim("collateral", "show", PLATFORM, "--body").out

        assert INTEL.pck_crl() == bytes.fromhex(shown["body"])
        assert INTEL.pck_crl() == body
        assert shown["evaluation_number"] is None

    @pytest.mark.parametrize(
        ("at", "issued"),
        [
            ("2025-06-06", "2025-06-05T03:43:45Z"),
            ("20250804T034344Z", "2025-06-05T03:43:45Z"),
            ("2025-08-04T05:43:45+02:00", "2025-08-04T03:43:45Z"),
        ],
    )
    def test_at(self, thim, filled, at, issued):
        """
        With ``--at`` it is what was current then.
        """
        run = thim(
            "collateral",
            "show",
            "--json",
            TCB_INFO,
            "--number",
            "17",
            "--at",
            at,
        )

        assert issued == run.json["issued"]

    def test_names_the_numbers(self, thim, filled):
        """
        Who names no number is told which there are.
        """
        run = thim("collateral", "show", "--json", TCB_INFO)

        assert "there are the numbers 17, 18" in run.err

    def test_fmspc_in_any_case(self, thim, filled):
        """
        The case of an FMSPC does not matter.
        """
        name = TCB_INFO.replace("00906ED50000", "00906ed50000").replace(
            "00606A000000", "00606a000000"
        )
        run = thim("collateral", "show", "--json", name, "--number", "17")

        assert 0 == run.code

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([TCB_INFO], f"{TCB_INFO} number - is not in the archive"),
            ([TCB_INFO, "--number", "19"], "number 19 is not in the archive"),
            (
                [TCB_INFO, "--number", "17", "--at", "2025-06-01"],
                "is not in the archive",
            ),
            ([TCB_INFO, "--at", "yesterday"], "at: got 'yesterday'"),
            (["tcb-info"], "DOCUMENT: got 'tcb-info'"),
            (["intel/tcbinfo/x/3"], "DOCUMENT: got"),
            (["intel/tcb-info/x/three"], "DOCUMENT: got"),
            (["intel/tcb-info/x/3/4"], "DOCUMENT: got"),
            (["amd/tcb-info/x/3"], "is not in the archive"),
            ([f"intel/tcb-info/x/{10**30}"], ""),
            ([TCB_INFO, "--number", str(10**30)], ""),
        ],
    )
    def test_not_there(self, thim, filled, arguments, message):
        """
        What there is not, or no name can mean, is one line and exit code 2.
        """
        run = thim("collateral", "show", "--json", *arguments)

        assert (2, b"") == (run.code, run.out)
        assert message in run.err
        assert 1 == run.err.count("\n")

    def test_name_that_is_no_text(self, filled):
        """
        Nor does one that is not UTF-8 end in a traceback.
        """
        run = subprocess.run(
            [
                *(sys.executable, "-m", "thim", "collateral", "show"),
                b"intel/tcb-info/\xff/3",
            ],
            capture_output=True,
            check=False,
        )

        assert (2, b"") == (run.returncode, run.stdout)
        assert 1 == run.stderr.count(b"\n")


class TestCoverage:
    def test_gaps(self, thim, filled):
        """
        Each key and number has a line with its gaps.
        """
        run = thim("collateral", "coverage", "--kind", "tcb-info")
        _, *lines = run.text.splitlines()

        assert 0 == run.code
        assert 3 == len(lines)
        assert [TCB_INFO, "17", "2"] == lines[1].split()[:3]
        assert lines[1].rstrip().endswith("2025-07-05…2025-08-04")
        assert "-" == lines[2].split()[-1]

    def test_json(self, thim, filled):
        """
        As JSON the gaps are spans; what never ends has no end.
        """
        found = thim("collateral", "coverage", "--json").json
        by_name = {(c["document"], c["evaluation_number"]): c for c in found}

        assert {
            "document": TCB_INFO,
            "evaluation_number": 17,
            "documents": 2,
            "from": "2025-06-05T03:43:45Z",
            "to": "2025-09-03T03:43:45Z",
            "gaps": [
                {"from": "2025-07-05T03:43:45Z", "to": "2025-08-04T03:43:45Z"}
            ],
        } == by_name[TCB_INFO, 17]
        v1 = by_name[TCB_INFO[:-1] + "1", None]
        assert (None, []) == (v1["to"], v1["gaps"])

    def test_empty(self, thim, store):
        """
        An empty archive covers nothing.
        """
        run = thim("collateral", "coverage", "--json", "--store", store)

        assert [] == run.json


class TestStore:
    @pytest.mark.parametrize(
        "command", [["list"], ["coverage"], ["show", PLATFORM], ["import", "."]]
    )
    def test_missing(self, thim, tmp_path, command):
        """
        Every command needs a store that is there, and makes none.
        """
        path = tmp_path / "typo.db"
        run = thim("collateral", *command, "--store", path)

        assert (2, b"") == (run.code, run.out)
        assert f"store {path}: no such file" in run.err
        assert not path.exists()

    @pytest.mark.parametrize(
        "command", [["list"], ["coverage"], ["show", PLATFORM]]
    )
    def test_damaged(self, thim, filled, ledger, command):
        """
        A damaged one is one line and no traceback.
        """
        ledger.close()
        raw = filled.read_bytes()
        filled.write_bytes(raw[:4096] + bytes(len(raw) - 4096))
        run = thim("collateral", *command)

        assert (2, b"") == (run.code, run.out)
        assert 1 == run.err.count("\n")

    def test_from_the_file(self, thim, filled, tmp_path, monkeypatch):
        """
        The store may stand in the configuration.
        """
        monkeypatch.delenv("THIM_STORE")
        path = tmp_path / "thim.toml"
        path.write_text(f"store = {json.dumps(str(filled))}")
        run = thim("collateral", "list", "--json", "--config", path)

        assert 3 == len(run.json)


class TestAmd:
    CHAIN = "amd/cert-chain/Milan:vcek/0"
    CRL = "amd/crl/Milan:vcek/0"
    VCEK = f"amd/vcek/Milan:{CHIP.hex().upper()}:{TCB.tcbm}/0"

    @pytest.fixture(autouse=True)
    def amd(self, filled, ledger):
        """
        The same with AMD's documents.
        """
        fill_amd(ledger, vcek(amd_day(0)), vcek(amd_day(5)))
        ledger.add(crl_record(issued=1))

    def test_list(self, thim):
        """
        Chains and lists are listed by name, with their dates.
        """
        lines = thim("collateral", "list").text.splitlines()[1:]

        assert [
            [self.CHAIN, "-", "2020-10-22", "2045-10-22", "fresh"],
            ["amd/cert-chain/Milan:vlek/0", "-", "2022-11-16"],
            [self.CRL, "-", "2026-03-02"],
        ] == [
            line.split()[:n]
            for line, n in zip(lines[:3], (5, 3, 3), strict=True)
        ]

    def test_chain(self, thim):
        """
        A chain is shown as text.
        """
        shown = thim("collateral", "show", "--json", self.CHAIN).json

        assert AMD.chain(MILAN).decode() == shown["body"]
        assert (self.CHAIN, "2020-10-22T18:24:20Z") == (
            shown["document"],
            shown["issued"],
        )

    def test_crl(self, thim):
        """
        A list is shown in hexadecimal digits, or written as it is.
        """
        der = crl_record(issued=1).body

        assert (
            der.hex()
            == thim("collateral", "show", "--json", self.CRL).json["body"]
        )
        assert der == thim("collateral", "show", self.CRL, "--body").out

    def test_vcek(self, thim):
        """
        So is a VCEK, whose name may be in any case, with its chain.
        """
        name = self.VCEK.replace(CHIP.hex().upper(), CHIP.hex())
        shown = thim("collateral", "show", "--json", name).json

        assert (self.VCEK, vcek(amd_day(5)).hex()) == (
            shown["document"],
            shown["body"],
        )
        assert AMD.chain(MILAN).decode() == shown["issuer_chain"]
        assert ("2026-03-06T00:00:00Z", "2033-03-06T00:00:00Z") == (
            shown["issued"],
            shown["next_update"],
        )

    def test_vlek(self, thim, ledger):
        """
        A VLEK is listed and shown by its product line and TCB: the newest of
        any provider, the others with all.
        """
        name = f"amd/vlek/Milan:{TCB.tcbm}/0"
        fill_amd(ledger, vlek(amd_day(0), csp_id="another"), vlek(amd_day(5)))

        listed = thim("collateral", "list", "--json").json
        assert 1 == [e["document"] for e in listed].count(name)
        vendors = [e["document"].partition("/")[0] for e in listed]
        assert {"amd", "intel"} == set(vendors)
        assert vendors == sorted(vendors)
        every = thim("collateral", "list", "--all", "--kind", "vlek", "--json")
        assert [(name, True), (name, False)] == [
            (e["document"], e["is_head"]) for e in every.json
        ]
        small = name.replace(TCB.tcbm, TCB.tcbm.lower())
        shown = thim("collateral", "show", "--json", small).json
        assert (name, vlek(amd_day(5)).hex()) == (
            shown["document"],
            shown["body"],
        )
        at = ("--at", "2026-03-03T00:00:00Z", "--body")
        older = thim("collateral", "show", name, *at).out
        assert vlek(amd_day(0), csp_id="another") == older

    def test_vcek_at(self, thim):
        """
        The one of an instant may be asked for.
        """
        at = ("--at", "2026-03-03T00:00:00Z", "--body")

        run = thim("collateral", "show", self.VCEK, *at)
        assert vcek(amd_day(0)) == run.out

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            (f"amd/vcek/Genoa:{CHIP.hex()}:00/0", "is not in the archive"),
            ("amd/vcek/Milan:00:00/0", "hardware ID of 1 bytes"),
            ("amd/vlek/Turin:00/0", "is not in the archive"),
            (f"intel/vlek/Milan:{TCB.tcbm}/0", "is not in the archive"),
            (f"amd/vlek/Milan:{TCB.tcbm}/1", "is not in the archive"),
            (f"intel/vcek/Milan:{CHIP.hex()}:{TCB.tcbm}/0", "not in the"),
            ("amd/vlek/Venice:00/0", "Venice"),
            ("amd/crl/Turin:vcek/0", "is not in the archive"),
        ],
    )
    def test_not_there(self, thim, name, message):
        """
        What is not there is said.
        """
        run = thim("collateral", "show", "--json", name)

        assert 2 == run.code
        assert message in " ".join(run.err.split())

    def test_older(self, thim, ledger):
        """
        Older lists are listed with the others.
        """
        ledger.add(crl_record(issued=9))
        lines = thim("collateral", "list", "--all", "--kind", "crl").text

        assert 2 == lines.count(self.CRL)

    def test_coverage(self, thim):
        """
        From when to when they cover is told.
        """
        run = thim("collateral", "coverage", "--kind", "cert-chain")

        assert 0 == run.code
        assert self.CHAIN in run.text
