import contextlib
import multiprocessing
import os
import pwd
import tempfile

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.cli.day_zero import closed
from tests.needs import needs_root
from tests.services.private_ca import NOW
from thim.errors import OperatorError
from thim.services.secrets import (
    accept_loss,
    check_key,
    is_absent,
    load_or_make_key,
    open_sealer,
    provide_sealer,
    read_provided_secret,
    read_secret,
    replace,
    write_new,
)
from thim.store.seal import find_key_id


NOBODY = pwd.getpwnam("nobody")
ROOT = pwd.getpwuid(0)


def names(folder):
    """
    Return what is in a folder.
    """
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def path(tmp_path):
    """
    A secret file.
    """
    path = tmp_path / "secret"
    write_new(path, b"secret")
    return path


class TestRead:
    def test_good(self, path):
        """
        What its owner alone can read is read.
        """
        assert b"secret" == read_secret(path)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o602, 0o666])
    def test_mode(self, path, mode):
        """
        What others could read or write is refused; the error has the mode, the
        one expected, and what mends it.
        """
        path.chmod(mode)
        with pytest.raises(OperatorError) as caught:
            read_secret(path)

        message = str(caught.value)
        assert f"key file {path}: mode {mode:04o}, expected 0600" in message
        assert f"`chmod 600 {path}`" in message
        assert "key-file" == caught.value.reason

    @pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
    def test_modes_that_hold(self, path, mode):
        """
        Less is as good.
        """
        path.chmod(mode)

        assert b"secret" == read_secret(path)

    @needs_root
    def test_owner(self, path):
        """
        Somebody else's file is refused: they could change it.
        """
        os.chown(path, NOBODY.pw_uid, -1)
        with pytest.raises(OperatorError) as caught:
            read_secret(path)

        assert "belongs to nobody, expected root;" in str(caught.value)
        assert f"`chown root {path}`" in str(caught.value)

    def test_link(self, path, tmp_path):
        """
        A link is not followed: where it leads, others may decide.
        """
        link = tmp_path / "link"
        link.symlink_to(path)
        with pytest.raises(OperatorError, match="a link, expected the file"):
            read_secret(link)

    @pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
    def test_no_file(self, tmp_path, make):
        """
        Neither is what is no file, nor does anybody wait for it.
        """
        make(tmp_path / "it", 0o600)
        with pytest.raises(OperatorError, match="expected a regular file"):
            read_secret(tmp_path / "it")

    def test_missing(self, tmp_path):
        """
        One that is not there is named.
        """
        with pytest.raises(OperatorError, match="No such file"):
            read_secret(tmp_path / "it")


class TestMounted:
    """
    A secret as Kubernetes mounts it, for a user who is not root: root's, for
    the user's group, behind a link.
    """

    @pytest.fixture
    def mounted(self):
        """
        The file, in a folder that everybody may look into.
        """
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            folder.chmod(0o755)
            (folder / "..data").mkdir()
            path = folder / "..data" / "thim.key"
            path.write_bytes(bytes(32))
            path.chmod(0o440)
            os.chown(path, 0, NOBODY.pw_gid)
            (folder / "thim.key").symlink_to("..data/thim.key")
            with acting(NOBODY):
                yield folder / "thim.key"

    @needs_root
    def test_group(self, mounted):
        """
        Root has given it to the group.
        """
        assert bytes(32) == load_or_make_key(mounted)

    @needs_root
    def test_others(self, mounted):
        """
        Everybody may not read it.
        """
        with acting(ROOT):
            mounted.chmod(0o444)
        with pytest.raises(OperatorError, match="mode 0444"):
            load_or_make_key(mounted)

    @needs_root
    def test_own(self, mounted):
        """
        A file of the user's own is no mount: no link leads to it.
        """
        with acting(ROOT):
            os.chown(mounted, NOBODY.pw_uid, NOBODY.pw_gid)
        with pytest.raises(OperatorError, match="a link"):
            load_or_make_key(mounted)


@contextlib.contextmanager
def acting(user):
    """
    Be *user* until the end of the ``with``.
    """
    before = os.geteuid(), os.getegid()
    os.seteuid(0)
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before[1])
        os.seteuid(before[0])


class TestProvided:
    def test_group_and_link(self, path, tmp_path):
        """
        Of a key that the operator provides the group may read, and a link may
        lead to it.
        """
        path.chmod(0o640)
        link = tmp_path / "link"
        link.symlink_to(path)

        assert b"secret" == read_provided_secret(link)

    @needs_root
    def test_owner(self, path):
        """
        Anybody may own it.
        """
        os.chown(path, NOBODY.pw_uid, -1)

        assert b"secret" == read_provided_secret(path)

    @pytest.mark.parametrize("mode", [0o644, 0o660, 0o601])
    def test_mode(self, path, mode):
        """
        Others may not read it, and the group may not write it.
        """
        path.chmod(mode)
        with pytest.raises(OperatorError, match="`chmod 640"):
            read_provided_secret(path)


class TestWrite:
    def test_never_over(self, path):
        """
        What is there is never written over, and nothing is left beside it.
        """
        with pytest.raises(FileExistsError):
            write_new(path, b"other")

        assert b"secret" == path.read_bytes()
        assert ["secret"] == names(path.parent)

    def test_replace(self, path):
        """
        What is replaced is replaced at once, under a new inode.
        """
        before = path.stat().st_ino
        replace(path, b"other", 0o644)

        assert b"other" == path.read_bytes()
        assert 0o644 == path.stat().st_mode & 0o777
        assert before != path.stat().st_ino
        assert ["secret"] == names(path.parent)

    def test_mode_whatever_the_umask(self, tmp_path):
        """
        The mode is the one that was meant.
        """
        before = os.umask(0o077)
        try:
            write_new(tmp_path / "public", b"", 0o644)
        finally:
            os.umask(before)

        assert 0o644 == (tmp_path / "public").stat().st_mode & 0o777


class TestKey:
    def test_made_once(self, tmp_path):
        """
        A key is made where there is none, and is the same ever after.
        """
        path = tmp_path / "thim.key"
        keys = {load_or_make_key(path) for _ in range(3)}

        assert {32} == set(map(len, keys))
        assert 1 == len(keys)
        assert 0o600 == path.stat().st_mode & 0o777

    def test_race(self, tmp_path):
        """
        Of several processes at once one makes it, and all have the same.
        """
        path = tmp_path / "thim.key"
        spawn = multiprocessing.get_context("spawn")
        # Not a Pool, which ends its processes by a signal that one of them may
        # not heed while it starts.
        with ProcessPoolExecutor(4, mp_context=spawn) as pool:
            keys = set(pool.map(load_or_make_key, [path] * 40))

        assert {path.read_bytes()} == keys

    def test_unwritable(self):
        """
        One that cannot be made is named.
        """
        with pytest.raises(OperatorError, match=r"thim\.key: cannot be made"):
            load_or_make_key(Path("/proc/thim.key"))


class TestAbsent:
    def test_absent(self, tmp_path):
        """
        A file is absent if it is not there, or what should be its folder is
        none; a link that leads nowhere is something.
        """
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to("nowhere")

        assert [True, True, False, False] == [
            is_absent(tmp_path / name)
            for name in ("no", "file/no", "file", "link")
        ]

    def test_permission_denied(self, tmp_path):
        """
        What this user may not look for is not taken for absent.
        """
        with (
            closed(tmp_path),
            pytest.raises(OperatorError, match="x: Permission denied"),
        ):
            is_absent(tmp_path / "x")


class TestSealer:
    def test_first_time(self, ledger, replica, tmp_path):
        """
        The first time the key is made and its ID remembered; what is sealed
        then is opened later.
        """
        path = tmp_path / "thim.key"
        sealed = provide_sealer(ledger, path).seal(b"x", b"")
        again = provide_sealer(ledger, path)

        assert b"x" == again.open(sealed, b"")
        assert again.key_id == find_key_id(replica)
        check_key(replica, path)

    def test_nothing_sealed(self, replica, tmp_path):
        """
        Where nothing was sealed yet, there need be no key.
        """
        check_key(replica, tmp_path / "thim.key")

    def test_lost(self, ledger, replica, tmp_path):
        """
        A key that is gone is missed at the start, and never made anew.
        """
        path = tmp_path / "thim.key"
        key_id = provide_sealer(ledger, path).key_id
        path.unlink()

        for check in (
            lambda: check_key(replica, path),
            lambda: provide_sealer(ledger, path),
        ):
            with pytest.raises(OperatorError, match=key_id) as caught:
                check()
            assert "key-lost" == caught.value.reason
        assert not path.exists()

    def test_another(self, ledger, replica, tmp_path):
        """
        So is one that was replaced.
        """
        path = tmp_path / "thim.key"
        provide_sealer(ledger, path)
        replace(path, bytes(32))

        for check in (
            lambda: check_key(replica, path),
            lambda: provide_sealer(ledger, path),
        ):
            with pytest.raises(OperatorError, match="this is the key 66687aad"):
                check()

    @pytest.mark.parametrize("content", [b"", bytes(31), bytes(33)])
    def test_no_key(self, replica, tmp_path, content):
        """
        A file of another size is no key.
        """
        path = tmp_path / "thim.key"
        write_new(path, content)
        with pytest.raises(OperatorError, match=f"{len(content)} bytes"):
            check_key(replica, path)


class TestOpen:
    def test_same(self, ledger, replica, tmp_path):
        """
        What was sealed is opened with the key that is there.
        """
        path = tmp_path / "thim.key"
        sealed = provide_sealer(ledger, path).seal(b"secret", b"context")

        assert b"secret" == open_sealer(replica, path).open(sealed, b"context")

    @pytest.mark.parametrize("content", [None, bytes(32)])
    def test_lost(self, ledger, replica, tmp_path, content):
        """
        Without it, or with another one, nothing is opened, and none is made.
        """
        path = tmp_path / "thim.key"
        provide_sealer(ledger, path)
        path.unlink()
        if content is not None:
            write_new(path, content)
        with pytest.raises(OperatorError) as caught:
            open_sealer(replica, path)
        assert "key-lost" == caught.value.reason
        assert path.exists() is (content is not None)


class TestLoss:
    def test_another_key(self, ledger, tmp_path):
        """
        Once the loss of a key is accepted another one is used: that which is
        there, or a new one.
        """
        path = tmp_path / "thim.key"
        provide_sealer(ledger, path)
        replace(path, bytes(32))
        lost = accept_loss(ledger, path, actor="me", now=NOW)
        assert (0, 0) == (lost.manifests, lost.signing_keys)
        assert "66687aad" == provide_sealer(ledger, path).key_id

        path.unlink()
        accept_loss(ledger, path, actor="me", now=NOW)
        assert "66687aad" != provide_sealer(ledger, path).key_id

    def test_not_lost(self, ledger, tmp_path):
        """
        A key that is there is not given up.
        """
        path = tmp_path / "thim.key"
        known = provide_sealer(ledger, path).key_id
        with pytest.raises(OperatorError, match="it is not lost"):
            accept_loss(ledger, path, actor="me", now=NOW)

        assert known == provide_sealer(ledger, path).key_id

    def test_only_to_be_mended(self, ledger, tmp_path):
        """
        Nor is one that may be the right one, were it not for its mode.
        """
        path = tmp_path / "thim.key"
        known = provide_sealer(ledger, path).key_id
        path.chmod(0o644)
        with pytest.raises(OperatorError, match="mode 0644"):
            accept_loss(ledger, path, actor="me", now=NOW)

        assert known == ledger.keys.find()

    def test_nothing_sealed(self, ledger, tmp_path):
        """
        Where nothing was sealed no key can be lost.
        """
        with pytest.raises(OperatorError, match="no key is lost"):
            accept_loss(ledger, tmp_path / "thim.key", actor="me", now=NOW)
