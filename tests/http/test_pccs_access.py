"""
Who may use PCCS's administration routes, and what is no request at all.
"""

import pytest

from tests.http.administration import (
    V3,
    V4,
    administered,
    registration,
    upload,
)
from tests.platforms import tcbm
from thim.http.limits import Limits
from thim.simulate.pki import Intel


AT = tcbm(4, 4)
USER = [("POST", "platforms")]
ADMIN = [
    ("GET", "platforms"),
    ("PUT", "platformcollateral"),
    ("PUT", "appraisalpolicy"),
]
REFRESH = [("GET", "refresh"), ("POST", "refresh")]


@pytest.fixture(scope="module")
def intel():
    """
    An Intel that signs.
    """
    return Intel()


@pytest.fixture(scope="module")
def pccs(intel, tmp_path_factory):
    """
    A service that nothing is written to.
    """
    folder = tmp_path_factory.mktemp("pccs")
    limits = Limits(body=100_000)
    with administered(intel, folder, limits=limits) as running:
        yield running


class TestAccess:
    @pytest.mark.parametrize("base", [V3, V4])
    @pytest.mark.parametrize(("method", "name"), USER + ADMIN + REFRESH)
    def test_no_token(self, pccs, base, method, name):
        """
        Without a token nothing is looked at, not even whether it is JSON.
        """
        got = pccs.send(method, f"{base}/{name}?type=x", b"{", role=None)

        assert 401 == got.status
        header = b"user-token" if (method, name) in USER else b"admin-token"
        assert got.body.startswith(b"Authentication failed. ")
        assert b": " + header + b": TOKEN or Authorization: Bearer" in got.body
        assert pccs.events() == []

    def test_admin_registers_not(self, pccs):
        """
        The admin token in user-token is a 401, as in PCCS.
        """
        body = registration("one", AT)
        got = pccs.send(
            "POST",
            f"{V4}/platforms",
            body,
            role=None,
            user_token=pccs.tokens["admin"],
        )

        assert (401, "token-header") == (got.status, got["thim-reason"])
        assert b"show it as admin-token: TOKEN or " in got.body

    @pytest.mark.parametrize(("method", "name"), ADMIN + REFRESH)
    def test_registrar_administers_not(self, pccs, method, name):
        """
        Nor does the user token do in admin-token.
        """
        got = pccs.send(
            method,
            f"{V4}/{name}",
            b"{",
            role=None,
            admin_token=pccs.tokens["registrar"],
        )

        assert 401 == got.status

    @pytest.mark.parametrize("role", ["operator", "reader", "registrar"])
    @pytest.mark.parametrize(("method", "name"), ADMIN)
    def test_bearer(self, pccs, method, name, role):
        """
        Whoever is known and no administrator is told what it takes.
        """
        got = pccs.send(
            method,
            f"{V4}/{name}",
            b"{",
            role=None,
            authorization=f"Bearer {pccs.tokens[role]}",
        )

        assert (403, "role") == (got.status, got["thim-reason"])

    @pytest.mark.parametrize("role", ["reader", "registrar"])
    @pytest.mark.parametrize(("method", "name"), REFRESH)
    def test_refresh(self, pccs, method, name, role):
        """
        Refreshing takes an operator or an administrator.
        """
        got = pccs.send(
            method,
            f"{V4}/{name}",
            role=None,
            authorization=f"Bearer {pccs.tokens[role]}",
        )

        assert 403 == got.status
        assert b"expected admin or operator" in got.body

    @pytest.mark.parametrize(
        ("method", "name"),
        [
            ("HEAD", "platforms"),
            ("DELETE", "platforms"),
            ("GET", "platformcollateral"),
            ("HEAD", "refresh"),
            ("POST", "appraisalpolicy"),
        ],
    )
    def test_other_methods(self, pccs, method, name):
        """
        What would have an effect and show no answer is not done for HEAD.
        """
        assert 405 == pccs.send(method, f"{V4}/{name}").status

    @pytest.mark.parametrize(
        "path",
        [
            f"/baseline/17{V4}/platforms",
            f"/at/2026-01-01{V4}/refresh",
            "/sgx/certification/v2/platforms",
            f"{V4}/refresh%0A",
        ],
    )
    def test_other_paths(self, pccs, path):
        """
        It is there on the bare paths of v3 and v4 only.
        """
        assert 404 == pccs.send("GET", path).status


class TestBody:
    @pytest.mark.parametrize(
        ("body", "named"),
        [
            (b"", b"not JSON"),
            (b"[]", b"Expected `object`"),
            (b'{"qe_id":"00","qe_id":"11"}', b"qe_id"),
            (b"[" * 40 + b"]" * 40, b"nested"),
            (b'{"a":1.5}', b"integer"),
            (b'{"a":"\xff"}', b"not JSON"),
        ],
    )
    def test_not_json(self, pccs, body, named):
        """
        A body that readers could read differently is refused.
        """
        got = pccs.send("POST", f"{V4}/platforms", body, role="registrar")

        assert 400 == got.status
        assert got.body.startswith(b"Invalid request parameters. ")
        assert named in got.body

    @pytest.mark.parametrize(
        "headers",
        [
            {"content_type": "text/plain"},
            {"content_type": "application/jsonx"},
            {"content_encoding": "gzip"},
        ],
    )
    def test_not_said_to_be(self, pccs, headers):
        """
        Nor is anything read that is said to be something else.
        """
        body = registration("one", AT)
        got = pccs.send(
            "POST", f"{V4}/platforms", body, role="registrar", **headers
        )

        assert (400, "parameter") == (got.status, got["thim-reason"])

    def test_large(self, pccs, intel):
        """
        A body over the limit is a 413.
        """
        body = upload(intel, qeidentity="x" * 100_000)
        got = pccs.send("PUT", f"{V4}/platformcollateral", body)

        assert 413 == got.status
        assert got.body.startswith(b"Content too large. ")
