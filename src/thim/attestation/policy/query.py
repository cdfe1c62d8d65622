"""
Read JMESPath queries: our lexer, the library's grammar.

The lexer is ours since the library's takes what the specification no longer
allows (literals that are not JSON) and knows no bounds.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from jmespath.exceptions import JMESPathError
from jmespath.parser import Parser

from thim.attestation.policy.errors import PolicyEvaluationError
from thim.attestation.policy.json_text import Json, read_json
from thim.errors import shorten


if TYPE_CHECKING:
    from thim.attestation.policy.limits import Meter

#: As the library has it: type, value, children.
Node: TypeAlias = dict[str, Any]

MAX_QUERY_SIZE: Final = 16 * 1024
_MAX_TOKENS: Final = 2_000
#: A part of a query may be several nodes deep.
_MAX_DEPTH: Final = 128
_MOST_DIGITS: Final = 9
_STEPS_PER_QUERY: Final = 40
_STEPS_PER_TOKEN: Final = 20
_CHARACTERS_PER_STEP: Final = 4

_TOKEN: Final = re.compile(
    r"""
    (?P<skip>[ \t\r\n]+)
    | (?P<unquoted_identifier>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>-?[0-9]+)
    | (?P<quoted_identifier>"(?:[^"\\]|\\.)*")
    | (?P<raw>'(?:[^'\\]|\\.)*')
    | (?P<literal>`(?:[^`\\]|\\.)*`)
    | (?P<symbol>\[\] | \[\? | \|\| | && | == | != | <= | >=
        | [][.*,:@(){}|&<>!])
    """,
    re.VERBOSE | re.DOTALL,
)
_SYMBOLS: Final = {
    "[]": "flatten",
    "[?": "filter",
    "||": "or",
    "&&": "and",
    "==": "eq",
    "!=": "ne",
    "<=": "lte",
    ">=": "gte",
    "[": "lbracket",
    "]": "rbracket",
    ".": "dot",
    "*": "star",
    ",": "comma",
    ":": "colon",
    "@": "current",
    "(": "lparen",
    ")": "rparen",
    "{": "lbrace",
    "}": "rbrace",
    "|": "pipe",
    "&": "expref",
    "<": "lt",
    ">": "gt",
    "!": "not",
}


def read_query(text: str, meter: Meter) -> Node:
    """
    Read *text* as a JMESPath query.

    Raises:
        PolicyEvaluationError: It is none, is too large, or takes more steps
            than *meter* has.
    """
    if len(text) > MAX_QUERY_SIZE:
        msg = (
            f"a query of {len(text)} characters, expected at most "
            f"{MAX_QUERY_SIZE}"
        )
        raise PolicyEvaluationError(msg, reason="policy-query")
    meter.spend(len(text) // _CHARACTERS_PER_STEP)
    tokens = _tokens(text, meter)
    if len(tokens) > _MAX_TOKENS:
        msg = f"a query with more than {_MAX_TOKENS} parts"
        raise PolicyEvaluationError(msg, reason="policy-query")
    meter.spend(_STEPS_PER_QUERY + _STEPS_PER_TOKEN * len(tokens))
    try:
        node = _Grammar().read(tokens)
    except (JMESPathError, IndexError) as e:
        raise refuse_query(text, _first_line(e)) from None
    except RecursionError:
        raise refuse_query(text, "it nests too deep") from None
    _check_depth(node, text)
    return node


def refuse_query(text: str, why: str) -> PolicyEvaluationError:
    """
    Make an error for the query *text*.
    """
    msg = f"the query {shorten(text, 60)}: {why}"
    return PolicyEvaluationError(msg, reason="policy-query")


def _first_line(error: Exception) -> str:
    return shorten(str(error).partition("\n")[0])


class _Grammar(Parser):  # type: ignore[misc]
    """
    The library's parser, which keeps no expressions here.
    """

    def read(self, tokens: list[Node]) -> Node:
        """
        Return the tree of *tokens*.
        """
        self._tokens = tokens
        self._index = 0
        node: Node = self._expression()
        if self._current_token() != "eof":
            self._error_led_token(self._lookahead_token(0))
        return node


def _tokens(text: str, meter: Meter) -> list[Node]:
    found = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise refuse_query(text, f"unexpected {text[position]!r}")
        if match.lastgroup != "skip":
            found.append(_token(match, text, meter))
        position = match.end()
    found.append(_node("eof", "", len(text)))
    return found


def _node(kind: str, value: Json, start: int) -> Node:
    return {"type": kind, "value": value, "start": start, "end": start}


def _token(match: re.Match[str], text: str, meter: Meter) -> Node:
    kind, found, start = str(match.lastgroup), match[0], match.start()
    value: Json = found
    if kind == "symbol":
        kind = _SYMBOLS[found]
    elif kind == "number":
        if len(found) > _MOST_DIGITS:
            raise refuse_query(text, f"{found[:20]} is no index")
        value = int(found)
    elif kind == "raw":
        kind, value = "literal", found[1:-1].replace("\\'", "'")
    elif kind == "literal":
        value = read_json(found[1:-1].replace("\\`", "`"), meter)
    elif kind == "quoted_identifier":
        value = read_json(found, meter)
    return _node(kind, value, start)


def _check_depth(node: Node, text: str) -> None:
    level = [node]
    for _ in range(_MAX_DEPTH):
        level = [child for parent in level for child in children(parent)]
        if not level:
            return
    raise refuse_query(text, f"it nests more than {_MAX_DEPTH} deep")


def children(node: Node) -> list[Node]:
    """
    Return the parts of *node* that are nodes: a slice has numbers.
    """
    return [each for each in node["children"] if isinstance(each, dict)]
