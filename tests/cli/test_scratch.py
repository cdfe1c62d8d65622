"""
Folders of processes, also of those that were killed.
"""

import os
import signal
import subprocess
import sys

import pytest

from tests.needs import needs_root
from thim.cli.scratch import scratch_folder


_MAKE = (
    "import sys, pathlib\n"
    "from thim.cli.scratch import scratch_folder\n"
    "with scratch_folder('made-', pathlib.Path(sys.argv[1])) as folder:\n"
    "    print(folder, flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def other(tmp_path):
    """
    Another process, which has a folder as long as it lives.
    """
    with subprocess.Popen(
        [sys.executable, "-c", _MAKE, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the folder is there
        yield process
        process.kill()


def _list(folder):
    return sorted(path.name for path in folder.iterdir())


class TestScratchFolder:
    def test_ends(self, tmp_path):
        """
        It is the user's alone, and at the end it is gone with all that is in
        it.
        """
        with scratch_folder("made-", tmp_path) as folder:
            (folder / "deep").mkdir()
            mode = folder.stat().st_mode & 0o777

        assert (0o700, []) == (mode, _list(tmp_path))

    def test_killed(self, tmp_path, other):
        """
        That of a process that was killed is removed by the next.
        """
        other.send_signal(signal.SIGKILL)
        other.wait()
        left = _list(tmp_path)
        with scratch_folder("made-", tmp_path) as folder:
            found = _list(tmp_path)

        assert 1 == len(left)
        assert [folder.name] == found

    def test_living(self, tmp_path, other):
        """
        That of a process that lives is not touched.
        """
        before = _list(tmp_path)
        with scratch_folder("made-", tmp_path):
            pass

        assert before == _list(tmp_path)
        assert other.poll() is None

    def test_others(self, tmp_path):
        """
        What only looks like one is not touched: a folder of another prefix, one
        that nobody has locked, a link to somebody's folder.
        """
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "owner.lock").touch()
        (tmp_path / "made-by-hand").mkdir()
        (tmp_path / "made-link").symlink_to("own")
        before = _list(tmp_path)
        with scratch_folder("made-", tmp_path):
            pass

        assert before == _list(tmp_path)
        assert ["owner.lock"] == _list(tmp_path / "own")

    @needs_root
    def test_strangers(self, tmp_path):
        """
        Another user's folder is not touched.
        """
        folder = tmp_path / "made-elsewhere"
        folder.mkdir()
        (folder / "owner.lock").touch()
        os.chown(folder, 65534, 65534)
        with scratch_folder("made-", tmp_path):
            pass

        assert ["made-elsewhere"] == _list(tmp_path)

    def test_nowhere(self, tmp_path):
        """
        Where none can be made that is an error.
        """
        with (
            pytest.raises(FileNotFoundError),
            scratch_folder("made-", tmp_path / "absent"),
        ):
            pass
