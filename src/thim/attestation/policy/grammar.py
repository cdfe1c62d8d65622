r"""
The grammar of policies, for lark.

Words have terminals of their own by where they stand, all with one pattern:
the parser's state tells them apart, so that no word is reserved.  Which of
them mean something is checked afterwards, so that an error can say more.
"""

from __future__ import annotations

from typing import Final


GRAMMAR: Final = r"""
policy: version section*
version: HEAD "=" NUMBER ";"
section: SECTION "{" rule* "}" [";"]
rule: [conditions] ARROW action ";"
conditions: condition ("&&" condition)*
condition: [NOT] [LABEL ":"] "[" test ("," test)* "]"
test: PROPERTY OPERATOR _expression
action: ACTION "(" [member ("," member)*] ")"
member: MEMBER "=" _expression
_expression: literal | word | reference | call
literal: STRING | INTEGER
word: WORD
reference: WORD "." PROPERTY
call: WORD "(" [_expression ("," _expression)*] ")"

HEAD: /[A-Za-z_][A-Za-z0-9_]*/
SECTION: /[A-Za-z_][A-Za-z0-9_]*/
LABEL: /[A-Za-z_][A-Za-z0-9_]*/
ACTION: /[A-Za-z_][A-Za-z0-9_]*/
MEMBER: /[A-Za-z_][A-Za-z0-9_]*/
PROPERTY: /[A-Za-z_][A-Za-z0-9_]*/
WORD: /[A-Za-z_][A-Za-z0-9_]*/
NUMBER: /[0-9]+(\.[0-9]+)?/
INTEGER: /-?[0-9]+/
STRING: /"(?:[^"\\]|\\.)*"/s
OPERATOR: /==|=|!=|<=|<|>=|>/
ARROW: "=>"
NOT: "!"

%ignore /(?:[ \t\r\n]+|\/\/[^\r\n]*)+/
"""

#: What the terminals are called in errors, in the order of telling.
WORDS: Final = {
    "HEAD": "version",
    "NUMBER": "a version (1.0, 1.1 or 1.2)",
    "SECTION": "a section (configurationrules, authorizationrules or "
    "issuancerules)",
    "LABEL": "an identifier",
    "LSQB": "'['",
    "NOT": "'!'",
    "ARROW": "'=>'",
    "ACTION": "an action (permit, deny, add, issue or issueproperty)",
    "MEMBER": "claim, type, value or valueType",
    "PROPERTY": "a property (type, value, valueType or issuer)",
    "OPERATOR": "an operator (==, !=, <, <=, > or >=)",
    "WORD": "an identifier or a function",
    "STRING": "a string",
    "INTEGER": "an integer, true or false",
    "EQUAL": "'='",
    "COLON": "':'",
    "COMMA": "','",
    "DOT": "'.'",
    "SEMICOLON": "';'",
    "LPAR": "'('",
    "RPAR": "')'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "RSQB": "']'",
    "__ANON_0": "'&&'",
    "$END": "the end of the text",
}
