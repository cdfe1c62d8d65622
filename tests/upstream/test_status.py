import contextlib
import dataclasses
import os
import time

from datetime import UTC, datetime, timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.upstream.model import Response
from thim.upstream.status import (
    find_clock_ahead,
    find_retry_after,
    is_sound,
    status_error,
)


NOW = datetime(2026, 11, 2, 9, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def answer(status=503, **headers):
    """
    Make an answer without a body.
    """
    return Response(
        url="https://vendor.example/x",
        status=status,
        headers={n.replace("_", "-"): v for n, v in headers.items()},
        body=b"",
    )


@contextlib.contextmanager
def living_in(zone):
    """
    Let the machine stand in another time zone.
    """
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


class TestStatus:
    @pytest.mark.parametrize("status", [200, 400, 404, 410, 461])
    def test_sound(self, status):
        """
        A service that answers so is well, whatever it thinks of the request.
        """
        assert is_sound(answer(status))

    @pytest.mark.parametrize(
        ("reason", "expected"),
        [
            ("fill-in-progress", True),
            ("not-now", True),
            ("fill-rate", False),
            ("", False),
        ],
    )
    def test_being_fetched(self, reason, expected):
        """
        So is another thim that is having a document fetched itself.
        """
        got = dataclasses.replace(answer(503), headers={"thim-reason": reason})

        assert expected is is_sound(got)

    @pytest.mark.parametrize(
        "status", [101, 204, 206, 299, 401, 403, 405, 429, 460, 462, 500, 999]
    )
    def test_not_sound(self, status):
        """
        All other statuses are failures of the service.
        """
        assert not is_sound(answer(status))

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (400, "bad-request"),
            (401, "key-refused"),
            (403, "key-refused"),
            (429, "vendor-busy"),
            (204, "status-204"),
            (503, "vendor-busy"),
        ],
    )
    def test_reason(self, status, expected):
        """
        Each status has a reason, and the message says where it came from.
        """
        error = status_error(answer(status))

        assert expected == error.reason
        assert f"https://vendor.example/x: status {status}" == str(error)

    @pytest.mark.parametrize("status", [401, 403])
    def test_no_key(self, status):
        """
        Where no API key was sent, because there is none, that is said.
        """
        answered = dataclasses.replace(answer(status), has_key=False)

        assert str(status_error(answered)).endswith(
            f"status {status}; no API key is configured for this upstream "
            f"(api_key_file)"
        )

    def test_no_key_needed(self):
        """
        It is not, where it was no matter of a key.
        """
        answered = dataclasses.replace(answer(500), has_key=False)

        assert str(status_error(answered)).endswith("/x: status 500")


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1", SECOND),
            ("120", 120 * SECOND),
            ("3600", HOUR),
            ("3601", HOUR),
            ("99999999999999999999999999", HOUR),
            ("Mon, 02 Nov 2026 09:00:30 GMT", 30 * SECOND),
            ("Monday, 02-Nov-26 09:00:30 GMT", 30 * SECOND),
            ("Mon Nov  2 09:00:30 2026", 30 * SECOND),
            ("Mon, 02 Nov 2026 10:00:30 +0100", 30 * SECOND),
            ("Fri, 31 Dec 9999 23:59:59 GMT", HOUR),
        ],
    )
    def test_wait(self, text, expected):
        """
        Seconds and the three forms of dates count, an hour at most.
        """
        with living_in("America/New_York"):
            got = find_retry_after(answer(retry_after=text), NOW)

        assert expected == got

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0",
            "-1",
            "+5",
            "1.5",
            "1e3",
            "1_0",
            "\u0661",
            "\u00b2",
            "soon",
            "Mon, 02 Nov 2026 08:59:59 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Mon, 01 Jan 0001 00:00:00 +2359",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "Mon, 99 Nov 2026 09:00:30 GMT",
            "Mon, 02 Nov 99999999999999999999 09:00:30 GMT",
            "Mon, 02 Nov 2026 09:00:30 +99999999",
            ",",
            ", , ,",
            "Mon,",
        ],
    )
    def test_none(self, text):
        """
        What is past, nothing or nonsense asks for no pause.
        """
        assert find_retry_after(answer(retry_after=text), NOW) is None

    def test_missing(self):
        """
        So does an answer that does not say.
        """
        assert find_retry_after(answer(), NOW) is None

    @given(
        st.one_of(
            st.text(max_size=60),
            st.lists(
                st.sampled_from(
                    [
                        *("Mon,", "02", "Nov", "2026", "9999999", "-1", ","),
                        *("09:00:30", "9.0.3", "GMT", "+2400", "-0000", ":"),
                    ]
                )
            ).map(" ".join),
        )
    )
    def test_anything(self, text):
        """
        Whatever stands there, the pause is between nothing and an hour.
        """
        got = find_retry_after(answer(retry_after=text, date=text), NOW)
        find_clock_ahead(answer(date=text), NOW)

        assert got is None or timedelta(0) < got <= HOUR


class TestClockAhead:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Mon, 02 Nov 2026 09:00:00 GMT", 0),
            ("Mon, 02 Nov 2026 09:10:00 GMT", 600),
            ("Mon, 02 Nov 2026 08:59:00 GMT", -60),
            ("Mon Nov  2 09:10:00 2026", 600),
            ("Mon, 02 Nov 2026 09:10:00 -0000", 600),
        ],
    )
    def test_ahead(self, text, expected):
        """
        The service's clock is compared with ours, wherever we are.
        """
        with living_in("Asia/Tokyo"):
            got = find_clock_ahead(answer(date=text), NOW)

        assert expected == got

    @pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "noon"}])
    def test_unknown(self, headers):
        """
        Without a date nothing is said of its clock.
        """
        assert find_clock_ahead(answer(**headers), NOW) is None
