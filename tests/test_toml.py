import contextlib

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.toml import parse_toml


class TestBounds:
    @pytest.mark.parametrize("part", ["a", '"a b"', "'.'", "a ", " a", '""'])
    @pytest.mark.parametrize(
        "form",
        ["{} = 1", "[{}]", "[[{}]]", "x = {{{} = 1}}", "x = {{y = 1, {}=1}}"],
    )
    def test_long_key(self, part, form):
        """
        A key of more parts than anybody writes is refused before it is read,
        which would take a time with the square of them.
        """
        text = form.format(".".join([part] * 100_000))

        with pytest.raises(ValueError, match="fewer than 128 dots in a key"):
            parse_toml(text)

    def test_longest_key(self):
        """
        One with fewer dots is read.
        """
        assert {"a"} == parse_toml(".".join(["a"] * 128) + " = 1").keys()

    @pytest.mark.parametrize("piece", ["a", '" ', "' ", " ", "a ", ".", "-"])
    def test_endless(self, piece):
        """
        What is no key is looked through once, however long it is.
        """
        text = piece * 400_000

        assert {"x": text} == parse_toml(f"x = '''{text}'''")

    @pytest.mark.parametrize("text", ["x = " + "[" * 999, "x = " + "{a=" * 999])
    def test_deep(self, text):
        """
        What is nested too deeply is no TOML, as anything else that is none.
        """
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_toml(text)

    @given(st.text())
    def test_any(self, text):
        """
        A text is a table, or no TOML.
        """
        with contextlib.suppress(ValueError):
            assert isinstance(parse_toml(text), dict)
