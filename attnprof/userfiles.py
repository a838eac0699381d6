"""A user's Python file: run as `python FILE` would run it, its mistakes told as one error, and what it is made of."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType

from attnprof.errors import AttnprofError


def run_file(path: Path) -> ModuleType:
    """A Python file as a module of its own, found by its path; its mistakes as one clear error.

    As under `python FILE`, the modules beside it can be imported, by its functions also later on; by nobody else then.
    """
    if not path.is_file():
        raise AttnprofError(f"no such file: {path}", hint="give the path of a .py file, or a name of `attnprof list`")
    name = f"attnprof_file_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _neighbours(path.resolve().parent, first=True):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        place = line_in(error, path)
        raise AttnprofError(
            f"{path}{place} does not run: {type(error).__name__}: {error}",
            hint=_missing(error) or f"try: python {path}",
        ) from error
    return module


def _missing(error: BaseException) -> str:
    """What to do about a module that is not there."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    package = error.name.partition(".")[0]
    return f"install what {package} is of, or add its folder to PYTHONPATH"


class Neighbours(MetaPathFinder):
    """Finds modules beside a user's file for code of that folder alone, whenever a function of it imports one.

    Nobody else sees them: a file of the user's named like an optional package of ours is not taken for it.
    """

    def __init__(self) -> None:
        self.folders: set[Path] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What a module beside the code that asks for it is loaded by."""
        asking = None if path is not None else _importing_file()
        near = [str(folder) for folder in self.folders if asking and asking.is_relative_to(folder)]
        if not near or asking is None or INSTALLED & set(asking.parts):
            return None
        return PathFinder.find_spec(fullname, near)


def _importing_file() -> Path | None:
    """The file of the code whose import runs now; None for our own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (name := str(frame.f_globals.get("__name__"))) in IMPORTING:
        frame = frame.f_back
    return None if frame is None or name.partition(".")[0] == "attnprof" else Path(frame.f_code.co_filename).resolve()


IMPORTING = frozenset({__name__, "importlib", "importlib._bootstrap", "importlib._bootstrap_external"})
_NEIGHBOURS = Neighbours()


@contextmanager
def _neighbours(folder: Path, *, first: bool) -> Iterator[None]:
    """Let modules of a folder be imported: now before all others, or after them; later by its own code alone.

    One of the same name that came from another folder is forgotten, so that two files never share a helper by mistake.
    """
    for name, module in list(sys.modules.items()):
        if "." not in name and _is_strange(module, folder):
            del sys.modules[name]
    importlib.invalidate_caches()
    _NEIGHBOURS.folders.add(folder)
    if _NEIGHBOURS not in sys.meta_path:
        sys.meta_path.append(_NEIGHBOURS)
    sys.path.insert(0 if first else len(sys.path), str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _is_strange(module: ModuleType, folder: Path) -> bool:
    """Whether a module was imported from beside another user's file, and this folder has one of its name."""
    file = getattr(module, "__file__", None)
    if not file or module.__name__.startswith("attnprof"):
        return False
    home = Path(file).parent
    home = home.parent if Path(file).name == "__init__.py" else home
    return home != folder and home in _NEIGHBOURS.folders and _beside(folder, module.__name__) is not None


def _beside(folder: Path, name: str) -> Path | None:
    """The file of a module of that name in a folder: a module, or a package's `__init__.py`."""
    places = (folder.joinpath(*name.split(".")).with_suffix(".py"), folder.joinpath(*name.split("."), "__init__.py"))
    return next((place for place in places if place.is_file()), None)


def import_module(name: str) -> ModuleType:
    """A module of an installed package, or of one in the current folder; its mistakes as one clear error."""
    try:
        with _neighbours(Path.cwd(), first=False):
            return importlib.import_module(name)
    except ImportError as error:
        raise AttnprofError(
            f"cannot import {name!r}: {error}",
            hint=f"a package has dots: {name.replace(':', '.')}" if ":" in name else _not_found(name, error),
        ) from error
    except Exception as error:
        raise AttnprofError(
            f"{name} does not import: {type(error).__name__}: {error}", hint=f"try: python -c 'import {name}'"
        ) from error


def _not_found(name: str, error: ImportError) -> str:
    """Whether a package is missing, or has no such module."""
    package = name.partition(".")[0]
    if error.name == package:
        return f"install {package}, or write file.py:Class for a file of your own"
    return "write file.py:Class or package.module:Class"


def sources_of(path: Path) -> tuple[Path, ...]:
    """A file and those of the same project that it imports, directly or not: what a record's key must hold.

    Of an installed package, the file alone.
    """
    first = path.resolve()
    found: dict[Path, None] = {}
    waiting = [first]
    roots = (first.parent, _root(first))
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found[file] = None
        if not INSTALLED & set(file.parts):
            waiting += [near for name, root in _imports(file, roots) if (near := _beside(root, name))]
    return tuple(found)


INSTALLED = {"site-packages", "dist-packages"}


def _root(file: Path) -> Path:
    """The folder that holds the outermost package which a file belongs to."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _imports(file: Path, roots: tuple[Path, ...]) -> list[tuple[str, Path]]:
    """The names that a file imports, each with a folder to look for it in."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    found: list[tuple[str, Path]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, root) for alias in node.names for root in roots]
        elif isinstance(node, ast.ImportFrom):
            start = f"{node.module}." if node.module else ""
            names = [start + alias.name for alias in node.names] + ([node.module] if node.module else [])
            homes = (file.parents[node.level - 1],) if node.level else roots
            found += [(name, home) for name in names for home in homes]
    return found


def line_in(error: BaseException, path: Path) -> str:
    """`, line 12,` where an exception passed through that file, or was raised reading it; else nothing."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno},"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in (str(path), str(path.resolve())):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f", line {lines[-1]}," if lines else ""
