"""
Which document a tenant got at an instant: compared with what a service, whose
clock stood there, did answer then.
"""

import contextlib
import datetime
import hashlib

import pytest

from tests.new_store import new_store
from tests.services.made import INTEL, fill
from tests.serving import serving
from tests.tenants import Decisions
from thim.baseline.select import Wish
from thim.collateral.records import identity_key, tcb_info_key
from thim.errors import MalformedError, NotFoundError, ThimError
from thim.http.prefixes import split_prefix
from thim.http.served_paths import read_document_query
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.services.serve import Query
from thim.services.served import find_served
from thim.store.ledger import Ledger
from thim.store.replica import Replica


FMSPC = "00606A000000"
START = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)
END = START + datetime.timedelta(days=60)
HOUR = datetime.timedelta(hours=1)
EVENTS = {
    number: datetime.datetime(2025, month, 11, tzinfo=datetime.UTC)
    for number, month in ((17, 1), (18, 3), (19, 5))
}
PATHS = (
    f"/sgx/certification/v4/tcb?fmspc={FMSPC}",
    f"/sgx/certification/v3/tcb?fmspc={FMSPC}&update=standard",
    f"/sgx/certification/v4/tcb?fmspc={FMSPC}&tcbEvaluationDataNumber=17",
    f"/tdx/certification/v4/tcb?fmspc={FMSPC}",
    "/sgx/certification/v4/qe/identity",
    "/sgx/certification/v4/qve/identity",
    "/tdx/certification/v4/qe/identity",
    "/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
    "/sgx/certification/v4/rootcacrl?encoding=der",
    f"/baseline/18/sgx/certification/v4/tcb?fmspc={FMSPC}",
    f"/baseline/held/sgx/certification/v4/tcb?fmspc={FMSPC}",
    f"/baseline/behind/sgx/certification/v4/tcb?fmspc={FMSPC}",
    f"/baseline/dated/sgx/certification/v4/tcb?fmspc={FMSPC}",
    f"/baseline/behind/at/2026-09-02/sgx/certification/v4/tcb?fmspc={FMSPC}",
    f"/at/2026-08-30/sgx/certification/v4/tcb?fmspc={FMSPC}",
    "/at/2026-08-30/sgx/certification/v4/qe/identity",
)
TENANTS = ("root", "acme", "lab", "nobody")


def day(n):
    """
    Return the instant *n* days after the start.
    """
    return START + datetime.timedelta(days=n)


def full_set(number, issued):
    """
    Issue all documents of a number.
    """
    common = {"number": number, "issued": issued}
    return [
        *(INTEL.tcb_info(fmspc=FMSPC, tee=tee, **common) for tee in Tee),
        *(INTEL.identity(kind=kind, **common) for kind in EnclaveKind),
    ]


class Story:
    """
    A store to which things happen, and what a service answered meanwhile.
    """

    def __init__(self, store):
        self.store = store
        self.decisions = Decisions()
        self.answers = {}

    def take(self, n, *bodies):
        """
        Take documents in, on day *n*.
        """
        with Ledger(self.store, INTEL.anchors) as ledger:
            fill(ledger, *bodies, now=day(n))

    def see(self, n, update, number):
        """
        See where a channel points to, on day *n*.
        """
        with Ledger(self.store, INTEL.anchors) as ledger:
            ledger.observe_channel(update, number, source="test", seen=day(n))

    def decide(self):
        """
        Write down what was decided.
        """
        self.decisions.write(self.store, INTEL.anchors)

    def ask(self, n):
        """
        Ask a service for everything, at noon of day *n*.
        """
        now = day(n) + 12 * HOUR
        with serving(self.store, lambda: now, anchors=INTEL.anchors) as served:
            for tenant in TENANTS:
                prefix = "" if tenant == "root" else f"/tenant/{tenant}"
                for path in PATHS:
                    got = served.get(f"{prefix}{path}")
                    self.answers[tenant, path, now] = answered(got)


def answered(got):
    """
    Say what was answered: digest, baseline and number; or None.
    """
    if got.status != 200:
        assert got.status in {403, 404}
        return None
    (number,) = got.all("thim-evaluation-number") or (None,)
    return (
        hashlib.sha256(got.body).hexdigest(),
        got["thim-baseline"].partition(";")[0],
        number and int(number),
    )


def told(replica, tenant, path, then):
    """
    Say the same by what is written down.
    """
    prefix = split_prefix(path.partition("?")[0])
    query = read_document_query(prefix, path.partition("?")[2])
    query = Query(
        keys=query.keys,
        at=query.at,
        wish=Wish(
            tenant=tenant,
            baseline=query.wish.baseline,
            update=query.wish.update,
            number=query.wish.number,
        ),
    )
    try:
        found = find_served(replica, query, then, END)
    except ThimError:
        return None
    return found["sha256"], found["baseline"], found["number"]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """
    Two months in which everything happened.
    """
    path = tmp_path_factory.mktemp("story") / "thim.db"
    new_store(path, INTEL.anchors)
    story = Story(path)
    made = story.decisions

    # Day 0: a first set, and tenants.
    old = [
        INTEL.root_crl(issued=day(-9)),
        *(INTEL.pck_crl(ca=ca, issued=day(-9)) for ca in PckCa),
        *full_set(17, day(-9)),
        *full_set(18, day(-8)),
        *(
            INTEL.numbers(
                tee=tee,
                numbers={n: EVENTS[n] for n in (17, 18)},
                issued=day(-7),
            )
            for tee in Tee
        ),
    ]
    story.take(0, *old)
    story.see(0, Update.STANDARD, 17)
    made.tenant("acme", "17", since=day(0))
    made.tenant("lab", "standard", since=day(0), overrides="allowed")
    made.baseline("held", "standard", hold="7d", since=day(0))
    made.baseline("behind", "lag: 1 event", since=day(0))
    made.baseline("dated", "tcb-date: 2025-05-30", since=day(0))
    made.promotion("held", 17, day(0))
    story.decide()
    story.ask(1)

    # Day 2: a newer document; standard moves on, the held baseline later.
    story.take(2, *full_set(18, day(1)))
    story.see(2, Update.STANDARD, 18)
    made.promotion("held", 18, day(9))
    story.decide()
    story.ask(3)

    # Day 5: acme is moved.
    made.tenant("acme", "18", since=day(5))
    story.decide()
    story.ask(6)
    story.ask(10)

    # Day 12: something old and something new are imported.
    story.take(12, *full_set(17, day(-3)), *full_set(19, day(11)))
    story.take(
        12,
        *(
            INTEL.numbers(tee=tee, numbers=EVENTS, issued=day(11))
            for tee in Tee
        ),
    )
    story.take(
        12,
        *(
            INTEL.numbers(tee=tee, numbers=EVENTS, issued=day(-6))
            for tee in Tee
        ),
    )
    story.see(12, Update.STANDARD, 19)
    story.ask(13)

    # Day 15: lab is deleted.
    made.tenant("lab", "standard", since=day(15), deleted=True)
    story.decide()
    story.ask(16)

    # Day 20: the signer is revoked.
    serial = INTEL.signer.serial_number
    story.take(20, INTEL.root_crl(issued=day(19), revoked=[serial]))
    story.ask(21)
    return story


@pytest.fixture
def replica(story):
    """
    Its store, as it is in the end.
    """
    with contextlib.closing(Replica(story.store)) as opened:
        yield opened


def test_as_answered(story, replica):
    """
    For every tenant, path and instant it is what was answered, and nothing
    where nothing was.
    """
    found = {key: told(replica, *key) for key in story.answers}

    different = {
        key: (answer, found[key])
        for key, answer in story.answers.items()
        if answer != found[key]
    }
    assert {} == different
    assert 100 < sum(answer is not None for answer in story.answers.values())
    assert 100 < sum(answer is None for answer in story.answers.values())


def ask(replica, tenant, then, path=PATHS[0], now=END):
    """
    Ask what a tenant got.
    """
    prefix = split_prefix(f"/tenant/{tenant}{path.partition('?')[0]}")
    query = read_document_query(prefix, path.partition("?")[2])
    return find_served(replica, query, then, now)


class TestTold:
    def test_everything(self, replica):
        """
        It tells which document that was, and whose decision.
        """
        found = ask(replica, "acme", day(6))

        (decision,) = found.pop("decisions")
        assert {
            "what": "tenant acme version 2",
            "since": f"{day(5):%FT%TZ}",
            "actor": "test",
            "reason": "decided",
            "plan": None,
        } == decision
        assert found.pop("sha256")
        assert {
            "tenant": "acme",
            "at": f"{day(6):%FT%TZ}",
            "document": str(tcb_info_key(Tee.SGX, bytes.fromhex(FMSPC), 3)),
            "issued": f"{day(1):%FT%TZ}",
            "next_update": f"{day(31):%FT%TZ}",
            "fetched": f"{day(2):%FT%TZ}",
            "state": "fresh",
            "baseline": "18",
            "number": 18,
            "inferred": False,
        } == found

    def test_promotion(self, replica):
        """
        Where a held baseline answers it tells since when it stands there.
        """
        path = f"/baseline/held{PATHS[0]}"
        whats = {
            n: [
                each["what"]
                for each in ask(replica, "root", day(n), path)["decisions"]
            ]
            for n in (1, 8, 9)
        }

        assert "baseline held at 17" == whats[1][-1] == whats[8][-1]
        assert "baseline held at 18" == whats[9][-1]

    def test_second(self, replica):
        """
        A decision counts from its very second on.
        """
        second = datetime.timedelta(seconds=1)

        assert 17 == ask(replica, "acme", day(5) - second)["number"]
        assert 18 == ask(replica, "acme", day(5))["number"]

    def test_without_number(self, replica):
        """
        A document without a number has none, and no baseline's decision.
        """
        found = ask(replica, "root", day(6), PATHS[8])

        assert (None, None) == (found["number"], found["inferred"])


class TestRefused:
    def test_before(self, replica):
        """
        Before the first document nothing is known.
        """
        with pytest.raises(NotFoundError, match="since 2026-09-01") as caught:
            ask(replica, "root", day(0) - HOUR)

        assert "before-archive" == caught.value.reason

    def test_future(self, replica):
        """
        Of the future nothing is.
        """
        with pytest.raises(MalformedError, match="expected no later than"):
            ask(replica, "root", day(6), now=day(5))

    def test_unknown_tenant(self, replica):
        """
        A tenant that was not there got nothing.
        """
        for tenant, then in (("nobody", day(6)), ("lab", day(16))):
            with pytest.raises(NotFoundError, match="no tenant") as caught:
                ask(replica, tenant, then)
            assert "unknown-tenant" == caught.value.reason

    def test_revoked(self, replica):
        """
        Since a signer is revoked its documents are not served, and before it
        was they were.
        """
        assert ask(replica, "root", day(19))
        with pytest.raises(NotFoundError, match="is revoked") as caught:
            ask(replica, "root", day(21))

        assert "signer-revoked" == caught.value.reason

    def test_empty(self, tmp_path):
        """
        A store in which nothing ever was served nothing.
        """
        path = tmp_path / "thim.db"
        new_store(path, INTEL.anchors)
        with (
            contextlib.closing(Replica(path)) as replica,
            pytest.raises(NotFoundError, match="known never"),
        ):
            ask(replica, "root", day(6))


def test_kinds():
    """
    Every kind of document is asked for by its path.
    """
    queries = [
        read_document_query(
            split_prefix(p.partition("?")[0]), p.partition("?")[2]
        )
        for p in PATHS
    ]

    keys = [query.keys[0] for query in queries]
    assert identity_key(EnclaveKind.QE) == keys[4]
    assert identity_key(EnclaveKind.QVE) == keys[5]
    assert identity_key(EnclaveKind.TD_QE) == keys[6]
