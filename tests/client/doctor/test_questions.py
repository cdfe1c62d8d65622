"""
What is asked of a service, and what is not.
"""

import pytest

from tests.client.doctor.looking import facts, look, make_wish, target
from tests.client.doctor.test_site import question
from tests.client.wishes import SGX, TDX
from thim.client.doctor.questions import is_about_tdx, want_documents
from thim.client.sources import Sources


class TestAsked:
    def test_cas(self, intel):
        """
        Of the CRLs those of the CAs are asked for that are named, or both.
        """
        sources = Sources(url="https://a.example")
        wishes = (make_wish(intel, cas=frozenset({ca})) for ca in (SGX.ca,))
        (one,) = ({w.what for w in want_documents(sources, w)} for w in wishes)
        both = {w.what for w in want_documents(sources, make_wish(intel))}

        assert f"CRL of the {TDX.ca.value} CA" in both - one
        assert f"CRL of the {SGX.ca.value} CA" in one

    def test_seconds(self, intel):
        """
        Nothing is waited for longer than was wished.
        """
        wanted = want_documents(
            Sources(url="https://a.example"), make_wish(intel, seconds=7.0)
        )

        assert {7.0} == {each.request.seconds for each in wanted}

    @pytest.mark.parametrize(
        ("what", "changes", "expected"),
        [
            ("TD_QE identity", {}, True),
            ("QE identity", {}, False),
            ("TD_QE identity", {"models": (SGX,)}, True),
            ("TD_QE identity", {"models": (SGX, TDX)}, False),
            ("TD_QE identity", {"with_tdx": True}, False),
        ],
    )
    def test_tdx(self, intel, what, changes, expected):
        """
        What is there for TDX alone matters only to who asks for TDX.
        """
        assert expected == is_about_tdx(what, make_wish(intel, **changes))

    def test_both(self, doctored, intel):
        """
        With TDX the TCB infos of both are asked for of a platform's FMSPC.
        """
        wish = make_wish(
            intel, platforms=(("line 1", question()),), with_tdx=True
        )
        told = facts(look(wish, target(doctored.url)))

        assert "TCB info (SGX, 00606A000000)" in told
        assert "TCB info (TDX, 00606A000000)" in told

    def test_not_named(self, doctored, intel):
        """
        Where nobody names a platform's model it is said how that is done.
        """
        found = look(make_wish(intel), target(doctored.url))

        assert "name --fmspc" in facts(found)["TCB info"]

    def test_root_crl(self, intel):
        """
        Intel's own root CRL is asked for where Intel has it.
        """
        sources = Sources(url="https://api.trustedservices.intel.com")
        first, *_ = want_documents(sources, make_wish(intel))

        assert first.request.url.startswith("https://certificates.trusted")
