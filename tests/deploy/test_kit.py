import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys

from pathlib import Path

import cyclonedx.schema
import jsonschema
import pytest
import referencing
import referencing.jsonschema

from tests.deploy.helm import PROJECT
from tests.deploy.kit import (
    PYTHON,
    apart,
    build,
    doing_once,
    install,
    provide,
)
from tests.needs import needs_ip, needs_root, needs_unshare, needs_wheels


pytestmark = needs_wheels

_LOCKED = re.compile(
    r"^([a-z0-9-]+)==(\S+)[^\\\n]*((?:\\\n +--hash=sha256:\w+ ?)+)",
    re.MULTILINE,
)
#: What a machine without a network must not be told to ask: registries of
#: packages and images.  Nothing in the project names one, so neither does this.
_REGISTRIES = tuple(
    name.replace(b" ", b".")
    for name in (
        b"pypi org",
        b"pythonhosted org",
        b"docker io",
        b"quay io",
        b"ghcr io",
        b"gcr io",
        b"registry k8s io",
        b"npmjs org",
    )
)
#: As a container has it: a root of its own that is read-only, and a user
#: without any rights who may write to the store and to a folder for what
#: passes.
_CONTAINED = """
set -eu
install -d -m 0770 -g 65532 "$DATA" "$TMPDIR"
mount --make-rprivate /
mount -t tmpfs tmpfs "$ROOT"
for folder in /usr /bin /lib /lib64 /etc /dev /proc "$PREFIX" "$INSTALLED"; do
    [ -d "$folder" ] || continue
    mkdir -p "$ROOT$folder"
    mount --rbind "$folder" "$ROOT$folder"
    mount -o remount,bind,ro "$ROOT$folder"
    # What is installed may lie there, below a folder that is root's alone.
    [ "$folder" != /dev ] || mount -t tmpfs tmpfs "$ROOT/dev/shm"
done
for folder in "$DATA" "$TMPDIR"; do
    mkdir -p "$ROOT$folder"
    mount --bind "$folder" "$ROOT$folder"
done
mount -o remount,ro "$ROOT"
! touch "$ROOT/touched" "$ROOT$INSTALLED/touched" 2>/dev/null
exec chroot "$ROOT" setpriv --reuid 65532 --regid 65532 --clear-groups \
    --no-new-privs --bounding-set -all --inh-caps -all \
    "$INSTALLED/bin/thim" serve --offline
"""


_ASK = """
import urllib.request
for path in ("health/ready", "console/login"):
    print(urllib.request.urlopen(f"http://127.0.0.1:8080/{path}").read())
"""


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """
    A folder for all processes of the test run.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return folder / "kit"


@pytest.fixture(scope="session")
def kit(shared):
    """
    The kit.
    """
    return provide(shared)


@pytest.fixture(scope="session")
def installed(shared, kit):
    """
    Where it is installed, without a network.
    """
    folder = shared / "installed"
    with doing_once(shared / "installing") as is_due:
        if is_due:
            with apart() as inside:
                done = install(kit.folder, folder, inside)
            assert done.returncode == 0, done.stderr
            (shared / "said").write_text(done.stdout)
    return folder


@pytest.fixture
def copy(kit, tmp_path):
    """
    A copy of the kit in which a file may be replaced.
    """
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-al", kit.folder, folder], check=True)
    return folder


def files_of(folder):
    """
    Return all files of the kit.
    """
    return [path for path in folder.rglob("*") if path.is_file()]


def digest(path):
    """
    Return a file's SHA-256.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestContent:
    def test_sums(self, kit):
        """
        Every file is summed up, and the archive itself beside it.
        """
        written = (kit.folder / "SHA256SUMS").read_text().splitlines()
        found = dict(line.split("  ", 1)[::-1] for line in written)
        assert found == {
            str(path.relative_to(kit.folder)): digest(path)
            for path in files_of(kit.folder)
            if path.name != "SHA256SUMS"
        }
        beside = Path(f"{kit.archive}.sha256").read_text()
        assert f"{digest(kit.archive)}  {kit.archive.name}\n" == beside

    def test_locked(self, kit):
        """
        All wheels but thim's own are those of the lock file, and none of them
        is for building or testing.
        """
        locked = {
            f"{name}=={version}": re.findall(r"sha256:(\w+)", hashes)
            for name, version, hashes in _LOCKED.findall(
                (PROJECT / "requirements.lock").read_text()
            )
        }
        wheels = {digest(path) for path in (kit.folder / "wheels").iterdir()}
        lines = (kit.folder / "requirements.txt").read_text().splitlines()
        needed = [line.split(" --hash=sha256:") for line in lines]
        assert wheels == {sha256 for _, sha256 in needed}
        names = {name.partition("==")[0] for name, _ in needed}
        assert {"thim", "cryptography", "psycopg-binary"} <= names
        assert not names & {"hatchling", "editables", "pytest", "pip"}
        for name, sha256 in needed:
            assert name.startswith("thim==") or sha256 in locked[name]

    def test_parts(self, kit):
        """
        It has what an operator needs.
        """
        for name in (
            "docs/deploy.md",
            "helm/thim/Chart.yaml",
            "kubernetes/nodes.yaml",
            "systemd/thim-agent.service",
            "LICENSE",
        ):
            assert (kit.folder / name).is_file()

    def test_registries(self, kit):
        """
        It names no package registry.
        """
        for path in files_of(kit.folder):
            content = path.read_bytes()
            found = [name for name in _REGISTRIES if name in content]
            assert [] == found, path

    def test_same(self, kit, tmp_path):
        """
        Made again it is the same, to the byte.
        """
        again = build(
            tmp_path, TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C.UTF-8"
        )
        assert digest(kit.archive) == digest(again)


class TestSbom:
    @pytest.fixture
    def sbom(self, kit):
        """
        The SBOM.
        """
        return json.loads((kit.folder / "sbom.cdx.json").read_text())

    def test_valid(self, sbom):
        """
        It is valid by the schema of CycloneDX.
        """
        folder = Path(cyclonedx.schema.__file__).parent / "_res"
        schemas = {
            path.name: json.loads(path.read_text())
            for path in folder.glob("*.json")
        }
        base = "http://cyclonedx.org/schema/"
        make = referencing.jsonschema.DRAFT7.create_resource
        registry = referencing.Registry().with_resources(
            (base + name, make(schema)) for name, schema in schemas.items()
        )
        schema = schemas[f"bom-{sbom['specVersion']}.SNAPSHOT.schema.json"]
        checker = jsonschema.Draft7Validator(schema, registry=registry)
        assert [] == list(checker.iter_errors(sbom))

    def test_complete(self, sbom, kit):
        """
        It lists what is installed, with versions, hashes and licences.
        """
        components = [*sbom["components"], sbom["metadata"]["component"]]
        listed = {
            f"{each['name'].replace('_', '-').lower()}=={each['version']} "
            f"--hash=sha256:{each['hashes'][0]['content']}"
            for each in components
        }
        lines = (kit.folder / "requirements.txt").read_text().splitlines()
        assert listed == set(lines)
        assert all(each.get("licenses") for each in components)

    def test_reproducible(self, sbom):
        """
        It holds neither an instant nor a random number.
        """
        assert "serialNumber" not in sbom
        assert "timestamp" not in sbom["metadata"]


@needs_ip
@needs_root
class TestInstall:
    def test_version(self, installed, shared):
        """
        Without a network and with an empty home it is installed, and says
        its version and what comes next.
        """
        said = (shared / "said").read_text()
        assert said.startswith("0.1.0\n")
        assert f"ln -sfn {installed}/bin/thim" in said
        assert [] == [*(shared / "home").iterdir()]

    @needs_unshare
    def test_serves(self, installed, tmp_path):
        """
        It serves without a network, on a read-only root, as a user without
        any rights who may write to its own folders only; the console too.
        """
        given = {
            "PATH": os.environ["PATH"],
            "INSTALLED": str(installed),
            "PREFIX": sys.base_prefix,
            "ROOT": str(tmp_path / "root"),
            "DATA": str(tmp_path / "data"),
            "TMPDIR": str(tmp_path / "tmp"),
            "HOME": str(tmp_path / "tmp"),
            "XDG_DATA_HOME": str(tmp_path / "data"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        (tmp_path / "root").mkdir()
        command = ["unshare", "--mount", "sh", "-c", _CONTAINED]
        with apart() as inside, contextlib.ExitStack() as stack:
            running = stack.enter_context(
                subprocess.Popen(
                    [*inside, *command],
                    env=given,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(running.terminate)
            said = []
            assert running.stderr is not None
            for line in running.stderr:
                said.append(line)
                if "Application startup complete" in line:
                    break
            ask = [*inside, PYTHON, "-c", _ASK]
            got = subprocess.run(
                ask, env={}, capture_output=True, check=False, timeout=60
            )
        assert b'"status":"ok"' in got.stdout, said
        assert b"/htmx.js" in got.stdout
        assert 65532 == (tmp_path / "data" / "thim" / "thim.db").stat().st_uid


class TestRefused:
    def test_damaged(self, copy, tmp_path):
        """
        A damaged file is named, and nothing is installed.
        """
        (copy / "LICENSE").unlink()
        (copy / "LICENSE").write_text("damaged")
        done = install(copy, tmp_path / "thim")
        assert 1 == done.returncode
        assert "LICENSE" in done.stderr
        assert "damaged: copy the kit again" in done.stderr
        assert not (tmp_path / "thim").exists()

    def test_other_python(self, kit, tmp_path):
        """
        So is a Python for which it was not made.
        """
        other = tmp_path / "python3"
        other.write_text("#!/bin/sh\necho 3.9\n")
        other.chmod(0o755)
        done = install(kit.folder, tmp_path / "thim", PYTHON=str(other))
        assert 1 == done.returncode
        assert "is Python 3.9, expected 3." in done.stderr

    def test_there(self, kit, tmp_path):
        """
        A folder that is there is left alone.
        """
        (tmp_path / "thim").mkdir()
        done = install(kit.folder, tmp_path / "thim")
        assert 1 == done.returncode
        assert "is there already" in done.stderr
        assert (tmp_path / "thim").exists()

    def test_interrupted(self, copy, tmp_path):
        """
        Where it cannot be finished nothing is left.
        """
        wheel = next((copy / "wheels").glob("thim-*"))
        wheel.unlink()
        sums = copy / "SHA256SUMS"
        kept = [
            line
            for line in sums.read_text().splitlines(keepends=True)
            if wheel.name not in line
        ]
        sums.unlink()
        sums.write_text("".join(kept))
        done = install(copy, tmp_path / "thim")
        assert 1 == done.returncode
        assert not (tmp_path / "thim").exists()
