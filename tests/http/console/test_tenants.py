"""
The console's pages of tenants.
"""

import json

import pytest

from tests.http.console.decided_world import DAY, hold, people
from tests.http.console.visitor import Visitor, read_text
from tests.platforms import NOW
from tests.policy_signers import signer
from tests.tenants import Decisions
from thim.attestation.policy.hashes import policy_hash
from thim.attestation.policy_jws import write_unsigned
from thim.services.tokens import Role, make_token
from thim.store.client_view import ClientNumber
from thim.store.ledger import Ledger


WHY = {"reason": "a new customer"}
PAGE = "/console/tenants/acme"
#: What the form of ``acme`` is filled in with.
ACME = {"overrides": "never", "hosts": "", "labels": "of=acme", "requests": ""}
NEW = {**WHY, **ACME, "name": "new", "baseline": "17", "per": "source"}
POLICY = "version=1.0; authorizationrules { => permit(); }; issuancerules {};"


class TestList:
    def test_all(self, calm):
        """
        Every tenant is listed: baseline, number, overrides, labels.
        """
        text = read_text(calm.visit("reader").get("/console/tenants"))

        assert "root default 18" in text
        assert "acme 17 17" in text
        assert "of=acme – aad" in text  # noqa: RUF001 - a dash

    def test_pages(self, world, intel):
        """
        Many are on pages.
        """
        decisions = Decisions()
        for n in range(60):
            decisions.tenant(f"t{n:02}", "17")
        decisions.write(world.api.store, intel.anchors)
        reader = world.visit("reader")
        first = read_text(reader.get("/console/tenants"))
        second = read_text(reader.get("/console/tenants?page=1"))

        assert ("t45" in first, "t46" in first) == (True, False)
        assert ("t45" in second, "t59" in second) == (False, True)

    @pytest.mark.parametrize("page", ["-1", "x", "99999", "1" * 5000])
    def test_no_page(self, calm, page):
        """
        What is no page is named.
        """
        got = calm.visit("reader").get(f"/console/tenants?page={page}")

        assert 400 == got.status
        assert "page: got" in read_text(got)


class TestOne:
    def test_standing(self, world, intel):
        """
        It is told where a tenant stands, how its platforms do, which clients
        have fetched its number.
        """
        hold(world, intel)
        people(world, intel)
        text = read_text(world.visit("reader").get("/console/tenants/shop"))

        assert "Stands at number 17 Baseline prod" in text
        assert "Clients that have fetched it 7 of 10" in text
        assert "18 SGX UpToDate" in text
        assert "with of=shop" in text
        assert "10.0.0.7: 16" in text

    def test_attestation(self, calm):
        """
        Its attestation side is told: the default policies with their hashes.
        """
        got = calm.visit("reader").get(PAGE)
        text = read_text(got)

        assert "who has a token may change them (aad)" in text
        assert "SgxEnclave default (language 1.0)" in text
        assert "TdxVm" in text

    def test_policies(self, world, intel):
        """
        Its own policies are told with version, hash and who sent them; and the
        certificates that may sign them.
        """
        made = signer()
        admin = world.visit("admin")
        body = {
            "reason": "x",
            "baseline": "17",
            "attestation": {"trust": "isolated"},
            "policy_certificates": [made.pem],
        }
        assert 201 == world.api.put("/tenants/strict", body).status
        hostile = f"{POLICY}// <script>alert(1)</script>"
        with Ledger(world.api.store, intel.anchors) as ledger:
            for text in (POLICY, hostile):
                ledger.attestation_policies.put(
                    "strict",
                    "TdxVm",
                    write_unsigned(text),
                    actor="ann",
                    at=NOW,
                )
        got = admin.get("/console/tenants/strict")
        text = read_text(got)

        assert "TdxVm version 2 (language 1.0)" in text
        assert policy_hash(hostile) in got.body.decode()
        assert "<script>alert(1)</script>" in text
        assert b"<script>alert" not in got.body
        assert "Certificates that may sign policies" in text

    def test_long_policy(self, world, intel):
        """
        Of a policy that is longer than a page the beginning is shown.
        """
        rule = '[type=="a"] => issue(type="x", value="END");'
        text = POLICY.replace("rules {}", f"rules {{{rule * 2000}}}")
        with Ledger(world.api.store, intel.anchors) as ledger:
            ledger.attestation_policies.put(
                "acme", "TdxVm", write_unsigned(text), actor="ann", at=NOW
            )
        got = world.visit("reader").get(PAGE)

        assert "TdxVm version 1 (language not told)" in read_text(got)
        assert policy_hash(text) in got.body.decode()
        assert 50_000 > len(got.body)

    def test_history(self, calm):
        """
        Who has decided what about it is told.
        """
        text = read_text(calm.visit("reader").get(PAGE))

        assert "version 1" in text[text.index("Who decided what") :]

    def test_unknown(self, calm):
        """
        One that there is not is unknown.
        """
        got = calm.visit("reader").get("/console/tenants/nobody")

        assert (404, "unknown-tenant") == (got.status, got["thim-reason"])

    def test_hostile(self, world, intel):
        """
        What its labels say is shown, and nothing else is made of it.
        """
        labels = {"of": "<script>alert(1)</script>\u202e"}
        Decisions().tenant("odd", "17", labels=labels).write(
            world.api.store, intel.anchors
        )
        reader = world.visit("reader")
        for page in ("/console/tenants", "/console/tenants/odd"):
            got = reader.get(page)

            assert 200 == got.status
            assert b"<script>alert" not in got.body
            assert "\u202e" not in got.body.decode()
            assert "of=<script>alert(1)</script>\\u202e" in read_text(got)


class TestOwn:
    def test_own(self, calm):
        """
        A tenant's own token sees its own page, and is led there.
        """
        visitor = calm.visit("acme/admin")
        pages = [visitor.get(p) for p in ("/console/", "/console/tenants")]
        got = visitor.get(PAGE)
        text = read_text(got)

        assert [(303, PAGE)] * 2 == [(p.status, p["location"]) for p in pages]
        assert 200 == got.status
        assert "Change it" not in text
        assert "Overview" not in text
        assert "/console/tenants/lab" not in got.body.decode()

    @pytest.mark.parametrize("name", ["lab", "root", "nobody"])
    def test_other(self, calm, name):
        """
        It sees no other's.
        """
        got = calm.visit("acme/reader").get(f"/console/tenants/{name}")

        assert (403, "tenant") == (got.status, got["thim-reason"])

    def test_past(self, world, intel):
        """
        It does not see what was decided about another of that name before.
        """
        admin = world.visit("admin")
        admin.send(PAGE, f"{PAGE}/delete", {**WHY, "typed": "acme"})
        again = {**NEW, "name": "acme"}
        admin.send("/console/tenants", "/console/tenants", again)
        text, kept = make_token(
            "own", Role.READER, actor="root", now=NOW, tenant="acme"
        )
        with Ledger(world.api.store, intel.anchors) as ledger:
            ledger.tokens.add(kept)
        own = Visitor(world.api.served)
        own.log_in(text)
        everybody, theirs = read_text(admin.get(PAGE)), read_text(own.get(PAGE))

        assert ("version 1 " in everybody, "version 3" in everybody) == (
            True,
            True,
        )
        assert ("version 1 " in theirs, "version 3" in theirs) == (False, True)

    def test_past_fleet(self, world, intel):
        """
        Nobody takes the platforms and clients of another of that name before
        for the new one's.
        """
        before, late = NOW - DAY, Decisions().tenant("late", "17", since=NOW)
        seen = ClientNumber(
            tenant="late", client="10.0.0.7", number=16, seen=before
        )
        told = {"tee": "SGX", "standing": "OutOfDate", "platforms": 5}
        outlook = {"standings": [told]}
        late.write(world.api.store, intel.anchors)
        with Ledger(world.api.store, intel.anchors) as ledger:
            ledger.client_numbers.note([seen], before)
            ledger.outlooks.put({"late": json.dumps(outlook)}, before)
        text = read_text(world.visit("reader").get("/console/tenants/late"))

        assert "Clients that have fetched it none seen" in text
        assert "10.0.0.7" not in text
        assert "How they stand was not worked out yet" in text
