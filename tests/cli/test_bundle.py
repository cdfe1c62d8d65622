"""
``thim bundle``, as operators of both sites use it.
"""

import dataclasses

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.carrying import NOW, Sites, carried, configure, copy
from tests.new_store import new_replica
from tests.postgresql import needs_postgresql
from thim.collateral.anchors import VENDOR_ROOTS
from thim.collateral.bundle_keys import SecretKey
from thim.collateral.bundle_parts import MOST_COUNTER
from thim.intel.names import Update
from thim.store.founding import make_replica
from thim.store.ledger import Ledger


OTHER = SecretKey(bytes(32)).public


@dataclasses.dataclass(frozen=True, slots=True)
class Desks:
    """
    Both sites, and how commands are run there.
    """

    sites: Sites
    thim: Callable[..., Any]

    def open(self, *arguments: str | Path) -> Any:
        """Run a command at the open site."""
        config = self.sites.open.folder / "sim.toml"
        return self.thim("bundle", *arguments, "--config", config)

    def closed(self, *arguments: str | Path) -> Any:
        """Run a command at the closed site."""
        config = self.sites.closed.folder / "thim.toml"
        return self.thim("bundle", *arguments, "--config", config)

    def trust(self) -> tuple[str, str]:
        """Trust the open site's key."""
        return "--trust", self.sites.open.key.public.fingerprint

    def at(self, name: str) -> Path:
        """Return a file that is carried."""
        return self.sites.at(name)


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    with carried(tmp_path_factory.mktemp("carried")) as made:
        yield made


@pytest.fixture
def desks(_made, tmp_path, thim):
    """
    Both sites, after the first bundle was made.
    """
    sites = copy(_made, tmp_path)
    configure(sites)
    return Desks(sites, thim)


def test_there_and_back(desks):
    """A request goes out, a bundle comes back, and says for how long."""
    asked = desks.closed(
        "request",
        "-o",
        desks.at("again"),
        "--to",
        desks.sites.closed.folder / "open.pub",
        "--json",
    )
    made = desks.open(
        "export",
        "-o",
        desks.at("second"),
        "--request",
        desks.at("again"),
        "--trust",
        desks.sites.closed.key.public.fingerprint,
        "--fetch",
        "--json",
    )
    taken = desks.closed("import", desks.at("second"), *desks.trust())

    assert (2, 1, 3) == tuple(
        asked.json[name] for name in ("platforms", "manifests", "VCEKs")
    )
    # AMD has none of one chip at the other's TCB.
    assert (1, 2, {"VCEKs": 1}) == (
        made.code,
        made.json["counter"],
        made.json["missing"],
    )
    assert "VCEK of " in made.err
    assert 0 == taken.code
    assert "bundle 2 of 2026-11-02T09:00:00Z, complete" in taken.text
    assert "good until 2026-12-02T" in taken.text


def test_import_json(desks):
    """For machines the same is JSON."""
    run = desks.closed("import", desks.at("first"), *desks.trust(), "--json")

    assert 0 == run.json["missing"]
    assert {"platforms": 2} == run.json["already_known"]
    assert run.json["good_until"].startswith("2026-12-02T")


def test_already(desks):
    """
    Who was trusted at first contact is from then on, and twice is no error.
    """
    desks.closed("import", desks.at("first"), *desks.trust())

    run = desks.closed("import", desks.at("first"))

    assert 0 == run.code
    assert "bundle 1: already imported\n" == run.text


def test_unknown_signer(desks):
    """A stranger's bundle is refused with the fingerprint to compare."""
    run = desks.closed("import", desks.at("first"))

    assert 2 == run.code
    assert desks.sites.open.key.public.fingerprint in run.err


def test_pinned(desks):
    """With the setting only those count that it names."""
    pinned = desks.sites.closed.folder / "thim.toml"
    key = desks.sites.closed.folder / "open.pub"
    text = pinned.read_text()
    pinned.write_text(f'{text}bundle_signers = ["{key}"]\n')
    assert 0 == desks.closed("import", desks.at("first")).code

    pinned.write_text(f'{text}bundle_signers = ["{OTHER.fingerprint}"]\n')
    assert 2 == desks.closed("import", desks.at("first")).code


@pytest.mark.parametrize("text", ["", "12", "g" * 64])
def test_no_fingerprint(desks, text):
    """What is no fingerprint is refused, saying what one is."""
    run = desks.closed("import", desks.at("first"), "--trust", text)

    assert 2 == run.code
    assert "--trust: got" in run.err
    assert "64 hexadecimal digits" in run.err


def test_verify(desks):
    """A bundle is verified without changing the store."""
    before = desks.sites.closed.rows("SELECT count(*) FROM records")

    run = desks.closed("verify", desks.at("first"), *desks.trust())

    assert 0 == run.code
    assert "order: newer than all that were imported" in run.text
    assert "good until 2026-12-02T" in run.text
    assert before == desks.sites.closed.rows("SELECT count(*) FROM records")
    assert [] == desks.sites.closed.rows("SELECT * FROM bundles")


def test_verify_without_store(desks):
    """No store is needed to verify a bundle, and none is made."""
    desks.sites.closed.store.unlink()

    run = desks.closed("verify", desks.at("first"), *desks.trust(), "--json")

    assert 0 == run.code
    assert "no store here" in run.json["order"]["detail"]
    assert not desks.sites.closed.store.exists()


def test_verify_own(desks):
    """Who made a bundle looks at it before it is carried; import it not."""
    assert 0 == desks.open("verify", desks.at("first")).code
    assert 2 == desks.open("import", desks.at("first")).code


def test_verify_delta(desks):
    """A delta holds for itself, but not before what it builds on."""
    made = desks.open("export", "-o", desks.at("second"), "--since", "1")
    assert 0 == made.code
    assert "a delta to bundle 1" in made.text

    run = desks.closed("verify", desks.at("second"), *desks.trust())

    assert 1 == run.code
    assert "never imported here" in run.text
    assert "refused" not in run.text.partition("already known")[0]


def test_refused(desks):
    """What does not hold is listed, and the exit code says so."""
    clock = desks.sites.closed.folder / "clock"
    clock.write_text("=2026-10-01T00:00:00Z".ljust(32))

    run = desks.closed("import", desks.at("first"), *desks.trust())

    assert 1 == run.code
    assert "not-yet-valid" in run.text


def test_list(desks):
    """Both sites list what they made and took in."""
    desks.closed("import", desks.at("first"), *desks.trust())

    assert ["in"] == [
        row["direction"] for row in desks.closed("list", "--json").json
    ]
    (row,) = desks.open("list").text.splitlines()[1:]
    assert ["1", "out"] == row.split()[:2]


def test_key(desks):
    """A key is made once, and its public half is shown."""
    closed = desks.sites.closed
    again = desks.closed("key", "create")
    shown = desks.closed("key", "show").text

    assert 2 == again.code
    assert "there is one already" in again.err
    assert closed.key.public.text in shown
    assert closed.key.text not in shown
    (closed.folder / "bundle.key").unlink()
    made = desks.closed("key", "create")
    assert closed.key.public.fingerprint in made.text


def test_no_key(desks):
    """Without a key nothing is signed, and it is said what makes one."""
    (desks.sites.open.folder / "bundle.key").unlink()

    run = desks.open("export", "-o", desks.at("second"))

    assert 2 == run.code
    assert "`thim bundle key create` makes one" in run.err


@pytest.mark.parametrize(
    "options",
    [
        ("--fetch",),
        ("--request", "x", "--since", "1"),
        ("--request", "x", "--without-machines"),
    ],
)
def test_options(desks, options):
    """Options that contradict one another are refused."""
    run = desks.open("export", "-o", desks.at("second"), *options)

    assert 2 == run.code
    assert "expected" in run.err
    assert not desks.at("second").exists()


@pytest.mark.parametrize("option", ["--counter", "--since"])
def test_no_such_counter(desks, option):
    """A number that no bundle can have is refused."""
    beyond = str(MOST_COUNTER + 1)
    run = desks.open("export", "-o", desks.at("second"), option, beyond)

    assert 2 == run.code
    assert str(MOST_COUNTER) in run.err
    assert not desks.at("second").exists()


@needs_postgresql
def test_behind(thim, tmp_path):
    """
    Where the store is a replica that is behind its ledger, a bundle has what
    the ledger has.
    """
    store, other = tmp_path / "thim.db", tmp_path / "other.db"
    make_replica(store, new_replica(other, VENDOR_ROOTS))
    thim("bundle", "key", "create", "--store", store)
    with Ledger(other, VENDOR_ROOTS) as ledger:
        ledger.observe_channel(Update.STANDARD, 20, source="x", seen=NOW)

    run = thim(
        "bundle", "export", "-o", tmp_path / "b", "--store", store, "--json"
    )

    assert {"channels": 1} == run.json["parts"]


def test_in_the_way(desks):
    """Where the bundle cannot be written, no vendor is asked before."""
    run = desks.open(
        *("export", "-o", desks.at("first"), "--fetch"),
        *("--request", desks.at("request")),
        *("--trust", desks.sites.closed.key.public.fingerprint),
    )

    assert 2 == run.code
    assert "first: there is one already" in run.err
    assert "VCEK of " not in run.err


def test_no_vendor(desks):
    """Where no vendor is ever asked, nothing is fetched."""
    run = desks.closed(
        "export",
        "-o",
        desks.at("second"),
        "--request",
        desks.at("request"),
        "--trust",
        desks.sites.closed.key.public.fingerprint,
        "--fetch",
    )

    assert 2 == run.code
    assert "no vendor is ever asked" in run.err


def test_no_recipient_key(desks):
    """A file that is no public key is refused."""
    run = desks.closed(
        "request", "-o", desks.at("again"), "--to", desks.at("first")
    )

    assert 2 == run.code
    assert "--to: got" in run.err


def test_no_recipient_file(desks):
    """So is one that is not there, in words."""
    run = desks.closed("request", "-o", desks.at("again"), "--to", "open.pub")

    assert 2 == run.code
    assert (
        "thim: --to: got 'open.pub', expected a file that can be read: No such "
        "file or directory\n"
    ) == run.err
