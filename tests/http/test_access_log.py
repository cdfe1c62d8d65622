"""
What the access log shows of a request.
"""

import logging

import pytest

from tests.conformance.program import running
from tests.http.machines import V4, ask_for
from tests.new_store import new_store
from thim.collateral.anchors import VENDOR_ROOTS
from thim.http.access_log import ShortValues


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/a?b=c&d=" + "e" * 51, "/a?b=c&d=…"),
        ("/a?b=" + "c" * 768 + "&d=e", "/a?b=…&d=e"),
        ("/a?b=" + "c" * 50, "/a?b=" + "c" * 50),
        ("/a" + "b" * 768, "/a" + "b" * 768),
        (
            "/vcek/v1/Milan/" + "aB" * 64 + "?blSPL=1",
            "/vcek/v1/Milan/aBaBaBaB…?blSPL=1",
        ),
        (
            "/SevSnpVM/certificates/" + "12" * 64 + "/1",
            "/SevSnpVM/certificates/12121212…/1",
        ),
        ("/vcek/v1/Turin/" + "ab" * 8, "/vcek/v1/Turin/abababab…"),
        ("/a?Api-Key=b&c=d", "/a?Api-Key=…&c=d"),
        ("/a?user_token=b", "/a?user_token=…"),
        ("/0123456789ab." + "c-_9" * 10, "/0123456789ab.…"),
        ("/a?b=0123456789ab%2E" + "c" * 30, "/a?b=0123456789ab%2E…"),
        ("/eyJhbGciOiJub25lIn0.eyJ9.abc/d", "/eyJ…/d"),
        ("/a?b=postgresql://c:d@e/f", "/a?b=postgresql://…@e/f"),
        ("/postgresql%3A/c%3Ad%40e/f", "/postgresql%3A/…@e/f"),
    ],
)
def test_cut(target, shown):
    """
    A long value is cut out, whatever its name, what names a chip, and what is
    a secret by its name or its look; the rest stays.
    """
    record = logging.LogRecord(
        "uvicorn.access",
        logging.INFO,
        __file__,
        1,
        '%s - "%s %s HTTP/%s" %d',
        ("127.0.0.1:1", "GET", target, "1.1", 200),
        None,
    )

    assert ShortValues().filter(record)
    assert f'127.0.0.1:1 - "GET {shown} HTTP/1.1" 200' == record.getMessage()


def test_served(tmp_path, capfd):
    """
    No encrypted PPID gets into the log of a service.
    """
    store = tmp_path / "thim.db"
    new_store(store, VENDOR_ROOTS)
    digits = "ab" * 384
    with running(store, THIM_ACCESS_LOG="true") as (served, _):
        served.get(f"{V4}?{ask_for(encrypted_ppid=digits)}")
    log = capfd.readouterr().out

    assert "encrypted_ppid=…" in log
    assert digits not in log
