import contextlib
import hashlib
import os
import pwd
import sqlite3

import pytest

from cryptography.hazmat.primitives.serialization import Encoding

from tests.cli.sim import standing
from tests.services.vendor import DAY, NOW
from thim.amd.authorities import AMD_ROOTS
from thim.intel.authorities import INTEL_SGX_ROOT, Authority
from thim.simulate.forged import MovedRoot
from thim.simulate.pki import SINCE, Intel
from thim.x509.chain import to_pem


@pytest.fixture
def sim(tmp_path):
    """
    A small vendor, and the setup for it.
    """
    with standing(tmp_path) as running:
        yield running


@pytest.fixture
def moved(sim):
    """
    The authorities by which that vendor signs when its root has moved.
    """
    return sim.vendor.intel.pki_of(f"{sim.vendor.intel.world.seed}, moved")


@pytest.fixture
def run(thim, sim):
    """
    Run a command with the setup.
    """
    return lambda *words: thim(*words, "--config", sim.config)


@pytest.fixture
def add(run, tmp_path):
    """
    Run ``thim trust add`` for a certificate, under its own digest.
    """

    def add(root, digest=None, *words, encoding=Encoding.PEM):
        path = tmp_path / "root.pem"
        raw = root if isinstance(root, bytes) else root.public_bytes(encoding)
        path.write_bytes(raw)
        if digest is None:
            digest = digest_of(root)
        return run("trust", "add", path, "--sha256", digest, *words)

    return add


def digest_of(root):
    """
    Return the fingerprint of a certificate.
    """
    return hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest()


def events(sim):
    """
    Return what was decided, and by whom.
    """
    with contextlib.closing(sqlite3.connect(sim.store)) as db:
        return db.execute("SELECT actor, action, detail FROM events").fetchall()


class TestList:
    def test_ours(self, thim, store):
        """
        The root keys of both vendors come with thim.
        """
        listed = thim("trust", "list", "--store", store, "--json").json

        assert {
            **dict.fromkeys(INTEL_SGX_ROOT.spki_sha256, "intel"),
            **dict.fromkeys(AMD_ROOTS.spki_sha256, "amd"),
        } == {
            bytes.fromhex(row["spki_sha256"]): row["vendor"] for row in listed
        }
        assert {("comes with thim", "")} == {
            (row["origin"], row["certificate_sha256"]) for row in listed
        }

    def test_added(self, run, add, moved, sim):
        """
        Test anchors are told as such, and a root that was added with the
        instant, by whom, and its fingerprint.
        """
        add(moved.root)
        (pin,) = sim.vendor.anchors.spki_sha256
        (new,) = moved.anchors.spki_sha256
        user = pwd.getpwuid(os.getuid()).pw_name

        assert [
            (pin.hex(), "dangerous_test_anchors"),
            (new.hex(), f"added 2026-11-02T09:00:00Z by {user}"),
        ] == [
            (row["spki_sha256"], row["origin"])
            for row in run("trust", "list", "--json").json
        ]
        text = run("trust", "list").text
        assert new.hex() in text.replace("\n", "")

    def test_store_of_others(self, thim, sim):
        """
        A store for other anchors is refused.
        """
        listed = thim("trust", "list", "--store", sim.store)

        assert 2 == listed.code
        assert "made for the trust anchors" in listed.err


class TestAdd:
    def test_json(self, add, moved):
        """
        A program is told which key it is, and whether that is new.
        """
        (pin,) = moved.anchors.spki_sha256
        runs = [add(moved.root, None, "--json").json for _ in "12"]

        assert [
            {"spki_sha256": pin.hex(), "is_new": is_new}
            for is_new in (True, False)
        ] == runs

    @pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
    def test_good(self, add, moved, sim, encoding):
        """
        A root is trusted under its digest, and who added it is written down.
        """
        run = add(moved.root, encoding=encoding)

        assert (0, "The root is trusted.\n") == (run.code, run.text)
        ((actor, action, detail),) = events(sim)
        me = pwd.getpwuid(os.getuid()).pw_name
        assert (True, "trust-add") == (actor.startswith(me), action)
        (pin,) = moved.anchors.spki_sha256
        assert pin.hex() in detail
        assert digest_of(moved.root) in detail

    def test_colons(self, add, moved):
        """
        The digest may be written as openssl does.
        """
        digits = digest_of(moved.root).upper()
        spelled = ":".join(digits[i : i + 2] for i in range(0, 64, 2))

        assert 0 == add(moved.root, spelled).code

    def test_actor(self, add, moved, sim, monkeypatch):
        """
        Who it was is not what the environment says, but for who is behind
        sudo.
        """
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.setenv(name, "mallory")
        monkeypatch.setenv("SUDO_USER", "alice")
        add(moved.root)

        me = pwd.getpwuid(os.getuid()).pw_name
        assert [f"{me} (sudo by alice)"] == [
            actor for actor, _, _ in events(sim)
        ]

    def test_twice(self, add, moved, sim):
        """
        The second time changes nothing, and says so.
        """
        add(moved.root)
        run = add(moved.root)

        assert (0, "It is trusted already.\n") == (run.code, run.text)
        assert 1 == len(events(sim))

    def test_one_of_ours(self, add, sim):
        """
        Nor does a root that is trusted anyway.
        """
        run = add(sim.vendor.intel.pki.root)

        assert (0, "It is trusted already.\n") == (run.code, run.text)
        assert [] == events(sim)

    @pytest.mark.parametrize(
        ("digest", "words"),
        [
            ("0" * 64, "--sha256: got '0000"),
            ("", "expected 64 hexadecimal digits"),
            ("sha256:" + "0" * 64, "expected 64 hexadecimal digits"),
        ],
    )
    def test_wrong_digest(self, add, moved, sim, digest, words):
        """
        Under another digest it is not trusted.
        """
        run = add(moved.root, digest)

        assert (2, b"") == (run.code, run.out)
        assert words in run.err
        assert [] == events(sim)

    @pytest.mark.parametrize(
        ("root", "words"),
        [
            (
                Intel("x").certificate(
                    Authority.ROOT, issuer=Authority.PCK_PLATFORM
                ),
                "it does not sign itself",
            ),
            (Intel("x").certificate(Authority.ROOT, is_ca=False), "not a CA"),
            (
                Intel("x").certificate(Authority.ROOT, name="Intel Root"),
                "its name is not 'Intel SGX Root CA'",
            ),
            (Intel("x").platform_ca, "its name is not"),
            (
                Intel("x").certificate(Authority.ROOT, until=NOW - DAY),
                f"it is valid {SINCE:%FT%TZ} to 2026-11-01T09:00:00Z",
            ),
            (
                Intel("x").certificate(Authority.ROOT, since=NOW + DAY),
                "it is valid 2026-11-03T09:00:00Z",
            ),
        ],
        ids=[
            "not self-signed",
            "no CA",
            "another name",
            "another CA",
            "expired",
            "not valid yet",
        ],
    )
    def test_no_root(self, add, sim, root, words):
        """
        What cannot be a root of Intel's is not trusted under its own digest
        either.
        """
        run = add(root)

        assert (2, b"") == (run.code, run.out)
        assert words in run.err
        assert 2 == run.err.count("\n")
        assert [] == events(sim)

    @pytest.mark.parametrize(
        "content",
        [b"", b"nonsense", to_pem(Intel("x").certificates), b"\0" * 100_000],
    )
    def test_no_certificate(self, add, content):
        """
        A file must hold one certificate.
        """
        run = add(content, "0" * 64)

        assert 2 == run.code
        assert "expected one certificate, PEM or DER" in run.err

    def test_missing(self, run, tmp_path):
        """
        It must be there.
        """
        path = tmp_path / "nowhere.pem"
        ended = run("trust", "add", path, "--sha256", "0" * 64)

        assert 2 == ended.code
        assert (
            f"thim: {path}: No such file or directory"
            == (ended.err.splitlines()[-1])
        )

    def test_digest_is_needed(self, run, tmp_path):
        """
        Without a digest from elsewhere nothing is trusted.
        """
        ended = run("trust", "add", tmp_path)

        assert 2 == ended.code
        assert "--sha256" in ended.err


class TestMovedRoot:
    def test_accepted(self, run, add, moved, sim):
        """
        Documents below a new root are refused, and accepted after it was
        added; the old root still counts.
        """
        run("collateral", "refresh")
        sim.vendor.faults.add(MovedRoot())
        sim.vendor.clock.advance(2 * DAY)
        refused = run("collateral", "refresh", "--all", "--json")
        assert 1 == refused.code
        assert {"root-untrusted"} <= {e["reason"] for e in refused.json}
        assert 2 == run("status").code

        add(moved.root)
        accepted = run("collateral", "refresh", "--all", "--json")
        assert (0, {"taken"}) == (
            accepted.code,
            {e["outcome"] for e in accepted.json},
        )
        reasons = {
            c["reason"] for c in run("status", "--json").json["concerns"]
        }
        assert {"refused"} == reasons
        assert 0 == run("db", "verify").code

        sim.vendor.faults.clear()
        sim.vendor.clock.advance(DAY)
        back = run("collateral", "refresh", "--all", "--json")
        assert {"taken"} == {e["outcome"] for e in back.json}
