"""What nothing in attnprof, its patterns, its page or its documents asks for is dead, whatever tests do with it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Container, Iterator

from attnprof.locate import PACKAGE

SOURCES = [path for room in ("attnprof", "patterns") for path in sorted((PACKAGE.parent / room).rglob("*.py"))]
OTHERS = ("*.md", "*.toml", "docs/**/*.md", "reports/**/*.j2", "reports/**/*.js", "reports/**/*.toml")
KEPT = {"property", "classmethod", "staticmethod", "dataclass", "cache", "cached_property", "lru_cache"}
FEW = 9  # a name that is asked for more often than this is not looked into
BY_OTHERS = {  # what click, pytest, enum and torch call by its name
    *("list_commands", "get_command", "resolve_command", "format_commands", "get_metavar", "convert"),
    *("pytest_addoption", "_missing_", "_should_skip_dynamo"),
}


def asked(tree: ast.AST) -> Counter[str]:
    """How often each name is asked for: bare, imported, behind a dot, in a text that is a path or a list of names."""
    found: Counter[str] = Counter()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
                found[name] += 1
            case ast.ImportFrom(names=aliases):
                found.update(alias.name for alias in aliases)
            case ast.Constant(value=str(text)) if re.fullmatch(r"[\w.:]+", text):
                found.update(re.findall(r"\w+", text))
    return found


def defined(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Functions, classes, methods and the file's constants; not what a decorator hands to a table."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("__"):
            heads = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
            if all(ast.unparse(head).split(".")[-1] in KEPT for head in heads):
                yield node.name, node
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))


def dead(texts: list[str], spoken: Container[str] = ()) -> set[str]:
    """Names defined once that are asked for nowhere but in their own definition and in those of the dead."""
    trees = [ast.parse(text) for text in texts]
    asks: Counter[str] = Counter()
    for tree in trees:
        asks.update(asked(tree))
    nodes = [found for tree in trees for found in defined(tree) if found[0] not in spoken]
    same = Counter(name for name, _ in nodes)
    own = {name: asked(node) for name, node in nodes if same[name] == 1 and asks[name] < FEW}
    found: set[str] = set()
    while new := {name for name in own if name not in found and asks[name] <= own[name][name]}:
        found |= new
        for name in new:
            asks.subtract(own[name])
            own[name].clear()
    return found


def test_nothing_stands_there_for_nobody() -> None:
    texts = [path.read_text() for pattern in OTHERS for path in PACKAGE.parent.glob(pattern)]
    spoken = BY_OTHERS | {word for text in texts for word in re.findall(r"\w+", text)}
    assert dead([path.read_text() for path in SOURCES], spoken) == set()


def test_what_only_the_dead_ask_for_is_dead_too() -> None:
    lost, kept = "def lost(): kept(), again()\ndef again(): again()\n", "def kept(): ...\nprint(kept())\n"
    assert dead([lost, kept]) == {"lost", "again"}
