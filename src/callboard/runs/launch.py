"""From a run's row to what the executor starts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from callboard.actors import repository as actor_rows
from callboard.actors.model import Actor
from callboard.actors.versions import VersionMaker
from callboard.builders.base import Image
from callboard.builds import repository as build_rows
from callboard.builds.model import Build
from callboard.db.base import Database
from callboard.executors.base import LaunchSpec, Mount, MountMode
from callboard.inputs.secret_input import KeyPair
from callboard.jobs.observer import job_name
from callboard.logs.service import LogService
from callboard.runs.environment import Addresses, run_environment
from callboard.runs.item_charges import ItemCharges
from callboard.runs.keys import input_keys
from callboard.runs.model import Run
from callboard.runs.web_port import VARIABLE
from callboard.users import repository as user_rows

REDACT_FROM_CHARS = 4
CPU_MBYTES = 4096
"""Memory that comes with one whole core."""


@dataclass(frozen=True)
class _Needed:
    """What the database says of a launch."""

    actor: Actor
    build: Build
    keys: KeyPair | None
    proxy_password: str


class RunLauncher:
    """Prepares launches. `addresses` is asked each time: it is known only once the server listens."""

    def __init__(
        self,
        db: Database,
        logs: LogService,
        versions: VersionMaker,
        *,
        build_dir: Callable[[str], Path],
        token_for: Callable[[str], str],
        addresses: Callable[[], Addresses],
        item_charges: ItemCharges,
    ) -> None:
        self._item_charges = item_charges
        self._db = db
        self._logs = logs
        self._versions = versions
        self._build_dir = build_dir
        self._token_for = token_for
        self._addresses = addresses

    async def prepare(self, run: Run) -> tuple[LaunchSpec | None, str]:
        """The launch of the run's present attempt, or None and the reason why there cannot be one."""
        found = await self._db.read(lambda tx: self._look_up(tx, run))
        if isinstance(found, str):
            return None, found
        self._item_charges.watch(run)
        return self._spec(run, found), ""

    def _look_up(self, tx: Connection, run: Run) -> "_Needed | str":
        actor_id, build_id = run.program
        actor = actor_rows.by_id(tx, actor_id)
        build = build_rows.by_id(tx, build_id)
        if actor is None:
            return "its Actor has been deleted"
        if build is None or build.image is None:
            return "its build has been deleted"
        user = user_rows.user_by_id(tx, run.user_id)
        if user is None:
            return "its account has been deleted"
        keys = input_keys(self._versions.vault, actor, run.user_id)
        return _Needed(actor, build, keys, user.proxy_password)

    def _spec(self, run: Run, needed: "_Needed") -> LaunchSpec:
        actor, build, keys = needed.actor, needed.build, needed.keys
        image = msgspec.convert(build.image, Image)
        token = self._token_for(run.id)
        custom = self._versions.opened(build.actor_id, build.env_vars)
        environment = run_environment(
            run,
            actor,
            build,
            tags=[
                tag for tag, entry in actor.tagged_builds.items() if entry["buildId"] == build.id
            ],
            token=token,
            proxy_password=needed.proxy_password,
            addresses=self._addresses(),
            custom={**image.env, **custom, **(keys.environment() if keys else {})},
        )
        folder = self._build_dir(build.id)
        return LaunchSpec(
            job_id=job_name(run.id, run.attempts.number),
            argv=image.argv,
            env=environment,
            cwd=image.cwd,
            image=image.reference,
            user=image.user,
            log_path=self._logs.path(run.id),
            log_id=run.id,
            memory_mbytes=run.memory_mbytes,
            cpus=run.memory_mbytes / CPU_MBYTES,
            timeout_secs=_seconds_left(run),
            web_server_port=int(environment[VARIABLE]),
            mounts=tuple(
                Mount(folder / mount.source, mount.target, MountMode(mount.mode))
                for mount in image.mounts
            ),
            secrets=(token, needed.proxy_password, *_redacted(build, custom)),
        )


def _redacted(build: Build, values: dict[str, str]) -> list[str]:
    """Secrets to keep out of the log. Very short ones would black out ordinary text."""
    secrets = (values[one.name] for one in build.env_vars if one.is_secret)
    return [value for value in secrets if len(value) >= REDACT_FROM_CHARS]


def _seconds_left(run: Run) -> float | None:
    """Of the run's timeout, which does not start anew when the program does."""
    if not run.timeout_secs:
        return None
    return max(0.001, run.timeout_secs - run.passed_millis() / 1000)
