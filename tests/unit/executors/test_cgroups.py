"""Control groups bound and kill whole trees."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from callboard.executors.launcher.cgroups import Cgroups, Group, Limits
from callboard.executors.launcher.hierarchies import Place

LIMITS = Limits(memory_bytes=64 * 1024 * 1024, cpus=0.5, pids_max=20)


@pytest.fixture
def name() -> str:
    return f"callboard-test-{os.getpid()}"


@pytest.fixture
def cgroups(name: str) -> Iterator[Cgroups]:
    made = Cgroups(name)
    if not made.rungs()["kill"].startswith("cgroup"):
        made.close()
        pytest.skip("no control groups can be made here")
    yield made
    made.close()


@pytest.fixture
def group(cgroups: Cgroups) -> Group:
    group = cgroups.group("job")
    assert group
    group.create()
    group.limit(LIMITS)
    return group


def start_in(group: Group, script: str) -> subprocess.Popen[bytes]:
    join = 'for group do echo 0 >"$group"; done; '
    command = ["/bin/sh", "-c", join + script, "job", *group.joins]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout
    assert process.stdout.readline() == b"joined\n"
    return process


def wait_until_empty(group: Group) -> None:
    if (events := group.open_events()) is not None:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        while group.is_populated() and poller.poll(5000):
            os.pread(events, 256, 0)
        os.close(events)


def test_killing_reaches_those_who_left_their_session(group: Group):
    process = start_in(
        group, "setsid sleep 600 & setsid sh -c 'sleep 600 & wait' & echo joined; wait"
    )
    assert group.is_populated()
    group.kill()
    assert process.wait() == -signal.SIGKILL
    assert process.stdout
    process.stdout.read()
    wait_until_empty(group)
    assert not group.is_populated()
    assert group.remove()


def test_a_group_counts_what_its_tree_uses(group: Group):
    process = start_in(
        group, "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; echo joined; read x"
    )
    usage = group.usage()
    assert usage.cpu_usec > 1000
    assert 0 < usage.memory_bytes <= usage.memory_max_bytes
    group.kill()
    process.wait()


def test_a_group_with_a_process_is_not_removed(group: Group):
    process = start_in(group, "echo joined; sleep 600")
    assert not group.remove()
    group.kill()
    process.wait()


def test_what_a_crashed_launcher_left_is_killed_and_removed(
    cgroups: Cgroups, name: str, group: Group
):
    process = start_in(group, "echo joined; sleep 600")
    Cgroups(name)
    assert process.wait() == -signal.SIGKILL
    assert not group.is_populated()
    assert not any(Path(path).exists() for path in group.joins)


def test_limits_of_version_2_are_written_as_the_kernel_wants_them(tmp_path: Path):
    files = ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.weight", "pids.max")
    group = Group({role: Place(tmp_path / "job", 2) for role in ("memory", "cpu", "pids", "kill")})
    group.create()
    for file in files:
        (tmp_path / "job" / file).touch()
    group.limit(LIMITS)
    assert [(tmp_path / "job" / file).read_text() for file in files] == [
        "67108864",
        "0",
        "1",
        "50",
        "20",
    ]
    assert group.joins == (str(tmp_path / "job" / "cgroup.procs"),)
    assert group.open_oom_event() is None
