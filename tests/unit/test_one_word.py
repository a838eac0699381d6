"""One word, one thing: no two types of the house share a name, and no two files."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from attnprof.locate import PACKAGE

# What a scheme's file may define is a contract (`contracts.Scheme`): each file defines its own, under these names.
CONTRACT = {"Core", "Layer", "Projections", "FeedForward"}
SCHEMES = PACKAGE / "schemes"


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def types_of(tree: ast.Module) -> Iterator[str]:
    """The classes and the type aliases that a file defines."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name) and target.id[0].isupper() and not target.id.isupper():
                yield target.id


def test_no_type_name_stands_for_two_things() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for file in sources():
        for name in types_of(ast.parse(file.read_text())):
            if file.parent != SCHEMES or name not in CONTRACT:
                homes[name].append(str(file.relative_to(PACKAGE)))
    assert {name: files for name, files in homes.items() if len(files) > 1 or name in CONTRACT} == {}


def test_no_file_name_stands_for_two_things() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for file in sources():
        name = file.parent.name if file.name == "__init__.py" else file.stem
        homes[name].append(str(file.relative_to(PACKAGE)))
    homes["graph"].remove("cli/graph.py")  # a command's file is called what the command is called
    homes["natten"].remove("impl/natten.py")  # the package of that name computes the scheme that it is named after
    del homes["attnprof"], homes["__main__"]
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}
