"""
A verdict as a tree, in colour where there is a terminal.
"""

from __future__ import annotations

import sys

from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from thim.attestation.account import BEHIND, FACTS, FAILED, NOT_REACHED, OK
from thim.errors import printable


if TYPE_CHECKING:
    from thim.attestation.account import Account

_MARKS: Final = {
    OK: ("ok", "green"),
    BEHIND: ("behind", "yellow"),
    FAILED: ("FAILED", "bold red"),
    NOT_REACHED: ("-", "dim"),
}
#: Into a file or a pipe nothing is cut off.
_WIDTH: Final = 400


def write_tree(account: Account) -> None:
    """
    Print *account*: the verdict, each step with what was found, and why.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(
            highlight=False, markup=False, emoji=False, width=_WIDTH
        )
    # Not written by rich, which ends the program when a reader goes away.
    with console.capture() as captured:
        console.print(_make_tree(account))
    for line in captured.get().splitlines():
        sys.stdout.write(f"{line.rstrip()}\n")


def _make_tree(account: Account) -> Tree:
    tree = Tree(_headline(account), guide_style="dim")
    for step in account["steps"]:
        _add_step(tree, step, account["findings"])
    numbers = {step["number"] for step in account["steps"]}
    for finding in account["findings"]:
        if finding["step"] not in numbers:
            tree.add(_finding(finding))
    _add_notes(tree, account["notes"])
    _add_collateral(tree, account)
    _add_facts(tree, account["claims"] or {})
    return tree


def _headline(account: Account) -> Text:
    evidence = account["evidence"]
    line = Text(printable(account["file"]) + ": ")
    if evidence is not None:
        envelope = evidence["envelope"]
        within = f" in an {envelope}" if envelope else ""
        line.append(f"{evidence['kind']}{within}, ")
    if account["authentic"] is None:
        return line.append("nobody can say", style="bold yellow")
    if not account["authentic"]:
        return line.append("not authentic", style="bold red")
    line.append("authentic", style="bold green")
    status = account["tcb_status"] or (
        "no TCB level" if "tcb" in account else None
    )
    if status is not None:
        style = "bold green" if account["acceptable"] else "bold yellow"
        line.append(", ").append(status, style=style)
    number, baseline = account["evaluation_number"], account["baseline"]
    if number is not None:
        line.append(f" by TCB evaluation data number {number}")
        if baseline not in {None, str(number)}:
            line.append(f" (baseline {baseline})")
    return line.append(f" at {account['at']}")


def _add_step(
    tree: Tree, step: dict[str, Any], findings: list[dict[str, Any]]
) -> None:
    mark, style = _MARKS[step["result"]]
    line = Text(f"{step['number']:2} ", style="dim")
    line.append(step["title"])
    line.append(f": {mark}", style=style)
    if step["found"]:
        line.append(f" ({printable(step['found'])})", style="dim")
    branch = tree.add(line)
    for finding in findings:
        if finding["step"] == step["number"]:
            branch.add(_finding(finding))


def _finding(finding: dict[str, Any]) -> Text:
    line = Text(printable(finding["detail"]))
    if finding["advisories"]:
        line.append(f" [{', '.join(finding['advisories'])}]", style="dim")
    if finding["remedy"]:
        line.append(f" -> {finding['remedy']}", style="cyan")
    return line


def _add_notes(tree: Tree, notes: list[dict[str, Any]]) -> None:
    if notes:
        branch = tree.add(Text("notes"))
        for note in notes:
            branch.add(_finding(note))


def _add_collateral(tree: Tree, account: Account) -> None:
    if not account["collateral"]:
        return
    branch = tree.add(Text("decided by"))
    for used in account["collateral"]:
        number = used["evaluation_number"]
        what = "" if number is None else f" number {number}"
        span = f"{used['issued']} to {used['ends'] or 'ever'}"
        digest = used["sha256"][:16]
        branch.add(
            Text(f"{used['document']}{what}, {span}, sha256 {digest}...")
        )


def _add_facts(tree: Tree, claims: dict[str, Any]) -> None:
    facts = [name for name in FACTS if claims.get(name) is not None]
    if facts:
        branch = tree.add(Text("says"))
        for name in facts:
            branch.add(Text(f"{name}: {_spell(claims[name])}"))


def _spell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
