"""
All routes of the admin API: who may ask, in which way, and what is refused
before anything is done.
"""

import asyncio
import contextlib
import json
import types

from typing import Any

import pytest

from tests.http.admin_api import add_tokens, serving_admin
from tests.http.conftest import NOW
from tests.new_store import new_store
from thim.http.administered import Administered
from thim.http.auth import Gate
from thim.http.settings import HttpSettings
from thim.services.tokens import Permission, Role
from thim.store.replica import Replica


UNKNOWN = f"{'0' * 12}.{'x' * 43}"
REASON = {"reason": "test"}
#: Method, path, whether a tenant's own token may, and a body.
READS = (
    ("/tenants", False),
    ("/tenants/acme", True),
    ("/tenants/acme/history", True),
    ("/tenants/acme/served?at=2020-01-01&path=/sgx/certification/v4/pckcrl", 1),
    ("/tenants/acme/what-if?baseline=17&limit=0", True),
    ("/baselines", False),
    ("/baselines/default", False),
    ("/baselines/default/history", False),
    ("/plans", False),
    ("/plans/1", False),
)
WRITES: tuple[tuple[str, str, bool, Any], ...] = (
    ("PUT", "/tenants/acme", False, {}),
    ("DELETE", "/tenants/acme", False, None),
    ("PUT", "/tenants/acme/baseline", True, {"baseline": "", "reason": ""}),
    ("POST", "/baselines/prod/approve", False, {}),
    ("POST", "/baselines/prod/rollback", False, {}),
    ("POST", "/plans", False, {}),
    ("POST", "/plans/1/apply", False, {}),
    ("POST", "/plans/1/rollback", False, {}),
)
BODIED = [write for write in WRITES if write[3] is not None]
ROLES = [role.value for role in Role]


@pytest.fixture(scope="module")
def api(intel, tmp_path_factory):
    """
    A service to which nothing is ever done in these tests.
    """
    with serving_admin(intel, tmp_path_factory.mktemp("admin")) as running:
        before = running.counts()
        yield running
        assert before == running.counts()


def problem(got):
    """
    Read a refusal: status and reason.
    """
    assert "application/problem+json" == got["content-type"]
    assert "no-store" == got["cache-control"]
    assert got.status == got.json["status"]
    return got.status, got.json["reason"]


def is_let_in(got):
    """
    Tell whether who asked was let in.
    """
    assert 500 > got.status, got.body
    return got.status not in {401, 403}


class TestRoles:
    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize(("path", "_is_own"), READS)
    def test_read(self, api, path, _is_own, role):
        """
        Admins, operators and readers may read, and nobody else.
        """
        got = api.ask(path, role)

        expected = role in {"admin", "operator", "reader"}
        assert expected == is_let_in(got)
        if not expected:
            assert (403, "role") == problem(got)

    @pytest.mark.parametrize("role", [r for r in ROLES if r != "admin"])
    @pytest.mark.parametrize(("method", "path", "_own", "body"), WRITES)
    def test_write(self, api, method, path, _own, body, role):
        """
        Admins alone may change anything.
        """
        got = api.ask(path, role, method=method, body=body)

        assert (403, "role") == problem(got)

    @pytest.mark.parametrize(("method", "path", "_own", "body"), BODIED)
    def test_admin(self, api, method, path, _own, body):
        """
        They are let in.
        """
        assert is_let_in(api.ask(path, method=method, body=body))


class TestTenants:
    @pytest.mark.parametrize("role", ["admin", "operator", "reader"])
    @pytest.mark.parametrize(("path", "is_own"), READS)
    def test_read(self, api, path, is_own, role):
        """
        A tenant's own tokens may read what is the tenant's, and nothing else:
        neither what is everybody's nor another tenant's.
        """
        assert bool(is_own) == is_let_in(api.ask(path, f"acme/{role}"))
        got = api.ask(path, f"lab/{role}")
        assert (403, "tenant") == problem(got)

    @pytest.mark.parametrize(("method", "path", "is_own", "body"), WRITES)
    def test_write(self, api, method, path, is_own, body):
        """
        A tenant's admin may say which baseline the tenant has, and nothing
        else; another tenant's may not even that.
        """
        if body is not None:
            got = api.ask(path, "acme/admin", method=method, body=body)
            assert is_own == is_let_in(got)
        else:
            got = api.ask(path, "acme/admin", method=method)
            assert (403, "tenant") == problem(got)
        got = api.ask(path, "lab/admin", method=method, body=body)
        assert (403, "tenant") == problem(got)

    @pytest.mark.parametrize("role", ["operator", "reader", "registrar"])
    def test_not_admin(self, api, role):
        """
        Nor may a tenant's other tokens.
        """
        body = {"baseline": "18", "reason": "test"}
        got = api.put("/tenants/acme/baseline", body, f"acme/{role}")

        assert (403, "role") == problem(got)

    @pytest.mark.parametrize("name", ["root", "nobody", "ACME", "acme%20"])
    def test_other_names(self, api, name):
        """
        Whether another tenant is there is not told.
        """
        got = api.ask(f"/tenants/{name}", "acme/admin")

        assert (403, "tenant") == problem(got)


class TestTokens:
    @pytest.mark.parametrize(
        ("headers", "reason"),
        [
            ({}, "token-missing"),
            ({"authorization": "Basic YTpi"}, "token-missing"),
            ({"authorization": "Bearer nonsense"}, "token-refused"),
            (
                {"authorization": f"Bearer {UNKNOWN}"},
                "token-refused",
            ),
        ],
    )
    def test_none(self, api, headers, reason):
        """
        Without a token that counts nothing is told.
        """
        for path, _ in READS:
            got = api.ask(path, None, **headers)
            assert (401, reason) == problem(got)
            assert "Bearer" == got["www-authenticate"]

    def test_in_the_clear(self, intel, tmp_path):
        """
        A token that comes in the clear from another machine is refused before
        anything is done.
        """
        store, sent = tmp_path / "thim.db", []
        new_store(store, intel.anchors)
        tokens = add_tokens(store, intel)

        async def send(message):
            sent.append(message)

        with contextlib.closing(Replica(store)) as replica:
            service = types.SimpleNamespace(
                settings=HttpSettings(store=store, anchors=intel.anchors),
                clock=lambda: NOW,
                replica=replica,
            )
            scope = {
                "type": "http",
                "method": "PUT",
                "path": "/admin/v1/tenants/acme",
                "path_params": {"name": "acme"},
                "scheme": "http",
                "client": ("192.0.2.7", 4711),
                "headers": [
                    (b"authorization", f"Bearer {tokens['admin']}".encode())
                ],
                "state": {"gate": Gate(service)},
            }
            route = Administered(Permission.ADMINISTER, None, 1000)
            asyncio.run(route(scope, None, send))

        assert 403 == sent[0]["status"]
        assert b"plain-http" in sent[1]["body"]

    @pytest.mark.parametrize("header", ["user-token", "admin-token"])
    def test_misplaced(self, api, header):
        """
        PCCS's headers take the tokens that are theirs.
        """
        token = api.tokens["reader"]
        got = api.ask("/tenants", None, **{header: token})

        assert (401, "token-header") == problem(got)
        assert token not in got.body.decode()


class TestMethods:
    @pytest.mark.parametrize(("path", "_own"), READS)
    def test_head(self, api, path, _own):
        """
        HEAD answers as GET does, without the body.
        """
        got, whole = api.ask(path, method="HEAD"), api.ask(path)

        assert (whole.status, b"") == (got.status, got.body)
        assert whole["content-type"] == got["content-type"]

    @pytest.mark.parametrize("method", ["PATCH", "POST", "OPTIONS", "TRACE"])
    @pytest.mark.parametrize("path", ["/tenants", "/tenants/a", "/baselines"])
    def test_not_allowed(self, api, method, path):
        """
        Another method is none.
        """
        got = api.ask(path, method=method, body=REASON)

        assert 405 == got.status
        assert "GET" in got["allow"]

    @pytest.mark.parametrize(
        "path",
        [
            "/nothing",
            "/tenants/acme/nothing",
            "/tenants/",
            "/plans/1/apply/2",
            "/tenants%0A",
            "/baselines/default%0A",
        ],
    )
    def test_unknown(self, api, path):
        """
        Another path is none.
        """
        assert api.ask(path).status in {404, 307}


class TestBodies:
    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff"]
    )
    @pytest.mark.parametrize(("method", "path", "_own", "_body"), BODIED)
    def test_no_object(self, api, method, path, _own, _body, body):
        """
        What is no JSON object is refused.
        """
        assert 400 == api.ask(path, method=method, body=body).status

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"reason": ""},
            {"reason": "x" * 501},
            {"reason": 7},
            {"reason": None},
            {"reason": "test", "unknown": 1},
        ],
    )
    @pytest.mark.parametrize(("method", "path", "_own", "_body"), BODIED)
    def test_reason(self, api, method, path, _own, _body, body):
        """
        Each change has a reason of 1 to 500 characters, and no member that is
        not known.
        """
        got = api.ask(path, method=method, body=body)

        assert 400 == got.status
        assert "problem" in got["content-type"]

    @pytest.mark.parametrize(("method", "path", "_own", "_body"), BODIED)
    def test_twice(self, api, method, path, _own, _body):
        """
        A member that comes twice is refused.
        """
        body = b'{"reason":"a","reason":"b"}'

        assert 400 == api.ask(path, method=method, body=body).status

    @pytest.mark.parametrize(("method", "path", "_own", "_body"), BODIED)
    def test_size(self, api, method, path, _own, _body):
        """
        A body that is too large is refused.
        """
        body = b" " * (256 * 1024 + 1)
        got = api.ask(path, method=method, body=body)

        assert (413, "body-too-large") == problem(got)

    @pytest.mark.parametrize(("method", "path", "_own", "_body"), BODIED)
    @pytest.mark.parametrize(
        "headers",
        [
            {"content_type": "text/plain"},
            {"content_type": "application/x-www-form-urlencoded"},
            {"content_encoding": "gzip"},
        ],
    )
    def test_type(self, api, method, path, _own, _body, headers):
        """
        So is one of another type: a form on another site could send that.
        """
        got = api.ask(path, method=method, body=REASON, **headers)

        assert (400, "parameter") == problem(got)

    def test_deep(self, api):
        """
        JSON that is too deep is refused.
        """
        body = b'{"reason":' + b"[" * 30_000 + b"]" * 30_000 + b"}"

        assert 400 == api.put("/tenants/new", body).status

    def test_surrogates(self, api):
        """
        Text that is none does not get through.
        """
        body = b'{"reason":"\\ud800","baseline":"\\udfff"}'

        assert 400 == api.put("/tenants/new", body).status


class TestProblems:
    @pytest.mark.parametrize(
        "path",
        [
            "/tenants/%00",
            "/tenants/%FF",
            "/tenants/%ED%A0%80",
            f"/tenants/{'x' * 5000}",
            "/tenants/%1B%5B2J",
            "/baselines/%F0%9F%98%80",
            f"/baselines/{'9' * 5000}",
            "/plans/-1",
            "/plans/x",
            f"/plans/{'9' * 13}",
            "/plans/%D9%A1",
            "/plans/999999999999",
        ],
    )
    def test_not_found(self, api, path):
        """
        Names and numbers that cannot be are unknown, like those that are.
        """
        got = api.ask(path)

        assert 404 == got.status
        assert json.loads(got.body)["detail"]
        assert len(got.body) < 1000
