"""The memory that this process may still take: of the machine, of every control group that it is in, of its own limits.

Control groups of version 1 and 2 are read at the group's own path and at every one above it (systemd and Slurm nest
them), each limit with what is used under it; what the kernel would give back first is not counted as used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

try:
    import resource
except ImportError:  # there is none on Windows
    resource = None  # type: ignore[assignment]

UNLIMITED = 1 << 60  # version 1 says "no limit" by a number close to 2^63
ROOT, PROC = Path("/"), Path("/proc")


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit on bytes, and how many of them are taken."""

    limit: int
    used: int

    @property
    def left(self) -> int:
        """Bytes that may still be taken."""
        return max(0, self.limit - self.used)


def bounds(root: Path = ROOT) -> list[Bound]:
    """Every limit on the memory of this process. `root` is where the system's files are."""
    return [*_groups(root), *_own(root)]


def oom_kills(root: Path = ROOT) -> int:
    """How many processes the kernel has killed for want of memory: in our control groups, and on the machine."""
    found = 0
    for folder, version in _folders(root):
        events = folder / ("memory.events" if version == 2 else "memory.oom_control")
        found += _table(events).get("oom_kill", 0)
    return found + _table(root / "proc/vmstat").get("oom_kill", 0)


def _groups(root: Path) -> Iterator[Bound]:
    for folder, version in _folders(root):
        names = (
            ("memory.max", "memory.current", "inactive_file")
            if version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        )
        limit, used = _number(folder / names[0]), _number(folder / names[1])
        if limit is not None and used is not None and limit < UNLIMITED:
            yield Bound(limit, max(0, used - _table(folder / "memory.stat").get(names[2], 0)))


def _folders(root: Path) -> Iterator[tuple[Path, int]]:
    """The folders of the memory groups that this process is in, from its own up, with the version of each."""
    text = _text(root / "proc/self/cgroup")
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        version = 1 if controllers else 2
        for top in _mounts(root, version):
            yield from ((folder, version) for folder in _upwards(top, path))


def _mounts(root: Path, version: int) -> Iterator[Path]:
    """Where the hierarchy of memory groups is mounted: by the table of mounts, and its usual place."""
    found = {"sys/fs/cgroup/memory" if version == 1 else "sys/fs/cgroup"}
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        is_memory = kind == "cgroup" and "memory" in options.split(" ")[-1].split(",")
        if (version == 2 and kind == "cgroup2") or (version == 1 and is_memory):
            found.add(before.split(" ")[4].lstrip("/"))
    yield from (root / place for place in sorted(found) if (root / place).is_dir())


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """The folder of a group and of those above it; the mount's own where a container shows no other."""
    parts = [part for part in path.split("/") if part and part != ".."]
    for count in range(len(parts), -1, -1):
        folder = top.joinpath(*parts[:count])
        if folder.is_dir():
            yield folder


def _own(root: Path) -> Iterator[Bound]:
    """The limits of this process on its address space and its data (`ulimit -v`, `ulimit -d`)."""
    if resource is None:
        return
    pages = _text(root / "proc/self/statm").split()
    for kind, at in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5)):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY and len(pages) > at:
            yield Bound(limit, int(pages[at]) * resource.getpagesize())


def _table(path: Path) -> dict[str, int]:
    """`name number` lines."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
