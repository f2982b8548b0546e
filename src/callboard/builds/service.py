"""Operations on builds: start, find, list, abort, delete."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from callboard.actors import repository as actor_rows
from callboard.actors.errors import VersionNotFound
from callboard.actors.model import DEFAULT_TAG, Actor
from callboard.actors.schemas import version_wire
from callboard.actors.service import find_actor, is_named_by, own_actor
from callboard.api.pagination import Page, PageRequest
from callboard.api.refs import Ref
from callboard.builds import repository
from callboard.builds.errors import (
    BuildNotFound,
    BuildRecordNotFound,
    DeletingDefaultBuild,
    DeletingUnfinishedBuild,
    DeletingUsedBuild,
    InvalidBuild,
    UnknownBuildTag,
)
from callboard.builds.events import build_event
from callboard.builds.model import Build, build_number_int
from callboard.builds.schemas import tag_entry
from callboard.builds.supervisor import BuildSupervisor
from callboard.config import Settings
from callboard.core import clock
from callboard.core.caller import Caller, require_account, require_owner
from callboard.core.ids import new_id
from callboard.core.jobs import JobStatus
from callboard.core.signals import Signals
from callboard.db.base import Database
from callboard.executors.base import disk_mbytes
from callboard.logs.service import job_topic
from callboard.webhooks.model import EventType
from callboard.webhooks.service import publish

BUILD_NUMBER = re.compile(r"\d{1,2}\.\d{1,2}\.\d+")
WAIT_MAX_SECS = 60.0


@dataclass(frozen=True)
class BuildRequest:
    """What a client asks of a build."""

    version_number: str
    tag: str | None
    use_cache: bool
    beta_packages: bool
    meta: dict[str, Any]


def find_for_run(tx: Connection, actor: Actor, ref: str) -> Build:
    """The build that a run asks for by tag or number.

    Raises UnknownBuildTag, BuildNotFound or InvalidBuild.
    """
    if BUILD_NUMBER.fullmatch(ref):
        build = repository.by_number(tx, actor.id, ref)
        if build is None:
            raise BuildNotFound(ref)
    else:
        entry = actor.tagged_builds.get(ref)
        build = None if entry is None else repository.by_id(tx, entry["buildId"])
        if not build:
            raise UnknownBuildTag(ref)
    if build.status is not JobStatus.SUCCEEDED:
        raise InvalidBuild(ref)
    return build


def find_tag_entry(tx: Connection, actor_id: str, build_id: str) -> dict[str, Any] | None:
    """The entry for `taggedBuilds` of one of the Actor's succeeded builds."""
    build = repository.by_id(tx, build_id)
    if build is None or build.actor_id != actor_id or build.status is not JobStatus.SUCCEEDED:
        return None
    return tag_entry(build)


class BuildService:
    def __init__(
        self,
        db: Database,
        supervisor: BuildSupervisor,
        signals: Signals,
        settings: Settings,
        *,
        memory_limit_mbytes: int,
    ) -> None:
        self._db = db
        self._supervisor = supervisor
        self._signals = signals
        self._timeout_secs = settings.build_timeout_secs
        # A build that needs more than all runs together may use would wait for ever.
        self._memory_mbytes = min(settings.build_memory_mbytes, memory_limit_mbytes)

    async def start(self, caller: Caller, ref: Ref, request: BuildRequest) -> Build:
        """Create a build and hand it to the supervisor. Raises ActorNotFound or VersionNotFound."""
        require_account(caller)
        build = await self._db.write(lambda tx: self._create(tx, caller, ref, request))
        self._supervisor.submit(build)
        return build

    def _create(self, tx: Connection, caller: Caller, ref: Ref, request: BuildRequest) -> Build:
        actor = own_actor(tx, caller, ref)
        version = actor_rows.version(tx, actor.id, request.version_number)
        if version is None:
            raise VersionNotFound
        number = repository.next_number(tx, actor.id, version.version_number)
        memory = self._memory_mbytes
        build = Build(
            id=new_id(),
            actor_id=actor.id,
            user_id=actor.user_id,
            status=JobStatus.READY,
            started_at=clock.now(),
            finished_at=None,
            build_number=number,
            build_number_int=build_number_int(number),
            tag=request.tag or version.build_tag,
            status_message=None,
            exit_code=None,
            meta=request.meta,
            options={
                "useCache": request.use_cache,
                "betaPackages": request.beta_packages,
                "memoryMbytes": memory,
                "diskMbytes": disk_mbytes(memory),
            },
            stats={"durationMillis": 0, "runTimeSecs": 0, "computeUnits": 0},
            usage=None,
            version=version_wire(version),
            env_vars=version.env_vars,
            image=None,
            definition=None,
            input_schema=None,
            readme=None,
            changelog=None,
            builder=None,
            timeout_secs=self._timeout_secs,
            memory_mbytes=memory,
        )
        repository.insert_build(tx, build)
        publish(tx, build_event(EventType.BUILD_CREATED, build))
        return build

    async def require_of_actor(self, caller: Caller | None, ref: Ref, build_id: str) -> None:
        """Raise BuildRecordNotFound unless it is a build of that Actor."""

        def unit(tx: Connection) -> None:
            build = repository.by_id(tx, build_id)
            if build is None or not is_named_by(tx, caller, ref, build.actor_id):
                raise BuildRecordNotFound

        await self._db.read(unit)

    async def get(self, caller: Caller | None, build_id: str, *, wait_secs: float = 0) -> Build:
        """The build, after waiting up to `wait_secs` (at most 60) for its end.

        Its id, hard to guess, is enough to see it. Raises BuildRecordNotFound.
        """
        return await self._waited(build_id, wait_secs)

    async def get_default(self, caller: Caller | None, ref: Ref, *, wait_secs: float = 0) -> Build:
        """The build that a run without a `build` option would take. Raises UnknownBuildTag."""

        def unit(tx: Connection) -> Build:
            actor = find_actor(tx, caller, ref)
            return find_for_run(tx, actor, actor.default_run_options.get("build") or DEFAULT_TAG)

        return await self._waited((await self._db.read(unit)).id, wait_secs)

    async def with_actor(self, build_id: str) -> tuple[Build, Actor]:
        """The build and its Actor. Raises BuildRecordNotFound, also when the Actor is gone."""

        def unit(tx: Connection) -> tuple[Build, Actor]:
            build = repository.by_id(tx, build_id)
            actor = None if build is None else actor_rows.by_id(tx, build.actor_id)
            if build is None or actor is None:
                raise BuildRecordNotFound
            return build, actor

        return await self._db.read(unit)

    async def _waited(self, build_id: str, wait_secs: float) -> Build:
        deadline = asyncio.get_running_loop().time() + min(wait_secs, WAIT_MAX_SECS)
        async with self._signals.listen(job_topic(build_id)) as change:
            while True:
                build = await self._db.read(lambda tx: repository.by_id(tx, build_id))
                if build is None:
                    raise BuildRecordNotFound
                left = deadline - asyncio.get_running_loop().time()
                if build.status.is_terminal or left <= 0:
                    return build
                await change.wait(left)

    async def page(self, caller: Caller, request: PageRequest, *, actor: Ref | None) -> Page[Build]:
        require_account(caller)

        def unit(tx: Connection) -> Page[Build]:
            actor_id = None if actor is None else own_actor(tx, caller, actor).id
            return repository.page(tx, request, user_id=caller.user_id, actor_id=actor_id)

        return await self._db.read(unit)

    async def abort(self, caller: Caller, build_id: str) -> Build:
        """Stop it at once. A build that has ended or is ending is returned as it is."""
        require_account(caller)
        build = await self.get(caller, build_id)
        require_owner(caller, build.user_id)
        await self._supervisor.abort(build_id)
        return await self.get(caller, build_id)

    async def delete(self, caller: Caller, build_id: str) -> None:
        """Raises DeletingDefaultBuild, DeletingUnfinishedBuild or DeletingUsedBuild."""
        require_account(caller)

        def unit(tx: Connection) -> Build:
            build = repository.by_id(tx, build_id)
            if build is None:
                raise BuildRecordNotFound
            require_owner(caller, build.user_id)
            if not build.status.is_terminal:
                raise DeletingUnfinishedBuild
            if repository.is_running(tx, build_id):
                raise DeletingUsedBuild
            actor = actor_rows.by_id(tx, build.actor_id)
            if actor is not None:
                _untag(tx, actor, build)
            repository.remove(tx, build_id)
            return build

        build = await self._db.write(unit)
        await self._supervisor.remove_files(build)


def _untag(tx: Connection, actor: Actor, build: Build) -> None:
    default = actor.default_run_options.get("build") or DEFAULT_TAG
    tags = [tag for tag, entry in actor.tagged_builds.items() if entry["buildId"] == build.id]
    if default in (*tags, build.build_number):
        raise DeletingDefaultBuild
    if tags:
        kept = {tag: entry for tag, entry in actor.tagged_builds.items() if tag not in tags}
        actor_rows.change_actor(tx, actor.id, tagged_builds=kept)
