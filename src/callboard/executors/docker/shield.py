"""What an engine holds containers to, in the words of the other executors, and what it cannot."""

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callboard.executors.docker.container import BINARY_LOG, JSON_LOG
from callboard.executors.docker.engine import Engine, EngineRefused

_OLDEST = (1, 41)
_MOST, _MOST_PROCESSES = 1024 * 1024, Path("/proc/sys/kernel/pid_max")
_LIMITING_DRIVERS = frozenset({"btrfs", "zfs", "devicemapper"})


@dataclass(frozen=True)
class Podman:
    """What its answers do not tell: in form they are Docker's."""

    is_rootless: bool
    limits: Mapping[str, int]
    """Kernel limits that it would set too high, by their names."""


@dataclass(frozen=True)
class Shield:
    rungs: Mapping[str, str]
    notes: tuple[str, ...]
    can_limit_disk: bool
    log_driver: str
    podman: Podman | None


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
    return Shield(
        rungs, tuple(_notes(info, engine)), can_limit_disk, log_driver, _podman(version, info)
    )


async def is_podman(engine: Engine) -> bool:
    """Raises EngineGone, EngineRefused."""
    return _names_podman(await engine.ask("GET", "/version"))


def _podman(version: Mapping[str, Any], info: Mapping[str, Any]) -> Podman | None:
    if not _names_podman(version):
        return None
    return Podman(bool(info.get("Rootless")), _own_limits())


def _names_podman(version: Mapping[str, Any]) -> bool:
    parts: list[Mapping[str, Any]] = version.get("Components") or []
    return any(part.get("Name") == "Podman Engine" for part in parts)


def _own_limits() -> dict[str, int]:
    """Where a container has limits of its own, Podman forgets its settings, and gives more than it has itself."""
    processes = min(_hard(resource.RLIMIT_NPROC), int(_MOST_PROCESSES.read_text()))
    return {"nofile": _hard(resource.RLIMIT_NOFILE), "nproc": processes}


def _hard(limit: int) -> int:
    most = resource.getrlimit(limit)[1]
    return _MOST if most == resource.RLIM_INFINITY else min(most, _MOST)


def _can_limit_disk(info: Mapping[str, Any]) -> bool:
    """overlay2 can on XFS mounted with project quotas only, which the engine does not tell."""
    return info.get("Driver") in _LIMITING_DRIVERS


def _notes(info: Mapping[str, Any], engine: Engine) -> list[str]:
    notes: list[str] = []
    if not info.get("MemoryLimit"):
        notes.append("Memory of runs is not limited: the kernel has no memory control groups.")
    elif not info.get("SwapLimit", True):
        notes.append("Runs may swap beyond their memory limit: the kernel does not account swap.")
    if not engine.is_here or not os.access(info["DockerRootDir"], os.R_OK | os.X_OK):
        notes.append(
            "What runs write to volumes of their images counts for no disk limit: "
            "this process does not see the engine's folder."
        )
    if not _has_seccomp(info):
        notes.append("System calls of runs are not filtered: the engine has no seccomp.")
    return notes


def _has_seccomp(info: Mapping[str, Any]) -> bool:
    return any("seccomp" in str(option) for option in info.get("SecurityOptions") or ())
