"""
Clocks, sizes and headers: what single clients cannot bear, at its bounds.
"""

import datetime

import pytest

from tests.platforms import NOW
from thim.client.answers import Got
from thim.client.doctor.model import Kind
from thim.client.doctor.quirks import compare_clocks, find_quirks
from thim.client.documents import Part
from thim.client.findings import Level
from thim.client.steps import Answer


#: What Azure's client wants of every CRL.
WANTED = {"cache-control": "max-age=1", "sgx-pck-crl-issuer-chain": "x"}
#: 1 September 2026, 12:00 UTC.
DATE = "Tue, 01 Sep 2026 12:00:00 GMT"
SECOND = datetime.timedelta(seconds=1)


def quirks(kind, *, what="CRL", size=1, chain=b"", version="HTTP/1.1", **more):
    """
    The names of what a client of this *kind* cannot bear.
    """
    headers = {**WANTED, **{k.replace("_", "-"): v for k, v in more.items()}}
    headers = {name: value for name, value in headers.items() if value != "-"}
    answer = Answer(
        status=200, headers=headers, body=b"x" * size, version=version
    )
    part = Part(
        body=answer.body,
        issuer_chain=chain,
        expires=NOW,
        got=Got(source="service", fetched=NOW, headers=headers, body=b""),
    )
    return [each.name for each in find_quirks(what, answer, part, {kind}, "x")]


def compare(ahead, **headers):
    """
    Compare a clock that is so far *ahead* with the one that answered.
    """
    return compare_clocks({"date": DATE, **headers}, NOW + ahead, "x")


class TestQcnl:
    @pytest.mark.parametrize(
        ("size", "chain", "expected"),
        [
            (65_000, 533, []),
            (65_000, 534, ["too-large-for-qcnl"]),
            (65_534, 0, ["too-large-for-qcnl"]),
        ],
    )
    def test_size(self, size, chain, expected):
        """
        A document and its chain together fit into 16 bits, less two.
        """
        found = quirks(Kind.QCNL, size=size, chain=b"x" * chain)

        assert expected == found

    def test_others(self):
        """
        Other clients have no such bound.
        """
        assert [] == quirks(Kind.OTHER, size=100_000)


class TestAzure:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, []),
            ({"version": "HTTP/1.0"}, ["http-1.0"]),
            ({"cache_control": "-"}, ["no-cache-control"]),
            ({"sgx_pck_crl_issuer_chain": "-"}, ["no-crl-chain"]),
            ({"sgx_pck_crl_issuer_chain": "-", "what": "QE identity"}, []),
            ({"x": ""}, ["empty-header"]),
        ],
    )
    def test_wants(self, changes, expected):
        """
        It wants HTTP/1.1, Cache-Control, a value in each header, and of a CRL
        its chain.
        """
        assert expected == quirks(Kind.AZURE, **changes)

    def test_others(self):
        """
        Other clients want none of that.
        """
        assert [] == quirks(Kind.QCNL, version="HTTP/1.0", cache_control="-")


class TestClocks:
    @pytest.mark.parametrize(
        ("seconds", "told", "level"),
        [
            (1.4, "agrees with the service's", None),
            (-1.4, "agrees with the service's", None),
            (2, "2 s ahead of the service's", None),
            (-2, "2 s behind the service's", None),
            (299, "299 s ahead of the service's", None),
            (300, "300 s ahead of the service's", Level.WARNING),
            (-300, "300 s behind the service's", Level.WARNING),
            (3600, "3600 s ahead of the service's", Level.WARNING),
            (3601, "3601 s ahead of the service's", Level.ERROR),
            (-3601, "3601 s behind the service's", Level.ERROR),
        ],
    )
    def test_apart(self, seconds, told, level):
        """
        A second is rounding, five minutes are to be looked at, and by more
        than an hour documents seem ended.
        """
        said, trouble = compare(seconds * SECOND)

        assert (told, level) == (said, trouble and trouble.level)

    @pytest.mark.parametrize(
        ("age", "told"),
        [
            ("60", "60 s behind the service's"),
            ("00000060", "60 s behind the service's"),
            # None of them is an age (RFC 9111, 5.1).
            ("9" * 9, "agrees with the service's"),
            ("-60", "agrees with the service's"),
            ("a while", "agrees with the service's"),
        ],
    )
    def test_kept(self, age, told):
        """
        What a cache has kept for a while says what time it was then.
        """
        assert told == compare(0 * SECOND, age=age)[0]

    @pytest.mark.parametrize(
        "date",
        [
            "Tue, 01 Sep 2026 14:00:00 +0200",
            # Whoever names no zone means UTC.
            "Tue, 01 Sep 2026 12:00:00 -0000",
        ],
    )
    def test_zones(self, date):
        """
        The same instant is the same in every zone.
        """
        assert "agrees with the service's" == compare(0 * SECOND, date=date)[0]

    @pytest.mark.parametrize(
        "date",
        [
            "yesterday",
            "Tue, 99 Sep 2026 12:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 -1200",
            "Tue, 01 Sep 2026 12:00:00 +999999999999",
            "1 2 3 4 5 6 7 8 9",
        ],
    )
    def test_no_date(self, date):
        """
        What is no date is not said by the service, and no trouble.
        """
        assert ("not said by the service", None) == compare(
            0 * SECOND, date=date
        )
