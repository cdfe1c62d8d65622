import contextlib
import datetime
import http.client
import types

import pytest

from tests.new_store import new_store
from tests.services.made import INTEL
from tests.serving import serving
from thim.errors import (
    ForbiddenError,
    FrequencyError,
    OperatorError,
    UnauthenticatedError,
    UnavailableError,
)
from thim.http.auth import Gate
from thim.http.problems import to_problem, to_reply
from thim.http.settings import HttpSettings
from thim.services.tokens import Permission, Role, make_token
from thim.store.ledger import Ledger
from thim.store.replica import Replica


NOW = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
MINUTE = datetime.timedelta(minutes=1)
WHOAMI = "/admin/v1/whoami"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """
    A store with a token for each role.
    """
    path = tmp_path_factory.mktemp("auth") / "thim.db"
    new_store(path, INTEL.anchors)
    return path


@pytest.fixture(scope="module")
def tokens(store):
    """
    The text of each role's token.
    """
    texts = {}
    with Ledger(store, INTEL.anchors) as ledger:
        for role in Role:
            text, kept = make_token(
                f"my {role.value}",
                role,
                actor="root",
                now=NOW,
                expires=NOW + DAY if role is Role.READER else None,
            )
            ledger.tokens.add(kept)
            texts[role.value] = text
    return texts


@pytest.fixture(scope="module")
def served(store, tokens):
    """
    The service over that store.
    """
    with serving(store, lambda: NOW, anchors=INTEL.anchors) as running:
        yield running


@pytest.fixture
def now():
    """
    The current instant, to be moved.
    """
    return [NOW]


@pytest.fixture
def gate(store, tokens, now):
    """
    A gate of its own.
    """
    settings = HttpSettings(store=store, anchors=INTEL.anchors)
    with contextlib.closing(Replica(store)) as replica:
        service = types.SimpleNamespace(
            settings=settings, clock=lambda: now[0], replica=replica
        )
        yield Gate(service)


def scope(*headers, source="127.0.0.1", scheme="http"):
    """
    A request as the application gets it.
    """
    return {
        "headers": [(k.encode(), v.encode()) for k, v in headers],
        "client": None if source is None else (source, 1234),
        "scheme": scheme,
    }


def bearer(token):
    """
    The usual header.
    """
    return ("authorization", f"Bearer {token}")


class TestWhoami:
    def test_good(self, served, tokens):
        """
        Whoever shows a token is told whose it is, and nobody may keep that.
        """
        headers = {"Authorization": f"Bearer {tokens['reader']}"}
        got = served.get(WHOAMI, headers)

        assert (200, "application/json") == (got.status, got["content-type"])
        assert "no-store" == got["cache-control"]
        assert {
            "id": tokens["reader"].partition(".")[0],
            "name": "my reader",
            "role": "reader",
            "tenant": None,
            "expires": "2026-11-03T00:00:00Z",
        } == got.json

    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eDp5"}])
    def test_none(self, served, headers):
        """
        Without a token it is a 401 that says what is needed.
        """
        got = served.get(WHOAMI, headers)

        assert (401, "Bearer") == (got.status, got["www-authenticate"])
        assert "application/problem+json" == got["content-type"]
        assert "no-store" == got["cache-control"]
        assert ("token-missing", 401) == (
            got.json["reason"],
            got.json["status"],
        )

    def test_not_remembered(self, served, tokens):
        """
        No answer comes from memory: not to the same bytes without the token,
        nor to the next in the same connection.
        """
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        statuses = []
        with contextlib.closing(connection):
            for headers in (
                {"authorization": f"Bearer {tokens['admin']}"},
                {},
                {"admin-token": tokens["admin"]},
                {},
            ):
                connection.request("GET", WHOAMI, headers=headers)
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)

        assert [200, 401, 200, 401] == statuses

    def test_line_end(self, served):
        """
        A path with a line end is another.
        """
        assert 404 == served.get(f"{WHOAMI}%0A").status

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_other_methods(self, served, method):
        """
        There is nothing else to be done there.
        """
        assert 405 == served.get(WHOAMI, method=method).status

    def test_revoked(self, served, store):
        """
        A token that is revoked does not count from then on.
        """
        text, kept = make_token("x", Role.READER, actor="root", now=NOW)
        headers = {"Authorization": f"bearer  {text}"}
        with Ledger(store, INTEL.anchors) as ledger:
            ledger.tokens.add(kept)
            before = served.get(WHOAMI, headers).status
            ledger.tokens.revoke(kept.id, actor="root", now=NOW)
        got = served.get(WHOAMI, headers)

        assert (200, 401, "token-refused") == (
            before,
            got.status,
            got.json["reason"],
        )
        assert text.partition(".")[2] not in f"{got.headers}{got.body}"


class TestHeaders:
    @pytest.mark.parametrize(
        ("header", "roles"),
        [
            ("authorization", {role.value for role in Role}),
            ("user-token", {"operator", "registrar"}),
            ("admin-token", {"admin", "operator"}),
        ],
    )
    @pytest.mark.parametrize("role", [role.value for role in Role])
    def test_roles(self, gate, tokens, header, roles, role):
        """
        PCCS's headers take the tokens that belong into them, and no others.
        """
        text = tokens[role]
        shown = bearer(text) if header == "authorization" else (header, text)
        if role in roles:
            assert role == gate.identify(scope(shown)).role.value
        else:
            with pytest.raises(UnauthenticatedError) as caught:
                gate.identify(scope(shown))
            assert "token-header" == caught.value.reason

    @pytest.mark.parametrize(
        ("role", "header", "takes", "others"),
        [
            ("admin", "user-token", "operator or registrar", "admin-token"),
            ("registrar", "admin-token", "admin or operator", "user-token"),
            ("reader", "admin-token", "admin or operator", None),
        ],
    )
    def test_wrong_header(self, gate, tokens, role, header, takes, others):
        """
        A token in the wrong header: what it takes, and which is the right one.
        """
        with pytest.raises(UnauthenticatedError) as caught:
            gate.identify(scope((header, tokens[role])))

        right = f"{others}: TOKEN or " if others else ""
        assert str(caught.value).endswith(
            f"(my {role}) has the role {role}, and {header} takes {takes}: "
            f"show it as {right}Authorization: Bearer TOKEN"
        )

    def test_same_twice(self, gate, tokens):
        """
        The same token in two headers is one token, ...
        """
        text = tokens["operator"]
        shown = [bearer(text), ("user-token", text), ("admin-token", text)]

        assert Role.OPERATOR is gate.identify(scope(*shown)).role

    def test_contradiction(self, gate, tokens):
        """
        ... another is a contradiction, whichever came first.
        """
        shown = [bearer(tokens["admin"]), ("user-token", tokens["registrar"])]
        for headers in (shown, shown[::-1], [bearer("x"), bearer("y")]):
            with pytest.raises(UnauthenticatedError) as caught:
                gate.identify(scope(*headers))
            assert "token-ambiguous" == caught.value.reason

    def test_other_scheme(self, gate, tokens):
        """
        A proxy's own credentials are none of ours.
        """
        shown = [("authorization", "Basic x"), ("admin-token", tokens["admin"])]

        assert Role.ADMIN is gate.identify(scope(*shown)).role

    @pytest.mark.parametrize("text", ["", " ", "x" * 5000, "\xff\x00", "a.b.c"])
    def test_nonsense(self, gate, text):
        """
        What is no token is refused as one that does not count.
        """
        for shown in (bearer(text), ("user-token", text)):
            with pytest.raises(UnauthenticatedError) as caught:
                gate.identify(scope(shown))
            assert "token-refused" == caught.value.reason

    def test_same_words(self, gate, tokens, now):
        """
        Unknown, expired, altered: outwardly they are the same.
        """
        altered = tokens["admin"][:-1] + "_"
        now[0] = NOW + 2 * DAY
        words = set()
        for text in ("0" * 12 + "." + "a" * 43, tokens["reader"], altered):
            with pytest.raises(UnauthenticatedError) as caught:
                gate.identify(scope(bearer(text)))
            words.add((str(caught.value), caught.value.reason))

        assert 1 == len(words)


class TestRequire:
    def test_allowed(self, gate, tokens):
        """
        A role that includes it may do it.
        """
        shown = scope(bearer(tokens["operator"]))

        assert gate.require(shown, Permission.OPERATE).name == "my operator"

    def test_forbidden(self, gate, tokens):
        """
        Another may not; the error names those that may.
        """
        shown = scope(bearer(tokens["registrar"]))
        with pytest.raises(ForbiddenError, match="admin or operator or reader"):
            gate.require(shown, Permission.READ)
        with pytest.raises(ForbiddenError, match=r"expected admin$") as caught:
            gate.require(shown, Permission.ADMINISTER)
        assert "role" == caught.value.reason

    @pytest.mark.parametrize(
        ("permission", "header"),
        [
            (Permission.READ, ""),
            (Permission.REGISTER, "user-token: TOKEN or "),
            (Permission.OPERATE, "admin-token: TOKEN or "),
            (Permission.ADMINISTER, "admin-token: TOKEN or "),
        ],
    )
    def test_no_token(self, gate, permission, header):
        """
        Without a token, the headers that it could be in are named.
        """
        with pytest.raises(UnauthenticatedError) as caught:
            gate.require(scope(), permission)

        expected = f"a token is needed: {header}Authorization: Bearer TOKEN"
        assert expected == str(caught.value)

    def test_wrong_header_and_role(self, gate, tokens):
        """
        No other header is advised where the token would not do in it either.
        """
        shown = scope(("admin-token", tokens["registrar"]))
        with pytest.raises(UnauthenticatedError) as caught:
            gate.require(shown, Permission.OPERATE)

        assert str(caught.value).endswith(
            "admin-token takes admin or operator: expected a token of the "
            "role admin or operator"
        )


class TestTransport:
    @pytest.mark.parametrize(
        ("source", "scheme", "is_taken"),
        [
            ("127.0.0.1", "http", True),
            ("127.8.8.8", "http", True),
            ("::1", "http", True),
            ("::ffff:127.0.0.1", "http", True),
            ("192.0.2.7", "http", False),
            ("::ffff:192.0.2.7", "http", False),
            ("2001:db8::1", "http", False),
            (None, "http", False),
            ("192.0.2.7", "https", True),
        ],
    )
    def test_plain(self, gate, tokens, source, scheme, is_taken):
        """
        Over plain HTTP a token is taken from this machine only.
        """
        shown = scope(bearer(tokens["admin"]), source=source, scheme=scheme)
        if is_taken:
            gate.identify(shown)
        else:
            with pytest.raises(ForbiddenError, match="use https") as caught:
                gate.identify(shown)
            assert "plain-http" == caught.value.reason

    def test_setting(self, store, tokens):
        """
        Unless somebody wants it with a long name.
        """
        settings = HttpSettings(
            store=store, anchors=INTEL.anchors, dangerous_plain_http_tokens=True
        )
        with contextlib.closing(Replica(store)) as replica:
            service = types.SimpleNamespace(
                settings=settings, clock=lambda: NOW, replica=replica
            )
            shown = scope(bearer(tokens["admin"]), source="192.0.2.7")

            assert Role.ADMIN is Gate(service).identify(shown).role

    def test_none(self, gate):
        """
        Who shows no token is told of tokens, not of transports.
        """
        with pytest.raises(UnauthenticatedError):
            gate.identify(scope(source="192.0.2.7"))


class TestFrequency:
    def fail(self, gate, text, times=1, source="127.0.0.1"):
        """
        Show a token that does not count; return the reason of the last error.
        """
        for _ in range(times):
            with pytest.raises(
                (UnauthenticatedError, FrequencyError)
            ) as caught:
                gate.identify(scope(bearer(text), source=source))
        return caught.value.reason

    def test_guessing(self, gate, tokens, now):
        """
        After ten wrong guesses in a minute at one token, not even the right
        one is taken from there.
        """
        wrong = tokens["admin"][:-1] + "_"
        assert "token-refused" == self.fail(gate, wrong, 10)
        assert "token-failures" == self.fail(gate, wrong)
        assert "token-failures" == self.fail(gate, tokens["admin"])
        now[0] += MINUTE

        gate.identify(scope(bearer(tokens["admin"])))

    def test_neighbours(self, gate, tokens):
        """
        Others behind the same address are not locked out by that, nor the
        same token elsewhere.
        """
        self.fail(gate, tokens["admin"][:-1] + "_", 11)
        self.fail(gate, "nonsense", 11)

        gate.identify(scope(bearer(tokens["operator"])))
        gate.identify(scope(bearer(tokens["admin"]), source="::1"))

    def test_unknown(self, gate):
        """
        A token that there is not is treated as one that there is.
        """
        unknown = "0" * 12 + "." + "a" * 43

        assert "token-refused" == self.fail(gate, unknown, 10)
        assert "token-failures" == self.fail(gate, unknown)


class TestProblems:
    @pytest.mark.parametrize(
        ("error", "status", "reason"),
        [
            (UnauthenticatedError("no"), 401, "unauthenticated"),
            (ForbiddenError("no", reason="role"), 403, "role"),
            (FrequencyError("no"), 429, "frequency"),
            (UnavailableError("no"), 503, "unavailable"),
        ],
    )
    def test_status(self, error, status, reason):
        """
        Each error is a problem with its status, and the same on PCCS's paths.
        """
        reply = to_problem(error)

        assert (status, status) == (reply.status, to_reply(error).status)
        assert reason.encode() == dict(reply.headers)[b"thim-reason"]
        assert b'"detail":"no"' in reply.body

    def test_when_to_come_back(self):
        """
        Who tried too often is told when to try again.
        """
        headers = dict(to_problem(FrequencyError("no", retry_after=7)).headers)

        assert b"7" == headers[b"retry-after"]

    def test_pccs(self):
        """
        PCCS's tools are told in its own words, and how to do better.
        """
        reply = to_reply(UnauthenticatedError("a token is needed"))

        assert reply.body.startswith(b"Authentication failed. a token")
        assert b"Bearer" == dict(reply.headers)[b"www-authenticate"]

    def test_internal(self):
        """
        Nothing is said of what is not in the table.
        """
        assert b"secret" not in to_problem(OperatorError("secret")).body
