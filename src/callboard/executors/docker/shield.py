"""What an engine holds containers to, in the words of the other executors, and what it cannot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callboard.executors.docker.container import BINARY_LOG, JSON_LOG
from callboard.executors.docker.engine import Engine, EngineRefused

_OLDEST = (1, 41)
_LIMITING_DRIVERS = frozenset({"btrfs", "zfs", "devicemapper"})


@dataclass(frozen=True)
class Shield:
    rungs: Mapping[str, str]
    notes: tuple[str, ...]
    can_limit_disk: bool
    log_driver: str


async def shield_of(engine: Engine) -> Shield:
    """Ask the engine. Raises EngineGone, and EngineRefused for one that is too old."""
    version = await engine.ask("GET", "/version")
    known = tuple(int(part) for part in str(version["ApiVersion"]).split(".")[:2])
    if known < _OLDEST:
        raise EngineRefused(
            400, f"the container engine speaks only version {version['ApiVersion']} of the API"
        )
    info: Mapping[str, Any] = await engine.ask("GET", "/info")
    can_limit_disk = _can_limit_disk(info)
    groups = f"cgroup-v{info.get('CgroupVersion') or 1}"
    rungs = {
        "filesystem": "container",
        "user": "image's, never root",
        "source": f"container ({info.get('Driver', 'unknown')})",
        "memory": groups if info.get("MemoryLimit") else "none",
        "cpu": groups if info.get("CPUShares", True) else "none",
        "pids": groups if info.get("PidsLimit", True) else "none",
        "kill": "container",
        "disk": "quota" if can_limit_disk else "measured (soft)",
        "syscalls": "filtered" if _has_seccomp(info) else "none",
    }
    plugins: Mapping[str, list[str] | None] = info.get("Plugins") or {}
    log_driver = BINARY_LOG if BINARY_LOG in (plugins.get("Log") or ()) else JSON_LOG
    return Shield(rungs, tuple(_notes(info)), can_limit_disk, log_driver)


def _can_limit_disk(info: Mapping[str, Any]) -> bool:
    """overlay2 can on XFS mounted with project quotas only, which the engine does not tell."""
    return info.get("Driver") in _LIMITING_DRIVERS


def _notes(info: Mapping[str, Any]) -> list[str]:
    notes: list[str] = []
    if not info.get("MemoryLimit"):
        notes.append("Memory of runs is not limited: the kernel has no memory control groups.")
    elif not info.get("SwapLimit", True):
        notes.append("Runs may swap beyond their memory limit: the kernel does not account swap.")
    if not _has_seccomp(info):
        notes.append("System calls of runs are not filtered: the engine has no seccomp.")
    return notes


def _has_seccomp(info: Mapping[str, Any]) -> bool:
    return any("seccomp" in str(option) for option in info.get("SecurityOptions") or ())
