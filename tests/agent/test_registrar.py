import pytest

from tests.agent.standin import Registry, standing_in
from tests.vendors import DAY, HOUR, MINUTE
from thim.agent.registrar import Credentials, Registrar


@pytest.fixture
def registry():
    """
    A service that enrols and registers.
    """
    with standing_in(Registry()) as running:
        yield running


@pytest.fixture
def once(tmp_path):
    """
    A file with a one-time token.
    """
    path = tmp_path / "once"
    path.write_text("once\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def registrar(bench, registry, once):
    """
    Make a registrar, with a one-time token unless told otherwise.
    """

    def make(**changes):
        given = {
            "token_file": bench.cache().token,
            "enrol_token_file": once,
            "name": "host-1",
            **changes,
        }
        return Registrar(bench.service(registry.url), Credentials(**given))

    return make


@pytest.fixture
def look(bench):
    """
    Let a registrar look once.
    """
    keeper = bench.keeper(bench.report())
    (name,) = keeper.identity.names()

    def run(registrar, now=None, *, is_confirmed=False):
        now = now or bench.vendor.clock()
        looking = registrar.look(
            name, keeper.identity, now, is_confirmed=is_confirmed
        )
        return bench.runner.run(looking)

    return run


class TestEnrolling:
    def test_token(self, registry, registrar, look, bench):
        """
        The one-time token is exchanged for a token, which nobody else can
        read, and with which the chip is registered.
        """
        first = registrar()
        look(first)
        path = bench.cache().token
        assert "a1b2.secret" == path.read_text()
        assert "600" == oct(path.stat().st_mode)[-3:]
        assert "declared" == first.state
        enrolled, registered = registry.asked
        assert {"name": "host-1"} == enrolled.json
        assert "Bearer once" == enrolled.headers["authorization"]
        assert "Bearer a1b2.secret" == registered.headers["authorization"]

    def test_once(self, registry, registrar, look, once):
        """
        After a restart the agent's own token is used: the one-time token is
        asked for no more.
        """
        look(registrar())
        once.unlink()
        again = registrar()
        look(again)
        assert "declared" == again.state
        assert 1 == sum(asked.method == "POST" for asked in registry.asked)

    def test_used_token(self, registry, registrar, look, once, caplog):
        """
        A one-time token that does not count is named with what to do; the
        token itself is not.
        """
        registry.once.clear()
        once.write_text("a0.f00d\n")
        refused = registrar()
        look(refused)
        assert refused.state is None
        said = f"the one-time token in {once} was used, has expired or was"
        assert said in caplog.text
        assert "f00d" not in caplog.text

    def test_refused_token(self, bench, registrar, look, caplog):
        """
        When the agent's own token no longer counts, the log says what to do.
        """
        path = bench.cache().token
        path.write_text("a0.f00d\n")
        path.chmod(0o600)
        look(registrar())
        assert f"to enrol again, remove {path}" in caplog.text
        assert "f00d" not in caplog.text

    def test_readable_token(self, registrar, look, once, caplog):
        """
        A token that others can read is not used.
        """
        once.chmod(0o644)
        look(registrar())
        assert "mode 0644" in caplog.text

    def test_full_disk(self, registry, registrar, look, bench):
        """
        A token that cannot be written is used all the same, and written
        later: the one-time token has got no other.
        """
        path = bench.state / "sub" / "token"
        made, now = registrar(token_file=path), bench.vendor.clock()
        look(made, now)
        assert "declared" == made.state
        path.parent.mkdir()
        look(made, now + DAY)
        assert "a1b2.secret" == path.read_text()
        assert 1 == sum(asked.method == "POST" for asked in registry.asked)

    def test_refused_issuer(self, registrar, look, once, caplog):
        """
        Of a token of another issuer's that is refused, the service knows more.
        """
        once.write_text("e30.e30.f00d")
        look(registrar())
        assert f"the token in {once} is an issuer's" in caplog.text
        assert "f00d" not in caplog.text

    def test_projected(self, registry, registrar, look, bench):
        """
        A token that is renewed in its file, as Kubernetes does it behind a
        link, is read anew each time.
        """
        registry.once.add("second")
        mount = bench.folder / "mount"
        for name in ("first", "second"):
            (mount / name).mkdir(parents=True)
            (mount / name / "token").write_text(name)
            (mount / name / "token").chmod(0o400)
        (mount / "..data").symlink_to("first")
        (mount / "token").symlink_to("..data/token")
        made = registrar(enrol_token_file=mount / "token")
        now = bench.vendor.clock()
        look(made, now)
        assert made.state is None
        (mount / "new").symlink_to("second")
        (mount / "new").replace(mount / "..data")
        look(made, now + DAY)
        assert "declared" == made.state

    @pytest.mark.parametrize("text", ["", "a\nb", "tök"])
    def test_no_token(self, registrar, look, once, caplog, text):
        """
        What cannot be in a header is no token.
        """
        once.write_text(text)
        look(registrar())
        assert "expected one line of text" in caplog.text


class TestRegistering:
    def test_said(self, bench, registry, registrar, look):
        """
        The service hears the chip, its TCB, the host's name and the report.
        """
        look(registrar())
        chip = bench.vendor.chip("milan-1")
        asked = registry.asked[-1]
        path = f"/admin/v1/chips/Milan/{chip.hw_id.hex()}"
        assert ("PUT", path) == (asked.method, asked.target)
        assert {"tcb", "name", "report"} == asked.json.keys()
        assert "DB18000000000004" == asked.json["tcb"]
        assert "host-1" == asked.json["name"]

    def test_daily(self, bench, registry, registrar, look):
        """
        It hears it again after a day, not after half.
        """
        made, now = registrar(), bench.vendor.clock()
        look(made, now)
        look(made, now + 12 * HOUR)
        assert 2 == len(registry.asked)
        look(made, now + DAY)
        assert 3 == len(registry.asked)

    def test_clock_set_back(self, bench, registry, registrar, look):
        """
        What was planned while the clock was ahead is done when it is set back.
        """
        made, now = registrar(), bench.vendor.clock()
        look(made, now + 400 * DAY)
        look(made, now)
        assert 3 == len(registry.asked)

    def test_tcb_change(self, bench, registry, registrar, look):
        """
        It hears of a new TCB at once.
        """
        made, now = registrar(), bench.vendor.clock()
        look(made)
        chip = bench.report(reported_tcb=bytes.fromhex("04000000000017db"))
        identity = chip.read()
        (name,) = identity.names()
        looking = made.look(name, identity, now, is_confirmed=False)
        bench.runner.run(looking)
        assert "DB17000000000004" == registry.asked[-1].json["tcb"]

    def test_confirmed(self, bench, registry, registrar, look):
        """
        It hears once more when the report is borne out, which it can see then
        too: a VCEK takes longer than the first registration.
        """
        made, now = registrar(), bench.vendor.clock()
        look(made, now)
        told = len(registry.asked)
        look(made, now, is_confirmed=True)
        look(made, now, is_confirmed=True)
        assert told + 1 == len(registry.asked)

    def test_failure(self, bench, registry, registrar, look):
        """
        After a failure it is tried again, not before the service wants.
        """
        registry.failing = 503
        made, now = registrar(), bench.vendor.clock()
        look(made, now)
        look(made, now + 9 * MINUTE)
        assert 1 == len(registry.asked)
        registry.failing = None
        look(made, now + 14 * MINUTE)
        assert "declared" == made.state

    def test_when_again(self, bench, registry, registrar, look):
        """
        It says when to look again after a failure, and why, until it works.
        """
        registry.failing = 503
        made, now = registrar(), bench.vendor.clock()
        first = look(made, now)
        assert 600 <= first <= 800
        assert "status 503" in made.trouble
        assert look(made, now + MINUTE) == pytest.approx(first - 60)
        registry.failing = None
        assert look(made, now + 14 * MINUTE) is None
        assert look(made, now + 15 * MINUTE) is None
        assert "" == made.trouble

    def test_said_by_keeper(self, bench, registry, registrar):
        """
        What keeps the certificates looks again as early, and tells of it.
        """
        keeper = bench.keeper(bench.report(), registrar=registrar())
        registry.failing = 503
        assert 600 <= bench.look(keeper) <= 800
        assert "not registered" in keeper.describe()["trouble"]
        registry.failing = None
        bench.vendor.clock.advance(14 * MINUTE)
        assert bench.look(keeper) is None
        assert "" == keeper.describe()["trouble"]

    def test_words(self, bench, registry, registrar, look):
        """
        Of a refusal the service's own words are told, but no chip's ID.
        """
        chip = bench.vendor.chip("milan-1").chip_id.hex()
        registry.failing = 400
        registry.words = f"name: got 'a', but {chip} is called so\n\x1b[1m"
        made = registrar()
        look(made)
        assert "name: got 'a', but" in made.trouble
        assert chip not in made.trouble
        assert "\x1b" not in made.trouble

    @pytest.mark.parametrize("before", ["", "x" * 280])
    def test_no_chip_in_words(self, bench, registry, registrar, before):
        """
        Nor is a chip's ID told that is cut off, in capitals, or short.
        """
        chip = bench.report("turin-1")
        keeper = bench.keeper(chip, registrar=registrar())
        hw_id = bench.vendor.chip("turin-1").hw_id.hex()
        other = bench.vendor.chip("milan-1").chip_id.hex()
        bench.look(keeper)
        bench.vendor.clock.advance(DAY)
        registry.failing = 400
        registry.words = (
            f"{before} {hw_id} {hw_id.upper()} {other.upper()[:79]}"
        )
        bench.look(keeper)
        said = keeper.describe()["trouble"]
        assert "status 400" in said
        assert hw_id not in said.lower()
        assert other[:12] not in said.lower()

    def test_silence(self, bench, registry, registrar, look, away):
        """
        A service that is away is no reason to end.
        """
        given = Credentials(
            token_file=bench.folder / "none",
            enrol_token_file=None,
            name="host-1",
        )
        assert not given.are_there()
        made = Registrar(bench.service(away), given)
        look(made)
        assert made.state is None

    def test_by_keeper(self, bench, registry, registrar):
        """
        What keeps the certificates registers the chip as soon as it is known
        whose it is.
        """
        chip = bench.report("genoa-1", version=2)
        keeper = bench.keeper(chip, registrar=registrar())
        bench.look(keeper)
        assert "declared" == keeper.describe()["chip"]["registered"]
        assert registry.asked[-1].target.startswith("/admin/v1/chips/Genoa/")
