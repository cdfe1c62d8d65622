"""
Read a policy.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re

from typing import TYPE_CHECKING, Any, Final

from lark import Lark, UnexpectedCharacters, UnexpectedToken

from thim.attestation.policy.build import Builder, at
from thim.attestation.policy.check import check_rule_sets, check_version
from thim.attestation.policy.compile import CompiledRule, compile_rule
from thim.attestation.policy.errors import PolicySyntaxError
from thim.attestation.policy.grammar import GRAMMAR, WORDS
from thim.attestation.policy.limits import MAX_POLICY_SIZE
from thim.attestation.policy.queries import compile_queries
from thim.attestation.policy.syntax import Literal, Section
from thim.errors import MalformedError


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lark import Token
    from lark.exceptions import UnexpectedInput

    from thim.attestation.policy.syntax import Rule, RuleSet

_BYTE_ORDER_MARK: Final = "\ufeff"
#: What is not seen, or turns what is seen around: nobody could review it.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u2069\ud800-\udfff\ufeff]"
)
_JSON_POLICY: Final = re.compile(r'\s*\{\s*"')

#: Of what stands open where a text goes wrong, which part that is.
_PARTS: Final = {
    "HEAD": "versionInfo",
    "SECTION": "section",
    "LABEL": "condition",
    "NOT": "condition",
    "LSQB": "condition",
    "ARROW": "claimRule",
    "ACTION": "action",
    "MEMBER": "claim",
    "WORD": "expression",
}
_HINTS: Final = {
    "\u201c": "expected straight quotes",
    "\u201d": "expected straight quotes",
    "\u2018": "expected straight quotes",
    "\u2019": "expected straight quotes",
    "\\": "expected no backslash outside a string: was the text escaped twice?",
    '"': "a string without its closing quote",
    "'": 'expected double quotes: "',
    "\u00a0": "a no-break space, expected an ordinary one",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    A policy, ready to be run.

    Attributes:
        text: As it was written.
        version: Of the language: 1.0, 1.1 or 1.2.
        sections: As they are written, in the order of the text.
        programs: The rules of each section, as they are run.
    """

    text: str = dataclasses.field(compare=False)
    version: str
    sections: tuple[RuleSet, ...]
    programs: Mapping[Section, tuple[CompiledRule, ...]] = dataclasses.field(
        compare=False, repr=False
    )

    def rules(self, section: Section) -> tuple[Rule, ...]:
        """
        Return the rules of *section*; of one that is not there none.
        """
        return tuple(each.rule for each in self.programs[section])


def parse_policy(text: str, most: int = MAX_POLICY_SIZE) -> Policy:
    """
    Read *text*, of at most so many bytes, as a policy.

    Raises:
        PolicySyntaxError: It is none; line and column say where.
        MalformedError: It is too large.
    """
    _check_size(text, most)
    _check_characters(text)
    readable = text.removeprefix(_BYTE_ORDER_MARK)
    number, sections = _read(readable)
    version = check_version(number)
    check_rule_sets(sections, version)
    return Policy(
        text=text,
        version=version,
        sections=tuple(sections),
        programs=_compile(sections),
    )


def _read(text: str) -> tuple[Token, list[RuleSet]]:
    try:
        # What the builder makes of a policy, and no tree.
        return _parser().parse(text)  # type: ignore[return-value]
    except (UnexpectedToken, UnexpectedCharacters) as e:
        raise _explain(e, text) from None


def _compile(
    sections: Iterable[RuleSet],
) -> dict[Section, tuple[CompiledRule, ...]]:
    written = {each.section: each.rules for each in sections}
    queries = compile_queries(itertools.chain(*written.values()))
    return {
        section: tuple(
            compile_rule(each, section, queries)
            for each in written.get(section, ())
        )
        for section in Section
    }


@functools.cache
def _parser() -> Lark:
    return Lark(
        GRAMMAR,
        parser="lalr",
        lexer="contextual",
        start="policy",
        transformer=Builder(),
        maybe_placeholders=True,
    )


def _check_size(text: str, most: int) -> None:
    size = len(text)
    if size <= most:
        size = len(text.encode("utf-8", "surrogatepass"))
    if size > most:
        msg = f"a policy of {size} bytes, expected at most {most}"
        raise MalformedError(msg, reason="policy-too-large")


def _check_characters(text: str) -> None:
    if _JSON_POLICY.match(text):
        expected = (
            "expected version=1.0;, 1.1 or 1.2: JSON policies ($version) of "
            "2018 are not supported"
        )
        raise PolicySyntaxError((1, 1), "{", expected, ["versionInfo"])
    unseen = _UNSEEN.search(text, text.startswith(_BYTE_ORDER_MARK))
    if unseen:
        expected = "expected characters that can be seen"
        found = ascii(unseen[0])[1:-1]
        raise PolicySyntaxError(_place(text, unseen.start()), found, expected)


def _place(text: str, index: int) -> tuple[int, int]:
    line_start = text.rfind("\n", 0, index) + 1
    return text.count("\n", 0, index) + 1, index - line_start + 1


def _explain(error: UnexpectedInput, text: str) -> PolicySyntaxError:
    parser: Any = error.interactive_parser
    path = _path(parser.parser_state.value_stack)
    if isinstance(error, UnexpectedCharacters):
        found = error.char
        place = (error.line, error.column)
    else:
        assert isinstance(error, UnexpectedToken)  # noqa: S101 - for mypy
        found = str(error.token)
        if found.startswith('"') and "\n" in found:
            found = '"'  # where it ends is by chance
        place = (error.line, error.column)
        if error.token.type == "$END":
            place = _place(text, len(text.rstrip()))
    expected = _hint(error) or _expected(parser.accepts())
    expected += _long_string(parser.parser_state.value_stack)
    return PolicySyntaxError(place, found, expected, path)


def _hint(error: UnexpectedInput) -> str | None:
    if isinstance(error, UnexpectedCharacters):
        return _HINTS.get(error.char)
    return None


def _long_string(stack: Sequence[object]) -> str:
    """
    Say so if the string before goes on over lines: its end may be elsewhere.
    """
    last = stack[-1] if stack else None
    place = None
    if isinstance(last, Literal) and "\n" in str(last.value):
        place = last.place
    elif getattr(last, "type", "") == "STRING" and "\n" in str(last):
        place = at(last)  # type: ignore[arg-type]
    if place is None:
        return ""
    line, column = place
    return (
        f"; is the string of line {line}, column {column} without its "
        "closing quote?"
    )


def _expected(terminals: Iterable[str]) -> str:
    terminals = set(terminals)
    words = [words for name, words in WORDS.items() if name in terminals]
    if len(words) > 1:
        words[-2:] = [f"{words[-2]} or {words[-1]}"]
    return f"expected {', '.join(words)}"


def _path(stack: Iterable[object]) -> list[str]:
    path: list[str] = []
    for each in stack:
        part = _PARTS.get(getattr(each, "type", ""))
        if part in {"condition", "action"} and "claimRule" not in path:
            path.append("claimRule")
        if part and part not in path:
            path.append(part)
    return path
