import socket
import ssl
import subprocess
import sys
import threading

import pytest

from tests.deploy.helm import PROJECT
from tests.new_store import new_store
from tests.services.made import INTEL
from tests.services.private_ca import make_files
from tests.serving import serving


CHECK = PROJECT / "deploy" / "healthcheck.py"


def check(port):
    """
    Return how the check ends.
    """
    return subprocess.run(
        [sys.executable, CHECK, str(port)], check=False, timeout=60
    ).returncode


@pytest.fixture
def secure(tmp_path):
    """
    The port of a server with TLS that answers once for each connection.
    """
    files = make_files(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    ended = threading.Event()

    def serve(listener):
        while not ended.is_set():
            try:
                raw, _ = listener.accept()
                with context.wrap_socket(raw, server_side=True) as connection:
                    connection.recv(4096)
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                    )
            except OSError:
                continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join(10)


def test_alive(tmp_path):
    """
    A service that answers is alive.
    """
    new_store(tmp_path / "thim.db", INTEL.anchors)
    with serving(tmp_path / "thim.db", anchors=INTEL.anchors) as served:
        assert 0 == check(served.port)


def test_secure(secure):
    """
    So is one with TLS, whatever its certificate.
    """
    assert 0 == check(secure)


def test_dead():
    """
    Where nobody listens nobody is alive.
    """
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert 1 == check(port)
