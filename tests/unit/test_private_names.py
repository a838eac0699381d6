"""Private names of torch stand in one file, and nobody else asks for them: what each is for, its canary says."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from attnprof.locate import PACKAGE

HOME = PACKAGE / "torch_private.py"
OF_TRANSFORMERS = PACKAGE / "models" / "transformers_private.py"
FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if file not in (HOME, OF_TRANSFORMERS)]
NOT_OF_TORCH = {"_replace", "_asdict", "_fields", "_getframe", "_exit"}  # namedtuples, the interpreter
UNSTABLE = ("fx.experimental",)  # public by its name, and moving


def of_others(tree: ast.Module, ours: set[str]) -> Iterator[str]:
    """Private attributes that a file reads and no file of attnprof defines; private names that it takes from torch."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            whole = ast.unparse(node)
            operator = whole.startswith(("aten.", "torch.ops."))  # `aten._softmax` is a name of an operator
            if not operator and node.attr not in ours | NOT_OF_TORCH:
                yield whole
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (n for n in names if "._" in n or any(part in n for part in UNSTABLE))
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("torch") and "._" in a.name)


def private_names(tree: ast.Module) -> Iterator[str]:
    """Private names that a file defines: functions, attributes that it sets or declares."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_no_other_file_names_torchs_private_parts() -> None:
    trees = {file: ast.parse(file.read_text()) for file in FILES}
    ours = {name for tree in trees.values() for name in private_names(tree) if name.startswith("_")}
    found = {str(file.relative_to(PACKAGE)): sorted(set(of_others(tree, ours))) for file, tree in trees.items()}
    assert {file: names for file, names in found.items() if names} == {}, "ask for it in attnprof/torch_private.py"


def test_no_other_file_spells_them_out() -> None:
    spelled = ("_subclasses", "_raw_saved_", "_engine_run_backward", "_FLEX_ATTENTION", "symbolic_shapes")
    wrong = {str(file.relative_to(PACKAGE)): word for file in FILES for word in spelled if word in file.read_text()}
    assert wrong == {}
