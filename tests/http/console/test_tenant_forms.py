"""
The console's forms by which tenants are made, changed and deleted.
"""

import html
import re

import pytest

from tests.http.console.test_tenants import ACME, NEW, PAGE, WHY
from tests.http.console.visitor import find_csrf, read_text


def version(visitor, page=PAGE):
    """
    Return the version that a form has in it.
    """
    text = visitor.get(page).body.decode()
    (found,) = re.findall(r'name="version" value="(\d+)"', text)
    return found


def change(admin, **fields):
    """
    Send the form by which a tenant is changed.
    """
    usual = {**WHY, **ACME, "per": "source", "version": "1"}
    return admin.send(PAGE, PAGE, {**usual, **fields})


class TestForged:
    def test_refused(self, world):
        """
        A form without the text of its own session is refused, another
        session's of the same token too, and changes nothing.
        """
        admin, other = world.visit("admin"), world.visit("admin")
        forged: list[dict[str, str]] = [
            {},
            {"csrf": ""},
            {"csrf": find_csrf(other)},
        ]
        answers = [
            admin.post("/console/tenants", {**NEW, **each}) for each in forged
        ]
        made = admin.post("/console/tenants", {**NEW, "csrf": find_csrf(admin)})

        assert [(403, "csrf")] * 3 == [
            (got.status, got["thim-reason"]) for got in answers
        ]
        # Had one of them counted, the name would be taken by now.
        assert 303 == made.status


class TestCreate:
    def test_created(self, world):
        """
        A tenant is made with a form, and its page is shown then.
        """
        admin = world.visit("admin")
        fields = {
            "overrides": "allowed",
            "hosts": "New.Example\r\nnew.example",
            "labels": "of=new\r\nsite=b 2\r\n",
            "requests": "60",
            "per": "token",
        }
        got = admin.send(
            "/console/tenants",
            "/console/tenants",
            {**NEW, **fields, "name": " new\r\n"},
        )
        found = world.api.ask("/tenants/new").json

        assert (303, "/console/tenants/new") == (got.status, got["location"])
        assert (
            "allowed",
            ["new.example"],
            {"of": "new", "site": "b 2"},
            "60/min per token",
        ) == tuple(
            found[name] for name in ("overrides", "hosts", "labels", "quota")
        )
        assert "a new customer" in read_text(admin.get("/console/tenants/new"))

    @pytest.mark.parametrize(
        ("fields", "status", "named"),
        [
            ({"name": ""}, 400, "name: got ''"),
            ({"name": "New"}, 400, "name: got 'New'"),
            ({"name": "acme"}, 400, "name: got 'acme'"),
            ({"name": "a/b"}, 400, "name: got 'a/b'"),
            ({"baseline": "none"}, 404, "'none' is not known"),
            ({"overrides": "maybe"}, 400, "$.overrides"),
            ({"hosts": "192.0.2.7"}, 400, "host: got '192.0.2.7'"),
            ({"labels": "of"}, 400, "label: got 'of'"),
            ({"labels": "of="}, 400, "labels: got 'of='"),
            ({"requests": "many"}, 400, "requests: got 'many'"),
            ({"requests": "1000001"}, 400, "requests: got '1000001'"),
            ({"requests": "1", "per": "planet"}, 400, "$.quota.per"),
            ({"reason": ""}, 400, "reason: got ''"),
        ],
    )
    def test_refused(self, calm, fields, status, named):
        """
        What cannot be is named, nothing is written, and the form is there
        again as it was filled in.
        """
        admin = calm.visit("admin")
        sent = {**NEW, **fields}
        got = admin.send("/console/tenants", "/console/tenants", sent)
        page = html.unescape(got.body.decode())

        assert status == got.status
        assert named in read_text(got)
        assert f'name="name" type="text" value="{sent["name"]}"' in page
        assert sent["labels"] in page

    def test_reader(self, calm):
        """
        Who may only look is offered no form.
        """
        reader = calm.visit("reader")

        assert "Create a tenant" not in read_text(
            reader.get("/console/tenants")
        )
        assert "Change it" not in read_text(reader.get(PAGE))


class TestChange:
    def test_changed(self, world):
        """
        What is changed is in force, the rest stays as it was.
        """
        admin = world.visit("admin")
        got = change(admin, hosts="acme.example", version=version(admin))
        found = world.api.ask("/tenants/acme").json

        assert (303, PAGE) == (got.status, got["location"])
        assert ("17", ["acme.example"], {"of": "acme"}) == (
            found["baseline"],
            found["hosts"],
            found["labels"],
        )

    def test_conflict(self, world):
        """
        Who has seen an older version overwrites nothing, and is shown what
        there is by now.
        """
        first, second = world.visit("admin"), world.visit("admin")
        seen = version(second)
        change(first, hosts="one.example", version=seen)
        got = change(second, hosts="two.example", version=seen)
        page = got.body.decode()

        assert 409 == got.status
        assert "tenant acme is at version 2 by now, and not 1" in read_text(got)
        assert ("one.example" in page, "two.example" in page) == (True, False)
        assert 'name="version" value="2"' in page

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"hosts": "192.0.2.1"}, "host: got '192.0.2.1'"),
            ({"labels": "of"}, "label: got 'of'"),
            ({"version": ""}, "version: got ''"),
            ({"version": "x"}, "version: got 'x'"),
        ],
    )
    def test_refused(self, calm, fields, named):
        """
        What cannot be is named, nothing is written, and the form is there
        again as it was filled in.
        """
        got = change(calm.visit("admin"), **{"requests": "777", **fields})

        assert 400 == got.status
        assert named in read_text(got)
        assert 'value="777"' in got.body.decode()


class TestDelete:
    def test_deleted(self, world):
        """
        Whoever types its name deletes it.
        """
        admin = world.visit("admin")
        got = admin.send(PAGE, f"{PAGE}/delete", {**WHY, "typed": "acme"})

        assert (303, "/console/tenants") == (got.status, got["location"])
        assert 404 == admin.get(PAGE).status

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"typed": "lab"}, "name: got 'lab', expected acme"),
            ({"typed": "Acme"}, "name: got 'Acme', expected acme"),
            ({"typed": ""}, "name: got ''"),
            ({"typed": "acme", "reason": ""}, "reason: got ''"),
        ],
    )
    def test_not_meant(self, calm, fields, named):
        """
        Nothing is deleted by mistake, or without a reason.
        """
        admin = calm.visit("admin")
        got = admin.send(PAGE, f"{PAGE}/delete", {**WHY, **fields})

        assert 400 == got.status
        assert named in read_text(got)

    def test_root(self, calm):
        """
        Everybody stays.
        """
        admin, page = calm.visit("admin"), "/console/tenants/root"
        got = admin.send(page, f"{page}/delete", {**WHY, "typed": "root"})

        assert 400 == got.status
        assert "Delete tenant" not in read_text(admin.get(page))
