"""
The page of endpoints has those that there are, and a request of each.
"""

import itertools
import re

import pytest

from starlette.routing import Route

from tests.conftest import PROJECT
from thim.http.app import create_app
from thim.http.settings import HttpSettings


TEXT = (PROJECT / "docs" / "endpoints.md").read_text()
ROW = re.compile(r"^\| ([A-Z, ]+) \| ((?:`/[^`]+`(?:, )?)+) \|", re.MULTILINE)
COMMAND = re.compile(r"^.*\bcurl .*(?:\n    .*)*", re.MULTILINE)
ADDRESS = re.compile(r'"\$([UPTW])(/[^"?]*|)')
PREFIX = re.compile(r"^(?:/tenant/\w+)?(?:/baseline/\w+)?(?=/)")
#: What stands for the beginning of an address.
BASES = {
    "U": "",
    "P": "/sgx/certification/v4",
    "T": "",
    "W": "/admin/v1",
}
#: Prefixes, and pages for people.
OTHERS = re.compile("/|/(?:tenant|baseline|at)/{rest:path}|/console.*")


def expand(path):
    """
    Return the paths that *path* stands for: one for each of {a,b}.
    """
    parts = re.split(r"{([^{}]*,[^{}]*)}", path)
    choices = [
        part.split(",") if n % 2 else [part] for n, part in enumerate(parts)
    ]
    return ["".join(one) for one in itertools.product(*choices)]


def documented():
    """
    Return the method and the path of each endpoint on the page.
    """
    return {
        (method, path)
        for methods, paths in ROW.findall(TEXT)
        for method in methods.split(", ")
        for written in re.findall("`([^`]+)`", paths)
        for path in expand(written)
    }


def requested():
    """
    Return the method and the path of each request on the page.
    """
    found = set()
    for command in COMMAND.findall(TEXT):
        address = ADDRESS.search(command)
        if address is None:
            continue
        base, path = address.groups()
        named = re.search("-X ([A-Z]+)", command)
        usual = "POST" if " -d " in command else "GET"
        method = named[1] if named else usual
        found.add((method, BASES[base] + PREFIX.sub("", path)))
    return found


def is_of(template, path):
    """
    Tell whether *path* is one of *template*.
    """
    pattern = re.sub(r"{\w+}", "[^/:]+", template.replace(".", r"\."))
    return re.fullmatch(pattern, path) is not None


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    """
    The method and the path of each route of the service.
    """
    store = tmp_path_factory.mktemp("routes") / "thim.db"
    app = create_app(HttpSettings(store=store))
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route) and not OTHERS.fullmatch(route.path)
        for method in (route.methods or set()) - {"HEAD"}
    }


class TestEndpoints:
    """docs/endpoints.md."""

    def test_every_route(self, routes):
        """Each route of the service is on the page, and no other."""
        assert routes == documented()

    def test_every_request(self):
        """Of each row and method there is a request."""
        requests = requested()
        missing = [
            (method, written)
            for methods, paths in ROW.findall(TEXT)
            for method in methods.split(", ")
            for written in re.findall("`([^`]+)`", paths)
            if not any(
                method == asked and is_of(path, at)
                for path in expand(written)
                for asked, at in requests
            )
        ]
        assert [] == missing
