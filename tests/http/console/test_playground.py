"""
The playground: pasted evidence, what becomes of it, and a token of it.
"""

import contextlib
import hashlib
import json
import re

import pytest

from tests.attestation.snp_made import make_submission
from tests.http.attested_world import attesting
from tests.http.attesting import b64, claims_in, header_in, oe_report
from tests.http.console.browser import WIDTHS, browsing, looking
from tests.http.console.visitor import Visitor, read_text
from tests.http.snp_sending import chain_of
from tests.needs import needs_chromium
from tests.vendors import NOW
from thim.baseline.model import Quota
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


PAGE = "/console/playground"
TOKEN = f"{PAGE}/token"
DENY = """version= 1.0;
authorizationrules {
  [type=="x-ms-sgx-is-debuggable", value==true] => deny();
  => deny();
};
issuancerules {};"""
ISSUE = """version= 1.0;
authorizationrules { => permit(); };
issuancerules { => issue(type="colour", value="green"); };"""


@contextlib.contextmanager
def playing(world, folder):
    """
    Serve the world of the tests of attestation, to people.
    """
    with attesting(world, folder) as running:
        yield running


def log_in(running, role=Role.READER, tenant=None):
    """
    Make a token, and log in with it.
    """
    text, kept = make_token(
        f"{tenant}-{role.value}", role, actor="root", now=NOW, tenant=tenant
    )
    with Ledger(running.store, running.vendor.anchors) as ledger:
        ledger.tokens.add(kept)
    visitor = Visitor(running.served)
    visitor.log_in(text)
    return visitor


@pytest.fixture(scope="module")
def world(attested_world, tmp_path_factory):
    """
    A service that this module shares.
    """
    with playing(attested_world, tmp_path_factory.mktemp("playground")) as one:
        yield one


@pytest.fixture(scope="module")
def reader(world):
    """
    Somebody who may look.
    """
    return log_in(world)


@pytest.fixture(scope="module")
def admin(world):
    """
    Somebody who may have tokens issued.
    """
    return log_in(world, Role.ADMIN)


def look(visitor, evidence, path=PAGE, **fields):
    """
    Paste evidence and look at it.
    """
    return visitor.send(
        PAGE, path, {"tenant": "root", "evidence": evidence, **fields}
    )


class TestLook:
    @pytest.mark.parametrize(
        "write",
        [
            bytes.hex,
            b64,
            lambda quote: "\r\n".join(re.findall(".{1,64}", b64(quote))),
            lambda quote: json.dumps({"quote": b64(quote)}),
            lambda quote: json.dumps({"quote": quote.hex()}),
            lambda quote: oe_report(quote).hex(),
            lambda quote: json.dumps({"report": b64(oe_report(quote))}),
        ],
        ids=["hex", "base64", "lines", "json", "hexjson", "oe", "oejson"],
    )
    def test_forms(self, world, reader, write):
        """
        A quote is recognised in whatever form it is pasted.
        """
        got = look(reader, write(world.quote()))
        text = read_text(got)

        assert 200 == got.status
        assert "sgx-quote-v3: authentic, UpToDate by number" in text
        assert "There would be a token." in text
        assert '"x-ms-attestation-type": "sgx"' in text

    def test_tree(self, world, reader):
        """
        Each step is told with what was found, and the documents that decided.
        """
        got = look(reader, world.quote("sapphire-1", "tdx-v4").hex())
        text = read_text(got)

        assert "tdx-quote-v4: authentic, UpToDate" in text
        assert "ok 1. " in text
        assert "Decided by 4 documents" in text
        assert (
            b'href="/console/collateral/document?name=intel/tcb-info/'
            in got.body
        )

    def test_behind(self, world, reader):
        """
        What is behind is named with what mends it, and there would be no
        token.
        """
        text = read_text(look(reader, world.quote("ice-2").hex()))

        assert "authentic, OutOfDate" in text
        assert "is needed → bios or microcode" in text
        assert "There would be no token" in text

    def test_forged(self, world, reader):
        """
        What is not authentic is said to be so, with the step that failed.
        """
        quote = bytearray(world.quote())
        quote[100] ^= 1
        text = read_text(look(reader, quote.hex()))

        assert "sgx-quote-v3: not authentic" in text
        assert "failed" in text
        assert "not reached" in text

    def test_report(self, world, reader):
        """
        A report of SEV-SNP is looked at with the key that comes with it.
        """
        report = world.vendor.report("milan-1")
        pasted = make_submission(report, chain_of(world)).decode()
        text = read_text(look(reader, pasted))

        assert "snp-report-v" in text
        assert "There would be a token." in text

    @pytest.mark.parametrize(
        "write",
        [
            lambda pasted: json.dumps({"report": b64(pasted)}),
            lambda pasted: json.dumps({"report": pasted.hex()}),
        ],
        ids=["base64", "hex"],
    )
    def test_report_request(self, world, reader, write):
        """
        A request with a report in it is told from one of Open Enclave's.
        """
        report = world.vendor.report("milan-1")
        pasted = make_submission(report, chain_of(world))
        text = read_text(look(reader, write(pasted)))

        assert "snp-report-v" in text
        assert '"x-ms-attestation-type": "sevsnpvm"' in text

    def test_short_report(self, world, reader):
        """
        A report whose TCB is below the minimum of the baseline is told so.
        """
        report = world.vendor.report("milan-1")
        pasted = make_submission(report, chain_of(world)).decode()
        got = look(reader, pasted, tenant="lab", baseline="strict")
        text = read_text(got)

        assert "authentic, below the minimum" in text
        assert "There would be no token" in text

    def test_unknown_family(self, world, reader):
        """
        Where documents are missing nobody can say, but of what is forged.
        """
        quote = bytearray(world.quote("granite-1"))
        missing = read_text(look(reader, quote.hex()))
        quote[100] ^= 1
        forged = read_text(look(reader, quote.hex()))

        assert "nobody can say" in missing
        assert "There would be no token" in missing
        assert "not authentic" in forged

    @pytest.mark.parametrize(
        ("pasted", "said"),
        [
            ('{"SnpReport": "AAAA"}', "This: not authentic"),
            ('{"quote": "AAAA"}', "This: not authentic"),
        ],
    )
    def test_no_evidence(self, reader, pasted, said):
        """
        What is no evidence inside is said to be none.
        """
        assert said in read_text(look(reader, pasted))

    def test_nothing_permits(self, world, reader):
        """
        Where no rule permits it, that is said.
        """
        draft = "version= 1.0; authorizationrules {}; issuancerules {};"
        text = read_text(look(reader, world.quote().hex(), draft=draft))

        assert "No rule of the policy permits it" in text

    def test_no_key(self, world, reader):
        """
        Where the key of a report is not known nobody can say.
        """
        report = world.vendor.report("genoa-1")
        text = read_text(look(reader, report.hex()))

        assert "nobody can say" in text
        assert "is not known" in text

    def test_draft(self, world, reader):
        """
        A draft is tried, and the rule that decides is shown.
        """
        text = read_text(look(reader, world.quote().hex(), draft=DENY))

        assert "There would be no token. Policy Engine Exception" in text
        assert "Denied by the rule of line 4: => deny();" in text

    def test_issued(self, world, reader):
        """
        What a draft issues is among the claims.
        """
        text = read_text(look(reader, world.quote().hex(), draft=ISSUE))

        assert '"colour": "green"' in text
        assert "Permitted by the rule of line 2" in text
        assert "since a draft decides" in text

    def test_default(self, world, reader):
        """
        The policy in force is shown where no draft is tried.
        """
        text = read_text(look(reader, world.quote().hex()))

        assert "The policy in force for SGX" in text
        assert "Permitted by the rule of line" in text

    def test_baseline(self, world, reader):
        """
        Where a tenant allows it the evidence is looked at by another baseline.
        """
        quote = world.quote("sapphire-2", "tdx-v4").hex()
        own = read_text(look(reader, quote, tenant="lab"))
        other = read_text(look(reader, quote, tenant="lab", baseline="20"))

        assert "authentic, UpToDate by number 18" in own
        assert "authentic, OutOfDate by number 20" in other
        assert '"x-thim-baseline": "20"' in other

    def test_runtime(self, world, reader):
        """
        Runtime data that the quote is bound to go into the token.
        """
        data = '{\n"a": 1}'
        quote = world.quote(
            report_data=hashlib.sha256(data.encode()).digest().ljust(64, b"\0")
        )
        sent = {"runtime": data.replace("\n", "\r\n"), "runtime_type": "JSON"}
        good = read_text(look(reader, quote.hex(), **sent))
        bad = read_text(look(reader, quote.hex(), runtime="x"))

        assert '"x-ms-runtime": { "a": 1 }' in good
        assert "There would be no token. runtimeData" in bad

    def test_untraced(self, world, reader):
        """
        Looking leaves nothing on record.
        """
        before = len(world.decisions())
        look(reader, world.quote().hex())
        look(reader, world.quote("ice-2").hex(), tenant="acme")

        assert before == len(world.decisions())


class TestWrong:
    @pytest.mark.parametrize(
        ("fields", "status", "said"),
        [
            ({"evidence": " "}, 400, "evidence: got ' '"),
            ({"evidence": "hello"}, 400, "neither a quote, a report"),
            ({"evidence": "{"}, 400, "expected a JSON object"),
            ({"evidence": "{}"}, 400, "expected quote or report in it"),
            ({"evidence": '{"quote": 7}'}, 400, "quote: got 7"),
            ({"type": "Tpm"}, 400, "type: got 'Tpm', expected OpenEnclave"),
            ({"type": "x"}, 404, "attestation type 'x' is none of"),
            ({"tenant": "nobody"}, 404, "nobody"),
            ({"tenant": "acme", "baseline": "20"}, 403, "overrides = never"),
            ({"tenant": "lab", "baseline": "nope"}, 404, "nope"),
            ({"draft": "version=9"}, 400, "line 1"),
            ({"runtime": "[1]", "runtime_type": "JSON"}, 400, "runtimeData"),
            ({"runtime": "1", "runtime_type": "x"}, 400, "runtime_type: got"),
        ],
    )
    def test_named(self, world, reader, fields, status, said):
        """
        A field that cannot be used is named, and the form is as it was.
        """
        sent = {"evidence": world.quote().hex(), **fields}
        got = look(reader, **sent)
        text = got.body.decode()

        assert status == got.status
        assert said in read_text(got)
        for name in ("evidence", "draft", "runtime"):
            kept = re.search(rf'name="{name}".*>\n([^<]*)</textarea', text)
            assert kept is not None
            assert sent.get(name, "") == kept[1].replace("&#34;", '"')

    def test_other_kind(self, world, reader):
        """
        Evidence of another kind than was said is told apart.
        """
        got = look(reader, world.quote().hex(), type="TdxVm")

        assert "an SGX quote, expected a TDX quote" in read_text(got)

    @pytest.mark.parametrize(
        "text", ["<script>alert(1)</script>", "\u202eabc", "\ud800", "é" * 100]
    )
    def test_hostile(self, world, reader, text):
        """
        Whatever is pasted is shown as text, and nothing else is made of it.
        """
        text = text.encode("utf-8", "replace").decode()
        got = look(reader, text, runtime=text, draft=text, tenant="root")

        assert 400 == got.status
        assert b"<script>alert" not in got.body

    def test_hostile_claims(self, world, reader):
        """
        What a policy issues is shown as text.
        """
        draft = ISSUE.replace("green", "</pre><script>x</script>")
        got = look(reader, world.quote().hex(), draft=draft)

        assert "There would be a token" in read_text(got)
        assert b"<script>x" not in got.body

    def test_csrf(self, world, reader):
        """
        A form that is of no session is refused.
        """
        fields = {"evidence": world.quote().hex(), "tenant": "root"}
        got = reader.post(PAGE, fields)

        assert (403, "csrf") == (got.status, got["thim-reason"])


class TestToken:
    def test_issued(self, world, admin):
        """
        A token is issued and shown, and it is on record.
        """
        got = look(admin, world.quote().hex(), TOKEN, tenant="acme")
        token = re.search(r'aria-label="The token">([^<]+)', got.body.decode())
        assert token is not None
        claims = world.verify(token[1], "/tenant/acme")

        assert "acme" in claims["iss"]
        assert header_in(token[1])["kid"] in read_text(got)
        assert f"/console/decisions/{claims['jti']}" in got.body.decode()
        assert claims["jti"] in {d.jti for d in world.decisions()}

    def test_same_by_program(self, world, admin):
        """
        What is said to do the same by a program does so.
        """
        text = read_text(
            look(admin, world.quote().hex(), TOKEN, nonce="", tenant="acme")
        )
        path = re.search(r"'https://attest.example(/[^']+)'", text)
        body = re.search(r"request.json : (\{.*?\}) Look at", text)
        assert path is not None
        assert body is not None
        got = world.ask(
            path[1],
            "POST",
            body[1].encode(),
            **{"Content-Type": "application/json"},
        )

        assert 200 == got.status
        assert "acme" in claims_in(got.json["token"])["iss"]

    def test_refused(self, world, admin):
        """
        What is refused is told, and on record as refused.
        """
        before = len(world.decisions(refused=True))
        got = look(admin, world.quote("ice-2").hex(), TOKEN)
        world.await_decisions(before + 1, refused=True)

        assert 400 == got.status
        assert "Azure baseline" in read_text(got)

    def test_baseline(self, world, admin):
        """
        A token is issued by no other baseline than the tenant's.
        """
        quote = world.quote().hex()
        got = look(admin, quote, TOKEN, tenant="lab", baseline="20")

        assert 400 == got.status
        assert "baseline: got '20', expected none" in read_text(got)

    def test_reader(self, world, reader):
        """
        Whoever may only look has no button for tokens, and gets none.
        """
        page = reader.get(PAGE)
        got = look(reader, world.quote().hex(), TOKEN)

        assert b"Issue a token" not in page.body
        assert 403 == got.status


class TestTenants:
    def test_own(self, world):
        """
        A tenant's token looks at evidence for that tenant alone.
        """
        visitor = log_in(world, tenant="acme")
        page = read_text(visitor.get(PAGE))
        quote = world.quote().hex()
        own = look(visitor, quote, tenant="acme")
        other = look(visitor, quote, tenant="lab")

        assert "lab" not in page
        assert (200, 403) == (own.status, other.status)
        assert "by number 18" in read_text(own)

    def test_quota(self, attested_world, tmp_path):
        """
        What is looked at is taken out of the tenant's quota.
        """
        with playing(attested_world, tmp_path) as running:
            running.change("acme", quota=Quota(requests=1))
            visitor = log_in(running, tenant="acme")
            quote = running.quote().hex()
            found = [
                look(visitor, quote, tenant="acme").status for _ in range(2)
            ]

        assert [200, 503] == found


@needs_chromium
class TestBrowser:
    def test_looks(self, world):
        """
        In a browser a person looks at evidence and has a token issued, at
        either width and without a complaint.
        """
        text, kept = make_token("person", Role.ADMIN, actor="root", now=NOW)
        with Ledger(world.store, world.vendor.anchors) as ledger:
            ledger.tokens.add(kept)
        found = {}
        with browsing() as browser:
            for width in WIDTHS:
                with looking(browser, world.served.url, width) as one:
                    one.log_in(text)
                    one.open(PAGE)
                    found[width] = one.complaints()
                    one.page.fill("#evidence", world.quote("ice-2").hex())
                    one.page.click("text=Look at it")
                    one.keep("playground-behind")
                    found[width] += one.complaints()
                    one.page.fill("#evidence", world.quote().hex())
                    one.page.click("text=Issue a token")
                    one.keep("playground-token")
                    found[width] += one.complaints()

        assert {width: [] for width in WIDTHS} == found
