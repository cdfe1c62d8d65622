"""
Which reasons there are, by the source.
"""

import ast
import functools
import re

from collections.abc import Iterator

from tests.conftest import PROJECT


SOURCE = PROJECT / "src" / "thim"
#: They read others' files, or play the vendors: these reasons are not ours.
NOT_OURS = {
    "client/jsonc.py",
    "simulate/catalogue.py",
    "simulate/refusals.py",
}
#: Parameters of this name that take a sentence of a person's.
SENTENCES = {"deciding_about_tenants"}
_NAME = re.compile("[a-z0-9]+(?:-[a-z0-9]+)*")


def find_reasons() -> set[str]:
    """
    Return every reason that is written out somewhere.
    """
    return {
        name
        for place, tree in _trees().items()
        if place not in NOT_OURS
        for name in _names(tree)
        if _NAME.fullmatch(name)
    }


def find_words() -> tuple[set[str], list[re.Pattern[str]]]:
    """
    Return every text in the source, and a pattern for each that is made of
    parts, of which one is a word.
    """
    words, patterns = set(), []
    for tree in _trees().values():
        for node in ast.walk(tree):
            words |= {text.partition(":")[0] for text in _texts(node)}
            if isinstance(node, ast.JoinedStr) and _has_word(node):
                patterns.append(_to_pattern(node))
    return words, patterns


@functools.cache
def _trees() -> dict[str, ast.Module]:
    return {
        str(path.relative_to(SOURCE)): ast.parse(path.read_text("utf-8"))
        for path in SOURCE.rglob("*.py")
    }


def _names(tree: ast.Module) -> Iterator[str]:
    constants = dict(_constants(tree))
    helpers = dict(_helpers(tree)) | dict(_imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for value in _given(node, helpers):
                name = getattr(value, "id", None)
                yield from _texts(constants.get(name, value))
        if isinstance(node, ast.FunctionDef):
            yield from _texts(_default(node.args))
        if isinstance(node, ast.ClassDef):
            yield from _texts(dict(_constants(node)).get("default_reason"))


def _imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """
    Return what takes a reason by its place and is another module's.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            path = node.module.removeprefix("thim.").replace(".", "/")
            source = _trees().get(f"{path}.py")
            known = dict(_helpers(source)) if source else {}
            for each in node.names:
                if each.name in known:
                    yield each.asname or each.name, known[each.name]


def _constants(
    tree: ast.Module | ast.ClassDef,
) -> Iterator[tuple[str, ast.expr | None]]:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(
            node.target, ast.Name
        ):
            yield node.target.id, node.value
        if isinstance(node, ast.Assign) and isinstance(
            node.targets[0], ast.Name
        ):
            yield node.targets[0].id, node.value


def _helpers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """
    Return the functions that take a reason by its place, and which.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [each.arg for each in node.args.args]
            if "reason" in names:
                yield node.name, names.index("reason") - (names[0] == "self")


def _given(call: ast.Call, helpers: dict[str, int]) -> Iterator[ast.expr]:
    function = call.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    if name in SENTENCES:
        return
    yield from (each.value for each in call.keywords if each.arg == "reason")
    place = helpers.get(name, len(call.args))
    yield from call.args[place : place + 1]


def _default(arguments: ast.arguments) -> ast.expr | None:
    pairs = [
        *zip(arguments.args[::-1], arguments.defaults[::-1], strict=False),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return next((value for a, value in pairs if a.arg == "reason"), None)


def _texts(node: ast.AST | None) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    if isinstance(node, ast.BoolOp):
        return {text for value in node.values for text in _texts(value)}
    return set()


def _has_word(node: ast.JoinedStr) -> bool:
    return any(
        re.search("[a-z]{2}", text)
        for part in node.values
        for text in _texts(part)
    )


def _to_pattern(node: ast.JoinedStr) -> re.Pattern[str]:
    parts = (
        re.escape("".join(_texts(part))) or "[a-z-]+" for part in node.values
    )
    return re.compile("".join(parts))
