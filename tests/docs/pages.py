"""
The documents: their blocks, and the commands that they name.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import textwrap

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.conftest import PROJECT


#: What is read as a document; decisions are about the past.
PAGES: Final = (
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md")),
    PROJECT / "SECURITY.md",
    *sorted((PROJECT / "docs").glob("*.md")),
)
#: The console's pages, which name commands, too.
TEMPLATES: Final = tuple(
    sorted((PROJECT / "src/thim/http/console/templates").glob("*.html"))
)
_FENCE: Final = re.compile(r"^( *)(```+)(\w*)\s*$")
_NOTE: Final = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_SHOWN: Final = re.compile(r"<code>(thim .*?)</code>")
#: What a template puts in, and what it decides by.
_FILLED: Final = re.compile(r"\{\{.*?\}\}")
_DECIDED: Final = re.compile(r"\{%.*?%\}")
_THIM: Final = re.compile(r"^(?:\S*/)?thim$")
#: What begins like a command and is none: what a signature begins with.
_NO_COMMAND: Final = ("thim bundle signature", "thim simulate:")
#: Where one command of a line ends and another begins.
_BETWEEN: Final = re.compile(r"\|\||&&|[|;]|\$\(|\)|───►|◄───")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """
    A fenced block: its *language*, its *text*, the *line* on which it begins,
    and the *note* (an HTML comment) on the line before, if there is one.
    """

    page: Path
    line: int
    language: str
    text: str
    note: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(PROJECT)}:{self.line}"


def read_blocks(page: Path) -> Iterator[Block]:
    """
    Read the fenced blocks of a *page*.
    """
    lines = page.read_text("utf-8").splitlines()
    begun, fence, language = 0, "", ""
    for number, line in enumerate(lines, 1):
        match = _FENCE.match(line)
        if match is None:
            continue
        if not fence:
            begun, fence, language = number, match[1] + match[2], match[3]
        elif match[1] + match[2] == fence and not match[3]:
            # Below an item of a list a block is indented.
            text = "\n".join(lines[begun : number - 1]) + "\n"
            yield Block(
                page=page,
                line=begun,
                language=language,
                text=textwrap.dedent(text),
                note=_find_note(lines[: begun - 1]),
            )
            fence = ""
    assert not fence, f"{page}:{begun}: this block has no end"


def _find_note(before: list[str]) -> str:
    text = "\n".join(before).rstrip()
    if not text.endswith("-->"):
        return ""
    return str(_NOTE.findall(text[text.rindex("<!--") :])[0])


def list_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """
    List what a *page* says of ``thim``: where, and the words behind it.
    """
    for block in read_blocks(page):
        yield from ((str(block), words) for words in list_block(block))
    text = re.sub(r"(?ms)^( *)```.*?^\\1```", "", page.read_text("utf-8"))
    for code in _INLINE.findall(text):
        yield from _find_commands(page.name, code)


def list_block(block: Block) -> Iterator[list[str]]:
    """
    List the words behind each ``thim`` in a *block*.
    """
    joined = re.sub(r"\\\n\s*", " ", block.text)
    for line in joined.splitlines():
        if line.startswith("$ ") or block.language != "console":
            typed = line.removeprefix("$ ")
            yield from (words for _, words in _find_commands("", typed))


def list_shown(template: Path) -> Iterator[tuple[str, list[str]]]:
    """
    List what a *template* of the console says of ``thim``, as `list_commands`.
    """
    for code in _SHOWN.findall(template.read_text("utf-8")):
        line = _DECIDED.sub("", _FILLED.sub("FILLED", code))
        yield from _find_commands(template.name, line)


def _find_commands(place: str, line: str) -> Iterator[tuple[str, list[str]]]:
    for part in _BETWEEN.split(line.replace("\\|", "|")):
        words = _split(part)
        while words and ("=" in words[0] or words[0] in {"sudo", "exec"}):
            del words[0]
        is_none = part.strip().startswith(_NO_COMMAND)
        if len(words) > 1 and _THIM.match(words[0]) and not is_none:
            yield place, words[1:]


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quotation mark of prose, or of JSON on many lines
        return line.split()
