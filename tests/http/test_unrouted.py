import asyncio

import pytest

from starlette.requests import Request

from tests.http.attesting import error_in
from thim.http.unrouted import refuse_internally


def methods(got):
    """
    The methods that an answer allows.
    """
    return got["allow"].split(", ")


class TestMethod:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/admin/v1/tenants/acme", ["DELETE", "GET", "HEAD", "PUT"]),
            ("/admin/v1/plans", ["GET", "HEAD", "POST"]),
            ("/admin/v1/openapi.json", ["GET", "HEAD"]),
        ],
    )
    def test_admin(self, served, path, expected):
        """
        Another method than there is below ``/admin`` is a problem, and all that
        there are are named.
        """
        got = served.get(path, method="PATCH")

        assert (405, "application/problem+json") == (
            got.status,
            got["content-type"],
        )
        assert expected == methods(got)
        assert ("method", 405) == (got.json["reason"], got.json["status"])
        assert f"Only {' and '.join(expected)}." == got.json["detail"]
        assert ("no-store", "method") == (
            got["cache-control"],
            got["thim-reason"],
        )

    @pytest.mark.parametrize("prefix", ["", "/tenant/root"])
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/attest/SgxEnclave", ["POST"]),
            ("/policies/SgxEnclave", ["GET", "HEAD", "PUT"]),
            ("/policies/SgxEnclave:reset", ["POST"]),
            ("/certs", ["GET", "HEAD"]),
            (
                "/operations/policy/current",
                ["DELETE", "GET", "HEAD", "POST", "PUT"],
            ),
        ],
    )
    def test_attestation(self, served, prefix, path, expected):
        """
        In the attestation API it is an error of Azure's form, below a tenant's
        prefix too.
        """
        got = served.get(f"{prefix}{path}", method="PATCH")

        assert (405, "MethodNotAllowed", "method") == error_in(got)
        assert expected == methods(got)

    def test_prefixed_collateral(self, served):
        """
        Whoever asks for collateral is told in plain text.
        """
        path = "/tenant/root/sgx/certification/v4/pckcert"
        got = served.get(path, method="DELETE")

        assert (405, b"Only GET and HEAD and POST.\n") == (got.status, got.body)
        assert ["GET", "HEAD", "POST"] == methods(got)


class TestPath:
    @pytest.mark.parametrize(
        "path", ["/admin/", "/admin/v1", "/admin/v1/nothing", "/admin/v2/plans"]
    )
    def test_admin(self, served, path):
        """
        An unknown path below ``/admin`` is a problem.
        """
        got = served.get(path)

        assert (404, "unknown-path") == (got.status, got.json["reason"])
        assert "application/problem+json" == got["content-type"]

    @pytest.mark.parametrize("prefix", ["", "/tenant/root"])
    @pytest.mark.parametrize(
        "path", ["/attest/", "/policies/a/b", "/operations/", "/openapi/x"]
    )
    def test_attestation(self, served, prefix, path):
        """
        In the attestation API it is an error of Azure's form.
        """
        got = served.get(f"{prefix}{path}")

        assert (404, "NotFound", "unknown-path") == error_in(got)

    @pytest.mark.parametrize("path", ["/", "/adminx", "/sgx/", "/at"])
    def test_others(self, served, path):
        """
        Elsewhere it is plain text.
        """
        got = served.get(path)

        assert (404, b"No such path.\n") == (got.status, got.body)
        assert "text/plain; charset=utf-8" == got["content-type"]


class TestInternal:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("/admin/v1/plans", "application/problem+json"),
            ("/attest/SgxEnclave", "application/json; charset=utf-8"),
            ("/tenant/a/attest/TdxVm", "application/json; charset=utf-8"),
            ("/sgx/certification/v4/tcb", "text/plain; charset=utf-8"),
            ("/at/never/sgx", "text/plain; charset=utf-8"),
        ],
    )
    def test_form(self, path, kind):
        """
        What was too much for us is a 500 in the form of the family, and says
        nothing of what it was.
        """
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [],
            "state": {},
        }
        sent = []

        async def answer():
            response = await refuse_internally(
                Request(scope), ValueError("secret")
            )

            async def send(message):
                sent.append(message)

            await response(scope, None, send)

        asyncio.run(answer())
        start, body = sent

        assert 500 == start["status"]
        assert kind == dict(start["headers"])[b"content-type"].decode()
        assert b"nternal" in body["body"]
        assert b"secret" not in body["body"]
