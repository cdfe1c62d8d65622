import json

import pytest

from tests.attestation.snp_made import make_report, make_submission
from tests.simulate.quotes import INTEL
from thim.attestation.kind import AttestationType
from thim.attestation.policy.defaults import DEFAULT_POLICIES
from thim.attestation.policy.hashes import policy_hash
from thim.simulate.pck import Platform
from thim.simulate.quote import make_sgx_quote_v3


PERMIT = """version=1.2;
authorizationrules {
    [type=="x-ms-sgx-is-debuggable", value==false] => permit();
};
issuancerules {
    c:[type=="$sgx-mrsigner"] => issue(type="by", value=c.value);
};
"""


@pytest.fixture
def write(tmp_path):
    """
    Write a file.
    """

    def write(content, name="policy.txt"):
        path = tmp_path / name
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    return write


class TestCheck:
    def test_good(self, thim, write):
        """
        A policy that can be set: its version, its rules, its hash.
        """
        run = thim("policy", "check", write(PERMIT))

        assert 0 == run.code
        assert (
            "a policy of version 1.2\nconfigurationrules: 0\n"
            f"authorizationrules: 1\nissuancerules: 1\nhash: "
            f"{policy_hash(PERMIT)}\n"
        ) == run.text

    def test_json(self, thim, write):
        """
        The same as JSON.
        """
        run = thim("policy", "check", "--json", write(PERMIT))

        assert run.json == {
            "valid": True,
            "version": "1.2",
            "rules": {
                "configurationrules": 0,
                "authorizationrules": 1,
                "issuancerules": 1,
            },
            "hash": policy_hash(PERMIT),
        }

    def test_bad(self, thim, write):
        """
        Where it goes wrong is shown, and the exit code is 1.
        """
        file = write("version=1.0;\nissuancerules{ =\x1b=> x };\n")
        run = thim("policy", "check", file)
        again = thim("policy", "check", write(PERMIT.replace("=> p", "= p")))

        assert (1, "") == (run.code, run.text)
        assert "line 2, column 17: found '\\x1b'" in run.err
        assert 1 == again.code
        assert (
            "thim: line 3, column 52: found '=', expected '=>' or '&&' (in "
            "policy > section > claimRule > condition)\n"
            '        [type=="x-ms-sgx-is-debuggable", value==false] = permit();'
            f"\n    {' ' * 51}^\n"
        ) == again.err

    def test_bad_json(self, thim, write):
        """
        The same as JSON, on the standard output.
        """
        run = thim("policy", "check", "--json", write("version=1.0\n["))

        assert 1 == run.code
        assert run.json == {
            "valid": False,
            "reason": "policy-syntax",
            "detail": (
                "line 2, column 1: found '[', expected ';' (in policy > "
                "versionInfo)"
            ),
            "line": 2,
            "column": 1,
            "found": "'['",
            "expected": "expected ';'",
            "path": ["policy", "versionInfo"],
        }

    def test_at_the_end(self, thim, write):
        """
        A text that ends too early is shown at its end.
        """
        run = thim("policy", "check", write("version=1.0"))

        assert "    version=1.0\n               ^\n" in run.err

    def test_reserved(self, thim, write):
        """
        A name of the service cannot be issued; which names these are depends
        on the type.
        """
        text = 'version=1.0;issuancerules{=> issue(type="%s", value=1);};'
        own = write(text % "iss")
        tdx = write(text % "intuse", "tdx.txt")

        assert 1 == thim("policy", "check", own).code
        assert 1 == thim("policy", "check", tdx, "--type", "tdxvm").code

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("x-ms-sgx-tcbidentifier", '"10"', 0),
            ("x-ms-sgx-tcbidentifer", '"10"', 1),
            ("x-ms-sgx-tcbidentifier", "10", 1),
            ("x-thim-baseline", '"standard"', 0),
        ],
    )
    def test_configuration(self, thim, write, name, value, expected):
        """
        What it configures is checked as when it is set.
        """
        file = write(
            "version=1.1;configurationrules{=> issueproperty("
            f'type="{name}", value={value});}};'
        )
        run = thim("policy", "check", file, "--type", "SgxEnclave", "--json")

        assert expected == run.code
        assert run.json["valid"] is (expected == 0)

    def test_failing_configuration(self, thim, write):
        """
        So is that it can be worked out, for whatever type.
        """
        file = write(
            'version=1.2;configurationrules{=> issueproperty(type="a", '
            'value=JsonToClaimValue("{}"));};'
        )
        for words in ((), ("--type", "TdxVm")):
            run = thim("policy", "check", file, "--json", *words)

            assert 1 == run.code
            assert not run.json["valid"]

    def test_too_large(self, thim, write):
        """
        What is too large is no policy.
        """
        run = thim("policy", "check", write("version=1.0;" + " " * 2**20))

        assert 1 == run.code
        assert "expected at most 1048576" in run.err

    def test_unknown_type(self, thim, write):
        """
        An unknown type is an error of another kind.
        """
        run = thim("policy", "check", write(PERMIT), "--type", "x")

        assert 2 == run.code
        assert "none of SgxEnclave" in run.err

    def test_not_utf_8(self, thim, write):
        """
        So is a file that is no text, or is not there.
        """
        assert 2 == thim("policy", "check", write(b"\xff")).code
        assert 2 == thim("policy", "check", "nowhere").code


class TestTest:
    def test_claims(self, thim, write):
        """
        A policy is tried on claims: which rule decided, which fired, what
        they made.
        """
        claims = write(
            '{"x-ms-sgx-is-debuggable": false, "x-ms-sgx-mrsigner": "aa"}',
            "claims.json",
        )
        run = thim("policy", "test", write(PERMIT), "--claims", claims)

        rule = '[type == "x-ms-sgx-is-debuggable", value == false] => permit()'
        assert 0 == run.code
        assert (
            f"permitted by line 3: {rule}\nrules that fired:\n"
            f"  line 3: {rule}\n"
            '  line 6: c:[type == "$sgx-mrsigner"] => issue(type="by", '
            'value=c.value)\n    by = "aa"\nissued:\n  by = "aa"\n'
        ) == run.text
        assert "not verified" in run.err

    def test_json(self, thim, write):
        """
        The same as JSON.
        """
        claims = write('{"x-ms-sgx-is-debuggable": false}', "claims.json")
        run = thim(
            *("policy", "test", write(PERMIT), "--claims", claims, "--json")
        )

        assert 0 == run.code
        found = run.json
        fired = found["fired"]
        assert [found["decided_by"] | {"claims": []}] == fired
        assert (False, True, None) == (
            found["verified"],
            found["permitted"],
            found["refusal"],
        )
        assert ({}, {}) == (found["issued"], found["properties"])

    def test_evidence(self, thim, write):
        """
        It is tried on what evidence states, which is said.
        """
        quote = write(make_sgx_quote_v3(INTEL, Platform()), "quote.bin")
        text = DEFAULT_POLICIES[AttestationType.SGX_ENCLAVE]
        run = thim(
            *("policy", "test", write(text), "--evidence", quote, "--json")
        )

        assert 0 == run.code
        assert "sgx" == run.json["issued"]["tee"]
        assert not run.json["verified"]

    def test_report(self, thim, write):
        """
        Evidence is read in the forms in which it is sent.
        """
        report = make_report(measurement=b"\7" * 48)
        text = (
            "version=1.0;authorizationrules{"
            '[type=="x-ms-sevsnpvm-launchmeasurement", value=="'
            f'{"07" * 48}"] => permit();}};'
        )
        for form in (report, make_submission(report)):
            run = thim(
                *("policy", "test", write(text)),
                *("--evidence", write(form, "report")),
            )

            assert 0 == run.code
            assert "attester_tcb_status" in run.err

    def test_legacy_names(self, thim, write):
        """
        Old names are for enclaves alone, as with the service.
        """
        text = 'version=1.0;authorizationrules{[type=="$tee"] => permit();};'
        claims = write('{"x-ms-attestation-type": "x"}', "claims.json")
        for kind, expected in (("SgxEnclave", 0), ("TdxVm", 1)):
            run = thim(
                *("policy", "test", write(text), "--claims", claims),
                *("--type", kind),
            )

            assert expected == run.code

    def test_not_permitted(self, thim, write):
        """
        Where no rule permits the exit code is 1.
        """
        run = thim(
            *("policy", "test", write(PERMIT)),
            *("--claims", write("{}", "claims.json")),
        )

        assert 1 == run.code
        assert run.text.startswith("not permitted: no rule permits\n")

    def test_denied(self, thim, write):
        """
        So it is where one denies, which is named.
        """
        text = "version=1.0;\nauthorizationrules{=> permit();\n=> deny();};"
        run = thim(
            *("policy", "test", write(text)),
            *("--claims", write("{}", "claims.json")),
        )

        assert 1 == run.code
        assert run.text.startswith("denied by line 3: => deny()\n")

    def test_error(self, thim, write):
        """
        So it is where the policy cannot be run.
        """
        text = (
            "version=1.2;\nauthorizationrules{\n"
            '=> add(type="a", value=JsonToClaimValue("{}"));};'
        )
        file = write(text)
        claims = write("{}", "claims.json")
        run = thim("policy", "test", file, "--claims", claims)
        again = thim("policy", "test", file, "--claims", claims, "--json")

        assert (1, 1) == (run.code, again.code)
        assert "in the rule of line 3" in run.err
        assert (True, 3) == (again.json["valid"], again.json["line"])

    def test_either(self, thim, write):
        """
        There is one thing to try it on.
        """
        run = thim("policy", "test", write(PERMIT))

        assert 2 == run.code
        assert (
            "thim: expected a file for either --evidence or --claims, got "
            "neither\n" == run.err
        )

    @pytest.mark.parametrize("text", ["[]", "{", '{"a":1,"a":2}'])
    def test_bad_claims(self, thim, write, text):
        """
        Claims are a JSON object.
        """
        claims = write(text, "claims.json")

        assert (
            2 == thim("policy", "test", write(PERMIT), "--claims", claims).code
        )

    def test_claim_of_the_service(self, thim, write):
        """
        What is given as a claim cannot be issued anew.
        """
        text = (
            "version=1.0;authorizationrules{=> permit();};"
            'issuancerules{=> issue(type="mine", value=1);};'
        )
        run = thim(
            *("policy", "test", write(text)),
            *("--claims", write(json.dumps({"mine": 2}), "claims.json")),
        )

        assert 1 == run.code
        assert "the service's own" in run.err
