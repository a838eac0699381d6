"""One-token changes of a source file: swapped operators, constants one higher, comparisons off by their edge, ...

Docstrings, annotations, error texts, assertions and what is for type checking only are left alone: no test could tell.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
CALLS = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
ERRORS = ("AttnprofError", "Unsupported", "Unknowable", "unknown", "TypeVar")
WORD_TABLE = "words"
Edit = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Site:
    """A place where one token can be changed: its line, the code around it, and what changes it in the tree."""

    line: int
    kind: str
    node: ast.AST
    edit: Edit


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file with one change: where it is, the expression before and after, and the whole new text."""

    file: str
    line: int
    kind: str
    before: str
    after: str
    code: str
    text: str

    @property
    def change(self) -> str:
        """For a reader."""
        return f"{self.file}:{self.line}: {self.kind}: {self.before}  ->  {self.after}  in  {self.code}"


def count(source: str) -> int:
    """How many mutants a file has."""
    return len(list(sites(ast.parse(source))))


def mutant(file: str, source: str, at: int) -> Mutant:
    """The mutant with that number."""
    tree = ast.parse(source)
    site = list(sites(tree))[at]
    before, code = _shown(site.node), source.splitlines()[site.line - 1].strip()
    site.edit()
    ast.fix_missing_locations(tree)
    return Mutant(file, site.line, site.kind, before, _shown(site.node), code, ast.unparse(tree) + "\n")


def _shown(node: ast.AST, most: int = 160) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= most else text[: most - 3] + "..."


def sites(tree: ast.Module) -> Iterator[Site]:
    """All places of a file, in the order of its text."""
    for statement in tree.body:
        yield from _within(statement)


def _within(node: ast.AST) -> Iterator[Site]:
    if _untold(node):
        return
    yield from _own(node)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _within(child)


def _untold(node: ast.AST) -> bool:
    """Whether nothing in this node is to be changed."""
    if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return True
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Subscript, ast.BinOp)) and _names_a_type(node):
        return True
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS


def _names_a_type(node: ast.Assign) -> bool:
    """`Bools = NDArray[np.bool_]`: an alias at the top of a file, told by its capital."""
    target = node.targets[0]
    return isinstance(target, ast.Name) and target.id[0].isupper() and not target.id.isupper()


def _own(node: ast.AST) -> Iterator[Site]:
    """The changes of this very node."""
    for found in (_operator, _comparison, _constant, _index, _call, _negation, _connective, _word):
        yield from found(node)


def _operator(node: ast.AST) -> Iterator[Site]:
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC and not _of_text(node):
        swapped = ARITHMETIC[type(node.op)]
        yield Site(node.lineno, "operator", node, lambda: setattr(node, "op", swapped()))


def _of_text(node: ast.BinOp | ast.AugAssign) -> bool:
    """Whether an operator joins or fills in texts."""
    texts = (ast.JoinedStr, ast.Constant)
    parts = [node.value] if isinstance(node, ast.AugAssign) else [node.left, node.right]
    return any(isinstance(p, texts) and not isinstance(getattr(p, "value", ""), (int, float)) for p in parts)


def _comparison(node: ast.AST) -> Iterator[Site]:
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            if type(operator) in COMPARISONS:
                yield Site(node.lineno, "comparison", node, _setter(node.ops, at, COMPARISONS[type(operator)]()))


def _setter(values: list[ast.cmpop], at: int, value: ast.cmpop) -> Edit:
    return lambda: values.__setitem__(at, value)


def _constant(node: ast.AST) -> Iterator[Site]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        value = node.value
        yield Site(node.lineno, "constant", node, lambda: setattr(node, "value", value + 1))


def _index(node: ast.AST) -> Iterator[Site]:
    """The last but one for the last; the others are changed as constants."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "-2":
        yield Site(node.lineno, "index", node, lambda: setattr(node, "slice", ast.Constant(-1)))


def _call(node: ast.AST) -> Iterator[Site]:
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Name) and function.id in CALLS:
            yield Site(node.lineno, "call", node, lambda: setattr(function, "id", CALLS[function.id]))
        elif isinstance(function, ast.Attribute) and function.attr in CALLS:
            yield Site(node.lineno, "call", node, lambda: setattr(function, "attr", CALLS[function.attr]))


def _negation(node: ast.AST) -> Iterator[Site]:
    for name, value in ast.iter_fields(node):
        for at, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.UnaryOp) and isinstance(child.op, (ast.Not, ast.Invert)):
                yield Site(child.lineno, "negation", node, _dropped(node, name, at, child))


def _dropped(node: ast.AST, name: str, at: int, child: ast.UnaryOp) -> Edit:
    value = getattr(node, name)
    if isinstance(value, list):
        return lambda: value.__setitem__(at, child.operand)
    return lambda: setattr(node, name, child.operand)


def _connective(node: ast.AST) -> Iterator[Site]:
    if isinstance(node, ast.BoolOp):
        swapped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield Site(node.lineno, "connective", node, lambda: setattr(node, "op", swapped))


def _word(node: ast.AST) -> Iterator[Site]:
    """A table of words without one of them: the one in the middle stands for all, so that tables do not outweigh."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == WORD_TABLE:
        (text,) = node.args
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            listed = text.value.split()
            left = [*listed[: len(listed) // 2], *listed[len(listed) // 2 + 1 :]]
            yield Site(node.lineno, f"without {listed[len(listed) // 2]}", ast.Constant("..."),
                       lambda: setattr(text, "value", " ".join(left)))  # fmt: skip
