import asyncio
import datetime
import hashlib
import sqlite3

import pytest

from tests.services.made import INTEL
from thim.errors import ParameterError, UnavailableError
from thim.services import tokens
from thim.services.tokens import (
    ALLOWED,
    Permission,
    Role,
    TokenCheck,
    find_id,
    make_token,
)
from thim.store.token_view import TokenView


NOW = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)


def made(ledger, role=Role.READER, expires=None):
    """
    Make a token and keep it; return its text and what is kept.
    """
    text, kept = make_token("ci", role, actor="root", now=NOW, expires=expires)
    ledger.tokens.add(kept)
    return text, kept


@pytest.fixture
def check(replica, store):
    """
    What knows the tokens of the store.
    """
    return TokenCheck(replica, store, INTEL.anchors)


class TestMake:
    def test_form(self):
        """
        An ID and 256 random bits, of which the digest is kept.
        """
        text, kept = make_token("ci", Role.ADMIN, actor="root", now=NOW)
        token_id, _, secret = text.partition(".")

        assert (kept.id, 43) == (token_id, len(secret))
        assert kept.sha256 == hashlib.sha256(secret.encode()).digest()
        assert secret not in repr(kept)

    def test_each_another(self):
        """
        No two are the same.
        """
        texts = {
            make_token("ci", Role.ADMIN, actor="root", now=NOW)[0]
            for _ in range(100)
        }

        assert 100 == len(texts)

    @pytest.mark.parametrize("name", ["a", "x" * 64, "Jürgen's laptop"])
    def test_name(self, name):
        """
        A name has 1 to 64 printable characters, ...
        """
        _, kept = make_token(name, Role.READER, actor="root", now=NOW)

        assert name == kept.name

    @pytest.mark.parametrize(
        "name", ["", "x" * 65, "a\nb", "\x1b[31m", "a\u202eb"]
    )
    def test_bad_name(self, name):
        """
        ... or is refused.
        """
        with pytest.raises(ParameterError, match="1 to 64 printable"):
            make_token(name, Role.READER, actor="root", now=NOW)


class TestRoles:
    @pytest.mark.parametrize(
        ("role", "permissions"),
        [
            (Role.ADMIN, {p.value for p in Permission}),
            (
                Role.OPERATOR,
                {"read", "register", "report", "enrol", "operate"},
            ),
            (Role.REGISTRAR, {"register", "report", "enrol"}),
            (Role.READER, {"read"}),
            (Role.AGENT, {"report"}),
            (Role.ENROLMENT, {"enrol"}),
        ],
    )
    def test_table(self, role, permissions):
        """
        Each role may do what the table says, and every role is in it.
        """
        assert permissions == {p.value for p in ALLOWED[role]}
        assert set(Role) == set(ALLOWED)


class TestCheck:
    def test_good(self, ledger, check):
        """
        A token that counts says who asks.
        """
        text, kept = made(ledger, Role.REGISTRAR, NOW + DAY)
        found = check.check(text, NOW)

        assert (kept.id, "ci", Role.REGISTRAR, NOW + DAY) == (
            found.id,
            found.name,
            found.role,
            found.expires,
        )
        assert found.may(Permission.REGISTER)
        assert not found.may(Permission.READ)
        assert text.partition(".")[2] not in f"{found} {found!r}"

    def test_changed(self, ledger, check):
        """
        With any character changed it is another token.
        """
        text, _ = made(ledger)

        for i, old in enumerate(text):
            new = "a" if old != "a" else "b"
            assert check.check(f"{text[:i]}{new}{text[i + 1 :]}", NOW) is None

    @pytest.mark.parametrize("later", [DAY, 2 * DAY])
    def test_expired(self, ledger, check, later):
        """
        One that has expired does not count, from that instant on.
        """
        text, _ = made(ledger, expires=NOW + DAY)

        assert check.check(text, NOW + DAY - HOUR / 3600) is not None
        assert check.check(text, NOW + later) is None

    def test_revoked(self, ledger, check):
        """
        One that was revoked does not count at once.
        """
        text, kept = made(ledger)
        assert check.check(text, NOW) is not None
        ledger.tokens.revoke(kept.id, actor="root", now=NOW)

        assert check.check(text, NOW) is None

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ".",
            "x",
            "0123456789ab." + "A" * 42,
            "0123456789ab." + "A" * 44,
            "0123456789ab." + "A" * 100_000,
            "0123456789AB." + "A" * 43,
            "0123456789ab." + "é" * 43,
            "０123456789ab." + "A" * 43,  # noqa: RUF001
            "0123456789ab." + "A" * 42 + "\n",
            "' OR 1=1 --." + "A" * 43,
            "0123456789ab." + "A" * 43,
        ],
    )
    def test_nonsense(self, check, text):
        """
        Whatever else somebody sends is no token.
        """
        assert check.check(text, NOW) is None

    def test_id(self, ledger):
        """
        The ID of what looks like a token is found without the store.
        """
        text, kept = made(ledger)

        assert (kept.id, None) == (find_id(text), find_id("x"))

    def test_unknown_role(self, ledger, check, store):
        """
        A role that a later release has introduced is not taken for another.
        """
        text, _ = made(ledger)
        with sqlite3.connect(store) as db:
            db.execute("UPDATE api_tokens SET role = 'auditor'")
        db.close()

        with pytest.raises(UnavailableError, match="auditor"):
            check.check(text, NOW)


class TestLastUse:
    def used(self, replica):
        """
        Return when the only token was last used, as the store has it.
        """
        return TokenView(replica).all()[0].last_used

    def test_written_apart(self, ledger, check, replica):
        """
        A use is written down, but not by the request.
        """
        text, _ = made(ledger)
        check.check(text, NOW)
        assert self.used(replica) is None
        asyncio.run(check.flush())

        assert NOW == self.used(replica)

    @pytest.mark.parametrize(
        ("later", "is_written"), [(59 / 60, False), (1, True)]
    )
    def test_hourly(self, ledger, check, replica, later, is_written):
        """
        At most once an hour.
        """
        text, _ = made(ledger)
        for at in (NOW, NOW + later * HOUR):
            check.check(text, at)
            asyncio.run(check.flush())

        assert NOW + is_written * HOUR == self.used(replica)

    def test_refused(self, ledger, check, replica):
        """
        A token that does not count was not used.
        """
        text, _ = made(ledger)
        check.check(text[:-1] + ("a" if text[-1] != "a" else "b"), NOW)
        asyncio.run(check.flush())

        assert self.used(replica) is None

    def test_store_gone(self, ledger, replica, store, caplog):
        """
        What cannot be written is kept for later, and said.
        """
        text, _ = made(ledger)
        check = TokenCheck(replica, store, INTEL.anchors)
        away = store.rename(store.with_name("away"))
        check.check(text, NOW)
        asyncio.run(check.flush())
        assert "not written down" in caplog.text
        away.rename(store)
        asyncio.run(check.flush())

        assert NOW == self.used(replica)

    def test_follow(self, ledger, check, replica, monkeypatch):
        """
        It is done now and then, and once more at the end.
        """
        monkeypatch.setattr(tokens, "_FLUSH", 0.01)
        text, _ = made(ledger)

        async def follow():
            task = asyncio.create_task(check.follow())
            check.check(text, NOW)
            while self.used(replica) is None:  # noqa: ASYNC110 - in a file
                await asyncio.sleep(0.01)
            check.check(text, NOW + 2 * HOUR)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(follow())

        assert NOW + 2 * HOUR == self.used(replica)
