import datetime
import logging
import threading

import pytest

from tests.services.private_ca import DAY, HOSTS, NOW
from thim.errors import OperatorError
from thim.services import renewal
from thim.services.pki import make_ca, read_certificate
from thim.services.renewal import Renewer, end_is_near
from thim.x509.issue import Term, issue_server


class TestRenewer:
    def test_by_the_clock(self, files, monkeypatch, caplog):
        """
        While a service runs it is renewed as the clock moves on; trouble is
        said and does not end it.
        """
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(renewal, "_LOOK", 0.01)
        now, ended = [NOW], threading.Event()
        Renewer(files, lambda: now[0]).start(ended)
        serials = [read_certificate(files.cert).serial_number]

        def await_change():
            while serials[-1] == (
                serial := read_certificate(files.cert).serial_number
            ):
                ended.wait(0.01)
            serials.append(serial)

        now[0] += 61 * DAY
        await_change()
        files.ca_key.chmod(0o640)
        now[0] += 61 * DAY
        while "not renewed" not in caplog.text:
            ended.wait(0.01)
        files.ca_key.chmod(0o600)
        await_change()
        ended.set()

        assert 3 == len(set(serials))
        assert "server.pem was renewed, until 2027-04-02" in caplog.text

    def test_notice(self, files, caplog):
        """
        In a CA's last half year it says once a day that it will end.
        """
        last = read_certificate(files.ca_cert).not_valid_after_utc
        now = [last - 181 * DAY]
        renewer = Renewer(files, lambda: now[0])
        for hours in (0, 30, 1, 1, 24):
            now[0] += datetime.timedelta(hours=hours)
            renewer.look()

        assert 2 == caplog.text.count("which clients have to be told")


class TestWithoutCa:
    @pytest.mark.parametrize("name", ["ca_key", "ca_cert"])
    def test_good(self, files, caplog, name):
        """
        Without the CA, which may be kept elsewhere, a good certificate goes on
        being used; that it is not renewed is said once a day.
        """
        absent = getattr(files, name)
        absent.unlink()
        now = [NOW + 80 * DAY]
        renewer = Renewer(files, lambda: now[0])
        for hours in (0, 1, 1, 24):
            now[0] += datetime.timedelta(hours=hours)
            renewer.look()

        said = "server.pem ends at 2027-01-31T00:00:00Z and cannot be renewed"
        assert 2 == caplog.text.count(f"{said} without {absent}")

    @pytest.mark.parametrize("damage", ["cert", "key", "expired", "early"])
    def test_bad(self, files, damage):
        """
        One that cannot be used as it is cannot be replaced either; the error
        says what is to be done.
        """
        files.ca_key.unlink()
        days = {"expired": 90, "early": -2}.get(damage, 0)
        if damage in {"cert", "key"}:
            getattr(files, damage).unlink()
        renewer = Renewer(files, lambda: NOW + days * DAY)

        with pytest.raises(OperatorError, match="cannot be used as") as caught:
            renewer.look()
        assert f"without {files.ca_key}: bring it back" in str(caught.value)
        assert "`thim tls renew --new-ca --switch`" in str(caught.value)

    def test_brought_back(self, files):
        """
        Once it is back there is renewal again.
        """
        elsewhere = files.ca_key.with_name("elsewhere")
        files.ca_key.rename(elsewhere)
        renewer = Renewer(files, lambda: NOW + 61 * DAY)
        before = files.cert.read_bytes()
        renewer.look()
        assert before == files.cert.read_bytes()

        elsewhere.rename(files.ca_key)
        renewer.look()
        assert before != files.cert.read_bytes()


class TestEnd:
    @pytest.mark.parametrize(
        ("days", "left"), [(365, 91.25), (90, 22.5), (20, 7), (6, 3)]
    )
    def test_near(self, days, left):
        """
        An end is near when a quarter of the life is left, or a week, and in
        a short life half of it.
        """
        ca = make_ca(HOSTS, NOW)
        life = Term(since=NOW, until=NOW + days * DAY, serial=1)
        server = issue_server(ca, ca.key.public_key(), HOSTS, life)
        near = NOW + (days - left) * DAY
        hour = datetime.timedelta(hours=1)

        assert not end_is_near(server, near)
        assert end_is_near(server, near + hour)
        assert end_is_near(server, NOW + (days + 1) * DAY)
