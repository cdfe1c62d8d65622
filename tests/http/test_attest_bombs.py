"""
Policies that anybody may send along end by their budget, and the service goes
on.
"""

import pytest

from tests.http.attesting import error_in


LIST = r'"[[1,2,3,4,5,6,7,8],[1,2,3,4,5,6,7,8],[1,2,3,4,5,6,7,8]]"'
MANY = ",".join(["@"] * 300)
TEXT = r'"\"aaaaaaaaaaaaaaaaaaaa\""'


def issuing(expression):
    """
    Make a draft that issues the value of an expression.
    """
    rule = f'=> issue(type="b", value={expression});'
    return (
        "version=1.2;authorizationrules{=> permit();};"
        f"issuancerules{{{rule}}};"
    )


def search(query, text=LIST):
    """
    Make a draft that searches in a text.
    """
    return issuing(f'JmesPath({text}, "{query}")')


class TestBombs:
    @pytest.mark.parametrize(
        ("draft", "code", "reason"),
        [
            (
                search(" | ".join(["[@,@]"] * 60)),
                "PolicyEvaluationError",
                "policy-budget",
            ),
            (
                search(f"[{MANY}] | [[{MANY}]]"),
                "PolicyEvaluationError",
                "policy-budget",
            ),
            (
                search(
                    " | ".join(
                        ["join(to_string(@),[to_string(@),to_string(@)])"] * 20
                    ),
                    TEXT,
                ),
                "PolicyEvaluationError",
                "policy-budget",
            ),
            (search("[" * 500 + "]" * 500), "PolicyParsingError", None),
            (
                issuing("AppendString(" * 80 + '"a","b"' + ',"c")' * 79 + ")"),
                "PolicyParsingError",
                None,
            ),
        ],
        ids=["doubling", "wide", "long", "deep query", "deep calls"],
    )
    def test_bomb(self, attested, draft, code, reason):
        """
        What takes more than its budget is the draft's mistake, and the next
        request is answered.
        """
        got = attested.sgx(draftPolicyForAttestation=draft)

        status, found, why = error_in(got)
        assert (400, code) == (status, found)
        assert reason in {None, why}
        assert 200 == attested.sgx().status
