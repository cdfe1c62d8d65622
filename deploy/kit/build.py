"""
The kit: one archive with which thim is installed where there is no network.

It holds thim's wheel and those of all that it needs at run time (for the
Python that runs this), by their hashes, the chart, the manifests, the units,
the documentation, the SBOM and the checksums.  The same sources and wheels
make the same bytes.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import urllib.parse

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sbom


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROJECT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
#: Below deploy/: what an operator needs, where it is there.
_DEPLOYED: Final = ("grafana", "helm", "kubernetes", "prometheus", "systemd")
_ALONGSIDE: Final = ("CHANGELOG.md", "LICENSE", "SECURITY.md")
#: Has the file with which pages of the console are renewed in part.
_HTMX: Final = "django-htmx"
#: Where there is neither a variable nor a commit: 2026-01-01.
_DATE: Final = 1767225600


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel, what is in it, and its SHA-256."""

    path: Path
    name: str
    version: str
    digest: str


def main() -> None:
    """
    Write the kit, or with ``--only-sbom`` what it would list.
    """
    told = _read_arguments()
    told.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wheels = find_wheels(told.wheels.resolve(), work)
        listed = None
        if told.cyclonedx:
            listed = sbom.describe(wheels, told.cyclonedx, PROJECT, work)
        if told.only_sbom:
            path = told.out / f"thim-{read_version()}.cdx.json"
            path.write_text(listed or "")
        else:
            path = pack(lay_out(wheels, listed, work), told.out)
    sys.stdout.write(f"{path}\n")


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--wheels",
        type=Path,
        required=True,
        help="folder with the wheels of requirements.lock",
    )
    parser.add_argument(
        "--out", type=Path, default=PROJECT / "dist", help="default: dist"
    )
    parser.add_argument(
        "--cyclonedx", help="the program cyclonedx-py; without it no SBOM"
    )
    parser.add_argument(
        "--only-sbom", action="store_true", help="the SBOM alone"
    )
    return parser.parse_args()


def read_version() -> str:
    """
    Return thim's version.
    """
    text = (PROJECT / "pyproject.toml").read_text("utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def find_wheels(given: Path, work: Path) -> list[Wheel]:
    """
    Make thim's wheel, and choose of the wheels in *given* those that it needs
    at run time, by its own metadata, and those of which it only takes a file.
    """
    own = _make_own_wheel(given, work)
    needed = _ask(given, work, str(own))
    # What this one needs is neither given nor wanted.
    taken = _ask(given, work, "--no-deps", _HTMX)
    found = map(_read_wheel, [*needed, *taken])
    return sorted(found, key=lambda wheel: wheel.name)


def _ask(given: Path, work: Path, *wanted: str) -> list[dict[str, Any]]:
    report = work / "report.json"
    asked = ["--dry-run", "--ignore-installed", "--report", str(report)]
    _pip(given, "install", *asked, *wanted)
    found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    chosen: list[dict[str, Any]] = found["install"]
    return chosen


def _make_own_wheel(given: Path, work: Path) -> Path:
    # What builds it is locked too, and no part of the kit.
    tools = work / "tools"
    _pip(given, "install", "--no-compile", "--target", tools, "hatchling")
    _run(
        [
            *(sys.executable, "-m", "hatchling", "build"),
            *("--target", "wheel", "--directory", str(work)),
        ],
        PYTHONPATH=str(tools),
        SOURCE_DATE_EPOCH=str(find_date()),
    )
    (own,) = work.glob("thim-*.whl")
    return own


def _read_wheel(item: dict[str, Any]) -> Wheel:
    url = urllib.parse.urlsplit(item["download_info"]["url"])
    path = Path(urllib.parse.unquote(url.path))
    return Wheel(
        path=path,
        name=sbom.fold(item["metadata"]["name"]),
        version=item["metadata"]["version"],
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _pip(given: Path, *arguments: str | Path) -> None:
    fixed = ["--isolated", "--disable-pip-version-check"]
    offline = ["--quiet", "--no-index", "--find-links", str(given)]
    command, *rest = map(str, arguments)
    _run([sys.executable, "-m", "pip", *fixed, command, *offline, *rest])


def _run(command: Sequence[str], **environment: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        command,
        env={**kept, "PIP_CONFIG_FILE": os.devnull, **environment},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def find_date() -> int:
    """
    Return the instant that all files bear: ``SOURCE_DATE_EPOCH``, or that of
    the newest commit.
    """
    told = os.environ.get("SOURCE_DATE_EPOCH")
    if told:
        return int(told)
    git = shutil.which("git")
    if git and (PROJECT / ".git").exists():
        asked = [git, "log", "-1", "--format=%ct"]
        done = subprocess.run(
            asked, cwd=PROJECT, capture_output=True, check=False
        )
        if done.stdout.strip().isdigit():
            return int(done.stdout)
    return _DATE


def lay_out(wheels: Iterable[Wheel], listed: str | None, work: Path) -> Path:
    """
    Put all that is in the kit into a folder, and return it.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    tag = f"cp{python.replace('.', '')}-linux-{platform.machine()}"
    kit = work / f"thim-kit-{read_version()}-{tag}"
    (kit / "wheels").mkdir(parents=True)
    for wheel in wheels:
        shutil.copyfile(wheel.path, kit / "wheels" / wheel.path.name)
    (kit / "requirements.txt").write_text(_spell(wheels))
    (kit / "python-version").write_text(f"{python}\n")
    (kit / "version").write_text(f"{read_version()}\n")
    if listed is not None:
        (kit / "sbom.cdx.json").write_text(listed)
    _copy_files(kit)
    (kit / "SHA256SUMS").write_text(_sum_up(kit))
    return kit


def _spell(wheels: Iterable[Wheel]) -> str:
    return "".join(
        f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.digest}\n"
        for wheel in wheels
    )


def _copy_files(kit: Path) -> None:
    for name in _DEPLOYED:
        source = PROJECT / "deploy" / name
        if source.is_dir():
            shutil.copytree(source, kit / name)
    shutil.copytree(PROJECT / "docs", kit / "docs")
    for name in _ALONGSIDE:
        shutil.copyfile(PROJECT / name, kit / name)
    shutil.copyfile(HERE / "README.md", kit / "README.md")
    shutil.copyfile(HERE / "install.sh", kit / "install.sh")
    (kit / "install.sh").chmod(0o755)


def _sum_up(kit: Path) -> str:
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  "
        f"{path.relative_to(kit).as_posix()}\n"
        for path in _files(kit)
    )


def _files(kit: Path) -> list[Path]:
    return sorted(path for path in kit.rglob("*") if path.is_file())


def pack(kit: Path, out: Path) -> Path:
    """
    Write the archive and its checksum.  Wheels are compressed already.
    """
    archive = out / f"{kit.name}.tar"
    date = find_date()
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in _files(kit):
            name = f"{kit.name}/{path.relative_to(kit).as_posix()}"
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            member.mtime = date
            member.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    beside = archive.with_name(f"{archive.name}.sha256")
    beside.write_text(f"{digest}  {archive.name}\n")
    return archive


if __name__ == "__main__":
    main()
