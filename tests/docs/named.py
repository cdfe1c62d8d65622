"""
Whether a test that a document names in the place of a run knows what is there.
"""

from __future__ import annotations

import ast
import re

from collections.abc import Iterator
from typing import Final

from tests.conftest import PROJECT
from tests.docs.pages import Block, list_block
from tests.docs.running import NOT_RUN, find_notes


_TEST: Final = re.compile(r"tests/\w[\w/]*\.py")
#: A group or verb of a command line.
_VERB: Final = re.compile(r"[a-z]+(-[a-z]+)*")
_CURL: Final = re.compile(r"(?m)^curl (?:.*\\\n)*.*$")
#: Where the path of a URL that is asked ends.
_ASKED: Final = re.compile(r"/([\w-]+)(?=[?\"'\s])")


def explain_named(block: Block) -> list[str]:
    """
    Return what the tests that the note on a *block* names do not know of it:
    they read its page, or have each verb, option, path or imported name.
    """
    told = "\n".join(find_notes(block, NOT_RUN))
    troubles = []
    for name in _TEST.findall(told):
        path = PROJECT / name
        text = path.read_text() if path.is_file() else ""
        if block.page.name not in text:
            troubles += [
                f"{block}: {name} has no {word!r}"
                for word in _find_words(block)
                if word not in text
            ]
    return troubles


def _find_words(block: Block) -> list[str]:
    verbs = [v for words in list_block(block) for v in _find_verbs(words)]
    asked = [
        name
        for line in _CURL.findall(block.text)
        for name in _ASKED.findall(line)
    ]
    found = [*verbs, *asked, *_find_imported(block)]
    return found or [block.page.name]


def _find_imported(block: Block) -> Iterator[str]:
    if block.language == "python":
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom):
                yield from (each.name for each in node.names)


def _find_verbs(words: list[str]) -> Iterator[str]:
    for word in words[:2]:  # a group and its verb
        if not _VERB.fullmatch(word):
            break
        yield word
    yield from (w.partition("=")[0] for w in words if w.startswith("--"))
