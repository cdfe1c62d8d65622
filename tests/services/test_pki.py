import dataclasses
import datetime
import fcntl
import os
import threading

import pytest

from cryptography import x509

from tests.services.private_ca import DAY, HOSTS, NOW, check_pair, content
from thim.errors import OperatorError, ParameterError
from thim.services.pki import (
    make_ca,
    make_server,
    read_certificate,
    renew,
    renew_if_due,
    renewal_of,
    to_key_pem,
)
from thim.services.secrets import replace, write_new
from thim.x509.chain import to_pem
from thim.x509.issue import parse_host, server_hosts


class TestDue:
    @pytest.mark.parametrize(("days", "is_due"), [(0, 0), (59, 0), (61, 1)])
    def test_two_thirds(self, files, days, is_due):
        """
        It is renewed when two thirds of its 90 days are over, for the same
        names and under a new key.
        """
        before = content(files)
        renewed = renew_if_due(files, NOW + days * DAY)
        after = content(files)

        assert is_due == (renewed is not None)
        assert [False, False, is_due, is_due] == [
            a != b for a, b in zip(before, after, strict=True)
        ]
        server = check_pair(files)
        assert HOSTS == server_hosts(server)
        assert NOW + (90 + is_due * days) * DAY == server.not_valid_after_utc

    @pytest.mark.parametrize("name", ["cert", "key"])
    @pytest.mark.parametrize("damage", [None, b"", b"nonsense"])
    def test_damaged(self, files, name, damage):
        """
        One that cannot be used is replaced at once: its file is gone or
        damaged, or a renewal was cut off between the two.
        """
        path = getattr(files, name)
        path.unlink()
        if damage is not None:
            write_new(path, damage)

        assert renew_if_due(files, NOW) is not None
        assert HOSTS == server_hosts(check_pair(files))

    def test_half_renewed(self, files):
        """
        So is a certificate beside another one's key.
        """
        _, key = make_server(make_ca(HOSTS, NOW), HOSTS, NOW)
        replace(files.key, key)

        assert renew_if_due(files, NOW) is not None
        check_pair(files)

    def test_clock_set_back(self, files):
        """
        One that is not valid yet, because the clock was ahead, is replaced.
        """
        assert renew_if_due(files, NOW - 30 * DAY) is not None

    def test_end_of_the_ca(self, files):
        """
        It never outlives its CA, and is renewed all the more often.
        """
        end = read_certificate(files.ca_cert).not_valid_after_utc
        server = renew(files, end - 3 * DAY)

        assert end == server.not_valid_after_utc
        assert end > renewal_of(server) > end - 3 * DAY

    def test_after_the_ca(self, files):
        """
        When the CA has ended there is nothing to renew by; the error says what
        is to be done.
        """
        with pytest.raises(OperatorError, match=r"`thim tls renew --new-ca`"):
            renew_if_due(files, NOW + 3650 * DAY)

    def test_ca_key_readable(self, files):
        """
        A CA's key that others can read is not used.
        """
        files.ca_key.chmod(0o644)
        with pytest.raises(OperatorError, match=r"ca\.key: mode 0644"):
            renew_if_due(files, NOW + 61 * DAY)

    @pytest.mark.parametrize("name", ["ca_key", "ca_cert"])
    def test_ca_lost(self, files, name):
        """
        Nothing is issued without the CA's certificate and key; the error names
        what is not there, and what is to be done.
        """
        absent = getattr(files, name)
        absent.unlink()
        for issue in (renew, renew_if_due):
            with pytest.raises(
                OperatorError, match="`thim tls renew --new-ca`"
            ) as (caught):
                issue(files, NOW)
            assert f"without {absent}: bring it back" in str(caught.value)

    def test_no_folder(self, files, tmp_path):
        """
        Nor where there is no folder for the CA's key.
        """
        moved = dataclasses.replace(files, ca_key=tmp_path / "no" / "ca.key")
        with pytest.raises(OperatorError, match="no: No such file"):
            renew(moved, NOW)

    def test_unreadable(self, files):
        """
        A certificate that cannot be read is none that is damaged: it stays.
        """
        files.cert.unlink()
        files.cert.mkdir()
        with pytest.raises(OperatorError, match=r"server\.pem: Is a directory"):
            renew_if_due(files, NOW)

    def test_another_ca_key(self, files):
        """
        Nor is one that is not its key, or none.
        """
        replace(files.ca_key, to_key_pem(make_ca(HOSTS, NOW).key))
        with pytest.raises(OperatorError, match="is not the key of"):
            renew_if_due(files, NOW)
        replace(files.ca_key, b"nonsense")
        with pytest.raises(OperatorError, match="expected an EC key"):
            renew_if_due(files, NOW)

    def test_somebody_elses(self, files):
        """
        A certificate that the CA did not issue is the operator's: it is never
        replaced.
        """
        server, key = make_server(make_ca(HOSTS, NOW), HOSTS, NOW)
        replace(files.cert, to_pem([server]))
        replace(files.key, key)
        before = content(files)
        for now in (NOW, NOW + 80 * DAY):
            with pytest.raises(OperatorError, match="was not issued by"):
                renew_if_due(files, now)

        assert before == content(files)

    def test_unwritable(self, files, tmp_path):
        """
        What cannot be written is said, and the old one is still there.
        """
        (tmp_path / "elsewhere").mkdir()
        moved = dataclasses.replace(files, key=tmp_path / "no" / "server.key")
        before = files.cert.read_bytes()
        with pytest.raises(OperatorError, match="cannot be renewed"):
            renew(moved, NOW)

        assert before == files.cert.read_bytes()

    def test_at_once(self, files):
        """
        Of several processes at once one renews it.
        """
        found = []
        threads = [
            threading.Thread(
                target=lambda: found.append(renew_if_due(files, NOW + 61 * DAY))
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert 1 == sum(each is not None for each in found)
        check_pair(files)

    def test_waits(self, files):
        """
        It waits for whoever is at it.
        """
        handle = os.open(files.ca_key.parent, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        thread = threading.Thread(target=renew, args=(files, NOW))
        before = files.cert.read_bytes()
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert before == files.cert.read_bytes()
        os.close(handle)
        thread.join()

        assert before != files.cert.read_bytes()


class TestNames:
    def test_below(self, files):
        """
        The CA may issue for other names below its own; later renewals keep
        them.
        """
        hosts = [parse_host("a.thim.example")]
        renew(files, NOW, hosts)
        renew_if_due(files, NOW + 61 * DAY)

        assert hosts == server_hosts(check_pair(files))

    def test_others(self, files):
        """
        For others it may not: nothing is changed.
        """
        before = content(files)
        with pytest.raises(ParameterError, match=r"'bank\.example'"):
            renew(files, NOW, [parse_host("bank.example")])

        assert before == content(files)


class TestMade:
    def test_dates_of_a_certificate(self):
        """
        It counts from an hour before, for clients whose clocks are behind.
        """
        ca = make_ca(HOSTS, NOW)
        server, _ = make_server(ca, HOSTS, NOW)
        hour = datetime.timedelta(hours=1)

        assert isinstance(server, x509.Certificate)
        assert NOW - hour == server.not_valid_before_utc
        assert NOW + 3650 * DAY == ca.certificate.not_valid_after_utc
