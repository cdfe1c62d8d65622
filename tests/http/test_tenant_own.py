"""
What a tenant's own tokens are told and may do.
"""

import contextlib
import datetime
import sqlite3

import pytest

from tests.http.admin_api import serving_admin
from tests.platforms import NOW
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


TCB = "/sgx/certification/v4/qe/identity"
MINE = {"baseline": "18", "reason": "mine"}


class Hands:
    """
    The hands of a clock.
    """

    def __init__(self):
        self.now = NOW

    def __call__(self):
        """
        Say what time it is.
        """
        return self.now


@pytest.fixture
def clock():
    """
    A clock that the test sets.
    """
    return Hands()


@pytest.fixture
def api(intel, tmp_path, clock):
    """
    A service with tenants and tokens.
    """
    with serving_admin(intel, tmp_path, clock=clock) as api:
        yield api


def give(api, intel, tenant, role=Role.READER):
    """
    Give a tenant a token.
    """
    text, kept = make_token(tenant, role, actor="root", now=NOW, tenant=tenant)
    with Ledger(api.store, intel.anchors) as ledger:
        ledger.tokens.add(kept)
    return text


def ask(api, path, token):
    """
    Ask with a token.
    """
    return api.ask(path, None, authorization=f"Bearer {token}")


class TestNames:
    def test_all_platforms(self, api, intel):
        """
        A tenant without labels has everybody's platforms: it is told how many
        break, and nobody's name.
        """
        path = "/tenants/all/what-if?baseline=18&limit=100"
        got = ask(api, path, give(api, intel, "all"))

        assert (200, 2, []) == (
            got.status,
            got.json["breaking"],
            got.json["broken"],
        )
        assert 3 == len(api.ask(path).json["broken"])

    def test_own_platforms(self, api):
        """
        One with labels is told the names of its own.
        """
        path = "/tenants/acme/what-if?baseline=18&limit=100"
        got = api.ask(path, "acme/reader")

        assert {"acme-good", "acme-short"} >= {
            each["name"] for each in got.json["broken"]
        }
        assert got.json["broken"]


class TestBaseline:
    def test_refused(self, api):
        """
        What would break too much is refused, and leaves nothing behind.
        """
        before = api.counts()

        got = api.put("/tenants/acme/baseline", MINE, "acme/admin")

        assert 403 == got.status
        assert "breaks-too-many" == got.json["reason"]
        assert before == api.counts()

    def test_too_often(self, api):
        """
        Each change is kept for ever: there are ten in a minute.
        """
        got = [
            api.put("/tenants/acme/baseline", MINE, "acme/admin")
            for _ in range(11)
        ]

        assert [403] * 10 == [each.status for each in got[:10]]
        assert (429, "changes") == (got[10].status, got[10].json["reason"])


class TestPast:
    def test_of_the_former_owner(self, api, intel, clock):
        """
        Who has a name that somebody else had is told nothing of them; whoever
        administers all is.
        """
        clock.now += datetime.timedelta(days=1)
        api.ask("/tenants/acme?reason=gone", method="DELETE")
        clock.now += datetime.timedelta(days=1)
        body = {"reason": "others", "baseline": "17"}
        assert 201 == api.put("/tenants/acme", body).status
        token = give(api, intel, "acme")

        mine = ask(api, "/tenants/acme/history", token).json
        then = f"{NOW + datetime.timedelta(hours=1):%FT%TZ}"
        path = f"/tenants/acme/served?at={then}&path={TCB}"
        got = ask(api, path, token)

        assert ["others"] == [each["reason"] for each in mine]
        assert 3 == len(api.ask("/tenants/acme/history").json)
        assert (404, "before-archive") == (got.status, got.json["reason"])
        assert 200 == api.ask(path).status


class TestDamage:
    def test_definition(self, api):
        """
        A definition that cannot be read is our trouble: a 503.
        """
        with contextlib.closing(sqlite3.connect(api.store)) as db, db:
            db.execute("UPDATE definitions SET body = '{}' WHERE name = 'acme'")
            db.execute(
                "INSERT INTO enactments (kind, name, sequence, version, "
                "effective, decided, actor, reason) SELECT kind, name, "
                "sequence + 1, version, effective, decided, actor, reason "
                "FROM enactments WHERE name = 'acme'"
            )

        got = api.served.get(f"/tenant/acme{TCB}")

        assert (503, b"", "store-damaged") == (
            got.status,
            got.body,
            got["thim-reason"],
        )
