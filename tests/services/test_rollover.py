import errno
import os

import pytest

from tests.services.private_ca import DAY, HOSTS, NOW, check_pair, content
from thim.errors import OperatorError, ParameterError
from thim.services import rollover, secrets
from thim.services.pki import (
    find_certificate,
    load_issuer,
    make_ca,
    make_server,
    read_certificate,
    renew_if_due,
)
from thim.services.rollover import make_next_ca, next_files, switch_ca
from thim.services.secrets import PUBLIC, replace
from thim.x509.chain import to_pem
from thim.x509.issue import ca_hosts, parse_host, server_hosts


OTHERS = [parse_host("other.example")]
LATER = NOW + DAY


def old(path):
    """
    Return where a file is kept that was replaced.
    """
    return path.with_name(f"{path.name}.old")


def everything(files):
    """
    Return what is in the folder.
    """
    folder = files.cert.parent
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestNext:
    @pytest.mark.parametrize("hosts", [None, OTHERS])
    def test_beside(self, files, hosts):
        """
        The next CA is made beside the one in force, which stays as it is, for
        the same names or for others.
        """
        before = content(files)
        made = make_next_ca(files, LATER, hosts)
        coming = next_files(files)

        assert before == content(files)
        assert made == read_certificate(coming.ca_cert)
        assert (hosts or HOSTS) == ca_hosts(made)
        assert 0o600 == coming.ca_key.stat().st_mode & 0o777
        assert 0o644 == coming.ca_cert.stat().st_mode & 0o777

    def test_renewed_meanwhile(self, files):
        """
        Until the switch the certificate is renewed by the CA in force.
        """
        make_next_ca(files, LATER)

        assert renew_if_due(files, NOW + 61 * DAY) is not None
        check_pair(files)

    @pytest.mark.parametrize("name", ["ca_cert", "ca_key"])
    def test_twice(self, files, name):
        """
        One that clients may have been told of is not replaced by another.
        """
        make_next_ca(files, LATER)
        getattr(next_files(files), name).unlink()
        before = everything(files)
        with pytest.raises(OperatorError, match="there is a new CA already"):
            make_next_ca(files, LATER)

        assert before == everything(files)

    @pytest.mark.parametrize(
        "names", [["ca_cert"], ["ca_key"], ["ca_cert", "ca_key"]]
    )
    def test_lost(self, files, names):
        """
        Where the CA is lost, the server's certificate says for which names the
        next one is.
        """
        for name in names:
            getattr(files, name).unlink()

        assert HOSTS == ca_hosts(make_next_ca(files, LATER))

    def test_damaged(self, files):
        """
        So it does where the CA's certificate is damaged.
        """
        replace(files.ca_cert, b"nonsense")

        assert HOSTS == ca_hosts(make_next_ca(files, LATER))

    def test_no_names(self, files):
        """
        Where nothing says for which names, they are asked for.
        """
        files.ca_cert.unlink()
        files.cert.unlink()
        with pytest.raises(OperatorError, match="--name does"):
            make_next_ca(files, LATER)

        assert OTHERS == ca_hosts(make_next_ca(files, LATER, OTHERS))

    def test_more_names(self, files):
        """
        A name that the server was given since is among them.
        """
        more = [parse_host("a.thim.example")]
        ca = load_issuer(files, NOW)
        server, key = make_server(ca, more, NOW)
        replace(files.key, key)
        replace(files.cert, to_pem([server]), PUBLIC)

        assert HOSTS + more == ca_hosts(make_next_ca(files, LATER))


class TestSwitch:
    def test_all(self, files):
        """
        The next CA is put into force and the server has a certificate of it;
        what was replaced is kept.
        """
        before = content(files)
        made = make_next_ca(files, LATER)
        server = switch_ca(files, LATER)

        assert made == read_certificate(files.ca_cert)
        assert server == check_pair(files)
        assert HOSTS == server_hosts(server)
        paths = (files.ca_cert, files.ca_key, files.cert, files.key)
        assert before == [old(path).read_bytes() for path in paths]
        for path, mode in zip(paths, (0o644, 0o600) * 2, strict=True):
            assert mode == path.stat().st_mode & 0o777
            assert mode == old(path).stat().st_mode & 0o777
        assert 8 == len(everything(files))
        assert renew_if_due(files, LATER) is None

    def test_names(self, files):
        """
        The server may be given other names that the next CA may speak for, and
        no others.
        """
        make_next_ca(files, LATER, OTHERS)
        before = everything(files)
        with pytest.raises(ParameterError, match=r"'thim\.example'"):
            switch_ca(files, LATER, HOSTS[:1])
        assert before == everything(files)
        hosts = [parse_host("a.other.example")]

        assert hosts == server_hosts(switch_ca(files, LATER, hosts))

    def test_none(self, files):
        """
        Where there is no next CA there is nothing to switch to.
        """
        before = everything(files)
        with pytest.raises(
            OperatorError, match="`thim tls renew --new-ca` makes"
        ):
            switch_ca(files, LATER)

        assert before == everything(files)

    @pytest.mark.parametrize("name", ["ca_cert", "ca_key", "cert", "key"])
    def test_lost(self, files, name):
        """
        What is lost need not be there.
        """
        make_next_ca(files, LATER)
        getattr(files, name).unlink()
        switch_ca(files, LATER)
        check_pair(files)

        assert not old(getattr(files, name)).exists()

    def test_somebody_elses(self, files):
        """
        A certificate that neither CA issued is the operator's: it is not
        replaced.
        """
        make_next_ca(files, LATER)
        server, key = make_server(make_ca(HOSTS, NOW), HOSTS, NOW)
        replace(files.cert, to_pem([server]))
        replace(files.key, key)
        before = everything(files)
        with pytest.raises(OperatorError, match="was not issued by"):
            switch_ca(files, LATER)

        assert before == everything(files)

    @pytest.mark.parametrize(
        "name", ["ca.key.old", "server.pem", "server.key", "ca.key", "ca.pem"]
    )
    def test_cut_off(self, files, monkeypatch, name):
        """
        One that was cut off, wherever that is, is finished by another, and
        what was in use is kept all the same.
        """
        before = content(files)
        make_next_ca(files, LATER)

        def fail(path, text, mode=0o600):
            if path.name == name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            secrets.replace(path, text, mode)

        with monkeypatch.context() as patched:
            patched.setattr(rollover, "replace", fail)
            with pytest.raises(OperatorError, match="No space left on device"):
                switch_ca(files, LATER)
        assert find_certificate(files.cert) is not None
        switch_ca(files, LATER)
        check_pair(files)

        paths = (files.ca_cert, files.ca_key, files.cert, files.key)
        assert before == [old(path).read_bytes() for path in paths]

    def test_unwritable(self, files, monkeypatch):
        """
        A next CA that cannot be written is said, and named by the one in force.
        """

        def fail(*_):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr(rollover, "write_new", fail)
        with pytest.raises(OperatorError, match=r"ca\.pem: no new one can be"):
            make_next_ca(files, LATER)
