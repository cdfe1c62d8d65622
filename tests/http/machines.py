"""
Machines that ask for their PCK certificates, as clients do.
"""

import contextlib
import datetime
import socket

from tests.new_store import new_store
from tests.platforms import NOW, entry, platform_id, tcbm
from thim.intel.names import PckCa
from thim.services.ingest import ingest
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


V4 = "/sgx/certification/v4/pckcert"
AZURE = "clientid=production_client&api-version=2021-07-22-preview"
AT, LOW, HIGH = tcbm(4, 4), tcbm(1, 1), tcbm(9, 9, pcesvn=13)
PATHS = [f"/sgx/certification/{v}/pckcert" for v in ("v2", "v3", "v4")]


def ask_for(who="one", at=AT, pce_id="0000", **changes):
    """
    The query for a platform at a TCB.
    """
    values = {
        "qeid": platform_id(who).qe_id.hex(),
        "cpusvn": at.cpusvn.hex(),
        "pcesvn": at.pcesvn.to_bytes(2, "little").hex(),
        "pceid": pce_id,
        **changes,
    }
    return "&".join(f"{k}={v}" for k, v in values.items() if v is not None)


def exchange(port, raw, count=1):
    """
    Send *raw* some times on one connection, and return the last answer.
    """
    with (
        contextlib.closing(
            socket.create_connection(("127.0.0.1", port), timeout=10)
        ) as connection,
        connection.makefile("rb") as answers,
    ):
        answer = b""
        for _ in range(count):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(raw)
                answer = read_answer(answers) or answer
    return answer


def read_answer(answers):
    """
    Read one whole answer; what belongs to one sending is left out.
    """
    head = []
    while (line := answers.readline()) not in {b"\r\n", b""}:
        head.append(line)
    lengths = [
        int(line.split(b":")[1])
        for line in head
        if line.lower().startswith(b"content-length")
    ]
    if not head:
        return None  # the connection has ended
    own = (b"date:", b"age:", b"request-id:")
    kept = [line for line in head if not line.lower().startswith(own)]
    return b"".join(kept), answers.read(sum(lengths))


def request(query, *headers, path=V4, host="x"):
    """
    The bytes of a request.
    """
    lines = [f"GET {path}?{query} HTTP/1.1", f"Host: {host}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def make_pck_store(path, intel):
    """
    Make a store with some platforms, one of them with a revoked certificate.
    """
    return fill_pck_store(
        path,
        intel,
        entry(intel, "one", LOW, AT, raw=(AT, HIGH)),
        entry(intel, "two", AT, raw=(AT,), pce_id=b"\1\0"),
        entry(intel, "unseen", AT),
        entry(intel, "bare"),
        revoked=entry(intel, "revoked", AT, raw=(AT,)),
    )


def fill_pck_store(path, intel, *entries, revoked):
    """
    Make a store with *entries*, and one whose first certificate is revoked.
    """
    new_store(path, intel.anchors)
    serial = revoked.certificates[0].certificate.serial_number
    crl = intel.pck_crl(
        ca=PckCa.PLATFORM,
        issued=NOW - datetime.timedelta(days=2),
        revoked=[serial],
    )
    with Ledger(path, intel.anchors) as ledger:
        files = [("ca.pem", to_pem(intel.certificates)), ("crl", crl)]
        list(ingest(files, ledger=ledger, now=NOW))
        ledger.platforms.enter([*entries, revoked], NOW)
    return path
