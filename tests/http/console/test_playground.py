"""
The playground: pasted evidence, and what becomes of it.
"""

import hashlib
import json
import re

import pytest

from tests.attestation.snp_made import make_submission
from tests.http.attesting import b64, oe_report
from tests.http.console.playing import PAGE, log_in, look
from tests.http.console.visitor import read_text
from tests.http.snp_sending import chain_of


DENY = """version= 1.0;
authorizationrules {
  [type=="x-ms-sgx-is-debuggable", value==true] => deny();
  => deny();
};
issuancerules {};"""
ISSUE = """version= 1.0;
authorizationrules { => permit(); };
issuancerules { => issue(type="colour", value="green"); };"""


@pytest.fixture(scope="module")
def reader(playground):
    """
    Somebody who may look.
    """
    return log_in(playground)


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
    def test_forms(self, playground, reader, write):
        """
        A quote is recognised in whatever form it is pasted.
        """
        got = look(reader, write(playground.quote()))
        text = read_text(got)

        assert 200 == got.status
        assert "sgx-quote-v3: authentic, UpToDate by number" in text
        assert "There would be a token." in text
        assert '"x-ms-attestation-type": "sgx"' in text

    def test_tree(self, playground, reader):
        """
        Each step is told with what was found, and the documents that decided.
        """
        got = look(reader, playground.quote("sapphire-1", "tdx-v4").hex())
        text = read_text(got)

        assert "tdx-quote-v4: authentic, UpToDate" in text
        assert "ok 1. " in text
        assert "Decided by 4 documents" in text
        assert (
            b'href="/console/collateral/document?name=intel/tcb-info/'
            in got.body
        )

    def test_behind(self, playground, reader):
        """
        What is behind is named with what mends it, and there would be no
        token.
        """
        text = read_text(look(reader, playground.quote("ice-2").hex()))

        assert "authentic, OutOfDate" in text
        assert "is needed → bios or microcode" in text
        assert "There would be no token" in text

    def test_forged(self, playground, reader):
        """
        What is not authentic is said to be so, with the step that failed.
        """
        quote = bytearray(playground.quote())
        quote[100] ^= 1
        text = read_text(look(reader, quote.hex()))

        assert "sgx-quote-v3: not authentic" in text
        assert "failed" in text
        assert "not reached" in text

    def test_report(self, playground, reader):
        """
        A report of SEV-SNP is looked at with the key that comes with it.
        """
        report = playground.vendor.report("milan-1")
        pasted = make_submission(report, chain_of(playground)).decode()
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
    def test_report_request(self, playground, reader, write):
        """
        A request with a report in it is told from one of Open Enclave's.
        """
        report = playground.vendor.report("milan-1")
        pasted = make_submission(report, chain_of(playground))
        text = read_text(look(reader, write(pasted)))

        assert "snp-report-v" in text
        assert '"x-ms-attestation-type": "sevsnpvm"' in text

    def test_short_report(self, playground, reader):
        """
        A report whose TCB is below the minimum of the baseline is told so.
        """
        report = playground.vendor.report("milan-1")
        pasted = make_submission(report, chain_of(playground)).decode()
        got = look(reader, pasted, tenant="lab", baseline="strict")
        text = read_text(got)

        assert "authentic, below the minimum" in text
        assert "There would be no token" in text

    def test_unknown_family(self, playground, reader):
        """
        Where documents are missing nobody can say, but of what is forged.
        """
        quote = bytearray(playground.quote("granite-1"))
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

    def test_nothing_permits(self, playground, reader):
        """
        Where no rule permits it, that is said.
        """
        draft = "version= 1.0; authorizationrules {}; issuancerules {};"
        text = read_text(look(reader, playground.quote().hex(), draft=draft))

        assert "No rule of the policy permits it" in text

    def test_no_key(self, playground, reader):
        """
        Where the key of a report is not known nobody can say.
        """
        report = playground.vendor.report("genoa-1")
        text = read_text(look(reader, report.hex()))

        assert "nobody can say" in text
        assert "is not known" in text

    def test_draft(self, playground, reader):
        """
        A draft is tried, and the rule that decides is shown.
        """
        text = read_text(look(reader, playground.quote().hex(), draft=DENY))

        assert "There would be no token. Policy Engine Exception" in text
        assert "Denied by the rule of line 4: => deny();" in text

    def test_issued(self, playground, reader):
        """
        What a draft issues is among the claims.
        """
        text = read_text(look(reader, playground.quote().hex(), draft=ISSUE))

        assert '"colour": "green"' in text
        assert "Permitted by the rule of line 2" in text
        assert "since a draft decides" in text

    def test_default(self, playground, reader):
        """
        The policy in force is shown where no draft is tried.
        """
        text = read_text(look(reader, playground.quote().hex()))

        assert "The policy in force for SGX" in text
        assert "Permitted by the rule of line" in text

    def test_baseline(self, playground, reader):
        """
        Where a tenant allows it the evidence is looked at by another baseline.
        """
        quote = playground.quote("sapphire-2", "tdx-v4").hex()
        own = read_text(look(reader, quote, tenant="lab"))
        other = read_text(look(reader, quote, tenant="lab", baseline="20"))

        assert "authentic, UpToDate by number 18" in own
        assert "authentic, OutOfDate by number 20" in other
        assert '"x-thim-baseline": "20"' in other

    def test_runtime(self, playground, reader):
        """
        Runtime data that the quote is bound to go into the token.
        """
        data = '{\n"a": 1}'
        quote = playground.quote(
            report_data=hashlib.sha256(data.encode()).digest().ljust(64, b"\0")
        )
        sent = {"runtime": data.replace("\n", "\r\n"), "runtime_type": "JSON"}
        good = read_text(look(reader, quote.hex(), **sent))
        bad = read_text(look(reader, quote.hex(), runtime="x"))

        assert '"x-ms-runtime": { "a": 1 }' in good
        assert "There would be no token. runtimeData" in bad

    def test_untraced(self, playground, reader):
        """
        Looking leaves nothing on record.
        """
        before = len(playground.decisions())
        look(reader, playground.quote().hex())
        look(reader, playground.quote("ice-2").hex(), tenant="acme")

        assert before == len(playground.decisions())


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
    def test_named(self, playground, reader, fields, status, said):
        """
        A field that cannot be used is named, and the form is as it was.
        """
        sent = {"evidence": playground.quote().hex(), **fields}
        got = look(reader, **sent)
        text = got.body.decode()

        assert status == got.status
        assert said in read_text(got)
        for name in ("evidence", "draft", "runtime"):
            kept = re.search(rf'name="{name}".*>\n([^<]*)</textarea', text)
            assert kept is not None
            assert sent.get(name, "") == kept[1].replace("&#34;", '"')

    def test_other_kind(self, playground, reader):
        """
        Evidence of another kind than was said is told apart.
        """
        got = look(reader, playground.quote().hex(), type="TdxVm")

        assert "an SGX quote, expected a TDX quote" in read_text(got)

    @pytest.mark.parametrize(
        "text", ["<script>alert(1)</script>", "\u202eabc", "\ud800", "é" * 100]
    )
    def test_hostile(self, playground, reader, text):
        """
        Whatever is pasted is shown as text, and nothing else is made of it.
        """
        text = text.encode("utf-8", "replace").decode()
        got = look(reader, text, runtime=text, draft=text, tenant="root")

        assert 400 == got.status
        assert b"<script>alert" not in got.body

    def test_hostile_claims(self, playground, reader):
        """
        What a policy issues is shown as text.
        """
        draft = ISSUE.replace("green", "</pre><script>x</script>")
        got = look(reader, playground.quote().hex(), draft=draft)

        assert "There would be a token" in read_text(got)
        assert b"<script>x" not in got.body

    def test_csrf(self, playground, reader):
        """
        A form that is of no session is refused.
        """
        fields = {"evidence": playground.quote().hex(), "tenant": "root"}
        got = reader.post(PAGE, fields)

        assert (403, "csrf") == (got.status, got["thim-reason"])
