"""The memory that runs may share where a container or a service has less than the machine."""

import os
from pathlib import Path

import pytest

from callboard.jobs.machine import machine_memory_mbytes

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def memory(tmp_path: Path, lines: str, files: dict[str, str]) -> int:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(lines)
    for name, limit in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(limit)
    return machine_memory_mbytes(proc=proc, groups=groups)


MB100 = str(100 * 2**20)


@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        ("0::/\n", {"memory.max": f"{MB100}\n"}, 100),
        ("0::/a.slice/b.service\n", {"a.slice/memory.max": MB100}, 100),
        (
            "0::/a/b\n",
            {"a/memory.max": MB100, "a/b/memory.max": str(64 * 2**20), "memory.max": "max"},
            64,
        ),
        ("0::/a\n", {"a/memory.max": "max\n"}, PHYSICAL),
        ("4:memory:/docker/abc\n0::/\n", {"memory/memory.limit_in_bytes": MB100}, 100),
        ("4:cpu,memory:/x\n", {"memory/x/memory.limit_in_bytes": MB100}, 100),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, PHYSICAL),
        ("0::/../../other\n", {"memory.max": "max"}, PHYSICAL),
        ("0::/a\n", {"unified/a/memory.max": MB100}, 100),
        ("", {}, PHYSICAL),
    ],
    ids=[
        "container of version 2",
        "slice around a service",
        "the least of all",
        "no limit",
        "container of version 1",
        "controllers together",
        "no limit in version 1",
        "outside of the namespace",
        "both versions",
        "no groups",
    ],
)
def test_a_limit_around_the_server_counts(
    tmp_path: Path, lines: str, files: dict[str, str], expected: int
):
    assert memory(tmp_path, lines, files) == expected


def test_without_a_list_of_groups_it_is_the_machines(tmp_path: Path):
    assert machine_memory_mbytes(proc=tmp_path, groups=tmp_path) == PHYSICAL
