import asyncio

import pytest

from tests.services.made import NOW
from tests.upstream.receiver import SECRET, receiving, status


@pytest.fixture
def configured(tmp_path):
    """
    Write a configuration with one webhook, at a port of this machine.
    """

    def write(port):
        secret = tmp_path / "secret"
        secret.write_bytes(SECRET)
        secret.chmod(0o600)
        path = tmp_path / "thim.toml"
        path.write_text(
            f"""
            [[webhooks]]
            name = "ops"
            url = "http://127.0.0.1:{port}/t0ken"
            allow = ["127.0.0.1"]
            secret_file = "{secret}"
            """
        )
        return path

    return write


@pytest.fixture
def ping(thim, configured):
    """
    Test the webhook with a receiver that answers by a script; return the run
    and what was received.
    """

    def run(script, *words):
        async def scenario():
            async with receiving(script) as got:
                command = ("webhook", "test", "ops", *words, "--config")
                path = configured(got.port)
                ran = await asyncio.to_thread(lambda: thim(*command, path))
                return ran, got.posts

        return asyncio.run(scenario())

    return run


class TestPing:
    def test_delivered(self, ping):
        """
        A ping is a signed notice; that it was taken is said.
        """
        run, (post,) = ping(status(204))

        assert (0, "ops: delivered (status 204)\n") == (run.code, run.text)
        assert post.is_signed()
        assert ("ping", "ops") == (post.json["type"], post.json["subject"])
        assert post.headers["webhook-id"].startswith("ping_")

    def test_json(self, ping):
        """
        A program is told the same.
        """
        run, _ = ping(status(204), "--json")

        assert {
            "name": "ops",
            "outcome": "delivered",
            "detail": "status 204",
        } == run.json

    @pytest.mark.parametrize(
        ("code", "said"), [(500, "failed"), (302, "failed"), (410, "gone")]
    )
    def test_not_delivered(self, ping, code, said):
        """
        If it was not the exit code is 1.
        """
        run, _ = ping(status(code))

        assert 1 == run.code
        assert run.text.startswith(f"ops: {said} (status {code}")
        assert "t0ken" not in run.text + run.err

    def test_unknown(self, thim, configured):
        """
        A webhook that there is not is an error that names those there are.
        """
        run = thim("webhook", "test", "oops", "--config", configured(1))

        assert (2, b"") == (run.code, run.out)
        assert "thim: NAME: got 'oops', expected ops\n" == run.err

    def test_none(self, thim):
        """
        So it is where there are none at all.
        """
        run = thim("webhook", "test", "oops")

        assert 2 == run.code
        assert "expected one in the configuration: it has none" in run.err


class TestList:
    def test_json(self, thim, configured, ledger, our_store):
        """
        Each webhook is listed with what it has taken and has not, and those
        that are configured no more.
        """
        ledger.notices.add("number", "22", "{}", NOW, ["ops", "old"])
        ledger.notices.add("number", "23", "{}", NOW, ["ops"])
        first, *_ = ledger.notices.claim(NOW, NOW - NOW, ["ops"])
        ledger.notices.settle(first, delivered=NOW, detail="")
        config = configured(99)
        run = thim(
            *("webhook", "list", "--config", config, "--store", our_store),
            "--json",
        )

        assert [
            {
                "name": "ops",
                "address": "http://127.0.0.1:99",
                "delivered": 1,
                "waiting": 1,
                "given_up": 0,
                "last_delivered": f"{NOW:%FT%TZ}",
            },
            {
                "name": "old",
                "address": "not configured",
                "delivered": 0,
                "waiting": 1,
                "given_up": 0,
                "last_delivered": None,
            },
        ] == run.json

    def test_table(self, thim, configured, our_store):
        """
        For people it is a table, without what is behind the host.
        """
        config = configured(99)
        run = thim("webhook", "list", "--config", config, "--store", our_store)
        titles, row = run.text.splitlines()

        assert titles.startswith("name  address")
        assert ["ops", "http://127.0.0.1:99", "0", "0", "0", "-"] == row.split()
        assert "t0ken" not in run.text

    def test_shown(self, thim, configured):
        """
        The configuration shows a webhook by its name and address.
        """
        run = thim("config", "show", "--config", configured(99))

        assert "ops http://127.0.0.1:99" in run.text
        assert "t0ken" not in run.text
        assert SECRET.decode() not in run.text
