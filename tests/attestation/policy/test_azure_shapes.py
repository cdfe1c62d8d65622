"""
Policies of the shapes that Azure's documents show, on made event logs.
"""

import json

import pytest

from tests.attestation.policy.made import issue, run, write


def event(seq, pcr, kind="EV_EVENT_TAG", **data):
    """
    Make an event of a boot log.
    """
    return {
        "EventSeq": seq,
        "PcrIndex": pcr,
        "EventTypeString": kind,
        "ProcessedData": data,
    }


def log(*events):
    """
    Make the claim that holds a log.
    """
    return {"events": json.dumps({"Events": list(events)})}


SECURE = event(
    0,
    7,
    "EV_EFI_VARIABLE_DRIVER_CONFIG",
    UnicodeName="SecureBoot",
    VariableData="AQ",
)


class TestSecureBoot:
    RULES = (
        'c:[type == "events", issuer=="AttestationService"] => add(type = '
        '"variables", value = JmesPath(c.value, "Events[?EventTypeString == '
        "'EV_EFI_VARIABLE_DRIVER_CONFIG']\"));"
        'c:[type=="variables", issuer="AttestationPolicy"]=> issue(type = '
        '"secureBoot", value = JsonToClaimValue(JmesPath(c.value, '
        "\"[?ProcessedData.UnicodeName == 'SecureBoot'] | length(@) == `1` && "
        "@[0].ProcessedData.VariableData == 'AQ'\")));"
        '![type=="secureBoot", issuer=="AttestationPolicy"] => '
        'issue(type="secureBoot", value=false);'
    )

    def test_on(self):
        """
        A variable that is found once, with its value.
        """
        assert {"secureBoot": True} == issue(self.RULES, log(SECURE))

    def test_twice(self):
        """
        What is there twice is not trusted.
        """
        assert {"secureBoot": False} == issue(self.RULES, log(SECURE, SECURE))

    def test_no_log(self):
        """
        Without a log the last rule stands in.
        """
        assert {"secureBoot": False} == issue(self.RULES)


class TestSets:
    RULES = (
        'c:[type=="events"] => add(type="tags", value=JmesPath(c.value, '
        "\"Events[? EventTypeString == 'EV_EVENT_TAG' && (PcrIndex == `12` "
        '|| PcrIndex == `19`)].ProcessedData.BOUNDARY"));'
        'c:[type=="tags"] => add(type="set", value=JsonToClaimValue('
        'JmesPath(c.value, "[*].REQUIRED")));'
        'c:[type=="tags"] => add(type="set", value=JsonToClaimValue('
        'JmesPath(c.value, "[*].MANDATORY")));'
        'c:[type=="set", issuer=="AttestationPolicy"] => issue(type="on", '
        "value=ContainsOnlyValue(c.value, true));"
        '![type=="on", issuer=="AttestationPolicy"] => '
        'issue(type="on", value=false);'
        'c:[type=="on"] => issue(type="also", value=c.value);'
    )

    @pytest.mark.parametrize(
        ("values", "on"),
        [
            ([{"REQUIRED": True}, {"MANDATORY": True}], True),
            ([{"REQUIRED": True}, {"MANDATORY": False}], False),
            ([{"OTHER": 1}], False),
            ([], False),
        ],
    )
    def test_only_value(self, values, on):
        """
        A set that two rules have filled contains only one value, or is empty.
        """
        events = [event(i, 12, BOUNDARY=v) for i, v in enumerate(values)]

        assert {"on": on, "also": on} == issue(self.RULES, log(*events))

    def test_key_types(self):
        """
        A test for a value holds if one claim of the set has it.
        """
        rules = (
            'c:[type=="keys"] => add(type="types", value=JsonToClaimValue('
            'JmesPath(c.value, "[*].jwk.kty")));'
            'c:[type=="types", issuer=="AttestationPolicy", value=="RSA"] => '
            'issue(type="types", value="RSA");'
        )
        keys = [{"jwk": {"kty": kty}} for kty in ("EC", "RSA")]

        assert {"types": "RSA"} == issue(rules, {"keys": keys})


class TestMadeQueries:
    RULES = (
        'c:[type=="events"] => add(type="sep", value=JmesPath(c.value, '
        "\"Events[? EventTypeString == 'EV_SEPARATOR'] | @[0].EventSeq\"));"
        'c:[type=="sep", value != "null"] => add(type="clause", value='
        'AppendString(AppendString("Events[? EventSeq < `", c.value), "`"));'
        '[type=="sep", value=="null"] => add(type="clause", '
        'value="Events[? `true` ");'
        'c:[type=="clause"] => add(type="query", value=AppendString(c.value, '
        '" && ProcessedData.SVN] | @[0].ProcessedData.SVN"));'
        'q:[type=="query"] && d:[type=="events"] => issue(type="svn", '
        "value=JsonToClaimValue(JmesPath(d.value, q.value)));"
    )

    def test_before_the_separator(self):
        """
        A query can be made of what another one found.
        """
        events = log(
            event(1, 12), event(2, 12, SVN=5), event(3, 12, "EV_SEPARATOR")
        )

        assert {"svn": 5} == issue(self.RULES, events)

    def test_behind_the_separator(self):
        """
        What comes too late is not found, and null issues nothing.
        """
        events = log(event(3, 12, "EV_SEPARATOR"), event(4, 12, SVN=5))

        assert {} == issue(self.RULES, events)

    def test_without_separator(self):
        """
        What was not found is null, as text.
        """
        assert {"svn": 5} == issue(self.RULES, log(event(4, 12, SVN=5)))


class TestDrivers:
    RULE = (
        'c:[type=="events"] => issue(type="elam", value=JsonToClaimValue('
        'JmesPath(c.value, "Events[].ProcessedData.MODULES[] | [? VALIDATED '
        "== `true` && (equals_ignore_case(PATH, '\\\\windows\\\\a.sys') || "
        "equals_ignore_case(PATH, '\\\\windows\\\\b.sys'))] | @ != `null`\")));"
    )

    def test_path(self):
        """
        A path is compared in any letter case; of its backslashes, doubled in
        the policy, one each is left.
        """
        rule = self.RULE.replace("| @ != `null`", "| length(@)")
        module = {"VALIDATED": True, "PATH": "\\Windows\\B.SYS"}

        assert {"elam": 1} == issue(rule, log(event(1, 12, MODULES=[module])))

    def test_as_documented(self):
        """
        What is compared with null is a list, and so true, even if empty.
        """
        assert {"elam": True} == issue(self.RULE, log(event(1, 12, MODULES=[])))


class TestPcrs:
    def test_permit(self):
        """
        Known values of registers permit.
        """
        rules = "".join(
            f'c:[type=="pcrs"] => add(type="ok{i}", value=JsonToClaimValue('
            f'JmesPath(c.value, "PCRs[? Index == `{i}`].Digest | @[0] == '
            f"'d{i}' \")));"
            for i in range(2)
        )
        text = write(
            authorization=f'{rules}[type=="ok0", value==true] && '
            '[type=="ok1", value==true] => permit();'
        )

        def claims(*digests):
            pcrs = [{"Index": i, "Digest": d} for i, d in enumerate(digests)]
            return {"pcrs": {"PCRs": pcrs}}

        assert run(text, claims("d0", "d1")).permitted
        assert not run(text, claims("d0", "d2")).permitted

    def test_issue_where_authorized(self):
        """
        What is issued among the authorization rules is seen by later ones,
        and reaches no token.
        """
        decision = run(
            write(
                authorization='c:[type=="key", value=="RSA"] => '
                'issue(type="ok", value=true);'
                '[type=="ok", value==true] => permit();'
            ),
            {"key": "RSA"},
        )

        assert decision.permitted
        assert {} == decision.issued


class TestEnclaves:
    SGX = (
        '[ type=="x-ms-sgx-is-debuggable", value==false ]\n'
        '&& [ type=="x-ms-sgx-product-id", value==1 ]\n'
        '&& [ type=="x-ms-sgx-svn", value>= 2 ]\n'
        '&& [ type=="x-ms-sgx-mrsigner", value=="aa"] => permit();'
    )

    @pytest.mark.parametrize(
        ("name", "value", "permitted"),
        [
            ("x-ms-sgx-svn", 2, True),
            ("x-ms-sgx-svn", 3, True),
            ("x-ms-sgx-svn", 1, False),
            ("x-ms-sgx-svn", "3", False),
            ("x-ms-sgx-is-debuggable", True, False),
            ("x-ms-sgx-mrsigner", "AA", False),
            ("x-ms-sgx-product-id", True, False),
        ],
    )
    def test_sgx(self, name, value, permitted):
        """
        An enclave's signer, product, version and debugging are what policies
        ask for most.
        """
        claims = {
            "x-ms-sgx-is-debuggable": False,
            "x-ms-sgx-product-id": 1,
            "x-ms-sgx-svn": 2,
            "x-ms-sgx-mrsigner": "aa",
            name: value,
        }
        decision = run(write(authorization=self.SGX), claims)

        assert permitted is decision.permitted

    def test_runtime_claims(self):
        """
        What the guest said of itself can be looked into as JSON.
        """
        rules = (
            'c:[type=="x-ms-runtime"] => issue(type="secure-boot", '
            "value=JsonToClaimValue(JmesPath(c.value, "
            '"\\"vm-configuration\\".\\"secure-boot\\"")));'
        )
        runtime = {"vm-configuration": {"secure-boot": True}}

        assert {"secure-boot": True} == issue(rules, {"x-ms-runtime": runtime})

    def test_os_name(self):
        """
        What the client says may be checked against what the service says.
        """
        rules = (
            'f:[type=="OSName", issuer=="CustomClaim"] && [type=="OSName", '
            'issuer=="AttestationService", value==f.value] => '
            'issueproperty(type="report_validity_in_minutes", value=1440);'
        )
        decision = run(write(rules), {"OSName": "a"})

        assert {} == decision.properties
