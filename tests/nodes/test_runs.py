import contextlib
import subprocess
import sys

from pathlib import Path

import pytest

from tests.needs import needs_ip, needs_root
from tests.nodes.found import Found
from tests.nodes.network import sweep
from tests.nodes.runs import Run, play


GOOD = """
import sys
from pathlib import Path
from tests.nodes.found import Found
Found(name=sys.argv[2], gets=1).write(Path(sys.argv[1]))
"""
#: Waits until as many have begun as it is told, or for ever.
TOGETHER = f"""
import sys, time
from pathlib import Path
path = Path(sys.argv[1])
(path.parent / "begun").touch()
while len(list(path.parent.parent.glob("*/begun"))) < int(sys.argv[3]):
    time.sleep(0.02)
{GOOD}
"""
LEAVING = """
import os, subprocess, sys
from pathlib import Path
from tests.nodes.network import Network
network = Network()
network.add_host("one")
sleeper = subprocess.Popen(
    [*network.inside("one"), "sleep", "600"], start_new_session=True
)
while "/sleep" not in os.readlink(f"/proc/{sleeper.pid}/exe"):
    pass
text = f"{os.getpid()} {sleeper.pid}"
Path(sys.argv[1]).with_name("left").write_text(text)
"""


def make(name, code, *arguments):
    """
    Make a run of Python code.
    """
    return Run(name=name, program=["-c", code], arguments=[name, *arguments])


def test_at_once(tmp_path):
    """
    So many as may be are played at once, and what all came to is told.
    """
    runs = [make(name, TOGETHER, "2") for name in ("a", "b")]
    found = sorted(play(runs, tmp_path, 2), key=lambda each: each.name)
    assert [Found(name=name, gets=1) for name in ("a", "b")] == found


def test_dies(tmp_path):
    """
    One that dies is wrong, with its trace, and the others go on.
    """
    runs = [make("bad", "raise KeyError('lost')"), make("good", GOOD)]
    bad, good = play(runs, tmp_path, 1)
    (wrong,) = bad.wrong
    assert wrong.startswith("it ended with 1: Traceback")
    assert "KeyError: 'lost'" in wrong
    assert Found(name="good", gets=1) == good


def test_says_nothing(tmp_path):
    """
    One that ends without a word of what it came to is wrong.
    """
    (found,) = play([make("a", "")], tmp_path, 1)
    assert ["it ended with 0: "] == found.wrong


def test_files(tmp_path):
    """
    Files stay where something was wrong, and nowhere else.
    """
    runs = [make("bad 1", "raise KeyError"), make("good 1", GOOD)]
    list(play(runs, tmp_path, 2))
    assert ["bad-1"] == [path.name for path in tmp_path.iterdir()]


def test_closed(tmp_path):
    """
    All that run end when nobody wants to know any more.
    """
    runs = [make("a", TOGETHER, "1"), make("b", TOGETHER, "9")]
    playing = play(runs, tmp_path, 2)
    assert "a" == next(playing).name
    playing.close()
    assert not [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(tmp_path / "b").encode() in _read(path)
    ]


def _read(path):
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


@needs_root
@needs_ip
@pytest.mark.parametrize(
    "end", ["os._exit(0)", "os.kill(os.getpid(), 9)"], ids=["exits", "killed"]
)
def test_leaves_something(tmp_path, end):
    """
    What a run leaves behind is ended and removed, however it came to its own
    end.
    """
    (found,) = play([make("a", f"{LEAVING}\n{end}")], tmp_path, 1)
    assert found.wrong
    pid, left = (tmp_path / "a" / "left").read_text().split()
    # Who has ended may still be there for its parent, without its words.
    assert b"" == _read(Path(f"/proc/{left}/cmdline"))
    assert not list(Path("/run/netns").glob(f"thim-{pid}-*"))


def test_nothing_left():
    """
    Nothing is left of a process that never made a host.
    """
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        assert [] == sweep(process.pid)
