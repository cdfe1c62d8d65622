import os
import signal
import stat

from pathlib import Path

import pytest

from tests.store.line_process import LineProcess
from tests.store.made import ANCHORS, all_stored, make_record
from thim.errors import OperatorError
from thim.store.create import create_store
from thim.store.ledger import Ledger
from thim.store.replica import Replica


class Creator(LineProcess):
    """Makes stores in processes of their own, one at a time."""

    def __init__(self) -> None:
        super().__init__("tests.store.creator")

    def start(
        self, path: Path, *, largest: int = 1 << 30, then: str = "exit"
    ) -> int:
        """
        Begin to make a store of files that hold no more than *largest* bytes,
        and then ``exit`` or ``stay``; return the number of the process.
        """
        self.write(f"{path}\t{largest}\t{then}")
        return int(self.read())

    def finish(self) -> int:
        """
        Return the exit status of what was started.
        """
        return int(self.read())


@pytest.fixture
def creator():
    """
    A creator that had no complaint when it was closed.
    """
    opened = Creator()
    yield opened
    assert "" == opened.close()


class TestCreateStore:
    def test_empty(self, store):
        """
        A new store is whole, and holds nothing.
        """
        replica = Replica(store)

        assert [] == replica.entries()
        assert frozenset() == replica.numbers()
        replica.close()

    def test_usable(self, store):
        """
        It takes documents under the anchors it was made for.
        """
        with Ledger(store, ANCHORS) as ledger:
            ledger.add(make_record())

            assert 1 == len(all_stored(ledger))

    @pytest.mark.parametrize(
        "name", ["thim.db", "with space.db", "a?b#c%41.db", "st[1]re*.db"]
    )
    def test_leaves_nothing_beside_it(self, tmp_path, name):
        """
        When it is done there is one file, whatever its name.
        """
        create_store(tmp_path / name, ANCHORS)

        assert [tmp_path / name] == list(tmp_path.iterdir())
        Replica(tmp_path / name).close()

    def test_only_its_owner_may_read_it(self, store):
        """
        The file's mode is 0600.
        """
        assert 0o600 == stat.S_IMODE(store.stat().st_mode)

    def test_folders_are_made(self, tmp_path):
        """
        The default store's folder is not there on the first run.
        """
        path = tmp_path / "one" / "two" / "thim.db"

        create_store(path, ANCHORS)

        assert path.is_file()

    def test_something_is_there(self, tmp_path):
        """
        An existing file is never touched, be it a store or not.
        """
        path = tmp_path / "thim.db"
        path.write_bytes(b"precious")

        with pytest.raises(OperatorError, match="exists already") as caught:
            create_store(path, ANCHORS)

        assert "store-exists" == caught.value.reason
        assert b"precious" == path.read_bytes()

    @pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
    def test_leftovers_of_another_store(self, tmp_path, suffix):
        """
        What lies beside the place of a store that was removed would be taken
        for a part of the new one: the store is not made.
        """
        leftover = tmp_path / f"thim.db{suffix}"
        leftover.touch()

        with pytest.raises(OperatorError, match=f"thim.db{suffix}: exists"):
            create_store(tmp_path / "thim.db", ANCHORS)
        assert [leftover] == list(tmp_path.iterdir())

    def test_dangling_link(self, tmp_path):
        """
        A link to nowhere is something that is there: it is not replaced.
        """
        path = tmp_path / "thim.db"
        path.symlink_to(tmp_path / "nowhere")

        with pytest.raises(OperatorError, match="store ") as caught:
            create_store(path, ANCHORS)

        assert "store-exists" == caught.value.reason
        assert [path] == list(tmp_path.iterdir())
        assert path.is_symlink()

    def test_unwritable_folder(self):
        """
        A folder in which nothing can be made is named, with the reason.
        """
        with pytest.raises(OperatorError, match="cannot be made") as caught:
            create_store(Path("/proc/thim/thim.db"), ANCHORS)

        assert "store-unwritable" == caught.value.reason

    def test_folder_is_a_file(self, tmp_path):
        """
        A path that leads through a file cannot be made, and says so.
        """
        (tmp_path / "file").touch()

        with pytest.raises(OperatorError, match="cannot be made") as caught:
            create_store(tmp_path / "file" / "thim.db", ANCHORS)

        assert "store-unwritable" == caught.value.reason

    def test_name_too_long(self, tmp_path):
        """
        A name that no file can have is the operator's error.
        """
        with pytest.raises(OperatorError, match="File name too long"):
            create_store(tmp_path / ("x" * 300), ANCHORS)

    def test_three_at_once(self, tmp_path):
        """
        Of several who make it at once one does; the others are told so, and
        all find the same whole store.
        """
        path = tmp_path / "thim.db"
        creators = [Creator() for _ in range(3)]
        for creator in creators:
            creator.start(path)
        statuses = [creator.finish() for creator in creators]
        said = [creator.close() for creator in creators]

        assert [0, 2, 2] == sorted(statuses)
        assert ["", "store-exists", "store-exists"] == sorted(said)
        assert [path] == list(tmp_path.iterdir())
        Ledger(path, ANCHORS).close()

    def test_full_disk(self, tmp_path):
        """
        Where the disk is full there is an error of the operator's, and no
        half store.
        """
        creator = Creator()
        creator.start(tmp_path / "thim.db", largest=8192)
        status = creator.finish()

        assert "store-unwritable" == creator.close()
        assert 2 == status
        assert [] == list(tmp_path.iterdir())


class TestKilled:
    def test_whole_or_not_at_all(self, tmp_path, creator):
        """
        Whenever the making is killed there is no store or a whole one, and
        the next attempt succeeds.
        """
        kinds = set()
        for kilobytes in range(0, 160, 8):
            path = tmp_path / str(kilobytes) / "thim.db"
            maker = creator.start(path, then="stay")
            _wait_for(path, kilobytes * 1024)
            os.kill(maker, signal.SIGKILL)
            assert -signal.SIGKILL == creator.finish()
            kinds.add(path.exists())
            if not path.exists():
                create_store(path, ANCHORS)
            with Ledger(path, ANCHORS) as ledger:
                assert [] == ledger.integrity_problems()

        assert False in kinds


def _wait_for(path: Path, size: int) -> None:
    """
    Wait until *size* bytes lie beside *path*, or it is there.
    """
    while not path.exists():
        try:
            found = sum(f.stat().st_size for f in path.parent.glob(".*"))
        except FileNotFoundError:
            continue
        if found >= size:
            return
