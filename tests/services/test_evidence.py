import base64
import hashlib
import json
import shutil
import subprocess
import zipfile

import pytest

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from tests.services.evidence_world import (
    KEY,
    SIGNER,
    check,
    day,
    decide,
    export,
    forge,
    make_world,
    outcomes,
    read,
    rows,
    write_zip,
)
from tests.services.made import INTEL, STRANGER
from thim.attestation.signing_certificate import issue_signing_certificate
from thim.attestation.token import Signer, write_jwks
from thim.errors import MalformedError, NotFoundError, ParameterError
from thim.services.evidence_check import check_pack
from thim.store.ledger import Ledger


FOLLOWING = {"numbers", "served"}
NAMES = (
    "files",
    "signature",
    "events",
    "documents",
    "numbers",
    "served",
    "policies",
    "decisions",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """
    The store; nobody changes it.
    """
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def acme(world, tmp_path_factory):
    """
    A pack of one tenant.
    """
    path = tmp_path_factory.mktemp("packs") / "acme.zip"
    export(world, path, "acme")
    return path


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """
    A pack of all tenants.
    """
    path = tmp_path_factory.mktemp("packs") / "all.zip"
    export(world, path)
    return path


def certs(signer):
    """
    Write a key as ``/certs`` does.
    """
    der = issue_signing_certificate(
        signer.private_key, "https://issuer", day(0), None
    )
    return write_jwks([(signer.kid, der)])


def edit(name, old, new):
    """
    Return what changes text in one file of a pack.
    """

    def change(files):
        assert old in files[name]
        files[name] = files[name].replace(old, new, 1)

    return change


class TestSound:
    @pytest.mark.parametrize("which", ["acme", "whole"])
    def test_holds(self, which, request):
        """
        All of a pack as it was made holds, with the key that was kept.
        """
        account = check(request.getfixturevalue(which), certs(SIGNER))

        assert dict.fromkeys(NAMES, "holds") == outcomes(account)
        assert account.holds

    def test_own_keys(self, acme):
        """
        By the pack's own keys a signature proves nothing; where they do not
        have the signer, it is wrong.
        """
        assert "fails" == outcomes(check(acme))["signature"]

    def test_same_bytes(self, world, acme, tmp_path):
        """
        The same content is the same file, byte for byte.
        """
        export(world, tmp_path / "again.zip", "acme")

        assert acme.read_bytes() == (tmp_path / "again.zip").read_bytes()

    def test_numbers(self, acme):
        """
        It says from when to when each number answered.
        """
        found = [
            (row["number"], row["since"][:10], row["until"][:10])
            for row in rows(acme, "numbers")
        ]

        assert [
            (17, "2026-09-01", "2026-09-11"),
            (18, "2026-09-11", "2026-09-21"),
        ] == found

    def test_served(self, acme):
        """
        It says which document was served when, and has its bytes.
        """
        name = "intel/tcb-info/sgx:00606A000000/3"
        found = [
            (row["number"], row["since"][:10], row["until"][:10])
            for row in rows(acme, "served")
            if row["document"] == name
        ]
        files = read(acme)

        assert [
            (17, "2026-09-01", "2026-09-11"),
            (18, "2026-09-11", "2026-09-13"),
            (18, "2026-09-13", "2026-09-21"),
        ] == found
        for row in rows(acme, "served"):
            body = files[f"documents/{row['sha256']}"]
            assert row["sha256"] == hashlib.sha256(body).hexdigest()

    def test_unsigned(self, world, tmp_path):
        """
        A pack that nobody signed says so, and all else holds.
        """
        done = export(world, tmp_path / "pack.zip", "acme", signer=None)
        account = check(tmp_path / "pack.zip")

        assert done.kid is None
        assert account.holds
        assert "open" == outcomes(account)["signature"]

    def test_next_pack(self, world, tmp_path):
        """
        The chain of events goes on where that of the pack before ends.
        """
        first = export(world, tmp_path / "1.zip", since=0, until=1.5)
        export(world, tmp_path / "2.zip", since=1.5, until=20)
        manifest = json.loads(read(tmp_path / "2.zip")["manifest.json"])

        assert first.head == manifest["events"]["before"]


class TestTenant:
    def test_nothing_of_another(self, acme):
        """
        A tenant's pack has nothing in it that names another.
        """
        for name, content in read(acme).items():
            assert b"bank" not in content, name
            assert "bank" not in name

    def test_decisions(self, acme, whole):
        """
        Of decisions about evidence it has its own.
        """
        assert {"acme"} == {row["tenant"] for row in rows(acme, "decisions")}
        assert 2 == len(rows(acme, "decisions"))
        assert 4 == len(rows(whole, "decisions"))

    def test_withheld(self, acme, whole):
        """
        Of another's events it has the digests alone, in the same chain.
        """
        ours, all_ = rows(acme, "events"), rows(whole, "events")

        assert [e["digest"] for e in ours] == [e["digest"] for e in all_]
        assert {"id", "digest", "content"} == set(
            next(e for e in ours if "text" not in e)
        )
        assert all("text" in event for event in all_)

    def test_policies(self, acme):
        """
        Policies are there as they were set, and as text.
        """
        (row,) = rows(acme, "policies")
        files = read(acme)

        assert ("acme", "SgxEnclave") == (row["tenant"], row["type"])
        text = files[row["file"].replace(".jws", ".txt")]
        assert text.endswith(b"of acme")

    def test_certificate(self, world, tmp_path):
        """
        A policy certificate that was taken away and came back is there once,
        with both its times.
        """
        store = tmp_path / "thim.db"
        store.write_bytes(world.read_bytes())
        with Ledger(store, INTEL.anchors) as ledger:
            desk = ledger.attestation_policies
            for change, n in (("add", 3), ("remove", 4), ("add", 5)):
                act = getattr(desk, f"{change}_certificate")
                act("acme", b"der", actor="me", at=day(n))
        export(store, tmp_path / "x.zip", "acme")
        found = rows(tmp_path / "x.zip", "policy-certificates")

        assert [True, False] == [row["removed"] is not None for row in found]
        assert 1 == len({row["file"] for row in found})
        assert "holds" == outcomes(check(tmp_path / "x.zip"))["files"]

    def test_another_of_that_name(self, tmp_path):
        """
        Who has the name of a tenant that was deleted sees nothing of it.
        """
        decisions = (
            decide()
            .tenant("acme", "bank-line", since=day(6), deleted=True)
            .tenant("acme", "bank-line", since=day(8))
        )
        store = make_world(tmp_path, decisions)
        export(store, tmp_path / "x.zip", "acme")
        files = read(tmp_path / "x.zip")

        assert ["2026-09-09"] == [
            row["since"][:10] for row in rows(tmp_path / "x.zip", "numbers")
        ]
        assert [] == rows(tmp_path / "x.zip", "policies")
        assert not any(b"acme-line" in content for content in files.values())

    def test_unknown(self, world, tmp_path):
        """
        There is no pack of a tenant that there was not.
        """
        with pytest.raises(NotFoundError, match="no tenant had the name"):
            export(world, tmp_path / "x.zip", "nobody")

    def test_no_length(self, world, tmp_path):
        """
        Nor of a period without length.
        """
        with pytest.raises(ParameterError, match="--since"):
            export(world, tmp_path / "x.zip", "acme", since=5, until=5)


class TestSignature:
    def test_stranger(self, acme):
        """
        A signature of somebody else's key is none.
        """
        other = Signer(rsa.generate_private_key(65537, 2048))
        account = check(acme, certs(other))

        assert "fails" == outcomes(account)["signature"]

    def test_key_of_that_name(self, acme):
        """
        Nor is one of another key with the same name.
        """
        other = Signer(rsa.generate_private_key(65537, 2048))
        jwks = json.loads(certs(other))
        jwks["keys"][0]["kid"] = SIGNER.kid
        account = check(acme, json.dumps(jwks).encode())

        assert "fails" == outcomes(account)["signature"]

    def test_token(self, acme, tmp_path):
        """
        A token of that key is no signature of a pack.
        """
        files = read(acme)
        claims = {"sha256": hashlib.sha256(files["SHA256SUMS"]).hexdigest()}
        files["SHA256SUMS.jws"] = SIGNER.sign("https://x", claims).encode()
        write_zip(tmp_path / "x.zip", files)

        account = check(tmp_path / "x.zip", certs(SIGNER))
        assert "fails" == outcomes(account)["signature"]

    def test_of_another_pack(self, acme, whole, tmp_path):
        """
        Nor is the signature of another pack.
        """
        files = read(acme)
        files["SHA256SUMS.jws"] = read(whole)["SHA256SUMS.jws"]
        write_zip(tmp_path / "x.zip", files)

        account = check(tmp_path / "x.zip", certs(SIGNER))
        assert "fails" == outcomes(account)["signature"]

    @pytest.mark.parametrize(
        "jwks",
        [
            b"",
            b"[]",
            b'{"keys":[{"kty":"RSA"}]}',
            b'{"keys":1}',
            b"[" * 100_000,
        ],
        ids=["empty", "list", "key", "number", "deep"],
    )
    def test_no_keys(self, acme, jwks):
        """
        What is no key set is an error of that check alone.
        """
        assert "fails" == outcomes(check(acme, jwks))["signature"]


class TestTampered:
    def test_file_changed(self, acme, tmp_path):
        """
        A file that was changed is named.
        """
        files = read(acme)
        files["numbers.jsonl"] += b"{}\n"
        write_zip(tmp_path / "x.zip", files)
        account = check(tmp_path / "x.zip")

        assert "numbers.jsonl was changed" == account.checks[0].detail

    def test_file_missing(self, acme, tmp_path):
        """
        So is one that is missing.
        """
        files = read(acme)
        del files["README.txt"]
        write_zip(tmp_path / "x.zip", files)

        assert (
            "README.txt is missing"
            == check(tmp_path / "x.zip").checks[0].detail
        )

    def test_file_added(self, acme, tmp_path):
        """
        So is one that was put in.
        """
        write_zip(tmp_path / "x.zip", {**read(acme), "more.txt": b""})

        assert (
            "more.txt is not in SHA256SUMS"
            == check(tmp_path / "x.zip").checks[0].detail
        )

    @pytest.mark.parametrize(
        ("name", "old", "new", "failing"),
        [
            ("events", "token-create", "token-x", {"events"}),
            ("numbers", '"number":18', '"number":17', {"numbers"}),
            ("served", '"number":17', '"number":18', {"served"}),
            ("enactments", '"effective":"2020', '"effective":"2027', FOLLOWING),
            ("channels", '"number":18', '"number":17', FOLLOWING),
            ("definitions", "standard", "17", FOLLOWING),
        ],
    )
    def test_forged(self, world, tmp_path, name, old, new, failing):
        """
        Whoever changes what is in a pack, and all digests with it, is found
        by what does not follow any more.
        """
        export(world, tmp_path / "a.zip", "acme", signer=None)
        change = edit(f"{name}.jsonl", old.encode(), new.encode())
        forged = forge(tmp_path / "a.zip", change, tmp_path / "b.zip")
        found = {n for n, o in outcomes(check(forged)).items() if o == "fails"}

        assert failing == found

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"number":17', b'"number":18'),
            (b"2026-08-31T00", b"2026-08-30T00"),
            (b"tcb-info/sgx", b"tcb-info/tdx"),
        ],
        ids=["number", "date", "name"],
    )
    def test_column(self, world, tmp_path, old, new):
        """
        What is written beside a document, and is not what it says, is found.
        """
        export(world, tmp_path / "a.zip", "acme", signer=None)
        change = edit("documents.jsonl", old, new)
        forged = forge(tmp_path / "a.zip", change, tmp_path / "b.zip")

        assert "fails" == outcomes(check(forged))["documents"]

    def test_bytes(self, world, tmp_path):
        """
        A document that is not what the vendor signed is found.
        """
        export(world, tmp_path / "a.zip", "acme", signer=None)
        sha256 = rows(tmp_path / "a.zip", "served")[0]["sha256"]

        def change(files):
            files[f"documents/{sha256}"] += b" "

        forged = forge(tmp_path / "a.zip", change, tmp_path / "b.zip")
        assert "fails" == outcomes(check(forged))["documents"]

    def test_policy(self, world, tmp_path):
        """
        A policy that cannot be read is named.
        """
        export(world, tmp_path / "a.zip", "acme", signer=None)
        name = rows(tmp_path / "a.zip", "policies")[0]["file"]

        def change(files):
            files[name] = b"x"

        forged = forge(tmp_path / "a.zip", change, tmp_path / "b.zip")
        assert "fails" == outcomes(check(forged))["policies"]

    def test_other_vendor(self, acme):
        """
        Documents that lead to another root do not hold.
        """
        account = check_pack(acme, STRANGER.anchors, certs(SIGNER))

        assert "fails" == outcomes(account)["documents"]
        assert not account.holds

    @pytest.mark.parametrize(
        "line",
        [
            b"{",
            b"[]",
            b"{}",
            b'{"kind":"x"}',
            b"[" * 100_000,
            (
                b'{"kind":"baseline","name":"x","version":1,"body":"",'
                b'"author":"","reason":"",'
                b'"created":"0001-01-01T00:00:00+14:00"}'
            ),
        ],
        ids=["json", "list", "empty", "kind", "deep", "year"],
    )
    def test_nonsense(self, world, tmp_path, line):
        """
        A row that makes no sense is an answer, and no crash.
        """
        export(world, tmp_path / "a.zip", "acme", signer=None)

        def change(files):
            files["definitions.jsonl"] = line + b"\n"

        forged = forge(tmp_path / "a.zip", change, tmp_path / "b.zip")
        assert "fails" == outcomes(check(forged))["documents"]


class TestNoPack:
    def test_no_zip(self, tmp_path):
        """
        What is no archive is no pack.
        """
        path = tmp_path / "x.zip"
        path.write_bytes(b"x" * 100)

        with pytest.raises(MalformedError, match="no evidence pack"):
            check(path)

    @pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a/../b", "a\\b"])
    def test_names(self, tmp_path, name):
        """
        Nor is an archive with files that lie elsewhere.
        """
        write_zip(tmp_path / "x.zip", {name: b""})

        with pytest.raises(MalformedError, match="a file is called"):
            check(tmp_path / "x.zip")

    @pytest.mark.parametrize(
        "manifest",
        [
            b"",
            b"[]",
            b"{}",
            b'{"format":"thim-evidence-pack/2"}',
            b"[" * 100_000,
        ],
        ids=["empty", "list", "object", "format", "deep"],
    )
    def test_manifest(self, tmp_path, manifest):
        """
        Nor is one whose manifest is another thing's.
        """
        write_zip(tmp_path / "x.zip", {"manifest.json": manifest})

        with pytest.raises(MalformedError, match="no evidence pack"):
            check(tmp_path / "x.zip")

    @pytest.mark.parametrize("tenant", [b"7", b"{}", None])
    def test_tenant(self, acme, tmp_path, tenant):
        """
        Nor is one that does not say whose it is.
        """

        def change(files):
            new = b"" if tenant is None else b'"tenant": %b,' % tenant
            edit("manifest.json", b'"tenant": "acme",', new)(files)

        with pytest.raises(MalformedError, match="no evidence pack"):
            check(forge(acme, change, tmp_path / "x.zip"))

    def test_sums(self, acme, tmp_path):
        """
        Nor is one whose list names what can be no file in it.
        """
        files = read(acme)
        files["SHA256SUMS"] += b"0" * 64 + b"  \x1b[2J\n"
        write_zip(tmp_path / "x.zip", files)

        with pytest.raises(MalformedError, match="has the line"):
            check(tmp_path / "x.zip")

    def test_method(self, acme, tmp_path):
        """
        Nor is one whose files are compressed in another way.
        """
        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as new:
            for name, content in read(acme).items():
                new.writestr(name, content)

        with pytest.raises(MalformedError, match="not compressed as packs are"):
            check(tmp_path / "x.zip")

    def test_bomb(self, tmp_path):
        """
        Nor is one that would fill a disk when it is unpacked.
        """
        path = tmp_path / "x.zip"
        write_zip(path, {"manifest.json": b"{}"})
        raw = bytearray(path.read_bytes())
        # The size in the central directory (APPNOTE.TXT, 4.3.12).
        at = raw.index(b"PK\1\2") + 24
        raw[at : at + 4] = (2**32 - 2).to_bytes(4, "little")
        path.write_bytes(raw)

        with pytest.raises(MalformedError, match="4294967294 bytes"):
            check(path)

    def test_later_format(self, acme, tmp_path):
        """
        Nor is an archive in a later form.
        """
        raw = bytearray(acme.read_bytes())
        raw[raw.index(b"PK\1\2") + 6] = 99
        (tmp_path / "x.zip").write_bytes(raw)

        with pytest.raises(MalformedError, match="zip file version"):
            check(tmp_path / "x.zip")


class TestByHand:
    def test_openssl(self, acme, tmp_path):
        """
        What README.txt says works with sha256sum and openssl alone.
        """
        if not (shutil.which("openssl") and shutil.which("sha256sum")):
            pytest.skip("openssl or sha256sum is not installed")
        with zipfile.ZipFile(acme) as pack:
            pack.extractall(tmp_path)
        head, body, signature = (
            (tmp_path / "SHA256SUMS.jws").read_text().split(".")
        )
        (tmp_path / "signed").write_text(f"{head}.{body}")
        raw = base64.urlsafe_b64decode(signature + "==")
        (tmp_path / "signature").write_bytes(raw)
        public = KEY.public_key()
        pem = public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        (tmp_path / "key.pem").write_bytes(pem)
        for command in (
            ["sha256sum", "--check", "--quiet", "SHA256SUMS"],
            [
                *("openssl", "dgst", "-sha256", "-verify", "key.pem"),
                *("-signature", "signature", "signed"),
            ],
        ):
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, check=False
            )
            assert 0 == done.returncode, done.stderr

    def test_readme(self, acme):
        """
        README.txt is in each pack, and names what it explains.
        """
        text = read(acme)["README.txt"].decode()

        for name in ("SHA256SUMS.jws", "events.jsonl", "manifest.json"):
            assert name in text
