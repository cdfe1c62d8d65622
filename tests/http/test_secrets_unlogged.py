"""
Nothing that a service logs has a secret in it, whoever sends it and wherever.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import itertools
import os
import re
import subprocess
import sys
import time

import pytest

from tests.new_store import new_store
from tests.serving import Served
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


V4 = "/sgx/certification/v4"
NOW = datetime.datetime.now(datetime.UTC)
#: Shown in the place of a token, but no service's; as long as ours.
BAD = "0123456789ab." + "unknown-secret_" * 3
API_KEY = "5ecre7" * 5 + "ab"
MANIFEST = "c0ffee" * 100
PASSWORD = "hunter2-of-postgres"
JWT = ".".join(
    base64.urlsafe_b64encode(each).decode().rstrip("=")
    for each in (b'{"alg":"RS256","typ":"JWT"}', b'{"sub":"nobody"}', b"x" * 64)
)
URL = f"postgresql://thim:{PASSWORD}@db/thim"


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """
    What a service with an access log has said, and the token that counts.
    """
    folder = tmp_path_factory.mktemp("secrets")
    store = folder / "thim.db"
    new_store(store, VENDOR_ROOTS)
    text, kept = make_token("t", Role.ADMIN, actor="tests", now=NOW)
    with Ledger(store, VENDOR_ROOTS) as ledger:
        ledger.tokens.add(kept)
    key = folder / "api.key"
    key.write_text(API_KEY)
    key.chmod(0o600)
    config = folder / "thim.toml"
    config.write_text(
        "access_log = true\n"
        'fill = "lazy"\n'
        "[[intel_upstreams]]\n"
        'url = "http://127.0.0.1:9"\n'
        f'api_key_file = "{key}"\n'
    )
    log = folder / "log"
    with started(store, config, log) as served:
        for each in requests(text):
            served.get(*each)
    return log.read_text(), text


@contextlib.contextmanager
def started(store, config, path):
    """
    Run `thim serve` until the end of the ``with``; all that it says goes to
    the file *path*.
    """
    command = [sys.executable, "-m", "thim", "serve", "--store", str(store)]
    settings = {"THIM_CONFIG": str(config), "PGPASSWORD": PASSWORD}
    with (
        path.open("wb") as log,
        subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"],
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            while "startup complete" not in path.read_text():
                assert process.poll() is None
                time.sleep(0.05)
            found = re.search(r"http://127\.0\.0\.1:(\d+)", path.read_text())
            assert found is not None
            yield Served(int(found[1]))
        finally:
            process.terminate()
            process.wait(30)


def requests(good):
    """
    Write requests that show secrets where callers put them, and where they
    should not.
    """
    for text in (good, BAD, JWT, API_KEY):
        shown = (
            {"Authorization": f"Bearer {text}"},
            {"Authorization": text},
            {"user-token": text},
            {"admin-token": text},
            {"Ocp-Apim-Subscription-Key": text},
            {"X-Nobody-Knows": text},
        )
        asked = (
            ("/admin/v1/whoami", "GET", None),
            (f"{V4}/platforms", "GET", None),
            (f"{V4}/platformcollateral", "PUT", MANIFEST.encode()),
            (f"{V4}/platforms", "POST", manifest_of(MANIFEST)),
            ("/attest/SgxEnclave", "POST", b'{"quote": "x"}'),
            ("/nonsense", "GET", None),
        )
        for headers, (path, method, body) in itertools.product(shown, asked):
            sent = {**headers, "Content-Type": "application/json"}
            yield path, sent, method, body
        for name in ("token", "user-token", "Subscription-Key", "x"):
            if name != "x" or text is not API_KEY:
                yield (f"/admin/v1/whoami?{name}={text}",)
                yield (f"{V4}/tcb?fmspc=00&{name}={text}",)
        if text is not API_KEY:  # 32 digits name many things
            yield (f"/{text}/x",)
    yield (f"/admin/v1/whoami?url={URL}",)
    yield (f"/x/{URL}",)
    yield (f"{V4}/pckcert?platform_manifest={MANIFEST}",)


def manifest_of(text):
    """
    Write a platform as PCCS's tool registers it.
    """
    return (
        f'{{"enc_ppid": "", "pce_id": "0000", "qe_id": "{"0" * 32}", '
        f'"cpu_svn": "", "pce_svn": "", "platform_manifest": "{text}"}}'
    ).encode()


def test_something(logged):
    """
    The log has the requests that were made.
    """
    log, _ = logged

    assert log.count('"GET /admin/v1/whoami HTTP/1.1" 200') > 1
    assert log.count('"PUT /sgx/certification/v4/platformcollateral') > 1


@pytest.mark.parametrize(
    "secret",
    [
        BAD.partition(".")[2],
        API_KEY,
        MANIFEST,
        PASSWORD,
        JWT,
        JWT.split(".")[1],
        JWT.split(".")[2],
    ],
    ids=["bad", "key", "manifest", "password", "jwt", "claims", "signature"],
)
def test_none(logged, secret):
    """
    No secret is in the log.
    """
    log, _ = logged

    assert secret not in log


def test_no_token(logged):
    """
    Nor is the token that counts.
    """
    log, text = logged

    assert text.partition(".")[2] not in log
