"""
From where forms are taken, and what they carry.
"""

import pytest

from tests.http.console.visitor import find_csrf
from tests.platforms import NOW
from thim.errors import ForbiddenError, MalformedError
from thim.http.console.forms import check_csrf, check_origin
from thim.http.console.session import begin_session
from thim.http.console.visit import parse_form
from thim.services.tokens import Principal, Role


HOST = (b"host", b"thim.example:8443")
MOST = 512 * 1024


def begin():
    """
    Begin a session.
    """
    principal = Principal(id="1", name="a", role=Role.ADMIN, expires=None)
    return begin_session(principal, NOW)


class TestOrigin:
    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [(b"origin", b"https://thim.example:8443")],
            [(b"sec-fetch-site", b"same-origin")],
            [(b"sec-fetch-site", b"none")],
        ],
    )
    def test_own(self, headers):
        """
        A form from this very site is taken, and one of a program or of a
        person's own accord, which say less.
        """
        check_origin({"headers": [HOST, *headers]})

    @pytest.mark.parametrize(
        "headers",
        [
            [(b"sec-fetch-site", b"cross-site")],
            # A neighbour's name under the same domain is another's.
            [(b"sec-fetch-site", b"same-site")],
            [(b"sec-fetch-site", b"")],
            [(b"origin", b"null")],
            [(b"origin", b"")],
            [(b"origin", b"https://thim.example")],
            [(b"origin", b"https://thim.example:8443.example.org")],
            [(b"origin", b"https://x.example/thim.example:8443")],
            [
                (b"origin", b"https://x.example"),
                (b"sec-fetch-site", b"same-origin"),
            ],
            [
                (b"origin", b"https://thim.example:8443"),
                (b"sec-fetch-site", b"cross-site"),
            ],
        ],
    )
    def test_foreign(self, headers):
        """
        A form from anywhere else is refused, whichever header tells of it.
        """
        with pytest.raises(ForbiddenError, match="another site") as caught:
            check_origin({"headers": [HOST, *headers]})

        assert "cross-site" == caught.value.reason


class TestCsrf:
    def test_taken_out(self):
        """
        What says that a form is of its session is no field of it.
        """
        session = begin()
        form = {"csrf": session.csrf, "name": "x"}
        check_csrf(session, form)

        assert {"name": "x"} == form

    @pytest.mark.parametrize(
        "form", [{}, *({"csrf": t} for t in ("", "x", "é"))]
    )
    def test_none(self, form):
        """
        A form that says nothing of its session is refused, or anything else.
        """
        with pytest.raises(ForbiddenError, match="another session"):
            check_csrf(begin(), form)

    def test_other(self):
        """
        A form that says what another session's say is refused.
        """
        form = {"csrf": begin().csrf}

        with pytest.raises(ForbiddenError, match="another session") as caught:
            check_csrf(begin(), form)

        assert "csrf" == caught.value.reason

    def test_drawn(self):
        """
        It is drawn by lot for each session, and too long to be guessed.
        """
        first, second = begin().csrf, begin().csrf

        assert first != second
        assert 22 == len(first)


class TestSize:
    def test_kind(self, admin):
        """
        What another site may send without being asked is no form of ours.
        """
        got = admin.post("/console/tenants", {}, Content_Type="text/plain")

        assert (400, "parameter") == (got.status, got["thim-reason"])

    @pytest.mark.parametrize(("size", "status"), [(MOST, 400), (MOST + 1, 413)])
    def test_bounded(self, admin, size, status):
        """
        A form of somebody who is known may hold evidence, and no more.
        """
        fields = {"csrf": find_csrf(admin), "x": ""}
        rest = size - len("csrf=&x=") - len(fields["csrf"])
        fields["x"] = "x" * rest
        got = admin.post("/console/tenants", fields)

        assert status == got.status


class TestParsed:
    def test_repeated(self):
        """
        Of fields of one name the first counts, be it empty.
        """
        assert {"a": "", "b": "3"} == parse_form(b"a=&b=3&a=2")

    @pytest.mark.parametrize(
        "raw", [b"a=%ff", b"a=\xc3\xa9", b"&".join([b"a=1"] * 101)]
    )
    def test_refused(self, raw):
        """
        Bytes that are no UTF-8 are refused, and more fields than any form has.
        """
        with pytest.raises(MalformedError, match="percent-encoded UTF-8"):
            parse_form(raw)
