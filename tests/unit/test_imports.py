"""The house: imports run downwards only, rooms of one group do not know each other, commands load nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from attnprof.locate import PACKAGE

# From the ground up: a file may import from groups below its own, and from its own room.
GROUPS = (
    ("errors", "torch_private"),
    ("units", "locate", "machine", "file_lock", "words", "naming", "userfiles"),
    ("shapes", "golden_counts", "interval"),
    ("flags",),
    ("records",),
    ("quantities", "run_files"),
    ("pattern",),
    ("contracts",),
    ("layered_target",),
    ("usercode",),
    ("layers",),
    ("impl",),
    ("schemes",),
    ("stats", "modality"),
    ("settled",),
    ("counting", "device", "store"),
    ("measure", "comparison"),
    ("closed_forms", "graph"),
    ("models",),
    ("plan", "checks"),
    ("targets",),
    ("sweeps", "render"),
    ("cli", "api", "testing", "pytest_plugin"),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(GROUPS) for room in rooms}
ROOMS = ({"api", "testing", "pytest_plugin"},)
NO_TORCH = (
    "graph",
    "render",
    "store",
    "stats",
    "modality",
    "settled",
    "run_files",
    "comparison",
    "device",
    "machine",
    "targets",
    "models",
    "pattern",
    "contracts",
    "flags",
    "interval",
    "layered_target",
    "impl",
    "usercode",
    "userfiles",
    "units",
    "words",
    "records",
    "quantities",
)
TORCH_ON_DEMAND = {"graph/probe.py", "targets/followed.py"}
FILES = sorted(PACKAGE.rglob("*.py"))


def label(file: Path) -> str:
    """A file as test ids show it."""
    return str(file.relative_to(PACKAGE))


def room_of(file: Path) -> str:
    """The top-level module or package that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path, *, at_module_level: bool = False) -> set[str]:
    """The absolute names that a file imports, those for type checking left out."""
    tree = ast.parse(file.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in guarded or (at_module_level and id(node) in inside):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def house(file: Path) -> set[str]:
    """The rooms of attnprof that a file imports from."""
    parts = {name.split(".")[1] for name in imports(file) if name.startswith("attnprof.") and name.count(".") >= 1}
    return {part for part in parts if part in LEVEL}


@pytest.mark.parametrize("file", FILES, ids=label)
def test_imports_run_downwards_only(file: Path) -> None:
    own = room_of(file)
    if own == "__init__":
        return
    assert own in LEVEL, f"{own} has no place in the house"
    for other in house(file) - {own}:
        together = any({own, other} <= room for room in ROOMS)
        assert LEVEL[other] < LEVEL[own] or together, f"{file.name} ({own}) imports {other}, which is not below it"


@pytest.mark.parametrize("file", sorted((PACKAGE / "schemes").glob("*.py")), ids=lambda file: file.stem)
def test_schemes_never_import_their_siblings(file: Path) -> None:
    siblings = {name for name in imports(file) if name.startswith("attnprof.schemes.")}
    assert siblings == set()


@pytest.mark.parametrize("file", sorted((PACKAGE.parent / "patterns").glob("*.py")), ids=lambda file: file.stem)
def test_patterns_import_numpy_and_the_words_at_most(file: Path) -> None:
    allowed = (
        "__future__",
        "attnprof.pattern",
        "numpy",
        "math",
        "fractions",
        "functools",
        "itertools",
        "collections",
        "typing",
        "dataclasses",
    )
    assert [name for name in imports(file) if not name.startswith(allowed)] == []


def without_torch(file: Path) -> bool:
    """Whether a file answers without torch: by its room, or since it concludes about models, which are numbers."""
    return room_of(file) in NO_TORCH or (room_of(file) == "plan" and "models" in house(file))


@pytest.mark.parametrize("file", [f for f in FILES if without_torch(f)], ids=label)
def test_the_rooms_without_torch_do_not_import_it(file: Path) -> None:
    if str(file.relative_to(PACKAGE)) in TORCH_ON_DEMAND:
        return
    with_torch = ("torch", "attnprof.torch_private")
    at_once = imports(file, at_module_level=True)
    assert not {name for name in at_once if name.split(".")[0] == "torch" or name in with_torch}


def loaded(*arguments: str) -> set[str]:
    """The top-level modules that a run of the command line has loaded when it ends."""
    code = f"""
import sys
from attnprof.cli import main
try:
    main({list(arguments)!r})
except SystemExit:
    pass
print("LOADED", *sorted({{name.split(".")[0] for name in sys.modules}}))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line = next(line for line in run.stdout.splitlines() if line.startswith("LOADED"))
    return set(line.split()[1:])


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("list",), ("list", "--json"), ()], ids=" ".join)
def test_quick_commands_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert loaded(*arguments) & {"torch", "networkx", "plotly", "scipy", "sympy", "matplotlib"} == set()


def test_the_parent_of_a_sweep_never_loads_torch() -> None:
    code = "import sys, attnprof.sweeps.run, attnprof.cli.sweep, attnprof.render; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_no_module_is_named_after_a_public_function() -> None:
    import attnprof

    stems = {room_of(file) for file in FILES}
    assert stems & set(attnprof.__all__) == set()
