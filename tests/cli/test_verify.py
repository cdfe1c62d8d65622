import base64
import dataclasses
import datetime
import io
import os
import re
import subprocess
import sys

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tests.cli.conftest import Run
from tests.cli.sim import Sim
from tests.simulate.chips import playing
from thim.amd.report import Report
from thim.cli.verify import never_a_verdict
from thim.simulate.broken import Down
from thim.simulate.evidence import QuoteKind, QuoteOrder, make_quote
from thim.simulate.server import Simulated
from thim.simulate.setup import write_setup
from thim.simulate.snp_evidence import (
    ReportOrder,
    SigningKey,
    make_report,
)


#: Where MRTD begins in a quote of version 4.
MRTD = 184
DAY = datetime.timedelta(days=1)
#: What every object has, whatever became of the evidence.
KEYS = {
    "authentic",
    "tcb_status",
    "advisories",
    "evaluation_number",
    "findings",
}


@dataclasses.dataclass(frozen=True)
class World:
    """
    A vendor's world, with a setup in front of it.
    """

    sim: Sim
    thim: Callable[..., Run]

    @property
    def vendor(self) -> Simulated:
        """
        The vendor.
        """
        return self.sim.vendor

    def quote(self, kind=QuoteKind.TDX_V4, machine="sapphire-1", raw_tcb=0):
        """
        Have a machine make a quote, and write it to a file.
        """
        intel = self.vendor.intel
        order = QuoteOrder(platform=machine, kind=kind, raw_tcb=raw_tcb)
        raw = make_quote(intel.world, intel.pki, order, self.vendor.clock())
        return self.write(raw)

    def report(self, chip="milan-1", by=SigningKey.VCEK, **fields):
        """
        Have a chip make a report, and write it to a file.
        """
        order = ReportOrder(chip=chip, signing_key=by, fields=fields)
        raw = make_report(self.vendor.amd, order)
        return self.write(raw)

    def write(self, raw):
        """
        Write evidence to a file.
        """
        file = self.sim.folder / "evidence.bin"
        file.write_bytes(raw)
        return file

    def verify(self, file, *rest):
        """
        Run ``thim verify``.
        """
        return self.thim("verify", file, "--config", self.sim.config, *rest)


@pytest.fixture
def world(thim, tmp_path):
    """
    The default world, whose AMD does not count requests.
    """
    with playing() as vendor:
        write_setup(tmp_path / "sim.toml", vendor)
        yield World(Sim(vendor=vendor, folder=tmp_path), thim)


class TestExitCode:
    def test_acceptable(self, world):
        """
        0: authentic, and at the baseline; what it takes is fetched.
        """
        run = world.verify(world.quote(), "--baseline", "standard", "--json")

        found = run.json
        assert (0, True, True) == (
            run.code,
            found["authentic"],
            found["acceptable"],
        )
        assert ("UpToDate", []) == (found["tcb_status"], found["findings"])
        assert "standard" == found["baseline"]

    def test_below(self, world):
        """
        1: authentic, but below the baseline; the findings say in what.
        """
        file = world.quote(machine="sapphire-1", raw_tcb=0)

        run = world.verify(file, "--baseline", "early", "--json")

        assert 1 == run.code
        assert run.json["authentic"]
        assert "OutOfDate" == run.json["tcb_status"]
        finding = run.json["findings"][0]
        assert int(finding["found"]) < int(finding["needed"])
        assert finding["component"] in finding["detail"]
        assert finding["remedy"]

    def test_not_authentic(self, world):
        """
        2: a changed quote; the failed step is named.
        """
        raw = bytearray(world.quote().read_bytes())
        raw[MRTD] ^= 1

        run = world.verify(world.write(bytes(raw)), "--json")

        assert (2, False) == (run.code, run.json["authentic"])
        assert "quote-signature" == run.json["findings"][0]["reason"]
        assert 12 == run.json["findings"][0]["step"]

    @pytest.mark.parametrize("raw", [b"", b"# hello\n", bytes(5000)])
    def test_not_evidence(self, world, raw):
        """
        2: what is no evidence at all.
        """
        run = world.verify(world.write(raw), "--json")

        assert (2, False) == (run.code, run.json["authentic"])
        assert "not-evidence" == run.json["findings"][0]["reason"]

    def test_missing(self, world):
        """
        3: the collateral is not there, and nobody may be asked.
        """
        run = world.verify(world.quote(), "--offline", "--json")

        assert (3, None) == (run.code, run.json["authentic"])
        assert "collateral" == run.json["findings"][0]["remedy"]
        assert run.json.keys() >= KEYS

    def test_missing_for_people(self, world):
        """
        Without --json what is missing is one line on standard error.
        """
        run = world.verify(world.quote(), "--offline")

        assert (3, "") == (run.code, run.text)
        assert "thim: cannot say: " in run.err

    def test_forged_needs_no_collateral(self, world):
        """
        2 and not 3: what is forged is refused also where collateral lacks.
        """
        raw = bytearray(world.quote().read_bytes())
        raw[MRTD] ^= 1

        run = world.verify(world.write(bytes(raw)), "--offline", "--json")

        assert (2, False) == (run.code, run.json["authentic"])
        results = {s["number"]: s["result"] for s in run.json["steps"]}
        assert ("ok", "not-reached", "ok", "failed") == (
            results[2],
            results[4],
            results[9],
            results[12],
        )
        assert "missing" == run.json["revocation"]

    def test_forged_needs_no_store(self, world):
        """
        2 and not 3: nor does it need a store.
        """
        raw = bytearray(world.quote().read_bytes())
        raw[MRTD] ^= 1

        nowhere = world.sim.folder / "no.db"
        run = world.verify(world.write(bytes(raw)), "--store", nowhere)

        assert 2 == run.code
        assert "not authentic" in run.text

    def test_forged_asks_nobody(self, world):
        """
        No vendor is asked for the sake of forged evidence.
        """
        raw = bytearray(world.quote().read_bytes())
        raw[MRTD] ^= 1
        before = len(world.vendor.requests)

        world.verify(world.write(bytes(raw)))

        assert before == len(world.vendor.requests)

    def test_number_nobody_knows(self, world):
        """
        3: nothing is known of a number.
        """
        run = world.verify(world.quote(), "--number", "999", "--json")

        assert 3 == run.code

    def test_expired_revocation_list(self, world):
        """
        3: with an expired revocation list nobody can say; what was found is
        told all the same.
        """
        file = world.quote()
        world.verify(file, "--number", "20")
        world.vendor.clock.advance(40 * DAY)

        run = world.verify(file, "--number", "20", "--offline", "--json")

        assert (3, None) == (run.code, run.json["authentic"])
        assert not run.json["acceptable"]
        assert ("crl-expired", "collateral") == (
            run.json["findings"][0]["reason"],
            run.json["findings"][0]["remedy"],
        )
        assert "intel/pck-crl/platform/0" in run.json["expired"]
        assert None is run.json["claims"]

    def test_expired_is_fetched_anew(self, world):
        """
        Where vendors may be asked, what has expired is fetched anew.
        """
        file = world.quote()
        world.verify(file)
        world.vendor.clock.advance(40 * DAY)

        run = world.verify(file, "--json")

        assert [] == run.json["expired"]


class TestOptions:
    def test_baseline_and_number(self, world):
        """
        A baseline and a number together are refused.
        """
        run = world.verify(
            world.quote(), "--baseline", "early", "--number", "20"
        )

        assert 2 == run.code
        assert "--baseline" in run.err

    def test_unknown_baseline(self, world):
        """
        An unknown baseline is refused, and never taken for the default.
        """
        run = world.verify(world.quote(), "--baseline", "nobodys")

        assert 2 == run.code
        assert "baseline 'nobodys' is not known" in run.err

    def test_number(self, world):
        """
        A number decides.
        """
        run = world.verify(world.quote(), "--number", "20", "--json")

        assert (20, "20") == (
            run.json["evaluation_number"],
            run.json["baseline"],
        )

    @pytest.mark.parametrize("at", ["yesterday", "2999-01-01"])
    def test_bad_instant(self, world, at):
        """
        What is no instant, or one in the future, is refused.
        """
        run = world.verify(world.quote(), "--at", at)

        assert 2 == run.code
        assert re.match("thim: at: got", run.err)

    def test_at(self, world):
        """
        At an instant of the past it is what was current then that decides,
        and nobody is asked.
        """
        file = world.quote()
        then = world.vendor.clock()
        world.verify(file)
        world.vendor.clock.advance(40 * DAY)
        world.verify(file)

        run = world.verify(file, "--at", f"{then:%FT%TZ}", "--json")

        assert f"{then:%FT%TZ}" == run.json["at"]
        assert [] == run.json["expired"]

    def test_negative_number(self, world):
        """
        A number below 0 is refused.
        """
        run = world.verify(world.quote(), "--number", "-1")

        assert 2 == run.code

    def test_no_file(self, world):
        """
        A file that is not there is said to be so.
        """
        run = world.verify(world.sim.folder / "nothing")

        assert 2 == run.code
        assert "nothing: No such file" in run.err

    def test_a_store_that_is_not_there(self, world):
        """
        3: a store that is not there has no collateral.
        """
        run = world.verify(
            world.quote(), "--store", world.sim.folder / "no.db", "--offline"
        )

        assert 3 == run.code


class TestForms:
    @pytest.mark.parametrize(
        "encode",
        [
            bytes.hex,
            lambda raw: raw.hex("\n", 40).upper(),
            lambda raw: base64.b64encode(raw).decode(),
            lambda raw: base64.encodebytes(raw).decode(),
            lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
        ],
    )
    def test_text(self, world, encode):
        """
        Hexadecimal digits and base64 stand for what they encode.
        """
        raw = world.quote().read_bytes()

        run = world.verify(world.write(encode(raw).encode()), "--json")

        assert run.json["authentic"]

    def test_standard_input(self, world, monkeypatch):
        """
        A dash is the standard input.
        """
        raw = world.quote().read_bytes()
        given = io.TextIOWrapper(io.BytesIO(raw))
        monkeypatch.setattr(sys, "stdin", given)

        run = world.verify("-", "--json")

        assert run.json["authentic"]

    def test_too_large(self, world):
        """
        What is larger than any evidence is refused.
        """
        raw = world.quote().read_bytes().ljust(10**6, b" ")

        run = world.verify(world.write(raw), "--json")

        assert (2, "too-large") == (
            run.code,
            run.json["findings"][0]["reason"],
        )

    @pytest.mark.parametrize("kind", list(QuoteKind))
    def test_quotes(self, world, kind):
        """
        SGX and TDX, versions 3 to 5.
        """
        run = world.verify(world.quote(kind), "--json")

        name = kind.value.replace("-", "-quote-")
        assert (True, name) == (
            run.json["authentic"],
            run.json["evidence"]["kind"],
        )
        assert 4 == len(run.json["collateral"])

    def test_open_enclave(self, world):
        """
        Open Enclave's report around a quote.
        """
        raw = world.quote(QuoteKind.SGX_V3).read_bytes()
        header = b"\1\0\0\0\2\0\0\0" + len(raw).to_bytes(8, "little")

        run = world.verify(world.write(header + raw), "--json")

        assert run.json["authentic"]
        assert "oe-report" == run.json["evidence"]["envelope"]


class TestReport:
    @pytest.mark.parametrize("chip", ["milan-1", "genoa-1", "turin-1"])
    def test_authentic(self, world, chip):
        """
        A report's VCEK, chain and list are fetched; there is no TCB status.
        """
        run = world.verify(world.report(chip), "--json")

        assert (0, True) == (run.code, run.json["authentic"])
        assert None is run.json["tcb_status"]
        assert run.json.keys() >= KEYS
        assert ["vcek"] == [
            d["document"]
            for d in run.json["collateral"]
            if "amd/" not in d["document"]
        ]

    def test_changed(self, world):
        """
        A changed report is not authentic.
        """
        raw = bytearray(world.report().read_bytes())
        raw[0x90] ^= 1

        run = world.verify(world.write(bytes(raw)), "--json")

        assert (2, False) == (run.code, run.json["authentic"])
        assert [9] == [f["step"] for f in run.json["findings"]]

    def test_missing(self, world):
        """
        3: the VCEK is not there.
        """
        run = world.verify(world.report(), "--offline", "--json")

        assert 3 == run.code
        assert "unknown-vcek" == run.json["findings"][0]["reason"]

    def test_masked(self, world):
        """
        3: a report that names no chip.
        """
        run = world.verify(world.report(chip_id=bytes(64)), "--json")

        assert 3 == run.code
        assert "chip-id-masked" == run.json["findings"][0]["reason"]

    def test_by_vlek(self, world):
        """
        A report that a provider's key signed is verified once that key was
        imported; nobody else has it.
        """
        file = world.report("milan-2", by=SigningKey.VLEK)
        missing = world.verify(file, "--json")
        chip = world.vendor.chip("milan-2")
        for name in ("vlek", "vlek_chain"):
            (world.sim.folder / name).write_bytes(getattr(chip, name))
        world.thim(
            "collateral",
            "import",
            world.sim.folder / "vlek_chain",
            world.sim.folder / "vlek",
            "--config",
            world.sim.config,
        )
        world.thim(
            "collateral",
            "refresh",
            "amd/crl/Milan:vlek/0",
            "--config",
            world.sim.config,
        )

        run = world.verify(file, "--json")

        assert (3, "unknown-vlek") == (
            missing.code,
            missing.json["findings"][0]["reason"],
        )
        assert (0, "vlek") == (run.code, run.json["claims"]["kind"])

    def test_no_revocation_list(self, world):
        """
        AMD's lists name intermediates only: that one has ended is a note; and
        where the vendor may be asked, a newer one is fetched.
        """
        file = world.report()
        world.verify(file)
        world.vendor.clock.advance(400 * DAY)

        run = world.verify(file, "--offline", "--json")
        again = world.verify(file, "--json")

        assert (0, True, "expired") == (
            run.code,
            run.json["authentic"],
            run.json["revocation"],
        )
        assert ["crl-expired"] == [n["reason"] for n in run.json["notes"]]
        assert (0, "checked") == (again.code, again.json["revocation"])

    def test_nothing_names_the_chip(self, world):
        """
        What is printed never holds the chip's ID.
        """
        file = world.report()
        chip_id = Report.from_bytes(file.read_bytes()).chip_id.hex()

        run = world.verify(file)

        assert 0 == run.code
        assert chip_id not in run.text.lower()


class TestTree:
    def test_authentic(self, world):
        """
        Each step has a line with its number, its result and what was found.
        """
        run = world.verify(world.quote(), "--baseline", "standard")

        lines = run.text.splitlines()
        assert "tdx-quote-v4, authentic, UpToDate" in lines[0]
        numbers = re.findall(r"^. +(\d+) .*: ok", run.text, re.MULTILINE)
        assert list(range(1, 17)) == [
            int(n) for n in re.findall(r"─ +(\d+) .*: ok", run.text)
        ]
        assert not numbers
        assert "sha256" in run.text
        assert "debug: no" in run.text

    def test_behind(self, world):
        """
        A level that is behind has its findings below it.
        """
        run = world.verify(world.quote(), "--baseline", "early")

        text = run.text
        assert 1 == run.code
        assert re.search(r"13 .*: behind .*\n.*└── .*is needed", text) or (
            re.search(r"1[345] .*: behind .*\n.*── .* needed", text)
        )

    def test_failed(self, world):
        """
        A step that fails is marked, and those behind it were not reached.
        """
        raw = bytearray(world.quote().read_bytes())
        raw[MRTD] ^= 1

        run = world.verify(world.write(bytes(raw)))

        assert "not authentic" in run.text
        assert re.search("12 .*: FAILED", run.text)
        assert re.search("13 .*: -", run.text)

    def test_colour_only_on_a_terminal(self, world):
        """
        Into a pipe there are no escape sequences.
        """
        run = world.verify(world.quote())

        assert "\x1b" not in run.text

    def test_no_evidence(self, world):
        """
        What is no evidence has no steps, but a reason.
        """
        run = world.verify(world.write(b"\x1b[31mhello"))

        assert "not authentic" in run.text
        assert "neither a quote" in run.text


def test_help_tells_the_exit_codes(thim):
    """
    The contract of exit codes stands in the help.
    """
    run = thim("verify", "--help")

    for code in "0123":
        assert f"{code}: " in run.text


def test_a_defect_is_no_verdict(capsys):
    """
    3: a defect of ours never ends in the exit code of a verdict.
    """
    with pytest.raises(typer.Exit) as e, never_a_verdict():
        _ = 1 // 0

    assert 3 == e.value.exit_code
    assert "ZeroDivisionError" in capsys.readouterr().err


class TestVendorTrouble:
    def test_down(self, world):
        """
        3: what could not be fetched is named, with the reason.
        """
        world.vendor.faults.add(Down())

        run = world.verify(world.quote(), "--json")

        assert 3 == run.code
        assert "cannot be fetched now" in run.json["findings"][0]["detail"]

    def test_down_with_old_documents(self, world):
        """
        A verdict with what is there says what went wrong beside it.
        """
        file = world.quote()
        world.verify(file, "--number", "20")
        world.vendor.clock.advance(40 * DAY)
        world.vendor.faults.add(Down())

        run = world.verify(file, "--number", "20", "--json")

        assert 3 == run.code
        assert "collateral" in {n["remedy"] for n in run.json["notes"]}
        assert any("?number=20: " in n["detail"] for n in run.json["notes"])


def run_command(world, file, *rest, **streams):
    """
    Run the command as its own program.
    """
    command = [sys.executable, "-m", "thim", "verify", str(file), *rest]
    return subprocess.run(
        [*command, "--config", str(world.sim.config), "--offline"],
        check=False,
        timeout=60,
        **streams,
    )


class TestStreams:
    """
    The verdict stands, whatever becomes of what is written of it.
    """

    @pytest.fixture
    def forged(self, world):
        """
        A changed quote: nothing of this may ever end in 0 or 1.
        """
        raw = bytearray(world.quote().read_bytes())
        raw[MRTD] ^= 1
        return world.write(bytes(raw))

    @pytest.mark.parametrize("how", [[], ["--json"]])
    def test_reader_goes_away(self, world, forged, how):
        """
        Where nobody reads the output the exit code is the verdict's.
        """
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            done = run_command(world, forged, *how, stdout=pipe)

        assert 2 == done.returncode

    def test_full_disk(self, world, forged):
        """
        Where the output cannot be written nobody has been told anything: 3.
        """
        with Path("/dev/full").open("wb") as full:
            done = run_command(
                world, forged, "--json", stdout=full, stderr=subprocess.PIPE
            )

        assert 3 == done.returncode
        assert b"cannot be written: No space left" in done.stderr
        assert b"Traceback" not in done.stderr

    def test_no_output(self, world, forged):
        """
        Without a standard output the exit code is the verdict's.
        """
        done = run_command(
            world,
            forged,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: os.close(1),
        )

        assert 2 == done.returncode

    def test_no_input(self, world):
        """
        Without a standard input there is nothing to verify.
        """
        done = run_command(
            world,
            "-",
            stderr=subprocess.PIPE,
            preexec_fn=lambda: os.close(0),
        )

        assert 2 == done.returncode
        assert b"-: closed" in done.stderr

    def test_narrow_encoding(self, world, forged):
        """
        What the terminal's encoding does not have is written otherwise.
        """
        file = world.sim.folder / "beweis-\u00fc-\u2714"
        file.write_bytes(forged.read_bytes())
        done = run_command(
            world,
            file,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )

        assert 2 == done.returncode
        assert b"not authentic" in done.stdout
