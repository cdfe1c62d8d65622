"""
Work in a process of its own, and what becomes of that process.
"""

import contextlib
import os
import sys
import threading
import time

from pathlib import Path

import pytest

from tests.conftest import PROJECT
from thim.errors import (
    ConflictError,
    ForbiddenError,
    MalformedError,
    NotFoundError,
    UnavailableError,
)
from thim.services.apart import Apart


#: Of a process: in ``/proc/PID/stat``, behind its name.
_PARENT = 1
WORK = "tests.services.apart_work:Work"


@pytest.fixture(autouse=True)
def found(monkeypatch):
    """
    The work can be found from another process.
    """
    others = os.environ.get("PYTHONPATH")
    path = str(PROJECT) if others is None else f"{others}:{PROJECT}"
    monkeypatch.setenv("PYTHONPATH", path)


def children():
    """
    Return the processes that this one has, those that are dead too.
    """
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[_PARENT] == str(os.getpid()):
                found.add(stat.parent.name)
    return found


@pytest.fixture(autouse=True)
def nothing_left():
    """
    No process is left when it is over, dead or alive.
    """
    before = children()
    yield
    assert set() == children() - before


def tell(apart):
    """
    Ask what it is.
    """
    return apart.call("tell")


class TestCalls:
    def test_one_object(self):
        """
        All calls are of one object, that was made with the arguments, in
        another process.
        """
        with Apart(WORK, "a", 2) as apart:
            first, second = tell(apart), tell(apart)

        assert (("a", 2), 1) == first[:2]
        assert (("a", 2), 2) == second[:2]
        assert first[2] == second[2] != os.getpid()

    def test_nothing_asked(self):
        """
        Nothing need be asked.
        """
        with Apart(WORK):
            pass

    @pytest.mark.parametrize("size", [0, 1, 65536, 50_000_000])
    def test_huge(self, size):
        """
        What goes to and fro may be huge.
        """
        value = b"x" * size
        with Apart(WORK) as apart:
            assert value == apart.call("give_back", value)

    def test_two(self):
        """
        Two at once know nothing of one another, in whatever order they end.
        """
        with Apart(WORK, "first") as first:
            with Apart(WORK, "second") as second:
                assert ("second",) == tell(second)[0]
                assert ("first",) == tell(first)[0]
            assert ("first",) == tell(first)[0]

    def test_in_threads(self):
        """
        Nor do those of several threads.
        """
        found = []

        def work(name):
            with Apart(WORK, name) as apart:
                found.append((name, apart.call("give_back", name)))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [(n, n) for n in range(4)] == sorted(found)

    def test_printing(self, capfd):
        """
        What the work prints, or a library or program that it uses, is no
        answer: it goes to standard error.
        """
        with Apart(WORK) as apart:
            assert "answer" == apart.call("chat")
            assert "answer" == apart.call("chat")

        out, err = capfd.readouterr()
        assert "" == out
        for how in ("print", "write", "os.write", "echo"):
            assert how in err

    def test_loads_nothing(self):
        """
        Nothing of what it loads is loaded here, and it loads nothing from the
        folder that we are in.
        """
        with Apart(WORK) as apart:
            modules, path = apart.call("modules")

        assert "tests.services.apart_work" in modules
        assert "tests.services.apart_work" not in sys.modules
        assert "" not in path

    def test_folder(self, tmp_path, monkeypatch):
        """
        A file there that is called like a module is not run.
        """
        (tmp_path / "pickle.py").write_text("raise SystemExit(1)\n")
        monkeypatch.chdir(tmp_path)
        with Apart(WORK) as apart:
            assert 1 == apart.call("give_back", 1)


class TestErrors:
    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("NotFoundError", NotFoundError),
            ("MalformedError", MalformedError),
            ("ConflictError", ConflictError),
            ("ForbiddenError", ForbiddenError),
            ("UnavailableError", UnavailableError),
            ("OperatorError", UnavailableError),
            ("UntrustedError", UnavailableError),
        ],
    )
    def test_raised(self, kind, expected):
        """
        What the caller did wrong is raised here as it was there; anything
        else is a reason to ask again.  Message and reason stay.
        """
        with (
            Apart(WORK) as apart,
            pytest.raises(expected, match=f"this is a {kind}") as caught,
        ):
            apart.call("fail", kind)

        assert (expected, "so") == (caught.type, caught.value.reason)

    def test_parameter(self):
        """
        A parameter that cannot be used is the caller's.
        """
        with (
            Apart(WORK) as apart,
            pytest.raises(MalformedError, match="limit: got '-1'") as caught,
        ):
            apart.call("fail", "ParameterError")

        assert "parameter" == caught.value.reason

    def test_goes_on(self):
        """
        After an error it answers as before.
        """
        with Apart(WORK) as apart:
            with pytest.raises(NotFoundError):
                apart.call("fail", "NotFoundError")
            assert 1 == tell(apart)[1]

    def test_not_made(self):
        """
        Where the object cannot be made, that is told at the first call.
        """
        with (
            Apart("tests.services.apart_work:refuse") as apart,
            pytest.raises(UnavailableError, match="there is no store"),
        ):
            tell(apart)

    @pytest.mark.parametrize(
        "factory", ["tests.services.nowhere:x", "tests.services.apart_work:x"]
    )
    def test_no_factory(self, factory):
        """
        Where it cannot even be found the process ends.
        """
        with (
            Apart(factory) as apart,
            pytest.raises(UnavailableError, match="ended before its time"),
        ):
            tell(apart)

    @pytest.mark.parametrize("how", ["crash", "die", "leave", "no_method"])
    def test_ends(self, how):
        """
        An error of ours, or the process's end, is no answer: a retry may help,
        and later calls say the same.
        """
        with Apart(WORK) as apart:
            for _ in range(3):
                with pytest.raises(UnavailableError, match="ended") as caught:
                    apart.call(how)
                assert ("apart", 60) == (
                    caught.value.reason,
                    caught.value.retry_after,
                )

    def test_killed_from_outside(self):
        """
        So it is when the system kills it between two calls.
        """
        with Apart(WORK) as apart:
            os.kill(tell(apart)[2], 9)
            with pytest.raises(UnavailableError):
                apart.call("give_back", b"x" * 1_000_000)

    def test_patience(self):
        """
        What takes too long is ended.
        """
        begun = time.monotonic()
        with (
            Apart(WORK, patience=0.5) as apart,
            pytest.raises(UnavailableError, match="ended before its time"),
        ):
            apart.call("sleep")

        assert 10 > time.monotonic() - begun

    def test_patience_at_the_end(self):
        """
        Nobody waits longer than that for its end, either.
        """
        begun = time.monotonic()
        with Apart(WORK, patience=1) as apart:
            apart._send(("sleep", ()))  # and not waited for

        assert 10 > time.monotonic() - begun

    def test_interrupted(self):
        """
        When its caller is interrupted it is not waited for.
        """
        begun = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt), Apart(WORK) as apart:
            apart._send(("sleep", ()))
            raise KeyboardInterrupt

        assert 10 > time.monotonic() - begun

    def test_cannot_be_sent(self):
        """
        What cannot be sent is an error of ours, and leaves no process.
        """
        with pytest.raises(AttributeError), Apart(WORK, lambda: None):
            pass
