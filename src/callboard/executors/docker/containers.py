"""The containers of one data folder: made, found again by their names, watched and removed."""

import asyncio
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from callboard.executors.base import LaunchSpec, Mount, MountMode
from callboard.executors.docker.archives import packed
from callboard.executors.docker.container import (
    INSTANCE_LABEL,
    REMOVED_WHOLE,
    container_config,
    with_disk_limit,
)
from callboard.executors.docker.engine import Engine, EngineGone, EngineRefused, path_of
from callboard.executors.docker.shield import Shield
from callboard.executors.launcher.sandbox import JOB_UID

_RETRY_SECS = 1.0
_KNOWN_IMAGES = 1000


@dataclass(frozen=True)
class Found:
    """A container of ours, as a listing has it."""

    id: str
    job_id: str
    was_started: bool


class Containers:
    """`host_address` is set when jobs may reach services of the host."""

    def __init__(
        self, engine: Engine, instance: str, network: str, host_address: str | None
    ) -> None:
        self._engine = engine
        self._instance = instance
        self._network = network
        self._host_address = host_address
        self._filter = f"{INSTANCE_LABEL}={instance}"
        self._prefix = f"callboard-{instance}-"
        self._variables: dict[str, tuple[str, ...]] = {}

    async def create(self, spec: LaunchSpec, shield: Shield) -> str:
        """The id of the job's container; of the one that is there, when it was created before.

        Raises EngineRefused, and ValueError for what no container can be made of.
        """
        if spec.image is None:
            raise ValueError("it was built without a container image; build it again")
        if not spec.sandboxed:
            raise ValueError("containers are always isolated")
        _check_mounts(spec)
        config = container_config(
            spec,
            labels={INSTANCE_LABEL: self._instance},
            network=self._network,
            host_address=self._host_address,
            log_driver=shield.log_driver,
            unwanted=await self._unwanted(spec.image, shield),
            limits=shield.podman.limits if shield.podman else None,
        )
        if shield.can_limit_disk:
            config = with_disk_limit(config, spec.disk_mbytes)
        name = self._prefix + spec.job_id
        try:
            made = await self._engine.ask(
                "POST", "/containers/create", params={"name": name}, body=config
            )
        except EngineRefused as error:
            if not error.is_conflict:
                raise
            made = await self._engine.ask("GET", path_of("containers", name, "json"))
        return made["Id"]

    async def _unwanted(self, image: str, shield: Shield) -> tuple[str, ...]:
        """Podman takes none away: it gives its own value to a name without one."""
        return () if shield.podman else ("HOSTNAME", *await self._variables_of(image))

    async def _variables_of(self, image: str) -> tuple[str, ...]:
        """The names of what the image would add to the environment. An image of one id never changes."""
        if image not in self._variables:
            seen = await self._engine.ask("GET", path_of("images", image, "json"))
            names = (entry.partition("=")[0] for entry in seen["Config"].get("Env") or ())
            if len(self._variables) >= _KNOWN_IMAGES:
                self._variables.clear()
            self._variables[image] = tuple(names)
        return self._variables[image]

    async def fill(self, container_id: str, spec: LaunchSpec) -> None:
        """Give it its own copies of what it may change. To be done before it is started."""
        for mount in spec.mounts:
            if mount.mode is MountMode.OVERLAY:
                await self._copy_in(container_id, mount)

    async def prepare(self, container_id: str) -> None:
        """Podman only: have the container's first process wait for its start."""
        await self._engine.ask("POST", path_of("libpod", "containers", container_id, "init"))

    async def start(self, container_id: str) -> None:
        """Start it, unless it was started before."""
        await self._engine.ask("POST", path_of("containers", container_id, "start"))

    async def _copy_in(self, container_id: str, mount: Mount) -> None:
        """What the job writes there is its own, and goes with its container."""
        content = await asyncio.to_thread(_folder, mount)
        path = path_of("containers", container_id, "archive")
        await self._engine.ask("PUT", path, params={"path": "/"}, body=content)

    async def remove(self, container_id: str) -> None:
        """With all that it wrote. Harmless when it is gone, or going."""
        path = path_of("containers", container_id)
        try:
            await self._engine.ask("DELETE", path, params=REMOVED_WHOLE)
        except EngineRefused as error:
            if not (error.is_missing or error.is_conflict):
                raise

    async def all(self) -> list[Found]:
        """By their names. Labels are also an image's to have, and so those of containers that builds are made in."""
        params = {"all": "1", "filters": json.dumps({"label": [self._filter]})}
        listed = await self._engine.ask("GET", "/containers/json", params=params)
        return [
            Found(one["Id"], job_id, one["State"] != "created")
            for one in listed
            for name in one["Names"]
            if (job_id := self._job_of(name.removeprefix("/")))
        ]

    def _job_of(self, name: str) -> str:
        """Empty for a container that is no job's."""
        return name.removeprefix(self._prefix) if name.startswith(self._prefix) else ""

    async def watch_memory(self, on_kill: Callable[[str], None]) -> None:
        """Call with the id of each job of which the kernel kills a process for want of memory."""
        filters = {"type": ["container"], "event": ["oom"], "label": [self._filter]}
        params = {"filters": json.dumps(filters)}
        while True:
            try:
                async with self._engine.answer("GET", "/events", params=params) as answer:
                    async for line in self._engine.lines(answer):
                        if line.strip():
                            on_kill(self._job_of(_name_in(line)))
            except (EngineGone, EngineRefused, OSError, ValueError):
                pass  # what was missed meanwhile shows when the container ends
            await asyncio.sleep(_RETRY_SECS)


class _Actor(msgspec.Struct):
    attributes: dict[str, str] = msgspec.field(name="Attributes", default_factory=dict[str, str])


class _Event(msgspec.Struct):
    actor: _Actor = msgspec.field(name="Actor", default_factory=_Actor)


def _name_in(line: bytes) -> str:
    return msgspec.json.decode(line, type=_Event).actor.attributes.get("name", "")


def _check_mounts(spec: LaunchSpec) -> None:
    for mount in spec.mounts:
        if mount.mode is MountMode.LAYER:
            raise ValueError(f"in a container {mount.target} is the image's own")
        if not Path(mount.source).exists():
            raise ValueError(f"{mount.source} does not exist")


def _folder(mount: Mount) -> bytes:
    """The folder as an archive to be unpacked at `/`, everything in it the job's own."""

    def own(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = JOB_UID
        entry.uname = entry.gname = ""
        return entry

    def fill(archive: tarfile.TarFile) -> None:
        archive.add(mount.source, arcname=mount.target.lstrip("/"), filter=own)

    return packed(fill)
