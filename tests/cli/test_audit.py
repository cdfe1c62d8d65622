import json

import pytest

from tests.cli.sim import configure
from tests.new_store import new_replica
from tests.postgresql import needs_postgresql
from tests.services.evidence_world import (
    POLICY,
    SIGNER,
    day,
    forge,
    make_world,
    read,
)
from tests.services.made import INTEL
from thim.collateral.anchors import VENDOR_ROOTS
from thim.store.decision_file import find_decisions
from thim.store.founding import make_replica
from thim.store.ledger import Ledger


OF_ACME = {"token-create", "attestation-policy-set", "token", "tenant-enact"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """
    A store with decisions, and a configuration at whose clock it is day 30.
    """
    folder = tmp_path_factory.mktemp("world")
    made = make_world(folder / "made")
    path = configure(folder, INTEL, day(30))
    (folder / "thim.db").unlink()
    for source in (made, find_decisions(made)):
        (folder / source.name).write_bytes(source.read_bytes())
    with path.open("a") as file:
        file.write(f'key_file = "{folder}/key"\n')
    return path


@pytest.fixture
def audit(thim, world):
    """
    Run ``thim audit`` with the store.
    """
    return lambda *words: thim("audit", *words, "--config", world)


@pytest.fixture
def pack(audit, tmp_path):
    """
    A pack of one tenant, which nobody has signed.
    """
    path = tmp_path / "acme.zip"
    run = audit("export", "-o", path, "--tenant", "acme", "--unsigned")
    assert 0 == run.code, run.err
    return path


class TestList:
    def test_sources(self, audit):
        """
        Events, what came to be served and what was decided about evidence are
        one list, the newest first.
        """
        rows = audit("list", "--json", "--limit", "1000").json

        assert {"event", "document", "attestation"} == {
            row["source"] for row in rows
        }
        assert sorted((r["at"] for r in rows), reverse=True) == [
            r["at"] for r in rows
        ]

    @pytest.mark.parametrize(
        ("words", "actions"),
        [
            (
                ("--tenant", "acme"),
                {
                    "token-create",
                    "attestation-policy-set",
                    "token",
                    "tenant-enact",
                },
            ),
            (("--actor", "bank-admin"), {"attestation-policy-set"}),
            (("--action", "document"), {"document"}),
            (("--action", "token"), {"token"}),
            (("--action", "refusal"), set()),
            (("--source", "attestation"), {"token"}),
            (("--since", "2026-09-12"), {"document"}),
            (("--until", "2020-01-02"), {"tenant-enact", "baseline-enact"}),
        ],
    )
    def test_filters(self, audit, words, actions):
        """
        Each option narrows the list.
        """
        rows = audit("list", "--json", "--limit", "1000", *words).json

        assert actions == {row["action"] for row in rows}

    def test_tenant(self, audit):
        """
        What concerns a tenant alone does not show another.
        """
        run = audit("list", "--json", "--tenant", "acme")

        assert {"acme"} == {row["tenant"] for row in run.json}
        assert "bank" not in run.text

    def test_pages(self, audit):
        """
        A page goes on where the one before ends.
        """
        both = audit("list", "--json", "--limit", "6").json
        pages = [
            row
            for page in ("1", "2")
            for row in audit(
                "list", "--json", "--limit", "3", "--page", page
            ).json
        ]

        assert both == pages

    def test_too_far(self, audit):
        """
        Who pages too far back is told what to do instead.
        """
        run = audit("list", "--limit", "10000", "--page", "2")

        assert 2 == run.code
        assert "from when to when" in run.err

    def test_table(self, audit):
        """
        People get a table.
        """
        run = audit("list", "--source", "event", "--limit", "2")

        assert ["at", "actor", "action", "tenant", "detail"] == (
            run.text.splitlines()[0].split()
        )

    def test_instant(self, audit):
        """
        What is no instant is refused by the option's name.
        """
        run = audit("list", "--since", "yesterday")

        assert 2 == run.code
        assert "--since" in run.err


class TestExport:
    def test_says(self, audit, tmp_path):
        """
        It says what is in the pack, and what to keep of it.
        """
        path = tmp_path / "x.zip"
        run = audit("export", "-o", path, "--unsigned", "--json")

        assert 4 == run.json["counts"]["decisions"]
        assert run.json["signed_by"] is None
        assert "2020-01-01T00:00:00Z" == run.json["since"]
        assert 0o600 == path.stat().st_mode & 0o777

    def test_never_over(self, audit, pack):
        """
        It never takes the place of another file.
        """
        before = pack.read_bytes()
        run = audit("export", "-o", pack, "--unsigned")

        assert 2 == run.code
        assert "File exists" in run.err
        assert before == pack.read_bytes()

    def test_nothing_left(self, audit, tmp_path):
        """
        What cannot be made leaves nothing.
        """
        run = audit(
            "export", "-o", tmp_path / "x", "--tenant", "no", "--unsigned"
        )

        assert 2 == run.code
        assert "no tenant had the name 'no'" in run.err
        assert [] == list(tmp_path.glob("*x*"))

    @needs_postgresql
    def test_behind(self, thim, tmp_path):
        """
        Where the store is a replica that is behind its ledger, a pack has
        what the ledger has.
        """
        store, other = tmp_path / "thim.db", tmp_path / "other.db"
        make_replica(store, new_replica(other, VENDOR_ROOTS))
        with Ledger(other, VENDOR_ROOTS) as ledger:
            ledger.events.add("x", "y", actor="z", now=day(0))
        pack = ("-o", tmp_path / "pack.zip", "--unsigned")

        run = thim("audit", "export", *pack, "--store", store, "--json")

        assert 1 == run.json["counts"]["events"]

    def test_no_key(self, audit, tmp_path):
        """
        Without a signing key it says how to make one, or do without.
        """
        run = audit("export", "-o", tmp_path / "x.zip")

        assert 2 == run.code
        assert "--unsigned does without" in run.err

    def test_future(self, audit, tmp_path):
        """
        Nothing is evidence of the future.
        """
        run = audit("export", "-o", tmp_path / "x.zip", "--until", "2030-01-01")

        assert 2 == run.code
        assert "expected no later than" in run.err


class TestVerify:
    def test_holds(self, audit, pack):
        """
        A pack as it was made holds, and what it does not prove is said.
        """
        run = audit("verify", pack)

        assert 0 == run.code
        assert "open   signature: nobody has signed this pack" in run.text
        assert "This does not prove:" in run.text

    def test_json(self, audit, pack):
        """
        Machines get each check by its name.
        """
        found = audit("verify", pack, "--json").json

        assert found["holds"]
        assert "acme" == found["tenant"]
        assert "files" == found["checks"][0]["name"]

    def test_fails(self, audit, pack):
        """
        One that was changed ends with 1.
        """
        raw = bytearray(pack.read_bytes())
        raw[raw.index(b"README.txt") + 60] ^= 1
        pack.write_bytes(raw)

        assert 1 == audit("verify", pack).code

    def test_terminal(self, audit, pack):
        """
        What a forged pack says cannot drive the terminal.
        """

        def change(files):
            name = "manifest.json"
            files[name] = files[name].replace(b"acme", b"a\\u001b[2Jb")

        forged = forge(pack, change, pack.with_name("forged.zip"))
        run = audit("verify", forged)

        assert "a\\x1b[2Jb, " in run.text
        assert "\x1b" not in run.text

    def test_vendor_roots(self, thim, pack):
        """
        Without a configuration it is the vendors' own roots that count.
        """
        run = thim("audit", "verify", pack)

        assert 1 == run.code
        assert "fails  documents" in run.text

    def test_other_roots(self, thim, world, pack):
        """
        Beside them count those that whoever checks names; what is no root is
        refused.
        """
        (roots,) = world.parent.glob("*.pem")
        run = thim("audit", "verify", pack, "--root", roots)
        wrong = thim("audit", "verify", pack, "--root", world)

        assert 0 == run.code
        assert "holds  documents" in run.text
        assert (2, "") == (wrong.code, wrong.text)

    def test_no_pack(self, audit, world):
        """
        What is no pack ends with 2.
        """
        assert 2 == audit("verify", world).code


class TestSigned:
    def test_kept_keys(self, thim, world, tmp_path):
        """
        Signed by the service's key, it holds by the keys that `thim signing
        jwks` wrote; the pack's own keys leave it open.
        """
        config = ("--config", world)
        store = tmp_path / "thim.db"
        store.write_bytes((world.parent / "thim.db").read_bytes())
        where = (*config, "--store", store)
        assert 0 == thim("signing", "rotate", *where).code
        keys, path = tmp_path / "jwks.json", tmp_path / "x.zip"
        assert 0 == thim("signing", "export", "-o", keys, *where).code
        assert 0 == thim("audit", "export", "-o", path, *where).code

        kept = thim("audit", "verify", path, "--jwks", keys, *config)
        own = thim("audit", "verify", path, *config)
        assert (0, 0) == (kept.code, own.code)
        assert "holds  signature" in kept.text
        assert "open   signature" in own.text
        kid = json.loads(read(path)["jwks.json"])["keys"][0]["kid"]
        assert kid in kept.text
        assert kid != SIGNER.kid


class TestPolicies:
    def test_text(self, thim, world, tmp_path):
        """
        `thim policy export` writes each policy as text and as it was set.
        """
        folder = tmp_path / "policies"
        run = thim("policy", "export", folder, "--config", world)
        text = (folder / "acme" / "SgxEnclave.txt").read_text()

        assert f"{folder}: 2 policies\n" == run.text
        assert f"{POLICY} // of acme" == text
        assert (folder / "bank" / "SgxEnclave.jws").is_file()

    def test_tenant(self, thim, world, tmp_path):
        """
        With a tenant, its own alone.
        """
        folder = tmp_path / "policies"
        thim("policy", "export", folder, "--tenant", "acme", "--config", world)

        assert ["acme"] == [path.name for path in folder.iterdir()]


class TestCollateral:
    @pytest.mark.parametrize("layout", ["pcs", "kds", "pccsadmin", "trustee"])
    def test_layouts(self, thim, world, tmp_path, layout):
        """
        Each layout is written to a new folder, and told.
        """
        folder = tmp_path / "out"
        run = thim(
            *("collateral", "export", folder),
            *("--layout", layout, "--config", world),
        )

        assert 0 == run.code
        assert f"in the layout {layout}" in run.text
        assert any(folder.iterdir())

    def test_no_key(self, thim, world, tmp_path):
        """
        A store in which nothing was ever sealed needs no key for manifests.
        """
        run = thim(
            *("collateral", "export", tmp_path / "out", "--manifests"),
            *("--layout", "pccsadmin", "--config", world),
        )

        assert (0, "") == (run.code, run.err)

    def test_manifests(self, thim, world, tmp_path):
        """
        Manifests go with machines alone.
        """
        run = thim(
            *("collateral", "export", tmp_path / "x", "--manifests"),
            *("--layout", "pcs", "--config", world),
        )

        assert 2 == run.code
        assert "--manifests" in run.err
