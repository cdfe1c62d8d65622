import dataclasses
import re

import msgspec
import pytest

from tests.http.attesting import error_in
from thim.http.administered import Administered
from thim.http.app import create_app
from thim.http.attestation import (
    ATTESTATION_DOCUMENT,
    attest_routes,
    signer_routes,
)
from thim.http.attestation_admin import attestation_admin_routes
from thim.http.attestation_preview import attestation_preview_routes
from thim.http.openapi import Answer, Operation, make_document, roles_with
from thim.http.openapi_route import FAMILIES, find_family, make_reply
from thim.http.settings import HttpSettings
from thim.services.tokens import Role


DOCUMENTS = {
    "admin": "/admin/v1/openapi.json",
    "attestation": (ATTESTATION_DOCUMENT),
}
#: What is for machines that ask for collateral, or for who watches us.
OTHERS = (
    "/console",
    "/admin/",
    "/IntelSGX",
    "/SevSnpVM",
    "/at/",
    "/baseline/",
    "/health",
    "/metadata/",
    "/metrics",
    "/sgx/",
    "/tdx/",
    "/tenant/",
    "/vcek/",
    "/vlek/",
    "/{tee}/certificates/",
)


def attestation_routes():
    """
    All routes of the attestation API.
    """
    return [
        *attest_routes(),
        *signer_routes(),
        *attestation_admin_routes(),
        *attestation_preview_routes(),
    ]


def methods_of(routes):
    """
    Methods and paths of routes, HEAD left out.
    """
    return sorted(
        (method, re.sub(r":[a-z]+}", "}", route.path))
        for route in routes
        for method in route.methods - {"HEAD"}
    )


def declared(family):
    """
    Methods and paths of a document.
    """
    return sorted((o.method, o.path) for o in find_family(family).operations)


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    """
    All routes of the application.
    """
    store = tmp_path_factory.mktemp("routes") / "thim.db"
    return create_app(HttpSettings(store=store)).routes


class TestRoutes:
    def test_admin(self, routes):
        """
        Each route below ``/admin`` is in the document, and no other.
        """
        below = [each for each in routes if each.path.startswith("/admin/")]

        assert declared("admin") == methods_of(below)

    def test_attestation(self):
        """
        So is each route of the attestation API.
        """
        assert declared("attestation") == methods_of(attestation_routes())

    def test_others(self, routes):
        """
        All other routes are of the families that we know.
        """
        known = {each.path for each in attestation_routes()}
        rest = [
            each.path
            for each in routes
            if each.path not in known | {"/"}
            and not each.path.startswith(OTHERS)
        ]

        assert [] == rest

    def test_roles(self, routes):
        """
        An operation of the admin API says whose tokens its route takes.
        """
        said = {
            (each.method, each.path): (
                set(each.access.roles),
                set(each.access.tenant_roles),
            )
            for each in find_family("admin").operations
        }
        for route in routes:
            if not isinstance(route.endpoint, Administered):
                continue
            endpoint, (method,) = route.endpoint, route.methods - {"HEAD"}
            if endpoint.permission is None:
                expected = (set(Role), set(Role))
            else:
                roles = set(roles_with(endpoint.permission))
                expected = (roles, roles if endpoint.tenant else set())
            assert expected == said[method, route.path], route.path


def operations():
    """
    All operations, each with the name of its family.
    """
    return [
        pytest.param(each, id=f"{family}-{each.id}")
        for family in FAMILIES
        for each in find_family(family).operations
    ]


def walk(value):
    """
    Go through all objects in a document.
    """
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from walk(each)


class TestOperation:
    @pytest.mark.parametrize("operation", operations())
    def test_path(self, operation):
        """
        Each variable part of a path is a parameter.
        """
        named = {p.name for p in operation.parameters if p.where == "path"}

        assert set(re.findall(r"{(\w+)}", operation.path)) == named

    @pytest.mark.parametrize("operation", operations())
    def test_parameters(self, operation):
        """
        The example of a parameter is one.
        """
        for parameter in operation.parameters:
            msgspec.convert(parameter.example, parameter.kind)
            assert parameter.text

    @pytest.mark.parametrize("operation", operations())
    def test_bodies(self, operation):
        """
        The examples of a body are what the service reads.
        """
        if operation.body is None:
            return
        kinds = next(iter(operation.body.kinds.values()))
        assert operation.body.examples
        for example in operation.body.examples.values():
            msgspec.convert(example, kinds[0])

    @pytest.mark.parametrize("operation", operations())
    def test_answers(self, operation):
        """
        An operation says what it answers if all is well, and the example of
        a refusal is one.
        """
        assert any(status in {200, 201, 204} for status in operation.answers)
        for answer in operation.answers.values():
            if answer.example is not None:
                (kind,) = answer.kinds.values()
                msgspec.convert(answer.example, kind)


@pytest.mark.parametrize("family", FAMILIES)
class TestDocument:
    def test_ids(self, family):
        """
        No two operations have the same name.
        """
        names = [each.id for each in find_family(family).operations]

        assert len(names) == len(set(names))

    def test_tags(self, family):
        """
        Tags are those that are described.
        """
        found = find_family(family)

        assert set(found.tags) == {each.tag for each in found.operations}

    def test_references(self, family):
        """
        Whatever is referred to is there.
        """
        document = make_document(find_family(family))
        for each in walk(document):
            if "$ref" in each:
                found = document
                for name in each["$ref"].removeprefix("#/").split("/"):
                    found = found[name]

    def test_patterns(self, family):
        r"""
        Patterns are ECMAScript's, which has no ``\A``.
        """
        for each in walk(make_document(find_family(family))):
            pattern = each.get("pattern")
            if isinstance(pattern, str):
                assert not re.search(r"\\[AZz]", pattern)
                assert pattern.startswith("^")
                assert pattern.endswith("$")

    def test_served(self, served, family):
        """
        The document is served to everybody, and may be kept for an hour.
        """
        got = served.get(DOCUMENTS[family])

        assert 200 == got.status
        assert make_reply(family).body == got.body
        assert "3.1.0" == got.json["openapi"]
        assert "application/json" == got["content-type"]
        assert "public, max-age=3600" == got["cache-control"]

    def test_unchanged(self, served, family):
        """
        Who has it already is told so.
        """
        tag = served.get(DOCUMENTS[family])["etag"]

        got = served.get(DOCUMENTS[family], {"If-None-Match": tag})

        assert (304, b"", tag) == (got.status, got.body, got["etag"])

    def test_head(self, served, family):
        """
        HEAD answers its headers.
        """
        got = served.get(DOCUMENTS[family], method="HEAD")

        assert (200, b"") == (got.status, got.body)
        assert str(len(make_reply(family).body)) == got["content-length"]

    def test_line_end(self, served, family):
        """
        A path with a line end is another.
        """
        got = served.get(f"{DOCUMENTS[family]}%0A")

        assert 404 == got.status
        assert "unknown-path" in got.body.decode()


class TestPrefix:
    def test_tenant(self, served):
        """
        The attestation document is below a tenant's prefix too.
        """
        got = served.get(f"/tenant/acme{ATTESTATION_DOCUMENT}")

        assert make_reply("attestation").body == got.body

    @pytest.mark.parametrize("prefix", ["/baseline/20", "/at/2026-01-01"])
    def test_pinned(self, served, prefix):
        """
        It has no baseline, and no past.
        """
        got = served.get(f"{prefix}{ATTESTATION_DOCUMENT}")

        assert (404, "NotFound") == error_in(got)[:2]


class Given(msgspec.Struct):
    """One type."""


def test_same_names():
    """
    Two types of one name are a mistake that is noticed.
    """
    other = msgspec.defstruct("Given", [("more", int)])
    answers = {
        status: Answer(text="One.", kinds={"application/json": kind})
        for status, kind in ((200, Given), (201, other))
    }
    operation = Operation(
        id="o", method="GET", path="/o", tag="t", summary="O", answers=answers
    )
    family = dataclasses.replace(find_family("admin"), operations=(operation,))

    with pytest.raises(AssertionError, match="two types called Given"):
        make_document(family)
