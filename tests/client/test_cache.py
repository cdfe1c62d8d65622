import datetime
import multiprocessing
import os
import shutil
import tempfile

from pathlib import Path

import pytest

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from thim.client.cache import VARIABLE, DiskCache, Entry, default_cache
from thim.client.steps import cache_key
from thim.errors import OperatorError


NOW = datetime.datetime(2026, 9, 1, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
KEY, OTHER = cache_key("https://h/one"), cache_key("https://h/two")


def entry(body=b"body", fetched=NOW, lasts=HOUR, **headers):
    """
    An entry that is fresh for an hour.
    """
    return Entry(
        fetched=fetched,
        fresh_until=fetched + lasts,
        headers=headers or {"thim-baseline": "default"},
        body=body,
    )


def names(folder):
    """
    What is in a folder.
    """
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def cache(tmp_path):
    """
    An empty cache.
    """
    return DiskCache(tmp_path)


class TestEntries:
    def test_kept(self, cache, tmp_path):
        """
        What is kept comes back whole, in another process's cache too.
        """
        cache.put(KEY, entry())

        assert entry() == cache.get(KEY) == DiskCache(tmp_path).get(KEY)
        assert cache.get(OTHER) is None

    def test_replaced(self, cache):
        """
        What is kept again under the same key replaces the older.
        """
        cache.put(KEY, entry(b"old"))
        cache.put(KEY, entry(b"new"))

        assert b"new" == cache.get(KEY).body
        assert [KEY] == names(cache.folder)

    @pytest.mark.parametrize(
        ("after", "expected"),
        [
            (datetime.timedelta(0), True),
            (HOUR - datetime.timedelta(microseconds=1), True),
            (HOUR, False),
            (-datetime.timedelta(microseconds=1), False),
        ],
    )
    def test_fresh(self, after, expected):
        """
        An entry is fresh up to its end, and not before it came: the clock was
        set back then.
        """
        assert expected is entry().is_fresh(NOW + after)

    def test_clear(self, cache):
        """
        Forgetting leaves what is not the cache's.
        """
        cache.put(KEY, entry())
        (cache.folder / "mine").write_text("x")
        cache.clear()

        assert ["mine"] == names(cache.folder)


class TestFolder:
    def test_private(self, cache):
        """
        Folder and files are nobody else's to read.
        """
        cache.put(KEY, entry())

        assert 0o700 == cache.folder.stat().st_mode & 0o777
        assert 0o600 == (cache.folder / KEY).stat().st_mode & 0o777

    def test_readable_by_others(self, tmp_path):
        """
        A folder that others could read is closed to them.
        """
        (tmp_path / "thim-client").mkdir(mode=0o755)

        assert 0o700 == DiskCache(tmp_path).folder.stat().st_mode & 0o777

    def test_writable_by_others(self, tmp_path):
        """
        One that others can write to is refused: they may have done so.
        """
        (tmp_path / "thim-client").mkdir()
        (tmp_path / "thim-client").chmod(0o777)

        with pytest.raises(OperatorError, match="others may write to it"):
            DiskCache(tmp_path)

    def test_link(self, tmp_path):
        """
        So is a link, wherever it leads.
        """
        (tmp_path / "thim-client").symlink_to(tmp_path)

        with pytest.raises(OperatorError, match="not a folder"):
            DiskCache(tmp_path)

    def test_file(self, tmp_path):
        """
        So is a base that is no folder.
        """
        (tmp_path / "base").write_text("")

        with pytest.raises(OperatorError, match="cache "):
            DiskCache(tmp_path / "base")

    def test_gone(self, cache):
        """
        Where the folder has gone, nothing is kept and nothing raised.
        """
        shutil.rmtree(cache.folder)
        cache.put(KEY, entry())

        assert cache.get(KEY) is None
        cache.clear()


class TestDefault:
    def base(self):
        """
        Below which folder the default cache is.
        """
        cache = default_cache()
        assert cache is not None
        assert "thim-client" == cache.folder.name
        return cache.folder.parent

    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch, tmp_path):
        """
        A home of the test's own.
        """
        monkeypatch.delenv(VARIABLE, raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def test_home(self, tmp_path):
        """
        By default it is in the home folder's own for caches.
        """
        assert tmp_path / "home" in self.base().parents

    def test_xdg(self, monkeypatch, tmp_path):
        """
        ``XDG_CACHE_HOME`` goes before, if it is absolute.
        """
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert tmp_path / "home" in self.base().parents

        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert tmp_path / "xdg" == self.base()

    def test_variable(self, monkeypatch, tmp_path):
        """
        Our own variable goes before both, and must work.
        """
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
        assert tmp_path / "own" == self.base()

        (tmp_path / "file").write_text("")
        monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
        with pytest.raises(OperatorError):
            default_cache()

    def test_none(self, monkeypatch, tmp_path):
        """
        A home in which nothing can be made is no error: there is no cache.
        """
        (tmp_path / "home").write_text("")

        assert default_cache() is None


class TestDamage:
    @given(st.data())
    def test_changed(self, data):
        """
        An entry with any octet changed, cut or added is none.
        """
        with tempfile.TemporaryDirectory() as folder:
            cache = DiskCache(folder)
            cache.put(KEY, entry())
            path = cache.folder / KEY
            raw = bytearray(path.read_bytes())
            at = data.draw(st.integers(0, len(raw) - 1))
            match data.draw(st.sampled_from(["change", "cut", "add"])):
                case "change":
                    raw[at] ^= data.draw(st.integers(1, 255))
                case "cut":
                    del raw[at:]
                case "add":
                    raw += b"\0"
            path.write_bytes(raw)
            assert cache.get(KEY) is None

    @given(st.binary(max_size=200))
    def test_foreign(self, raw):
        """
        So is any other file.
        """
        with tempfile.TemporaryDirectory() as folder:
            cache = DiskCache(folder)
            (cache.folder / KEY).write_bytes(raw)
            assert cache.get(KEY) is None

    def test_renamed(self, cache):
        """
        So is an entry under another's name.
        """
        cache.put(KEY, entry())
        (cache.folder / KEY).rename(cache.folder / OTHER)

        assert cache.get(OTHER) is None

    def test_no_file(self, cache, tmp_path):
        """
        A pipe, a link or a folder is not read.
        """
        os.mkfifo(cache.folder / KEY)
        assert cache.get(KEY) is None

        (cache.folder / OTHER).mkdir()
        assert cache.get(OTHER) is None
        cache.put(OTHER, entry())

        cache.put(KEY, entry())
        (cache.folder / KEY).rename(tmp_path / "away")
        (cache.folder / KEY).symlink_to(tmp_path / "away")
        assert cache.get(KEY) is None


class TestSize:
    def test_oldest_go(self, tmp_path):
        """
        Beyond its size the oldest go first.
        """
        cache = DiskCache(tmp_path, most_bytes=2500)
        keys = [cache_key(str(i)) for i in range(4)]
        for i, key in enumerate(keys):
            cache.put(key, entry(b"x" * 900))
            os.utime(cache.folder / key, ns=(i, i))

        assert [False, False, True, True] == [
            cache.get(key) is not None for key in keys
        ]

    def test_too_large(self, tmp_path):
        """
        What alone is too large is not kept, and drives nothing out.
        """
        cache = DiskCache(tmp_path, most_bytes=2500)
        cache.put(KEY, entry())
        cache.put(OTHER, entry(b"x" * 3000))

        assert cache.get(KEY)
        assert cache.get(OTHER) is None

    def test_remnants(self, tmp_path):
        """
        What a killed process left goes too.
        """
        cache = DiskCache(tmp_path, most_bytes=2500)
        (cache.folder / ".new-abc").write_bytes(b"x" * 3000)
        os.utime(cache.folder / ".new-abc", ns=(1, 1))
        cache.put(KEY, entry())

        assert [KEY] == names(cache.folder)


def write_much(base, name):
    """
    Write and read as fast as can be; fail if anything is torn.
    """
    cache = DiskCache(base, most_bytes=200_000)
    for i in range(150):
        body = f"{name}{i};".encode() * 500
        cache.put(KEY, entry(body))
        got = cache.get(KEY)
        if got and len(set(got.body.split(b";"))) != 2:
            raise SystemExit(1)


def test_processes(tmp_path):
    """
    Several processes write and read the same entry, and none sees half of it.
    """
    context = multiprocessing.get_context("spawn")
    running = [
        context.Process(target=write_much, args=(tmp_path, f"{i}-"))
        for i in range(3)
    ]
    for each in running:
        each.start()
    for each in running:
        each.join(60)

    assert [0, 0, 0] == [each.exitcode for each in running]
    assert [KEY] == names(tmp_path / "thim-client")


class Kept(RuleBasedStateMachine):
    """
    Put, get, expire and corrupt: the cache returns what was put last, or
    nothing where that is gone or damaged.
    """

    keys = st.sampled_from([KEY, OTHER])

    @initialize()
    def begin(self):
        """
        Begin with nothing.
        """
        self.base = tempfile.mkdtemp()
        self.cache = DiskCache(self.base)
        self.now = NOW
        self.model = {}
        self.damaged = set()

    def teardown(self):
        """
        Leave nothing.
        """
        if hasattr(self, "base"):
            shutil.rmtree(self.base)

    @rule(key=keys, body=st.binary(max_size=50), hours=st.integers(-1, 3))
    def put(self, key, body, hours):
        """
        Keep something for some hours.
        """
        kept = entry(body, self.now, hours * HOUR)
        self.cache.put(key, kept)
        self.model[key] = kept
        self.damaged.discard(key)

    @rule(hours=st.integers(-2, 4))
    def move_the_clock(self, hours):
        """
        Let time pass, or not.
        """
        self.now += hours * HOUR

    @rule(key=keys, at=st.integers(0, 500), octet=st.integers(1, 255))
    def corrupt(self, key, at, octet):
        """
        Change an octet.
        """
        path = self.cache.folder / key
        if path.exists():
            raw = bytearray(path.read_bytes())
            if raw:
                raw[at % len(raw)] ^= octet
            path.write_bytes(raw)
            self.damaged.add(key)

    @rule(key=keys, size=st.integers(0, 50))
    def tear(self, key, size):
        """
        Cut a file short.
        """
        path = self.cache.folder / key
        if path.exists():
            os.truncate(path, size)
            self.damaged.add(key)

    @rule()
    def reopen(self):
        """
        Be another process.
        """
        self.cache = DiskCache(self.base)

    @rule()
    def clear(self):
        """
        Forget.
        """
        self.cache.clear()
        self.model = {}

    @invariant()
    def holds(self):
        """
        What was put last comes back, or nothing where it was damaged.
        """
        for key, expected in getattr(self, "model", {}).items():
            got = self.cache.get(key)
            if key in self.damaged and got is None:
                continue  # but damage may undo itself
            assert expected == got
            assert got is not None
            is_in_time = expected.fetched <= self.now < expected.fresh_until
            assert is_in_time is got.is_fresh(self.now)


TestKept = Kept.TestCase


def test_path_like():
    """
    The base may be a string or a path.
    """
    with tempfile.TemporaryDirectory() as folder:
        assert DiskCache(folder).folder == DiskCache(Path(folder)).folder
