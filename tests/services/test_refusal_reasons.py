import re

from pathlib import Path

from thim.services.refusal_reasons import EXPLANATIONS, explain


MANUAL = Path(__file__).parents[2] / "docs" / "operating.md"


class TestExplain:
    def test_named(self):
        """
        A reason is explained.
        """
        assert "altered" in explain("signature-invalid").meaning

    def test_others(self):
        """
        Any other reason is that there was no such document.
        """
        assert "no such document" in explain("json").meaning

    def test_manual(self):
        """
        What the manual names has an explanation of its own, but for what it
        sums up last.
        """
        text = MANUAL.read_text().partition("## What is refused")[2]
        section = text.partition("\n## ")[0]
        rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        named = set(re.findall("`(.*?)`", "".join(rows[:-1])))

        assert named
        assert set() == named - EXPLANATIONS.keys()
