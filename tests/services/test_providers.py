import datetime

import pytest

from tests.tenants import Decisions
from thim.errors import (
    MisdirectedError,
    NotFoundError,
    ParameterError,
    UnavailableError,
)
from thim.services.providers import Providers


NOW = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)
URL = "https://attest.example.com:8443"


class Books:
    """Reads one book."""

    def __init__(self, decisions):
        self._book = decisions.book()

    def book(self):
        """
        Return it.
        """
        return self._book


def providers(decisions, url=URL):
    """
    Find providers by what was decided.
    """
    return Providers(Books(decisions), url)


ACME = (
    Decisions()
    .tenant("acme", "default", hosts=["acme.example.net"])
    .tenant("own", "default", attestation={"issuer": "https://own.example.org"})
    .tenant(
        "below",
        "default",
        attestation={"issuer": "https://gate.example.org/attest"},
    )
    .tenant("six", "default", attestation={"issuer": "https://[fd00::1]"})
)


class TestPlace:
    @pytest.mark.parametrize(
        ("host", "named", "tenant", "issuer"),
        [
            ("attest.example.com", None, "root", URL),
            ("attest.example.com", "acme", "acme", f"{URL}/tenant/acme"),
            ("acme.example.net", None, "acme", f"{URL}/tenant/acme"),
            ("acme.example.net", "acme", "acme", f"{URL}/tenant/acme"),
            ("own.example.org", None, "own", "https://own.example.org"),
            ("attest.example.com", "own", "own", "https://own.example.org"),
            (
                "gate.example.org",
                "below",
                "below",
                "https://gate.example.org/attest",
            ),
            ("[fd00::1]", None, "six", "https://[fd00::1]"),
        ],
    )
    def test_found(self, host, named, tenant, issuer):
        """
        A provider is found by host name and by path, and its issuer is what
        was configured, whichever way was taken.
        """
        place = providers(ACME).place(host, named, NOW)

        assert (tenant, issuer) == (place.tenant.name, place.issuer)

    @pytest.mark.parametrize(
        ("host", "named"),
        [
            ("evil.example.com", None),
            ("evil.example.com", "acme"),
            ("evil.example.com", "own"),
            ("", None),
            ("gate.example.org", None),
            ("gate.example.org", "acme"),
            ("127.0.0.1", None),
        ],
    )
    def test_unknown_host(self, host, named):
        """
        A host that nobody has is nobody's, whatever the path says.
        """
        with pytest.raises(MisdirectedError, match="no name of this service"):
            providers(ACME).place(host, named, NOW)

    def test_conflict(self):
        """
        Path and host name of different tenants contradict each other.
        """
        with pytest.raises(ParameterError, match="expected own"):
            providers(ACME).place("own.example.org", "acme", NOW)

    @pytest.mark.parametrize("named", ["nobody", ""])
    @pytest.mark.parametrize("host", ["attest.example.com", "evil.example.com"])
    def test_unknown_tenant(self, host, named):
        """
        A tenant that there is not is never somebody else.
        """
        with pytest.raises((NotFoundError, MisdirectedError)):
            providers(ACME).place(host, named, NOW)

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
    def test_here(self, host):
        """
        A service of this machine alone has all of its names; the issuer stays
        the one that it was told.
        """
        place = providers(ACME, "http://127.0.0.1:8080").place(host, None, NOW)

        assert "http://127.0.0.1:8080" == place.issuer

    def test_no_url(self):
        """
        A service without a URL serves whom it has an issuer for, and says to
        others what is missing.
        """
        found = providers(ACME, None)

        assert "own" == found.place("own.example.org", None, NOW).tenant.name
        with pytest.raises(MisdirectedError, match="no attestation_url"):
            found.place("attest.example.com", None, NOW)
        with pytest.raises(UnavailableError, match="no issuer"):
            found.place("acme.example.net", None, NOW)
