"""
What is logged, and how.
"""

import contextlib
import io
import json
import logging
import logging.config

import pytest

from tests.conformance.program import running
from tests.http.machines import V4, ask_for, exchange
from tests.new_store import new_store
from thim.cli.logs import find_logging
from thim.collateral.anchors import VENDOR_ROOTS
from thim.http.measured import REQUEST_ID


PATH = "/sgx/certification/v4/fmspcs"
RAW = f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@contextlib.contextmanager
def logging_to(form, level="info"):
    """
    Log as a service does, into what is returned; then as before.
    """
    out = io.StringIO()
    config = find_logging(form, level)
    for handler in config["handlers"].values():
        handler["stream"] = out
    names = [*config["loggers"]]
    before = {
        name: (logger.level, logger.propagate, list(logger.handlers))
        for name in names
        for logger in [logging.getLogger(name)]
    }
    logging.config.dictConfig(config)
    try:
        yield out
    finally:
        for name, (known, propagate, handlers) in before.items():
            logger = logging.getLogger(name)
            logger.setLevel(known)
            logger.propagate = propagate
            logger.handlers = handlers


@contextlib.contextmanager
def answering(request_id):
    """
    Answer a request.
    """
    token = REQUEST_ID.set(request_id)
    yield
    REQUEST_ID.reset(token)


def log_request(target="/a"):
    """
    Log a request as uvicorn does.
    """
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", target, "1.1", 200
    )


class TestText:
    def test_line(self):
        """
        A line for people has the ID of its request in brackets, if it is
        about one.
        """
        with logging_to("text") as out:
            log = logging.getLogger("thim.test")
            log.info("without")
            with answering("abc"):
                log.info("with %s", "values")
                log_request()

        assert [
            "INFO:     without",
            "INFO:     with values [abc]",
            'INFO:     127.0.0.1:1 - "GET /a HTTP/1.1" 200 OK [abc]',
        ] == out.getvalue().splitlines()


class TestJson:
    def read(self, out):
        """
        Read the lines.
        """
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def test_line(self):
        """
        A line says when, how bad, who, where and what, and for which request;
        it is one line, whatever is in it.
        """
        with logging_to("json") as out, answering("abc"):
            logging.getLogger("thim.test").warning("a %s\nb", "ü")
        (line,) = self.read(out)

        assert line.pop("at").endswith("Z")
        assert line.pop("pid") > 0
        assert line.pop("node")
        assert {
            "event": "a ü\nb",
            "level": "warning",
            "logger": "thim.test",
            "request_id": "abc",
        } == line

    def test_no_request(self):
        """
        What is about no request has no ID.
        """
        with logging_to("json") as out:
            logging.getLogger("thim.test").warning("a")

        assert "request_id" not in self.read(out)[0]

    def test_request(self):
        """
        A request has its parts apart; what is long is cut.
        """
        with logging_to("json") as out, answering("abc"):
            log_request(f"/a?b={'c' * 60}")
        (line,) = self.read(out)

        assert ("request", "127.0.0.1:1", "GET", "/a?b=…", 200, "abc") == (
            line["event"],
            line["client"],
            line["method"],
            line["target"],
            line["status"],
            line["request_id"],
        )

    def test_defect(self):
        """
        Where a defect has led is in the line, without the values of
        variables.
        """

        def fail(secret):
            return 1 // (len(secret) - 18)

        with logging_to("json") as out:
            try:
                fail("sesame" * 3)
            except ZeroDivisionError:
                logging.getLogger("thim.test").exception("a defect")
        (line,) = self.read(out)

        assert "ZeroDivisionError" in line["exception"]
        assert "in fail" in line["exception"]
        assert "sesamesesame" not in out.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_level(form):
    """
    What is below the level is not logged; requests are a setting of their
    own.
    """
    with logging_to(form, "error") as out:
        logging.getLogger("thim.test").warning("quiet")
        logging.getLogger("uvicorn.error").warning("quiet")
        logging.getLogger("thim.test").error("loud")
        log_request()

    lines = out.getvalue().splitlines()
    assert 2 == len(lines)
    assert "loud" in lines[0]


def test_served(tmp_path, capfd):
    """
    The line of each request has the ID that its answer has, whether it is
    answered from memory or not; nothing is logged that must not be.
    """
    store = tmp_path / "thim.db"
    new_store(store, VENDOR_ROOTS)
    digits = "ab" * 384
    with running(store, THIM_ACCESS_LOG="true", THIM_LOG_FORMAT="json") as (
        served,
        _,
    ):
        own = served.get(PATH, {"Request-ID": "mine"})
        for _ in range(3):
            exchange(served.port, RAW)
        served.get(f"{V4}?{ask_for(encrypted_ppid=digits)}")
        refused = served.get(
            "/admin/v1/whoami", {"Authorization": "Bearer aa.sesame"}
        )
    log = capfd.readouterr().out
    lines = [json.loads(line) for line in log.splitlines()]
    known = [line["request_id"] for line in lines]

    assert 6 == len(set(known)) == len(lines)
    assert (own["request-id"], "mine") == ("mine", known[0])
    assert refused["request-id"] == known[-1]
    assert digits not in log
    assert "sesame" not in log
