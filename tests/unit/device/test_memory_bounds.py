"""Limits on memory: control groups of both versions, nested ones, what is not used in earnest, this process' own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from attnprof.device.instruments.memory_bounds import Bound, bounds, oom_kills

MIB = 2**20


def system(root: Path, groups: str, mounts: str, files: Mapping[str, object]) -> Path:
    """The files of a system as its kernel shows them."""
    shown = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}
    for name, text in shown.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return root


V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "36 32 0:30 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory"
STAT = f"anon 1\nfile 9\ninactive_file {30 * MIB}\nactive_file 5"
SLURM = "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7"
CASES = {
    "none": ("0::/", V2, {}, []),
    "version 2, the root of a container": (
        "0::/",
        V2,
        {"sys/fs/cgroup/memory.max": 100 * MIB, "sys/fs/cgroup/memory.current": 60 * MIB},
        [Bound(100 * MIB, 60 * MIB)],
    ),
    "version 2, a cache that would be given back": (
        "0::/",
        V2,
        {
            "sys/fs/cgroup/memory.max": 100 * MIB,
            "sys/fs/cgroup/memory.current": 60 * MIB,
            "sys/fs/cgroup/memory.stat": STAT,
        },
        [Bound(100 * MIB, 30 * MIB)],
    ),
    "version 2, nested by Slurm: the limit is two levels up": (
        "0::/system.slice/slurmstepd.scope/job_7/step_0/user",
        V2,
        {
            f"{SLURM}/step_0/user/memory.max": "max",
            f"{SLURM}/step_0/user/memory.current": 1 * MIB,
            f"{SLURM}/memory.max": 800 * MIB,
            f"{SLURM}/memory.current": 500 * MIB,
        },
        [Bound(800 * MIB, 500 * MIB)],
    ),
    "version 1, at the group's own path": (
        "9:name=systemd:/\n4:memory:/job/3\n0::/",
        V1,
        {
            "sys/fs/cgroup/memory/job/3/memory.limit_in_bytes": 1024 * MIB,
            "sys/fs/cgroup/memory/job/3/memory.usage_in_bytes": 100 * MIB,
            "sys/fs/cgroup/memory/job/3/memory.stat": f"total_inactive_file {40 * MIB}",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": 9223372036854771712,
            "sys/fs/cgroup/memory/job/memory.usage_in_bytes": 100 * MIB,
        },
        [Bound(1024 * MIB, 60 * MIB)],
    ),
    "version 1, mounted elsewhere beside others": (
        "4:cpu,memory:/job",
        "36 32 0:30 / /cg/cpu,memory rw - cgroup cgroup rw,cpu,memory",
        {"cg/cpu,memory/job/memory.limit_in_bytes": 7 * MIB, "cg/cpu,memory/job/memory.usage_in_bytes": 9 * MIB},
        [Bound(7 * MIB, 9 * MIB)],
    ),
}


@pytest.mark.parametrize(("groups", "mounts", "files", "expected"), CASES.values(), ids=CASES)
def test_limits_of_control_groups(
    tmp_path: Path, groups: str, mounts: str, files: Mapping[str, object], expected: list[Bound]
) -> None:
    root = system(tmp_path, groups, mounts, files)
    assert bounds(root) == expected


def test_nothing_is_left_where_more_is_used_than_is_allowed() -> None:
    assert Bound(7, 9).left == 0


def test_kills_for_memory_are_counted_where_the_kernel_counts_them(tmp_path: Path) -> None:
    root = system(
        tmp_path, "0::/job", V2, {"sys/fs/cgroup/job/memory.events": "oom 4\noom_kill 3", "proc/vmstat": "oom_kill 5"}
    )
    assert oom_kills(root) == 8
    assert oom_kills(tmp_path / "nowhere") == 0


def free(prefix: str = "") -> int:
    """The free bytes that a process of its own sees."""
    code = f"{prefix}\nfrom attnprof.device.cpu import free_bytes\nprint(free_bytes())"
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="asks for Linux's limits")
def test_a_real_limit_on_the_address_space_is_seen() -> None:
    found = free(f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({2**31}, {2**31}))")
    assert 0 < found < 2**31
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


def real_group() -> Path | None:
    """A new control group of version 1 with a limit of 400 MiB, where this machine lets one be made."""
    group = Path(f"/sys/fs/cgroup/memory/attnprof-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(400 * MIB))
    except OSError:
        return None
    return group


@pytest.mark.skipif(sys.platform != "linux", reason="asks for Linux's control groups")
def test_a_real_control_group_is_seen_and_its_kill_told_from_others() -> None:
    group = real_group()
    if group is None:
        pytest.skip("no control group can be made here")
    joins = f"import os; open('{group}/cgroup.procs', 'w').write(str(os.getpid()))"
    try:
        assert 200 * MIB < free(joins) <= 400 * MIB
        before = oom_kills()
        ended = subprocess.run([sys.executable, "-c", f"{joins}\nx = bytearray({2**30})\nx[::4096] = b'1' * {2**18}"])
        assert ended.returncode == -9
        assert oom_kills() > before
    finally:
        group.rmdir()
