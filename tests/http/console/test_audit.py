"""
Pages of what was decided: events in their chain, and attestations.
"""

import contextlib
import hashlib
import re
import sqlite3

import pytest

from tests.http.console.browser import NARROW, browsing, looking
from tests.http.console.visitor import Visitor, read_text
from tests.needs import needs_chromium
from tests.services.evidence_world import day, full_set, make_world
from tests.services.made import INTEL
from tests.serving import serving
from tests.store.decisions import decision
from thim.services.tokens import Role, make_token
from thim.store.decision_file import DecisionFile, find_decisions
from thim.store.ledger import Ledger


AUDIT, DECISIONS = "/console/audit", "/console/decisions"
TCB_INFO = hashlib.sha256(full_set(17, day(-1))[0]).hexdigest()
JTI = f"{77:064x}"


class Service:
    """
    A running service over a store, and who visits it.
    """

    def __init__(self, served, store):
        self.served, self.store = served, store

    def make_token(self, name="person", tenant=None, role=Role.READER):
        """
        Make a token.
        """
        text, kept = make_token(
            name, role, actor="root", now=day(29), tenant=tenant
        )
        with Ledger(self.store, INTEL.anchors) as ledger:
            ledger.tokens.add(kept)
        return text

    def visit(self, tenant=None):
        """
        Log somebody in.
        """
        visitor = Visitor(self.served)
        visitor.log_in(self.make_token(f"visitor-{tenant}", tenant))
        return visitor

    def replace_acme(self):
        """
        Delete the tenant acme, and give its name to somebody else.
        """
        admin = Visitor(self.served)
        admin.log_in(self.make_token("admin", role=Role.ADMIN))
        page, why = "/console/tenants/acme", {"reason": "others"}
        admin.send(page, f"{page}/delete", {**why, "typed": "acme"})
        new = {**why, "name": "acme", "baseline": "17", "overrides": "never"}
        admin.send("/console/tenants", "/console/tenants", new)

    def record(self, *decisions):
        """
        Put decisions on record.
        """
        path = find_decisions(self.store)
        with contextlib.closing(DecisionFile(path)) as file:
            file.write(decisions)


def one(n, **changes):
    """
    A decision of day 20.
    """
    return decision(n, at=day(20), **changes)


@contextlib.contextmanager
def auditing(folder):
    """
    Serve the world of evidence packs on day 30.
    """
    store = make_world(folder)
    settings = {"anchors": INTEL.anchors, "key_file": folder / "key"}
    with serving(store, lambda: day(30), **settings) as served:
        service = Service(served, store)
        service.record(
            decision(
                77,
                tenant="acme",
                at=day(25),
                documents={"tcb-info": TCB_INFO, "amd/crl/Milan/0": "b" * 64},
                accepted_expired=("pck-crl",),
            ),
            decision(78, at=day(26), result="refused: policy", documents={}),
        )
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """
    A service that this module shares.
    """
    with auditing(tmp_path_factory.mktemp("audit")) as running:
        yield running


@pytest.fixture(scope="module")
def visitor(service):
    """
    Somebody who may look.
    """
    return service.visit()


@pytest.fixture
def own(tmp_path):
    """
    A service of a test's own.
    """
    with auditing(tmp_path) as running:
        yield running


def cells(got, label):
    """
    What a page says in a column.
    """
    assert 200 == got.status, read_text(got)
    found = re.findall(rf'data-label="{label}">(.*?)</t', got.body.decode())
    return [" ".join(re.sub("<[^>]+>", " ", text).split()) for text in found]


class TestEvents:
    def test_newest(self, visitor):
        """
        Events are listed with who did what, the newest first.
        """
        got = visitor.get(AUDIT)

        assert "tenant-enact" in cells(got, "What")
        numbers = list(map(int, re.findall(r">#(\d+)<", got.body.decode())))
        assert sorted(numbers, reverse=True) == numbers

    @pytest.mark.parametrize(
        ("query", "actors"),
        [
            ("actor=acme-admin", {"acme-admin"}),
            ("action=attestation-policy-set", {"acme-admin", "bank-admin"}),
            ("action=attestation-policy-set&tenant=bank", {"bank-admin"}),
            ("since=2026-09-03&until=2026-09-04", {"acme-admin", "bank-admin"}),
            ("actor=nobody", set()),
        ],
    )
    def test_filter(self, visitor, query, actors):
        """
        A filter leaves those that it names.
        """
        assert actors == set(cells(visitor.get(f"{AUDIT}?{query}"), "By"))

    def test_chain(self, visitor):
        """
        It says up to where events follow from one another.
        """
        text = read_text(visitor.get(AUDIT))

        assert re.search(r"Up to event \d+, the last \d+ follow", text)

    def test_broken(self, own):
        """
        An event that was changed is told.
        """
        visitor = own.visit()
        with contextlib.closing(sqlite3.connect(own.store)) as db, db:
            db.execute("UPDATE events SET actor = 'x' WHERE id = 3")
        text = read_text(visitor.get(AUDIT))

        assert "Event 3: the digest does not follow" in text

    def test_pages(self, own):
        """
        A long list goes on with what is older.
        """
        with Ledger(own.store, INTEL.anchors) as ledger:
            for n in range(60):
                _, token = make_token(
                    f"t{n}", Role.READER, actor=f"<b>{n}", now=day(28)
                )
                ledger.tokens.add(token)
        visitor = own.visit()
        where: str | None = f"{AUDIT}?action=token-create&"
        seen = []
        while where:
            got = visitor.get(where)
            seen.append(cells(got, "By"))
            match = re.search(r'rel="next" href="([^"]+)"', got.body.decode())
            where = match[1].replace("&amp;", "&") if match else None
        flat = [actor for page in seen for actor in page]

        assert 50 == len(seen[0])
        assert {f"&lt;b&gt;{n}" for n in range(60)} <= set(flat)

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            (f"{AUDIT}?since=x", "since: got 'x', expected an instant"),
            (f"{AUDIT}?until=9999-99-99", "until: got"),
            (f"{AUDIT}?before=x", "before: got 'x'"),
            (f"{AUDIT}?before={'9' * 20}", "expected the end of a page"),
            (f"{DECISIONS}?outcome=x", "expected tokens or refused"),
            (f"{DECISIONS}?since=0001-01-01T00:00:00Z", ""),
        ],
    )
    def test_wrong(self, visitor, path, said):
        """
        A field that cannot be used is named.
        """
        got = visitor.get(path)

        assert got.status == (400 if said else 200)
        assert said in read_text(got)

    def test_tenant(self, service):
        """
        A tenant's token sees what concerns that tenant, and nothing else.
        """
        visitor = service.visit("acme")
        tenants = {
            name
            for query in ("", "?tenant=bank", "?actor=bank-admin")
            for name in cells(visitor.get(AUDIT + query), "Tenant")
        }

        assert {"acme"} == tenants

    def test_former_owner(self, own):
        """
        It does not see what concerned another of that name before, however it
        asks.
        """
        own.replace_acme()
        visitor = own.visit("acme")
        actors = {
            name
            for query in ("", "?since=2000-01-01", "?actor=acme-admin")
            for name in cells(visitor.get(AUDIT + query), "By")
        }

        assert "acme-admin" not in actors
        assert "acme-admin" in cells(own.visit().get(AUDIT), "By")


class TestDecisions:
    def test_newest(self, visitor):
        """
        What was decided about evidence is listed, the newest first.
        """
        got = visitor.get(DECISIONS)

        assert "refused: policy" == cells(got, "Result")[0]
        assert "UpToDate with expired documents" == cells(got, "Result")[1]
        assert 6 == len(cells(got, "Token"))

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("tenant=bank", 2),
            ("outcome=refused", 1),
            ("outcome=tokens", 5),
            ("type=TdxVm", 0),
            ("type=SgxEnclave&since=2026-09-20", 2),
            ("until=2026-09-04", 2),
            ("since=2030-01-01", 0),
        ],
    )
    def test_filter(self, visitor, query, count):
        """
        A filter leaves those that it names.
        """
        got = visitor.get(f"{DECISIONS}?{query}")

        assert count == len(cells(got, "Token"))

    def test_pages(self, own):
        """
        A long list goes on with what is older.
        """
        own.record(*(one(n, type="TdxVm") for n in range(100, 160)))
        visitor = own.visit()
        first = visitor.get(f"{DECISIONS}?type=TdxVm")
        where = re.search(r'rel="next" href="([^"]+)"', first.body.decode())
        assert where is not None
        second = visitor.get(where[1].replace("&amp;", "&"))

        assert [50, 10] == [len(cells(got, "Token")) for got in (first, second)]

    def test_detail(self, visitor):
        """
        A decision is shown with all that decided it, and where to look at it.
        """
        got = visitor.get(f"{DECISIONS}/{JTI}")
        text, body = read_text(got), got.body.decode()

        assert "A token was issued: UpToDate" in text
        assert "Accepted though expired pck-crl" in text
        assert "standard, TCB evaluation data number 17" in text
        assert TCB_INFO in text
        name = "intel/tcb-info/sgx%3A00606A000000/3"
        assert f"/console/collateral/document?name={name}" in body
        assert "/console/collateral/document?name=amd/crl/Milan/0" in body

    def test_refused(self, visitor):
        """
        What was refused is shown as that.
        """
        text = read_text(visitor.get(f"{DECISIONS}/{78:064x}"))

        assert "Refused: policy." in text
        assert "it did not come to that" in text

    def test_hostile(self, own):
        """
        Whatever stands in a record is shown as text.
        """
        name = "<script>alert(1)</script>"
        own.record(one(99, result=name, tenant=name, documents={name: "00"}))
        visitor = own.visit()
        pages = [
            visitor.get(f"{DECISIONS}{path}") for path in ("", f"/{99:064x}")
        ]

        assert [200, 200] == [got.status for got in pages]
        assert not any(b"<script>alert" in got.body for got in pages)

    @pytest.mark.parametrize("jti", ["0" * 64, "x", "%C3%A9", "0"])
    def test_nothing(self, visitor, jti):
        """
        What is on no record is not found.
        """
        assert 404 == visitor.get(f"{DECISIONS}/{jti}").status

    def test_empty(self, reader):
        """
        Where nothing was attested it says how to have something.
        """
        assert "thim attest FILE" in read_text(reader.get(DECISIONS))

    def test_tenant(self, service):
        """
        A tenant's token sees that tenant's decisions, and no other.
        """
        acme, bank = map(service.visit, ("acme", "bank"))
        statuses = [v.get(f"{DECISIONS}/{JTI}").status for v in (acme, bank)]

        assert {"bank"} == set(cells(bank.get(DECISIONS), "Tenant"))
        assert [200, 404] == statuses

    def test_former_owner(self, own):
        """
        It does not see those of another of that name before, nor by a jti.
        """
        own.replace_acme()
        own.record(decision(99, tenant="acme", at=day(30)))
        visitor = own.visit("acme")
        got = visitor.get(f"{DECISIONS}?since=2000-01-01")

        assert 1 == len(cells(got, "Tenant"))
        assert 404 == visitor.get(f"{DECISIONS}/{JTI}").status
        assert 200 == own.visit().get(f"{DECISIONS}/{JTI}").status


@needs_chromium
class TestBrowser:
    def test_looks(self, service):
        """
        In a browser a person filters events, and opens a decision, at either
        width and without a complaint.
        """
        token = service.make_token()
        found = {}
        with browsing() as browser:
            for width in NARROW:
                with looking(browser, service.served.url, width) as look:
                    look.log_in(token)
                    look.open(AUDIT)
                    look.keep("audit")
                    found[width] = look.complaints()
                    look.page.fill("#action", "tenant-enact")
                    look.page.click("text=Show")
                    look.page.wait_for_url("**action=tenant-enact**")
                    look.open(DECISIONS)
                    look.keep("decisions")
                    found[width] += look.complaints()
                    look.page.click("text=000000000000… >> nth=1")
                    look.keep("decision")
                    found[width] += look.complaints()
                    assert look.page.title().startswith("Decision –")  # noqa: RUF001

        assert {width: [] for width in NARROW} == found
