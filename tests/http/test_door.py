import contextlib
import datetime
import logging
import socket
import sqlite3
import ssl
import time

import pytest

from tests.http.certified import (
    DAY,
    Authority,
    ask_tls,
    client_context,
    shown_names,
)
from tests.http.doors import behind
from tests.new_store import new_store
from thim.collateral.anchors import VENDOR_ROOTS
from thim.http import live_tls
from thim.http.client_trust import ClientTrust
from thim.http.door_settings import DoorSettings
from thim.http.limits import Limits
from thim.http.live_tls import TlsFiles
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


RAW = b"GET /health/live HTTP/1.1\r\nHost: thim.test\r\n\r\n"
NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """
    A store with nothing in it.
    """
    path = tmp_path_factory.mktemp("door") / "thim.db"
    new_store(path, VENDOR_ROOTS)
    return path


def add_token(store, role):
    """
    Add a token of *role*, and return its text.
    """
    text, kept = make_token("t", role, actor="tests", now=NOW)
    with Ledger(store, VENDOR_ROOTS) as ledger:
        ledger.tokens.add(kept)
    return text


@pytest.fixture
def ca(tmp_path):
    """
    A CA.
    """
    return Authority(tmp_path)


def wait_for(found):
    """
    Wait until *found* returns something true, and return that.
    """
    deadline = time.monotonic() + 30
    while not (value := found()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def read_answer(sock):
    """
    Read an answer of /health/live, all of it.
    """
    found = b""
    while not found.endswith(b"}\n"):
        found += sock.recv(65536)
    return found


@pytest.fixture(scope="module")
def apart(store):
    """
    A service with a listener for operators.
    """
    with behind(store, is_apart=True) as service:
        yield service


class TestListeners:
    @pytest.mark.parametrize(
        ("path", "main", "admin"),
        [
            ("/health/live", 200, 200),
            ("/admin/v1/whoami", 401, 401),
            ("/admin/v1/tenants", 404, 401),
            ("/admin/v1/chips", 404, 401),
            ("/admin", 404, 404),
            ("/metrics", 404, 200),
            ("/console/", 404, 303),
            ("/sgx/certification/v4/rootcacrl", 404, 404),
            ("/metadata/THIM/sgx/certification/v4/pckcert", 400, 404),
            ("/servicehealth", 204, 404),
            ("/tenant/x/admin/v1/tenants", 404, 404),
        ],
    )
    def test_paths(self, apart, path, main, admin):
        """
        Operators' paths are on their own listener alone, everything else on
        the main one, and health on both.
        """
        answers = [each.get(path) for each in (apart.main, apart.admin)]

        assert [main, admin] == [got.status for got in answers]

    def test_root(self, apart):
        """
        A browser is led to the console where that is, and nowhere else.
        """
        headers = {"Accept": "text/html,application/xhtml+xml"}
        main, admin = (
            each.get("/", headers) for each in (apart.main, apart.admin)
        )

        assert (404, b"No such path.\n") == (main.status, main.body)
        assert (303, "/console/") == (admin.status, admin["location"])

    @pytest.mark.parametrize(
        ("method", "path", "is_main"),
        [
            ("POST", "/admin/v1/agents", True),
            ("PUT", "/admin/v1/chips/Milan/00", True),
            ("PUT", "/sgx/certification/v4/platformcollateral", True),
            ("GET", "/sgx/certification/v4/platforms", True),
            ("PUT", "/policies/SgxEnclave", True),
            ("PUT", "/admin/v1/tenants/x", False),
        ],
    )
    def test_one_base_url(self, apart, method, path, is_main):
        """
        Agents, PCCS's tools and attestation clients, which know one base URL,
        have all that they ask for on the main listener.
        """
        statuses = {
            name: getattr(apart, name).get(path, method=method, body=b"").status
            for name in ("main", "admin")
        }

        assert 404 != statuses["main" if is_main else "admin"]
        assert 404 == statuses["admin" if is_main else "main"]

    def test_shape(self, apart):
        """
        What is not answered on a listener is a problem below /admin, and a
        plain 404 elsewhere, both with the reason.
        """
        problem = apart.main.get("/admin/v1/tenants")
        plain = apart.admin.get("/sgx/certification/v4/rootcacrl")

        assert "application/problem+json" == problem["content-type"]
        assert ["unknown-path"] * 2 == [
            got["thim-reason"] for got in (problem, plain)
        ]

    def test_memo(self, apart):
        """
        An answer that the main listener remembers is none of the other's.
        """
        path = "/sgx/certification/v4/fmspcs"
        first = [apart.main.get(path).status for _ in range(3)]

        assert [200] * 3 == first
        assert 404 == apart.admin.get(path).status

    def test_one_listener(self, store):
        """
        Without a listener of their own operators are answered on the only one.
        """
        with behind(store) as service:
            paths = ("/metrics", "/servicehealth", "/admin/v1/tenants")
            statuses = [service.main.get(path).status for path in paths]

        assert [200, 204, 401] == statuses


class TestNames:
    @pytest.fixture
    def several(self, ca):
        """
        Three certificates: for a name, for another, and for a wildcard.
        """
        return (
            ca.issue("first", "thim.test"),
            ca.issue("second", "api.vendor.test"),
            ca.issue("third", "*.vendor.test"),
        )

    def test_chosen(self, store, ca, several):
        """
        A client gets the certificate of the name that it asks for; a wildcard
        stands for one label, and whoever asks for no name or an unknown one
        gets the first.
        """
        door = DoorSettings(tls=TlsFiles(certificates=several))
        with behind(store, door=door) as service:
            port = service.main.port
            found = {
                name: shown_names(port, ca.path, name)
                for name in (
                    "thim.test",
                    "API.vendor.test",
                    "x.vendor.test",
                    "x.y.vendor.test",
                    "vendor.test",
                    "other.test",
                    None,
                )
            }

        assert {
            "thim.test": ["thim.test"],
            "API.vendor.test": ["api.vendor.test"],
            "x.vendor.test": ["*.vendor.test"],
            "x.y.vendor.test": ["thim.test"],
            "vendor.test": ["thim.test"],
            "other.test": ["thim.test"],
            None: ["thim.test"],
        } == found

    def test_no_text(self, store, ca, several, caplog):
        """
        Who asks for a name that is no text is let go without a word, and
        others are served as ever.
        """
        context = client_context(ca.path)
        door = DoorSettings(tls=TlsFiles(certificates=several))
        with behind(store, door=door) as service:
            port = service.main.port
            hello = first_words(context, "name.test")
            with socket.create_connection(("127.0.0.1", port), 20) as sock:
                sock.sendall(hello.replace(b"name.test", b"\xff" * 9))
                assert b"" == sock.recv(65536)
            answer = ask_tls(port, context, RAW)

        assert answer.startswith(b"HTTP/1.1 200")
        assert [] == find_lines(caplog, "TLS client")

    def test_new_one(self, store, ca, several, monkeypatch):
        """
        Each certificate is taken anew when its own files change, also for
        other names than before.
        """
        monkeypatch.setattr(live_tls, "_POLL", 0.02)
        door = DoorSettings(tls=TlsFiles(certificates=several))
        with behind(store, door=door) as service:
            port = service.main.port
            ca.issue("second", "new.test")

            assert wait_for(
                lambda: shown_names(port, ca.path, "new.test") == ["new.test"]
            )
            assert ["thim.test"] == shown_names(port, ca.path, "thim.test")


class TestClients:
    @pytest.fixture
    def server(self, ca):
        """
        The server's certificate.
        """
        return ca.issue("server", "thim.test")

    @pytest.fixture
    def serving(self, store, ca, server):
        """
        Serve operators to whom shows a certificate of the CA.
        """

        def serve(crl=None):
            trust = ClientTrust(ca=ca.path, crl=crl)
            files = TlsFiles(certificates=(server,), clients=trust)
            plain = TlsFiles(certificates=(server,))
            door = DoorSettings(tls=plain, admin_tls=files)
            return behind(store, is_apart=True, door=door)

        return serve

    def test_operators(self, serving, ca):
        """
        Who shows a certificate of the CA is let in to operators' listener,
        and the other listener asks for none.
        """
        good = ca.issue("ops", use="client")
        with serving() as service:
            ports = service.admin.port, service.main.port
            shown = ask_tls(ports[0], client_context(ca.path, good), RAW)
            plain = ask_tls(ports[1], client_context(ca.path), RAW)

        assert shown.startswith(b"HTTP/1.1 200")
        assert plain.startswith(b"HTTP/1.1 200")

    @pytest.mark.parametrize(
        ("kind", "word"),
        [
            ("none", "it has shown no certificate"),
            ("expired", "certificate has expired"),
            ("stranger", "unable to get local issuer certificate"),
            ("server", "unsuitable certificate purpose"),
        ],
    )
    def test_refused(self, serving, ca, tmp_path, caplog, kind, word):
        """
        Who shows none, an expired one, another CA's or a server's is refused
        in the handshake, with one line in the log that says why.
        """
        (tmp_path / "b").mkdir()
        shown = {
            "none": lambda: None,
            "expired": lambda: ca.issue("late", use="client", life=-DAY),
            "stranger": lambda: Authority(tmp_path / "b", "b").issue(
                "stranger", use="client"
            ),
            "server": lambda: ca.issue("other", use="server"),
        }[kind]()
        with serving() as service:
            port = service.admin.port
            context = client_context(ca.path, shown)
            answers = {ask_tls(port, context, RAW) for _ in range(3)}
            lines = wait_for(lambda: find_lines(caplog, "TLS client"))

        assert {b""} == answers
        assert 1 == len(lines)
        assert word in lines[0]
        assert "127.0.0.1" in lines[0]

    def test_revoked(self, serving, ca, caplog):
        """
        A certificate on the CA's list is refused, the others are not.
        """
        good, bad = (ca.issue(n, use="client") for n in ("good", "bad"))
        with serving(ca.revoke(bad)) as service:
            port = service.admin.port
            let_in = ask_tls(port, client_context(ca.path, good), RAW)
            refused = ask_tls(port, client_context(ca.path, bad), RAW)

        assert let_in.startswith(b"HTTP/1.1 200")
        assert b"" == refused
        assert "certificate revoked" in caplog.text

    def test_expired_list(self, serving, ca, caplog):
        """
        With a list that has expired nobody is let in: who is revoked is not
        known.
        """
        good = ca.issue("good", use="client")
        with serving(ca.revoke(life=-DAY)) as service:
            context = client_context(ca.path, good)

            assert b"" == ask_tls(service.admin.port, context, RAW)
        assert "CRL has expired" in caplog.text

    def test_revoked_meanwhile(self, serving, ca, monkeypatch, caplog):
        """
        Who is revoked while connected is cut off when the new list is there,
        and not let in again.
        """
        monkeypatch.setattr(live_tls, "_POLL", 0.02)
        caplog.set_level(logging.INFO)
        bad = ca.issue("bad", use="client")
        context = client_context(ca.path, bad)
        with serving(ca.revoke()) as service:
            port = service.admin.port
            with (
                socket.create_connection(("127.0.0.1", port)) as plain,
                context.wrap_socket(plain, server_hostname="thim.test") as sock,
            ):
                sock.settimeout(30)
                sock.sendall(RAW)
                first = read_answer(sock)
                ca.revoke(bad)
                end = sock.recv(65536)
            again = ask_tls(port, context, RAW)

        assert first.startswith(b"HTTP/1.1 200")
        assert (b"", b"") == (end, again)

    def test_revoked_in_handshake(self, serving, ca, monkeypatch, caplog):
        """
        Who is revoked while the handshake is going on is not let in by the
        list with which it began.
        """
        monkeypatch.setattr(live_tls, "_POLL", 0.02)
        caplog.set_level(logging.INFO)
        bad = ca.issue("bad", use="client")
        context = client_context(ca.path, bad)
        with (
            serving(ca.revoke()) as service,
            HalfOpen(service.admin.port, context) as client,
        ):
            ca.revoke(bad)
            wait_for(lambda: find_lines(caplog, "verified by new files"))

            assert b"" == client.ask(RAW)

    def test_slow_handshake(self, serving, ca):
        """
        Who takes time over the handshake is let in as ever.
        """
        good = client_context(ca.path, ca.issue("good", use="client"))
        with (
            serving(ca.revoke()) as service,
            HalfOpen(service.admin.port, good) as client,
        ):
            assert client.ask(RAW).startswith(b"HTTP/1.1 200")

    def test_unusable_meanwhile(self, serving, ca, monkeypatch, caplog):
        """
        A new list that cannot be read changes nothing, and is one line.
        """
        monkeypatch.setattr(live_tls, "_POLL", 0.02)
        good = ca.issue("good", use="client")
        path = ca.revoke()
        with serving(path) as service:
            path.write_bytes(b"nonsense")
            lines = wait_for(lambda: find_lines(caplog, "verified as before"))
            answer = ask_tls(
                service.admin.port, client_context(ca.path, good), RAW
            )

        assert answer.startswith(b"HTTP/1.1 200")
        assert f"tls_client_crl {path}: expected revocation lists" in lines[0]
        assert 1 == len(find_lines(caplog, "verified as before"))

    def test_distrusted_server(self, serving, tmp_path, caplog):
        """
        A client that does not trust the service's certificate is one line too.
        """
        (tmp_path / "b").mkdir()
        other = Authority(tmp_path / "b", "b")
        with serving() as service, contextlib.suppress(OSError):
            ask_tls(service.main.port, client_context(other.path), RAW)

        assert "it does not trust this service's certificate" in caplog.text

    def test_no_http(self, serving, caplog):
        """
        Who speaks no TLS at all is let go without a word.
        """
        with serving() as service, contextlib.suppress(OSError):
            service.main.get("/health/live")

        assert [] == find_lines(caplog, "TLS client")


def first_words(context, name):
    """
    Return what a client says first who asks for *name*.
    """
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


class HalfOpen:
    """
    A client in the middle of its handshake: what the server has to say is
    there, and the client's own certificate is held back.
    """

    def __init__(self, port, context):
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._in, self._out, server_hostname="thim.test"
        )
        while not self._is_done():
            self._sock.sendall(self._out.read())
            self._in.write(self._sock.recv(65536))

    def _is_done(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._sock.close()

    def ask(self, raw):
        """
        Go on, and ask for *raw*; b"" if the server ends the connection.
        """
        self._tls.write(raw)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self._sock.sendall(self._out.read())
            while got := self._sock.recv(65536):
                self._in.write(got)
                with contextlib.suppress(ssl.SSLWantReadError):
                    return self._tls.read(65536)
        return b""


def find_lines(caplog, words):
    """
    Return the log's lines that have *words*.
    """
    return [
        record.getMessage()
        for record in caplog.records
        if words in record.getMessage()
    ]


class TestAgents:
    @pytest.fixture
    def serving(self, store, ca):
        """
        Serve agents that show a certificate, and guests that show none.
        """
        files = TlsFiles(
            certificates=(ca.issue("server", "thim.test"),),
            clients=ClientTrust(ca=ca.path, is_required=False),
        )
        door = DoorSettings(tls=files, agents_show_certificates=True)
        with behind(store, door=door) as service:
            yield service.main.port

    @pytest.mark.parametrize(
        ("role", "is_shown", "status"),
        [
            (Role.AGENT, True, 200),
            (Role.AGENT, False, 403),
            (Role.ENROLMENT, True, 200),
            (Role.ENROLMENT, False, 403),
            (Role.READER, True, 200),
            (Role.READER, False, 200),
        ],
    )
    def test_tokens(self, serving, store, ca, role, is_shown, status):
        """
        An agent's token, and one to enrol with, counts beside a certificate
        only; another role's counts without.
        """
        text = add_token(store, role)
        shown = ca.issue("agent", use="client") if is_shown else None
        raw = ask_for("/admin/v1/whoami", text)
        answer = ask_tls(serving, client_context(ca.path, shown), raw)

        assert answer.startswith(b"HTTP/1.1 %d" % status)
        assert (b"client-certificate" in answer) is (status == 403)

    def test_guests(self, serving, ca):
        """
        Guests, who have no certificate, get their answers.
        """
        answer = ask_tls(serving, client_context(ca.path), RAW)

        assert answer.startswith(b"HTTP/1.1 200")

    def test_actor(self, serving, store, ca):
        """
        What is written down of a change names the certificate beside the
        token.
        """
        text = add_token(store, Role.ENROLMENT)
        shown = ca.issue("agent", "node7.test", use="client")
        body = b'{"name": "node7"}'
        raw = ask_for("/admin/v1/agents", text, "POST", body)
        answer = ask_tls(serving, client_context(ca.path, shown), raw)
        with contextlib.closing(sqlite3.connect(store)) as db:
            rows = db.execute(
                "SELECT created_by FROM api_tokens ORDER BY rowid"
            ).fetchall()

        assert answer.startswith(b"HTTP/1.1 201")
        assert rows[-1][0].endswith(" (t), certificate node7.test")


def ask_for(path, token, method="GET", body=b""):
    """
    Write a request with a token.
    """
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: thim.test",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class TestCrowd:
    def test_total(self, store, caplog):
        """
        A connection over the limit is ended at once, with one line; and one
        that ends makes room for another.
        """
        door = DoorSettings(most_connections=3)
        with behind(store, door=door) as service:
            address = ("127.0.0.1", service.main.port)
            held = [socket.create_connection(address) for _ in range(3)]
            for each in held:
                each.sendall(RAW)
                assert each.recv(65536).startswith(b"HTTP/1.1 200")
            refused = [is_refused(address) for _ in range(3)]
            held.pop().close()
            let_in = wait_for(lambda: not is_refused(address))
            for each in held:
                each.close()

        assert [True] * 3 == refused
        assert let_in
        assert 1 == len(find_lines(caplog, "there are 3 connections already"))

    def test_apart(self, store):
        """
        A full main listener keeps nobody from that of operators.
        """
        door = DoorSettings(most_connections=2)
        with behind(store, is_apart=True, door=door) as service:
            address = ("127.0.0.1", service.main.port)
            with (
                socket.create_connection(address),
                socket.create_connection(address),
            ):
                assert is_refused(address)
                assert 200 == service.admin.get("/metrics").status

    def test_handshakes_count(self, store, ca):
        """
        Under TLS a connection counts before it has said a word, and one that
        never does is ended in time.
        """
        files = TlsFiles(certificates=(ca.issue("server", "thim.test"),))
        door = DoorSettings(tls=files, most_connections=1)
        limits = Limits(header_seconds=0.3)
        with behind(store, door=door, limits=limits) as service:
            address = ("127.0.0.1", service.main.port)
            with socket.create_connection(address, timeout=20) as silent:
                assert is_refused(address)
                assert b"" == silent.recv(1)
            context = client_context(ca.path)
            answer = wait_for(lambda: try_tls(address[1], context))

        assert answer.startswith(b"HTTP/1.1 200")


def try_tls(port, context):
    """
    Ask; return b"" if there is no connection.
    """
    try:
        return ask_tls(port, context, RAW)
    except OSError:
        return b""


def is_refused(address):
    """
    Tell whether a new connection is ended at once.
    """
    with socket.create_connection(address, timeout=20) as sock:
        try:
            sock.sendall(RAW)
            return sock.recv(65536) == b""
        except ConnectionError:
            return True
