"""A user's Python file: run as `python FILE` would run it, its mistakes told as one error, and what it is made of."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
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
    while frame is not None and _module_of(frame) in IMPORTING:
        frame = frame.f_back
    ours = frame is None or _module_of(frame).partition(".")[0] == "attnprof"
    return None if frame is None or ours else Path(frame.f_code.co_filename).resolve()


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


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


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file is made of: itself and the files of projects that it imports, and the packages, directly or not."""

    files: tuple[Path, ...]
    packages: tuple[str, ...]


def imported_by(path: Path) -> Imported:
    """The files that lie in no installed package, and the names of the installed packages that they import.

    What is beside a file comes first, then what Python finds. Of an installed file, it alone and the packages that it
    names; of this package and of Python's own modules nothing.
    """
    first = path.resolve()
    files: dict[Path, None] = {}
    packages: set[str] = set()
    waiting, roots = [first], (first.parent, _root(first))
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files[file] = None
        own = _package_of(file)
        packages |= {own} if own else set()
        waiting += [] if own else _run_before(file)
        for name, home in _imports(file):
            homes, package = [home] if home else roots, name.partition(".")[0]
            if home or (not own and any(_beside(root, package) for root in homes)):
                waiting += [] if own else [there for root in homes if (there := _beside(root, name))]
            elif (far := _elsewhere(name)) is not None:
                packages |= {package} if _package_of(far) else set()
                waiting += [] if own or _package_of(far) else [far]
    return Imported(tuple(files), tuple(sorted(packages - {OURS})))


def version_of(package: str) -> str:
    """The version of the distribution that a package was installed from; empty where none says so."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        held = metadata.packages_distributions().get(package, [])
        return " ".join(f"{name} {metadata.version(name)}" for name in sorted(set(held)))


INSTALLED = {"site-packages", "dist-packages"}
OURS = "attnprof"


def _package_of(file: Path) -> str | None:
    """The installed package that a file belongs to."""
    at = next((i for i, part in enumerate(file.parts[:-1]) if part in INSTALLED), None)
    return None if at is None else file.parts[at + 1].removesuffix(".py")


def _elsewhere(name: str) -> Path | None:
    """The file of a module that Python finds on its path; of an installed package any of its files. Nothing is run."""
    package = name.partition(".")[0]
    if package in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    places = [spec.origin] if spec and spec.has_location else list((spec and spec.submodule_search_locations) or ())
    if not places or places[0] is None:
        return None
    place = Path(places[0]).resolve()
    root = _root(place) if place.is_file() else place.parent
    return place if _package_of(place) else _beside(root, name) or (place if place.is_file() else None)


def _root(file: Path) -> Path:
    """The folder that holds the outermost package which a file belongs to."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _run_before(file: Path) -> list[Path]:
    """What Python runs before a file: the `__init__.py` of every package that it is in, but for ours."""
    root = _root(file)
    parts = file.relative_to(root).parts[:-1]
    found = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [] if parts[:1] == (OURS,) else found


def _imports(file: Path) -> list[tuple[str, Path | None]]:
    """The names that a file imports; with the folder to look in, where the import is relative."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    found: list[tuple[str, Path | None]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = f"{node.module}." if node.module else ""
            names = [start + alias.name for alias in node.names] + ([node.module] if node.module else [])
            found += [(name, file.parents[node.level - 1] if node.level else None) for name in names]
    return [(name, home) for name, home in dict.fromkeys(found) if name.partition(".")[0] != OURS]


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
