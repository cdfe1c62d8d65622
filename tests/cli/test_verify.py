import base64
import io
import re
import sys

import pytest

from tests.cli.evidence import DAY, KEYS, MRTD
from thim.simulate.evidence import QuoteKind


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
