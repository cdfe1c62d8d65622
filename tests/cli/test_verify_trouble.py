import asyncio
import os
import subprocess
import sys

from pathlib import Path

import pytest
import typer

from tests.cli.evidence import DAY, MRTD
from tests.vendors import await_so
from thim.cli.options import find_place
from thim.cli.verify import never_a_verdict
from thim.collateral.records import ROOT_CA_CRL
from thim.collateral.targets import Target
from thim.services.side import facing_vendors
from thim.services.verification import Ask, look_at
from thim.services.verification_fill import fetch_for
from thim.simulate.broken import Down, Slow


def test_a_defect_is_no_verdict(capsys):
    """
    3: a defect of ours never ends in the exit code of a verdict.
    """
    with pytest.raises(typer.Exit) as e, never_a_verdict():
        _ = 1 // 0

    assert 3 == e.value.exit_code
    assert "ZeroDivisionError" in capsys.readouterr().err


class TestVendorTrouble:
    def test_forever_slow(self, world):
        """
        A vendor is waited for as long as patience allows, and then named.
        """
        evidence = look_at(world.quote().read_bytes())
        place = find_place(None, world.sim.config)
        ask = Ask(now=place.clock())
        world.vendor.faults.add(Slow(seconds=5))

        async def fetch():
            async with facing_vendors(
                place.store, place.anchors, place.vendors, place.clock
            ) as side:
                return await fetch_for(side, evidence, ask, DAY / 86400 / 10)

        errors = asyncio.run(fetch())

        assert ["vendor-slow"] == [e.reason for e in errors]

    def test_renewed_meanwhile(self, world):
        """
        What a service is just renewing is waited for: no verdict goes by the
        list that has ended.
        """
        file = world.quote()
        assert 0 == world.verify(file, "--number", "20").code
        world.vendor.clock.advance(40 * DAY)
        evidence = look_at(file.read_bytes())
        place = find_place(None, world.sim.config)
        ask = Ask(number=20, now=place.clock())
        root = Target(key=ROOT_CA_CRL)
        asked = lambda: len(world.vendor.requests.of("rootcacrl"))  # noqa: E731
        before = asked()
        world.vendor.faults.add(Slow(seconds=0.5, route="rootcacrl"))

        async def fetch():
            async with facing_vendors(
                place.store, place.anchors, place.vendors, place.clock
            ) as side:
                service = asyncio.create_task(
                    side.fetcher.fetch(root, is_refresh=False)
                )
                await asyncio.to_thread(await_so, lambda: asked() > before)
                errors = await fetch_for(side, evidence, ask)
                await service
                return errors, side.replica.find(ROOT_CA_CRL)

        errors, held = asyncio.run(fetch())

        assert [] == errors
        assert held.next_update > place.clock()

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

    def test_reader_of_colours_goes_away(self, world, forged):
        """
        Nor where colours are forced.
        """
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            done = run_command(
                world,
                forged,
                stdout=pipe,
                env={**os.environ, "FORCE_COLOR": "1"},
            )

        assert 2 == done.returncode

    def test_nowhere_to_write(self, world, forged):
        """
        Also where nothing at all can be written the code is no verdict's.
        """
        with Path("/dev/full").open("wb") as full:
            done = run_command(world, forged, stdout=full, stderr=full)
            unusable = run_command(world, "nothing", stderr=full)

        assert 3 == done.returncode
        assert 2 == unusable.returncode

    def test_input_that_is_not_ready(self, world, forged):
        """
        A standard input that does not block is read to its end all the same.
        """
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb") as end:
            end.write(forged.read_bytes())
            end.close()
            done = run_command(world, "-", stdin=pipe, stdout=subprocess.PIPE)

        assert 2 == done.returncode
        assert b"12 the attestation key signed the quote: FAILED" in done.stdout

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
