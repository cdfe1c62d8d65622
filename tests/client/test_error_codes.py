import collections

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.client.error_code_page import PAGE, render
from thim.client.error_codes import CODES, find_codes, find_similar, spell


def names(text):
    """
    Return the names of what *text* may mean.
    """
    return [code.name for code in find_codes(text)]


class TestTable:
    def test_numbers(self):
        """
        A library has each number once, and each name is one code's.
        """
        numbers = collections.Counter(
            (code.library.partition(" (")[2], code.number)
            for code in CODES
            if code.number is not None
        )
        called = collections.Counter(code.name for code in CODES)

        assert [] == [each for each, n in numbers.items() if n > 1]
        assert [] == [each for each, n in called.items() if n > 1]

    def test_sentences(self):
        """
        Each code has a cause and a mend, written as sentences.
        """
        causes = [(c.name, each) for c in CODES for each in c.causes]

        assert {c.name for c in CODES} == {name for name, _ in causes}
        assert [] == [n for n, each in causes if not each.why.endswith(".")]
        assert [] == [n for n, each in causes if not each.mend]

    def test_page(self):
        """
        The page in the documentation is the one that the table makes.
        """
        assert render() == PAGE.read_text()


class TestFinding:
    @pytest.mark.parametrize(
        "text",
        [
            "0xe019",
            "0XE019",
            "e019",
            " 0xE019 ",
            "57369",
            "0x11019",
            "SGX_QL_NETWORK_ERROR",
            "sgx_ql_network_error",
            "TEE_NETWORK_ERROR",
            "TEE_ATT_NETWORK_ERROR",
        ],
    )
    def test_spellings(self, text):
        """
        A code is known by its number, however that is written, and its names.
        """
        assert ["SGX_QL_NETWORK_ERROR"] == names(text)

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("0xe03a", "SGX_QL_TCBINFO_CHAIN_ERROR"),
            ("0xb006", "SGX_QCNL_NETWORK_COULDNT_CONNECT"),
            ("OE_TCB_LEVEL_INVALID", "OE_TCB_LEVEL_INVALID"),
            ("0x1b", "OE_MISSING_CERTIFICATE_CHAIN"),
            ("461", "461"),
            ("unknown-platform", "unknown-platform"),
            ("invalidquote", "InvalidQuote"),
        ],
    )
    def test_libraries(self, text, name):
        """
        Codes of all libraries that end on the same screen are known.
        """
        assert [name] == names(text)

    def test_ambiguous(self):
        """
        A small number may be that of several libraries: all are told.
        """
        assert {"OE_VERIFY_FAILED", "TDX_ATTEST_ERROR_QUOTE_FAILURE"} == set(
            names("0x8")
        )

    def test_first_cause(self):
        """
        The most probable cause comes first.
        """
        (code,) = find_codes("0xe019")

        assert "was not reached" in code.causes[0].why
        assert "0xe019 SGX_QL_NETWORK_ERROR" == spell(code)

    @pytest.mark.parametrize("text", ["", "0xe099", "nonsense", "-1", "0x"])
    def test_unknown(self, text):
        """
        What is not known is nothing.
        """
        assert () == find_codes(text)

    def test_similar(self):
        """
        A name that is nearly one is recognised.
        """
        assert "SGX_QL_NETWORK_ERROR" in find_similar("SGX_QL_NETWORK_EROR")

    @given(st.text())
    def test_anything(self, text):
        """
        No text is too strange to be looked up.
        """
        assert isinstance(find_codes(text), tuple)
