"""
How a ledger's server is reached.
"""

import time

import psycopg
import pytest

from psycopg.conninfo import conninfo_to_dict

from tests.store.made import day
from thim.errors import OperatorError, UnwritableError
from thim.store.postgresql import Caller, explain_cause, read_conninfo
from thim.store.session import NodeSession


def test_patience():
    """
    Who does not answer is given up, unless the address says otherwise.
    """
    given = "postgresql://thim@a,b/thim?connect_timeout=9&options=-c%20x%3D1"
    found = conninfo_to_dict(read_conninfo(given))

    assert "a,b" == found["host"]
    assert "9" == found["connect_timeout"]
    assert "5000" == found["tcp_user_timeout"]
    assert "read-write" == found["target_session_attrs"]
    assert "lock_timeout" in str(found["options"])
    assert str(found["options"]).endswith("-c x=1")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://thim:secret@host/thim", "password"),
        ("postgresql://thim@host/thim?password=secret", "password"),
        ("postgresql://thim@host/thim?nonsense=1", "nonsense"),
        ("postgresql://[::1/thim", "ledger:"),
    ],
)
def test_refused(address, said):
    """
    An address with a password, or one that makes no sense, is refused, and the
    password is not repeated.
    """
    with pytest.raises(OperatorError) as caught:
        read_conninfo(address)

    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "why",
    [
        'password authentication failed for user "thim"',
        'SCRAM authentication failed for user "thim"',
        "no password supplied",
        'database "thim" does not exist',
        'role "thim" does not exist',
        'role "thim" is not permitted to log in',
        'permission denied for database "thim"',
        'no pg_hba.conf entry for host "::1", user "thim", no encryption',
        'pg_hba.conf rejects connection for host "::1", user "thim"',
    ],
)
def test_not_let_in(why):
    """
    A server that lets nobody in by this name, password or database is not away:
    what it says is what is wrong.
    """
    told = f'connection to server at "db", port 5432 failed: FATAL:  {why}\nx'
    found = explain_cause(psycopg.OperationalError(told))

    assert "ledger-refused" == found.reason
    assert f"the ledger refuses this node: {why}" == str(found)


@pytest.mark.parametrize(
    "why",
    [
        "Connection refused",
        "FATAL:  the database system is starting up",
        "FATAL:  sorry, too many clients already",
        "session is read-only",
    ],
)
def test_away(why):
    """
    One that does not answer, or not yet, is away.
    """
    assert "ledger-away" == explain_cause(psycopg.OperationalError(why)).reason


def test_nobody_waits_twice():
    """
    After a failed attempt the next one fails at once, for a moment.
    """
    caller = Caller("host=127.0.0.1 port=1")
    with pytest.raises(psycopg.OperationalError) as first:
        caller()
    with pytest.raises(psycopg.OperationalError) as second:
        caller()

    assert str(first.value) == str(second.value)
    assert first.value is not second.value
    assert second.value.pgconn is None


class TestSession:
    @pytest.fixture
    def session(self, address):
        """
        One node's connection.
        """
        with NodeSession(address) as opened:
            yield opened

    def test_one_leads(self, session, address):
        """
        One node refreshes the documents of a vendor, until it hangs up.
        """
        assert {"intel", "amd"} == session.elect()
        with NodeSession(address) as other:
            assert frozenset() == other.elect()
            session.close()
            for _ in range(100):
                if other.elect():
                    break
                time.sleep(0.05)
            assert {"intel", "amd"} == other.elect()

    def test_stopped(self, session):
        """
        The server ends the session of a node that is stopped.
        """
        assert "13s" == session._ask("SHOW idle_session_timeout")

    def test_woken(self, session, ledger):
        """
        A change wakes who waits.
        """
        ledger.count("a", "b", day(0))
        began = time.monotonic()
        session.wait(60)

        assert time.monotonic() - began < 30

    def test_trimmed(self, session, psql, store, ledger):
        """
        Changes of long ago are forgotten, and it is noted up to where.
        """
        ledger.count("a", "b", day(0))
        psql.execute("UPDATE changes SET at = 1")
        last = session.last_position()
        session.trim()
        begins = psql.execute(
            "SELECT value FROM settings WHERE name = 'feed-begins'"
        ).fetchone()

        assert (str(last),) == begins

    def test_away(self):
        """
        A server that is not there is an error of its own.
        """
        with pytest.raises(UnwritableError, match="cannot be reached"):
            NodeSession("postgresql://thim@127.0.0.1:1/x")
