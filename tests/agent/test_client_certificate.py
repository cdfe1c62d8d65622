"""
Agents that show a certificate to a service that asks for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3

import pytest

from tests.http.certified import DAY, Authority
from tests.http.doors import behind
from tests.http.test_door import add_token
from tests.new_store import new_store
from thim.agent.service import ServiceError, ThimService
from thim.cli.agent_settings import load_agent
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import OperatorError
from thim.http.client_trust import ClientTrust
from thim.http.door_settings import DoorSettings
from thim.http.live_tls import TlsFiles
from thim.services.tokens import Role


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """
    A CA of servers and of agents.
    """
    return Authority(tmp_path_factory.mktemp("agents"))


@pytest.fixture(scope="module")
def asking(ca):
    """
    A service that asks agents for certificates: its URL and its store.
    """
    store = ca.folder / "thim.db"
    new_store(store, VENDOR_ROOTS)
    files = TlsFiles(
        certificates=(ca.issue("server", "localhost"),),
        clients=ClientTrust(ca=ca.path, is_required=False),
    )
    door = DoorSettings(tls=files, agents_show_certificates=True)
    with behind(store, door=door) as service:
        yield f"https://localhost:{service.main.port}", store


def enrol(asking, service):
    """
    Enrol with a token of its own.
    """
    return service.enrol(add_token(asking[1], Role.ENROLMENT), "node7")


def creators(store):
    """
    List who has made tokens.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        query = "SELECT created_by FROM api_tokens ORDER BY rowid"
        return [row[0] for row in db.execute(query)]


def test_shown(asking, ca):
    """
    An agent that shows a certificate enrols, and is known by both.
    """
    own = ca.issue("node7", "node7.test", use="client")

    async def run():
        service = ThimService(asking[0], ca.path, (own.cert, own.key))
        text = await enrol(asking, service)
        await service.close()
        return text

    assert 1 == asyncio.run(run()).count(".")
    assert creators(asking[1])[-1].endswith(", certificate node7.test")


@pytest.mark.parametrize("kind", ["none", "expired"])
def test_refused(asking, ca, kind):
    """
    One that shows none, or one that has expired, does not enrol.
    """
    late = ca.issue("late", use="client", life=-DAY)
    own = (None, None) if kind == "none" else (late.cert, late.key)

    async def run():
        service = ThimService(asking[0], ca.path, own)
        try:
            await enrol(asking, service)
        finally:
            await service.close()

    with pytest.raises(ServiceError):
        asyncio.run(run())


def test_new_one(asking, ca, caplog):
    """
    A new certificate is shown by the next connection; and one that cannot be
    used is one line in the log, and the old one is shown.
    """
    own = ca.issue("first", "first.test", use="client", file="own")

    async def run():
        service = ThimService(asking[0], ca.path, (own.cert, own.key))
        ca.issue("second", "second.test", use="client", file="own")
        await enrol(asking, service)
        own.cert.write_bytes(b"nonsense")
        for _ in range(2):
            await enrol(asking, service)
        await service.close()

    asyncio.run(run())
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]

    assert [True] * 3 == [
        each.endswith("certificate second.test")
        for each in creators(asking[1])
        if "certificate" in each
    ][-3:]
    assert 1 == len(errors)
    assert "the new certificate is not shown: client_cert" in caplog.text


class TestSettings:
    @pytest.fixture
    def read(self, ca, tmp_path):
        """
        Read the agent's table.
        """

        def run(text):
            path = tmp_path / "thim.toml"
            path.write_text(f"[agent]\n{text.replace('DIR', str(ca.folder))}")
            return load_agent({}, {}, path)

        return run

    def test_both(self, read, ca):
        """
        Both files are settings of the agent.
        """
        ca.issue("own", use="client")
        found = read('client_cert = "DIR/own.crt"\nclient_key = "DIR/own.key"')

        assert (ca.folder / "own.crt", ca.folder / "own.key") == (
            found.client_cert,
            found.client_key,
        )

    def test_one(self, read, ca):
        """
        One without the other is refused.
        """
        ca.issue("own", use="client")
        with pytest.raises(OperatorError, match="client_key is missing"):
            read('client_cert = "DIR/own.crt"')

    def test_unusable(self, ca):
        """
        Files that cannot be used are named at the start.
        """
        own = ca.issue("own", use="client")
        other = ca.issue("other", use="client")
        with pytest.raises(OperatorError) as caught:
            ThimService("https://localhost:1", ca.path, (own.cert, other.key))

        assert f"client_cert {own.cert}, client_key" in str(caught.value)
