"""Contracts are types: nobody asks a target, a scheme, a module or a relation by text what it has."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from attnprof.locate import PACKAGE

LOOKUPS = {"getattr", "hasattr", "setattr"}
# What the things of the contracts are called where they are passed about.
CONTRACTS = {
    "target",
    "scheme",
    "spec",
    "relation",
    "pattern",
    "entry",
    "impl",
    "implementation",
    "how",
    "core",
    "part",
    "built",
}
# A part names the parameters that it shares with other layers: data, not a contract.
ALLOWED = {("layers/block.py", "getattr", "part"), ("layers/block.py", "setattr", "part")}


def asked(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Look-ups, and what is asked: its name, or that of the attribute (`self.entry` is an entry)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LOOKUPS:
            subject = node.args[0]
            while isinstance(subject, ast.Call):
                subject = subject.args[0] if subject.args else subject.func
            name = subject.attr if isinstance(subject, ast.Attribute) else getattr(subject, "id", "")
            yield node.func.id, name.strip("_")


def test_nothing_of_a_contract_is_looked_up_by_text() -> None:
    found = {
        (str(file.relative_to(PACKAGE)), call, subject)
        for file in sorted(PACKAGE.rglob("*.py"))
        for call, subject in asked(ast.parse(file.read_text()))
        if subject in CONTRACTS
    }
    assert found == ALLOWED


def test_a_look_up_is_seen_through_another() -> None:
    tree = ast.parse('getattr(getattr(target, "entry", None), "draw", None); hasattr(self._scheme(), "Layer")')
    assert {subject for _, subject in asked(tree)} == {"target", "scheme"}
