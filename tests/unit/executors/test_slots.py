"""A place for a job that cannot be made leaves nothing behind, however far its making has come."""

import os
import resource
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callboard.executors.launcher.cgroups import Cgroups
from callboard.executors.launcher.network import Lease
from callboard.executors.launcher.slots import Slot

NAME = f"callboard-test-slots-{os.getpid()}"
NOWHERE = Lease(1, "/nonexistent/namespace", (), None, "eth0", {}, "/etc/resolv.conf")


@pytest.fixture
def cgroups() -> Iterator[Cgroups]:
    made = Cgroups(NAME)
    yield made
    made.close()


def kept(cgroups: Cgroups) -> tuple[list[str], list[Path]]:
    """Descriptors, and folders of the group."""
    group = cgroups.group("slot-1")
    folders = [Path(file).parent for file in group.joins] if group else []
    return sorted(os.listdir("/proc/self/fd")), [one for one in folders if one.exists()]


@contextmanager
def descriptors_limited_to(most: int) -> Generator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_slot_without_its_network_leaves_nothing(cgroups: Cgroups):
    before = kept(cgroups)
    with pytest.raises(FileNotFoundError):
        Slot(1, cgroups, NOWHERE, has_mounts=False)
    assert kept(cgroups) == before


@pytest.mark.parametrize("left", range(5))
def test_a_slot_for_which_there_are_too_few_descriptors_leaves_nothing(cgroups: Cgroups, left: int):
    before = kept(cgroups)
    used = {int(name) for name in before[0]}
    free = [number for number in range(max(used) + 10) if number not in used]
    with descriptors_limited_to(free[left]), pytest.raises(OSError, match="Too many open files"):
        Slot(1, cgroups, None, has_mounts=False)
    assert kept(cgroups) == before
